"""What a servicer sees of the call that it answers."""

import secrets
import threading
import time

import grpc

from trimtab_service.domain.errors import DeadlineExceededError
from trimtab_service.domain.identity import Principal
from trimtab_service.domain.reasons import ErrorReason

REQUEST_ID_KEY = "x-request-id"
_MAX_REQUEST_ID = 128


class Call:
    """One call: who makes it, on which project, and how much time is left.

    `project` is the project id that the request's governing field names; empty for methods of the whole
    deployment. `principal` has been found to hold the method's role there.
    """

    __slots__ = ("_context", "_ending", "_ends", "_request_id", "method", "principal", "project")

    def __init__(  # noqa: PLR0913, PLR0917 - the facts of a call, given once by the pipeline
        self,
        context: grpc.ServicerContext,
        method: str,
        principal: Principal,
        project: str,
        ends: float,
        ending: threading.Event | None = None,
    ) -> None:
        """Made by the pipeline.

        Args:
            context: the call as grpcio sees it.
            method: full name, `/package.Service/Method`.
            principal: who calls.
            project: project id that the request governs, or empty.
            ends: instant, on the clock of `time.time`, when the caller stops waiting.
            ending: for streams, set when the caller leaves or the server drains.

        """
        self._context = context
        self._ends = ends
        self._ending = ending
        self._request_id: str | None = None
        self.method = method
        self.principal = principal
        self.project = project

    @property
    def request_id(self) -> str:
        """The caller's `x-request-id` when it is sane, else a fresh one. Made on first use: most calls need none."""
        if self._request_id is None:
            self._request_id = request_id(self._context)
        return self._request_id

    def time_remaining(self) -> float:
        """Seconds until the caller stops waiting; never negative, infinite for a stream without deadline."""
        return max(0.0, self._ends - time.time())

    def active(self) -> bool:
        """Whether the caller still waits: neither cancelled, nor disconnected, nor out of time."""
        return time.time() < self._ends and self._context.is_active()

    def check(self) -> None:
        """Stop working for a caller that is gone; to be called between costly stages.

        Raises:
            DeadlineExceededError: the deadline passed, or the call was cancelled.

        """
        if not self.active():
            raise DeadlineExceededError(ErrorReason.DEADLINE_EXCEEDED, "the deadline passed, or the caller left")

    def wait(self, seconds: float) -> bool:
        """Wait between two messages of a stream; False as soon as it should end: caller gone, time up or draining."""
        if self._ending is None:
            raise RuntimeError("only a stream waits; a unary call answers")
        ended = self._ending.wait(min(seconds, self.time_remaining()))
        return not ended and self.active()


def request_id(context: grpc.ServicerContext) -> str:
    """Return the caller's request id when it is short printable ASCII, else a fresh random one."""
    for key, value in context.invocation_metadata() or ():
        if (
            key == REQUEST_ID_KEY
            and isinstance(value, str)
            and 0 < len(value) <= _MAX_REQUEST_ID
            and value.isascii()
            and value.isprintable()
        ):
            return value
    return secrets.token_hex(10)
