"""One measured series on a regular grid, and how any mess of points becomes one.

Nothing is repaired in silence: each thing that had to be done is a `SeriesNote` with the number of points it befell.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from trimtab_service.catalog.arrays import F64, I64
from trimtab_service.domain.dimensions import Statistic
from trimtab_service.domain.reasons import SeriesNote
from trimtab_service.rightsizing.counters import looks_like_counter, rate_of_counter, rate_of_sums

DAY_S: Final = 86_400

STEPS_S: Final = (
    *(1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 300, 600, 900, 1_200, 1_800, 3_600),
    *(7_200, 10_800, 14_400, 21_600, 28_800, 43_200, DAY_S),
)
"""Grids in use, in seconds. Each divides a day, so that days are whole numbers of points."""

MAX_POINTS: Final = 40_320
"""Most grid points kept by default: 28 days of minutes, 140 days of five minutes."""

_SHARE_ON_GRID: Final = 0.9
"""The grid is as fine as the finest resolution that covers so much of the measured time together with finer ones."""

_SHARE_TOLD: Final = 0.01
"""A second resolution of a smaller share of the time and of the points is not worth a word."""

_NO_MEASUREMENT: Final = 1e18
"""No resource has so much of anything in any unit; beyond it sums lose what they add up."""

_CHUNK: Final = 1 << 20


class Counted(NamedTuple):
    """A note and the number of points (grid steps for GAPS) that it befell."""

    note: SeriesNote
    points: int


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """`values` [points] on the grid `start_s + i * step_s`; NaN is a gap. An empty series has no points.

    `start_s` is in seconds since 1970 and a multiple of `step_s`. `given` counts the points that came in, `used`
    those that went into `values`. Rates are per second. Units are the caller's.
    """

    values: F64
    start_s: int
    step_s: int
    given: int
    used: int
    notes: tuple[Counted, ...]

    @property
    def end_s(self) -> int:
        """End of the last interval."""
        return self.start_s + self.values.size * self.step_s

    @property
    def gap_fraction(self) -> float:
        """Share of grid steps without a value; 0 for an empty series."""
        return int(np.count_nonzero(np.isnan(self.values))) / self.values.size if self.values.size else 0.0

    @property
    def measured_s(self) -> int:
        """Seconds that have a value: what a minimum of data is held against."""
        return (self.values.size - int(np.count_nonzero(np.isnan(self.values)))) * self.step_s


@dataclass(frozen=True, slots=True)
class Rules:
    """What to take as usable.

    `step_s` fixes the grid (one of `STEPS_S`); None infers it. `plausible_max` is the value above which a point is
    no measurement at all. `whole` is the most there can be (100 for percent of a machine): values between it and
    `plausible_max` are clipped to it. `detect_counter`: a gauge that behaves like a counter is read as one; not for
    memory or disk fill. `keep_peaks`: an interval keeps its maximum, not its mean. `skew_s` is how far ahead of `now`
    a stamp may be before it counts as future.
    """

    step_s: int | None = None
    lookback_s: float | None = None
    plausible_max: float = np.inf
    whole: float = np.inf
    detect_counter: bool = False
    keep_peaks: bool = False
    skew_s: float = 60.0
    max_points: int = MAX_POINTS


DEFAULT_RULES: Final = Rules()


@dataclass(slots=True)
class _Points:
    """Points on their way to a grid."""

    stamps: F64
    values: F64
    counts: dict[SeriesNote, int] = field(default_factory=dict)

    def note(self, note: SeriesNote, points: int) -> None:
        if points:
            self.counts[note] = self.counts.get(note, 0) + points

    def drop(self, bad: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], note: SeriesNote) -> None:
        number = int(np.count_nonzero(bad))
        if number:
            self.stamps, self.values = self.stamps[~bad], self.values[~bad]
            self.note(note, number)


def regularize(
    stamps: ArrayLike,
    values: ArrayLike,
    *,
    now_s: float,
    statistic: Statistic = Statistic.AVERAGE,
    rules: Rules = DEFAULT_RULES,
) -> Series:
    """Points in any state as a `Series`.

    `stamps` [points] are seconds since 1970, `values` [points] what was measured: gauges for AVERAGE and MAXIMUM,
    interval sums for SUM, a cumulative counter for COUNTER; the last two come out as rates per second. Raises
    ValueError if the lengths differ or the step is not one of `STEPS_S`; no content of the arrays raises.
    Memory: at most six arrays of the length given.
    """
    if rules.step_s is not None and rules.step_s not in STEPS_S:
        raise ValueError(f"a step must be one of {STEPS_S} seconds")
    points = _Points(np.asarray(stamps, dtype=np.float64).reshape(-1), np.asarray(values, dtype=np.float64).reshape(-1))
    if points.stamps.size != points.values.size:
        raise ValueError("there must be as many stamps as values")
    given = points.stamps.size
    points.drop(~(np.isfinite(points.values) & np.isfinite(points.stamps)), SeriesNote.NOT_FINITE)
    points.drop(np.abs(points.values) > _NO_MEASUREMENT, SeriesNote.ABSURD)
    points.drop(points.stamps > now_s + rules.skew_s, SeriesNote.FUTURE_POINTS)
    points.drop(points.stamps < 0, SeriesNote.OUTSIDE_LOOKBACK)
    if rules.lookback_s is not None:
        points.drop(points.stamps < now_s - rules.lookback_s, SeriesNote.OUTSIDE_LOOKBACK)
    _sort(points)
    _to_gauge(points, statistic, detect=rules.detect_counter)
    points.drop(points.values < 0, SeriesNote.NEGATIVE)
    points.drop(points.values > rules.plausible_max, SeriesNote.ABSURD)
    over = points.values > rules.whole
    if over.any():
        points.note(SeriesNote.CLIPPED, int(np.count_nonzero(over)))
        points.values = np.minimum(points.values, rules.whole)
    return _gridded(points, given, rules, peaks=rules.keep_peaks or statistic is Statistic.MAXIMUM)


def _sort(points: _Points) -> None:
    """Ascending stamps, one point each: of several the maximum, which errs on the safe side."""
    if points.stamps.size < 2:  # noqa: PLR2004 - nothing to order
        return
    apart = np.diff(points.stamps)
    late = int(np.count_nonzero(apart < 0))
    if late:
        points.note(SeriesNote.OUT_OF_ORDER, late)
        order = np.argsort(points.stamps, kind="stable")
        points.stamps, points.values = points.stamps[order], points.values[order]
        apart = np.diff(points.stamps)
    repeats = int(np.count_nonzero(apart == 0))
    if repeats:
        points.note(SeriesNote.DUPLICATE_POINTS, repeats)
        first = np.flatnonzero(np.append(True, apart > 0))
        points.stamps = points.stamps[first]
        points.values = np.maximum.reduceat(points.values, first)


def _to_gauge(points: _Points, statistic: Statistic, *, detect: bool) -> None:
    """Counters and sums become rates per second."""
    gauge = statistic in {Statistic.AVERAGE, Statistic.MAXIMUM}
    if gauge and detect and looks_like_counter(points.stamps, points.values):
        points.note(SeriesNote.LOOKS_LIKE_A_COUNTER, points.values.size)
        statistic = Statistic.COUNTER
    if statistic is Statistic.SUM:
        points.values = rate_of_sums(points.stamps, points.values)
    elif statistic is Statistic.COUNTER:
        # A counter below zero is no counter value; taken out first, it cannot look like a reset.
        points.drop(points.values < 0, SeriesNote.NEGATIVE)
        points.stamps, points.values, resets = rate_of_counter(points.stamps, points.values)
        points.note(SeriesNote.COUNTER_RESET, resets)
    # Two stamps a hair apart make no rate.
    points.drop(~(np.abs(points.values) <= _NO_MEASUREMENT), SeriesNote.ABSURD)


def _resolution(stamps: F64) -> tuple[int, bool]:
    """(grid step in seconds, whether there are several resolutions) of ascending stamps, at least two."""
    apart = np.diff(stamps)
    steps = np.asarray(STEPS_S, dtype=np.float64)
    # To the step that a distance is nearest below, with room for jitter: 301 s between points is five minutes.
    kind = np.clip(np.searchsorted(steps, apart * 1.05 + 1e-9, side="right") - 1, 0, steps.size - 1)
    # A coarse resolution is a run of long distances; one between short ones is a gap, though it comes every night.
    alike = kind[1:] == kind[:-1]
    counts = np.bincount(kind[np.append(alike, False) | np.append(False, alike)], minlength=steps.size)
    real = counts >= max(3, 0.001 * apart.size)
    if not real.any():
        return STEPS_S[int(np.median(kind))], False
    covered = np.where(real, counts * steps, 0.0)
    reached = np.cumsum(covered) >= _SHARE_ON_GRID * covered.sum()
    chosen = int(np.argmax(reached))
    # By time or by number: an hour of seconds is little of a fortnight of hours, and most of its points.
    shares = np.maximum(covered / covered.sum(), np.where(real, counts, 0) / apart.size)
    return STEPS_S[chosen], bool(np.count_nonzero(shares >= _SHARE_TOLD) > 1)


def _gridded(points: _Points, given: int, rules: Rules, *, peaks: bool) -> Series:
    used = points.stamps.size
    if not used:
        return Series(np.empty(0), 0, rules.step_s or STEPS_S[0], given, 0, _notes(points, SeriesNote.EMPTY))
    step, mixed = (300, False) if used == 1 else _resolution(points.stamps)
    if mixed:
        points.note(SeriesNote.MIXED_RESOLUTION, used)
    step = rules.step_s or step
    span = float(points.stamps[-1] - points.stamps[0])
    if span / step >= rules.max_points:
        # Each interval keeps its maximum: what is thrown away must not be the peaks.
        step = next((wide for wide in STEPS_S if wide >= step and span / wide < rules.max_points), STEPS_S[-1])
        points.note(SeriesNote.DOWNSAMPLED, used)
        peaks = True
    first = int(points.stamps[0] // step)
    last = int(points.stamps[-1] // step)
    if last - first >= rules.max_points:
        # Decades of days: the newest are kept.
        kept = last - rules.max_points + 1
        points.drop(points.stamps < kept * step, SeriesNote.OUTSIDE_LOOKBACK)
        first, used = kept, points.stamps.size
    values = _binned(points, _Grid(first, last - first + 1, step), peaks=peaks)
    points.note(SeriesNote.GAPS, int(np.count_nonzero(np.isnan(values))))
    if used > 1 and np.ptp(points.values) == 0:
        points.note(SeriesNote.CONSTANT, used)
    return Series(values, first * step, step, given, used, _notes(points))


def _notes(points: _Points, *more: SeriesNote) -> tuple[Counted, ...]:
    """In the order of the enum, so that the same input gives the same bytes."""
    counts = {**points.counts, **dict.fromkeys(more, 0)}
    return tuple(Counted(note, counts[note]) for note in SeriesNote if note in counts)


class _Grid(NamedTuple):
    """Intervals `first .. first + size - 1` of `step` seconds, numbered from 1970."""

    first: int
    size: int
    step: int


def _binned(points: _Points, grid: _Grid, *, peaks: bool) -> F64:
    """Mean (or maximum) of each grid interval, NaN where it has none. Stamps ascend; done in chunks of bounded size."""
    stamps, values, (first, size, step) = points.stamps, points.values, grid
    total = np.full(size, -np.inf) if peaks else np.zeros(size)
    counts = np.zeros(size, dtype=np.int64)
    for begin in range(0, stamps.size, _CHUNK):
        part = slice(begin, begin + _CHUNK)
        at: I64 = (stamps[part] // step).astype(np.int64) - first
        starts = np.flatnonzero(np.append(True, at[1:] != at[:-1]))
        where = at[starts]
        counts[where] += np.diff(np.append(starts, at.size))
        if peaks:
            total[where] = np.maximum(total[where], np.maximum.reduceat(values[part], starts))
        else:
            total[where] += np.add.reduceat(values[part], starts)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: F64 = np.where(counts > 0, total if peaks else total / counts, np.nan)
    return result


def common_step(series: Sequence[Series]) -> int:
    """The coarsest step among series with points: the grid on which they can be added."""
    return max((one.step_s for one in series if one.values.size), default=STEPS_S[0])
