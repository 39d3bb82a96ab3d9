"""What probes, load balancers and people with grpcurl see."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from tests.support import echo
from tests.support.server import running
from trimtab_service.observability.tracing import Tracing
from trimtab_service.rpc.health import Probe

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
REQUEST = echo.EchoRequest(parent="projects/a")


def status_of(channel: grpc.Channel, service: str = "") -> int:
    """The health of one service."""
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    return int(check(health_pb2.HealthCheckRequest(service=service)).status)


class Part:
    """A part whose state the test sets."""

    def __init__(self) -> None:
        self.wrong: str | None = None

    def check(self) -> str | None:
        """What is wrong."""
        if self.wrong == "raise":
            raise OSError("gone")
        return self.wrong


def test_unwell_part_takes_down_only_what_depends_on_it() -> None:
    """A required part fails the whole, a service's part that service, any other part only shows."""
    parts = {name: Part() for name in ("schema", "engine", "log")}
    probes = [
        Probe("schema", parts["schema"].check, required=True),
        Probe("engine", parts["engine"].check, services=(echo.NAME,)),
        Probe("log", parts["log"].check),
    ]
    registry = CollectorRegistry()
    with (
        running(probes=probes, registry=registry) as (server, address),
        grpc.insecure_channel(address) as channel,
    ):
        for wrong, overall, service in (
            ({}, SERVING, SERVING),
            ({"log": "behind"}, SERVING, SERVING),
            ({"engine": "no catalogue"}, SERVING, NOT_SERVING),
            ({"schema": "old"}, NOT_SERVING, NOT_SERVING),
            ({"schema": "raise"}, NOT_SERVING, NOT_SERVING),
            ({}, SERVING, SERVING),
        ):
            for name, part in parts.items():
                part.wrong = wrong.get(name)
            found = server.health.look()
            assert (status_of(channel), status_of(channel, echo.NAME)) == (overall, service)
            assert found.ready == (overall == SERVING)
            assert set(found.problems) == set(wrong)
            for name in parts:
                assert registry.get_sample_value("trimtab_probe_up", {"probe": name}) == (name not in wrong)


def test_health_of_an_unknown_service_is_not_found() -> None:
    """A probe with a misspelt service does not pass."""
    with running() as (_, address), grpc.insecure_channel(address) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            status_of(channel, "trimtab.v1.NoSuchService")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_health_watch_tells_the_change_to_draining() -> None:
    """A load balancer that watches learns of the drain without asking again."""
    with running() as (server, address), grpc.insecure_channel(address) as channel:
        watch = channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        states = watch(health_pb2.HealthCheckRequest(service=echo.NAME))
        assert next(states).status == SERVING
        server.health.drain()
        assert next(states).status == NOT_SERVING


def reflected(address: str) -> list[str]:
    """The services that reflection lists."""
    with grpc.insecure_channel(address) as channel:
        ask = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        requests: Iterator[Any] = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        return [entry.name for entry in next(ask(requests)).list_services_response.service]


def test_reflection_lists_the_services_when_on_and_is_absent_when_off() -> None:
    """The switch does what it says."""
    with running(reflection=True) as (_, address):
        assert echo.NAME in reflected(address)
    with running(reflection=False) as (_, address):
        with pytest.raises(grpc.RpcError) as caught:
            reflected(address)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_reflection_streams_cannot_starve_calls() -> None:
    """More open reflection streams than there are threads leave calls answered."""
    with running(threads=2, stream_budget=2) as (_, address), grpc.insecure_channel(address) as channel:
        ask = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        done = threading.Event()

        def asking_once() -> Iterator[Any]:
            yield reflection_pb2.ServerReflectionRequest(list_services="")
            done.wait(60)

        held = [ask(asking_once()) for _ in range(2)]
        try:
            for stream in held:
                next(stream)  # both are being served, so their threads are taken
            held += [ask(asking_once()) for _ in range(2)]
            assert echo.EchoClient(channel).echo(REQUEST, timeout=60).subject == "anonymous"
        finally:
            done.set()
            for stream in held:
                stream.cancel()


def test_spans_continue_the_callers_trace_and_carry_the_outcome() -> None:
    """With tracing on, each call is a server span below the caller's, with its status code."""
    exporter = InMemorySpanExporter()
    tracing = Tracing(1.0, SimpleSpanProcessor(exporter))
    with (
        running(parts=lambda given: replace(given, open_span=tracing.open)) as (_, address),
        grpc.insecure_channel(address) as channel,
    ):
        client = echo.EchoClient(channel)
        trace = "0af7651916cd43dd8448eb211c80319c"
        metadata = (("traceparent", f"00-{trace}-b7ad6b7169203331-01"),)
        client.echo(REQUEST, metadata=metadata)
        with pytest.raises(grpc.RpcError):
            client.fail(echo.EchoRequest(parent="projects/a", kind="not_found"), metadata=metadata)
    tracing.close()
    spans = {span.name.rpartition("/")[2]: span for span in exporter.get_finished_spans()}
    assert {f"{span.context.trace_id:032x}" for span in spans.values()} == {trace}
    codes = {name: (span.attributes or {})["rpc.grpc.status_code"] for name, span in spans.items()}
    assert codes == {"Echo": "OK", "Fail": "NOT_FOUND"}
