"""The rules of a run in progress: which step may begin, what an outcome leads to, when a run is over.

Functions of a run and an instant; none reads a clock or touches the outside. A stage begins when all steps before it
are done or left out. A failed step pauses the run. An abort lets what is under way end, then undoes stage by stage,
last first. What people decide is in `failover.steering`.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from trimtab_service.domain.failover import RunMode, RunState, StepState
from trimtab_service.domain.reasons import RunEventKind
from trimtab_service.failover.run import Change, NewEvent, Outcome, Run, StepRun, Verdict

APPROVE: Final = "approve"
BY_MODE: Final = "mode"
"""Who skipped a step that an ungraceful run leaves out."""

WITHOUT_EFFECT: Final = frozenset({APPROVE, "wait", "check_watermark", "run_health_check", "notify"})
"""Kinds that leave nothing behind that could be undone."""

CLAIMABLE: Final = frozenset({RunState.PENDING, RunState.RUNNING, RunState.ABORTING})
"""States in which a process has something to do; in PENDING_APPROVAL only once an approval has expired."""

_GOING: Final = frozenset({RunState.RUNNING, RunState.PENDING_APPROVAL})
_MAY_HAVE_EFFECT: Final = frozenset({StepState.DONE, StepState.FAILED, StepState.SKIPPED})
"""What was begun and then failed, or was skipped after that, may have done a part of it."""

_DETAIL: Final = 1_000


def claimed(run: Run, owner: str, token: int, now: datetime) -> Change:
    """A process takes the run. Steps that were under way are begun again by it, under the same key."""
    assert token > run.token, "a fencing token only ever grows"  # noqa: S101 - the one invariant that must hold
    aborting = run.state is RunState.ABORTING
    steps = tuple(_again(step, now, aborting=aborting) for step in run.steps)
    state = RunState.RUNNING if run.state in {RunState.PENDING, RunState.PENDING_APPROVAL} else run.state
    taken = replace(run, state=state, token=token, steps=steps)
    again = [step.step_id for step in taken.begun]
    return Change(taken, (NewEvent(RunEventKind.RUN_CLAIMED, actor=owner, data={"token": token, "again": again}),))


def advance(run: Run, outcomes: tuple[Outcome, ...], now: datetime) -> Change:
    """Take in what steps came to, and begin what may begin. An outcome that is known already changes nothing."""
    if run.state.is_over:
        return Change(run)
    events: list[NewEvent] = []
    active = ""
    for outcome in outcomes:
        run, more, side = _taken_in(run, outcome, now)
        events += more
        active = side or active
    if run.state is RunState.ABORTING:
        run, more = _undo_next(run, now)
    else:
        run, more = _begin_next(_expired(run, now, events), now)
    return Change(run, (*events, *more), active)


def noted(run: Run, step_id: str, memo: dict[str, object]) -> Change:
    """Keep what a step must know, durably, before its effect. A step keeps what it noted first."""
    step = run.step(step_id)
    if step is None or run.state.is_over or step.memo:
        return Change(run)
    return Change(
        run.with_step(replace(step, memo=memo)), (NewEvent(RunEventKind.STEP_NOTED, step_id=step_id, data=memo),)
    )


def interrupted(run: Run, by: str, now: datetime) -> Change:
    """A drill gives way, at once: it holds nothing that a real event could want."""
    over = replace(run, state=RunState.INTERRUPTED, end_time=now, reason=f"gave way to {by}")
    return Change(over, (NewEvent(RunEventKind.RUN_INTERRUPTED, actor=by, detail=over.reason),))


def left_out(step: StepRun, now: datetime) -> tuple[StepRun, NewEvent]:
    """A step that is for graceful runs, in an ungraceful one."""
    detail = "left out in an ungraceful run"
    skipped = replace(step, state=StepState.SKIPPED, actor=BY_MODE, detail=detail, done_time=now)
    return skipped, NewEvent(RunEventKind.STEP_SKIPPED, step.step_id, BY_MODE, detail)


def settled(run: Run) -> Run:
    """The run in the state that its steps ask for, while it is going."""
    if run.state not in _GOING:
        return run
    if any(step.state is StepState.FAILED for step in run.steps):
        return replace(run, state=RunState.PAUSED)
    waits = any(step.state is StepState.PENDING_APPROVAL for step in run.steps)
    return replace(run, state=RunState.PENDING_APPROVAL if waits and not run.begun else RunState.RUNNING)


def over(run: Run, state: RunState, reason: str, now: datetime) -> tuple[Run, NewEvent]:
    """End it."""
    ended = replace(run, state=state, end_time=now, reason=reason or run.reason)
    data: dict[str, object] = {"state": state.value}
    if run.actual_rto is not None:
        data["rto_us"] = round(run.actual_rto.total_seconds() * 1e6)
    if run.actual_rpo is not None:
        data["rpo_us"] = round(run.actual_rpo.total_seconds() * 1e6)
    return ended, NewEvent(RunEventKind.RUN_ENDED, detail=ended.reason, data=data)


def _again(step: StepRun, now: datetime, *, aborting: bool) -> StepRun:
    if step.state is not StepState.BEGUN:
        return replace(step, attempt_time=now) if step.is_undoing else step
    if aborting:
        # Whether it took effect is not known, so it is undone like one that did.
        return replace(step, state=StepState.FAILED, detail="its outcome is not known")
    return replace(step, attempts=step.attempts + 1, attempt_time=now)


def _taken_in(run: Run, outcome: Outcome, now: datetime) -> tuple[Run, list[NewEvent], str]:
    step = run.step(outcome.step_id)
    if step is None or (not step.is_undoing if outcome.is_undo else step.state is not StepState.BEGUN):
        return run, [], ""
    detail = outcome.detail[:_DETAIL]
    if outcome.is_undo:
        return _undone(run, step, outcome, now)
    if outcome.verdict is not Verdict.DONE:
        if step.graceful_only and run.mode is RunMode.UNGRACEFUL and run.state is not RunState.ABORTING:
            skipped, event = left_out(step, now)
            return settled(run.with_step(skipped)), [event], ""
        failed = replace(step, state=StepState.FAILED, detail=detail, done_time=None)
        event = NewEvent(RunEventKind.STEP_FAILED, step.step_id, detail=detail, data=outcome.data)
        if run.state in _GOING:
            run = replace(run, reason=f"step {step.step_id} failed: {detail}"[:_DETAIL])
        return settled(run.with_step(failed)), [event], ""
    done = replace(
        step, state=StepState.DONE, detail=detail, done_time=now, is_exception=step.is_exception or outcome.is_exception
    )
    data = dict(outcome.data)
    if outcome.switched:
        # An exercise has seen that it could be done, and takes its time: traffic is where it was.
        data["rehearsed_to" if run.is_drill else "switched_to"] = run.to_side
        run = replace(run, actual_rto=now - run.create_time)
    if outcome.watermark_age is not None:
        data["watermark_age_us"] = round(outcome.watermark_age.total_seconds() * 1e6)
        run = replace(run, actual_rpo=max(outcome.watermark_age, run.actual_rpo or outcome.watermark_age))
    event = NewEvent(RunEventKind.STEP_DONE, step.step_id, detail=detail, data=data)
    side = run.to_side if outcome.switched and not run.is_drill else ""
    return settled(run.with_step(done)), [event], side


def _undone(run: Run, step: StepRun, outcome: Outcome, now: datetime) -> tuple[Run, list[NewEvent], str]:
    detail = outcome.detail[:_DETAIL]
    if outcome.verdict is not Verdict.DONE:
        # The rest is undone all the same; the run's end says what is left to a person.
        stuck = replace(step, state=StepState.FAILED, is_undoing=False, needs_person=True, detail=detail)
        return run.with_step(stuck), [NewEvent(RunEventKind.STEP_FAILED, step.step_id, detail=detail)], ""
    back = replace(step, state=StepState.COMPENSATED, is_undoing=False, detail=detail, done_time=now)
    event = NewEvent(RunEventKind.STEP_COMPENSATED, step.step_id, detail=detail, data=outcome.data)
    side = run.from_side if outcome.switched and not run.is_drill else ""
    return run.with_step(back), [event], side


def _expired(run: Run, now: datetime, events: list[NewEvent]) -> Run:
    for step in run.steps:
        if step.state is StepState.PENDING_APPROVAL and step.expire_time is not None and step.expire_time <= now:
            detail = "nobody decided in time"
            events.append(NewEvent(RunEventKind.APPROVAL_EXPIRED, step.step_id, detail=detail))
            run = replace(run, reason=f"step {step.step_id}: {detail}")
            run = settled(run.with_step(replace(step, state=StepState.FAILED, detail=detail)))
    return run


def _begin_next(run: Run, now: datetime) -> tuple[Run, list[NewEvent]]:
    events: list[NewEvent] = []
    while run.state in _GOING:
        left = [step for step in run.steps if not step.is_over and not (run.is_drill and _is_settled(step))]
        if not left:
            if run.is_drill:
                run, more = _give_back(run, now)
                events += more
                if run.begun:
                    return run, events
            excepted = any(step.is_exception or step.needs_person for step in run.steps)
            state = RunState.COMPLETED_WITH_EXCEPTIONS if excepted else RunState.SUCCEEDED
            run, event = over(run, state, "", now)
            return run, [*events, event]
        stage = min(step.stage for step in left)
        waiting = [step for step in left if step.stage == stage and step.state is StepState.WAITING]
        if not waiting:
            return settled(run), events
        for step in waiting:
            begun, event = _begun(run, step, now)
            run = run.with_step(begun)
            events.append(event)
        run = settled(run)
    return run, events


def _begun(run: Run, step: StepRun, now: datetime) -> tuple[StepRun, NewEvent]:
    if step.graceful_only and run.mode is RunMode.UNGRACEFUL:
        return left_out(step, now)
    first = {"begin_time": step.begin_time or now, "attempt_time": now, "attempts": step.attempts + 1}
    if step.kind != APPROVE:
        begun = replace(step, state=StepState.BEGUN, detail="", **first)  # type: ignore[arg-type] # mixed values
        data = {"attempt": begun.attempts, "kind": step.kind}
        return begun, NewEvent(RunEventKind.STEP_BEGUN, step.step_id, data=data)
    until = now + step.approval_for if step.approval_for is not None else None
    asked = replace(step, state=StepState.PENDING_APPROVAL, expire_time=until, detail="", actor="", **first)  # type: ignore[arg-type]
    return asked, NewEvent(RunEventKind.APPROVAL_ASKED, step.step_id, data={"attempt": asked.attempts})


def _is_settled(step: StepRun) -> bool:
    """Whether an exercise has given back what the step took, or cannot."""
    return step.state is StepState.COMPENSATED or step.needs_person


def _give_back(run: Run, now: datetime) -> tuple[Run, list[NewEvent]]:
    """An exercise that is through gives back what it took, the last stage first: a standby at full size costs money."""
    taken = [step for step in run.steps if step.is_over and step.memo and not step.needs_person]
    return (run, []) if run.begun or not taken else _undo_last(run, taken, now)


def _undo_last(run: Run, steps: list[StepRun], now: datetime) -> tuple[Run, list[NewEvent]]:
    """Begin to undo those of the last stage."""
    stage = max(step.stage for step in steps)
    events = []
    for step in steps:
        if step.stage == stage:
            run = run.with_step(replace(step, is_undoing=True, attempt_time=now))
            events.append(NewEvent(RunEventKind.UNDO_BEGUN, step.step_id))
    return run, events


def _undo_next(run: Run, now: datetime) -> tuple[Run, list[NewEvent]]:
    """Undo the last stage that has something to undo, once nothing is under way any more."""
    if run.begun or run.state.is_over:
        return run, []
    had_effect = [
        step
        for step in run.steps
        if step.kind not in WITHOUT_EFFECT
        and not step.needs_person
        and step.attempts
        and step.state in _MAY_HAVE_EFFECT
    ]
    if not had_effect:
        stuck = [f"{step.step_id} ({step.detail})" for step in run.steps if step.needs_person]
        why = f"a person must put right: {', '.join(stuck)}"[:_DETAIL] if stuck else ""
        ended, event = over(run, RunState.FAILED if stuck else RunState.ABORTED, why, now)
        return ended, [event]
    return _undo_last(run, had_effect, now)
