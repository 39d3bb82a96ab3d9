"""Series of the contract become arrays; what is wrong with a message is named, what is wrong with data passes."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.v1 import rightsizing_pb2 as pb
from trimtab.v1 import rightsizing_service_pb2 as service_pb
from trimtab_service.domain.dimensions import Metric, Statistic, Unit
from trimtab_service.rpc.fields import Violations
from trimtab_service.rpc.telemetry_parser import MAX_SERIES, UNITS_OF, begin_telemetry, parse_telemetry

NAN = math.nan


def gauge(**fields: object) -> pb.MetricSeries:
    """A CPU series."""
    return pb.MetricSeries(metric=pb.METRIC_CPU, **fields)  # type: ignore[arg-type] # fields of the message


def on_grid(values: list[float], start: int = 1_000, step: int = 60) -> pb.MetricSeries:
    """A CPU series on a grid."""
    series = gauge(values=values)
    series.start_time.seconds = start
    series.step.seconds = step
    return series


def faults(*series: pb.MetricSeries) -> dict[str, str]:
    """Fields at fault, with their reasons."""
    found = Violations()
    begin_telemetry(pb.Telemetry(series=series), found, "telemetry")
    return {violation.field: violation.reason.name for violation in found.found}


def test_a_grid_gives_each_value_its_stamp() -> None:
    """Values on a grid are stamped from its beginning, gaps included."""
    found = Violations()
    (one,) = parse_telemetry(pb.Telemetry(series=[on_grid([1.0, NAN, 3.0])]), found, "telemetry").series
    assert not found
    assert one.epoch_seconds.tolist() == [1_000, 1_060, 1_120]
    assert np.array_equal(one.values, [1.0, NAN, 3.0], equal_nan=True)
    assert (one.metric, one.unit, one.statistic, one.step_seconds) == (Metric.CPU, Unit.PERCENT, Statistic.AVERAGE, 60)


@given(st.lists(st.tuples(st.integers(-(2**35), 2**35), st.floats(allow_nan=True, allow_infinity=True)), max_size=50))
def test_columns_pass_unchanged_whatever_they_hold(points: list[tuple[int, float]]) -> None:
    """Order, duplicates, NaN, infinities and absurd values are the engine's to judge: nothing is dropped here."""
    found = Violations()
    series = gauge(epoch_seconds=[stamp for stamp, _ in points], values=[value for _, value in points])
    (one,) = parse_telemetry(pb.Telemetry(series=[series]), found, "telemetry").series
    assert not found
    assert one.epoch_seconds.dtype == np.int64
    assert one.values.dtype == np.float64
    assert one.epoch_seconds.tolist() == [stamp for stamp, _ in points]
    assert np.array_equal(one.values, [value for _, value in points], equal_nan=True)


@given(parts=st.lists(st.lists(st.floats(allow_nan=False), min_size=1, max_size=20), max_size=6), grid=st.booleans())
def test_parts_of_a_series_are_the_series(parts: list[list[float]], *, grid: bool) -> None:
    """However a series is cut into messages, the same arrays come out."""
    whole = [value for part in parts for value in part]
    head = on_grid([]) if grid else gauge()
    found = Violations()
    (pending,) = begin_telemetry(pb.Telemetry(series=[head]), found, "telemetry")
    stamps = iter(range(1_000, 1_000 + 60 * len(whole) + 1, 60))
    for part in parts:
        message = service_pb.SeriesPoints(values=part)
        if not grid:
            message.epoch_seconds.extend(next(stamps) for _ in part)
        pending.add(message, found, "points")
    assert not found
    assert pending.points == len(whole)
    one = pending.finish()
    assert one.values.tolist() == whole
    assert one.epoch_seconds.tolist() == list(range(1_000, 1_000 + 60 * len(whole), 60))


@pytest.mark.parametrize(
    ("series", "field", "reason"),
    [
        (pb.MetricSeries(values=[1.0], epoch_seconds=[1]), "metric", "FIELD_REQUIRED"),
        (pb.MetricSeries(metric=99), "metric", "UNKNOWN_VALUE"),  # type: ignore[arg-type] # what a newer client may send
        (gauge(unit=99), "unit", "UNKNOWN_VALUE"),
        (gauge(unit=pb.UNIT_BYTES), "unit", "CONTRADICTION"),
        (gauge(statistic=99), "statistic", "UNKNOWN_VALUE"),
        (gauge(device="x" * 129), "device", "TOO_LARGE"),
        (gauge(device="a\x00b"), "device", "BAD_FORMAT"),
        (gauge(values=[1.0]), "epoch_seconds", "FIELD_REQUIRED"),
        (gauge(values=[1.0, 2.0], epoch_seconds=[1]), "epoch_seconds", "CONTRADICTION"),
        (gauge(epoch_seconds=[1]), "epoch_seconds", "CONTRADICTION"),
        (gauge(values=[1.0], epoch_seconds=[1_700_000_000_000]), "epoch_seconds", "OUT_OF_RANGE"),
        (gauge(values=[1.0], epoch_seconds=[-(2**62)]), "epoch_seconds", "OUT_OF_RANGE"),
    ],
)
def test_what_is_wrong_with_a_series_is_named(series: pb.MetricSeries, field: str, reason: str) -> None:
    """Each fault names its field."""
    assert faults(series)[f"telemetry.series[0].{field}"] == reason


def _without_step(series: pb.MetricSeries) -> None:
    series.ClearField("step")


def _without_start(series: pb.MetricSeries) -> None:
    series.ClearField("start_time")


def _step(seconds: int, nanos: int = 0) -> Callable[[pb.MetricSeries], None]:
    def change(series: pb.MetricSeries) -> None:
        series.step.seconds, series.step.nanos = seconds, nanos

    return change


def _late(series: pb.MetricSeries) -> None:
    series.start_time.seconds = 253_402_214_390


def _stamped(series: pb.MetricSeries) -> None:
    series.epoch_seconds.append(1)


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        (_without_step, "step", "FIELD_REQUIRED"),
        (_without_start, "start_time", "FIELD_REQUIRED"),
        (_step(0), "step", "OUT_OF_RANGE"),
        (_step(-60), "step", "OUT_OF_RANGE"),
        (_step(0, 500_000_000), "step", "BAD_FORMAT"),
        (_step(86_400 * 365), "step", "OUT_OF_RANGE"),
        (_late, "values", "OUT_OF_RANGE"),
        (_stamped, "epoch_seconds", "CONTRADICTION"),
    ],
)
def test_what_is_wrong_with_a_grid_is_named(change: Callable[[pb.MetricSeries], None], field: str, reason: str) -> None:
    """A grid has a beginning, and a step of whole seconds; values on it have no stamps of their own."""
    series = on_grid([1.0, 2.0])
    change(series)
    assert faults(series)[f"telemetry.series[0].{field}"] == reason


def test_all_faults_are_told_at_once() -> None:
    """A caller learns everything in one answer."""
    found = faults(gauge(values=[1.0]), gauge(device="1"), gauge(device="2", unit=pb.UNIT_GPUS), pb.MetricSeries())
    assert set(found) == {
        "telemetry.series[0].epoch_seconds",
        "telemetry.series[2].unit",
        "telemetry.series[3].metric",
    }


def test_too_many_series_are_refused_unread() -> None:
    """The cap stands before any work."""
    many = [gauge(device=str(number)) for number in range(MAX_SERIES + 1)]
    assert faults(*many) == {"telemetry.series": "TOO_LARGE"}
    assert not faults(*many[1:])


def test_one_series_given_twice_is_named() -> None:
    """It would count twice; another device or another statistic is another series."""
    assert faults(gauge(), gauge(statistic=pb.STATISTIC_MAXIMUM), gauge(device="1"), gauge()) == {
        "telemetry.series[3].device": "CONTRADICTION"
    }
    assert faults(gauge(), gauge(statistic=pb.STATISTIC_AVERAGE)) == {"telemetry.series[1].device": "CONTRADICTION"}


@pytest.mark.parametrize("metric", list(Metric))
def test_every_metric_has_a_unit_of_its_own(metric: Metric) -> None:
    """A series without a unit is read in its metric's first one."""
    found = Violations()
    message = pb.Telemetry(series=[pb.MetricSeries(metric=getattr(pb, f"METRIC_{metric.name}"))])
    (one,) = parse_telemetry(message, found, "telemetry").series
    assert not found
    assert one.unit is UNITS_OF[metric][0]
