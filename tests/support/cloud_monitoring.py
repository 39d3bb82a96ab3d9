"""A gRPC server that speaks `google.monitoring.v3`, as far as time series are listed. It holds aligned series."""

import re
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any, Final, Self

import grpc
from google.cloud import monitoring_v3
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

_METHOD: Final = "ListTimeSeries"
_TERM: Final = re.compile(
    r'([\w.]+) = (?:one_of\((?P<many>[^)]*)\)|starts_with\("(?P<start>[^"]*)"\)|"(?P<one>[^"]*)")'
)
_ALIGNERS: Final = {"ALIGN_MEAN", "ALIGN_MAX", "ALIGN_RATE"}
_LONGEST_FILTER: Final = 2_048


class CloudMonitoringFake:
    """Use it as a context manager. `target` is host:port, `requests` what arrived.

    `faults` are answered first: a status code, or "hang". `page_points` is how many points a page holds at most;
    series are cut there, as the service does. `unknown_metrics` are types that nothing ever wrote: NOT_FOUND.
    `execution_errors` makes every answer say that it may be short.
    """

    def __init__(self, page_points: int = 100_000) -> None:
        self.requests: list[Any] = []
        self.faults: deque[grpc.StatusCode | str] = deque()
        self.unknown_metrics: set[str] = set()
        self.execution_errors = False
        self.page_points = page_points
        self._series: list[Any] = []
        self._released = threading.Event()
        self._pool = ThreadPoolExecutor(8)
        self._server = grpc.server(self._pool)
        handler = grpc.unary_unary_rpc_method_handler(
            self._list,
            request_deserializer=monitoring_v3.ListTimeSeriesRequest.pb().FromString,
            response_serializer=monitoring_v3.ListTimeSeriesResponse.pb().SerializeToString,
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("google.monitoring.v3.MetricService", {_METHOD: handler}),)
        )
        self.target = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def store(
        self,
        metric_type: str,
        points: Sequence[tuple[int, object]],
        *,
        resource_type: str = "gce_instance",
        resource: Mapping[str, str] | None = None,
        metric: Mapping[str, str] | None = None,
        system: Mapping[str, str] | None = None,
    ) -> None:
        """Keep a series. `points` are (end of interval in epoch seconds, float | int | "distribution")."""
        pb = monitoring_v3.TimeSeries.pb()()
        pb.metric.type = metric_type
        pb.metric.labels.update(metric or {})
        pb.resource.type = resource_type
        pb.resource.labels.update(resource or {})
        for key, label in (system or {}).items():
            pb.metadata.system_labels[key] = label
        for end, value in points:
            point = pb.points.add()
            point.interval.end_time.seconds = end
            if isinstance(value, float):
                point.value.double_value = value
            elif isinstance(value, int):
                point.value.int64_value = value
            else:
                point.value.distribution_value.count = 3
        self._series.append(pb)

    def _list(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 - raw protobuf messages
        self.requests.append(request)
        self._fail(context)
        problem = _problem(request)
        if problem:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)
        terms = _terms(request.filter)
        if terms["metric.type"] & self.unknown_metrics:
            context.abort(grpc.StatusCode.NOT_FOUND, "Cannot find metric(s) that match type")
        matching = [one for one in self._series if _matches(one, terms)]
        flat = [(one, point) for one in matching for point in reversed(one.points)]
        start = int(request.page_token or 0)
        page = monitoring_v3.ListTimeSeriesResponse.pb()()
        last = None
        for one, point in flat[start : start + self.page_points]:
            if one is not last:
                entry = page.time_series.add()
                entry.CopyFrom(one)
                del entry.points[:]
                last = one
            page.time_series[-1].points.add().CopyFrom(point)
        if start + self.page_points < len(flat):
            page.next_page_token = str(start + self.page_points)
        if self.execution_errors:
            page.execution_errors.add(code=code_pb2.INTERNAL, message="some data is missing")
        return page

    def _fail(self, context: grpc.ServicerContext) -> None:
        if self.faults:
            fault = self.faults.popleft()
            if fault == "hang":
                self._released.wait(60)
                context.abort(grpc.StatusCode.UNAVAILABLE, "released")
            if fault is grpc.StatusCode.RESOURCE_EXHAUSTED:
                status = status_pb2.Status(code=code_pb2.RESOURCE_EXHAUSTED, message="quota of secret-project")
                delay = error_details_pb2.RetryInfo()
                delay.retry_delay.seconds = 7
                status.details.add().Pack(delay)
                context.abort_with_status(rpc_status.to_status(status))
            if isinstance(fault, grpc.StatusCode):
                context.abort(fault, "secret-token")

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._server.stop(None).wait()
        self._pool.shutdown()


def _terms(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for match in _TERM.finditer(text):
        many, start = match["many"], match["start"]
        if start is not None:
            found[match[1]] = {f"{start}*"}
        else:
            found[match[1]] = {match["one"]} if many is None else {one.strip().strip('"') for one in many.split(",")}
    return found


def _matches(series: Any, terms: Mapping[str, set[str]]) -> bool:  # noqa: ANN401 - a raw TimeSeries
    for key, accepted in terms.items():
        value = ""
        root, _, rest = key.partition(".")
        match root, rest.partition(".")[2]:
            case "metric", "":
                value = series.metric.type
            case "metric", label:
                value = series.metric.labels.get(label, "")
            case "resource", "":
                value = series.resource.type
            case "resource", label:
                value = series.resource.labels.get(label, "")
            case "metadata", label:
                value = series.metadata.system_labels.fields[label.partition(".")[2] or label].string_value
        if not any(fnmatchcase(value, one) for one in accepted):
            return False
    return True


def _problem(request: Any) -> str:  # noqa: ANN401 - a raw ListTimeSeriesRequest
    """What the service would refuse."""
    aggregation = request.aggregation
    aligner = monitoring_v3.Aggregation.Aligner(aggregation.per_series_aligner).name
    checks = {
        "name": re.fullmatch(r"projects/[\w-]+", request.name),
        "filter too long": len(request.filter) <= _LONGEST_FILTER,
        "filter syntax": " AND ".join(match[0] for match in _TERM.finditer(request.filter)) == request.filter,
        "a filter names one metric type": "metric.type" in _terms(request.filter),
        "alignment": aggregation.alignment_period.seconds >= 60 and aligner in _ALIGNERS,
        "a reducer without group_by_fields folds everything into one": aggregation.group_by_fields,
        "interval": request.interval.start_time.seconds < request.interval.end_time.seconds,
    }
    return next((name for name, is_right in checks.items() if not is_right), "")
