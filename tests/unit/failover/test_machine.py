"""The rules of a run in progress hold whatever outcomes and people do."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.failovers import NOW, notes, plan, run_of, steps
from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.domain.failover import (
    Action,
    Approve,
    FailoverPlan,
    Notify,
    PromoteDataStore,
    RunKind,
    RunMode,
    RunState,
    ScaleCapacity,
    Step,
    StepState,
    SwitchTraffic,
    Workflow,
)
from trimtab_service.failover.chain import first_broken, links, times_of
from trimtab_service.failover.machine import WITHOUT_EFFECT, advance, claimed, interrupted, noted
from trimtab_service.failover.run import Change, Command, Decision, Outcome, Run, Steering, StepRun, Verdict
from trimtab_service.failover.steering import decide, steer


def taken(of: FailoverPlan, now: datetime = NOW) -> Run:
    """A run that a process has just taken and begun."""
    return advance(claimed(run_of(of), "one", 1, now).run, (), now).run


def done(run: Run, *names: str, now: datetime = NOW) -> Run:
    """The run after these steps were done."""
    return advance(run, tuple(Outcome(name, Verdict.DONE) for name in names), now).run


def failed(run: Run, name: str) -> Run:
    """The run after this step failed."""
    return advance(run, (Outcome(name, Verdict.FAILED, "broke"),), NOW).run


def said(run: Run, command: Command, step_id: str = "", mode: RunMode | None = None) -> Run:
    """The run after a person's command."""
    return steer(run, Steering(command, "ann", step_id, mode, "because"), NOW).run


def states(run: Run) -> dict[str, StepState]:
    """By id."""
    return {step.step_id: step.state for step in run.steps}


def refusal(run: Run, command: Command, step_id: str = "") -> str:
    """The constant of a refused command."""
    with pytest.raises(FailedPreconditionError) as caught:
        said(run, command, step_id)
    return caught.value.metadata["refusal"]


TWO_STAGES = plan(
    steps({"a": ScaleCapacity("x", 1), "b": ScaleCapacity("y", 1)}, {"c": SwitchTraffic("z"), "d": Notify("o", "t")})
)
ASKING = plan(steps({"ask": Approve(timedelta(minutes=5), four_eyes=True)}, {"go": SwitchTraffic("z")}))


def test_steps_of_a_stage_begin_together_and_the_next_stage_waits_for_all() -> None:
    """Not for the first."""
    run = taken(TWO_STAGES)
    assert states(run) == {"a": StepState.BEGUN, "b": StepState.BEGUN, "c": StepState.WAITING, "d": StepState.WAITING}
    assert states(done(run, "a"))["c"] is StepState.WAITING
    assert states(done(run, "a", "b"))["c"] is StepState.BEGUN


def test_an_outcome_that_came_before_changes_nothing() -> None:
    """A commit whose answer was lost is made again."""
    run = done(taken(TWO_STAGES), "a")
    assert not advance(run, (Outcome("a", Verdict.DONE),), NOW)
    assert not advance(run, (Outcome("a", Verdict.FAILED),), NOW)


def test_a_failed_step_pauses_and_what_runs_beside_it_may_end() -> None:
    """Nothing further begins until a person has retried or skipped it."""
    run = failed(taken(TWO_STAGES), "a")
    assert run.state is RunState.PAUSED
    run = done(run, "b")
    assert states(run)["c"] is StepState.WAITING
    assert refusal(run, Command.RESUME) == "WRONG_STATE"
    retried = advance(said(run, Command.RETRY_STEP, "a"), (), NOW).run
    assert retried.state is RunState.RUNNING
    assert (states(retried)["a"], retried.steps[0].attempts) == (StepState.BEGUN, 2)
    skipped = advance(said(run, Command.SKIP_STEP, "a"), (), NOW).run
    assert done(skipped, "c", "d").state is RunState.COMPLETED_WITH_EXCEPTIONS


def test_paused_by_a_person_what_is_under_way_ends_and_nothing_begins() -> None:
    """And resumed, it goes on where it was."""
    run = done(said(taken(TWO_STAGES), Command.PAUSE), "a", "b")
    assert (run.state, states(run)["c"]) == (RunState.PAUSED, StepState.WAITING)
    assert states(advance(said(run, Command.RESUME), (), NOW).run)["c"] is StepState.BEGUN


def test_an_ungraceful_run_leaves_out_what_is_for_graceful_ones() -> None:
    """In flight as well, and a failed one too; that is no exception of the run."""
    first = Step("drain", ScaleCapacity("x", 0), graceful_only=True)
    of = plan(Workflow(((first,), (Step("go", Notify("o", "t")),))))
    run = advance(said(failed(taken(of), "drain"), Command.SWITCH_MODE, mode=RunMode.UNGRACEFUL), (), NOW).run
    assert states(run) == {"drain": StepState.SKIPPED, "go": StepState.BEGUN}
    assert done(run, "go").state is RunState.SUCCEEDED


@pytest.mark.parametrize("verdict", [Verdict.STOPPED, Verdict.FAILED])
def test_a_step_under_way_is_left_out_when_the_run_becomes_ungraceful(verdict: Verdict) -> None:
    """Whether it gave up because of that or failed by itself meanwhile; done is done, and an abort undoes a part."""
    drain = Step("drain", ScaleCapacity("x", 0), graceful_only=True)
    of = plan(Workflow(((drain,), (Step("go", Notify("o", "t")),))))
    run = said(taken(of), Command.SWITCH_MODE, mode=RunMode.UNGRACEFUL)
    assert states(run)["drain"] is StepState.BEGUN
    given_up = advance(run, (Outcome("drain", verdict, "given up"),), NOW).run
    assert states(given_up) == {"drain": StepState.SKIPPED, "go": StepState.BEGUN}
    assert given_up.state is RunState.RUNNING
    assert states(done(run, "drain")) == {"drain": StepState.DONE, "go": StepState.BEGUN}
    back = advance(said(given_up, Command.ABORT), (Outcome("go", Verdict.STOPPED),), NOW).run
    assert [step.step_id for step in back.steps if step.is_undoing] == ["drain"]


def test_an_abort_undoes_last_stage_first_and_ends_in_the_safe_state() -> None:
    """Once nothing is under way any more; kinds without an effect are left."""
    run = said(done(taken(TWO_STAGES), "a", "b"), Command.ABORT)
    assert not advance(run, (), NOW)
    run = advance(run, (Outcome("c", Verdict.STOPPED), Outcome("d", Verdict.DONE)), NOW).run
    assert [step.step_id for step in run.steps if step.is_undoing] == ["c"]
    run = advance(run, (Outcome("c", Verdict.DONE, is_undo=True),), NOW).run
    assert [step.step_id for step in run.steps if step.is_undoing] == ["a", "b"]
    run = advance(run, tuple(Outcome(name, Verdict.DONE, is_undo=True) for name in "ab"), NOW).run
    assert run.state is RunState.ABORTED
    assert states(run)["d"] is StepState.DONE


def test_what_cannot_be_undone_is_named_and_the_rest_is_undone() -> None:
    """Never silent: the run has failed, and says what a person must put right."""
    of = plan(steps({"a": ScaleCapacity("x", 1)}, {"p": PromoteDataStore("db")}))
    run = advance(said(done(taken(of), "a"), Command.ABORT), (Outcome("p", Verdict.DONE),), NOW).run
    run = advance(run, (Outcome("p", Verdict.FAILED, "two primaries", is_undo=True),), NOW).run
    run = advance(run, (Outcome("a", Verdict.DONE, is_undo=True),), NOW).run
    assert (run.state, states(run)["a"]) == (RunState.FAILED, StepState.COMPENSATED)
    assert "two primaries" in run.reason


def test_an_aborted_run_that_is_taken_over_undoes_what_may_have_happened() -> None:
    """A step whose outcome nobody knows counts as done."""
    run = claimed(said(taken(TWO_STAGES), Command.ABORT), "two", 2, NOW).run
    assert [step.step_id for step in advance(run, (), NOW).run.steps if step.is_undoing] == ["a", "b"]


def test_an_approval_is_bound_to_plan_person_and_time_and_good_once() -> None:
    """Four eyes: who started the run does not approve it."""
    run = taken(ASKING)
    assert run.state is RunState.PENDING_APPROVAL
    good = Decision("ask", run.plan_hash, approved=True, actor="bob")
    for bad, why, now in (
        (replace(good, actor="ann"), "OWN_REQUEST", NOW),
        (replace(good, plan_hash="other"), "OTHER_PLAN", NOW),
        (replace(good, step_id="go"), "WRONG_STATE", NOW),
        (good, "APPROVAL_EXPIRED", NOW + timedelta(minutes=5)),
    ):
        with pytest.raises(FailedPreconditionError) as caught:
            decide(run, bad, now)
        assert caught.value.metadata["refusal"] == why
    approved = decide(run, good, NOW).run
    assert states(advance(approved, (), NOW).run)["go"] is StepState.BEGUN
    with pytest.raises(FailedPreconditionError):
        decide(approved, good, NOW)
    assert refusal(run, Command.SKIP_STEP, "ask") == "APPROVAL_NOT_SKIPPED"


def test_a_rejection_pauses_and_so_does_nobodys_answer() -> None:
    """A retry asks again."""
    run = taken(ASKING)
    rejected = decide(run, Decision("ask", run.plan_hash, approved=False, actor="ann"), NOW).run
    late = advance(run, (), NOW + timedelta(minutes=5)).run
    for stopped in (rejected, late):
        assert stopped.state is RunState.PAUSED
        assert advance(said(stopped, Command.RETRY_STEP, "ask"), (), NOW).run.state is RunState.PENDING_APPROVAL


def test_recovery_times_are_what_the_chain_alone_tells() -> None:
    """Taken in to confirmed switch; the oldest data that was accepted."""
    change = claimed(run_of(ASKING), "one", 1, NOW)
    assert times_of([]).rto is None
    run = advance(
        replace(change.run, steps=(replace(change.run.steps[0], state=StepState.DONE), *change.run.steps[1:])), (), NOW
    ).run
    later = NOW + timedelta(seconds=42)
    outcome = Outcome("go", Verdict.DONE, switched=True, watermark_age=timedelta(seconds=7))
    ended = advance(run, (outcome,), later)
    assert (ended.run.actual_rto, ended.active_side) == (timedelta(seconds=42), "north")
    assert ended.run.actual_rpo == timedelta(seconds=7)


class AnyRun(RuleBasedStateMachine):
    """A run, a worker, its death, another worker, and people who decide whatever they like."""

    @initialize(
        stages=st.lists(st.lists(st.sampled_from("spna"), min_size=1, max_size=3), min_size=1, max_size=4),
        graceful=st.lists(st.booleans(), min_size=12, max_size=12),
    )
    def begin(self, stages: list[list[str]], graceful: list[bool]) -> None:
        """A plan of any stages."""
        actions: dict[str, Action] = {
            "s": ScaleCapacity("x", 1),
            "p": PromoteDataStore("y"),
            "n": Notify("o", "t"),
            "a": Approve(timedelta(minutes=5)),
        }
        numbers = iter(range(99))
        workflow = Workflow(
            tuple(
                tuple(
                    Step(f"s{number}", actions[kind], graceful_only=graceful[number])
                    for kind in stage
                    for number in (next(numbers),)
                )
                for stage in stages
            )
        )
        self.now = NOW
        self.token = 0
        self.run = run_of(plan(workflow))
        self.chain: list[tuple[bytes, str]] = []
        self.effects: list[tuple[str, bool]] = []
        self.in_flight: set[tuple[str, bool]] = set()
        self.is_held = False

    def become(self, change: Change) -> None:
        """Keep a change as the store does."""
        before = self.run
        if not change:
            assert change.run == before
            return
        assert not before.state.is_over
        made = links(change.run, change.events, self.now)
        self.chain += [(link.body, link.hash) for link in made]
        self.run = replace(
            change.run, version=before.version + 1, event_sequence=made[-1].sequence, chain_hash=made[-1].hash
        )
        for old, new in zip(before.steps, self.run.steps, strict=True):
            assert new.attempts >= old.attempts
            if old.state is StepState.DONE and new.state is not StepState.DONE:
                assert new.state is StepState.COMPENSATED or new.needs_person

    @rule()
    def claim(self) -> None:
        """A worker takes it: the one before is gone."""
        if self.run.state in {RunState.PENDING, RunState.RUNNING, RunState.ABORTING}:
            self.token += 1
            self.become(claimed(self.run, "w", self.token, self.now))
            self.is_held = True
            self.in_flight = set()
            self.advance(())

    def advance(self, outcomes: tuple[Outcome, ...]) -> None:
        """As an execution does."""
        self.become(advance(self.run, outcomes, self.now))
        for step in self.run.begun:
            self.in_flight.add((step.step_id, step.is_undoing))

    @precondition(lambda self: self.is_held and self.in_flight)
    @rule(data=st.data(), verdict=st.sampled_from(Verdict))
    def outcome(self, data: st.DataObject, verdict: Verdict) -> None:
        """A step ends somehow."""
        step_id, is_undo = data.draw(st.sampled_from(sorted(self.in_flight)))
        self.in_flight.discard((step_id, is_undo))
        self.advance((Outcome(step_id, verdict, is_undo=is_undo),))

    @rule(command=st.sampled_from(Command), place=st.integers(0, 11), mode=st.sampled_from(RunMode))
    def person(self, command: Command, place: int, mode: RunMode) -> None:
        """Anything may be asked; what is refused changes nothing."""
        with suppress(FailedPreconditionError):
            self.become(steer(self.run, Steering(command, "ann", f"s{place}", mode, "why"), self.now))

    @rule(place=st.integers(0, 11), approved=st.booleans())
    def approval(self, place: int, *, approved: bool) -> None:
        """By somebody."""
        with suppress(FailedPreconditionError):
            self.become(decide(self.run, Decision(f"s{place}", self.run.plan_hash, approved, "bob"), self.now))

    @rule(minutes=st.integers(1, 10))
    def time_passes(self, minutes: int) -> None:
        """And approvals expire."""
        self.now += timedelta(minutes=minutes)

    @rule()
    def real_event(self) -> None:
        """Only drills are interrupted: here it is asked of what is over, and of nothing else."""
        if self.run.is_drill and not self.run.state.is_over:
            self.become(interrupted(self.run, "x", self.now))

    @invariant()
    def no_stage_overtakes_another(self) -> None:
        """A step has begun only when every stage before it is over, or was being undone since."""
        run = getattr(self, "run", None)
        if run is None or run.state is RunState.ABORTING or run.state.is_over:
            return
        reached = [step.stage for step in run.steps if step.attempts]
        for step in run.steps:
            if reached and step.stage < max(reached):
                assert step.is_over, run

    @invariant()
    def nothing_new_is_under_way_while_paused(self) -> None:
        """What failed or was paused begins nothing, and a run with a failed step does not run."""
        run = getattr(self, "run", None)
        if run is not None and run.state is RunState.RUNNING:
            assert not any(step.state is StepState.FAILED for step in run.steps)

    @invariant()
    def an_end_is_an_end(self) -> None:
        """Success needs every step; a safe state leaves no effect unaccounted for."""
        run = getattr(self, "run", None)
        if run is None:
            return
        if run.state in {RunState.SUCCEEDED, RunState.COMPLETED_WITH_EXCEPTIONS}:
            assert all(step.is_over for step in run.steps)
        if run.state is RunState.ABORTED:
            assert not any(accounted_for(step) is False for step in run.steps)
        assert run.state is not RunState.FAILED or run.reason

    def teardown(self) -> None:
        """The chain holds."""
        if hasattr(self, "chain"):
            assert first_broken(self.chain) is None


def accounted_for(step: StepRun) -> bool:
    """Whether what it did was undone, or it can do nothing."""
    return step.kind in WITHOUT_EFFECT or not step.attempts or step.state is StepState.COMPENSATED


TestAnyRun = AnyRun.TestCase
"""Any order of deaths, outcomes and decisions leaves the invariants."""

TestAnyRun.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_a_drill_gives_way_at_once() -> None:
    """Whatever it was doing."""
    run = taken(plan(notes(2)))
    over = interrupted(run, "projects/p/failoverRuns/real", NOW).run
    assert (over.state, over.end_time) == (RunState.INTERRUPTED, NOW)
    assert not advance(over, (Outcome("tell-0", Verdict.DONE),), NOW)


def test_a_drill_that_is_through_gives_back_what_it_took_and_knows_its_time() -> None:
    """The last stage first; only what noted something took anything; the switch that was rehearsed ends the clock."""
    of = plan(steps({"scale": ScaleCapacity("asg/a", count=4)}, {"switch": SwitchTraffic("dns/api")}))
    drill = replace(run_of(of), kind=RunKind.DRILL)
    run = advance(claimed(drill, "one", 1, NOW).run, (), NOW).run
    run = done(noted(run, "scale", {"count": 4, "before": 1}).run, "scale")
    later = NOW + timedelta(seconds=9)
    change = advance(run, (Outcome("switch", Verdict.DONE, switched=True),), later)
    assert (change.active_side, change.run.actual_rto) == ("", timedelta(seconds=9))
    assert [step.step_id for step in change.run.begun] == ["scale"]
    assert not change.run.state.is_over
    over = advance(change.run, (Outcome("scale", Verdict.DONE, is_undo=True),), later).run
    assert over.state is RunState.SUCCEEDED
    assert states(over) == {"scale": StepState.COMPENSATED, "switch": StepState.DONE}
    stuck = advance(change.run, (Outcome("scale", Verdict.FAILED, "no", is_undo=True),), later).run
    assert stuck.state is RunState.COMPLETED_WITH_EXCEPTIONS


def test_a_drill_gives_back_what_a_step_took_that_fell_short_and_was_skipped() -> None:
    """Somebody let the exercise go on without it; the machines that did come cost money all the same."""
    of = plan(steps({"scale": ScaleCapacity("asg/a", count=4)}, {"tell": Notify("ops", "x")}))
    run = advance(claimed(replace(run_of(of), kind=RunKind.DRILL), "one", 1, NOW).run, (), NOW).run
    run = failed(noted(run, "scale", {"count": 4, "before": 1}).run, "scale")
    run = done(advance(said(run, Command.SKIP_STEP, "scale"), (), NOW).run, "tell")
    assert [step.step_id for step in run.begun] == ["scale"]
    over = advance(run, (Outcome("scale", Verdict.DONE, is_undo=True),), NOW).run
    assert over.state is RunState.COMPLETED_WITH_EXCEPTIONS
    assert states(over)["scale"] is StepState.COMPENSATED
