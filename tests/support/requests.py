"""Random placement requests, seeded: the same seed gives the same requests, worlds and instants.

`plain` is what most callers ask: a size, on demand and spot, a residency, one or two data sets. `full` mixes every
field of a request with learned state, commitments and policies. `guarded` is `plain` with deny lists, blocked
offers and learned interruption.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

from tests.support.project_states import NOW, PROJECT, ProjectStates
from tests.support.request_parts import BOTH, RequestParts
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.offers import CLOUDS
from trimtab_service.domain.policy import NO_POLICY, EffectivePolicy
from trimtab_service.domain.workloads import (
    PlaceQuery,
    Residency,
    Workload,
)
from trimtab_service.placement.state import NEW_PROJECT, ProjectState


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
        self.parts = RequestParts(snapshot, self.random)
        self.states = ProjectStates(self.parts)
        self.regions = self.parts.regions

    def plain(self) -> Case:
        """A size, on demand and spot, a residency, one or two data sets at catalogue prices, three fallbacks."""
        rng = self.random
        work = Workload(
            size=self.parts.size(),
            hours=self.parts.hours(),
            options=BOTH,
            residency=Residency(countries=self.parts.countries()),
            data_sets=tuple(
                replace(self.parts.data_set(), private_nanos_per_gib=None) for _ in range(rng.randint(1, 2))
            ),
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
                denied_families=frozenset(self.parts.families(rng.randint(1, 4))),
                denied_instance_types=frozenset(self.parts.type_names(rng.randint(0, 4))),
                denied_regions=frozenset(rng.sample(self.regions, rng.randint(0, 4))),
                denied_clouds=frozenset(rng.sample(CLOUDS, 1)) if rng.random() < 0.15 else frozenset(),
            ),
            blocked_offers=tuple(self.parts.pattern() for _ in range(rng.randint(1, 6))),
            interruption=replace(self.parts.interruption(), max_expected_interruptions=None),
        )
        return Case(replace(case.query, workload=work), state=self.states.world())

    def full(self) -> Case:  # noqa: C901, PLR0912, PLR0915 - one chance a field
        """Every field of a request, each with its own chance, with a policy and a project state."""
        rng = self.random
        work = Workload(size=self.parts.size(), hours=self.parts.hours(), options=self.parts.options())
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
            work = replace(work, interruption=self.parts.interruption())
        if rng.random() < 0.25 and not work.is_service:
            slack = rng.choice((rng.uniform(0.95, 1.1), rng.uniform(1.0, 2.0), 1.5, 4.0))
            work = replace(work, deadline=NOW + timedelta(hours=work.hours * slack + rng.random()))
        if rng.random() < 0.7:
            work = replace(work, data_sets=tuple(self.parts.data_set() for _ in range(rng.randint(1, 4))))
        if rng.random() < 0.3:
            own = (*[d.location for d in work.data_sets], rng.choice(self.regions))
            work = replace(work, month_to_date_egress=tuple((key, rng.uniform(0.0, 20_000.0)) for key in own))
        if rng.random() < 0.25:
            work = replace(work, users=self.parts.users())
        if rng.random() < 0.5:
            work = replace(work, residency=self.parts.residency())
        if rng.random() < 0.25:
            work = replace(work, services=tuple(self.parts.service() for _ in range(rng.randint(1, 2))))
        if rng.random() < 0.3:
            work = replace(work, current=self.parts.current())
            current = work.current
            if current is not None and current.instance_type and rng.random() < 0.6:
                t = self.snapshot.type_index[current.location.cloud, current.instance_type]
                work = replace(work, size=self.parts.size_of(t), residency=None)
        if rng.random() < 0.25:
            work = replace(work, quotas=tuple(self.parts.quota() for _ in range(rng.randint(1, 30))))
        if rng.random() < 0.3:
            work = replace(work, blocked_offers=tuple(self.parts.pattern() for _ in range(rng.randint(1, 6))))
        if rng.random() < 0.2:
            work = replace(
                work, caller_offers=tuple(self.parts.caller_offer(work.size) for _ in range(rng.randint(1, 3)))
            )
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
            work = replace(work, size=replace(self.parts.size_of(t), instance_type=self.snapshot.type_names[t]))
        query = PlaceQuery(PROJECT, work, max_fallbacks=rng.choice((0, 1, 2, 3, 3, 3, 8)))
        policy = self.states.policy() if rng.random() < 0.3 else NO_POLICY
        state = self.states.world() if rng.random() < 0.6 else NEW_PROJECT
        return Case(query, policy, state)
