"""The smallest changes that would each make an infeasible request feasible.

Every kind of constraint that the request (or its policy) has is relaxed alone, by the least that is enough: the
best place without the constraint says what to allow, a number is brought down to the least that works. Each change
is decided again before it is answered; what would not help is not said.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from math import ceil
from typing import Final, NamedTuple

from trimtab_service.domain.decisions import Placement, Relaxation
from trimtab_service.domain.money import Money
from trimtab_service.domain.offers import PriceBasis, PurchaseOption
from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.domain.workloads import PlaceQuery, RegionKey, Residency, Size, Workload
from trimtab_service.placement.asked import Asked
from trimtab_service.placement.deadlines import sufficient_hours
from trimtab_service.placement.latency import mean_latency_ms
from trimtab_service.placement.quotas import quota_key
from trimtab_service.placement.scan import FEASIBLE, OFFER_ORDER, Scan

MAX_RELAXATIONS: Final = 16
_MAX_LISTED: Final = 8
"""Of services, blocks and quotas only so many are tried one by one."""


class Answered(NamedTuple):
    """A changed request and its best place."""

    asked: Asked
    place: Placement


Decide = Callable[[Asked], Placement | None]
"""The best place of a request, None when it is infeasible."""


class Relaxer:
    """Tries changes of one infeasible request."""

    __slots__ = ("_asked", "_decide")

    def __init__(self, asked: Asked, decide: Decide) -> None:
        self._asked = asked
        self._decide = decide

    def all(self) -> tuple[Relaxation, ...]:
        """The changes that help, in the order of the constraints they relax."""
        found: list[Relaxation] = []
        for kind in (
            self._residency,
            self._types,
            self._options,
            self._deadline,
            self._count,
            self._spread,
            self._size,
            self._services,
            self._latency,
            self._blocks,
            self._quotas,
            self._interruptions,
            self._prices,
            self._policy,
        ):
            found.extend(kind())
            if len(found) >= MAX_RELAXATIONS:
                break
        return tuple(found[:MAX_RELAXATIONS])

    def _try(self, workload: Workload | None = None, policy: EffectivePolicy | None = None) -> Answered | None:
        query, index, old, state, instant = self._asked
        if workload is not None:
            query = PlaceQuery(query.project, workload, max_fallbacks=0)
        changed = Asked(query, index, policy or old, state, instant)
        best = self._decide(changed)
        return None if best is None else Answered(changed, best)

    def _furthest_reason(self) -> RejectionReason:
        """What stood against the offers that got furthest."""
        code = int(Scan(self._asked.question()).found.reason.max(initial=FEASIBLE))
        return OFFER_ORDER[code] if code != FEASIBLE else RejectionReason.NOT_OFFERED

    @staticmethod
    def _say(answer: Answered | None, field: str, change: str, reason: RejectionReason) -> Iterator[Relaxation]:
        if answer is not None:
            yield Relaxation(field, change, reason, answer.place)

    def _residency(self) -> Iterator[Relaxation]:
        """Without one list, the best place; then with that place added to the list."""
        workload = self._asked.query.workload
        residency = workload.residency
        if residency is None:
            return
        for field, empty in (
            ("countries", replace(residency, countries=frozenset(), denied_countries=frozenset())),
            ("clouds", replace(residency, clouds=frozenset(), denied_clouds=frozenset())),
            ("regions", replace(residency, regions=frozenset(), denied_regions=frozenset())),
        ):
            if empty == residency:
                continue
            without = self._try(replace(workload, residency=empty))
            if without is None:
                continue
            snapshot, offer = self._asked.search_index.snapshot, without.place.offer
            place = snapshot.regions[snapshot.region_index[offer.cloud, offer.region]]
            if field == "countries":
                changed, what, reason = (
                    _with_country(residency, place.country),
                    place.country,
                    RejectionReason.RESIDENCY,
                )
            elif field == "clouds":
                changed = replace(
                    residency,
                    clouds=residency.clouds | {place.cloud} if residency.clouds else residency.clouds,
                    denied_clouds=residency.denied_clouds - {place.cloud},
                )
                what, reason = str(place.cloud), RejectionReason.CLOUD_NOT_ALLOWED
            else:
                key = RegionKey(place.cloud, place.name)
                changed = replace(
                    residency,
                    regions=residency.regions | {key} if residency.regions else residency.regions,
                    denied_regions=residency.denied_regions - {key},
                )
                what, reason = place.key, RejectionReason.REGION_NOT_ALLOWED
            answer = self._try(replace(workload, residency=changed))
            yield from self._say(answer, f"workload.residency.{field}", f"allow {what}", reason)

    def _types(self) -> Iterator[Relaxation]:
        workload = self._asked.query.workload
        residency = workload.residency
        if residency is not None and (residency.families or residency.denied_families):
            free = replace(residency, families=frozenset(), denied_families=frozenset())
            answer = self._try(replace(workload, residency=free))
            if answer is not None and answer.place.offer.basis is not PriceBasis.CALLER:
                index, offer = self._asked.search_index, answer.place.offer
                family = index.family_of[index.snapshot.type_index[offer.cloud, offer.instance_type]]
                changed = replace(
                    residency,
                    families=residency.families | {family} if residency.families else residency.families,
                    denied_families=residency.denied_families - {family},
                )
                answer = self._try(replace(workload, residency=changed))
                reason = RejectionReason.FAMILY_NOT_ALLOWED
                yield from self._say(answer, "workload.residency.families", f"allow family {family}", reason)
        if residency is not None and (residency.instance_types or residency.denied_instance_types):
            free = replace(residency, instance_types=frozenset(), denied_instance_types=frozenset())
            answer = self._try(replace(workload, residency=free))
            if answer is not None:
                name = answer.place.offer.instance_type
                changed = replace(
                    residency,
                    instance_types=residency.instance_types | {name} if residency.instance_types else frozenset(),
                    denied_instance_types=residency.denied_instance_types - {name},
                )
                answer = self._try(replace(workload, residency=changed))
                reason = RejectionReason.TYPE_NOT_ALLOWED
                yield from self._say(answer, "workload.residency.instance_types", f"allow type {name}", reason)
        if workload.size.instance_type:
            answer = self._try(replace(workload, size=replace(workload.size, instance_type="")))
            change = "any type of the size"
            reason = RejectionReason.TYPE_NOT_ALLOWED
            yield from self._say(answer, "workload.size.instance_type", change, reason)

    def _options(self) -> Iterator[Relaxation]:
        workload = self._asked.query.workload
        for option in (PurchaseOption.ON_DEMAND, PurchaseOption.SPOT):
            if option not in workload.options:
                answer = self._try(replace(workload, options=(*workload.options, option)))
                reason = RejectionReason.PURCHASE_OPTION_NOT_ALLOWED
                yield from self._say(answer, "workload.purchase_options", f"add {option.name}", reason)

    def _deadline(self) -> Iterator[Relaxation]:
        question, workload = self._asked, self._asked.query.workload
        if workload.deadline is None:
            return
        without = self._try(replace(workload, deadline=None))
        if without is None:
            return
        for hours in sufficient_hours(without.asked.question()):
            late = question.instant + timedelta(minutes=ceil(hours * 60.0))
            answer = self._try(replace(workload, deadline=late))
            if answer is not None:
                more = (late - workload.deadline).total_seconds() / 3600.0
                yield from self._say(answer, "workload.deadline", f"{more:.2f} h later", RejectionReason.DEADLINE)
                return

    def _count(self) -> Iterator[Relaxation]:
        workload = self._asked.query.workload
        low, high = 0, workload.count
        best: Answered | None = None
        while high - low > 1:
            middle = (low + high) // 2
            answer = self._try(replace(workload, count=middle, spread_zones=min(workload.spread_zones, middle)))
            if answer is None:
                high = middle
            else:
                low, best = middle, answer
        if best is not None:
            change = f"{low} instead of {workload.count}"
            yield from self._say(best, "workload.count", change, self._furthest_reason())

    def _spread(self) -> Iterator[Relaxation]:
        workload = self._asked.query.workload
        for zones in range(workload.spread_zones - 1, 0, -1):
            answer = self._try(replace(workload, spread_zones=zones))
            if answer is not None:
                change = f"{zones} instead of {workload.spread_zones}"
                yield from self._say(answer, "workload.spread_zones", change, RejectionReason.NOT_ENOUGH_ZONES)
                return

    def _size(self) -> Iterator[Relaxation]:
        workload = self._asked.query.workload
        size = workload.size
        for field, free, reason in (
            ("architecture", replace(size, architecture=None), RejectionReason.ARCH_MISMATCH),
            ("local_disk_gb", replace(size, local_disk_gb=0.0), RejectionReason.DISK_TOO_SMALL),
            ("network_gbps", replace(size, network_gbps=0.0), RejectionReason.NETWORK_TOO_SLOW),
            ("vcpus", replace(size, vcpus=0.0), RejectionReason.TOO_SMALL),
            ("memory_gib", replace(size, memory_gib=0.0), RejectionReason.TOO_SMALL),
            ("gpus", replace(size, gpus=tuple(replace(g, count=1) for g in size.gpus)), RejectionReason.GPU_MISMATCH),
        ):
            if free == size:
                continue
            answer = self._try(replace(workload, size=free))
            if answer is None:
                continue
            change = "any"
            if field in {"vcpus", "memory_gib"}:
                answer, change = self._most(field, answer)
            elif field == "gpus":
                answer, change = self._most_gpus(answer)
            yield from self._say(answer, f"workload.size.{field}", change, reason)

    def _most(self, field: str, answer: Answered) -> tuple[Answered, str]:
        """The most of a size that is feasible: found among the amounts that types have."""
        workload, sets = self._asked.query.workload, self._asked.search_index.type_sets
        asked = getattr(workload.size, field)
        amounts = (sets.vcpus if field == "vcpus" else sets.memory).values
        low, high = -1, bisect_left(amounts, asked)
        while high - low > 1:
            middle = (low + high) // 2
            found = self._try(replace(workload, size=_with_amount(workload.size, field, amounts[middle])))
            if found is None:
                high = middle
            else:
                low, answer = middle, found
        return answer, f"{amounts[low] if low >= 0 else 0:g} instead of {asked:g}"

    def _most_gpus(self, answer: Answered) -> tuple[Answered, str]:
        workload = self._asked.query.workload
        asked = max(gpu.count for gpu in workload.size.gpus)
        for count in range(asked - 1, 1, -1):
            gpus = tuple(replace(gpu, count=min(gpu.count, count)) for gpu in workload.size.gpus)
            found = self._try(replace(workload, size=replace(workload.size, gpus=gpus)))
            if found is not None:
                return found, f"{count} GPUs an instance instead of {asked}"
        return answer, f"1 GPU an instance instead of {asked}"

    def _services(self) -> Iterator[Relaxation]:
        workload = self._asked.query.workload
        musts = [need for need in workload.services if need.preference_micros is None]
        for need in musts[:_MAX_LISTED]:
            answer = self._try(replace(workload, services=tuple(n for n in workload.services if n is not need)))
            change = f"without {need.service}"
            yield from self._say(answer, "workload.services", change, RejectionReason.SERVICE_MISSING)

    def _latency(self) -> Iterator[Relaxation]:
        workload = self._asked.query.workload
        if workload.users is None or workload.users.max_latency_ms <= 0.0:
            return
        latency = mean_latency_ms(self._asked.search_index.snapshot, workload.users)
        limits = sorted({float(ceil(ms)) for ms in latency.tolist() if ms > workload.users.max_latency_ms})
        low, high = -1, len(limits)
        best: Answered | None = None
        while high - low > 1:
            middle = (low + high) // 2
            answer = self._try(replace(workload, users=replace(workload.users, max_latency_ms=limits[middle])))
            if answer is None:
                low = middle
            else:
                high, best = middle, answer
        change = f"{limits[high]:g} ms" if best is not None else ""
        yield from self._say(best, "workload.users.max_latency_ms", change, RejectionReason.LATENCY)

    def _blocks(self) -> Iterator[Relaxation]:
        workload = self._asked.query.workload
        for i in range(min(len(workload.blocked_offers), _MAX_LISTED)):
            rest = (*workload.blocked_offers[:i], *workload.blocked_offers[i + 1 :])
            answer = self._try(replace(workload, blocked_offers=rest))
            change = f"without pattern {i + 1}"
            yield from self._say(answer, "workload.blocked_offers", change, RejectionReason.BLOCKED_BY_REQUEST)
        if len(workload.blocked_offers) > 1:
            answer = self._try(replace(workload, blocked_offers=()))
            yield from self._say(answer, "workload.blocked_offers", "none", RejectionReason.BLOCKED_BY_REQUEST)

    def _quotas(self) -> Iterator[Relaxation]:
        """Without quotas, the best place; then its quotas raised by what they lack."""
        question, workload = self._asked, self._asked.query.workload
        if not workload.quotas:
            return
        raised = tuple(replace(quota, left=1e12) for quota in workload.quotas)
        without = self._try(replace(workload, quotas=raised))
        if without is None:
            return
        needed = {draw.room_key: draw.amount_milli for draw in without.place.draws}
        changed, words = [], []
        for quota in workload.quotas:
            key = quota_key(question.query.project, quota)
            left = question.state.rooms.left_milli(key, int(quota.left * 1000), question.instant)
            lacking = needed.get(key, 0) - left
            if lacking > 0:
                words.append(f"{quota.unit} of {quota.location.cloud}:{quota.location.region} by {lacking / 1000:g}")
                changed.append(replace(quota, left=quota.left + lacking / 1000.0 + 0.001))
            else:
                changed.append(quota)
        answer = self._try(replace(workload, quotas=tuple(changed)))
        yield from self._say(answer, "workload.quotas", f"raise {', '.join(words)}", RejectionReason.QUOTA)

    def _interruptions(self) -> Iterator[Relaxation]:
        workload = self._asked.query.workload
        if workload.interruption.max_expected_interruptions is None:
            return
        free = replace(workload.interruption, max_expected_interruptions=None)
        answer = self._try(replace(workload, interruption=free))
        if answer is not None and answer.place.offer.option is PurchaseOption.SPOT:
            limit = answer.place.expected_interruptions
            changed = replace(workload.interruption, max_expected_interruptions=limit)
            answer = self._try(replace(workload, interruption=changed))
            field = "workload.interruption.max_expected_interruptions"
            yield from self._say(answer, field, f"{limit:.4g}", RejectionReason.INTERRUPTION_RISK)

    def _prices(self) -> Iterator[Relaxation]:
        workload = self._asked.query.workload
        if not workload.allow_estimated_prices:
            answer = self._try(replace(workload, allow_estimated_prices=True))
            yield from self._say(answer, "workload.allow_estimated_prices", "true", RejectionReason.PRICE_BASIS)

    def _policy(self) -> Iterator[Relaxation]:
        policy = self._asked.policy
        if policy.max_cost_micros is not None:
            answer = self._try(policy=replace(policy, max_cost_micros=None, key=""))
            if answer is not None:
                change = f"{Money(answer.place.terms.total).usd} USD"
                yield from self._say(answer, "policy.max_cost", change, RejectionReason.COST_LIMIT)
        for field, free, reason in (
            ("residency", replace(policy, residencies=(), key=""), RejectionReason.POLICY),
            ("purchase_options", replace(policy, options=None, key=""), RejectionReason.POLICY),
            ("price_bases", replace(policy, price_bases=None, key=""), RejectionReason.PRICE_BASIS),
            ("max_price_age", replace(policy, max_price_age=None, key=""), RejectionReason.PRICE_STALE),
            (
                "max_expected_interruptions",
                replace(policy, max_expected_interruptions=None, key=""),
                RejectionReason.INTERRUPTION_RISK,
            ),
            ("required_tags", replace(policy, required_tags=frozenset(), key=""), RejectionReason.POLICY),
        ):
            if free == replace(policy, key=""):
                continue
            change = "without it"
            if field == "required_tags":
                missing = policy.required_tags - {name for name, _ in self._asked.query.workload.tags}
                change = f"add tags {', '.join(sorted(missing))}"
            yield from self._say(self._try(policy=free), f"policy.{field}", change, reason)


def relaxations(asked: Asked, decide: Decide) -> tuple[Relaxation, ...]:
    """The changes that would each make an infeasible request feasible; none when it takes more than one."""
    return Relaxer(asked, decide).all()


def _with_country(residency: Residency, country: str) -> Residency:
    return replace(
        residency,
        countries=residency.countries | {country} if residency.countries else residency.countries,
        denied_countries=residency.denied_countries - {country},
    )


def _with_amount(size: Size, field: str, amount: float) -> Size:
    return replace(size, vcpus=amount) if field == "vcpus" else replace(size, memory_gib=amount)
