"""Random policies, and states of projects: outcomes, failures and commitments."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.support.request_parts import BOTH, RequestParts
from trimtab_service.domain.commitments import Commitment, CommitmentKind
from trimtab_service.domain.offers import PLACEMENT_OPTIONS, Cloud, PriceBasis, PurchaseOption
from trimtab_service.domain.outcomes import Outcome
from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.placement.learned import LearnedState
from trimtab_service.placement.rooms import Rooms
from trimtab_service.placement.state import ProjectState

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PROJECT = "p"

_KINDS = {
    Cloud.AWS: (
        CommitmentKind.AWS_RESERVED_INSTANCE_STANDARD,
        CommitmentKind.AWS_EC2_INSTANCE_SAVINGS_PLAN,
        CommitmentKind.AWS_COMPUTE_SAVINGS_PLAN,
    ),
    Cloud.GCP: (CommitmentKind.GCP_RESOURCE_CUD, CommitmentKind.GCP_FLEXIBLE_CUD),
    Cloud.AZURE: (CommitmentKind.AZURE_RESERVATION, CommitmentKind.AZURE_SAVINGS_PLAN),
}


class ProjectStates:
    """Makes them over the parts' vocabulary, out of the parts' random numbers."""

    def __init__(self, parts: RequestParts) -> None:
        self.parts = parts
        self.snapshot = parts.snapshot
        self.random = parts.random
        self._worlds: list[ProjectState] = []

    def world(self) -> ProjectState:
        """A project's state, out of a few that are made once: outcomes, failures and commitments differ."""
        if len(self._worlds) < 12:
            self._worlds.append(self._world())
            return self._worlds[-1]
        return self.random.choice(self._worlds)

    def policy(self) -> EffectivePolicy:
        """An effective policy with some rules."""
        rng = self.random
        policy = EffectivePolicy(tolerance_fraction=rng.choice((0.0, 0.0, 0.02)))
        if rng.random() < 0.4:
            policy = replace(policy, residencies=tuple(self.parts.residency() for _ in range(rng.choice((1, 1, 2)))))
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
            location, name, zone = self.parts.place()
            t = self.snapshot.type_index[location.cloud, name]
            outcomes.append(
                Outcome(
                    location.cloud,
                    location.region,
                    zone,
                    name,
                    rng.choice(BOTH),
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
        location, kind_name, zone = self.parts.place()
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
