"""Failover through a real server: kept, started, approved, followed, noticed, handed over."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import grpc
import pytest
from google.type.money_pb2 import Money

from tests.support.failover_plans import NOW, OBSERVERS, failover_plan
from tests.support.failover_service import AT_ONCE, FAST, PARENT, PLAN, FailoverHouse, failover_house
from tests.support.service import running_service
from trimtab.evidence import verify_evidence
from trimtab.v1 import failover_service_pb2 as pb
from trimtab.v1 import placement_service_pb2, types_pb2
from trimtab.vocabulary import amount_of
from trimtab_service.bootstrap import Overrides, utc_now
from trimtab_service.clouds.simulated.failover import SimulatedClouds
from trimtab_service.domain.failover import (
    Approve,
    Detection,
    Observer,
    SafetyRules,
    ScaleCapacity,
    Step,
    Workflow,
)
from trimtab_service.failover.fence import Fence
from trimtab_service.rpc.failover_parser import parse_plan
from trimtab_service.rpc.failover_plan_encoder import plan_message

RUN = pb.FailoverRun


@pytest.fixture
def house(tmp_path: Path) -> Iterator[FailoverHouse]:
    """A service of its own."""
    with failover_house(tmp_path) as running:
        yield running


def _refused(call: object, code: grpc.StatusCode) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call()  # type: ignore[operator] # a lambda of a stub's call
    assert caught.value.code() is code
    return str(caught.value.details())


def test_a_plan_is_the_same_after_the_wire() -> None:
    """Parsing what is encoded gives the plan back, every kind of field included."""
    plan = failover_plan(approve=True)
    assert parse_plan(plan_message(plan), "shop", "serving") == plan


def test_a_plan_is_kept_changed_and_deleted(house: FailoverHouse) -> None:
    """Versions count, the etag guards, and a plan that is gone is not found."""
    made = house.keep()
    assert (made.name, made.version, made.evaluation.is_ready) == (PLAN, 1, True)
    made.description = "as of today"
    changed = house.stub.UpdateFailoverPlan(pb.UpdateFailoverPlanRequest(failover_plan=made))
    assert (changed.version, changed.description) == (2, "as of today")
    stale = pb.UpdateFailoverPlanRequest(failover_plan=made)
    _refused(lambda: house.stub.UpdateFailoverPlan(stale), grpc.StatusCode.ABORTED)
    (listed,) = house.stub.ListFailoverPlans(pb.ListFailoverPlansRequest(parent=PARENT)).failover_plans
    assert listed.etag == changed.etag
    house.stub.DeleteFailoverPlan(pb.DeleteFailoverPlanRequest(name=PLAN))
    _refused(lambda: house.stub.GetFailoverPlan(pb.GetFailoverPlanRequest(name=PLAN)), grpc.StatusCode.NOT_FOUND)


def test_every_fault_of_a_plan_is_told_at_once(house: FailoverHouse) -> None:
    """One side, a step without action, an id twice, a block that is none."""
    plan = plan_message(failover_plan())
    del plan.sides[1]
    plan.sides[0].cidr_blocks.append("10.0.0.1/8")
    plan.activate.stages[0].steps.add(step_id="fresh", wait=pb.WaitStep())
    plan.activate.stages[0].steps.add(step_id="nothing")
    request = pb.CreateFailoverPlanRequest(parent=PARENT, failover_plan_id="serving", failover_plan=plan)
    told = _refused(lambda: house.stub.CreateFailoverPlan(request), grpc.StatusCode.INVALID_ARGUMENT)
    for field in ("failover_plan.sides", "steps[1].step_id", "steps[2].action"):
        assert field in told


def test_a_run_moves_traffic_and_its_evidence_is_sound(house: FailoverHouse) -> None:
    """Capacity first, then the fenced switch; the evidence's times are those of the run."""
    house.keep()
    run = house.over(house.start())
    assert run.state == RUN.STATE_SUCCEEDED
    assert [one.change for one in house.world.effects()] == ["scale 10", "promote", "switch iowa 1"] or [
        one.change for one in house.world.effects()
    ] == ["promote", "scale 10", "switch iowa 1"]
    assert {one.token for one in house.world.effects()} == {run.token}
    evidence = house.stub.ExportFailoverEvidence(pb.ExportFailoverEvidenceRequest(name=run.name))
    found = verify_evidence(evidence.evidence_json)
    assert found.faults == ()
    assert (found.rto, found.rpo) == (run.actual_rto.ToTimedelta(), run.actual_rpo.ToTimedelta())
    assert found.chain_hash == evidence.chain_hash
    assert run.name in evidence.report_html


def test_a_start_is_made_once(house: FailoverHouse) -> None:
    """The same request id again is the same run; another one is refused while the first is under way."""
    house.keep(failover_plan(approve=True))
    request_id = str(uuid.uuid4())
    first, again = house.start(request_id=request_id), house.start(request_id=request_id)
    assert first.name == again.name
    told = _refused(house.start, grpc.StatusCode.FAILED_PRECONDITION)
    assert first.name in told


def test_words_of_a_newer_contract_start_nothing(house: FailoverHouse) -> None:
    """A kind of run, a mode or a cloud that is not known here is refused, and never taken for what is usual."""
    house.keep()
    assert "kind" in _refused(lambda: house.start(kind=77), grpc.StatusCode.INVALID_ARGUMENT)
    assert "mode" in _refused(lambda: house.start(mode=77), grpc.StatusCode.INVALID_ARGUMENT)
    assert not house.stub.ListFailoverRuns(pb.ListFailoverRunsRequest(parent=PARENT)).failover_runs
    plan = plan_message(failover_plan())
    plan.dependencies.identity = 77  # type: ignore[assignment] # what a newer client might send
    asked = pb.EvaluateFailoverPlanRequest(parent=PARENT, failover_plan=plan)
    assert "identity" in _refused(lambda: house.stub.EvaluateFailoverPlan(asked), grpc.StatusCode.INVALID_ARGUMENT)


def test_an_approval_is_bound_to_the_plan_and_good_once(house: FailoverHouse) -> None:
    """Another hash is refused, the right one goes on, and a second time there is nothing to approve."""
    house.keep(failover_plan(approve=True))
    run = house.until(house.start(), lambda one: one.state == RUN.STATE_PENDING_APPROVAL)
    assert not any(one.change.startswith("switch") for one in house.world.effects())
    wrong = pb.DecideFailoverStepRequest(name=run.name, step_id="approve", plan_hash="0" * 64, approved=True)
    _refused(lambda: house.stub.DecideFailoverStep(wrong), grpc.StatusCode.FAILED_PRECONDITION)
    right = pb.DecideFailoverStepRequest(name=run.name, step_id="approve", plan_hash=run.plan_hash, approved=True)
    house.stub.DecideFailoverStep(right)
    assert house.over(run).state == RUN.STATE_SUCCEEDED
    _refused(lambda: house.stub.DecideFailoverStep(right), grpc.StatusCode.FAILED_PRECONDITION)


def test_four_eyes(house: FailoverHouse) -> None:
    """Who started the run may not approve it."""
    plan = failover_plan(approve=True)
    stages = [
        tuple(
            type(step)(step.step_id, Approve(timedelta(hours=1), four_eyes=True))
            if isinstance(step.action, Approve)
            else step
            for step in stage
        )
        for stage in plan.activate.stages
    ]
    house.keep(failover_plan(activate=Workflow(tuple(stages))))
    run = house.until(house.start(), lambda one: one.state == RUN.STATE_PENDING_APPROVAL)
    own = pb.DecideFailoverStepRequest(name=run.name, step_id="approve", plan_hash=run.plan_hash, approved=True)
    _refused(lambda: house.stub.DecideFailoverStep(own), grpc.StatusCode.FAILED_PRECONDITION)


def test_a_rejected_run_is_paused_and_aborted_to_where_it_was(house: FailoverHouse) -> None:
    """Nothing was switched; the abort undoes what was scaled."""
    house.keep(failover_plan(approve=True))
    run = house.until(house.start(), lambda one: one.state == RUN.STATE_PENDING_APPROVAL)
    house.stub.DecideFailoverStep(
        pb.DecideFailoverStepRequest(name=run.name, step_id="approve", plan_hash=run.plan_hash)
    )
    house.until(run, lambda one: one.state == RUN.STATE_PAUSED)
    steer = pb.SteerFailoverRunRequest(name=run.name, command=pb.SteerFailoverRunRequest.COMMAND_ABORT)
    _refused(lambda: house.stub.SteerFailoverRun(steer), grpc.StatusCode.INVALID_ARGUMENT)
    steer.reason = "not today"
    house.stub.SteerFailoverRun(steer)
    ended = house.over(run)
    assert ended.state in {RUN.STATE_ABORTED, RUN.STATE_FAILED}
    assert not any(one.change.startswith("switch") for one in house.world.effects())


def test_a_watch_goes_on_after_its_token(house: FailoverHouse) -> None:
    """Two halves are the whole, and the last event brings the run."""
    house.keep()
    run = house.over(house.start())
    whole = list(house.stub.WatchFailoverRun(pb.WatchFailoverRunRequest(name=run.name)))
    assert whole[0].kind == "RUN_STARTED"
    assert whole[-1].kind == "RUN_ENDED"
    assert whole[-1].failover_run.state == RUN.STATE_SUCCEEDED
    token = whole[3].resume_token
    rest = list(house.stub.WatchFailoverRun(pb.WatchFailoverRunRequest(name=run.name, resume_token=token)))
    assert rest == whole[4:]
    bad = pb.WatchFailoverRunRequest(name=run.name, resume_token="x")
    _refused(lambda: list(house.stub.WatchFailoverRun(bad)), grpc.StatusCode.INVALID_ARGUMENT)


def test_a_plan_with_errors_runs_only_with_a_reason(house: FailoverHouse) -> None:
    """Overlapping networks; the reason is in the evidence."""
    plan = failover_plan()
    sides = tuple(type(side)(side.side_id, side.cloud, side.region, ("10.0.0.0/8",)) for side in plan.sides)
    made = house.keep(failover_plan(sides=sides))
    assert [finding.reason for finding in made.evaluation.findings] == ["CIDR_OVERLAP"]
    _refused(house.start, grpc.StatusCode.FAILED_PRECONDITION)
    run = house.over(house.start(override_reason="the house is on fire"))
    assert run.state == RUN.STATE_SUCCEEDED
    evidence = house.stub.ExportFailoverEvidence(pb.ExportFailoverEvidenceRequest(name=run.name))
    assert b"the house is on fire" in evidence.evidence_json


def test_an_outage_is_noticed_and_an_automatic_plan_starts_once(house: FailoverHouse) -> None:
    """Three rounds of two observers; more reports do not start more runs."""
    house.keep(failover_plan(detection=Detection(OBSERVERS, automatic=True)))
    house.world.fail("aws")
    runs = set()
    for turn in range(6):
        for one in OBSERVERS[1:]:
            request = pb.ReportHealthRequest(name=PLAN, observer_id=one.observer_id)
            request.sides.add(side_id="virginia")
            request.sides.add(side_id="iowa", is_healthy=True)
            health = house.stub.ReportHealth(request).health
            assert health.active_side in {"virginia", "iowa"}
            if turn < 2:
                assert health.verdict == pb.ServiceHealth.VERDICT_UNCERTAIN
            runs.add(health.failover_run)
    (name,) = runs - {""}
    run = house.over(pb.FailoverRun(name=name))
    assert (run.started_by, run.mode) == ("detection", RUN.MODE_UNGRACEFUL)
    (only,) = house.stub.ListFailoverRuns(pb.ListFailoverRunsRequest(parent=PARENT)).failover_runs
    assert only.name == name


def test_detection_starts_another_run_when_its_last_one_was_aborted_before_anybody_took_it(tmp_path: Path) -> None:
    """No token was given out meanwhile; the run that is over is not told as the one that is under way."""
    world = SimulatedClouds(AT_ONCE, clock=utc_now)
    idle = Overrides(targets=world, conduct=replace(FAST, capacity=0))
    with running_service(tmp_path, overrides=idle) as service:
        house = FailoverHouse(service, world)
        rules = SafetyRules(cooldown=timedelta())
        detection = Detection(OBSERVERS, failures=1, report_ttl=timedelta(hours=1), automatic=True)
        house.keep(failover_plan(safety=rules, detection=detection))
        world.fail("aws")
        seen = [pb.SideReport(side_id="virginia"), pb.SideReport(side_id="iowa", is_healthy=True)]

        def reported() -> str:
            asked = [pb.ReportHealthRequest(name=PLAN, observer_id=one.observer_id, sides=seen) for one in OBSERVERS]
            name: str = [house.stub.ReportHealth(one).health.failover_run for one in asked][-1]
            return name

        first = reported()
        assert reported() == first
        abort = pb.SteerFailoverRunRequest.COMMAND_ABORT
        house.stub.SteerFailoverRun(pb.SteerFailoverRunRequest(name=first, command=abort, reason="not yet"))
        assert reported() not in {"", first}


def test_sides_that_observers_see_down_are_known_where_nobody_knows_which_one_is_active(house: FailoverHouse) -> None:
    """The plan switches no name, and none has run: no reason to move a service to where nothing answers."""
    scaling = Workflow(failover_plan().activate.stages[1:2])
    detection = Detection(OBSERVERS, failures=1, report_ttl=timedelta(hours=1))
    house.keep(failover_plan(activate=scaling, detection=detection))
    gone = [pb.SideReport(side_id=side) for side in ("virginia", "iowa")]
    for one in OBSERVERS:
        house.stub.ReportHealth(pb.ReportHealthRequest(name=PLAN, observer_id=one.observer_id, sides=gone))
    health = house.stub.CheckServiceHealth(pb.CheckServiceHealthRequest(name=PLAN))
    assert (health.active_side, list(health.reasons)) == ("", ["ACTIVE_SIDE_UNKNOWN"])
    assert all(side.is_down for side in health.sides)
    assert "healthy" in _refused(house.start, grpc.StatusCode.FAILED_PRECONDITION)
    house.over(house.start(override_reason="the observers are wrong"))


def test_strangers_report_nothing(house: FailoverHouse) -> None:
    """An observer that the plan does not know, a side that it does not have."""
    house.keep()
    stranger = pb.ReportHealthRequest(name=PLAN, observer_id="me", sides=[pb.SideReport(side_id="virginia")])
    _refused(lambda: house.stub.ReportHealth(stranger), grpc.StatusCode.INVALID_ARGUMENT)
    nowhere = pb.ReportHealthRequest(
        name=PLAN, observer_id=OBSERVERS[0].observer_id, sides=[pb.SideReport(side_id="mars")]
    )
    _refused(lambda: house.stub.ReportHealth(nowhere), grpc.StatusCode.INVALID_ARGUMENT)


def test_only_its_reporter_speaks_for_an_observer(house: FailoverHouse) -> None:
    """Another caller is refused and changes nothing; who is named, and who reports where nobody is, is heard."""
    names = ("anonymous", "agent-of-gcp", "")
    observers = tuple(replace(one, reporter=name) for one, name in zip(OBSERVERS, names, strict=True))
    kept = house.keep(failover_plan(detection=Detection(observers, failures=1, report_ttl=timedelta(hours=1))))
    assert [one.reporter for one in kept.detection.observers] == list(names)

    def reported(observer: Observer) -> pb.ServiceHealth:
        gone = [pb.SideReport(side_id="virginia"), pb.SideReport(side_id="iowa", is_healthy=True)]
        request = pb.ReportHealthRequest(name=PLAN, observer_id=observer.observer_id, sides=gone)
        health: pb.ServiceHealth = house.stub.ReportHealth(request).health
        return health

    said = _refused(lambda: reported(observers[1]), grpc.StatusCode.PERMISSION_DENIED)
    assert "anonymous" in said
    assert "agent-of-gcp" not in said
    assert [side.down_votes for side in reported(observers[0]).sides] == [1, 0]
    assert [side.down_votes for side in reported(observers[2]).sides] == [2, 0]


def test_a_dry_run_changes_nothing(house: FailoverHouse) -> None:
    """It says what every step would do, of a stored plan and of one that is not."""
    house.keep()
    for plan in (pb.FailoverPlan(name=PLAN), plan_message(failover_plan())):
        request = pb.EvaluateFailoverPlanRequest(
            parent=PARENT, failover_plan=plan, from_side="virginia", to_side="iowa", dry_run=True
        )
        found = house.stub.EvaluateFailoverPlan(request)
        assert [step.step_id for step in found.steps] == ["fresh", "scale", "promote", "healthy", "switch", "tell"]
        assert found.is_ready
    assert house.world.effects() == ()


def test_a_runbook_holds_the_token_past_the_last_one(house: FailoverHouse) -> None:
    """Whoever switches by hand uses one that no controller holds."""
    house.keep()
    token = house.over(house.start()).token
    markdown = house.stub.ExportRunbook(pb.ExportRunbookRequest(name=PLAN)).markdown
    assert f"**{token + 1}**" in markdown
    (text,) = re.findall(r"^    (trimtab-fence .*)$", markdown, re.MULTILINE)
    by_hand = Fence.parse(text)
    assert by_hand is not None
    assert by_hand.token == token + 1
    assert "point 100% of `dns/api.example.com` at the side" in markdown


def test_the_side_that_serves_is_not_taken_out(house: FailoverHouse) -> None:
    """Neither before any run, when only the name tells where traffic is, nor after; the one that was left is."""
    name = "aws/asg/serving"
    shrink = Workflow(((Step("shrink", ScaleCapacity(name, count=0)),),))
    house.keep(failover_plan(deactivate=shrink, detection=Detection()))
    out = {"kind": pb.FailoverRun.KIND_DEACTIVATE}
    with pytest.raises(grpc.RpcError, match="make another one active first"):
        house.start(**out)
    assert house.world.effects() == ()
    assert house.over(house.start()).state == pb.FailoverRun.STATE_SUCCEEDED
    with pytest.raises(grpc.RpcError, match="make another one active first"):
        house.start(**out, from_side="iowa", to_side="virginia")
    assert house.over(house.start(**out)).state == pb.FailoverRun.STATE_SUCCEEDED
    assert (house.world.effects()[-1].target, house.world.effects()[-1].change) == (name, "scale 0")


def test_advice_on_a_strategy(house: FailoverHouse) -> None:
    """Priced by the catalogue, in another region than the primary; costs rise with readiness."""
    request = pb.AdviseDrStrategyRequest(
        parent=PARENT,
        workload=placement_service_pb2.Workload(
            size=placement_service_pb2.Size(vcpus=4, memory_gib=16), count=10, service_hours_per_month=730
        ),
        primary=types_pb2.RegionRef(cloud=types_pb2.CLOUD_AWS, region="us-east-1"),
        data_gib=1_000,
        changed_gib_per_day=10,
    )
    request.rto_target.FromTimedelta(timedelta(minutes=30))
    request.rpo_target.FromTimedelta(timedelta(minutes=5))
    advice = house.stub.AdviseDrStrategy(request)
    assert advice.advised == pb.DR_STRATEGY_WARM_STANDBY
    assert advice.standby.region not in {"", "us-east-1"}
    by = {one.strategy: one for one in advice.options}
    warm, full = by[pb.DR_STRATEGY_WARM_STANDBY], by[pb.DR_STRATEGY_ACTIVE_ACTIVE]
    assert len(by) == 4
    assert warm.storage_cost.units == 23
    assert full.capacity_cost.units > 4 * warm.capacity_cost.units > 0


def test_advice_says_what_it_was_counted_from(house: FailoverHouse) -> None:
    """Every amount follows by hand from what stands in the answer; targets are given, or follow from criticality."""
    request = pb.AdviseDrStrategyRequest(
        parent=PARENT,
        workload=placement_service_pb2.Workload(
            size=placement_service_pb2.Size(vcpus=4, memory_gib=16), count=10, service_hours_per_month=200
        ),
        primary=types_pb2.RegionRef(cloud=types_pb2.CLOUD_AWS, region="us-east-1"),
        data_gib=1_000,
        loss_per_hour=Money(currency_code="USD", units=6_000),
        criticality=pb.CRITICALITY_HIGH,
    )
    request.rpo_target.FromTimedelta(timedelta(minutes=2))
    advice = house.stub.AdviseDrStrategy(request)
    assert (advice.rto_target.seconds, advice.rpo_target.seconds) == (900, 120)
    assert (advice.hours_per_month, advice.outages_per_year) == (200, 0.2)
    assert advice.instance_type
    warm = next(one for one in advice.options if one.strategy == pb.DR_STRATEGY_WARM_STANDBY)
    assert warm.running_instances == 2
    hourly = amount_of(advice.instance_price_per_hour)
    assert amount_of(warm.capacity_cost) == round(2 * 200 * hourly, 6)
    assert amount_of(warm.storage_cost) == 1_000 * amount_of(advice.storage_price_per_gib_month)
    # 0.2 outages of a quarter of an hour and, one time in a hundred, of four hours more.
    assert amount_of(warm.expected_loss_per_year) == Decimal(348)
    assert amount_of(warm.total_cost_per_year) == 12 * amount_of(warm.monthly_cost) + 348
    request.ClearField("loss_per_hour")
    assert not house.stub.AdviseDrStrategy(request).HasField("loss_per_hour")
    request.ClearField("criticality")
    request.ClearField("rpo_target")
    with pytest.raises(grpc.RpcError, match="how critical"):
        house.stub.AdviseDrStrategy(request)


def test_what_lies_in_the_future_is_not_believed(house: FailoverHouse) -> None:
    """An observer's clock that is a year ahead would be believed for a year."""
    house.keep()
    request = pb.ReportHealthRequest(
        name=PLAN, observer_id=OBSERVERS[0].observer_id, sides=[pb.SideReport(side_id="virginia")]
    )
    request.observe_time.FromDatetime((NOW + timedelta(days=3_650)).replace(tzinfo=None))
    _refused(lambda: house.stub.ReportHealth(request), grpc.StatusCode.INVALID_ARGUMENT)
