"""Exit codes. Scripts branch on them, so they do not change.

0  done; a place was found, or staying is best
1  failed: a fault, a replay that differs, a problem that `doctor` found
2  the command line or a field of the request is wrong
3  the answer is that there is no place (infeasible or unsupported), or that nothing could be sized
4  not authenticated, or not permitted
5  the server cannot be reached, did not answer in time, or a limit is spent: try again later
6  no such resource
7  a conflict: the resource exists, was changed meanwhile, or is in another state
"""

from collections.abc import Mapping
from enum import IntEnum

from trimtab import errors
from trimtab.v1.placement_service_pb2 import Decision


class Exit(IntEnum):
    """The exit codes."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_PLACE = 3
    DENIED = 4
    UNAVAILABLE = 5
    NOT_FOUND = 6
    CONFLICT = 7


_OF_ERROR: Mapping[type[errors.CallError], Exit] = {
    errors.InvalidArgumentError: Exit.USAGE,
    errors.OutOfRangeError: Exit.USAGE,
    errors.UnauthenticatedError: Exit.DENIED,
    errors.PermissionDeniedError: Exit.DENIED,
    errors.UnavailableError: Exit.UNAVAILABLE,
    errors.DeadlineExceededError: Exit.UNAVAILABLE,
    errors.ResourceExhaustedError: Exit.UNAVAILABLE,
    errors.NotFoundError: Exit.NOT_FOUND,
    errors.AlreadyExistsError: Exit.CONFLICT,
    errors.AbortedError: Exit.CONFLICT,
    errors.FailedPreconditionError: Exit.CONFLICT,
}


def of_error(error: errors.CallError) -> Exit:
    """The exit code of a failed call."""
    if isinstance(error, errors.UnimplementedError) and error.reason == "UNSUPPORTED":
        return Exit.NO_PLACE
    return _OF_ERROR.get(type(error), Exit.FAILED)


def of_verdict(verdict: Decision.Verdict.ValueType) -> Exit:
    """The exit code of a decision."""
    return Exit.OK if verdict in {Decision.VERDICT_PLACED, Decision.VERDICT_STAY} else Exit.NO_PLACE
