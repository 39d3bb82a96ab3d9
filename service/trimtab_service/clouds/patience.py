"""Asking a cloud again, with growing waits, until the caller's deadline: every adapter's one way to be patient."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from trimtab_service.domain.errors import FailedPreconditionError, TrimtabError, UnavailableError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.failover.ports import CAUSE, PERMISSION

T = TypeVar("T")

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0
LONGEST_CALL_S: Final = 60.0
"""One call never gets the whole deadline of a fleet: a connection that hangs is given up, and asked again."""


class PassingFault(Exception):  # noqa: N818 - it never leaves the adapters, and says what it is
    """A call that is worth repeating. `wait_s` is what the cloud asked for (Retry-After), None when it said nothing.

    The text is safe to show.
    """

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Patience:
    """The clock that deadlines are measured by, how to wait, and the spread of waits (uniform in 0..1)."""

    clock: Callable[[], datetime] = _now
    sleep: Callable[[float], None] = time.sleep
    spread: Callable[[], float] = field(default=random.random)
    longest_call_s: float = LONGEST_CALL_S

    def with_calls_of(self, longest: timedelta) -> "Patience":
        """The same, with calls of at most so long."""
        return replace(self, longest_call_s=min(self.longest_call_s, longest.total_seconds()))

    def remaining_s(self, deadline: datetime) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, (deadline - self.clock()).total_seconds())

    def call_timeout_s(self, deadline: datetime) -> float:
        """What one call may take. Raises UnavailableError (SOURCE_FAILED) once the deadline has passed."""
        remaining = self.remaining_s(deadline)
        if remaining <= 0:
            raise source_failed("the deadline passed before it was asked")
        return min(remaining, self.longest_call_s)

    def ask(self, call: Callable[[float], T], deadline: datetime) -> T:
        """The answer of `call(timeout_s)`, repeated after each PassingFault for as long as the deadline allows.

        Waits double from half a second to half a minute, each spread over its upper half so that many readers do not
        come back at once; a wait the cloud asks for is kept to when it is longer. A wait that would outlast the
        deadline is not begun. Raises UnavailableError (SOURCE_FAILED) with the last fault's words.
        """
        wait = FIRST_WAIT_S
        while True:
            timeout = self.call_timeout_s(deadline)
            try:
                return call(timeout)
            except PassingFault as fault:
                pause = max(wait * (0.5 + 0.5 * self.spread()), fault.wait_s or 0.0)
                if pause >= self.remaining_s(deadline):
                    raise source_failed(f"{fault}; the deadline left no time to ask again") from fault
            self.sleep(pause)
            wait = min(2 * wait, LONGEST_WAIT_S)


def source_failed(message: str) -> TrimtabError:
    """The error of a source that did not answer: never to be read as 'there is nothing'."""
    return UnavailableError(ErrorReason.SOURCE_FAILED, message)


def not_permitted(message: str) -> TrimtabError:
    """The same, because the credential is not good for it: nothing but a person's change will help."""
    return UnavailableError(ErrorReason.SOURCE_FAILED, message, metadata={CAUSE: PERMISSION})


def refused(message: str) -> TrimtabError:
    """The error of a change that is not allowed as things stand."""
    return FailedPreconditionError(ErrorReason.STATE_CONFLICT, message)
