"""What happens around every method, composed once at registration into one plain function per method.

Order: errors (outermost, with telemetry, so that refusals count too), deadline, size, authentication, limits
(they are per principal, so they need one), parse, authorisation (it reads the request's resource names), method.
Requests arrive as bytes and are parsed here: grpcio would answer INTERNAL to bytes that are no message.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import grpc
import structlog
from google.protobuf.message import DecodeError, Message

from trimtab_service.domain.errors import (
    DeadlineExceededError,
    InvalidArgumentError,
    ResourceExhaustedError,
    TrimtabError,
    Violation,
)
from trimtab_service.domain.identity import Principal
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.identity.authenticator import Authenticator
from trimtab_service.observability.metrics import RpcMetrics
from trimtab_service.observability.tracing import OpenSpan
from trimtab_service.rpc.authorization import Guard
from trimtab_service.rpc.call import Call
from trimtab_service.rpc.failure import FailureReport, abort
from trimtab_service.rpc.limits import Limiter, StreamBudget
from trimtab_service.rpc.service import Method, Service, methods_of
from trimtab_service.rpc.status import GRPC_CODES

_NO_DEADLINE_S = 366 * 86_400.0
"""More time than this left means that the caller set no deadline."""

_TIMED_OUT = "the deadline passed, or the caller left, before the last message came"

Unary = Callable[[bytes, grpc.ServicerContext], bytes]
Uploading = Callable[[Iterator[bytes], grpc.ServicerContext], bytes]
Streaming = Callable[[bytes, grpc.ServicerContext], Iterator[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The parts that all methods share."""

    authenticator: Authenticator
    limiter: Callable[[str], Limiter]
    streams: StreamBudget
    stream_pool: ThreadPoolExecutor
    metrics: RpcMetrics
    log: structlog.typing.FilteringBoundLogger
    default_deadline: timedelta
    upload_deadline: timedelta
    slow_call: timedelta
    max_message_bytes: int
    open_span: OpenSpan | None = None
    clock: Callable[[], float] = field(default=time.time)

    def handlers(self, service: Service) -> "dict[str, grpc.RpcMethodHandler[Any, Any]]":
        """Compose the handlers of a service, ready for grpcio.

        Raises:
            ValueError: a method is not in the access table or not implemented.

        """
        composed: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        for name, method in methods_of(service).items():
            # grpcio holds a thread per open stream: theirs come from a pool of their own.
            if method.uploads:
                upload = _uploading(self, method)
                vars(upload)["experimental_thread_pool"] = self.stream_pool
                composed[name] = grpc.stream_unary_rpc_method_handler(upload)
            elif method.streams:
                stream = _streaming(self, method)
                vars(stream)["experimental_thread_pool"] = self.stream_pool
                composed[name] = grpc.unary_stream_rpc_method_handler(stream)
            else:
                composed[name] = grpc.unary_unary_rpc_method_handler(_unary(self, method))
        return composed


def _unary(pipeline: Pipeline, method: Method) -> Unary:
    """Compose a unary method. Everything is bound to local names here, because this runs on every call."""
    parse, admit, act, full_name = _parser(pipeline, method), method.guard.admit, method.act, method.full_name
    plain, cap = method.plain, pipeline.max_message_bytes
    authenticate = pipeline.authenticator.authenticate
    limiter = pipeline.limiter(full_name)
    enter, leave = limiter.enter, limiter.leave
    metrics = pipeline.metrics.of(full_name)
    succeeded, took = metrics.ok.inc, metrics.seconds.observe
    report = FailureReport(full_name, pipeline.log)
    default_s, slow_s = pipeline.default_deadline.total_seconds(), pipeline.slow_call.total_seconds()
    now, timer = pipeline.clock, time.perf_counter

    def handle(data: bytes, context: grpc.ServicerContext) -> bytes:
        started = timer()
        subject = ""
        budget = answer = call = None
        reply = b""
        try:
            remaining = _remaining(context, default_s)
            principal = authenticate(context)
            subject = principal.subject
            budget = enter(principal)
            short = None if plain is None or len(data) > cap else plain(data, principal)
            if short is not None:
                reply = short
            else:
                request = parse(data)
                project = admit(principal, request)
                call = Call(context, full_name, principal, project, now() + remaining)
                reply = act(request, call).SerializeToString()
        except Exception as error:  # noqa: BLE001 - the outermost stage: whatever comes becomes a status
            answer = report.status(error, context, subject, call)
        finally:
            if budget is not None:
                leave(budget)
        elapsed = timer() - started
        took(elapsed)
        if answer is not None:
            metrics.failed(GRPC_CODES[answer.code].name)
            abort(context, answer)
        succeeded()
        if elapsed > slow_s:
            report.slow(context, subject, call, elapsed)
        return reply

    return handle if pipeline.open_span is None else _traced(handle, full_name, pipeline.open_span)


def _streaming(pipeline: Pipeline, method: Method) -> Streaming:
    """Compose a method that answers with a stream. Its deadline is the caller's alone: streams may stay open."""
    parse, metrics = _parser(pipeline, method), pipeline.metrics.of(method.full_name)
    limiter = pipeline.limiter(method.full_name)
    report = FailureReport(method.full_name, pipeline.log)

    def handle(data: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        subject = ""
        budget = ending = answer = call = None
        try:
            remaining = _remaining(context, float("inf"))
            principal = pipeline.authenticator.authenticate(context)
            subject = principal.subject
            budget = limiter.enter(principal)
            request = parse(data)
            project = method.guard.admit(principal, request)
            ending = pipeline.streams.enter()
            if not context.add_callback(ending.set):
                ending.set()  # the caller left before the stream began, so nobody will call back
            call = Call(context, method.full_name, principal, project, pipeline.clock() + remaining, ending)
            for message in method.act(request, call):
                yield message.SerializeToString()
        except Exception as error:  # noqa: BLE001 - the outermost stage: whatever comes becomes a status
            answer = report.status(error, context, subject, call)
        finally:
            if ending is not None:
                pipeline.streams.leave(ending)
            if budget is not None:
                limiter.leave(budget)
        if answer is not None:
            metrics.failed(GRPC_CODES[answer.code].name)
            abort(context, answer)
        metrics.ok.inc()

    return handle


def _uploading(pipeline: Pipeline, method: Method) -> Uploading:
    """Compose a method that takes a stream. The first message decides who may send it; each is held to the size cap."""
    parse, metrics = _parser(pipeline, method), pipeline.metrics.of(method.full_name)
    limiter = pipeline.limiter(method.full_name)
    report = FailureReport(method.full_name, pipeline.log)
    default_s = pipeline.upload_deadline.total_seconds()

    def handle(received: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        subject = ""
        budget = ending = answer = call = None
        reply = b""
        try:
            with _ended_after(default_s, context):
                remaining = _remaining(context, default_s)
                principal = pipeline.authenticator.authenticate(context)
                subject = principal.subject
                budget = limiter.enter(principal)
                ending = pipeline.streams.enter()
                requests = _messages(received, parse)
                first = next(requests)
                project = method.guard.admit(principal, first)
                call = Call(context, method.full_name, principal, project, pipeline.clock() + remaining, ending)
                more = _admitted(requests, method.guard, principal, project)
                reply = method.act(first, more, call).SerializeToString()
        except Exception as error:  # noqa: BLE001 - the outermost stage: whatever comes becomes a status
            answer = report.status(error, context, subject, call)
        finally:
            if ending is not None:
                pipeline.streams.leave(ending)
            if budget is not None:
                limiter.leave(budget)
        if answer is not None:
            metrics.failed(GRPC_CODES[answer.code].name)
            abort(context, answer)
        metrics.ok.inc()
        return reply

    return handle


def _messages(received: Iterator[bytes], parse: Callable[[bytes], Message]) -> Iterator[Message]:
    """The messages of an upload, at least one.

    Raises:
        InvalidArgumentError: there is none, or one is no message.
        DeadlineExceededError: the caller left, or its time was up.

    """
    count = 0
    try:
        for data in received:
            count += 1
            yield parse(data)
    except grpc.RpcError:
        raise DeadlineExceededError(ErrorReason.DEADLINE_EXCEEDED, _TIMED_OUT) from None
    if not count:
        raise InvalidArgumentError([Violation("request", ErrorReason.FIELD_REQUIRED, "the stream holds no message")])


def _admitted(messages: Iterator[Message], guard: Guard, principal: Principal, project: str) -> Iterator[Message]:
    for message in messages:
        guard.admit_more(principal, message, project)
        yield message


@contextmanager
def _ended_after(seconds: float, context: grpc.ServicerContext) -> Iterator[None]:
    """Cancel a call that brings no deadline after `seconds`.

    Reading waits for the caller and cannot be told to stop: so nobody holds a place by sending nothing.
    """
    if context.time_remaining() <= _NO_DEADLINE_S:
        yield
        return
    watch = threading.Timer(seconds, context.cancel)
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def _remaining(context: grpc.ServicerContext, default_s: float) -> float:
    """Seconds that the caller waits, or the default when it does not say.

    Raises:
        DeadlineExceededError: the time was spent in the queue; the caller has left.

    """
    remaining = context.time_remaining()
    if remaining > _NO_DEADLINE_S:
        return default_s
    if remaining <= 0.0:
        raise DeadlineExceededError(ErrorReason.DEADLINE_EXCEEDED, "the deadline had passed before the call was begun")
    return remaining


def _parser(pipeline: Pipeline, method: Method) -> Callable[[bytes], Message]:
    """Compose the reader of a method's requests."""
    read, type_name, cap = method.request.FromString, method.request.DESCRIPTOR.full_name, pipeline.max_message_bytes

    def parse(data: bytes) -> Message:
        if len(data) > cap:
            raise _too_large(len(data), cap)
        try:
            return read(data)
        except DecodeError:
            violation = Violation("request", ErrorReason.BAD_FORMAT, f"not a complete {type_name}")
            raise InvalidArgumentError([violation]) from None

    return parse


def _too_large(size: int, cap: int) -> TrimtabError:
    return ResourceExhaustedError(
        ErrorReason.TOO_LARGE,
        f"the message has {size} bytes, {cap} are accepted",
        metadata={"bytes": str(size), "limit": str(cap)},
    )


def _traced(handle: Unary, method: str, open_span: OpenSpan) -> Unary:
    def handle_in_span(data: bytes, context: grpc.ServicerContext) -> bytes:
        with open_span(method, context.invocation_metadata()) as span:
            try:
                reply = handle(data, context)
            except Exception:
                code = context.code()  # type: ignore[attr-defined] # on grpcio's context since 1.45, not in its stubs
                span.outcome(code.name if code is not None else "UNKNOWN")
                raise
            span.outcome("OK")
            return reply

    return handle_in_span
