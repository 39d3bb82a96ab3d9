"""Carrying a recommendation out: look first, then do, journal in hand; whole groups or nothing; and the way back.

Nothing here waits for a database or knows a cloud: the journal, the actuators and the clock are passed in. Every
operation is written down before it is begun and after it has ended. A process that dies in between leaves an
operation without an end; whoever resumes observes the resource first, and does it again only if it does not stand.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol

from trimtab_service.domain.errors import TrimtabError
from trimtab_service.domain.reasons import ObstacleReason
from trimtab_service.domain.recommendations import (
    AppliedOperation,
    FieldChange,
    Operation,
    OperationGroup,
    OperationKind,
    Outcome,
)
from trimtab_service.domain.resources import CloudResource
from trimtab_service.recommendations.operations import MEMBER_FIELDS
from trimtab_service.recommendations.ports import Actuator, Observed, Obstacle

Find = Callable[[CloudResource, Operation], Actuator | None]
"""Who carries an operation out; None where no connection to the cloud is configured."""

_SIZES: Final = frozenset(
    {
        OperationKind.MODIFY_INSTANCE_TYPE,
        OperationKind.UPDATE_GROUP_TEMPLATE,
        OperationKind.UPDATE_ENDPOINT_CONFIG,
        OperationKind.PATCH_CONTAINER_RESOURCES,
    }
)
"""Operations whose field must be as it was advised for: the size is what the advice is about. How many a group holds,
and whether an instance runs, may have changed since without making the advice wrong."""

_OPPOSITE: Final[Mapping[OperationKind, OperationKind]] = {
    OperationKind.STOP_INSTANCE: OperationKind.START_INSTANCE,
    OperationKind.START_INSTANCE: OperationKind.STOP_INSTANCE,
}
_NO_WAY_BACK: Final = frozenset({OperationKind.PURCHASE_COMMITMENT})
_DID_NOT_RUN: Final = "it did not run before"


class RunJournal(Protocol):
    """The durable journal of one run. Both raise AbortedError when another process has taken the run over."""

    def begin(self, operation: Operation, *, is_rollback: bool) -> int:
        """Durable when it returns; the number names the operation from now on."""
        ...

    def end(self, number: int, outcome: Outcome, detail: str) -> None:
        """Durable when it returns."""
        ...


@dataclass(frozen=True, slots=True)
class Look:
    """What a dry run sees: each operation with what it would find (`changes[].before`), and what stands in the way.

    An operation finds what those before it leave: between a stop and a start the instance is stopped.
    """

    operations: tuple[AppliedOperation, ...]
    obstacles: tuple[Obstacle, ...]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended. DONE: everything stands. FAILED: `detail` says what failed, and what became of the rest."""

    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One run over the groups of one resource. `token` makes each operation idempotent where a cloud's API can.

    `deadline` (aware UTC) bounds every call to a cloud, `clock` gives the time that is written down.
    """

    resource: CloudResource
    groups: tuple[OperationGroup, ...]
    find: Find
    token: str
    deadline: datetime
    clock: Callable[[], datetime]


def look(run: Run) -> Look:
    """Observe without changing anything: the dry run, and the precondition of every run.

    Obstacles: no actuator, the resource gone, protected, or another size than the advice was made for; a cloud that
    does not answer raises UnavailableError (SOURCE_FAILED), for then nothing is known.
    """
    seen: list[AppliedOperation] = []
    obstacles: list[Obstacle] = []
    made: dict[str, dict[str, str]] = {}
    if not any(group.operations for group in run.groups):
        return Look((), (Obstacle(ObstacleReason.NOTHING_TO_DO),))
    for group in run.groups:
        before: list[AppliedOperation] = []
        for operation in group.operations:
            actuator = run.find(run.resource, operation)
            if actuator is None:
                detail = f"{operation.kind}: no configured account does it"
                obstacles.append(Obstacle(ObstacleReason.NO_ACTUATOR, detail))
                continue
            fields = made.setdefault(operation.resource_id, {})
            observed = _as_made(actuator.observe(run.resource, operation, run.deadline), fields)
            obstacles += _obstacles(operation, observed)
            entry = _foreseen(operation, observed, run.clock(), is_needless=_is_needless(operation, before))
            if entry.outcome is Outcome.UNDER_WAY:
                fields.update((change.field, change.after) for change in operation.changes)
            before.append(entry)
        seen += before
    return Look(tuple(seen), _distinct(obstacles))


def _as_made(observed: Observed, fields: Mapping[str, str]) -> Observed:
    """The resource as the operations before would leave it: a start finds what a stop ahead of it has stopped."""
    return replace(observed, fields=tuple((name, fields.get(name, value)) for name, value in observed.fields))


def _foreseen(operation: Operation, observed: Observed, now: datetime, *, is_needless: bool) -> AppliedOperation:
    found = _with_found(operation, observed)
    if is_needless:
        return AppliedOperation(found, now, None, Outcome.UNCHANGED, _DID_NOT_RUN)
    outcome = Outcome.UNCHANGED if _stands(operation, observed) else Outcome.UNDER_WAY
    return AppliedOperation(found, now, None, outcome)


def carry_out(run: Run, journal: RunJournal, begun: Sequence[tuple[int, AppliedOperation]] = ()) -> Ending:
    """Do the groups in order. `begun` is what the journal of this very run holds from before an interruption.

    A group is whole or not at all: when an operation fails, what was done of its group is undone in reverse, each
    step journalled as a rollback; groups that were completed before it stay. A cloud that does not answer counts as a
    failure unless the resource is seen to stand as wanted. What the journal raises ends the run at once, without a
    further word to the cloud: it is not ours any more, or cannot be written down.
    """
    left = list(begun)
    if any(entry.rollback for _, entry in left):
        return _finish_undoing(run, journal, left)
    for group in run.groups:
        done: list[AppliedOperation] = []
        for operation in group.operations:
            earlier = left.pop(0) if left else None
            if earlier is not None and earlier[1].end_time is not None:
                made = earlier[1]
            else:
                made = _do(run, journal, operation, earlier, is_needless=_is_needless(operation, done))
            if made.outcome is Outcome.FAILED:
                undone = _put_back(run, journal, _undoing(done))
                return Ending(Outcome.FAILED, f"{operation.kind}: {made.detail}; {undone}")
            done.append(made)
    return Ending(Outcome.DONE)


def way_back(applied: Iterable[AppliedOperation]) -> tuple[OperationGroup, ...]:
    """What undoes the operations of a run, from the journal of what was before: opposites, in reverse, as one group.

    Only what was changed is undone, and nothing that a failed run has undone already. A purchase has no way back.
    """
    kept: list[Operation] = []
    for entry in applied:
        if entry.outcome is not Outcome.DONE or entry.operation.kind in _NO_WAY_BACK:
            continue
        if not entry.rollback:
            kept.append(entry.operation)
            continue
        undone = inverse(entry.operation)
        kept = [
            one
            for one in kept
            if one.kind is not undone.kind or [c.field for c in one.changes] != [c.field for c in undone.changes]
        ]
    operations = tuple(inverse(operation) for operation in reversed(kept))
    return (OperationGroup(operations),) if operations else ()


def inverse(operation: Operation) -> Operation:
    """The operation that puts the fields back to what they were found to be."""
    changes = tuple(FieldChange(change.field, change.after, change.before) for change in operation.changes)
    return Operation(_OPPOSITE.get(operation.kind, operation.kind), operation.resource_id, changes)


def _is_needless(operation: Operation, done: Sequence[AppliedOperation]) -> bool:
    """Whether it would start what did not run before: somebody had stopped it, and it stays so."""
    return operation.kind is OperationKind.START_INSTANCE and any(
        one.operation.kind is OperationKind.STOP_INSTANCE and one.outcome is Outcome.UNCHANGED for one in done
    )


def _do(  # noqa: PLR0913 - an operation and what is known about it
    run: Run,
    journal: RunJournal,
    operation: Operation,
    earlier: tuple[int, AppliedOperation] | None = None,
    *,
    is_needless: bool = False,
    is_rollback: bool = False,
) -> AppliedOperation:
    """One operation, journalled before and after.

    With `earlier`, an entry without an end: the process died in it, so what stands already is not done again.
    """
    actuator = run.find(run.resource, operation)
    observed, fault = None, "no configured account does it"
    if actuator is not None:
        try:
            observed = actuator.observe(run.resource, operation, run.deadline)
        except TrimtabError as error:
            fault = error.message
    start = run.clock()
    if earlier is not None:
        number, found, start = earlier[0], earlier[1].operation, earlier[1].start_time
    else:
        found = operation if observed is None else _with_found(operation, observed)
        number = journal.begin(found, is_rollback=is_rollback)
    if actuator is None or observed is None:
        outcome, detail = Outcome.FAILED, fault
    elif is_needless:
        outcome, detail = Outcome.UNCHANGED, _DID_NOT_RUN
    elif earlier is not None and _stands(operation, observed):
        outcome, detail = Outcome.DONE, "found done after an interruption"
    else:
        outcome, detail = _attempt(run, actuator, operation, number)
    journal.end(number, outcome, detail)
    return AppliedOperation(found, start, run.clock(), outcome, detail, is_rollback)


def _attempt(run: Run, actuator: Actuator, operation: Operation, number: int) -> tuple[Outcome, str]:
    try:
        effect = actuator.carry_out(run.resource, operation, f"{run.token}-{number}", run.deadline)
    except TrimtabError as error:
        fault = error.message
    except Exception as error:  # noqa: BLE001 - whatever an adapter raises, the group is put back and the journal closed
        fault = f"the adapter failed ({type(error).__name__})"
    else:
        return (Outcome.DONE if effect.is_changed else Outcome.UNCHANGED), effect.detail
    try:
        observed = actuator.observe(run.resource, operation, run.deadline)
    except Exception:  # noqa: BLE001 - it did not answer a moment ago either
        return Outcome.FAILED, fault
    if observed.exists and _stands(operation, observed):
        return Outcome.DONE, f"it stands, though the cloud answered: {fault}"
    return Outcome.FAILED, fault


def _undoing(done: Sequence[AppliedOperation]) -> list[Operation]:
    """What puts a group back, last first."""
    return [inverse(entry.operation) for entry in reversed(done) if entry.outcome is Outcome.DONE]


def _put_back(run: Run, journal: RunJournal, back: Sequence[Operation]) -> str:
    """Do it, each step journalled as a rollback; returns what became of it, for people."""
    for operation in back:
        made = _do(run, journal, operation, is_rollback=True)
        if made.outcome is Outcome.FAILED:
            return f"putting it back failed as well ({operation.kind}: {made.detail}): the resource needs a person"
    return "what had been done was put back" if back else "nothing had been done before it"


def _finish_undoing(run: Run, journal: RunJournal, begun: Sequence[tuple[int, AppliedOperation]]) -> Ending:
    """The process died while it was putting things back: go on from there."""
    entries: list[AppliedOperation] = []
    for number, entry in begun:
        if entry.end_time is None:
            entries.append(_do(run, journal, entry.operation, (number, entry), is_rollback=True))
        else:
            entries.append(entry)
    failed = next((entry for entry in entries if entry.outcome is Outcome.FAILED and not entry.rollback), None)
    undone = _put_back(run, journal, [operation for group in way_back(entries) for operation in group.operations])
    what = "it failed" if failed is None else f"{failed.operation.kind}: {failed.detail}"
    return Ending(Outcome.FAILED, f"{what}; {undone}")


def _obstacles(operation: Operation, observed: Observed) -> list[Obstacle]:
    if not observed.exists:
        return [Obstacle(ObstacleReason.RESOURCE_GONE, f"{operation.resource_id} does not exist")]
    found = []
    if observed.is_protected:
        found.append(Obstacle(ObstacleReason.RESOURCE_PROTECTED, f"{operation.resource_id} is protected"))
    if operation.kind in _SIZES:
        fields = dict(observed.fields)
        for change in operation.changes:
            now = fields.get(change.field, change.before)
            # What a group runs lags behind what it starts; a replacement that stopped half way is gone on with.
            if change.field not in MEMBER_FIELDS and change.before and now not in {change.before, change.after}:
                detail = f"{change.field} is {now}, and was {change.before} when this was advised"
                found.append(Obstacle(ObstacleReason.RESOURCE_CHANGED, detail))
    return found


def _stands(operation: Operation, observed: Observed) -> bool:
    """Whether every field is as the operation would make it."""
    fields = dict(observed.fields)
    return observed.exists and all(fields.get(change.field) == change.after for change in operation.changes)


def _with_found(operation: Operation, observed: Observed) -> Operation:
    """The operation with what was found in the place of what was expected."""
    fields = dict(observed.fields)
    return replace(
        operation,
        changes=tuple(replace(change, before=fields.get(change.field, change.before)) for change in operation.changes),
    )


def _distinct(obstacles: Sequence[Obstacle]) -> tuple[Obstacle, ...]:
    return tuple(dict.fromkeys(obstacles))
