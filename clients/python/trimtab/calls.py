"""One call: deadline, token, errors as exceptions. What all groups of methods are made of."""

from __future__ import annotations  # grpc's multi-callables are generic for the type checker only

import time
import uuid
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import grpc

from trimtab.channel import DEFAULT_TIMEOUT, TIMEOUTS
from trimtab.errors import UnavailableError, from_rpc_error

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from google.protobuf.message import Message

    from trimtab.credentials import TokenSource

Request = TypeVar("Request", bound="Message")
Reply = TypeVar("Reply", bound="Message")


class PageRequest(Protocol):
    """What every List request has."""

    page_token: str


class PageReply(Protocol):
    """What every List reply has."""

    @property
    def next_page_token(self) -> str:
        """Token of the next page; empty at the end."""


class Event(Protocol):
    """What every event of a Watch stream has."""

    @property
    def resume_token(self) -> str:
        """To go on after it."""


PageRequestT = TypeVar("PageRequestT", bound=PageRequest)
PageReplyT = TypeVar("PageReplyT", bound=PageReply)
EventT = TypeVar("EventT", bound=Event)
Item = TypeVar("Item")

_STOOD_S = 30.0
"""A connection that held so long was good."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Makes calls for one project. Immutable, hence safe to use from many threads.

    `timeout` is in seconds and holds for every method; None means each method's default.
    """

    project: str
    token: TokenSource | None
    timeout: float | None
    wait_for_ready: bool

    def unary(
        self,
        method: grpc.UnaryUnaryMultiCallable[Request, Reply],
        path: str,
        request: Request,
        timeout: float | None = None,
    ) -> Reply:
        """Make a call and wait for its answer.

        Args:
            method: attribute of a generated stub.
            path: full name of the method, `/trimtab.v1.PlacementService/Place`.
            request: sent as it is.
            timeout: seconds for this call, retries included; None means the client's or the method's.

        Raises:
            trimtab.errors.CallError: the subclass that the code says.

        """
        if timeout is None:
            timeout = self.timeout
        if timeout is None:
            timeout = TIMEOUTS.get(path.rpartition("/")[2], DEFAULT_TIMEOUT)
        metadata = None if self.token is None else (("authorization", f"Bearer {self.token()}"),)
        try:
            return method(request, timeout=timeout, metadata=metadata, wait_for_ready=self.wait_for_ready or None)
        except grpc.RpcError as error:
            raise from_rpc_error(error, method=path) from error

    def stream(
        self,
        method: grpc.UnaryStreamMultiCallable[Request, Reply],
        path: str,
        request: Request,
        timeout: float | None = None,
    ) -> Generator[Reply, None, None]:
        """Make a call that answers many times: each answer as it comes. Closing the iterator ends the call.

        Without `timeout` it lasts as long as the server keeps it. Raises as `unary`, from the iteration.
        """
        metadata = None if self.token is None else (("authorization", f"Bearer {self.token()}"),)
        replies = method(request, timeout=timeout, metadata=metadata, wait_for_ready=self.wait_for_ready or None)
        try:
            yield from replies
        except grpc.RpcError as error:
            raise from_rpc_error(error, method=path) from error
        finally:
            replies.cancel()

    def upload(
        self,
        method: grpc.StreamUnaryMultiCallable[Request, Reply],
        path: str,
        requests: Iterator[Request],
        timeout: float | None = None,
    ) -> Reply:
        """Make a call that sends many messages, and wait for its answer. Never retried. Timeouts and errors as `unary`.

        What the iterator raises ends the call, which then reads as UNKNOWN.
        """
        if timeout is None:
            timeout = self.timeout
        if timeout is None:
            timeout = TIMEOUTS.get(path.rpartition("/")[2], DEFAULT_TIMEOUT)
        metadata = None if self.token is None else (("authorization", f"Bearer {self.token()}"),)
        try:
            return method(requests, timeout=timeout, metadata=metadata, wait_for_ready=self.wait_for_ready or None)
        except grpc.RpcError as error:
            raise from_rpc_error(error, method=path) from error

    def parent(self, given: str = "") -> str:
        """The parent that was given, or the client's project."""
        return given or f"projects/{self.project}"

    def name(self, collection: str, given: str) -> str:
        """A full resource name: one that has slashes is taken as it is, a bare id belongs to the client's project."""
        return given if "/" in given else f"projects/{self.project}/{collection}/{given}"


def fresh_request_id() -> str:
    """A UUID. The client puts one on every change, so that a retry cannot take effect twice."""
    return str(uuid.uuid4())


def walk_pages(
    call: Callable[[PageRequestT], PageReplyT], request: PageRequestT, items: Callable[[PageReplyT], Iterable[Item]]
) -> Iterator[Item]:
    """All items of a list, page after page, each page asked for when it is needed. `request` is used up."""
    while True:
        reply = call(request)
        yield from items(reply)
        if not reply.next_page_token:
            return
        request.page_token = reply.next_page_token


def follow(
    stream: Callable[[str, float | None], Generator[EventT, None, None]], resume_token: str, timeout: float | None
) -> Iterator[EventT]:
    """A stream that outlasts its connection: when that is closed, it goes on after the last event seen.

    `stream` opens it after a resume token, for so many seconds. Servers close connections that are old, and those of a
    process that ends. One that is lost before anything came over it, and before it stood for a while, is an error.
    """
    ends = None if timeout is None else time.monotonic() + timeout
    while True:
        began, is_silent = time.monotonic(), True
        try:
            with closing(stream(resume_token, None if ends is None else max(0.0, ends - began))) as events:
                for event in events:
                    resume_token, is_silent = event.resume_token, False
                    yield event
        except UnavailableError:
            if is_silent and time.monotonic() - began < _STOOD_S:
                raise
        else:
            return
