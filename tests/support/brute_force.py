"""Placement by looking at every offer in plain Python: what the search must agree with.

It shares domain types with the engine, the interruption model, and what project state answers (posterior rates,
active blocks, coverage). Feasibility, cost, order and fallbacks are written anew from their declaration.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import ceil, floor
from typing import NamedTuple

from tests.support.brute_costs import Costs
from tests.support.brute_rows import OfferRow, TypeRow
from tests.support.brute_rules import Rules
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.coverage import OfferFacts
from trimtab_service.domain.offers import CLOUDS, PLACEMENT_OPTIONS, PRICE_BASES, PurchaseOption
from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.workloads import CallerOffer, PlaceQuery, Size
from trimtab_service.placement.interruptions import bucket_rate
from trimtab_service.placement.state import ProjectState

OWNED = PurchaseOption.OWNED_COMMITMENT
OD, SPOT = PurchaseOption.ON_DEMAND, PurchaseOption.SPOT
_OPTION_ORDER = {option: i for i, option in enumerate((*PLACEMENT_OPTIONS, OWNED))}


class Found(NamedTuple):
    """A feasible offer: cost in micros, risk, nearness, hourly price, (cloud, region), type, option, origin; zones."""

    cost: int
    risk: int
    nearness: int
    price: int
    place: tuple[str, str]
    instance_type: str
    option: int
    origin: int
    stays: bool
    zones: tuple[str, ...]


class Picked(NamedTuple):
    """What of a place is compared: (cloud, region, zone, type, option) and cost."""

    cloud: str
    region: str
    zone: str
    instance_type: str
    option: str
    cost: int


@dataclass(frozen=True, slots=True)
class Answer:
    """`verdict` as the engine names it; None and empty when nothing is feasible."""

    verdict: str
    chosen: Picked | None
    fallbacks: tuple[tuple[Picked, str], ...]
    feasible: int


class BruteForce:
    """Looks at every offer of one snapshot."""

    def __init__(self, snapshot: CatalogSnapshot) -> None:
        self.snapshot = snapshot
        types = snapshot.types
        self.types = [
            TypeRow(
                CLOUDS[int(types.cloud[t])],
                name,
                snapshot.families[int(types.family[t])],
                snapshot.arches[int(types.arch[t])],
                float(types.vcpus[t]),
                float(types.memory_gib[t]),
                snapshot.gpu_models[int(types.gpu_model[t])] if types.gpu_model[t] >= 0 else "",
                float(types.gpu_count[t]) if types.gpu_model[t] >= 0 else 0.0,
                float(types.gpu_memory_gib[t]),
                float(types.network_gbps[t]),
                float(types.local_storage_gb[t]),
            )
            for t, name in enumerate(snapshot.type_names)
        ]
        self.offers: list[list[OfferRow]] = [[] for _ in self.types]
        columns = snapshot.offers
        starts = columns.cell_start.tolist()
        count = len(snapshot.regions)
        for cell in range(len(starts) - 1):
            option, region = PLACEMENT_OPTIONS[cell // count], cell % count
            for k in range(starts[cell], starts[cell + 1]):
                t = int(columns.type_index[k])
                self.offers[t].append(
                    OfferRow(
                        option,
                        region,
                        t,
                        int(columns.price_nanos[k]),
                        int(columns.as_of[k]),
                        PRICE_BASES[int(columns.basis[k])],
                        int(columns.bucket[k]),
                    )
                )
        self.zones = {
            (t, r): snapshot.zones_of(t, r) for t, offers in enumerate(self.offers) for r in {o.region for o in offers}
        }

    def decide(self, query: PlaceQuery, policy: EffectivePolicy, state: ProjectState, instant: datetime) -> Answer:
        """The answer by the declared order."""
        return _choose(self.candidates(query, policy, state, instant), query, policy)

    def candidates(
        self, query: PlaceQuery, policy: EffectivePolicy, state: ProjectState, instant: datetime
    ) -> list[Found]:
        """Every feasible offer."""
        return list(_Call(self, query, policy, state, instant).candidates())


class _Call:
    """One request."""

    def __init__(
        self, world: BruteForce, query: PlaceQuery, policy: EffectivePolicy, state: ProjectState, instant: datetime
    ) -> None:
        self.world, self.query, self.policy, self.state, self.instant = world, query, policy, state, instant
        self.snapshot = world.snapshot
        self.work = query.workload
        self.rules = Rules(world.snapshot, query, policy, state, instant)
        self.costs = Costs(world.snapshot, query.workload, self.rules)
        self.options = [o for o in self.work.options if policy.options is None or o in policy.options]
        left = None if self.work.deadline is None else (self.work.deadline - instant).total_seconds() / 3600.0
        self.left = left

    def candidates(self) -> Iterator[Found]:  # noqa: C901 - every offer, step by step
        places = {r: self.costs.place_costs(r) for r in range(len(self.snapshot.regions)) if self.rules.region_ok(r)}
        for t, kind in enumerate(self.world.types):
            if not self.rules.type_ok(kind):
                continue
            for offer in self.world.offers[t]:
                if offer.region not in places or not self.rules.price_ok(offer):
                    continue
                options = [offer.option] if offer.option in self.options else []
                if offer.option is OD and OWNED in self.options:
                    options.append(OWNED)
                for option in options:
                    found = self.evaluate(kind, offer, option, places[offer.region])
                    if found is not None:
                        yield found
        for number, caller in enumerate(self.work.caller_offers, start=1):
            r = self.snapshot.region_index[caller.location.cloud, caller.location.region]
            if r in places and self.rules.caller_ok(caller):
                for option in [caller.option, *([OWNED] if caller.option is OD else [])]:
                    if option in self.options:
                        found = self.evaluate_caller(caller, number, option, r, places[r])
                        if found is not None:
                            yield found

    def evaluate(
        self, kind: TypeRow, offer: OfferRow, option: PurchaseOption, place: tuple[int, int, int]
    ) -> Found | None:
        region = self.snapshot.regions[offer.region]
        zones = self.world.zones[offer.type_number, offer.region]
        left = self.rules.zones_left(region.cloud, region.name, kind.name, option, zones)
        if left is None or (zones and not left) or (self.work.spread_zones > 1 and len(left) < self.work.spread_zones):
            return None
        facts = OfferFacts(
            region.cloud,
            region.name,
            kind.name,
            kind.family,
            kind.vcpus,
            kind.memory,
            kind.gpu,
            kind.gpus,
            offer.price,
            left,
        )
        if not self.rules.room_ok(facts, option):
            return None
        rate = 0.0
        if option is SPOT:
            prior = bucket_rate(offer.bucket)
            in_zone = partial(self.state.learned.rates.rate, region.cloud, kind.family, region.name, kind.name)
            rate = in_zone("", prior)
            left = tuple(sorted(left, key=lambda zone: in_zone(zone, prior)))
        return self.cost(offer.region, option, offer.price, rate, facts, left, 0, place)

    def evaluate_caller(
        self, caller: CallerOffer, number: int, option: PurchaseOption, r: int, place: tuple[int, int, int]
    ) -> Found | None:
        left = self.rules.zones_left(
            caller.location.cloud, caller.location.region, caller.instance_type, option, tuple(sorted(caller.zones))
        )
        if (
            left is None
            or (caller.zones and not left)
            or (self.work.spread_zones > 1 and len(left) < self.work.spread_zones)
        ):
            return None
        size: Size = caller.size or self.work.size
        gpu = size.gpus[0] if size.gpus else None
        facts = OfferFacts(
            caller.location.cloud,
            caller.location.region,
            caller.instance_type,
            "",
            size.vcpus,
            size.memory_gib,
            gpu.models[0] if gpu else "",
            float(gpu.count) if gpu else 0.0,
            caller.nanos_per_hour,
            caller.zones,
        )
        if not self.rules.room_ok(facts, option):
            return None
        rate = 0.0
        if option is SPOT:
            rate = self.state.learned.rates.rate(
                facts.cloud, caller.instance_type, facts.region, caller.instance_type, "", bucket_rate(-1)
            )
        return self.cost(r, option, caller.nanos_per_hour, rate, facts, left, number, place)

    def cost(  # noqa: C901, PLR0911, PLR0912 - the whole declaration in one place
        self,
        r: int,
        option: PurchaseOption,
        price: int,
        rate: float,
        facts: OfferFacts,
        zones: tuple[str, ...],
        origin: int,
        place: tuple[int, int, int],
    ) -> Found | None:
        work, current = self.work, self.work.current
        egress, preference, state_move = place
        stays = (
            current is not None
            and (current.location.cloud, current.location.region) == (facts.cloud, facts.region)
            and current.instance_type in {"", facts.instance_type}
            and current.option in {None, option}
        )
        bought = float(work.count)
        if option is OWNED:
            cover = self.state.rooms.cover(facts, work.count, self.instant)
            uncovered = work.count * 1000 - cover.instances_milli
            if not cover.instances_milli or (uncovered and OD not in self.options):
                return None
            bought = uncovered / 1000
            if cover.zones:
                zones = tuple(z for z in cover.zones if z in zones) or zones
        changeover = 0.0 if current is None or stays else current.changeover_hours
        total = round(price * (self.costs.hours_paid(option) * bought / 1000.0)) + egress + preference
        risk = 0
        if option is SPOT:
            seen, risk, extra = self.costs.outlook(rate)
            limits = [work.interruption.max_expected_interruptions, self.policy.max_expected_interruptions]
            if seen.billed_hours == float("inf"):
                return None
            if any(limit is not None and seen.expected_interruptions > limit for limit in limits):
                return None
            if self.left is not None:
                left = self.left - changeover
                if seen.elapsed_hours > left or left - work.hours <= 2 * work.interruption.restart_hours + 0.25:
                    return None
            total += round(price * extra) + self.costs.checkpoints(r, seen.expected_interruptions)
        elif self.left is not None and work.hours > self.left - changeover:
            return None
        if current is not None and not stays:
            total += (
                state_move + current.fixed_cost_micros + round(price * (current.changeover_hours * bought / 1000.0))
            )
        if self.policy.max_cost_micros is not None and total > self.policy.max_cost_micros:
            return None
        nearness = 2
        if current is not None and (current.location.cloud, current.location.region) == (facts.cloud, facts.region):
            nearness = 0 if current.instance_type in {"", facts.instance_type} else 1
            if current.zone in zones:
                zones = (current.zone, *(z for z in zones if z != current.zone))
        key = (str(facts.cloud), facts.region)
        return Found(
            total, risk, nearness, price, key, facts.instance_type, _OPTION_ORDER[option], origin, stays, zones
        )


# Choice --------------------------------------------------------------------------------------------------------


def _best(found: list[Found], tolerance: float) -> Found | None:
    if not found:
        return None
    least = min(f.cost for f in found)
    limit = least + floor(least * tolerance)
    band = [f for f in found if f.cost <= limit]
    return min(band, key=lambda f: (f.risk, f.nearness, f.cost, f.price, f.place, f.instance_type, f.option, f.origin))


def _picked(found: Found, query: PlaceQuery, zone: int = 0) -> Picked:
    name = found.zones[zone] if found.zones and query.workload.spread_zones <= 1 else ""
    option = (*PLACEMENT_OPTIONS, OWNED)[found.option]
    return Picked(found.place[0], found.place[1], name, found.instance_type, str(option), found.cost)


def _choose(found: list[Found], query: PlaceQuery, policy: EffectivePolicy) -> Answer:
    work = query.workload
    tolerance = policy.tolerance_fraction if work.tolerance_fraction is None else work.tolerance_fraction
    best = _best(found, tolerance)
    if best is None:
        return Answer("none", None, (), 0)
    verdict = "placed"
    if work.current is not None:
        staying = min(
            (f for f in found if f.stays),
            key=lambda f: (f.cost, f.risk, f.nearness, f.price, f.place, f.instance_type, f.option, f.origin),
            default=None,
        )
        if best.stays:
            verdict = "stay"
        elif staying is not None:
            fraction = work.current.minimum_gain_fraction or policy.minimum_gain_fraction
            if staying.cost - best.cost < max(work.current.minimum_gain_micros, ceil(staying.cost * fraction)):
                best, verdict = staying, "stay"
    fallbacks: list[tuple[Picked, str]] = []
    if query.max_fallbacks and work.spread_zones <= 1 and len(best.zones) > 1:
        fallbacks.append((_picked(best, query, 1), "zone"))
    clouds, places = {best.place[0]}, {best.place}
    while len(fallbacks) < query.max_fallbacks:
        rest = [f for f in found if f.place not in places]
        choice = _best(rest, tolerance)
        if choice is None:
            break
        is_last = query.max_fallbacks > 1 and len(fallbacks) == query.max_fallbacks - 1
        if is_last and clouds == {best.place[0]} == {choice.place[0]}:
            choice = _best([f for f in rest if f.place[0] != best.place[0]], tolerance) or choice
        fallbacks.append((_picked(choice, query), "region" if choice.place[0] in clouds else "cloud"))
        clouds.add(choice.place[0])
        places.add(choice.place)
    return Answer(verdict, _picked(best, query), tuple(fallbacks), len(found))
