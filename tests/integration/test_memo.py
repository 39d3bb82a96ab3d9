"""Remembered decisions are the decisions that would be made anew."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest

from tests.support.messages import plain_request
from tests.support.service import RunningService, running_service
from trimtab.v1 import placement_service_pb2 as pb
from trimtab.v1 import policy_service_pb2, types_pb2
from trimtab_service.bootstrap import Overrides

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: datetime = field(default=NOON)

    def __call__(self) -> datetime:
        """The time that the service sees."""
        return self.now


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningService, RunningService, Clock]]:
    """Two services over the packaged catalogue that tell the same time: one remembers, one decides anew."""
    clock = Clock()
    overrides = Overrides(clock=clock)
    with (
        running_service(tmp_path_factory.mktemp("memo"), overrides=overrides) as remembering,
        running_service(tmp_path_factory.mktemp("fresh"), overrides=overrides, decision_memo=0) as fresh,
    ):
        yield remembering, fresh, clock


def unnamed(decision: pb.Decision) -> pb.Decision:
    """The decision without its name."""
    decision.ClearField("name")
    return decision


def both(
    pair: tuple[RunningService, RunningService, Clock], request: pb.PlaceRequest
) -> tuple[pb.Decision, pb.Decision]:
    """What either service answers."""
    remembering, fresh, _ = pair
    return unnamed(remembering.placement.Place(request)), unnamed(fresh.placement.Place(request))


def test_a_remembered_decision_is_the_one_that_would_be_made(
    pair: tuple[RunningService, RunningService, Clock],
) -> None:
    """Forty shapes, each asked three times as the hours pass and the day turns: never a difference."""
    _, _, clock = pair
    random = Random(11)
    requests = [plain_request(random, "projects/shapes") for _ in range(40)]
    for hours in (0, 3, 13):
        clock.now = NOON + timedelta(hours=hours)
        for request in requests:
            kept, made = both(pair, request)
            assert kept == made
    clock.now = NOON


def test_a_remembered_decision_replays(pair: tuple[RunningService, RunningService, Clock]) -> None:
    """The log of a remembered decision is that of a decision."""
    remembering, _, _ = pair
    request = plain_request(Random(5), "projects/replay")
    names = {remembering.placement.Place(request).name for _ in range(3)}
    assert len(names) == 3
    for name in names:
        asked = pb.ExplainPlacementRequest(parent="projects/replay", decision=name)
        assert remembering.placement.ExplainPlacement(asked).replay_identical


def test_an_outcome_ends_what_is_remembered(pair: tuple[RunningService, RunningService, Clock]) -> None:
    """After a capacity failure both answer alike, and not as before; when the block ends, as before again."""
    remembering, fresh, clock = pair
    request = plain_request(Random(3), "projects/outcome")
    before, _ = both(pair, request)
    chosen = before.chosen.offer
    report = pb.ReportOutcomeRequest(parent="projects/outcome", request_id=str(uuid4()))
    outcome = report.outcomes.add(capacity_failure=True)
    outcome.offer.cloud, outcome.offer.region = chosen.cloud, chosen.region
    outcome.offer.instance_type, outcome.offer.purchase_option = chosen.instance_type, chosen.purchase_option
    for service in (remembering, fresh):
        service.placement.ReportOutcome(report)
    for minutes in (0, 2, 6):
        clock.now = NOON + timedelta(minutes=minutes)
        kept, made = both(pair, request)
        assert kept == made
        blocked = (kept.chosen.offer.region, kept.chosen.offer.instance_type, kept.chosen.offer.purchase_option) != (
            chosen.region,
            chosen.instance_type,
            chosen.purchase_option,
        )
        assert blocked == (minutes < 5)
    clock.now = NOON


def test_a_policy_ends_what_is_remembered(pair: tuple[RunningService, RunningService, Clock]) -> None:
    """A policy binds the next decision of the same request."""
    remembering, _, _ = pair
    request = plain_request(Random(8), "projects/policy")
    before = remembering.placement.Place(request)
    policy = policy_service_pb2.CreatePolicyRequest(parent="projects/policy", policy_id="no-cloud")
    policy.policy.rules.residency.denied_clouds.append(before.chosen.offer.cloud)
    remembering.policy.CreatePolicy(policy)
    assert remembering.placement.Place(request).chosen.offer.cloud != before.chosen.offer.cloud


def test_another_request_is_not_answered_from_memory(pair: tuple[RunningService, RunningService, Clock]) -> None:
    """Everything that the answer depends on is part of what a decision is known by."""
    request = plain_request(Random(9), "projects/keys")
    changed = [pb.PlaceRequest.FromString(request.SerializeToString()) for _ in range(4)]
    changed[0].max_fallbacks = 0
    changed[1].workload.duration.seconds += 3_600
    changed[2].workload.residency.denied_clouds.append(types_pb2.CLOUD_AWS)
    changed[3].explain = True
    both(pair, request)
    for other in changed:
        kept, made = both(pair, other)
        assert kept == made
    assert not unnamed(pair[0].placement.Place(changed[0])).fallbacks


def test_a_full_memo_forgets(tmp_path: Path) -> None:
    """Its bound holds, and forgetting changes no answer."""
    with running_service(tmp_path, decision_memo=2) as service:
        random = Random(1)
        requests = [plain_request(random, "projects/full") for _ in range(6)]
        first = [service.placement.Place(request).chosen.expected_cost for request in requests]
        assert [service.placement.Place(request).chosen.expected_cost for request in requests] == first
