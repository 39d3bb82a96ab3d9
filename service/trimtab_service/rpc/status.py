"""Domain errors as `google.rpc.Status` (AIP-193). The one place that knows status codes.

Every status carries exactly one `ErrorInfo`. All of it travels in HTTP trailers, of which gRPC accepts 8 KiB, so
texts and lists are cut to a budget: an error that is too large to send would reach the caller as a broken call.
"""

from collections.abc import Iterable, Mapping

import grpc
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from trimtab_service.domain import errors
from trimtab_service.domain.reasons import ErrorReason

ERROR_DOMAIN = "trimtab.v1"

_MESSAGE_BYTES = 600
_DETAIL_BYTES = 200
_METADATA_ENTRIES = 16
_DETAILS_BUDGET = 3_400

_CODES: Mapping[type[errors.TrimtabError], int] = {
    errors.InvalidArgumentError: code_pb2.INVALID_ARGUMENT,
    errors.UnauthenticatedError: code_pb2.UNAUTHENTICATED,
    errors.PermissionDeniedError: code_pb2.PERMISSION_DENIED,
    errors.NotFoundError: code_pb2.NOT_FOUND,
    errors.AlreadyExistsError: code_pb2.ALREADY_EXISTS,
    errors.FailedPreconditionError: code_pb2.FAILED_PRECONDITION,
    errors.AbortedError: code_pb2.ABORTED,
    errors.ResourceExhaustedError: code_pb2.RESOURCE_EXHAUSTED,
    errors.DeadlineExceededError: code_pb2.DEADLINE_EXCEEDED,
    errors.UnsupportedError: code_pb2.UNIMPLEMENTED,
    errors.UnavailableError: code_pb2.UNAVAILABLE,
}

GRPC_CODES: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
"""`google.rpc.Code` number to the code of the grpc package."""


def code_of(error: errors.TrimtabError) -> int:
    """Return the `google.rpc.Code` of an error; the nearest listed ancestor decides."""
    for kind in type(error).__mro__:
        if kind in _CODES:
            return _CODES[kind]
    return code_pb2.INTERNAL


def status_of(error: errors.TrimtabError) -> status_pb2.Status:
    """Return the full status of a domain error; also used for single items of a batch."""
    status = status_pb2.Status(code=code_of(error), message=_cut(error.message, _MESSAGE_BYTES))
    _attach(status, _info(error.reason, error.metadata))
    if isinstance(error, errors.InvalidArgumentError):
        _attach_violations(status, error.violations)
    if isinstance(error, errors.FailedPreconditionError):
        _attach(status, _precondition(error))
    if isinstance(error, errors.ResourceExhaustedError):
        _attach(status, _quota(error))
    if error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(error.retry_after)
        _attach(status, retry)
    return status


def internal_status(correlation_id: str) -> status_pb2.Status:
    """Return the status of a fault of our own: nothing but a correlation id leaves the process."""
    status = status_pb2.Status(code=code_pb2.INTERNAL, message=f"internal fault; correlation id {correlation_id}")
    _attach(status, _info(ErrorReason.INTERNAL, {"correlation_id": correlation_id}))
    return status


def details_bytes(status: status_pb2.Status) -> tuple[tuple[str, bytes], ...]:
    """Return the trailing metadata that carries the status."""
    return (("grpc-status-details-bin", status.SerializeToString()),)


def _info(reason: ErrorReason, metadata: Mapping[str, str]) -> error_details_pb2.ErrorInfo:
    kept = {
        _cut(key, _DETAIL_BYTES): _cut(value, _DETAIL_BYTES)
        for key, value in list(metadata.items())[:_METADATA_ENTRIES]
    }
    while sum(len(key.encode()) + len(value.encode()) for key, value in kept.items()) > _DETAILS_BUDGET // 2:
        kept.popitem()
    return error_details_pb2.ErrorInfo(reason=reason.name, domain=ERROR_DOMAIN, metadata=kept)


def _attach_violations(status: status_pb2.Status, violations: Iterable[errors.Violation]) -> None:
    """Attach as many violations as fit, and say in the last one how many did not."""
    bad = error_details_pb2.BadRequest()
    room = _DETAILS_BUDGET - status.ByteSize()
    pending = list(violations)
    for at, violation in enumerate(pending):
        entry = error_details_pb2.BadRequest.FieldViolation(
            field=_cut(violation.field, _DETAIL_BYTES),
            description=_cut(violation.description, _DETAIL_BYTES),
            reason=violation.reason.name,
        )
        room -= entry.ByteSize() + 4
        if room < 0:
            bad.field_violations.add(
                field="",
                description=f"and {len(pending) - at} more violations",
                reason=ErrorReason.INVALID_REQUEST.name,
            )
            break
        bad.field_violations.append(entry)
    _attach(status, bad)


def _precondition(error: errors.TrimtabError) -> error_details_pb2.PreconditionFailure:
    failure = error_details_pb2.PreconditionFailure()
    failure.violations.add(
        type=error.reason.name,
        subject=_cut(error.metadata.get("resource", ""), _DETAIL_BYTES),
        description=_cut(error.message, _DETAIL_BYTES),
    )
    return failure


def _quota(error: errors.TrimtabError) -> error_details_pb2.QuotaFailure:
    failure = error_details_pb2.QuotaFailure()
    failure.violations.add(
        subject=_cut(error.metadata.get("subject", ""), _DETAIL_BYTES), description=_cut(error.message, _DETAIL_BYTES)
    )
    return failure


def _attach(status: status_pb2.Status, detail: Message) -> None:
    status.details.add().Pack(detail)


def _cut(text: str, size: int) -> str:
    """Cut to at most `size` UTF-8 bytes, at a character; unpaired surrogates cannot be sent, so they are replaced."""
    encoded = text[:size].encode("utf-8", "replace")
    if len(encoded) <= size and len(text) <= size:
        return encoded.decode("utf-8")
    return encoded[: size - 3].decode("utf-8", "ignore") + "..."
