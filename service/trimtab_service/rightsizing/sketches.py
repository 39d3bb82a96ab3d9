"""A population of daily histograms: what a fleet is back-tested with.

Each resource's samples are counted by day on a ladder of levels relative to its own highest sample: steps of 4 % down
to a third of it, then of 12 %, 62 levels in all. A sample counts at the next level up, so levels err on the safe side:
by less than one step (4 % for whatever decides the size of most loads), on average half. Anything below the lowest
level, a thirtieth to a hundredth of the peak, counts there. Weights are per day: the hours of one day count alike.
"""

import math
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple, Self

import numpy as np

from trimtab_service import compiled
from trimtab_service.catalog.arrays import F64, I32, I64
from trimtab_service.rightsizing.arrays import F32, Floats
from trimtab_service.rightsizing.levels import level_of_least_regret
from trimtab_service.rightsizing.loads import Loads
from trimtab_service.rightsizing.population import ALL_DAYS, Evidence, Masses, Weighting

COLUMNS: Final = 64
"""Histogram columns of a day; the last one takes the gaps and afterwards stands for +inf."""
_FINE: Final = 40
_FINE_STEP: Final = float(np.log2(1.04))
_COARSE_STEP: Final = float(np.log2(1.12))
_LADDER_LEVELS: Final = COLUMNS - 1
_FIXED_POINT: Final = 1 << 20
_HALF: Final = 0.5
_FEW: Final = 64
"""Of more loads than these, several rules look at one distribution, which is then kept."""

_KERNEL: Final = compiled.load("sizing")


def _ladder() -> F64:
    """Levels relative to the peak, ascending; the last is 1."""
    down = np.arange(_LADDER_LEVELS, dtype=np.float64)
    steps = np.where(down < _FINE, down * _FINE_STEP, _FINE * _FINE_STEP + (down - _FINE) * _COARSE_STEP)
    return np.exp2(-steps)[::-1].copy()


LADDER: Final = _ladder()
"""Levels relative to a resource's peak."""

_LEVELS: Final = np.append(LADDER, np.inf).astype(np.float32)

_PACKED: Final = np.append(1 + (np.rint(LADDER * _FIXED_POINT).astype(np.int64) << 32), 1)
_INVERSE: Final = np.append(1 / (LADDER * _FIXED_POINT), 0.0).astype(np.float32)


class _Window(NamedTuple):
    """Which days a weighting looks at from each cut: so little that all loads of one calendar share it; read-only.

    `chosen` are the days that count, ascending. A window spans those from position `first` to `last` (excluded) [c];
    `edges` are all such positions, ascending, `begin` and `end` [c] where a window's stand among them. `weights`
    [c][day] are those of each day. `is_single`: every window is one day.
    """

    chosen: I64
    first: I64
    last: I64
    edges: I64
    begin: I64
    end: I64
    weights: F32
    is_single: bool


@lru_cache(maxsize=256)
def _window_of(days: int, first_weekday: int, cuts: tuple[int, ...], weighting: Weighting) -> _Window:
    """The window of a weighting over days of which the first is a `first_weekday`."""
    counted = np.array([(first_weekday + day) % 7 in weighting.weekdays for day in range(days)])
    clock = np.append(0, np.cumsum(counted))
    last = clock[np.array(cuts)]
    length = days
    if weighting.window_days is not None:
        length = max(1, math.ceil(weighting.window_days * len(weighting.weekdays) / len(ALL_DAYS) - 1e-9))
    first = np.maximum(last - length, 0)
    old = last[:, None] - clock[1:][None, :]
    known = (np.arange(days)[None, :] < np.array(cuts)[:, None]) & counted[None, :] & (old < length)
    weights = known.astype(np.float64)
    if weighting.half_life_days is not None:
        weights = np.where(known, np.exp2(-(old + 0.5) / weighting.half_life_days), 0.0)
    edges = np.unique(np.append(first, last))
    found = _Window(
        np.flatnonzero(counted),
        first,
        last,
        edges,
        np.searchsorted(edges, first),
        np.searchsorted(edges, last),
        weights.astype(np.float32),
        bool((last - first == 1).all()),
    )
    for shared in found[:-1]:
        shared.flags.writeable = False
    return found


class _Daily(NamedTuple):
    """`weight`, `filled` [day][r][l] are as in `Masses`, each day by itself."""

    weight: F32
    filled: F32


class _Days:
    """Histograms by day, and what all views of them share. What is derived is made when first asked for.

    `scale` [r] is the highest sample, NaN where nothing was measured; `peaks_by_day` [r][day] are those of each day,
    relative to it; `known` [r][day] is how many there are.
    """

    __slots__ = (
        *("_cut_numbers", "_histograms", "cuts", "known", "loads"),
        *("levels_by_day", "masses", "peaks", "peaks_by_day", "scale", "weekdays"),
    )

    def __init__(self, loads: Loads, cuts: I64) -> None:
        self.loads = loads
        self.cuts = cuts
        self.weekdays = loads.day_weekdays()
        self.scale, self.peaks_by_day, self.known = _measured(loads)
        self._histograms: _Daily | None = None
        self._cut_numbers: tuple[int, ...] = tuple(cuts.tolist())
        self.masses: dict[Weighting, Masses] = {}
        self.peaks: dict[Weighting, Floats] = {}
        self.levels_by_day: dict[float, Floats] = {}

    @property
    def levels(self) -> Floats:
        """The ladder [1][r][l], ending on +inf."""
        return np.broadcast_to(_LEVELS, (1, self.scale.size, COLUMNS))

    @property
    def histograms(self) -> "_Daily":
        """Each day by itself."""
        if self._histograms is None:
            self._histograms = _Daily(*_histograms(self.loads, self.scale))
        return self._histograms

    def window(self, weighting: Weighting) -> _Window:
        """The days that a weighting looks at."""
        return _window_of(self.loads.days, int(self.weekdays[0]), self._cut_numbers, weighting)

    def combined(self, weighting: Weighting) -> Masses:
        """The distribution at each cut."""
        chosen, first, _, edges, begin, end, weights, is_single = self.window(weighting)
        daily = self.histograms
        if weighting.half_life_days is not None:
            return Masses(self.levels, _combined(weights, daily.weight), _combined(weights, daily.filled))
        if is_single:
            days = chosen[first]
            return Masses(self.levels, daily.weight[days], daily.filled[days])
        # Running sums only up to where a window begins or ends.
        weight, filled = (_running(part, chosen, edges) for part in (daily.weight, daily.filled))
        return Masses(self.levels, weight[end] - weight[begin], filled[end] - filled[begin])


def _measured(loads: Loads) -> tuple[Floats, Floats, F32]:
    """`scale`, `peaks_by_day` and `known` of `_Days`."""
    days = loads.by_day()
    if _KERNEL is not None and days.dtype == np.float64:
        peaks, relative = np.empty((2, *days.shape[:2]))
        highest, counts = np.empty(days.shape[0]), np.empty(days.shape[:2], dtype=np.float32)
        _KERNEL.measured(days, peaks, relative, highest, counts)
        return highest, relative, counts
    peaks = _highest(days)
    scale: Floats = np.fmax.reduce(peaks, axis=1)
    known: F32 = loads.samples_by_day().astype(np.float32, copy=False)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = peaks / scale[:, None]
    # A load of nothing but nought stands on the ladder's end, which the scale of nought brings down again.
    relative[scale == 0] = 1.0
    return scale, np.where(np.isnan(peaks), np.float32(np.nan), relative), known


def _histograms(loads: Loads, peak: F32) -> tuple[F32, F32]:
    """`weight` and `filled` of each day by itself [day][r][l]."""
    at = _columns(loads, peak)
    if _KERNEL is not None:
        weight, filled = np.empty((2, loads.days, at.shape[0], COLUMNS), dtype=np.float32)
        _KERNEL.histograms(at, _PACKED, _INVERSE, weight, filled)
        return weight, filled
    counts = _counted(at)
    # One running sum gives both: counts in the low half of a word, their values in fixed point in the high.
    counts *= _PACKED
    np.cumsum(counts, axis=2, out=counts)
    halves = counts.view(np.uint32)
    weight = halves[:, :, 0::2].astype(np.float32)
    weight[:, :, -1] = weight[:, :, -2]
    filled = halves[:, :, 1::2].astype(np.float32)
    filled *= _INVERSE
    return weight, filled


def _columns(loads: Loads, peak: F32) -> I32:
    """Which level each sample counts at [r][day][point]; gaps at the last column."""
    values = np.asarray(loads.values, dtype=np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        down = np.log2(peak[:, None] / values)
        # The fine ladder is below the coarse one up to where they meet.
        coarse = down * np.float32(1 / _COARSE_STEP)
        coarse += np.float32(_FINE - _FINE * _FINE_STEP / _COARSE_STEP)
        down *= np.float32(1 / _FINE_STEP)
        np.minimum(down, coarse, out=down)
    # fmin takes the number of a number and NaN: nought (down is infinite) counts at the lowest level.
    np.fmin(down, np.float32(_LADDER_LEVELS - 1), out=down)
    at: I32 = down.astype(np.int32)
    np.subtract(_LADDER_LEVELS - 1, at, out=at)
    np.copyto(at, COLUMNS - 1, where=np.isnan(values))
    return at.reshape(values.shape[0], loads.days, loads.points_per_day)


def _counted(at: I32) -> I64:
    """Samples by level [day][r][l]; gaps in the last column."""
    resources, days = at.shape[:2]
    at += _starts(resources, days)
    found = np.bincount(at.reshape(-1), minlength=days * resources * COLUMNS)
    return found.astype(np.int64, copy=False).reshape(days, resources, COLUMNS)


@lru_cache(maxsize=8)
def _starts(resources: int, days: int) -> I32:
    """Where the histogram of each resource's each day begins [r][day][1]; read-only, since all blocks share it."""
    starts = (np.arange(days)[None, :, None] * resources + np.arange(resources)[:, None, None]) * COLUMNS
    found: I32 = starts.astype(np.int32)
    found.flags.writeable = False
    return found


class DailySketch:
    """`Population` of daily histograms. Levels are relative to `scale` [r], each resource's highest sample."""

    __slots__ = ("_days", "_weighting")

    def __init__(self, days: _Days, weighting: Weighting) -> None:
        self._days = days
        self._weighting = weighting

    @classmethod
    def of(cls, loads: Loads, cuts: I64 | None = None, weighting: Weighting | None = None) -> Self:
        """The sketch of `loads`; without `cuts`, as it is known at the end."""
        chosen = np.array([loads.days], dtype=np.int64) if cuts is None else np.asarray(cuts, dtype=np.int64)
        return cls(_Days(loads, chosen), weighting or Weighting())

    @property
    def scale(self) -> F32:
        """What levels are relative to [r]; NaN where nothing was measured."""
        return self._days.scale

    @property
    def samples(self) -> F32:
        """Measured samples of each day [r][day]."""
        return self._days.known

    @property
    def loads(self) -> Loads:
        """What it was made of."""
        return self._days.loads

    @property
    def weighting(self) -> Weighting:
        """The weighting of this view."""
        return self._weighting

    @property
    def cuts(self) -> I64:
        """Ascending day numbers [c]."""
        return self._days.cuts

    @property
    def points_per_day(self) -> int:
        """Samples in a full day."""
        return self._days.loads.points_per_day

    @property
    def weekdays(self) -> I64:
        """Weekday of each day [day]."""
        return self._days.weekdays

    def weighted(self, weighting: Weighting) -> Self:
        """The same days in another weighting."""
        return type(self)(self._days, weighting)

    def masses(self) -> Masses:
        """The distribution at each cut."""
        shared = self._days
        known = shared.masses.get(self._weighting)
        if known is None:
            known = shared.masses[self._weighting] = shared.combined(self._weighting)
        return known

    def least_regret(self, exchange: float, beyond: float | None, tolerance: float) -> F64:
        """Level [r][c], as `levels.level_of_least_regret` of `masses` has it."""
        shared, weighting = self._days, self._weighting
        window = shared.window(weighting)
        known = shared.scale.size > _FEW or weighting in shared.masses
        if _KERNEL is None or known or weighting.half_life_days is not None or window.is_single:
            return level_of_least_regret(self.masses(), exchange, beyond, tolerance)
        daily = shared.histograms
        found = np.empty((daily.weight.shape[1], window.first.size))
        steps = (exchange - 1.0, 0.0 if beyond is None else beyond - exchange, 1.0 - tolerance)
        bounds = (window.chosen, window.edges, window.begin, window.end)
        _KERNEL.least_regret(daily.weight, daily.filled, *bounds, _LEVELS, *steps, found)
        return found

    def peaks(self) -> Floats:
        """Highest sample of positive weight [r][c], not rounded."""
        shared = self._days
        known = shared.peaks.get(self._weighting)
        if known is None:
            counts = shared.window(self._weighting).weights > 0
            values = np.where(counts[None, :, :], shared.peaks_by_day[:, None, :], np.float32(np.nan))
            known = shared.peaks[self._weighting] = np.fmax.reduce(values, axis=2)
        return known

    def evidence(self) -> Evidence:
        """Days and samples at each cut."""
        samples = np.cumsum(self._days.known, axis=1)[:, self.cuts - 1].astype(np.float64)
        first = np.argmax(~np.isnan(self.loads.values), axis=1) / self.points_per_day
        return Evidence(np.where(samples > 0, self.cuts[None, :] - first[:, None], 0.0), samples)

    def daily_levels(self, share: float) -> Floats:
        """Level at or below which `share` of a day's samples lie [r][day]; NaN for days under half measured."""
        shared = self._days
        known = shared.levels_by_day.get(share)
        if known is None:
            enough = shared.known >= _HALF * self.points_per_day
            known = shared.peaks_by_day
            if share < 1 and _KERNEL is not None:
                weight, found = shared.histograms.weight, np.empty(known.shape, dtype=np.float32)
                least = _HALF * self.points_per_day
                _KERNEL.daily_levels(weight, shared.known, _LEVELS, share - 1e-6, least, found)
                shared.levels_by_day[share] = found
                return found
            if share < 1:
                weight = shared.histograms.weight
                at = np.argmax(weight >= weight[:, :, -1:] * np.float32(share - 1e-6), axis=2).T
                known = LADDER.astype(np.float32)[np.minimum(at, _LADDER_LEVELS - 1)]
            known = shared.levels_by_day[share] = np.where(enough, known, np.float32(np.nan))
        return known


def _highest(days: Floats) -> Floats:
    """Highest sample of each day [r][day]; NaN where there is none. Halves at a time: longer rows, fewer of them."""
    while days.shape[2] % 2 == 0:
        half = days.shape[2] // 2
        days = np.fmax(days[:, :, :half], days[:, :, half:])
    found: Floats = np.fmax.reduce(days, axis=2)
    return found


def _combined(weights: F32, daily: F32) -> F32:
    """Weighted sums over days [c][r * l]; `weights` [c][day], `daily` [day][r][l]."""
    found: F32 = weights @ daily.reshape(daily.shape[0], -1)
    return found.reshape(-1, *daily.shape[1:])


def _running(daily: F32, chosen: I64, edges: I64) -> F32:
    """Sums over the first so many chosen days, for each of ascending `edges` [edges][r][l], less those of the first."""
    total = np.zeros((edges.size, *daily.shape[1:]), dtype=np.float32)
    days, ends = chosen.tolist(), edges.tolist()
    for number, (begin, end) in enumerate(pairwise(ends), 1):
        sums = total[number]
        np.add(total[number - 1], daily[days[begin]], out=sums)
        for day in days[begin + 1 : end]:
            np.add(sums, daily[day], out=sums)
    return total
