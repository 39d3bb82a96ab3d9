"""What changing any resource of AWS has in common: fields as they are, as they are wanted, and waiting for them."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Protocol, TypeVar

from trimtab_service.clouds.aws.faults import refused
from trimtab_service.clouds.patience import Patience, source_failed
from trimtab_service.domain.recommendations import Operation
from trimtab_service.domain.resources import CloudResource
from trimtab_service.recommendations.ports import Effect, Observed

T = TypeVar("T")

_FIRST_LOOK_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 15.0


class Change(Protocol):
    """Changes resources of one kind. May raise RefusedError beside what `recommendations.ports.Actuator` says."""

    def observe(self, resource: CloudResource, operation: Operation, deadline: datetime) -> Observed:
        """The resource as it is."""
        ...

    def carry_out(self, resource: CloudResource, operation: Operation, token: str, deadline: datetime) -> Effect:
        """Make it so."""
        ...


def wanted(operation: Operation, known: frozenset[str]) -> dict[str, str]:
    """Field and value after. Raises FailedPreconditionError for a field that the operation does not know."""
    for change in operation.changes:
        if change.field not in known or not change.after:
            raise refused(f"{operation.kind} of {operation.resource_id} knows {', '.join(sorted(known))}")
    if not operation.changes:
        raise refused(f"{operation.kind} of {operation.resource_id} says no field")
    return {change.field: change.after for change in operation.changes}


def stands(operation: Operation, now: Mapping[str, str]) -> bool:
    """Whether every field is as after.

    Raises FailedPreconditionError where one is neither as before nor as after: somebody else changed it meanwhile.
    """
    for change in operation.changes:
        if change.before and now[change.field] not in {change.before, change.after}:
            raise refused(
                f"{operation.resource_id}: {change.field} is {now[change.field]}, "
                f"neither {change.before} as advised nor {change.after}"
            )
    return all(now[change.field] == change.after for change in operation.changes)


def fields_of(operation: Operation, now: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The operation's fields as they stand; empty text for one that the resource does not have."""
    return tuple((change.field, now.get(change.field, "")) for change in operation.changes)


def gone(operation: Operation) -> Exception:
    """The error of a resource that is not there."""
    return refused(f"{operation.resource_id} does not exist any more")


def await_that(patience: Patience, look: Callable[[], T | None], deadline: datetime, hope: str) -> T:
    """What `look` gives once it gives something; looks again with growing pauses.

    Raises UnavailableError (SOURCE_FAILED) where that is not before the deadline: `hope` names what was waited for.
    """
    pause = _FIRST_LOOK_S
    while True:
        found = look()
        if found is not None:
            return found
        if pause >= patience.remaining_s(deadline):
            raise source_failed(f"{hope}: not before the deadline; it may still come to hold")
        patience.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)
