# ruff: noqa: ANN401 - keywords of several types are passed through
"""Nobody can take more than a share: rates, concurrency and streams through a real server."""

import time
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from tests.support import echo
from tests.support.server import running
from trimtab_service.settings_values import MethodLimit

PARENT = "projects/a"
REQUEST = echo.EchoRequest(parent=PARENT)


def refused(error: grpc.RpcError) -> tuple[str, float]:
    """Reason and seconds to wait of a RESOURCE_EXHAUSTED."""
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    rich = rpc_status.from_call(error)
    assert rich is not None
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for entry in rich.details:
        for message in (info, retry):
            if entry.Is(message.DESCRIPTOR):
                entry.Unpack(message)
    return info.reason, retry.retry_delay.ToTimedelta().total_seconds()


def limit(method: str, **values: Any) -> MethodLimit:
    """Limits of one Echo method."""
    return MethodLimit(f"/{echo.NAME}/{method}", **{"rate": 1e6, "burst": 10**6, "concurrency": 1000, **values})


def test_rate_is_refused_with_the_time_to_wait_and_other_methods_go_on() -> None:
    """The burst passes, the next call learns when to come back, another method is untouched."""
    limits = (limit("Echo", rate=0.001, burst=3),)
    with running(limits=limits) as (_, address), grpc.insecure_channel(address) as channel:
        client = echo.EchoClient(channel)
        for _ in range(3):
            client.echo(REQUEST)
        with pytest.raises(grpc.RpcError) as caught:
            client.echo(REQUEST)
        reason, wait = refused(caught.value)
        assert reason == "RATE_LIMITED"
        assert 0 < wait <= 1_000
        assert client.administer(REQUEST).subject == "anonymous"


def test_concurrency_cap_refuses_the_excess_and_frees_its_place() -> None:
    """Two long calls fill the cap, a third is refused, and after them there is room again."""
    limits = (limit("Work", concurrency=2),)
    servicer = echo.Echo()
    servicer.may_end.clear()
    served = running(services=[echo.service(servicer)], limits=limits)
    with served as (_, address), grpc.insecure_channel(address) as channel:
        client = echo.EchoClient(channel)
        calls = [client.work.future(echo.EchoRequest(parent=PARENT, milliseconds=10)) for _ in range(3)]
        while not any(call.done() for call in calls):
            time.sleep(0.01)
        servicer.may_end.set()
        codes = sorted(call.code().name for call in calls)
        assert codes == ["OK", "OK", "RESOURCE_EXHAUSTED"]
        client.work(echo.EchoRequest(parent=PARENT, milliseconds=10))


def test_failed_calls_give_their_place_back() -> None:
    """A method that only fails does not leak concurrency."""
    limits = (limit("Fail", concurrency=1),)
    with running(limits=limits) as (_, address), grpc.insecure_channel(address) as channel:
        client = echo.EchoClient(channel)
        for kind in ("bug", "not_found", "two_fields") * 3:
            with pytest.raises(grpc.RpcError) as caught:
                client.fail(echo.EchoRequest(parent=PARENT, kind=kind))
            assert caught.value.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED


def test_health_is_answered_while_every_thread_is_busy() -> None:
    """Health has threads of its own, so a busy server is not taken for a dead one."""
    servicer = echo.Echo()
    servicer.may_end.clear()
    with (
        running(services=[echo.service(servicer)], threads=1) as (_, address),
        grpc.insecure_channel(address) as channel,
    ):
        client = echo.EchoClient(channel)
        busy = [client.work.future(echo.EchoRequest(parent=PARENT, milliseconds=10)) for _ in range(2)]
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60)
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        assert not any(call.done() for call in busy)
        servicer.may_end.set()
        for call in busy:
            call.result()


def test_streams_beyond_the_budget_are_refused_and_never_starve_unary_calls() -> None:
    """With all places taken and a single unary thread, calls are answered and a freed place is usable."""
    with running(threads=1, stream_budget=2) as (_, address), grpc.insecure_channel(address) as channel:
        client = echo.EchoClient(channel)
        endless = echo.EchoRequest(parent=PARENT, milliseconds=60_000)
        streams = [client.watch(endless) for _ in range(2)]
        for stream in streams:
            next(stream)
        with pytest.raises(grpc.RpcError) as caught:
            next(client.watch(endless))
        reason, wait = refused(caught.value)
        assert (reason, wait > 0) == ("STREAM_BUDGET_SPENT", True)
        assert client.echo(REQUEST).subject == "anonymous"
        streams[0].cancel()
        # Cancelling is told to the server asynchronously: keep asking until the place is free.
        while True:
            try:
                next(client.watch(endless))
                break
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise


def test_stream_of_a_caller_that_left_ends_while_it_waits() -> None:
    """Cancellation wakes a stream that would sleep for a minute; its place is free again."""
    with running(stream_budget=1) as (server, address), grpc.insecure_channel(address) as channel:
        stream = echo.EchoClient(channel).watch(echo.EchoRequest(parent=PARENT, milliseconds=60_000))
        next(stream)
        stream.cancel()
        while len(server._streams):  # the test's own timeout is the bound
            time.sleep(0.01)
