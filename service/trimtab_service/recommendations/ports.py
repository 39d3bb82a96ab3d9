"""What the lifecycle of recommendations needs of the clouds."""

from collections.abc import Mapping
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
class Purchase:
    """A purchase to be made in `account`: `key` names it for good, `nanos_per_hour` is its commitment in nano-USD."""

    account: str
    key: str
    nanos_per_hour: int


class PurchaseBudget(Protocol):
    """What may be bought in a day, one purchase after another over all processes. Durable when a method returns.

    Raises UnavailableError when it cannot be written down: then nothing is bought.
    """

    def take(self, purchase: Purchase, held: Mapping[str, int], cap_nanos: int, since: datetime) -> int | None:
        """Take the purchase's part of the day before it is made; taking it again takes nothing more.

        The day holds what was taken since `since` and what the account shows as bought since then: `held`, nanos an
        hour by the purchase's key, or by whatever else names it. None when taken; else what the day holds already,
        which leaves less than the purchase, and nothing is taken.
        """
        ...

    def attempted(self, account: str, key: str) -> datetime | None:
        """When the purchase was first about to be made; None where it never was, or was given back."""
        ...

    def give_back(self, account: str, key: str) -> None:
        """It was refused for certain: nothing was bought."""
        ...


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a recommendation may not be carried out now, with the detail for people."""

    reason: ObstacleReason
    detail: str = ""
