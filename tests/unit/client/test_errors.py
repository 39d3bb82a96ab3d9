"""Failures as exceptions: the class says the code, the details are kept."""

from datetime import timedelta

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

import trimtab
from tests.support.canned_server import CannedServer
from trimtab import errors
from trimtab.v1.placement_service_pb2 import BatchPlaceResponse, Decision, Workload


def _status(code: int, *details: Message) -> status_pb2.Status:
    status = status_pb2.Status(code=code, message="what went wrong")
    for detail in details:
        status.details.add().Pack(detail)
    return status


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_code_has_a_class_of_its_own(code: grpc.StatusCode) -> None:
    """A program can catch exactly one kind of failure."""
    error = errors.from_status(_status(code.value[0]))
    assert error.code is code
    assert type(error) is not errors.CallError
    assert isinstance(error, trimtab.TrimtabError)


def test_an_unknown_code_is_an_unknown_error() -> None:
    """A code of the future does not break the client of today."""
    assert type(errors.from_status(_status(99))) is errors.UnknownError


def test_details_survive_the_wire(server: CannedServer) -> None:
    """Reason, metadata, fields at fault and the delay all arrive with the exception."""
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(
        field="workload.size.gpus[0].model", description="unknown GPU model", reason="UNKNOWN_VALUE"
    )
    bad.field_violations.add(field="workload.count", description="negative", reason="OUT_OF_RANGE")
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(1500)
    info = error_details_pb2.ErrorInfo(reason="INVALID_REQUEST", domain="trimtab.v1", metadata={"model": "V1000"})
    server.answer("Place", _status(code_pb2.INVALID_ARGUMENT, info, bad, retry))
    with trimtab.Client(server.target) as client, pytest.raises(errors.InvalidArgumentError) as caught:
        client.place(Workload())
    error = caught.value
    assert str(error) == error.message == "what went wrong"
    assert (error.reason, error.details.domain, dict(error.metadata)) == (
        "INVALID_REQUEST",
        "trimtab.v1",
        {"model": "V1000"},
    )
    assert error.retry_delay == timedelta(seconds=1.5)
    assert error.violations == (
        errors.FieldViolation("workload.size.gpus[0].model", "unknown GPU model", "UNKNOWN_VALUE"),
        errors.FieldViolation("workload.count", "negative", "OUT_OF_RANGE"),
    )
    assert isinstance(error.__cause__, grpc.RpcError)


def test_an_internal_fault_names_its_correlation_id() -> None:
    """The id is what a person hands to whoever can read the server's log."""
    info = error_details_pb2.ErrorInfo(reason="INTERNAL", domain="trimtab.v1", metadata={"correlation_id": "c0ffee"})
    assert errors.from_status(_status(code_pb2.INTERNAL, info)).correlation_id == "c0ffee"


def test_a_failure_without_details_is_still_an_error(server: CannedServer) -> None:
    """Proxies and old servers send a code and a text only."""
    with (
        trimtab.Client(server.target) as client,
        pytest.raises(errors.UnimplementedError, match="no canned reply") as caught,
    ):
        client.catalog.get_catalog()
    assert caught.value.details == errors.ErrorDetails()


def test_a_broken_detail_does_not_hide_the_error() -> None:
    """Bytes that do not parse are skipped; the details beside them are kept."""
    status = _status(code_pb2.ABORTED, error_details_pb2.ErrorInfo(reason="ETAG_MISMATCH"))
    status.details.insert(0, Any(type_url="type.googleapis.com/google.rpc.BadRequest", value=b"\xff\xff"))
    error = errors.from_status(status)
    assert isinstance(error, errors.AbortedError)
    assert error.reason == "ETAG_MISMATCH"


def test_an_item_of_a_batch_fails_alone(server: CannedServer) -> None:
    """Results keep the order of the request; an error is a value there and not raised."""
    reply = BatchPlaceResponse()
    reply.results.add().decision.name = "projects/default/decisions/d1"
    reply.results.add().error.CopyFrom(_status(code_pb2.INVALID_ARGUMENT))
    server.answer("BatchPlace", reply)
    with trimtab.Client(server.target) as client:
        good, bad = client.placement.batch_place([Workload(), Workload()], joint=True)
    assert isinstance(good, Decision)
    assert isinstance(bad, errors.InvalidArgumentError)
    assert server.calls[0].request.joint
