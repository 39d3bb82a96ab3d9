"""Rightsizing of many resources at once, and of series that come as a stream."""

import uuid
from collections.abc import Iterator

import grpc
import psutil
import pytest

from tests.support import sizing_requests as asked
from tests.support.contract import refusal, refusal_of
from tests.support.service import RunningService
from tests.support.sizing_requests import POINT_CAP, oversized
from trimtab.v1 import rightsizing_pb2 as pb
from trimtab.v1 import rightsizing_service_pb2 as service_pb
from trimtab_service.rpc.sizing_work import HEAVY_POINTS

ADVICE = service_pb.RightsizingAdvice


def test_a_batch_answers_each_item_in_order(service: RunningService, parent: str) -> None:
    """A wrong item is an error of its own; the others are advised and stored."""
    batch = service_pb.BatchRightsizeRequest(parent=parent, request_id=str(uuid.uuid4()))
    batch.requests.extend(oversized("", f"i-{number}") for number in range(3))
    batch.requests[1].resource.region = "nowhere"
    batch.requests[1].request_id = "not a uuid, and not used"
    reply = service.rightsizing.BatchRightsize(batch, timeout=60)
    assert [result.WhichOneof("result") for result in reply.results] == ["advice", "error", "advice"]
    error = refusal(reply.results[1].error, grpc.StatusCode.INVALID_ARGUMENT)
    assert error.fields == {"requests[1].resource.region": "UNKNOWN_VALUE"}
    names = [reply.results[index].advice.recommendation for index in (0, 2)]
    assert [reply.results[index].advice.resource.resource_id for index in (0, 2)] == ["i-0", "i-2"]
    assert len(set(names)) == 2
    assert service.rightsizing.BatchRightsize(batch, timeout=60) == reply
    single = service.rightsizing.Rightsize(oversized(parent, "i-2"), timeout=30)
    assert single.recommendation == names[1]


def test_one_resource_twice_in_a_batch_is_one_recommendation(service: RunningService, parent: str) -> None:
    """What is said of it last counts."""
    batch = service_pb.BatchRightsizeRequest(parent=parent, requests=[oversized(""), oversized("")])
    reply = service.rightsizing.BatchRightsize(batch, timeout=60)
    assert len({result.advice.recommendation for result in reply.results}) == 1
    assert reply.results[0].advice.recommendation


def test_a_batch_only_asked_about_stores_nothing(service: RunningService, parent: str) -> None:
    """`validate_only` of the batch counts, not of its items."""
    batch = service_pb.BatchRightsizeRequest(parent=parent, validate_only=True, requests=[oversized("")])
    (result,) = service.rightsizing.BatchRightsize(batch, timeout=60).results
    assert result.advice.finding == ADVICE.FINDING_OVER_PROVISIONED
    assert not result.advice.recommendation


@pytest.mark.parametrize(
    ("requests", "field", "reason"),
    [
        ([], "requests", "FIELD_REQUIRED"),
        ([service_pb.RightsizeRequest()] * 257, "requests", "TOO_LARGE"),
    ],
)
def test_a_batch_of_no_or_too_many_items_is_refused(
    service: RunningService, parent: str, requests: list[service_pb.RightsizeRequest], field: str, reason: str
) -> None:
    """1 to 256."""
    with pytest.raises(grpc.RpcError) as caught:
        service.rightsizing.BatchRightsize(
            service_pb.BatchRightsizeRequest(parent=parent, requests=requests), timeout=30
        )
    assert refusal_of(caught.value).fields == {field: reason}


def parts(request: service_pb.RightsizeRequest, size: int) -> Iterator[service_pb.StreamRightsizeRequest]:
    """A request as a stream: heads first, then points, series by series in turn."""
    head = service_pb.RightsizeRequest()
    head.CopyFrom(request)
    for series in head.telemetry.series:
        del series.values[:]
        del series.epoch_seconds[:]
    yield service_pb.StreamRightsizeRequest(request=head)
    longest = max(len(series.values) for series in request.telemetry.series)
    for begin in range(0, longest, size):
        for index, series in enumerate(request.telemetry.series):
            points = service_pb.SeriesPoints(
                series=index,
                values=series.values[begin : begin + size],
                epoch_seconds=series.epoch_seconds[begin : begin + size],
            )
            if points.values:
                yield service_pb.StreamRightsizeRequest(points=points)


def test_a_stream_is_answered_as_one_message_would_be(service: RunningService, parent: str) -> None:
    """Grids go on where they ended; stamped series bring their stamps; the answer is the same to the byte."""
    request = oversized(parent)
    request.validate_only = True
    points = [(-asked.STEP_S * index, 30.0 + index % 7) for index in range(2_000)]
    request.telemetry.series.append(asked.stamped(pb.METRIC_CPU_THROTTLED, ((at, 0.0) for at, _ in points)))
    whole = service.rightsizing.Rightsize(request, timeout=30)
    streamed = service.rightsizing.StreamRightsize(parts(request, 977), timeout=30)
    assert streamed.SerializeToString(deterministic=True) == whole.SerializeToString(deterministic=True)


def test_a_stream_is_stored_once_for_its_request_id(service: RunningService, parent: str) -> None:
    """The points count as part of the body."""
    request = oversized(parent)
    request.request_id = str(uuid.uuid4())
    first = service.rightsizing.StreamRightsize(parts(request, 1_000), timeout=30)
    assert first.recommendation
    assert service.rightsizing.StreamRightsize(parts(request, 1_000), timeout=30) == first
    request.telemetry.series[0].values[7] += 1.0
    with pytest.raises(grpc.RpcError) as caught:
        service.rightsizing.StreamRightsize(parts(request, 1_000), timeout=30)
    assert refusal_of(caught.value).says("request_id") == "REQUEST_ID_REUSED"


def _points(series: int = 0, values: int = 1, stamps: int = 0) -> service_pb.StreamRightsizeRequest:
    points = service_pb.SeriesPoints(series=series, values=[1.0] * values, epoch_seconds=[1] * stamps)
    return service_pb.StreamRightsizeRequest(points=points)


@pytest.mark.parametrize(
    ("later", "field", "reason"),
    [
        ([service_pb.StreamRightsizeRequest()], "points", "FIELD_REQUIRED"),
        ([_points(series=2)], "points.series", "OUT_OF_RANGE"),
        ([_points(series=-1)], "points.series", "OUT_OF_RANGE"),
        ([_points(values=0)], "points.values", "FIELD_REQUIRED"),
        ([_points(stamps=1)], "points.epoch_seconds", "CONTRADICTION"),
        ([_points(values=POINT_CAP // 2)] * 3, "points.values", "TOO_LARGE"),
    ],
)
def test_what_is_wrong_with_a_stream_is_named(
    service: RunningService,
    parent: str,
    later: list[service_pb.StreamRightsizeRequest],
    field: str,
    reason: str,
) -> None:
    """Whatever comes after the request, it is refused at once and with its field."""
    head = next(parts(oversized(parent), 1))
    with pytest.raises(grpc.RpcError) as caught:
        service.rightsizing.StreamRightsize(iter([head, *later]), timeout=30)
    assert refusal_of(caught.value).fields == {field: reason}


def test_a_stream_begins_with_its_request(service: RunningService, parent: str) -> None:
    """Which names series of its own, and no source."""
    with pytest.raises(grpc.RpcError) as caught:
        service.rightsizing.StreamRightsize(iter([_points()]), timeout=30)
    assert refusal_of(caught.value).fields == {"request.parent": "FIELD_REQUIRED"}
    request = service_pb.RightsizeRequest(parent=parent, resource=asked.instance(), telemetry_source="east")
    with pytest.raises(grpc.RpcError) as caught:
        service.rightsizing.StreamRightsize(iter([service_pb.StreamRightsizeRequest(request=request)]), timeout=30)
    assert refusal_of(caught.value).fields == {"request.telemetry_source": "CONTRADICTION"}


def test_large_series_are_advised_on_by_another_process(service: RunningService, parent: str) -> None:
    """The serving process hands them over, so that others are answered meanwhile."""
    request = service_pb.RightsizeRequest(parent=parent, resource=asked.instance(), validate_only=True)
    every_ten = [(-10 * index, 10.0 + index % 5) for index in range(HEAVY_POINTS + 1)]
    request.telemetry.series.append(asked.stamped(pb.METRIC_CPU, every_ten))
    before = len(psutil.Process().children())
    advice = service.rightsizing.StreamRightsize(parts(request, 20_000), timeout=100)
    assert advice.telemetry.series[0].points == HEAVY_POINTS + 1
    assert advice.finding not in {ADVICE.FINDING_UNSUPPORTED, ADVICE.FINDING_SOURCE_FAILED}
    assert len(psutil.Process().children()) > before


def test_a_large_batch_is_advised_on_by_another_process(service: RunningService, parent: str) -> None:
    """Many small resources are much work too; each item gets the answer that it would get alone."""
    count = HEAVY_POINTS // (2 * asked.FORTNIGHT) + 20
    batch = service_pb.BatchRightsizeRequest(parent=parent, validate_only=True)
    batch.requests.extend(oversized("", f"i-{number}") for number in range(count))
    batch.requests[3].resource.region = "nowhere"
    reply = service.rightsizing.BatchRightsize(batch, timeout=100)
    alone = oversized(parent, "i-7")
    alone.validate_only = True
    assert reply.results[7].advice == service.rightsizing.Rightsize(alone, timeout=30)
    assert [index for index, one in enumerate(reply.results) if one.WhichOneof("result") == "error"] == [3]
    assert [one.advice.resource.resource_id for one in reply.results[4:]] == [f"i-{n}" for n in range(4, count)]
