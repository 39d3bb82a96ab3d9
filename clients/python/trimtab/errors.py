"""Errors of the client, as one tree that follows the codes of google.rpc.

    TrimtabError
    └── CallError                    a call failed; everything below names its code
        ├── CancelledError           ├── FailedPreconditionError
        ├── UnknownError             ├── AbortedError
        ├── InvalidArgumentError     ├── OutOfRangeError
        ├── DeadlineExceededError    ├── UnimplementedError
        ├── NotFoundError            ├── InternalError
        ├── AlreadyExistsError       ├── UnavailableError
        ├── PermissionDeniedError    ├── DataLossError
        └── ResourceExhaustedError   └── UnauthenticatedError

The text is for people. Programs branch on the class, on `reason` (a constant of `docs/errors.md`) and on `metadata`.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import ClassVar, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of the request that is at fault; `field` is its path, such as `workload.size.gpus[0].model`."""

    field: str
    description: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """What the server said beside the code and the text; empty when it said nothing (or never answered).

    `reason` and `metadata` are those of `google.rpc.ErrorInfo`; `retry_delay` is how long to wait before asking again.
    """

    reason: str = ""
    domain: str = ""
    metadata: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    violations: tuple[FieldViolation, ...] = ()
    retry_delay: timedelta | None = None


class TrimtabError(Exception):
    """Root of everything that the client raises on purpose."""


class CallError(TrimtabError):
    """A call that failed.

    `method` is the full name (`/trimtab.v1.PlacementService/Place`), empty for an item of a batch. `status` is the
    failure as the server put it.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        details: ErrorDetails | None = None,
        *,
        method: str = "",
        status: status_pb2.Status | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.method = method
        self.details = details or ErrorDetails()
        self.status = status or status_pb2.Status(code=self.code.value[0], message=message)

    @property
    def reason(self) -> str:
        """Constant of `docs/errors.md`; empty when the failure came from the network and not from the server."""
        return self.details.reason

    @property
    def metadata(self) -> Mapping[str, str]:
        """Every variable that the message mentions."""
        return self.details.metadata

    @property
    def violations(self) -> tuple[FieldViolation, ...]:
        """Fields at fault; empty but for invalid arguments."""
        return self.details.violations

    @property
    def retry_delay(self) -> timedelta | None:
        """How long the server asks to wait before the next try."""
        return self.details.retry_delay

    @property
    def correlation_id(self) -> str:
        """What finds the failure in the server's log; empty when there is nothing to find."""
        return self.details.metadata.get("correlation_id", "")


class CancelledError(CallError):
    """The call was cancelled, by this side or because the channel was closed."""

    code = grpc.StatusCode.CANCELLED


class UnknownError(CallError):
    """Something failed that neither side can name."""

    code = grpc.StatusCode.UNKNOWN


class InvalidArgumentError(CallError):
    """The request cannot be right; `violations` names each field at fault."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class DeadlineExceededError(CallError):
    """No answer in time. The call may have taken effect; the same `request_id` asks again safely."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class NotFoundError(CallError):
    """No such resource, or none that the caller may see."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExistsError(CallError):
    """The name is taken."""

    code = grpc.StatusCode.ALREADY_EXISTS


class PermissionDeniedError(CallError):
    """The caller is known and lacks the role."""

    code = grpc.StatusCode.PERMISSION_DENIED


class ResourceExhaustedError(CallError):
    """A limit is spent; `retry_delay` says when to ask again."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class FailedPreconditionError(CallError):
    """The system is not in a state for this; asking again alone does not help."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class AbortedError(CallError):
    """Another change came first (stale etag, room drawn); read again and retry."""

    code = grpc.StatusCode.ABORTED


class OutOfRangeError(CallError):
    """Past the end of something."""

    code = grpc.StatusCode.OUT_OF_RANGE


class UnimplementedError(CallError):
    """The server does not know how: an older server, or a question that trimtab cannot decide (`UNSUPPORTED`)."""

    code = grpc.StatusCode.UNIMPLEMENTED


class InternalError(CallError):
    """A fault of the server; `correlation_id` finds it in the log."""

    code = grpc.StatusCode.INTERNAL


class UnavailableError(CallError):
    """Nobody answers for the moment. The one class that the client has already retried by itself."""

    code = grpc.StatusCode.UNAVAILABLE


class DataLossError(CallError):
    """Data is gone or corrupt."""

    code = grpc.StatusCode.DATA_LOSS


class UnauthenticatedError(CallError):
    """No credential, or one that is not trusted (any more)."""

    code = grpc.StatusCode.UNAUTHENTICATED


_CLASSES: Mapping[grpc.StatusCode, type[CallError]] = {kind.code: kind for kind in CallError.__subclasses__()}
_CODES: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def from_status(status: status_pb2.Status, *, method: str = "") -> CallError:
    """The error that a `google.rpc.Status` describes; for items of a batch. An unknown code is `UnknownError`."""
    kind = _CLASSES.get(_CODES.get(status.code, grpc.StatusCode.UNKNOWN), UnknownError)
    return kind(status.message, _details(status), method=method, status=status)


def from_rpc_error(error: grpc.RpcError, *, method: str = "") -> CallError:
    """The error that a failed call of grpc describes, with the server's details where it sent any."""
    if not hasattr(error, "code"):
        return UnknownError(str(error), method=method)
    # grpc documents that the error raised by a failed call is that call.
    call = cast("grpc.Call", error)
    status = _status_of(call)
    if status is not None:
        return from_status(status, method=method)
    code = call.code()
    kind = _CLASSES.get(code, UnknownError)
    return kind(call.details() or code.name.lower().replace("_", " "), method=method)


def _status_of(call: grpc.Call) -> status_pb2.Status | None:
    """The rich status, unless it is absent, does not parse or contradicts the plain one (a proxy in between)."""
    try:
        # types-grpcio says that there always is one; grpc_status documents None.
        found: status_pb2.Status | None = rpc_status.from_call(call)
    except ValueError:
        return None
    return found


def _details(status: status_pb2.Status) -> ErrorDetails:
    info = error_details_pb2.ErrorInfo()
    bad = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    retry_delay: timedelta | None = None
    for detail in status.details:
        # A detail that does not parse must not hide the error that it belongs to.
        with contextlib.suppress(DecodeError):
            if detail.Unpack(retry):
                retry_delay = retry.retry_delay.ToTimedelta()
            elif not detail.Unpack(info):
                detail.Unpack(bad)
    return ErrorDetails(
        reason=info.reason,
        domain=info.domain,
        metadata=MappingProxyType(dict(info.metadata)),
        violations=tuple(FieldViolation(v.field, v.description, v.reason) for v in bad.field_violations),
        retry_delay=retry_delay,
    )
