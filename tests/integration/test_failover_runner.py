"""Runs carried out by a real runner over a real store: people decide, processes come and go, drills touch nothing."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.failover_worker import SHORT, Worker, wait_for, worker
from tests.support.failovers import NOW, PROJECT, asked, no_request, plan, steps
from tests.support.recording_targets import Record
from trimtab_service.domain.errors import FailedPreconditionError, UnavailableError
from trimtab_service.domain.failover import (
    Action,
    Approve,
    CheckWatermark,
    ChildPlan,
    FailoverPlan,
    LowerTtl,
    Notify,
    PromoteDataStore,
    RunHealthCheck,
    RunKind,
    RunMode,
    RunState,
    ScaleCapacity,
    Step,
    StepState,
    SwitchTraffic,
    Wait,
    Workflow,
)
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.failover.admission import StartRequest
from trimtab_service.failover.journal import Held, Standing
from trimtab_service.failover.leases import LeaseKeeper
from trimtab_service.failover.run import Command, Decision, Run, Steering, Trigger
from trimtab_service.store.engines import open_database
from trimtab_service.store.schema import migrate

MOVE = steps(
    {"ttl": LowerTtl("dns/api", timedelta(seconds=30)), "fresh": CheckWatermark("replication/models")},
    {"scale": ScaleCapacity("asg/serving", count=8), "probe": RunHealthCheck(("probe/api",), 2)},
    {"switch": SwitchTraffic("dns/api")},
)
FOR_EVER = Wait(timedelta(hours=1))
LASTING = replace(SHORT, lease=timedelta(seconds=60))
"""A lease that is lost to nobody while the machine stands still."""


@pytest.fixture
def made(dsn: str, tmp_path: Path) -> Iterator[Worker]:
    """A process that carries runs out, on each engine in turn."""
    opened = open_database(dsn)
    migrate(opened)
    opened.close()
    one = worker(dsn, tmp_path / "record.sqlite", "one", conduct=LASTING)
    one.runner.start()
    yield one
    one.close()


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """What the targets saw."""
    return Record(tmp_path / "record.sqlite")


def start(made: Worker, of: FailoverPlan, request: StartRequest | None = None) -> Run:
    """Keep the plan and start it."""
    made.plans.create(of, NOW, no_request())
    run = made.runs.start(request or asked(of.plan_id), no_request())
    made.runner.wake()
    return run


def until(made: Worker, run: Run, wanted: Callable[[Run], bool]) -> Run:
    """Wait for it."""
    return wait_for(made.runs, run.project, run.run_id, wanted)


def steered(made: Worker, run: Run, command: Command, step_id: str = "", mode: RunMode | None = None) -> None:
    """Ann says so."""
    made.runs.steer(run.project, run.run_id, Steering(command, "ann", step_id, mode, "because"), no_request())
    made.runner.wake()


def values(record: Record) -> dict[str, str]:
    """The last value of every target."""
    return {effect.target: effect.value for effect in record.effects() if effect.outcome == "done"}


def test_a_run_goes_through_its_stages_and_knows_its_times(made: Worker, record: Record) -> None:
    """Traffic was seen at the side: that is the recovery time; the data's age was accepted."""
    run = until(made, start(made, plan(MOVE)), lambda run: run.state.is_over)
    assert run.state is RunState.SUCCEEDED
    assert values(record)["shop/dns/api"] == "north 1.0"
    assert run.actual_rto is not None
    assert run.actual_rpo is not None
    service = made.runs.service(PROJECT, "serving")
    assert (service.active_side, service.left_side, service.live) == ("north", "west", None)


def test_tokens_grow_over_all_runs_of_a_service(made: Worker) -> None:
    """And detection does not go back by itself to the side that was left."""
    first = until(made, start(made, plan(MOVE)), lambda run: run.state.is_over)
    back = made.runs.start(replace(asked(to_side="west"), from_side="north"), no_request())
    made.runner.wake()
    assert until(made, back, lambda run: run.state.is_over).token > first.token
    assert made.runs.service(PROJECT, "serving").left_side == ""


def test_a_drill_of_everything_leaves_traffic_and_data_as_they_are(made: Worker, record: Record) -> None:
    """It has scaled, and said so; it had no way to do more."""
    everything = Workflow((*MOVE.stages, (Step("promote", PromoteDataStore("rds/orders")),)))
    request = replace(asked(), kind=RunKind.DRILL, trigger=Trigger.DRILL)
    run = until(made, start(made, plan(everything), request), lambda run: run.state.is_over)
    assert run.state is RunState.SUCCEEDED
    assert set(values(record)) == {"shop/asg/serving"}
    assert made.runs.service(PROJECT, "serving").end_time is None


def test_a_run_rests_until_it_is_approved_by_another(made: Worker) -> None:
    """No process holds it meanwhile."""
    of = plan(steps({"ask": Approve(four_eyes=True)}, {"go": Notify("ops", "x")}))
    run = until(made, start(made, of), lambda run: run.state is RunState.PENDING_APPROVAL)
    assert wait_until(lambda: made.runner.busy == 0)
    made.runs.decide(PROJECT, run.run_id, Decision("ask", run.plan_hash, approved=True, actor="bob"), no_request())
    made.runner.wake()
    assert until(made, run, lambda run: run.state.is_over).steps[0].actor == "bob"


def test_nobodys_approval_pauses_the_run_in_time(made: Worker) -> None:
    """A process wakes up for it."""
    run = start(made, plan(steps({"ask": Approve(timedelta(milliseconds=100))})))
    paused = until(made, run, lambda run: run.state is RunState.PAUSED)
    assert paused.steps[0].state is StepState.FAILED
    with pytest.raises(FailedPreconditionError, match="ask has failed: retry it, which asks again, or abort"):
        made.runs.steer(PROJECT, run.run_id, Steering(Command.RESUME, "ann"), no_request())


@pytest.fixture
def beating(dsn: str, tmp_path: Path) -> Iterator[Worker]:
    """A process that hears soon of what is decided about its runs."""
    opened = open_database(dsn)
    migrate(opened)
    opened.close()
    often = replace(LASTING, heartbeat=timedelta(milliseconds=50))
    one = worker(dsn, tmp_path / "record.sqlite", "one", conduct=often)
    one.runner.start()
    yield one
    one.close()


def test_the_mode_switched_in_flight_reaches_the_step_under_way_and_the_child_run(beating: Worker) -> None:
    """What is for graceful runs alone is given up, in the child as well, and both go on."""
    linger = Step("linger", FOR_EVER, timeout=timedelta(hours=2), graceful_only=True)
    child = plan(Workflow(((linger,), (Step("tell", Notify("ops", "child")),))), plan_id="child", service_id="disk")
    beating.plans.create(child, NOW, no_request())
    drain = Step("drain", FOR_EVER, timeout=timedelta(hours=2), graceful_only=True)
    whole = Step("whole", ChildPlan(f"projects/{PROJECT}/failoverPlans/child"), timeout=timedelta(hours=2))
    run = start(beating, plan(Workflow(((drain, whole), (Step("tell", Notify("ops", "moved")),)))))

    def lingers(run: Run) -> bool:
        found = beating.children.find(run, "child")
        return found is not None and any(step.state is StepState.BEGUN for step in found.steps)

    until(beating, run, lingers)
    steered(beating, run, Command.SWITCH_MODE, mode=RunMode.UNGRACEFUL)
    ended = until(beating, run, lambda run: run.state.is_over)
    assert ended.state is RunState.SUCCEEDED
    assert {step.step_id: step.state.value for step in ended.steps} == {
        "drain": "skipped",
        "whole": "done",
        "tell": "done",
    }
    of_child = beating.children.find(run, "child")
    assert of_child is not None
    assert (of_child.mode, of_child.steps[0].state) == (RunMode.UNGRACEFUL, StepState.SKIPPED)


def test_an_abort_in_the_middle_gives_traffic_and_capacity_back(made: Worker, record: Record) -> None:
    """The step that waits is given up, everything before it is undone."""
    run = start(made, plan(Workflow((*MOVE.stages, (Step("wait", FOR_EVER, timeout=timedelta(hours=2)),)))))
    until(made, run, lambda run: run.steps[-1].state is StepState.BEGUN)
    steered(made, run, Command.ABORT)
    over = until(made, run, lambda run: run.state.is_over)
    assert over.state is RunState.ABORTED
    after = values(record)
    assert (after["shop/dns/api"], after["shop/asg/serving"], after["shop/dns/api ttl"]) == ("west 1.0", "2", "300.0")
    assert made.runs.service(PROJECT, "serving").active_side == "west"


def test_an_ungraceful_abort_takes_nothing_from_the_side_that_is_left(made: Worker, record: Record) -> None:
    """The other one is taken for gone: traffic and its capacity stay."""
    of = plan(Workflow((*MOVE.stages, (Step("wait", FOR_EVER, timeout=timedelta(hours=2)),))))
    run = start(made, of, replace(asked(), mode=RunMode.UNGRACEFUL))
    until(made, run, lambda run: run.steps[-1].state is StepState.BEGUN)
    steered(made, run, Command.ABORT)
    assert until(made, run, lambda run: run.state.is_over).state is RunState.ABORTED
    assert values(record)["shop/dns/api"] == "north 1.0"
    assert values(record)["shop/asg/serving"] == "8"


def test_a_step_that_fails_pauses_and_goes_on_when_it_is_skipped(made: Worker) -> None:
    """The way out of a wrong target is a person's, with a reason."""
    late = Step("late", ScaleCapacity("asg/serving", percent_of_peak=50), timeout=timedelta(hours=1))
    empty = Step("empty", RunHealthCheck(("probe/api",), 10_000), timeout=timedelta(milliseconds=100))
    run = start(made, plan(Workflow(((late,), (empty,), (Step("say", Notify("ops", "x")),)))))
    paused = until(made, run, lambda run: run.state is RunState.PAUSED)
    assert "its time is over" in paused.reason
    steered(made, run, Command.SKIP_STEP, "empty")
    over = until(made, run, lambda run: run.state.is_over)
    assert over.state is RunState.COMPLETED_WITH_EXCEPTIONS
    assert over.steps[1].actor == "ann"


def test_a_real_event_interrupts_a_drill_at_work(made: Worker) -> None:
    """And runs with a newer token."""
    drill_request = replace(asked(), kind=RunKind.DRILL, trigger=Trigger.DRILL)
    drill = start(made, plan(steps({"wait": FOR_EVER})), drill_request)
    until(made, drill, lambda run: run.state is RunState.RUNNING)
    real = start(made, plan(MOVE, plan_id="real"))
    assert until(made, real, lambda run: run.state.is_over).token > 1
    assert made.runs.get(PROJECT, drill.run_id).state is RunState.INTERRUPTED


def test_a_child_plan_runs_as_its_own_run_and_is_waited_for(made: Worker) -> None:
    """Of another service, known by its parent."""
    made.plans.create(plan(MOVE, "child", "models"), NOW, no_request())
    of = plan(steps({"child": ChildPlan(f"projects/{PROJECT}/failoverPlans/child")}, {"say": Notify("ops", "x")}))
    run = until(made, start(made, of), lambda run: run.state.is_over)
    assert run.state is RunState.SUCCEEDED
    assert made.runs.service(PROJECT, "models").active_side == "north"


def test_steps_of_a_stage_run_together(made: Worker, dsn: str, tmp_path: Path) -> None:
    """Each begins before any has ended: all of them stand at the door of their target at once."""
    together = threading.Barrier(8, timeout=60)

    def meet(point: str, step_id: str) -> None:
        if point == "before_effect":
            together.wait()

    made.runner.close()
    two = worker(dsn, tmp_path / "record.sqlite", "two", conduct=LASTING, at=meet)
    try:
        two.runner.start()
        tells: dict[str, Action] = {f"w{number}": Notify("ops", f"{number}") for number in range(8)}
        run = until(two, start(two, plan(steps(tells))), lambda run: run.state.is_over)
    finally:
        two.close()
    begun = [step.begin_time for step in run.steps if step.begin_time is not None]
    done = [step.done_time for step in run.steps if step.done_time is not None]
    assert len(begun) == len(done) == 8
    assert max(begun) < min(done)


def test_a_process_that_cannot_renew_issues_no_call_any_more(made: Worker, tmp_path: Path) -> None:
    """Two failures in a row end every hold, before the lease itself has ended."""
    lease = timedelta(seconds=60)
    run = start(made, plan(steps({"wait": FOR_EVER})))
    keeper = LeaseKeeper(_Unreachable(), lease, lease / 3)
    hold = keeper.hold(run, time.monotonic())
    keeper.beat()
    assert hold.is_held
    keeper.beat()
    assert not hold.is_held


def test_a_lease_is_given_up_by_the_holders_own_clock(made: Worker) -> None:
    """A process that slept past its lease knows it when it wakes, without asking anyone."""
    run = start(made, plan(steps({"wait": FOR_EVER})))
    keeper = LeaseKeeper(_Unreachable(), timedelta(seconds=6), timedelta(seconds=2))
    assert not keeper.hold(run, time.monotonic() - 6).is_held


def test_heartbeats_that_do_not_fit_the_lease_are_refused() -> None:
    """Two tries have to fit."""
    with pytest.raises(ValueError, match="three heartbeats"):
        LeaseKeeper(_Unreachable(), timedelta(seconds=2), timedelta(seconds=1))


def wait_until(wanted: Callable[[], bool]) -> bool:
    """Whether it came about."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        if wanted():
            return True
        time.sleep(0.01)
    return False


class _Unreachable:
    """A journal whose database does not answer."""

    def claim(self, owner: str, lease: timedelta, most: int, *, children_only: bool) -> tuple[Held, ...]:
        raise _gone()

    def renew(self, held: object, lease: timedelta) -> dict[str, Standing]:
        raise _gone()

    def change(self, run: Run, owner: str, lease: timedelta, transition: object) -> Run:
        raise _gone()

    def release(self, run: Run) -> bool:
        raise _gone()


def _gone() -> UnavailableError:
    return UnavailableError(ErrorReason.STORE_UNAVAILABLE, "gone")


def test_a_process_that_ends_in_order_gives_its_runs_to_the_next_at_once(dsn: str, tmp_path: Path) -> None:
    """Within a fraction of a lease that lasts a minute, at a step that waits beside others, and once more."""
    opened = open_database(dsn)
    migrate(opened)
    opened.close()
    one = worker(dsn, tmp_path / "record.sqlite", "one", conduct=LASTING)
    two = worker(dsn, tmp_path / "record.sqlite", "two", conduct=LASTING)
    try:
        one.runner.start()
        run = start(one, plan(steps({"wait": FOR_EVER, "also": FOR_EVER})))
        held = until(one, run, lambda run: run.token == 1 and run.state is RunState.RUNNING)
        one.runner.close()
        two.runner.start()
        taken = until(two, held, lambda run: run.token == 2)
        assert {step.attempts for step in taken.steps} == {2}
    finally:
        two.close()
        one.close()
