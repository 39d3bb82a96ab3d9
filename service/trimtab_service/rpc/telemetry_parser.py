"""Parses inline series, whole or in parts, into arrays.

What is wrong with *values* (none, NaN, negative, absurd, in the future, a counter that calls itself a gauge) is left
to the engine, which notes it in its answer: monitoring gives such things, and no caller can mend them. What is
wrong with the *message* is a fault of the request.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trimtab.v1 import rightsizing_pb2 as pb
from trimtab.v1 import rightsizing_service_pb2 as service_pb
from trimtab_service.domain.dimensions import Metric, Statistic, Unit
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.rightsizing.telemetry import RawSeries, Telemetry
from trimtab_service.rpc import bounds
from trimtab_service.rpc.fields import FieldPath, Violations
from trimtab_service.rpc.sizing_vocabulary import METRIC_OF, STATISTIC_OF, UNIT_OF

MAX_SERIES: Final = 256
MAX_DEVICE: Final = 128
MAX_STEP_S: Final = 31 * 86_400

_SHARES: Final = (Unit.PERCENT, Unit.RATIO)
_HELD: Final = (*_SHARES, Unit.BYTES, Unit.GIB)
_MOVED: Final = (Unit.BYTES, Unit.GIB, Unit.BYTES_PER_SECOND, Unit.BITS_PER_SECOND)
_COUNTED: Final = (Unit.COUNT, Unit.COUNT_PER_SECOND)

UNITS_OF: Final[Mapping[Metric, tuple[Unit, ...]]] = {
    Metric.CPU: (*_SHARES, Unit.VCPUS),
    Metric.MEMORY: _HELD,
    Metric.NETWORK_IN: _MOVED,
    Metric.NETWORK_OUT: _MOVED,
    Metric.DISK_READ_OPS: _COUNTED,
    Metric.DISK_WRITE_OPS: _COUNTED,
    Metric.DISK_READ_BYTES: _MOVED,
    Metric.DISK_WRITE_BYTES: _MOVED,
    Metric.GPU: (*_SHARES, Unit.GPUS),
    Metric.GPU_MEMORY: _HELD,
    Metric.INSTANCES: (Unit.COUNT,),
    Metric.OOM_KILLS: _COUNTED,
    Metric.CPU_THROTTLED: (Unit.RATIO, Unit.PERCENT),
}
"""Units that a metric may have; the first is its own, read where none is said."""

_FIRST_S: Final = int(datetime(1, 1, 1, tzinfo=UTC).timestamp())
_LAST_S: Final = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())

_NANOS: Final = 1_000_000_000

_NO_STAMPS: Final[NDArray[np.int64]] = np.empty(0, np.int64)
_NO_VALUES: Final[NDArray[np.float64]] = np.empty(0, np.float64)


class PendingSeries:
    """A series whose points come in one or several parts; `finish` joins them.

    With a grid the parts go on where the last one ended; without one each value brings its stamp.
    """

    __slots__ = ("_stamps", "_start", "_values", "device", "metric", "points", "statistic", "step", "unit")

    def __init__(  # noqa: PLR0913 - the head of a series
        self, metric: Metric, unit: Unit, statistic: Statistic, *, device: str, start: int, step: int
    ) -> None:
        """`step` 0 is no grid; `start` is its beginning in seconds since 1970."""
        self.metric = metric
        self.unit = unit
        self.statistic = statistic
        self.device = device
        self.step = step
        self.points = 0
        self._start = start
        self._stamps: list[NDArray[np.int64]] = []
        self._values: list[NDArray[np.float64]] = []

    @property
    def identity(self) -> tuple[Metric, Statistic, str]:
        """What tells it from the other series of a resource."""
        return self.metric, self.statistic, self.device

    def add(self, message: pb.MetricSeries | service_pb.SeriesPoints, found: Violations, at: FieldPath) -> None:
        """Take over the points of a message; what is at fault with them is noted."""
        values, stamps = len(message.values), len(message.epoch_seconds)
        if self.step and stamps:
            found.add(
                (at, "epoch_seconds"), ErrorReason.CONTRADICTION, "the series has start_time and step; give either"
            )
        elif not self.step and values != stamps:
            field, why = (at, "epoch_seconds"), f"has {stamps} entries for {values} values"
            if stamps:
                found.add(field, ErrorReason.CONTRADICTION, why)
            else:
                found.add(field, ErrorReason.FIELD_REQUIRED, "say when: start_time and step, or a stamp for each value")
        elif self.step and self._start + (self.points + values) * self.step > _LAST_S:
            found.add((at, "values"), ErrorReason.OUT_OF_RANGE, "go on past the year 9999")
        elif values:
            # The runtime hands its columns over as arrays: 0.3 ns a point, where iteration takes 30.
            column: NDArray[np.int64] = np.array(message.epoch_seconds, np.int64) if stamps else _NO_STAMPS
            if stamps and (column.min() < _FIRST_S or column.max() > _LAST_S):
                why = "a stamp outside the years 1 to 9999: seconds since 1970 are asked for, not milliseconds"
                found.add((at, "epoch_seconds"), ErrorReason.OUT_OF_RANGE, why)
                return
            self._stamps.append(column)
            self._values.append(np.array(message.values, np.float64))
            self.points += values

    def finish(self) -> RawSeries:
        """The series."""
        values = self._values[0] if len(self._values) == 1 else np.concatenate([_NO_VALUES, *self._values])
        if self.step:
            stamps = np.arange(self._start, self._start + values.size * self.step, self.step, dtype=np.int64)
        else:
            stamps = self._stamps[0] if len(self._stamps) == 1 else np.concatenate([_NO_STAMPS, *self._stamps])
        return RawSeries(
            metric=self.metric,
            unit=self.unit,
            statistic=self.statistic,
            epoch_seconds=stamps,
            values=values,
            device=self.device,
            step_seconds=self.step,
        )


def parse_telemetry(message: pb.Telemetry, found: Violations, at: FieldPath) -> Telemetry:
    """Whole series; complete only when nothing was found at fault."""
    return Telemetry(tuple(series.finish() for series in begin_telemetry(message, found, at)))


def begin_telemetry(message: pb.Telemetry, found: Violations, at: FieldPath) -> list[PendingSeries]:
    """The series with the points that the message holds; more may follow. As many as the message has when right."""
    if not bounds.few(found, (at, "series"), len(message.series), MAX_SERIES):
        return []
    pending: list[PendingSeries] = []
    seen: set[tuple[Metric, Statistic, str]] = set()
    for index, series in enumerate(message.series):
        here = (at, f"series[{index}]")
        head = _head(series, found, here)
        if head is None:
            continue
        # Loads of several devices add up: one of them given twice would count twice.
        if head.identity in seen:
            why = "this metric, statistic and device is given twice; put its points into one series"
            found.add((here, "device"), ErrorReason.CONTRADICTION, why)
        seen.add(head.identity)
        head.add(series, found, here)
        pending.append(head)
    return pending


def _head(message: pb.MetricSeries, found: Violations, at: FieldPath) -> PendingSeries | None:
    metric = METRIC_OF.get(message.metric)
    if metric is None:
        reason = ErrorReason.UNKNOWN_VALUE if message.metric else ErrorReason.FIELD_REQUIRED
        found.add((at, "metric"), reason, "say what is measured")
    statistic = STATISTIC_OF.get(message.statistic) if message.statistic else Statistic.AVERAGE
    if statistic is None:
        found.add((at, "statistic"), ErrorReason.UNKNOWN_VALUE, "not a statistic")
    unit = _unit(message.unit, metric, found, (at, "unit"))
    device = bounds.text(found, (at, "device"), message.device, MAX_DEVICE)
    grid = _grid(message, found, at)
    if metric is None or statistic is None or unit is None or grid is None:
        return None
    start, step = grid
    return PendingSeries(metric, unit, statistic, device=device, start=start, step=step)


def _unit(code: int, metric: Metric | None, found: Violations, field: FieldPath) -> Unit | None:
    unit = UNIT_OF.get(code)
    if code and unit is None:
        found.add(field, ErrorReason.UNKNOWN_VALUE, "not a unit")
        return None
    if metric is None:
        return unit or Unit.COUNT
    allowed = UNITS_OF[metric]
    if unit is None:
        return allowed[0]
    if unit not in allowed:
        found.add(field, ErrorReason.CONTRADICTION, f"{metric.value} is measured in {', '.join(allowed)}")
    return unit


def _grid(message: pb.MetricSeries, found: Violations, at: FieldPath) -> tuple[int, int] | None:
    """(start, step) in seconds; step 0 where the series has no grid; None when it is at fault."""
    has_start, has_step = message.HasField("start_time"), message.HasField("step")
    if not has_start and not has_step:
        return 0, 0
    if has_start != has_step:
        missing = "step" if has_start else "start_time"
        found.add((at, missing), ErrorReason.FIELD_REQUIRED, "a grid has both start_time and step")
        return None
    step, start = message.step, message.start_time
    well = _FIRST_S <= start.seconds <= _LAST_S and 0 <= start.nanos < _NANOS
    if not well:
        found.add((at, "start_time"), ErrorReason.OUT_OF_RANGE, "not a time between the years 1 and 9999")
    if not bounds.well_formed(step) or step.nanos:
        found.add((at, "step"), ErrorReason.BAD_FORMAT, "must be whole seconds")
        return None
    if not 1 <= step.seconds <= MAX_STEP_S:
        found.add((at, "step"), ErrorReason.OUT_OF_RANGE, "must be from 1 second to 31 days")
        return None
    return (start.seconds, step.seconds) if well else None
