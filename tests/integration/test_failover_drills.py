"""Exercises: by schedule within their windows, compared with the last one, and giving way to what is real."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from tests.support.contract import refusal_of
from tests.support.failover_plans import failover_plan, step
from tests.support.failover_service import AT_ONCE, PARENT, PLAN, FailoverHouse, failover_house
from trimtab.evidence import verify_evidence
from trimtab.v1 import failover_service_pb2 as pb
from trimtab_service.bootstrap import Overrides, utc_now
from trimtab_service.clouds.simulated.failover import SimulatedClouds
from trimtab_service.domain.failover import (
    DrillSchedule,
    FailoverPlan,
    RunHealthCheck,
    SafetyRules,
    ScaleCapacity,
    TimeWindow,
    Wait,
    Workflow,
)
from trimtab_service.rpc.failover_plan_encoder import plan_message

RUN = pb.FailoverRun
HOUR = timedelta(hours=1)


def _until(wanted: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60
    while not wanted():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def _runs(house: FailoverHouse) -> list[RUN]:
    return list(house.stub.ListFailoverRuns(pb.ListFailoverRunsRequest(parent=PARENT)).failover_runs)


def _quick(clock: Callable[[], datetime] = utc_now) -> Overrides:
    return Overrides(clock=clock, rounds_every=timedelta(milliseconds=50))


def _house(data_dir: Path, now: list[datetime], database_url: str = "") -> AbstractContextManager[FailoverHouse]:
    """A service and a world by one clock, which the test sets."""
    world = SimulatedClouds(AT_ONCE, clock=lambda: now[0])
    return failover_house(data_dir, overrides=_quick(lambda: now[0]), world=world, database_url=database_url)


def _every(every: timedelta, **windows: tuple[TimeWindow, ...]) -> FailoverPlan:
    return failover_plan(drills=DrillSchedule(every, **windows))


def test_an_exercise_starts_when_it_is_due_and_touches_no_traffic(tmp_path: Path) -> None:
    """So long after the plan was made, once, and again so long after that; capacity is given back each time."""
    now = [utc_now()]
    with _house(tmp_path, now) as house:
        house.keep(_every(HOUR))
        time.sleep(0.3)
        assert _runs(house) == []
        now[0] += HOUR
        _until(lambda: bool(_runs(house)))
        first = house.over(_runs(house)[0])
        assert (first.kind, first.started_by, first.state) == (RUN.KIND_DRILL, "schedule", RUN.STATE_SUCCEEDED)
        assert [one.change for one in house.world.effects()] == ["scale 10", "scale 2"]
        time.sleep(0.3)
        assert len(_runs(house)) == 1
        now[0] += HOUR
        _until(lambda: len(_runs(house)) == 2)
        second = house.over(_runs(house)[0])
        assert second.last_drill.failover_run == first.name
        assert second.last_drill.same_plan
        assert second.last_drill.actual_rto == first.actual_rto
        assert {one.step_id for one in second.last_drill.steps} == {one.step_id for one in second.steps}
        assert all(one.HasField("took") and one.HasField("took_before") for one in second.last_drill.steps)


def test_a_plan_that_is_changed_to_ask_for_exercises_gets_them(tmp_path: Path) -> None:
    """One that asks for none is not read again in every round, but it is when it has changed."""
    now = [utc_now()]
    with _house(tmp_path, now) as house:
        kept = house.keep()
        time.sleep(0.3)
        now[0] += HOUR
        changed = plan_message(_every(HOUR))
        changed.name, changed.etag = kept.name, kept.etag
        house.stub.UpdateFailoverPlan(pb.UpdateFailoverPlanRequest(failover_plan=changed))
        _until(lambda: bool(_runs(house)))


def test_exercises_are_an_hour_apart_at_least(tmp_path: Path) -> None:
    """One after the other without end would take capacity, and money, that nobody meant to spend."""
    with _house(tmp_path, [utc_now()]) as house:
        with pytest.raises(grpc.RpcError) as caught:
            house.keep(_every(HOUR - timedelta(seconds=1)))
        assert list(refusal_of(caught.value).fields) == ["failover_plan.drills.every"]
        house.keep(_every(HOUR))


def test_exercises_keep_to_their_windows(tmp_path: Path) -> None:
    """Not outside of the allowed ones, not within a blocked one, not while the plan is frozen."""
    now = [datetime(2027, 1, 1, tzinfo=UTC)]
    start = now[0]
    allowed = (TimeWindow(start + 2 * HOUR, start + 6 * HOUR),)
    blocked = (TimeWindow(start + 2 * HOUR, start + 3 * HOUR),)
    frozen = SafetyRules(freeze_windows=(TimeWindow(start + 3 * HOUR, start + 4 * HOUR),))
    with _house(tmp_path, now) as house:
        house.keep(replace(_every(HOUR, allowed_windows=allowed, blocked_windows=blocked), safety=frozen))
        for hours in (1.5, 2.5, 3.5):
            now[0] = start + hours * HOUR
            time.sleep(0.3)
            assert _runs(house) == []
        now[0] = start + 4.5 * HOUR
        _until(lambda: bool(_runs(house)))


def test_an_exercise_that_nobody_takes_up_gives_back_what_it_took(tmp_path: Path) -> None:
    """It stopped at a probe that does not succeed; an hour later it is ended, and the next one can come."""
    now = [utc_now()]
    stages = (
        (step("scale", ScaleCapacity("gcp/mig/serving", count=10)),),
        (step("healthy", RunHealthCheck(("probe/virginia",), 1), timeout=timedelta(seconds=1)),),
    )
    with _house(tmp_path, now) as house:
        house.keep(replace(_every(5 * HOUR), activate=Workflow(stages)))
        house.world.fail("aws")
        now[0] += 5 * HOUR

        def paused() -> bool:
            # The step's time runs from when it is really begun, which a caller cannot see: so time goes on.
            now[0] += timedelta(milliseconds=100)
            return bool(_runs(house)) and _runs(house)[0].state == RUN.STATE_PAUSED

        _until(paused)
        time.sleep(0.3)
        assert _runs(house)[0].state == RUN.STATE_PAUSED
        now[0] += HOUR
        ended = house.over(_runs(house)[0])
        assert ended.state == RUN.STATE_ABORTED
        assert "nobody took it up" in str([one.detail for one in _events(house, ended)])
        assert [one.change for one in house.world.effects()] == ["scale 10", "scale 2"]


def _events(house: FailoverHouse, run: RUN) -> list[pb.FailoverRunEvent]:
    return list(house.stub.WatchFailoverRun(pb.WatchFailoverRunRequest(name=run.name)))


def test_a_real_event_interrupts_an_exercise_that_the_schedule_started(tmp_path: Path) -> None:
    """It is marked so, and the run that is meant goes through."""
    now = [utc_now()]
    plan = _every(HOUR)
    slow = Workflow((*plan.activate.stages, (step("wait", Wait(HOUR), timeout=2 * HOUR),)))
    real = replace(failover_plan(), plan_id="real")
    with _house(tmp_path, now) as house:
        house.keep(replace(plan, activate=slow))
        request = pb.CreateFailoverPlanRequest(parent=PARENT, failover_plan_id="real")
        request.failover_plan.CopyFrom(plan_message(real))
        house.stub.CreateFailoverPlan(request)
        now[0] += HOUR
        _until(lambda: bool(_runs(house)) and _runs(house)[0].state == RUN.STATE_RUNNING)
        drill = _runs(house)[0]
        run = house.over(house.start(name=f"{PARENT}/failoverPlans/real"))
        assert run.state == RUN.STATE_SUCCEEDED
        assert house.over(drill).state == RUN.STATE_INTERRUPTED


def test_replicas_start_one_exercise(dsn: str, tmp_path: Path) -> None:
    """Both look; one has the duty, and one id stands for one turn of the schedule."""
    now = [utc_now()]
    with _house(tmp_path / "a", now, database_url=dsn) as one, _house(tmp_path / "b", now, database_url=dsn):
        one.keep(_every(HOUR))
        now[0] += HOUR
        _until(lambda: bool(_runs(one)))
        time.sleep(1.0)
        assert len(_runs(one)) == 1


def test_what_an_exercise_measured_is_what_is_expected_from_then_on(tmp_path: Path) -> None:
    """A scale-up that was thought to take a minute took no time; the switch, only looked at, is as declared."""
    with failover_house(tmp_path, AT_ONCE) as house:
        before = house.keep().evaluation.expected_rto.ToTimedelta()
        drill = house.over(house.start(kind=RUN.KIND_DRILL))
        after = house.stub.GetFailoverPlan(pb.GetFailoverPlanRequest(name=PLAN)).evaluation.expected_rto.ToTimedelta()
        assert before == timedelta(seconds=80)
        assert timedelta(seconds=30) <= after < timedelta(seconds=45)
        evidence = house.stub.ExportFailoverEvidence(pb.ExportFailoverEvidenceRequest(name=drill.name))
        found = verify_evidence(evidence.evidence_json)
        assert found.faults == ()
        assert found.rto == drill.actual_rto.ToTimedelta()
