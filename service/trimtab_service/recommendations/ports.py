"""What the lifecycle of recommendations needs of the clouds."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from trimtab_service.domain.reasons import ObstacleReason
from trimtab_service.domain.recommendations import Operation
from trimtab_service.domain.resources import CloudResource


@dataclass(frozen=True, slots=True)
class Observed:
    """A resource as its cloud shows it now.

    `fields` are the values of the operation's changes as they stand, by the cloud's own names. `is_protected`: the
    cloud (termination protection) or a tag (`trimtab:protected`) forbids changes.
    """

    exists: bool
    fields: tuple[tuple[str, str], ...] = ()
    is_protected: bool = False
    state: str = ""


@dataclass(frozen=True, slots=True)
class Effect:
    """What carrying an operation out came to. `is_changed` False: it stood so already."""

    is_changed: bool
    detail: str = ""


class Actuator(Protocol):
    """Changes resources of one cloud account. Each method is idempotent: a repetition finds what stands already.

    Raises UnavailableError (SOURCE_FAILED) when the cloud does not answer, FailedPreconditionError when it refuses;
    both with words that are safe to show. `deadline` is aware UTC.
    """

    def handles(self, resource: CloudResource, operation: Operation) -> bool:
        """Whether it can carry this operation out on this resource."""
        ...

    def observe(self, resource: CloudResource, operation: Operation, deadline: datetime) -> Observed:
        """The resource as it is. Reads only."""
        ...

    def carry_out(self, resource: CloudResource, operation: Operation, token: str, deadline: datetime) -> Effect:
        """Do it and wait until it holds. `token` is the idempotency token where the cloud's API takes one."""
        ...


class Actuators(Protocol):
    """The deployment's configured actuators."""

    def find(self, project: str, resource: CloudResource, operation: Operation) -> Actuator | None:
        """The one that may carry the operation out for the project; None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a recommendation may not be carried out now, with the detail for people."""

    reason: ObstacleReason
    detail: str = ""
