"""Placement by looking at every offer in plain Python: what the search must agree with.

It shares domain types with the engine, the interruption model, and what project state answers (posterior rates,
active blocks, coverage). Feasibility, cost, order and fallbacks are written anew from their declaration.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import asin, ceil, cos, floor, radians, sin, sqrt
from typing import NamedTuple

from trimtab_service.catalog.services import UnknownService, packaged_services
from trimtab_service.catalog.snapshot import CatalogSnapshot, day_of
from trimtab_service.domain.coverage import OfferFacts
from trimtab_service.domain.offers import CLOUDS, PLACEMENT_OPTIONS, PRICE_BASES, Cloud, PriceBasis, PurchaseOption
from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.workloads import CallerOffer, PlaceQuery, Quota, Residency, Size
from trimtab_service.placement.interruptions import SpotOutlook, bucket_rate, outlook, risk_class
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


class _Type(NamedTuple):
    cloud: Cloud
    name: str
    family: str
    arch: str
    vcpus: float
    memory: float
    gpu: str
    gpus: float
    gpu_memory: float
    network: float
    disk: float


class _Offer(NamedTuple):
    option: PurchaseOption
    region: int
    type_number: int
    price: int
    day: int
    basis: PriceBasis
    bucket: int


class BruteForce:
    """Looks at every offer of one snapshot."""

    def __init__(self, snapshot: CatalogSnapshot) -> None:
        self.snapshot = snapshot
        types = snapshot.types
        self.types = [
            _Type(
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
        self.offers: list[list[_Offer]] = [[] for _ in self.types]
        columns = snapshot.offers
        starts = columns.cell_start.tolist()
        count = len(snapshot.regions)
        for cell in range(len(starts) - 1):
            option, region = PLACEMENT_OPTIONS[cell // count], cell % count
            for k in range(starts[cell], starts[cell + 1]):
                t = int(columns.type_index[k])
                self.offers[t].append(
                    _Offer(
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
        self.options = [o for o in self.work.options if policy.options is None or o in policy.options]
        left = None if self.work.deadline is None else (self.work.deadline - instant).total_seconds() / 3600.0
        self.left = left
        self.blocks = state.learned.active_blocks(instant).blocks
        self.outlooks: dict[float, tuple[SpotOutlook, int, float]] = {}

    def candidates(self) -> Iterator[Found]:  # noqa: C901 - every offer, step by step
        places = {r: self.place_costs(r) for r in range(len(self.snapshot.regions)) if self.region_ok(r)}
        for t, kind in enumerate(self.world.types):
            if not self.type_ok(kind):
                continue
            for offer in self.world.offers[t]:
                if offer.region not in places or not self.price_ok(offer):
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
            if r in places and self.caller_ok(caller):
                for option in [caller.option, *([OWNED] if caller.option is OD else [])]:
                    if option in self.options:
                        found = self.evaluate_caller(caller, number, option, r, places[r])
                        if found is not None:
                            yield found

    # Feasibility of places and types -------------------------------------------------------------------------

    def region_ok(self, r: int) -> bool:  # noqa: PLR0911 - one a rule
        region = self.snapshot.regions[r]
        if region.partition != "public" and not (
            {region.partition, f"{region.cloud}-{region.partition}"} & self.work.partitions
        ):
            return False
        if not self.policy.required_tags <= {name for name, _ in self.work.tags}:
            return False
        for rules in self.residencies():
            if (rules.clouds and region.cloud not in rules.clouds) or region.cloud in rules.denied_clouds:
                return False
            if (rules.countries and region.country not in rules.countries) or region.country in rules.denied_countries:
                return False
            allowed = {(k.cloud, k.region) for k in rules.regions}
            denied = {(k.cloud, k.region) for k in rules.denied_regions}
            if (allowed and (region.cloud, region.name) not in allowed) or (region.cloud, region.name) in denied:
                return False
        if any(n.preference_micros is None and not self.has_service(r, n.service) for n in self.work.services):
            return False
        users = self.work.users
        return users is None or users.max_latency_ms <= 0 or self.latency(r) <= users.max_latency_ms

    def residencies(self) -> list[Residency]:
        own = [self.work.residency] if self.work.residency is not None else []
        return [*own, *self.policy.residencies]

    def has_service(self, r: int, name: str) -> bool:
        facts = packaged_services().find(name)
        if isinstance(facts, UnknownService):
            return False
        return bool(packaged_services().regions_with(facts, self.snapshot)[r])

    def latency(self, r: int) -> float:
        region = self.snapshot.regions[r]
        total = 2.0
        for group in self.work.users.groups if self.work.users is not None else ():
            a, b = radians(region.latitude), radians(group.latitude)
            h = sin((a - b) / 2) ** 2 + cos(a) * cos(b) * sin(radians(region.longitude - group.longitude) / 2) ** 2
            km = 2 * 6371.0088 * asin(sqrt(min(1.0, h)))
            total += group.share * (2 * km * 1.5 / (299.792458 * 2 / 3))
        return total

    def type_ok(self, kind: _Type) -> bool:  # noqa: PLR0911 - one a rule
        size = self.work.size
        if not self.names_ok(kind.name, kind.family):
            return False
        if size.gpus:
            if not any(
                kind.gpu in g.models and kind.gpus >= g.count and kind.gpu_memory >= g.memory_gib for g in size.gpus
            ):
                return False
        elif kind.gpu and not size.instance_type:
            return False
        if kind.vcpus < size.vcpus or kind.memory < size.memory_gib:
            return False
        if size.architecture is not None and kind.arch != size.architecture:
            return False
        if size.local_disk_gb > 0 and not kind.disk >= size.local_disk_gb:
            return False
        return size.network_gbps <= 0 or kind.network >= size.network_gbps

    def names_ok(self, name: str, family: str | None) -> bool:
        if self.work.size.instance_type and name != self.work.size.instance_type:
            return False
        for rules in self.residencies():
            if (rules.families and family not in rules.families) or family in rules.denied_families:
                return False
            if (rules.instance_types and name not in rules.instance_types) or name in rules.denied_instance_types:
                return False
        return True

    def price_ok(self, offer: _Offer) -> bool:
        if offer.basis.is_estimate and not self.work.allow_estimated_prices:
            return False
        if self.policy.price_bases is not None and offer.basis not in self.policy.price_bases:
            return False
        age = self.instant.date() - day_of(offer.day)
        return self.policy.max_price_age is None or age <= self.policy.max_price_age

    def caller_ok(self, caller: CallerOffer) -> bool:
        if any(rules.families for rules in self.residencies()) or not self.names_ok(caller.instance_type, None):
            return False
        if self.policy.price_bases is not None and PriceBasis.CALLER not in self.policy.price_bases:
            return False
        need, size = self.work.size, caller.size
        if size is None:
            return True
        if need.gpus and not any(
            set(have.models) & set(want.models) and have.count >= want.count and have.memory_gib >= want.memory_gib
            for want in need.gpus
            for have in size.gpus
        ):
            return False
        return (
            size.vcpus >= need.vcpus
            and size.memory_gib >= need.memory_gib
            and (need.architecture is None or size.architecture == need.architecture)
            and size.local_disk_gb >= need.local_disk_gb
            and size.network_gbps >= need.network_gbps
        )

    # Single offers ---------------------------------------------------------------------------------------------

    def zones_left(
        self, cloud: Cloud, region: str, name: str, option: PurchaseOption, zones: tuple[str, ...]
    ) -> tuple[str, ...] | None:
        """Zones that no block takes; None where the whole offer is blocked."""
        left = list(zones)
        runs_as = {option, OD} if option is OWNED else {option}
        patterns = [(p.cloud, p.region, p.zone, p.instance_type, p.option) for p in self.work.blocked_offers]
        patterns += [(b.cloud, b.region, b.zone, b.instance_type, b.option) for b in self.blocks]
        for p_cloud, p_region, p_zone, p_type, p_option in patterns:
            if p_cloud not in {None, cloud} or p_region not in {"", region} or p_type not in {"", name}:
                continue
            if p_option is not None and p_option not in runs_as:
                continue
            if not p_zone:
                return None
            if p_zone in left:
                left.remove(p_zone)
        return tuple(left)

    def room_ok(self, facts: OfferFacts, option: PurchaseOption) -> bool:
        return all(self.quota_ok(quota, facts, option) for quota in self.work.quotas)

    def quota_ok(self, quota: Quota, facts: OfferFacts, option: PurchaseOption) -> bool:
        runs_as = {option, OD} if option is OWNED else {option}
        if (quota.location.cloud, quota.location.region) != (facts.cloud, facts.region):
            return True
        if quota.family not in {"", facts.family} or quota.gpu_model not in {"", facts.gpu_model}:
            return True
        if quota.options and not quota.options & runs_as:
            return True
        each = {"vcpus": facts.vcpus, "gpus": facts.gpus, "instances": 1.0}[quota.unit]
        options = "+".join(sorted(quota.options)) or "*"
        key = (
            f"projects/{self.query.project}/quota/{facts.cloud}/{facts.region}/{quota.family or '*'}"
            f"/{quota.gpu_model or '*'}/{options}/{quota.unit}"
        )
        drawn = self.state.rooms.ledger.drawn_milli(key, self.instant)
        return round(each * self.work.count * 1000) <= max(0, int(quota.left * 1000) - drawn)

    def evaluate(self, kind: _Type, offer: _Offer, option: PurchaseOption, place: tuple[int, int, int]) -> Found | None:
        region = self.snapshot.regions[offer.region]
        zones = self.world.zones[offer.type_number, offer.region]
        left = self.zones_left(region.cloud, region.name, kind.name, option, zones)
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
        if not self.room_ok(facts, option):
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
        left = self.zones_left(
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
        if not self.room_ok(facts, option):
            return None
        rate = 0.0
        if option is SPOT:
            rate = self.state.learned.rates.rate(
                facts.cloud, caller.instance_type, facts.region, caller.instance_type, "", bucket_rate(-1)
            )
        return self.cost(r, option, caller.nanos_per_hour, rate, facts, left, number, place)

    # Costs -----------------------------------------------------------------------------------------------------

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
        total = round(price * (self.hours_paid(option) * bought / 1000.0)) + egress + preference
        risk = 0
        if option is SPOT:
            seen, risk, extra = self.outlook(rate)
            limits = [work.interruption.max_expected_interruptions, self.policy.max_expected_interruptions]
            if seen.billed_hours == float("inf"):
                return None
            if any(limit is not None and seen.expected_interruptions > limit for limit in limits):
                return None
            if self.left is not None:
                left = self.left - changeover
                if seen.elapsed_hours > left or left - work.hours <= 2 * work.interruption.restart_hours + 0.25:
                    return None
            total += round(price * extra) + self.checkpoints(r, seen.expected_interruptions)
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

    def hours_paid(self, option: PurchaseOption) -> float:
        years = {PurchaseOption.RESERVED_1Y: 1, PurchaseOption.RESERVED_3Y: 3}.get(option)
        if years is None:
            return self.work.hours
        if self.work.is_service:
            return self.work.hours_per_month
        term = years * self.work.hours_per_year
        return max(ceil(self.work.hours / term), 1) * term

    def outlook(self, rate: float) -> tuple[SpotOutlook, int, float]:
        known = self.outlooks.get(rate)
        if known is None:
            work = self.work
            seen = outlook(
                work.hours, 1 / rate if rate else None, work.interruption, work.count, is_service=work.is_service
            )
            known = (seen, risk_class(rate), (seen.billed_hours - work.hours) * work.count / 1000.0)
            self.outlooks[rate] = known
        return known

    def checkpoints(self, r: int, interruptions: float) -> int:
        tolerance = self.work.interruption
        total = 0
        if tolerance.checkpoint_write_hours is not None:
            months = 1.0 if self.work.is_service else self.work.hours / self.work.hours_per_month
            total += round(tolerance.checkpoint_gib * tolerance.checkpoint_nanos_per_gib_month * months / 1000.0)
        if tolerance.checkpoint_store is not None:
            store = tolerance.checkpoint_store
            source = self.snapshot.region_index[store.cloud, store.region]
            rate = int(self.snapshot.egress.pair_nanos[source, r])
            total += round(interruptions * tolerance.checkpoint_gib * rate / 1000.0)
        return total

    def place_costs(self, r: int) -> tuple[int, int, int]:
        """Egress, preference, and moving the state, of any offer of a region."""
        region, work = self.snapshot.regions[r], self.work
        used: dict[int, float] = {}
        month: dict[int, float] = {}
        for key, gib in work.month_to_date_egress:
            source = self.snapshot.region_index.get((key.cloud, key.region))
            if source is not None:
                month[source] = month.get(source, 0.0) + gib
        reads = [
            (d.location, d.gib * d.reads, d.private_nanos_per_gib, d.private_clouds or CLOUDS) for d in work.data_sets
        ]
        if work.current is not None:
            reads.append((work.current.location, work.current.state_gib, None, ()))
        costs = []
        for location, gib, private, reached in reads:
            source = self.snapshot.region_index[location.cloud, location.region]
            is_private = private is not None and region.cloud in reached
            if source == r:
                costs.append(0)
            elif is_private:
                costs.append(round((private or 0) * (gib / 1000.0)))
            elif location.cloud is region.cloud:
                costs.append(round(int(self.snapshot.egress.pair_nanos[source, r]) * (gib / 1000.0)))
            else:
                geography = int(self.snapshot.egress.region_geography[r])
                start = month.get(source, 0.0) + used.get(source, 0.0)
                costs.append(self.internet(source, geography, start, gib))
            if not is_private:
                used[source] = used.get(source, 0.0) + gib
        moved = costs.pop() if work.current is not None else 0
        egress = sum(costs)
        if work.users is not None and work.users.egress_gib > 0:
            egress += self.internet(r, 0, month.get(r, 0.0), work.users.egress_gib)
        preference = sum(
            n.preference_micros for n in work.services if n.preference_micros and not self.has_service(r, n.service)
        )
        return egress, preference, moved

    def internet(self, source: int, geography: int, start: float, gib: float) -> int:
        columns = self.snapshot.egress
        tiers = [
            (float(f), int(n))
            for f, n in zip(
                columns.internet_tier_from_gib[source, geography].tolist(),
                columns.internet_tier_nanos[source, geography].tolist(),
                strict=True,
            )
            if f != float("inf")
        ]
        end = start + gib
        parts: list[int] = []
        for i, (lower, rate) in enumerate(tiers):
            upper = tiers[i + 1][0] if i + 1 < len(tiers) else float("inf")
            if lower <= start < upper and end <= upper:
                return round(rate * (gib / 1000.0))
            overlap = min(end, upper) - max(start, lower)
            if overlap > 0:
                parts.append(round(rate * (overlap / 1000.0)))
        return sum(parts)


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
