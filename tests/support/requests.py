"""Random placement requests, seeded: the same seed gives the same requests, worlds and instants.

`plain` is what most callers ask: a size, on demand and spot, a residency, one or two data sets. `full` mixes every
field of a request with learned state, commitments and policies. `guarded` is `plain` with deny lists, blocked
offers and learned interruption.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

from trimtab_service.catalog.services import packaged_services
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.commitments import Commitment, CommitmentKind
from trimtab_service.domain.offers import CLOUDS, PLACEMENT_OPTIONS, Cloud, PriceBasis, PurchaseOption
from trimtab_service.domain.outcomes import Outcome
from trimtab_service.domain.policy import NO_POLICY, EffectivePolicy
from trimtab_service.domain.regions import BLOCS
from trimtab_service.domain.workloads import (
    CallerOffer,
    CurrentPlace,
    DataSet,
    GpuNeed,
    Interruption,
    OfferPattern,
    PlaceQuery,
    Quota,
    RegionKey,
    Residency,
    ServiceNeed,
    Size,
    UserGroup,
    Users,
    Workload,
)
from trimtab_service.placement.learned import LearnedState
from trimtab_service.placement.rooms import Rooms
from trimtab_service.placement.state import NEW_PROJECT, ProjectState

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PROJECT = "p"

_BOTH = (PurchaseOption.ON_DEMAND, PurchaseOption.SPOT)
_KINDS = {
    Cloud.AWS: (
        CommitmentKind.AWS_RESERVED_INSTANCE_STANDARD,
        CommitmentKind.AWS_EC2_INSTANCE_SAVINGS_PLAN,
        CommitmentKind.AWS_COMPUTE_SAVINGS_PLAN,
    ),
    Cloud.GCP: (CommitmentKind.GCP_RESOURCE_CUD, CommitmentKind.GCP_FLEXIBLE_CUD),
    Cloud.AZURE: (CommitmentKind.AZURE_RESERVATION, CommitmentKind.AZURE_SAVINGS_PLAN),
}


@dataclass(frozen=True, slots=True)
class Case:
    """All arguments of a decision but the catalogue."""

    query: PlaceQuery
    policy: EffectivePolicy = NO_POLICY
    state: ProjectState = NEW_PROJECT
    instant: datetime = NOW


class Requests:
    """Makes requests over the vocabulary of one snapshot."""

    def __init__(self, snapshot: CatalogSnapshot, seed: int) -> None:
        self.snapshot = snapshot
        self.random = Random(seed)
        self.regions = [RegionKey(r.cloud, r.name) for r in snapshot.regions]
        self.countries = sorted({r.country for r in snapshot.regions})
        models = snapshot.types.gpu_model
        self.models = [name for i, name in enumerate(snapshot.gpu_models) if (models == i).any()]
        self.services = sorted({fact.service for fact in packaged_services().facts})
        self._gpu_types = [t for t, model in enumerate(models.tolist()) if model >= 0]
        self._cpu_types = [t for t, model in enumerate(models.tolist()) if model < 0]
        self._worlds: list[ProjectState] = []

    def plain(self) -> Case:
        """A size, on demand and spot, a residency, one or two data sets at catalogue prices, three fallbacks."""
        rng = self.random
        work = Workload(
            size=self._size(),
            hours=self._hours(),
            options=_BOTH,
            residency=Residency(countries=self._countries()),
            data_sets=tuple(replace(self._data_set(), private_nanos_per_gib=None) for _ in range(rng.randint(1, 2))),
        )
        return Case(PlaceQuery(PROJECT, work))

    def guarded(self) -> Case:
        """`plain` with deny lists, blocked offers, learned interruption and reported capacity failures."""
        rng = self.random
        case = self.plain()
        work = case.query.workload
        assert work.residency is not None
        work = replace(
            work,
            residency=replace(
                work.residency,
                denied_families=frozenset(self._families(rng.randint(1, 4))),
                denied_instance_types=frozenset(self._type_names(rng.randint(0, 4))),
                denied_regions=frozenset(rng.sample(self.regions, rng.randint(0, 4))),
                denied_clouds=frozenset(rng.sample(CLOUDS, 1)) if rng.random() < 0.15 else frozenset(),
            ),
            blocked_offers=tuple(self._pattern() for _ in range(rng.randint(1, 6))),
            interruption=replace(self._interruption(), max_expected_interruptions=None),
        )
        return Case(replace(case.query, workload=work), state=self.world())

    def full(self) -> Case:  # noqa: C901, PLR0912, PLR0915 - one chance a field
        """Every field of a request, each with its own chance, with a policy and a project state."""
        rng = self.random
        work = Workload(size=self._size(), hours=self._hours(), options=self._options())
        if rng.random() < 0.1:
            work = replace(work, size=replace(work.size, architecture=rng.choice(self.snapshot.arches)))
        if rng.random() < 0.1:
            work = replace(work, size=replace(work.size, local_disk_gb=rng.choice((1.0, 100.0, 900.0))))
        if rng.random() < 0.1:
            work = replace(work, size=replace(work.size, network_gbps=rng.choice((5.0, 10.0, 25.0))))
        if rng.random() < 0.25:
            work = replace(work, is_service=True, hours=rng.uniform(1.0, 730.0))
        if rng.random() < 0.4:
            work = replace(work, count=rng.choice((2, 3, 4, 8, 16)))
        if rng.random() < 0.15:
            work = replace(work, spread_zones=min(work.count, rng.randint(1, 3)))
        if rng.random() < 0.5:
            work = replace(work, interruption=self._interruption())
        if rng.random() < 0.25 and not work.is_service:
            slack = rng.choice((rng.uniform(0.95, 1.1), rng.uniform(1.0, 2.0), 1.5, 4.0))
            work = replace(work, deadline=NOW + timedelta(hours=work.hours * slack + rng.random()))
        if rng.random() < 0.7:
            work = replace(work, data_sets=tuple(self._data_set() for _ in range(rng.randint(1, 4))))
        if rng.random() < 0.3:
            own = (*[d.location for d in work.data_sets], rng.choice(self.regions))
            work = replace(work, month_to_date_egress=tuple((key, rng.uniform(0.0, 20_000.0)) for key in own))
        if rng.random() < 0.25:
            work = replace(work, users=self._users())
        if rng.random() < 0.5:
            work = replace(work, residency=self._residency())
        if rng.random() < 0.25:
            work = replace(work, services=tuple(self._service() for _ in range(rng.randint(1, 2))))
        if rng.random() < 0.3:
            work = replace(work, current=self._current())
            current = work.current
            if current is not None and current.instance_type and rng.random() < 0.6:
                t = self.snapshot.type_index[current.location.cloud, current.instance_type]
                work = replace(work, size=self._size_of(t), residency=None)
        if rng.random() < 0.25:
            work = replace(work, quotas=tuple(self._quota() for _ in range(rng.randint(1, 30))))
        if rng.random() < 0.3:
            work = replace(work, blocked_offers=tuple(self._pattern() for _ in range(rng.randint(1, 6))))
        if rng.random() < 0.2:
            work = replace(work, caller_offers=tuple(self._caller_offer(work.size) for _ in range(rng.randint(1, 3))))
        if rng.random() < 0.3:
            work = replace(work, tolerance_fraction=rng.choice((0.0, 0.01, 0.05, 0.3)))
        if rng.random() < 0.1:
            work = replace(work, hours_per_month=720.0, hours_per_year=8784.0)
        if rng.random() < 0.1:
            work = replace(work, partitions=frozenset({"gov"}))
        if rng.random() < 0.15:
            work = replace(work, allow_estimated_prices=False)
        if rng.random() < 0.08:
            t = rng.randrange(len(self.snapshot.type_names))
            work = replace(work, size=replace(self._size_of(t), instance_type=self.snapshot.type_names[t]))
        query = PlaceQuery(PROJECT, work, max_fallbacks=rng.choice((0, 1, 2, 3, 3, 3, 8)))
        policy = self.policy() if rng.random() < 0.3 else NO_POLICY
        state = self.world() if rng.random() < 0.6 else NEW_PROJECT
        return Case(query, policy, state)

    def world(self) -> ProjectState:
        """A project's state, out of a few that are made once: outcomes, failures and commitments differ."""
        if len(self._worlds) < 12:
            self._worlds.append(self._world())
            return self._worlds[-1]
        return self.random.choice(self._worlds)

    # Parts -----------------------------------------------------------------------------------------------------

    def _hours(self) -> float:
        rng = self.random
        return rng.choice((1.0, 8.0, round(10 ** rng.uniform(-2, 3.3), 3), rng.uniform(0.001, 0.02)))

    def _options(self) -> tuple[PurchaseOption, ...]:
        rng = self.random
        if rng.random() < 0.4:
            return _BOTH
        if rng.random() < 0.3:
            return (PurchaseOption.ON_DEMAND, PurchaseOption.OWNED_COMMITMENT)
        every = (*PLACEMENT_OPTIONS, PurchaseOption.OWNED_COMMITMENT)
        return tuple(rng.sample(every, rng.randint(1, len(every))))

    def _size(self) -> Size:
        """What some type has, or a little less; now and then a size out of the blue, with more that it must have."""
        rng = self.random
        if rng.random() < 0.1:
            size = Size(float(rng.choice((1, 3, 6, 48, 96))), float(rng.choice((15, 61, 200, 512))))
            if rng.random() < 0.3:
                size = replace(size, gpus=(GpuNeed((rng.choice(self.models),), rng.choice((1, 2, 3, 8)), 14.0),))
        else:
            gpu = rng.random() < 0.5
            types = self._gpu_types if gpu else self._cpu_types
            size = self._size_of(rng.choice(types))
            if gpu and rng.random() < 0.3:
                need = GpuNeed(
                    tuple(rng.sample(self.models, min(len(self.models), rng.choice((1, 2))))), rng.choice((1, 2))
                )
                size = replace(size, gpus=(*size.gpus, need))
        return size

    def _size_of(self, t: int) -> Size:
        """A size that type t meets."""
        rng, types = self.random, self.snapshot.types
        share = rng.choice((0.0, 0.5, 0.9, 1.0))
        vcpus, memory = float(types.vcpus[t]) * share, float(types.memory_gib[t]) * rng.choice((0.0, 0.5, 1.0))
        size = Size(float(int(vcpus)), float(int(memory)))
        if types.gpu_model[t] >= 0:
            count = max(1, int(types.gpu_count[t] * rng.choice((0.5, 1.0, 1.0))))
            memory = float(types.gpu_memory_gib[t]) if rng.random() < 0.2 else 0.0
            size = replace(size, gpus=(GpuNeed((self.snapshot.gpu_models[int(types.gpu_model[t])],), count, memory),))
        return size

    def _countries(self) -> frozenset[str]:
        rng = self.random
        kind = rng.random()
        if kind < 0.4:
            return BLOCS["EU"]
        if kind < 0.55:
            return frozenset({"US"})
        if kind < 0.8:
            return frozenset()
        return frozenset(rng.sample(self.countries, min(len(self.countries), rng.randint(1, 8))))

    def _families(self, count: int) -> list[str]:
        """Families weighed by their types: large ones win more often, so denying them bites."""
        families, of_type = self.snapshot.families, self.snapshot.types.family
        return [families[int(of_type[self.random.randrange(len(of_type))])] for _ in range(count)]

    def _type_names(self, count: int) -> list[str]:
        return [self.random.choice(self.snapshot.type_names) for _ in range(count)]

    def _residency(self) -> Residency:
        rng = self.random
        residency = Residency(countries=self._countries())
        if rng.random() < 0.3:
            residency = replace(residency, denied_countries=frozenset(rng.sample(self.countries, 2)))
        if rng.random() < 0.25:
            residency = replace(residency, clouds=frozenset(rng.sample(CLOUDS, 2)))
        if rng.random() < 0.15:
            residency = replace(residency, denied_clouds=frozenset(rng.sample(CLOUDS, 1)))
        if rng.random() < 0.15:
            residency = replace(residency, regions=frozenset(rng.sample(self.regions, min(len(self.regions), 12))))
        if rng.random() < 0.3:
            residency = replace(residency, denied_regions=frozenset(rng.sample(self.regions, 3)))
        if rng.random() < 0.15:
            residency = replace(residency, families=frozenset(self._families(6)))
        if rng.random() < 0.3:
            residency = replace(residency, denied_families=frozenset(self._families(3)))
        if rng.random() < 0.1:
            residency = replace(residency, instance_types=frozenset(self._type_names(20)))
        if rng.random() < 0.3:
            residency = replace(residency, denied_instance_types=frozenset(self._type_names(4)))
        return residency

    def _interruption(self) -> Interruption:
        rng = self.random
        if rng.random() < 0.3:
            return Interruption()
        tolerance = Interruption(
            checkpoint_write_hours=rng.choice((None, 0.0, 0.01, 0.1)), restart_hours=rng.choice((0.0, 0.1, 0.5))
        )
        if rng.random() < 0.2:
            tolerance = replace(tolerance, checkpoint_interval_hours=rng.choice((0.25, 1.0)))
        if rng.random() < 0.4:
            tolerance = replace(
                tolerance,
                checkpoint_store=rng.choice(self.regions),
                checkpoint_gib=rng.choice((10.0, 500.0)),
                checkpoint_nanos_per_gib_month=rng.choice((0, 23_000_000)),
            )
        if rng.random() < 0.15:
            tolerance = replace(tolerance, max_expected_interruptions=rng.choice((0.001, 0.05, 1.0)))
        return tolerance

    def _data_set(self) -> DataSet:
        rng = self.random
        data = DataSet(rng.choice(self.regions), rng.choice((1.0, 50.0, 500.0, 2_000.0, rng.uniform(0.1, 30_000.0))))
        if rng.random() < 0.3:
            data = replace(data, reads=rng.choice((0.5, 2.0, 10.0)))
        if rng.random() < 0.15:
            data = replace(data, private_nanos_per_gib=rng.choice((0, 1_000_000, 20_000_000)))
            if rng.random() < 0.5:
                data = replace(data, private_clouds=tuple(rng.sample(CLOUDS, rng.randint(1, 2))))
        return data

    def _users(self) -> Users:
        rng = self.random
        shares = [rng.uniform(0.1, 1.0) for _ in range(rng.randint(1, 3))]
        groups = tuple(
            UserGroup(rng.uniform(-50.0, 65.0), rng.uniform(-180.0, 180.0), share / sum(shares)) for share in shares
        )
        return Users(groups, rng.choice((0.0, 0.0, 60.0, 150.0)), rng.choice((0.0, 100.0, 15_000.0)))

    def _service(self) -> ServiceNeed:
        rng = self.random
        preference = rng.choice((None, 1_000_000, 50_000_000))
        return ServiceNeed(rng.choice(self.services), preference)

    def _place(self) -> tuple[RegionKey, str, str]:
        """A region with a type that has an offer there, and a zone of it or none."""
        rng, snapshot = self.random, self.snapshot
        k = rng.randrange(snapshot.offers.type_index.size)
        t = int(snapshot.offers.type_index[k])
        cell = int((snapshot.offers.cell_start <= k).sum()) - 1
        region = cell % len(snapshot.regions)
        zones = snapshot.zones_of(t, region)
        zone = rng.choice(zones) if zones and rng.random() < 0.5 else ""
        return self.regions[region], snapshot.type_names[t], zone

    def _current(self) -> CurrentPlace:
        rng = self.random
        location, name, zone = self._place()
        return CurrentPlace(
            location,
            zone=zone,
            instance_type=name if rng.random() < 0.6 else "",
            option=rng.choice((None, *_BOTH)),
            state_gib=rng.choice((0.0, 10.0, 3_000.0)),
            changeover_hours=rng.choice((0.0, 0.1, 1.0)),
            fixed_cost_micros=rng.choice((0, 500_000)),
            minimum_gain_micros=rng.choice((0, 0, 2_000_000)),
            minimum_gain_fraction=rng.choice((0.0, 0.1)),
        )

    def _quota(self) -> Quota:
        rng = self.random
        quota = Quota(
            rng.choice(self.regions), rng.choice(("vcpus", "instances", "gpus")), float(rng.choice((0, 1, 8, 31, 64)))
        )
        if rng.random() < 0.2:
            quota = replace(quota, family=self._families(1)[0])
        if rng.random() < 0.2:
            quota = replace(quota, gpu_model=rng.choice(self.models))
        if rng.random() < 0.3:
            quota = replace(quota, options=frozenset(rng.sample(_BOTH, 1)))
        return quota

    def _pattern(self) -> OfferPattern:
        rng = self.random
        location, name, zone = self._place()
        kind = rng.random()
        if kind < 0.3:
            return OfferPattern(location.cloud, location.region, instance_type=name)
        if kind < 0.5:
            return OfferPattern(location.cloud, location.region, zone=zone, option=rng.choice((None, *_BOTH)))
        if kind < 0.7:
            return OfferPattern(instance_type=name)
        if kind < 0.8:
            return OfferPattern(region=location.region, option=PurchaseOption.SPOT)
        if kind < 0.9 and zone:
            return OfferPattern(zone=zone)
        return OfferPattern(location.cloud, location.region, zone, name, PurchaseOption.ON_DEMAND)

    def _caller_offer(self, size: Size) -> CallerOffer:
        rng = self.random
        location, name, _ = self._place()
        zones = self.snapshot.regions[self.snapshot.region_index[location.cloud, location.region]].zones
        return CallerOffer(
            location,
            rng.choice(("ml.p3.2xlarge", "private-1", name)),
            rng.choice(_BOTH),
            rng.randint(1_000_000, 3_000_000_000),
            size=rng.choice((None, size, replace(size, vcpus=size.vcpus / 2))),
            zones=tuple(rng.sample(zones, rng.randint(0, len(zones)))),
        )

    def policy(self) -> EffectivePolicy:
        """An effective policy with some rules."""
        rng = self.random
        policy = EffectivePolicy(tolerance_fraction=rng.choice((0.0, 0.0, 0.02)))
        if rng.random() < 0.4:
            policy = replace(policy, residencies=tuple(self._residency() for _ in range(rng.choice((1, 1, 2)))))
        if rng.random() < 0.3:
            policy = replace(
                policy, options=frozenset({*rng.sample(PLACEMENT_OPTIONS, 2), PurchaseOption.OWNED_COMMITMENT})
            )
        if rng.random() < 0.3:
            policy = replace(policy, price_bases=frozenset({PriceBasis.LIST, *rng.sample(list(PriceBasis), 3)}))
        if rng.random() < 0.3:
            policy = replace(policy, max_price_age=timedelta(days=rng.choice((150, 400, 600))))
        if rng.random() < 0.3:
            policy = replace(policy, max_expected_interruptions=rng.choice((0.01, 0.5)))
        if rng.random() < 0.3:
            policy = replace(policy, max_cost_micros=rng.choice((1_000_000, 100_000_000, 3_000_000_000)))
        if rng.random() < 0.03:
            policy = replace(policy, required_tags=frozenset({"team"}))
        return replace(policy, minimum_gain_fraction=rng.choice((0.0, 0.05)))

    def _world(self) -> ProjectState:
        rng = self.random
        outcomes = []
        for _ in range(rng.choice((5, 40, 150))):
            location, name, zone = self._place()
            t = self.snapshot.type_index[location.cloud, name]
            outcomes.append(
                Outcome(
                    location.cloud,
                    location.region,
                    zone,
                    name,
                    rng.choice(_BOTH),
                    NOW - timedelta(minutes=rng.uniform(0.0, 20.0)),
                    capacity_failure=rng.random() < 0.3,
                    interruptions=rng.choice((0, 0, 1, 5)),
                    hours_run=rng.choice((0.0, 3.0, 50.0)),
                    family=self.snapshot.families[int(self.snapshot.types.family[t])],
                )
            )
        rooms = Rooms()
        for number in range(rng.randint(0, 6)):
            rooms = rooms.change(f"c{number}", self._commitment(f"c{number}"))
        return ProjectState(LearnedState().report(outcomes), rooms, 1, 1)

    def _commitment(self, name: str) -> Commitment:
        rng = self.random
        location, kind_name, zone = self._place()
        t = self.snapshot.type_index[location.cloud, kind_name]
        types = self.snapshot.types
        family = self.snapshot.families[int(types.family[t])]
        kind = rng.choice(_KINDS[location.cloud])
        commitment = Commitment(
            PROJECT, name, kind, location.cloud, NOW - timedelta(days=rng.choice((-1, 30))), NOW + timedelta(days=300)
        )
        if kind in {CommitmentKind.AWS_RESERVED_INSTANCE_STANDARD, CommitmentKind.AZURE_RESERVATION}:
            flexible = rng.random() < 0.5
            return replace(
                commitment,
                region=location.region,
                zone="" if flexible else zone,
                instance_type=kind_name,
                family=family,
                instances=float(rng.choice((1, 3, 10))),
                size_flexible=flexible,
                vcpus=float(types.vcpus[t]),
            )
        if kind is CommitmentKind.GCP_RESOURCE_CUD:
            return replace(
                commitment,
                region=location.region,
                family=family if rng.random() < 0.7 else "",
                vcpus=64.0,
                memory_gib=256.0,
            )
        spend = rng.choice((100_000_000, 2_000_000_000, 50_000_000_000))
        if kind is CommitmentKind.AWS_EC2_INSTANCE_SAVINGS_PLAN:
            commitment = replace(commitment, region=location.region, family=family)
        return replace(commitment, spend_nanos_per_hour=spend, discount_fraction=rng.choice((0.1, 0.4)))
