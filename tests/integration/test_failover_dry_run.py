"""What a dry run says before a run: the steps of every kind and mode of it, and those of child plans."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from tests.support.contract import refusal_of
from tests.support.failover_plans import failover_plan, step
from tests.support.failover_service import AT_ONCE, PARENT, FailoverHouse, failover_house
from trimtab.v1 import failover_service_pb2 as pb
from trimtab_service.clouds.simulated.failover import Group, Name
from trimtab_service.domain.failover import (
    ChildPlan,
    FailoverPlan,
    LowerTtl,
    SafetyRules,
    ScaleCapacity,
    Step,
    SwitchTraffic,
    Wait,
    Workflow,
)
from trimtab_service.rpc.failover_plan_encoder import plan_message

NAME, GROUP, QUEUE = "dns/api.example.com", "gcp/mig/serving", "gcp/mig/queue"
CHILD: Final = f"{PARENT}/failoverPlans/queue"
LAYOUT: Final = replace(
    AT_ONCE,
    groups={
        **AT_ONCE.groups,
        QUEUE: Group("gcp", "iowa", ready=1, peak=1, quota=20, instance_type="n2-standard-4", region="us-central1"),
    },
    names={**AT_ONCE.names, "dns/queue.example.com": Name("virginia")},
)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[FailoverHouse]:
    """A service of its own, with a queue beside what serves."""
    with failover_house(tmp_path, LAYOUT) as running:
        yield running


def _stages(*steps: Step) -> Workflow:
    return Workflow(tuple((one,) for one in steps))


def _child(**fields: object) -> FailoverPlan:
    """The queue goes from one machine to six, and its name is switched."""
    steps = (
        step("scale", ScaleCapacity(QUEUE, count=6), expected_duration=timedelta(seconds=30)),
        step("early", LowerTtl("dns/queue.example.com", timedelta(seconds=10)), graceful_only=True),
        step("switch", SwitchTraffic("dns/queue.example.com")),
    )
    given: dict[str, Any] = {"plan_id": "queue", "service_id": "queue", "activate": _stages(*steps)}
    return failover_plan(**{**given, **fields})


def _keep(house: FailoverHouse, plan: FailoverPlan) -> None:
    request = pb.CreateFailoverPlanRequest(
        parent=PARENT, failover_plan_id=plan.plan_id, failover_plan=plan_message(plan)
    )
    house.stub.CreateFailoverPlan(request)


def _dry(house: FailoverHouse, plan: FailoverPlan, **fields: Any) -> pb.PlanEvaluation:  # noqa: ANN401
    given = {"from_side": "virginia", "to_side": "iowa", "dry_run": True, **fields}
    found: pb.PlanEvaluation = house.stub.EvaluateFailoverPlan(
        pb.EvaluateFailoverPlanRequest(parent=PARENT, failover_plan=plan_message(plan), **given)
    )
    return found


def _of(evaluation: pb.PlanEvaluation, reason: str) -> list[str]:
    return [one.description for one in evaluation.findings if one.reason == reason]


def test_a_dry_run_shows_the_steps_of_its_mode(house: FailoverHouse) -> None:
    """As a start reads it: graceful, unless it is said; an ungraceful one leaves out what only a graceful one does."""
    plan = failover_plan(
        activate=_stages(
            step("early", LowerTtl(NAME, timedelta(seconds=10)), graceful_only=True),
            step("drain", Wait(timedelta(minutes=2)), graceful_only=True),
            step("switch", SwitchTraffic(NAME)),
        )
    )
    graceful = _dry(house, plan)
    assert [one.step_id for one in graceful.steps] == ["early", "drain", "switch"]
    assert graceful.expected_rto.seconds == 5 + 120 + 5
    ungraceful = _dry(house, plan, mode=pb.FailoverRun.MODE_UNGRACEFUL)
    assert [one.step_id for one in ungraceful.steps] == ["switch"]
    assert ungraceful.expected_rto.seconds == 5


@pytest.mark.parametrize(
    ("kind", "first", "adds"),
    [
        (pb.FailoverRun.KIND_DEACTIVATE, "shrink", 0),
        (pb.FailoverRun.KIND_POST_RECOVERY, "grow", 2),
        (pb.FailoverRun.KIND_ACTIVATE, "fresh", 8),
    ],
)
def test_a_dry_run_shows_the_workflow_of_its_kind(
    house: FailoverHouse, kind: "pb.FailoverRun.Kind.ValueType", first: str, adds: int
) -> None:
    """Going back is as much of a change as going."""
    plan = failover_plan(
        deactivate=_stages(step("shrink", ScaleCapacity("aws/asg/serving", count=0))),
        post_recovery=_stages(
            step("grow", ScaleCapacity("aws/asg/serving", count=12), expected_duration=timedelta(minutes=3)),
            step("rest", Wait(timedelta(minutes=1))),
        ),
    )
    found = _dry(house, plan, kind=kind)
    assert found.steps[0].step_id == first
    assert found.blast_radius.added_instances == adds
    if kind == pb.FailoverRun.KIND_POST_RECOVERY:
        assert found.expected_duration.seconds == 240


def test_a_drill_moves_nothing_in_its_dry_run(house: FailoverHouse) -> None:
    """Capacity is asked for; traffic and data stores are only seen, and nothing is final but what was said."""
    found = _dry(house, failover_plan(), kind=pb.FailoverRun.KIND_DRILL)
    assert list(found.blast_radius.changed_targets) == [GROUP]
    assert found.blast_radius.traffic_share == 0
    assert list(found.blast_radius.final_steps) == ["tell"]
    shown = {one.step_id: one.after for one in found.steps}
    assert shown["promote"] == "unchanged; in earnest: primary"
    assert shown["switch"].startswith("unchanged; ")


def test_a_dry_run_reaches_into_child_plans(house: FailoverHouse) -> None:
    """Their steps, targets, machines, cost and traffic are those of the run that starts them."""
    _keep(house, _child())
    plan = failover_plan(activate=_stages(step("queue", ChildPlan(CHILD)), step("rest", Wait(timedelta(seconds=7)))))
    found = _dry(house, plan)
    assert [one.step_id for one in found.steps] == ["queue", "queue/scale", "queue/early", "queue/switch", "rest"]
    assert found.steps[1].after == "6 instances"
    reach = found.blast_radius
    assert list(reach.services) == ["serving", "queue"]
    assert list(reach.changed_targets) == [QUEUE, "dns/queue.example.com"]
    assert (reach.added_instances, reach.traffic_share) == (5, 1.0)
    assert found.added_cost_per_hour == found.steps[1].added_cost_per_hour
    assert found.added_cost_per_hour.nanos + found.added_cost_per_hour.units > 0
    assert found.expected_duration.seconds == 30 + 5 + 5 + 7
    hurried = _dry(house, plan, mode=pb.FailoverRun.MODE_UNGRACEFUL)
    assert [one.step_id for one in hurried.steps] == ["queue", "queue/scale", "queue/switch", "rest"]
    assert hurried.expected_duration.seconds == 30 + 5 + 7


def test_machines_that_an_earlier_step_adds_are_not_added_twice(house: FailoverHouse) -> None:
    """From one to three, then to six: five more, and their price."""
    plan = failover_plan(
        activate=_stages(
            step("half", ScaleCapacity(QUEUE, count=3)),
            step("some", SwitchTraffic(NAME, 0.5)),
            step("all", ScaleCapacity(QUEUE, count=6)),
            step("rest", SwitchTraffic(NAME)),
        )
    )
    found = _dry(house, plan)
    assert [one.added_instances for one in found.steps] == [2, 0, 3, 0]
    assert found.blast_radius.added_instances == 5


@pytest.mark.parametrize(
    ("child", "why"),
    [
        ({"service_id": "serving"}, "moves the same service"),
        ({"safety": SafetyRules(disabled=True)}, "is switched off"),
        (
            {"sides": tuple(reversed([replace(one, side_id=f"{one.side_id}-2") for one in failover_plan().sides]))},
            "side",
        ),
        ({}, "has no steps to deactivate"),
    ],
    ids=["same service", "switched off", "other sides", "no such workflow"],
)
def test_a_child_that_would_be_refused_is_found_before_the_run(
    house: FailoverHouse, child: dict[str, object], why: str
) -> None:
    """A run would have stopped in its middle; the finding forbids it without an override."""
    _keep(house, _child(**child))
    queue = step("queue", ChildPlan(CHILD))
    plan = failover_plan() if why.endswith("deactivate") else failover_plan(activate=_stages(queue))
    if why.endswith("deactivate"):
        plan = replace(plan, deactivate=_stages(queue))
    found = _dry(house, plan)
    (told,) = _of(found, "CHILD_REFUSED")
    assert why in told
    assert not found.is_ready


def test_a_way_from_a_side_to_itself_is_no_way(house: FailoverHouse) -> None:
    """As a start says."""
    with pytest.raises(grpc.RpcError) as caught:
        _dry(house, failover_plan(), to_side="virginia")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_start_on_no_way_names_the_sides_at_fault(house: FailoverHouse) -> None:
    """Both of them, with those that there are."""
    house.keep()
    for sides, fields in (
        ({"from_side": "mars", "to_side": "venus"}, ["from_side", "to_side"]),
        ({"to_side": "virginia"}, ["to_side"]),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            house.start(**sides)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert list(refusal_of(caught.value).fields) == fields
