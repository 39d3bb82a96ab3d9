"""Requests for advice on sizes, of resources whose load a test knows."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from trimtab.v1 import rightsizing_pb2 as pb
from trimtab.v1 import types_pb2
from trimtab.v1.rightsizing_service_pb2 import RightsizeRequest

NOW: Final = datetime(2026, 11, 23, 12, tzinfo=UTC)
STEP_S: Final = 300
FORTNIGHT: Final = 14 * 86_400 // STEP_S
POINT_CAP: Final = 400_000
"""Points that the service of these tests takes in one request."""


def instance(resource_id: str = "i-1", instance_type: str = "m5.4xlarge") -> pb.CloudResource:
    """An instance of the starter catalogue: 16 vCPUs, 64 GiB."""
    return pb.CloudResource(
        resource_id=resource_id, cloud=types_pb2.CLOUD_AWS, region="us-east-1", instance_type=instance_type
    )


def daily(level: float, points: int = FORTNIGHT) -> list[float]:
    """A load that goes up and down with the day, never above 1.5 times its level."""
    return [level * (1.0 + 0.5 * math.sin(2 * math.pi * index * STEP_S / 86_400)) for index in range(points)]


def on_grid(
    metric: pb.Metric.ValueType,
    values: Iterable[float],
    unit: pb.Unit.ValueType = pb.UNIT_UNSPECIFIED,
    statistic: pb.Statistic.ValueType = pb.STATISTIC_UNSPECIFIED,
) -> pb.MetricSeries:
    """A series that ends now."""
    series = pb.MetricSeries(metric=metric, unit=unit, values=values, statistic=statistic)
    start = NOW - timedelta(seconds=STEP_S * len(series.values))
    series.start_time.FromDatetime(start.replace(tzinfo=None))
    series.step.seconds = STEP_S
    return series


def stamped(metric: pb.Metric.ValueType, points: Iterable[tuple[int, float]]) -> pb.MetricSeries:
    """A series of points with their own stamps, in seconds from now (negative is past)."""
    series = pb.MetricSeries(metric=metric)
    now = int(NOW.timestamp())
    for offset, value in points:
        series.epoch_seconds.append(now + offset)
        series.values.append(value)
    return series


def oversized(parent: str, resource_id: str = "i-1") -> RightsizeRequest:
    """Sixteen vCPUs of which two are used, and memory to match."""
    request = RightsizeRequest(parent=parent, resource=instance(resource_id))
    request.telemetry.series.append(on_grid(pb.METRIC_CPU, daily(8.0)))
    request.telemetry.series.append(on_grid(pb.METRIC_MEMORY, daily(10.0)))
    return request
