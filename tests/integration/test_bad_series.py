"""Whatever monitoring gives, the service answers with a finding: data are no fault of the caller's, nor of ours."""

import math
import uuid
from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest

from tests.support import sizing_requests as asked
from tests.support.fleets import Clock
from tests.support.service import RunningService, running_service
from trimtab.v1 import rightsizing_pb2 as pb
from trimtab.v1 import rightsizing_service_pb2 as service_pb
from trimtab_service.bootstrap import Overrides

ADVICE = service_pb.RightsizingAdvice
DAY_S = 86_400
CPU, MEMORY = pb.METRIC_CPU, pb.METRIC_MEMORY
N = asked.FORTNIGHT
RAMP = [float(index * 1_000) for index in range(N)]

WITHOUT_ADVICE = {
    "none at all": [],
    "a series of length 0": [pb.MetricSeries(metric=CPU)],
    "a series of length 1": [asked.stamped(CPU, [(-60, 5.0)])],
    "all NaN": [asked.on_grid(CPU, [math.nan] * N)],
    "all infinite": [asked.on_grid(CPU, [math.inf] * N)],
    "all negative": [asked.on_grid(CPU, [-5.0] * N)],
    "a billion percent": [asked.on_grid(CPU, [1e9] * N)],
    "all in the future": [asked.stamped(CPU, [(DAY_S + 300 * index, 5.0) for index in range(N)])],
    "all of the last century": [asked.stamped(CPU, [(-40 * 366 * DAY_S + 300 * index, 5.0) for index in range(N)])],
    "an hour of data": [asked.on_grid(CPU, [5.0] * 12)],
    "one stamp for all": [asked.stamped(CPU, [(-60, float(index)) for index in range(N)])],
    "stamps at both ends of time": [asked.stamped(CPU, [(-60_000_000_000, 1.0), (200_000_000_000, 2.0)])],
}
"""Nothing can be said with these, and savings least of all."""

WITH_ADVICE = {
    "all equal": [asked.on_grid(CPU, [5.0] * N)],
    "all zero": [asked.on_grid(CPU, [0.0] * N)],
    "some NaN, some negative, some absurd": [
        asked.on_grid(CPU, [(math.nan, -1.0, 1e12, 10.0, 12.0)[index % 5] for index in range(N)])
    ],
    "1 s and 1 h mixed": [
        asked.stamped(
            CPU,
            [(-index, 9.0 + index % 3) for index in range(3_600)]
            + [(-3_600 * index, 8.0 + index % 4) for index in range(1, 24 * 13)],
        )
    ],
    "a counter that calls itself a gauge": [
        pb.MetricSeries(metric=pb.METRIC_NETWORK_IN, unit=pb.UNIT_BYTES, statistic=pb.STATISTIC_AVERAGE),
        asked.on_grid(CPU, asked.daily(10.0)),
    ],
    "a counter with resets": [
        asked.on_grid(CPU, asked.daily(10.0)),
        asked.on_grid(pb.METRIC_DISK_READ_OPS, [value % 700_000.0 for value in RAMP]),
    ],
    "out of order, and twice": [
        asked.stamped(CPU, [(-300 * index, 10.0) for index in range(N)] + [(-300 * index, 11.0) for index in range(N)])
    ],
    "a few in the future": [asked.stamped(CPU, [(300 * index, 10.0 + index % 3) for index in range(20 - N, 20)])],
    "several statistics of one load": [
        asked.on_grid(CPU, asked.daily(10.0), statistic=statistic)
        for statistic in (pb.STATISTIC_AVERAGE, pb.STATISTIC_MAXIMUM)
    ],
    "the smallest and the largest of numbers": [
        asked.on_grid(CPU, [(5e-324, 1.7e308, 20.0)[index % 3] for index in range(N)])
    ],
}
"""Enough is left of these."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service for all."""
    with running_service(tmp_path_factory.mktemp("service"), overrides=Overrides(clock=Clock())) as running:
        yield running


def advised(service: RunningService, series: list[pb.MetricSeries], **resource: object) -> ADVICE:
    """The advice, stored as well: what cannot be kept would be found here."""
    request = service_pb.RightsizeRequest(parent=f"projects/p{uuid.uuid4().hex[:10]}", resource=asked.instance())
    request.resource.MergeFrom(pb.CloudResource(**resource))  # type: ignore[arg-type] # fields of the message
    request.telemetry.series.extend(series)
    request.telemetry.SetInParent()
    return service.rightsizing.Rightsize(request, timeout=60)


def plausible(option: pb.RightsizingOption) -> None:
    """Every figure is one."""
    figures = [option.risk, option.back_test.exceedance, option.back_test.slack]
    for one in option.dimensions:
        figures += [one.capacity, one.demand, one.mean_utilization, one.max_utilization, one.risk]
    assert all(math.isfinite(figure) for figure in figures), option
    assert 0.0 <= option.risk <= 4.0
    assert 0.0 <= option.back_test.exceedance <= 1.0


@pytest.mark.parametrize("kind", WITHOUT_ADVICE)
def test_what_says_nothing_is_not_enough_data(service: RunningService, kind: str) -> None:
    """It says what is missing, offers nothing, recommends nothing."""
    advice = advised(service, WITHOUT_ADVICE[kind])
    assert advice.finding == ADVICE.FINDING_INSUFFICIENT_DATA
    assert advice.missing
    assert not advice.options
    assert not advice.recommendation


@pytest.mark.parametrize("kind", WITH_ADVICE)
def test_what_is_left_of_a_mess_is_advised_on(service: RunningService, kind: str) -> None:
    """What had to be done to the series is told, and every figure is finite."""
    advice = advised(service, WITH_ADVICE[kind])
    assert advice.finding in {
        ADVICE.FINDING_OPTIMIZED,
        ADVICE.FINDING_OVER_PROVISIONED,
        ADVICE.FINDING_NOT_OPTIMIZED,
        ADVICE.FINDING_IDLE,
    }
    assert 1 <= len(advice.telemetry.series) <= len(WITH_ADVICE[kind])
    for option in (advice.current, *advice.options):
        plausible(option)


def test_what_was_done_to_series_is_told(service: RunningService) -> None:
    """By constants, series by series."""
    notes = {
        note
        for series in (*WITHOUT_ADVICE.values(), *WITH_ADVICE.values())
        for one in advised(service, series).telemetry.series
        for note in one.notes
    }
    assert notes >= {
        "EMPTY",
        "NOT_FINITE",
        "NEGATIVE",
        "ABSURD",
        "FUTURE_POINTS",
        "OUTSIDE_LOOKBACK",
        "DUPLICATE_POINTS",
        "OUT_OF_ORDER",
        "MIXED_RESOLUTION",
        "CONSTANT",
    }


def test_ten_million_points_of_one_resource_are_advised_on(service: RunningService) -> None:
    """Streamed in parts, sized in another process; the serving one goes on answering."""
    parent = f"projects/p{uuid.uuid4().hex[:10]}"
    request = service_pb.RightsizeRequest(parent=parent, resource=asked.instance(), validate_only=True)
    request.preferences.lookback.FromTimedelta(timedelta(days=120))
    points, part = 10_000_000, 250_000
    head = request.telemetry.series.add(metric=CPU)
    head.start_time.FromDatetime((asked.NOW - timedelta(seconds=points)).replace(tzinfo=None))
    head.step.seconds = 1
    values = (10.0 + np.arange(part) % 50 * 0.1).tolist()

    def messages() -> Iterator[service_pb.StreamRightsizeRequest]:
        yield service_pb.StreamRightsizeRequest(request=request)
        for _ in range(points // part):
            yield service_pb.StreamRightsizeRequest(points=service_pb.SeriesPoints(series=0, values=values))

    large = service.rightsizing.StreamRightsize.future(messages(), timeout=110)
    small = advised(service, WITH_ADVICE["all equal"])
    assert small.finding == ADVICE.FINDING_OVER_PROVISIONED
    advice = large.result()
    assert advice.telemetry.series[0].points == points
    assert advice.finding == ADVICE.FINDING_OVER_PROVISIONED


@pytest.mark.parametrize("kind", list(pb.CloudResource.Kind.values()))
@pytest.mark.parametrize("count", [0, 1, 7, 10_000])
def test_every_kind_of_resource_gets_an_answer(service: RunningService, kind: int, count: int) -> None:
    """Whatever it is, and however many there are."""
    advice = advised(service, [asked.on_grid(CPU, asked.daily(10.0, 1_000))], kind=kind, count=count)
    assert advice.finding != ADVICE.FINDING_UNSPECIFIED


def test_a_hundred_at_once_do_not_disturb_one_another(service: RunningService) -> None:
    """The same questions together get the answers that they get alone."""
    request = asked.oversized(f"projects/p{uuid.uuid4().hex[:10]}")
    request.validate_only = True
    alone = service.rightsizing.Rightsize(request, timeout=60)
    together = [service.rightsizing.Rightsize.future(request, timeout=100) for _ in range(100)]
    assert all(call.result() == alone for call in together)
