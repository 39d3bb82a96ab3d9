"""What a plan is held against, seen from outside: every finding, the standing evaluation, cost and reach."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client import generate_latest

from tests.support.failover_plans import OBSERVERS, failover_plan, step
from tests.support.failover_service import AT_ONCE, PARENT, PLAN, FailoverHouse, failover_house
from trimtab.v1 import failover_service_pb2 as pb
from trimtab_service.bootstrap import Overrides, utc_now
from trimtab_service.clouds.simulated.failover import Layout, SimulatedClouds
from trimtab_service.domain.failover import (
    AcquireCapacity,
    Detection,
    FailoverPlan,
    PlanDependencies,
    ScaleCapacity,
    Step,
    SwitchTraffic,
    Workflow,
)
from trimtab_service.domain.offers import Cloud
from trimtab_service.failover.linter import Dependencies
from trimtab_service.failover.ports import Fencing
from trimtab_service.rpc.failover_plan_encoder import plan_message

ERROR, WARNING = pb.PlanFinding.SEVERITY_ERROR, pb.PlanFinding.SEVERITY_WARNING
NAME, GROUP, COPY = "dns/api.example.com", "gcp/mig/serving", "replication/models"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[FailoverHouse]:
    """A service of its own."""
    with failover_house(tmp_path) as running:
        yield running


def _layout(**changed: Any) -> Layout:  # noqa: ANN401 - fields of each kind of target
    """The usual one with the name, the standby's group or the copy changed."""
    layout = AT_ONCE
    return replace(
        layout,
        names={NAME: replace(layout.names[NAME], **changed.get("name", {}))},
        groups={**layout.groups, GROUP: replace(layout.groups[GROUP], **changed.get("group", {}))},
        copies={COPY: replace(layout.copies[COPY], **changed.get("copy", {}))},
    )


def _evaluated(house: FailoverHouse, plan: FailoverPlan, **fields: Any) -> pb.PlanEvaluation:  # noqa: ANN401
    request = pb.EvaluateFailoverPlanRequest(
        parent=PARENT, failover_plan=plan_message(plan), from_side="virginia", to_side="iowa", **fields
    )
    found: pb.PlanEvaluation = house.stub.EvaluateFailoverPlan(request)
    return found


def _found(evaluation: pb.PlanEvaluation) -> dict[str, int]:
    return {one.reason: one.severity for one in evaluation.findings}


def _with(plan: FailoverPlan, step_id: str, action: object) -> FailoverPlan:
    """The plan with one step's action replaced."""
    stages = [
        tuple(Step(one.step_id, action) if one.step_id == step_id else one for one in stage)  # type: ignore[arg-type] # the caller's own
        for stage in plan.activate.stages
    ]
    return replace(plan, activate=Workflow(tuple(stages)))


@pytest.mark.parametrize(
    ("layout", "reason", "severity"),
    [
        (_layout(name={"cloud": "aws"}), "CONTROL_PLANE_OF_LEFT_CLOUD", ERROR),
        (_layout(name={"fencing": Fencing.WEAK}), "WEAK_FENCE", WARNING),
        (_layout(name={"ttl": timedelta(minutes=10)}), "TTL_TOO_LONG", WARNING),
        (_layout(group={"quota": 9}), "QUOTA_BELOW_TARGET", ERROR),
        (_layout(group={"is_reserved": False}), "CAPACITY_NOT_RESERVED", WARNING),
        (_layout(copy={"lag": timedelta(minutes=7)}), "REPLICA_STALE", WARNING),
        (replace(AT_ONCE, stores={}), "UNKNOWN_TARGET", ERROR),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_with_a_target_is_found(tmp_path: Path, layout: Layout, reason: str, severity: int) -> None:
    """And nothing else is said of a plan that is right otherwise."""
    with failover_house(tmp_path, layout) as house:
        assert _found(_evaluated(house, failover_plan())) == {reason: severity}


def test_what_a_plan_hangs_on_in_the_cloud_that_is_left_is_found(house: FailoverHouse) -> None:
    """By the plan's own word; what stands elsewhere is no finding."""
    bad = PlanDependencies(**dict.fromkeys(("state_store", "secrets", "images", "identity", "dns"), Cloud.AWS))
    evaluation = _evaluated(house, failover_plan(dependencies=bad))
    assert set(_found(evaluation).values()) == {ERROR}
    assert set(_found(evaluation)) == {
        "STATE_STORE_IN_LEFT_CLOUD",
        "SECRETS_IN_LEFT_CLOUD",
        "IMAGES_IN_LEFT_CLOUD",
        "IDENTITY_IN_LEFT_CLOUD",
        "DNS_IN_LEFT_CLOUD",
    }
    assert not evaluation.is_ready
    good = PlanDependencies(secrets=Cloud.GCP, identity=Cloud.AZURE)
    assert _evaluated(house, failover_plan(dependencies=good)).is_ready


def test_what_the_deployment_hangs_on_is_found_as_well(tmp_path: Path) -> None:
    """A state store in AWS is no help in leaving AWS."""
    overrides = Overrides(dependencies=Dependencies(state_store="aws"))
    with failover_house(tmp_path, overrides=overrides) as house:
        assert _found(_evaluated(house, failover_plan())) == {"STATE_STORE_IN_LEFT_CLOUD": ERROR}


@pytest.mark.parametrize(("theirs", "reasons"), [("10.1.0.0/16", set()), ("10.0.128.0/17", {"CIDR_OVERLAP"})])
def test_networks_that_overlap_are_found(house: FailoverHouse, theirs: str, reasons: set[str]) -> None:
    """10.0.0.0/16 beside 10.1.0.0/16 is well."""
    sides = failover_plan().sides
    plan = failover_plan(sides=(sides[0], replace(sides[1], cidr_blocks=(theirs,))))
    assert set(_found(_evaluated(house, plan))) == reasons


def test_a_plan_that_is_slower_than_it_may_be_is_found(house: FailoverHouse) -> None:
    """80 seconds of steps against a minute."""
    plan = failover_plan(rto_target=timedelta(minutes=1))
    assert _found(_evaluated(house, plan)) == {"SLOWER_THAN_RTO": WARNING, "TTL_TOO_LONG": WARNING}


def test_a_missing_right_is_told_apart_from_silence(house: FailoverHouse) -> None:
    """Nobody needs to look for an outage where a role was forgotten; what is left need not answer at all."""
    house.world.refuse("gcp")
    assert _found(_evaluated(house, failover_plan()))["PERMISSION_MISSING"] == ERROR
    house.world.fail("gcp")
    assert _found(_evaluated(house, failover_plan()))["TARGET_NOT_READABLE"] == ERROR


def _until(wanted: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60
    while not wanted():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_a_plan_is_evaluated_on_every_change_and_for_every_process(dsn: str, tmp_path: Path) -> None:
    """What one process has read the other one shows, without asking the targets again."""
    world = SimulatedClouds(_layout(group={"quota": 9}), clock=utc_now)
    blind = SimulatedClouds(AT_ONCE, clock=utc_now)
    for cloud in ("aws", "gcp", ""):
        blind.fail(cloud)
    with (
        failover_house(tmp_path / "one", world=world, database_url=dsn) as one,
        failover_house(tmp_path / "two", world=blind, database_url=dsn) as two,
    ):
        made = one.keep()
        assert _found(made.evaluation) == {"QUOTA_BELOW_TARGET": ERROR}
        seen = two.stub.GetFailoverPlan(pb.GetFailoverPlanRequest(name=PLAN)).evaluation
        assert seen.findings == made.evaluation.findings
        assert seen.evaluate_time == made.evaluation.evaluate_time


def test_standing_evaluation_reads_what_is_due_and_its_metrics_say_how_plans_stand(tmp_path: Path) -> None:
    """A reading that is too old is made again by the process that has the duty; gauges tell what is not ready."""
    now = [utc_now()]
    overrides = Overrides(clock=lambda: now[0], rounds_every=timedelta(milliseconds=50))
    with failover_house(tmp_path, overrides=overrides) as house:
        made = house.keep()
        assert made.evaluation.is_ready
        house.world.refuse("gcp")
        now[0] += timedelta(minutes=6)

        def stands() -> pb.PlanEvaluation:
            found: pb.PlanEvaluation = house.stub.GetFailoverPlan(pb.GetFailoverPlanRequest(name=PLAN)).evaluation
            return found

        _until(lambda: not stands().is_ready)
        assert stands().evaluate_time.ToDatetime() > made.evaluation.evaluate_time.ToDatetime()

        def shown(line: str) -> bool:
            return line in generate_latest(house.service.registry).decode()

        _until(lambda: shown('trimtab_failover_plans{standing="not_ready"} 1.0'))


def test_an_outage_takes_no_finding_from_the_side_that_is_well(tmp_path: Path) -> None:
    """A cloud that is silent takes nothing from what the others say, and holds no start up."""
    with failover_house(tmp_path) as house:
        house.keep()
        house.world.fail("aws")
        assert house.over(house.start(mode=pb.FailoverRun.MODE_UNGRACEFUL)).state == pb.FailoverRun.STATE_SUCCEEDED


def test_a_dry_run_prices_what_it_adds_by_list_price(tmp_path: Path) -> None:
    """Eight machines of a type that the catalogue holds; a step whose type is not known is unpriced and never free."""
    layout = _layout(group={"instance_type": "n2-standard-4", "region": "us-central1"})
    with failover_house(tmp_path, layout) as house:
        found = _evaluated(house, failover_plan(), dry_run=True)
        assert list(found.unpriced_steps) == []
        (priced,) = [one for one in found.steps if one.HasField("added_cost_per_hour")]
        assert (priced.step_id, priced.added_instances) == ("scale", 8)
        cost = found.added_cost_per_hour
        assert cost == priced.added_cost_per_hour
        assert 8 * 0.1 < cost.units + cost.nanos / 1e9 < 8 * 0.4
        radius = found.blast_radius
        assert list(radius.services) == ["serving"]
        assert list(radius.changed_targets) == [GROUP, "gcp/sql/orders", NAME]
        assert (radius.traffic_share, radius.added_instances) == (1.0, 8)
        assert list(radius.final_steps) == ["promote", "tell"]
    with failover_house(tmp_path / "unknown") as house:
        found = _evaluated(house, failover_plan(), dry_run=True)
        assert list(found.unpriced_steps) == ["scale"]
        assert not found.HasField("added_cost_per_hour")


def test_a_standby_is_scaled_by_the_peak_of_the_side_that_is_left(tmp_path: Path) -> None:
    """Also once that side is gone: its peak was read while it answered."""
    with failover_house(tmp_path) as house:
        action = ScaleCapacity(GROUP, percent_of_peak=150.0, peak_target="aws/asg/serving")
        plan = _with(failover_plan(), "scale", action)
        house.keep(plan)
        dry = _evaluated(house, plan, dry_run=True)
        assert next(one.after for one in dry.steps if one.step_id == "scale") == "15 instances"
        house.world.fail("aws")
        _evaluated(house, plan)
        run = house.over(house.start(mode=pb.FailoverRun.MODE_UNGRACEFUL))
        assert run.state == pb.FailoverRun.STATE_SUCCEEDED
        assert "scale 15" in [one.change for one in house.world.effects()]


def test_a_fallback_that_is_short_of_quota_only_warns(tmp_path: Path) -> None:
    """The next one may have it."""
    plan = _with(failover_plan(), "scale", AcquireCapacity((GROUP,), 10))
    with failover_house(tmp_path, _layout(group={"quota": 9})) as house:
        assert _found(_evaluated(house, plan)) == {"QUOTA_BELOW_TARGET": WARNING}


def test_a_switch_that_nothing_guards_is_found(house: FailoverHouse) -> None:
    """No probe before it."""
    plan = failover_plan(activate=Workflow(((step("switch", SwitchTraffic(NAME)),),)))
    assert _found(_evaluated(house, plan)) == {"NO_HEALTH_CHECK": WARNING}


def test_a_plan_that_a_start_would_refuse_does_not_stand_as_ready(tmp_path: Path) -> None:
    """DNS that is edited through AWS: the standing evaluation and its alert say so before anybody leaves AWS."""
    with failover_house(tmp_path, _layout(name={"cloud": "aws"})) as house:
        standing = house.keep().evaluation
        assert _found(standing) == {"CONTROL_PLANE_OF_LEFT_CLOUD": ERROR}
        assert "taken to be virginia" in standing.findings[0].description
        with pytest.raises(grpc.RpcError, match=r"CONTROL_PLANE_OF_LEFT_CLOUD \(switch\)"):
            house.start(mode=pb.FailoverRun.MODE_UNGRACEFUL)


def test_an_automatic_plan_that_may_not_run_says_why(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """To whoever reported, to a person who looks, once an outage in the log; the mend of the plan is a start."""
    with failover_house(tmp_path, _layout(group={"quota": 9})) as house:
        plan = failover_plan(detection=Detection(OBSERVERS, failures=1, automatic=True))
        kept = house.keep(plan)
        house.world.fail("aws")

        def told(*, is_well: bool = False) -> pb.ServiceHealth:
            health = pb.ServiceHealth()
            for observer in OBSERVERS:
                request = pb.ReportHealthRequest(name=PLAN, observer_id=observer.observer_id)
                for side, is_healthy in (("virginia", is_well), ("iowa", True)):
                    request.sides.add(side_id=side, is_healthy=is_healthy)
                health = house.stub.ReportHealth(request).health
            return health

        for _ in range(9):  # as many successes in a row as count, but one
            told()
        said = told()
        looked = house.stub.CheckServiceHealth(pb.CheckServiceHealthRequest(name=PLAN))
        for health in (said, looked):
            assert health.verdict == pb.ServiceHealth.VERDICT_FAIL_OVER
            assert "QUOTA_BELOW_TARGET (scale)" in health.refusal
            assert not health.failover_run
        assert capfd.readouterr().err.count("failover_not_started") == 1
        for _ in range(10):
            told(is_well=True)
        assert told().verdict == pb.ServiceHealth.VERDICT_FAIL_OVER
        assert capfd.readouterr().err.count("failover_not_started") == 1
        fewer = plan_message(_with(plan, "scale", ScaleCapacity(GROUP, count=8)))
        fewer.name, fewer.etag = PLAN, kept.etag
        house.stub.UpdateFailoverPlan(pb.UpdateFailoverPlanRequest(failover_plan=fewer))
        begun = told()
        assert begun.failover_run
        assert not begun.refusal
