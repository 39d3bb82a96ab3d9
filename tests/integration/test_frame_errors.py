# ruff: noqa: ANN401 - messages of the Echo service are made at run time, so no type names them
"""What a caller sees of failures, through a real server and a real client."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from tests.support import echo
from tests.support.server import running

PARENT = "projects/a"


@pytest.fixture(scope="module")
def client() -> Iterator[echo.EchoClient]:
    """A client of one server for the module."""
    with running() as (_, address), grpc.insecure_channel(address) as channel:
        yield echo.EchoClient(channel)


def failure(call: Any, request: Any, **options: Any) -> tuple[grpc.RpcError, status_pb2.Status]:
    """Make a call that must fail; return the error and its rich status."""
    with pytest.raises(grpc.RpcError) as caught:
        call(request, **options)
    rich = rpc_status.from_call(caught.value)
    assert rich is not None
    return caught.value, rich


def detail(rich: status_pb2.Status, kind: Any) -> Any:
    """The one detail of a kind."""
    found = [entry for entry in rich.details if entry.Is(kind.DESCRIPTOR)]
    assert len(found) == 1
    message = kind()
    found[0].Unpack(message)
    return message


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        ("not_found", grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
        ("aborted", grpc.StatusCode.ABORTED, "ETAG_MISMATCH"),
        ("precondition", grpc.StatusCode.FAILED_PRECONDITION, "STATE_CONFLICT"),
        ("unavailable", grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE"),
        ("two_fields", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
        ("bug", grpc.StatusCode.INTERNAL, "INTERNAL"),
    ],
)
def test_every_error_has_its_code_and_exactly_one_error_info(
    client: echo.EchoClient, kind: str, code: grpc.StatusCode, reason: str
) -> None:
    """A program can branch on code, reason and domain alone."""
    error, rich = failure(client.fail, echo.EchoRequest(parent=PARENT, kind=kind))
    info = detail(rich, error_details_pb2.ErrorInfo)
    assert (error.code(), info.reason, info.domain) == (code, reason, "trimtab.v1")


def test_every_violation_is_told_with_field_and_reason(client: echo.EchoClient) -> None:
    """Both faults of a request arrive in one answer."""
    _, rich = failure(client.fail, echo.EchoRequest(parent=PARENT, kind="two_fields"))
    found = detail(rich, error_details_pb2.BadRequest).field_violations
    assert [(v.field, v.reason) for v in found] == [
        ("size.vcpus", "OUT_OF_RANGE"),
        ("size.gpus[0].model", "UNKNOWN_VALUE"),
    ]


def test_precondition_failure_names_the_resource(client: echo.EchoClient) -> None:
    """The resource in the wrong state is named apart from the text."""
    _, rich = failure(client.fail, echo.EchoRequest(parent=PARENT, kind="precondition"))
    violation = detail(rich, error_details_pb2.PreconditionFailure).violations[0]
    assert (violation.type, violation.subject) == ("STATE_CONFLICT", "projects/a/commitments/c")


@pytest.mark.parametrize("kind", ["bug", "os", "malformed"])
@pytest.mark.parametrize("method", ["fail", "watch"])
def test_text_of_an_unforeseen_exception_never_reaches_the_caller(
    client: echo.EchoClient, kind: str, method: str
) -> None:
    """Only a correlation id leaves the process, from unary methods and from streams."""
    with pytest.raises(grpc.RpcError) as caught:
        list(getattr(client, method)(echo.EchoRequest(parent=PARENT, kind=kind)))
    error = caught.value
    shown = f"{error.details()} {error.trailing_metadata()} {error}"
    assert error.code() is grpc.StatusCode.INTERNAL
    assert echo.SECRET not in shown
    assert "ZeroDivision" not in shown
    rich = rpc_status.from_call(error)
    assert rich is not None
    assert detail(rich, error_details_pb2.ErrorInfo).metadata["correlation_id"] in str(error.details())


def test_ten_thousand_violations_of_a_megabyte_fit_the_trailers(client: echo.EchoClient) -> None:
    """The status is cut to what trailers carry, says how many were left out, and the call does not break."""
    error, rich = failure(client.fail, echo.EchoRequest(parent=PARENT, kind="ten_thousand"))
    found = detail(rich, error_details_pb2.BadRequest).field_violations
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert rich.ByteSize() < 5_000
    assert found[-1].description == f"and {10_000 - (len(found) - 1)} more violations"


@pytest.mark.parametrize("data", [b"\x0a\x50abc", b"\xff\xff\xff", b"\x0a\x02\xff\xfe"])
def test_bytes_that_are_no_message_are_the_callers_fault(client: echo.EchoClient, data: bytes) -> None:
    """Truncated, random and non-UTF-8 bytes answer INVALID_ARGUMENT."""
    error, rich = failure(client.echo, data)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert detail(rich, error_details_pb2.ErrorInfo).reason == "BAD_FORMAT"


def test_oversized_message_is_refused_with_the_limit(client: echo.EchoClient) -> None:
    """A message just over the cap is explained; a far larger one is refused by the core with the same code."""
    error, rich = failure(client.echo, echo.EchoRequest(parent=PARENT, payload=b"x" * (4 * 2**20)))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert detail(rich, error_details_pb2.ErrorInfo).metadata["limit"] == str(4 * 2**20)
    with pytest.raises(grpc.RpcError) as caught:
        client.echo(echo.EchoRequest(parent=PARENT, payload=b"x" * (6 * 2**20)))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_missing_and_malformed_project_are_told_as_fields(client: echo.EchoClient) -> None:
    """Even an administrator must say which project."""
    for parent, reason in (("", "FIELD_REQUIRED"), ("a", "BAD_FORMAT"), ("projects/", "BAD_FORMAT")):
        _, rich = failure(client.echo, echo.EchoRequest(parent=parent))
        found = detail(rich, error_details_pb2.BadRequest).field_violations
        assert [(v.field, v.reason) for v in found] == [("parent", reason)]


def test_absent_deadline_becomes_the_default_and_a_given_one_is_kept() -> None:
    """The handler always knows how long its caller waits."""
    hour = timedelta(hours=1)
    with running(default_deadline=hour) as (_, address), grpc.insecure_channel(address) as channel:
        client = echo.EchoClient(channel)
        without = client.echo(echo.EchoRequest(parent=PARENT)).seconds_left
        given = client.echo(echo.EchoRequest(parent=PARENT), timeout=900).seconds_left
    assert 3_000 < without <= 3_600
    assert 600 < given <= 910


def test_work_stops_between_stages_when_the_deadline_passes() -> None:
    """A handler that checks does not work on for a caller that has left."""
    servicer = echo.Echo()
    with running(services=[echo.service(servicer)]) as (_, address), grpc.insecure_channel(address) as channel:
        client = echo.EchoClient(channel)
        while not servicer.worked:  # a call on a machine that stands still is over before it is begun
            with pytest.raises(grpc.RpcError) as caught:
                client.work(echo.EchoRequest(parent=PARENT, milliseconds=5_000), timeout=0.2)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    # The server has drained: what was done by now is all that will ever be done.
    assert 0 < servicer.worked < 500


def test_call_that_waited_out_its_deadline_in_the_queue_is_not_begun() -> None:
    """One thread is busy; the call queued behind it expires and is never handled."""
    servicer = echo.Echo()
    with (
        running(services=[echo.service(servicer)], threads=1) as (_, address),
        grpc.insecure_channel(address) as channel,
    ):
        client = echo.EchoClient(channel)
        servicer.may_end.clear()
        busy = client.work.future(echo.EchoRequest(parent=PARENT, milliseconds=400), timeout=60)
        while not servicer.worked:
            time.sleep(0.005)
        late = client.work.future(echo.EchoRequest(parent=PARENT, milliseconds=10), timeout=0.1)
        assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        servicer.may_end.set()
        busy.result()
        assert servicer.worked == 40
        client.work(echo.EchoRequest(parent=PARENT, milliseconds=10))
        assert servicer.worked == 41
