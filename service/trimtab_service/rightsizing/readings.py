"""A resource's telemetry as loads: one grid series a dimension, in the dimension's unit, for the whole resource."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import numpy as np

from trimtab_service.catalog.arrays import F64
from trimtab_service.domain.dimensions import DIMENSIONS, INCOMPRESSIBLE, Dimension, Metric, Statistic
from trimtab_service.domain.reasons import SeriesNote
from trimtab_service.domain.resources import ResourceKind
from trimtab_service.domain.rightsizing import SeriesSummary, TelemetrySummary
from trimtab_service.rightsizing.present import Present
from trimtab_service.rightsizing.regular import already_regular
from trimtab_service.rightsizing.series import MAX_POINTS, STEPS_S, Rules, Series, common_step, regularize
from trimtab_service.rightsizing.telemetry import RawSeries, Telemetry, loads_once, moments
from trimtab_service.rightsizing.units import DIMENSION_OF, Scale, scale_of

_PLAUSIBLE: Final = 1.5
"""Up to half above the whole is a clock or rounding matter and is taken as the whole; beyond it is no measurement."""

_STAMP_LIMIT: Final = 2.0**40
"""Beyond any date there is."""


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """What a resource used of one dimension. `series` is of the whole resource, or of one instance (`is_per_instance`).

    `peaks_seen`: the points are maxima of their intervals. `moment_peak` is how high it rose within an interval where
    the points are means and maxima came beside them; None where nobody says. `devices` is how many GPUs were measured
    one by one, and `device_peak` the highest use of one of them (0 where only the whole is known).
    """

    dimension: Dimension
    series: Series
    is_per_instance: bool
    peaks_seen: bool
    devices: int = 0
    device_peak: float = 0.0
    moment_peak: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """All loads that have a point, and what else the series said.

    `measured` is the time with a value, of the load that has most. `kills` are instants (epoch seconds) of kills for
    want of memory; `throttled_share` is the highest share of an interval in which the CPU was throttled.
    """

    loads: tuple[Load, ...]
    summary: TelemetrySummary
    kills: tuple[float, ...]
    throttled_share: float
    measured: timedelta

    def load(self, dimension: Dimension) -> Load | None:
        """The load of a dimension, None where nothing was measured."""
        return next((load for load in self.loads if load.dimension is dimension), None)

    @property
    def span(self) -> timedelta:
        """From the first point to the last."""
        if self.summary.start_time is None or self.summary.end_time is None:
            return timedelta()
        return self.summary.end_time - self.summary.start_time


class _Read(NamedTuple):
    """One series of a load on its grid, in the dimension's unit."""

    raw: RawSeries
    scale: Scale
    series: Series


def read(telemetry: Telemetry, present: Present, lookback: timedelta, instant: datetime) -> Readings:
    """Loads from raw series. Nothing raises for what the series hold; what was done is in the summary's notes."""
    rules = Rules(lookback_s=lookback.total_seconds())
    now = instant.timestamp()
    found: dict[Dimension, list[_Read]] = {}
    others: dict[Metric, list[Series]] = {}
    summaries: list[SeriesSummary] = []
    once = loads_once(telemetry.series)
    for raw in once:
        dimension = DIMENSION_OF.get(raw.metric)
        if dimension is None:
            series = _event_series(raw, rules, now)
            others.setdefault(raw.metric, []).append(series)
            summaries.append(_summary(raw, series))
            continue
        scale = scale_of(raw, dimension, present, bounded=present.resource.kind is not ResourceKind.CONTAINER)
        if scale is None:
            summaries.append(_unread(raw))
            continue
        series = _on_grid(raw, dimension, scale, rules, now)
        summaries.append(_summary(raw, series))
        if series.values.size:
            found.setdefault(dimension, []).append(_Read(raw, scale, series))
    instances = next(iter(others.get(Metric.INSTANCES, ())), None)
    peaks = _moment_peaks(moments(telemetry.series, once), present, now - lookback.total_seconds())
    loads = tuple(
        replace(_load(dimension, found[dimension], present, instances, rules, now), moment_peak=peaks.get(dimension))
        for dimension in DIMENSIONS
        if dimension in found
    )
    throttled = [float(np.nanmax(one.values)) for one in others.get(Metric.CPU_THROTTLED, ()) if one.used]
    return Readings(
        loads,
        _telemetry_summary(loads, summaries),
        tuple(stamp for one in others.get(Metric.OOM_KILLS, ()) for stamp in _events(one)),
        max(throttled, default=0.0),
        timedelta(seconds=max((load.series.measured_s for load in loads), default=0)),
    )


def _on_grid(  # noqa: PLR0913, PLR0917 - a series, and how it is read
    raw: RawSeries, dimension: Dimension, scale: Scale, rules: Rules, now: float, step_s: int | None = None
) -> Series:
    """The series on its grid, in the dimension's unit."""
    unbounded = math.isinf(scale.whole)
    flows = dimension not in INCOMPRESSIBLE
    own = Rules(
        step_s=step_s,
        lookback_s=rules.lookback_s,
        plausible_max=scale.whole * _PLAUSIBLE,
        whole=scale.whole,
        # Within what there is, a load that only rises is a load that rises.
        detect_counter=flows and unbounded,
        keep_peaks=not flows,
    )
    series = already_regular(raw.epoch_seconds, raw.values, now_s=now, statistic=scale.statistic, rules=own)
    if series is None:
        if flows and not unbounded and raw.values.size and np.fmax.reduce(raw.values) > own.plausible_max:
            own = replace(own, detect_counter=True)
        series = regularize(raw.epoch_seconds, raw.values, now_s=now, statistic=scale.statistic, rules=own)
    return Series(series.values * scale.factor, series.start_s, series.step_s, series.given, series.used, series.notes)


def _event_series(raw: RawSeries, rules: Rules, now: float) -> Series:
    own = replace(rules, keep_peaks=True, plausible_max=1e12)
    statistic = raw.statistic if raw.statistic is Statistic.COUNTER else Statistic.MAXIMUM
    series = regularize(raw.epoch_seconds, raw.values, now_s=now, statistic=statistic, rules=own)
    if raw.metric is Metric.CPU_THROTTLED and raw.unit.value == "percent":
        return replace(series, values=series.values / 100.0)
    return series


def _events(series: Series) -> tuple[float, ...]:
    """Ends of the intervals in which something happened."""
    at = np.flatnonzero(np.nan_to_num(series.values) > 0)
    return tuple((series.start_s + (at + 1) * series.step_s).astype(np.float64).tolist())


def _load(  # noqa: PLR0913, PLR0917 - series of a dimension, and how they are read
    dimension: Dimension, reads: Sequence[_Read], present: Present, instances: Series | None, rules: Rules, now: float
) -> Load:
    """The series of a dimension, added. One that has a gap where another has a value counts with its own maximum."""
    only = reads[0]
    if len(reads) == 1 and not present.is_group and not only.raw.device:
        return Load(dimension, only.series, False, only.raw.statistic is Statistic.MAXIMUM)  # noqa: FBT003 - by place
    step = _step_of([one.series for one in reads])
    aligned = [
        one
        if one.series.step_s == step
        else _Read(one.raw, one.scale, _on_grid(one.raw, dimension, one.scale, rules, now, step))
        for one in reads
    ]
    is_group = present.is_group
    per_instance = is_group and dimension in INCOMPRESSIBLE and present.resource.autoscaling is not None
    scaled = [_of_the_whole(one, instances, present, per_instance=per_instance) for one in aligned]
    devices = [one for one in aligned if one.raw.device]
    return Load(
        dimension,
        scaled[0] if len(scaled) == 1 else _added(scaled, step),
        per_instance,
        all(one.raw.statistic is Statistic.MAXIMUM for one in aligned),
        len(devices),
        max((float(np.nanmax(one.series.values, initial=0.0)) for one in devices), default=0.0),
    )


def _moment_peaks(series: Sequence[RawSeries], present: Present, since: float) -> dict[Dimension, float]:
    """Of a single machine, and a single GPU: the moments of several are not the same ones."""
    found: dict[Dimension, float] = {}
    if present.is_group or not series:
        return found
    given = [(dimension, raw) for raw in series if (dimension := DIMENSION_OF.get(raw.metric))]
    several = {one for one, count in Counter(dimension for dimension, _ in given).items() if count > 1}
    for dimension, raw in given:
        scale = scale_of(raw, dimension, present, bounded=present.resource.kind is not ResourceKind.CONTAINER)
        if dimension in several or scale is None:
            continue
        believed = (raw.epoch_seconds >= since) & (raw.values <= scale.whole * _PLAUSIBLE) & (raw.values >= 0)
        if believed.any():
            found[dimension] = min(float(raw.values[believed].max()), scale.whole) * scale.factor
    return found


def _step_of(series: Sequence[Series]) -> int:
    """The grid on which series can be added: their coarsest, or coarser where they lie far apart."""
    span = max(one.end_s for one in series) - min(one.start_s for one in series)
    least = common_step(series)
    return next((step for step in STEPS_S if step >= least and span <= MAX_POINTS * step), STEPS_S[-1])


def _of_the_whole(one: _Read, instances: Series | None, present: Present, *, per_instance: bool) -> Series:
    """A series as a load of the whole group, or of one instance of it; of a single machine as it is."""
    if not present.is_group or one.scale.of_share is per_instance:
        return one.series
    counts = _instances_at(instances, one.series, present)
    values = one.series.values
    return replace(one.series, values=values * counts if one.scale.of_share else values / counts)


def _added(series: Sequence[Series], step: int) -> Series:
    """The sum, where any has a value. One that has a gap there counts with its own maximum."""
    start = min(one.start_s for one in series)
    size = (max(one.end_s for one in series) - start) // step
    total: F64 = np.zeros(size)
    seen = np.zeros(size, dtype=bool)
    for one in series:
        peak = float(np.fmax.reduce(one.values, initial=0.0))
        gaps = np.isnan(one.values)
        at = (one.start_s - start) // step
        here = slice(at, at + one.values.size)
        padded = np.full(size, peak)
        padded[here] = np.where(gaps, peak, one.values)
        total += padded
        seen[here] |= ~gaps
    return replace(series[0], values=np.where(seen, total, np.nan), start_s=start)


def _instances_at(instances: Series | None, series: Series, present: Present) -> F64 | float:
    """Instances at each point of a series: as measured (the nearest known before), or as many as there are now."""
    if instances is None or not instances.used:
        return float(present.count)
    known = np.flatnonzero(~np.isnan(instances.values))
    stamps = instances.start_s + known * instances.step_s
    wanted = series.start_s + np.arange(series.values.size) * series.step_s
    at = np.clip(np.searchsorted(stamps, wanted, side="right") - 1, 0, None)
    counts: F64 = np.maximum(instances.values[known][at], 1.0)
    return counts


def _summary(raw: RawSeries, series: Series) -> SeriesSummary:
    notes = [counted.note for counted in series.notes]
    if raw.is_incomplete:
        notes.append(SeriesNote.SOURCE_INCOMPLETE)
    return SeriesSummary(
        raw.metric, series.given, series.used, timedelta(seconds=series.step_s), series.gap_fraction, tuple(notes)
    )


def _unread(raw: RawSeries) -> SeriesSummary:
    return SeriesSummary(
        raw.metric, int(raw.values.size), 0, timedelta(seconds=raw.step_seconds), 0.0, (SeriesNote.UNKNOWN_CAPACITY,)
    )


def _telemetry_summary(loads: Sequence[Load], summaries: Sequence[SeriesSummary]) -> TelemetrySummary:
    if not loads:
        return TelemetrySummary(None, None, tuple(summaries))
    start = min(load.series.start_s for load in loads)
    end = max(load.series.end_s for load in loads)
    return TelemetrySummary(
        datetime.fromtimestamp(min(max(start, 0), _STAMP_LIMIT), tz=UTC),
        datetime.fromtimestamp(min(max(end, 0), _STAMP_LIMIT), tz=UTC),
        tuple(summaries),
    )
