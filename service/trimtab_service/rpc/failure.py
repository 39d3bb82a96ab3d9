"""Turns whatever a call raised into the status that the caller sees and the line that the operator sees."""

import secrets
import threading
import time
from collections.abc import Mapping
from typing import Never

import grpc
import structlog
from google.rpc import code_pb2, status_pb2
from grpc_status import rpc_status

from trimtab_service.domain.errors import TrimtabError
from trimtab_service.rpc import status
from trimtab_service.rpc.call import Call, request_id

_LINES_PER_SECOND = 20
_OURS = frozenset({code_pb2.INTERNAL, code_pb2.UNKNOWN, code_pb2.DATA_LOSS})
_ENVIRONMENT = frozenset({code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED})


class FailureReport:
    """Failures of one method. Callers' faults are logged up to a rate, so that a flood of refusals stays cheap."""

    __slots__ = ("_lines", "_lock", "_log", "_method", "_second", "_suppressed")

    def __init__(self, method: str, log: structlog.typing.FilteringBoundLogger) -> None:
        self._method = method
        self._log = log
        self._lock = threading.Lock()
        self._second = 0
        self._lines = 0
        self._suppressed = 0

    def status(
        self, error: Exception, context: grpc.ServicerContext, subject: str, call: Call | None
    ) -> status_pb2.Status:
        """Log the failure and return its status. Nothing of an unforeseen error reaches the caller but its id."""
        answer = _told(error)
        if answer is None:
            correlation_id = secrets.token_hex(10)
            facts = {**self._facts(context, subject, call), "code": "INTERNAL", "correlation_id": correlation_id}
            self._log.error("call failed", **facts, exc_info=error)
            return status.internal_status(correlation_id)
        reason, message = (error.reason.name, error.message) if isinstance(error, TrimtabError) else ("", "")
        told = {"code": status.GRPC_CODES[answer.code].name, "reason": reason}
        if answer.code in _OURS:
            self._log.error("call failed", **self._facts(context, subject, call), **told, exc_info=error)
        elif answer.code in _ENVIRONMENT:
            self._log.warning("call failed", **self._facts(context, subject, call), **told, message=message)
        elif self._admit_line():
            # The message may repeat what the caller sent, so only the constant reason is logged.
            self._log.info(
                "call refused", **self._facts(context, subject, call), **told, suppressed=self._take_suppressed()
            )
        return answer

    def slow(self, context: grpc.ServicerContext, subject: str, call: Call | None, seconds: float) -> None:
        """Log a call that succeeded but took long."""
        if self._admit_line():
            self._log.warning("slow call", **self._facts(context, subject, call), milliseconds=round(seconds * 1e3, 3))

    def _facts(self, context: grpc.ServicerContext, subject: str, call: Call | None) -> Mapping[str, str]:
        # A call that was begun has an id that its servicer may have logged; a fresh one would not match it.
        known = request_id(context) if call is None else call.request_id
        return {"method": self._method, "request_id": known, "subject": subject}

    def _admit_line(self) -> bool:
        second = int(time.monotonic())
        with self._lock:
            if second != self._second:
                self._second, self._lines = second, 0
            self._lines += 1
            if self._lines <= _LINES_PER_SECOND:
                return True
            self._suppressed += 1
            return False

    def _take_suppressed(self) -> int:
        with self._lock:
            suppressed, self._suppressed = self._suppressed, 0
        return suppressed


def _told(error: Exception) -> status_pb2.Status | None:
    """Return the status of a domain error; None when it is none, or so malformed that it cannot be told."""
    if not isinstance(error, TrimtabError):
        return None
    try:
        return status.status_of(error)
    except (AttributeError, TypeError, ValueError):
        return None  # a slip where it was raised, such as a number in the metadata; still no text may leak


def abort(context: grpc.ServicerContext, answer: status_pb2.Status) -> Never:
    """End the call with a full status; raises what grpcio wants to see."""
    context.abort_with_status(rpc_status.to_status(answer))
    raise AssertionError("abort_with_status returned")  # pragma: no cover - grpcio always raises
