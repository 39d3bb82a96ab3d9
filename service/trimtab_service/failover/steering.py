"""The rules of what people decide about a run: pause, resume, retry, skip, switch the mode, abort, approve, reject."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from trimtab_service.domain.failover import RunMode, RunState, StepState
from trimtab_service.domain.reasons import RunEventKind, RunRefusal
from trimtab_service.failover.machine import APPROVE, advance, left_out, settled
from trimtab_service.failover.refusals import refused
from trimtab_service.failover.run import Change, Command, Decision, NewEvent, Run, Steering, StepRun

_PAUSABLE: Final = frozenset({RunState.PENDING, RunState.RUNNING, RunState.PENDING_APPROVAL})
_SKIPPABLE: Final = frozenset({StepState.WAITING, StepState.FAILED})


def steer(run: Run, said: Steering, now: datetime) -> Change:
    """Do as a person says. Raises FailedPreconditionError with a `RunRefusal` when the run's state forbids it."""
    if run.state.is_over:
        raise refused(RunRefusal.RUN_OVER, state=run.state.value)
    if run.state is RunState.ABORTING:
        raise refused(RunRefusal.WRONG_STATE, "It goes back to its safe state.", state=run.state.value)
    return _COMMANDS[said.command](run, said, now)


def decide(run: Run, said: Decision, now: datetime) -> Change:
    """Approve or reject a step that waits.

    Bound to the plan, the run and the step's attempt, good once and only in time. Raises FailedPreconditionError with
    a `RunRefusal`; who may decide at all is the caller's business.
    """
    if run.state.is_over:
        raise refused(RunRefusal.RUN_OVER, state=run.state.value)
    step = run.step(said.step_id)
    if step is None or step.state is not StepState.PENDING_APPROVAL:
        raise refused(RunRefusal.WRONG_STATE, "The step does not wait for an approval.", step_id=said.step_id)
    if said.plan_hash != run.plan_hash:
        raise refused(RunRefusal.OTHER_PLAN, plan_hash=run.plan_hash)
    if step.expire_time is not None and step.expire_time <= now:
        raise refused(RunRefusal.APPROVAL_EXPIRED, step_id=said.step_id)
    if said.approved and step.four_eyes and said.actor == run.started_by:
        raise refused(RunRefusal.OWN_REQUEST, step_id=said.step_id)
    state = StepState.DONE if said.approved else StepState.FAILED
    kind = RunEventKind.STEP_APPROVED if said.approved else RunEventKind.STEP_REJECTED
    event = NewEvent(kind, step.step_id, said.actor, said.comment, {"plan_hash": run.plan_hash})
    answered = replace(
        step, state=state, actor=said.actor, detail=said.comment, done_time=now if said.approved else None
    )
    changed = run.with_step(answered)
    if not said.approved:
        return Change(settled(replace(changed, reason=f"step {step.step_id} was rejected by {said.actor}")), (event,))
    # A paused run stays so: an approval says that a step may go on, not that the run does.
    return Change(settled(changed), (event,))


def _pause(run: Run, said: Steering, now: datetime) -> Change:
    del now
    if run.state not in _PAUSABLE:
        raise refused(RunRefusal.WRONG_STATE, state=run.state.value)
    reason = f"paused by {said.actor}" + (f": {said.reason}" if said.reason else "")
    return Change(
        replace(run, state=RunState.PAUSED, reason=reason),
        (NewEvent(RunEventKind.RUN_PAUSED, actor=said.actor, detail=said.reason),),
    )


def _resume(run: Run, said: Steering, now: datetime) -> Change:
    del now
    if run.state is not RunState.PAUSED:
        raise refused(RunRefusal.WRONG_STATE, state=run.state.value)
    for step in run.steps:
        if step.state is StepState.FAILED:
            what = "retry it, which asks again," if step.kind == APPROVE else "retry it, skip it,"
            why = f"The step {step.step_id} has failed: {what} or abort."
            raise refused(RunRefusal.WRONG_STATE, why, state=run.state.value, step_id=step.step_id)
    return Change(_going(run), (NewEvent(RunEventKind.RUN_RESUMED, actor=said.actor, detail=said.reason),))


def _retry(run: Run, said: Steering, now: datetime) -> Change:
    del now
    step = _step(run, said)
    if step.state is not StepState.FAILED:
        raise refused(RunRefusal.WRONG_STATE, "Only a failed step is retried.", step_id=step.step_id)
    event = NewEvent(RunEventKind.STEP_RETRIED, step.step_id, said.actor, said.reason)
    return Change(
        _going(run.with_step(replace(step, state=StepState.WAITING, expire_time=None, actor=said.actor))), (event,)
    )


def _skip(run: Run, said: Steering, now: datetime) -> Change:
    step = _step(run, said)
    if step.kind == APPROVE:
        raise refused(RunRefusal.APPROVAL_NOT_SKIPPED, step_id=step.step_id)
    if step.state not in _SKIPPABLE:
        raise refused(RunRefusal.WRONG_STATE, "Only a step that waits or failed is skipped.", step_id=step.step_id)
    skipped = replace(
        step, state=StepState.SKIPPED, actor=said.actor, detail=said.reason, done_time=now, is_exception=True
    )
    event = NewEvent(RunEventKind.STEP_SKIPPED, step.step_id, said.actor, said.reason)
    return Change(_going(run.with_step(skipped)), (event,))


def _switch_mode(run: Run, said: Steering, now: datetime) -> Change:
    mode = said.mode
    if mode is None or mode is run.mode:
        raise refused(RunRefusal.WRONG_STATE, f"The run is {run.mode.value} already.", mode=run.mode.value)
    events = [NewEvent(RunEventKind.MODE_SWITCHED, actor=said.actor, detail=said.reason, data={"mode": mode.value})]
    changed = replace(run, mode=mode)
    if mode is RunMode.UNGRACEFUL:
        for step in run.steps:
            if step.graceful_only and step.state in {StepState.FAILED, StepState.PENDING_APPROVAL}:
                skipped, event = left_out(step, now)
                changed = changed.with_step(skipped)
                events.append(event)
    return Change(_going(changed), tuple(events))


def _abort(run: Run, said: Steering, now: datetime) -> Change:
    steps = tuple(
        replace(step, state=StepState.WAITING, expire_time=None) if step.state is StepState.PENDING_APPROVAL else step
        for step in run.steps
    )
    aborting = replace(run, state=RunState.ABORTING, reason=f"aborted by {said.actor}: {said.reason}", steps=steps)
    event = NewEvent(RunEventKind.RUN_ABORTING, actor=said.actor, detail=said.reason)
    if any(step.attempts for step in run.steps):
        return Change(aborting, (event,))
    # Nothing was ever begun: it is in its safe state already.
    ended = advance(aborting, (), now)
    return Change(ended.run, (event, *ended.events))


def _going(run: Run) -> Run:
    """Let a paused run go on, unless another step has failed."""
    if run.state is not RunState.PAUSED:
        return settled(run)
    return settled(replace(run, state=RunState.RUNNING, reason="" if not _failed(run) else run.reason))


def _failed(run: Run) -> bool:
    return any(step.state is StepState.FAILED for step in run.steps)


def _step(run: Run, said: Steering) -> StepRun:
    step = run.step(said.step_id)
    if step is None:
        raise refused(RunRefusal.WRONG_STATE, "The run has no such step.", step_id=said.step_id)
    return step


_COMMANDS: Final[Mapping[Command, Callable[[Run, Steering, datetime], Change]]] = MappingProxyType(
    {
        Command.PAUSE: _pause,
        Command.RESUME: _resume,
        Command.RETRY_STEP: _retry,
        Command.SKIP_STEP: _skip,
        Command.SWITCH_MODE: _switch_mode,
        Command.ABORT: _abort,
    }
)
