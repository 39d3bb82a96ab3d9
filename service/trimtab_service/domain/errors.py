"""The one error tree. `rpc.status` maps it to `google.rpc.Status`; nothing else knows status codes.

Every error carries an `ErrorReason`, a message in plain words, and `metadata`: each variable that the
message mentions, so that a program need not parse text (AIP-193).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from trimtab_service.domain.reasons import ErrorReason

_SHOWN = 5
"""Violations that the message spells out; all of them are in `violations`."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One field at fault: `field` is the path in the request (`size.gpus[0].model`)."""

    field: str
    reason: ErrorReason
    description: str


class TrimtabError(Exception):
    """Root of every error that may reach a caller. Its text is safe to show."""

    def __init__(
        self,
        reason: ErrorReason,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata: dict[str, str] = dict(metadata or {})
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        """Worker processes hand errors over pickled; an exception's own way would call `__init__` with text alone."""
        return _made_again, (type(self), self.args, self.__dict__)


def _made_again(kind: type[TrimtabError], args: tuple[object, ...], state: Mapping[str, Any]) -> TrimtabError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class InvalidArgumentError(TrimtabError):
    """The request cannot be right whatever the state; `violations` names every field at fault."""

    def __init__(
        self,
        violations: Sequence[Violation],
        reason: ErrorReason = ErrorReason.INVALID_REQUEST,
    ) -> None:
        if not violations:
            raise ValueError("an invalid argument names at least one field")
        shown = "; ".join(f"{v.field}: {v.description}" for v in violations[:_SHOWN])
        more = f"; and {len(violations) - _SHOWN} more" if len(violations) > _SHOWN else ""
        super().__init__(reason if len(violations) > 1 else _single(violations[0], reason), shown + more)
        self.violations = tuple(violations)


def _single(violation: Violation, fallback: ErrorReason) -> ErrorReason:
    """A request with one fault is better served by that fault's own reason."""
    return violation.reason if fallback is ErrorReason.INVALID_REQUEST else fallback


class UnauthenticatedError(TrimtabError):
    """No credential that is trusted."""


class PermissionDeniedError(TrimtabError):
    """A trusted caller without the role."""


class NotFoundError(TrimtabError):
    """No such resource for this caller."""


class AlreadyExistsError(TrimtabError):
    """The name is taken."""


class FailedPreconditionError(TrimtabError):
    """The system is not in a state for this; retrying alone does not help."""


class AbortedError(TrimtabError):
    """A concurrent change won (stale etag, room drawn); read again and retry."""


class ResourceExhaustedError(TrimtabError):
    """A limit is spent; `retry_after` says when it is worth asking again."""


class DeadlineExceededError(TrimtabError):
    """The caller's time is up."""


class UnsupportedError(TrimtabError):
    """Known not to be decidable here. Not the same as 'nothing to do'."""


class UnavailableError(TrimtabError):
    """Passing fault (store, catalogue, draining): the one class that clients retry by themselves."""
