"""A population of every single sample: exact, for one resource or a few."""

import math
from dataclasses import replace
from functools import lru_cache
from typing import Final, NamedTuple, Self

import numpy as np

from trimtab_service.catalog.arrays import F64, I64
from trimtab_service.rightsizing.arrays import Floats
from trimtab_service.rightsizing.levels import inverse_levels, level_of_least_regret
from trimtab_service.rightsizing.loads import Loads, weekdays_of
from trimtab_service.rightsizing.population import ALL_DAYS, Evidence, Masses, Weighting
from trimtab_service.rightsizing.series import DAY_S

_HALF: Final = 0.5


class _Calendar(NamedTuple):
    """What column weights depend on besides the weighting: so little that series of one fleet share it."""

    points: int
    points_per_day: int
    step_s: int
    start_in_week_s: int

    @classmethod
    def of(cls, loads: Loads) -> Self:
        """The calendar of loads."""
        start = loads.end_s - loads.values.shape[1] * loads.step_s + loads.utc_offset_s
        return cls(loads.values.shape[1], loads.points_per_day, loads.step_s, start % (7 * DAY_S))

    def weekdays(self) -> I64:
        """Weekday of each point; Monday is 0."""
        return weekdays_of(self.start_in_week_s, self.step_s, self.points)


_COMPACT: Final = 4
"""A window that is so many times shorter than the past is sorted by itself at each cut."""


@lru_cache(maxsize=512)
def _column_weights(calendar: _Calendar, cuts: tuple[int, ...], weighting: Weighting) -> F64:
    """Weight of each column at each cut [c][points]; read-only, since it is shared by all series of one calendar."""
    per_day, size = calendar.points_per_day, calendar.points
    ends = np.array(cuts)[:, None] * per_day
    counted = np.isin(calendar.weekdays(), list(weighting.weekdays))
    clock = np.append(0, np.cumsum(counted))
    # Counted points between a column and the cut: 0 for the latest.
    points_old = clock[ends] - clock[1:][None, :]
    known = (np.arange(size)[None, :] < ends) & counted[None, :]
    if weighting.window_days is not None:
        known &= points_old < _window_points(weighting, per_day)
    weights = known.astype(np.float64)
    if weighting.half_life_days is not None:
        by_age = np.exp2(-(np.arange(size) + _HALF) / (weighting.half_life_days * per_day))
        weights *= by_age[np.maximum(points_old, 0)]
    weights.flags.writeable = False
    return weights


def _window_points(weighting: Weighting, per_day: int) -> int:
    """Length of the window in points of the days that count."""
    days = weighting.window_days or 0.0
    if weighting.weekdays == ALL_DAYS:
        return round(days * per_day)
    return max(1, math.ceil(days * len(weighting.weekdays) / len(ALL_DAYS) - 1e-9)) * per_day


class _Ascending(NamedTuple):
    """Samples in ascending order [r][points], gaps last: where each stood, its value (nought for a gap), its level.

    As levels gaps are +inf, which keeps them ascending; their weight is nought. `inverse` is 1 / level.
    """

    order: I64
    finite: F64
    levels: F64
    inverse: F64
    has_gaps: bool

    @classmethod
    def of(cls, values: F64) -> Self:
        """The order of samples [r][points]; NaN are gaps."""
        order: I64 = np.argsort(values, axis=1, kind="stable")
        ordered = np.take_along_axis(values, order, axis=1)
        has_gaps = bool(np.isnan(ordered[:, -1]).any())
        finite, levels = _gaps_last(ordered) if has_gaps else (ordered, ordered)
        return cls(order, finite, levels, np.asarray(inverse_levels(levels), dtype=np.float64), has_gaps)


class _Shared:
    """What all views of one population share. What is derived is made when first asked for: peaks need no order."""

    __slots__ = ("_ascending", "calendar", "cut_numbers", "cuts", "loads", "masses", "peaks", "values")

    def __init__(self, loads: Loads, cuts: I64) -> None:
        self.values: F64 = np.asarray(loads.values, dtype=np.float64)
        self.loads = loads
        self.calendar = _Calendar.of(loads)
        self.cuts = cuts
        self.cut_numbers: tuple[int, ...] = tuple(cuts.tolist())
        self._ascending: _Ascending | None = None
        self.masses: dict[Weighting, Masses] = {}
        self.peaks: dict[Weighting, Floats] = {}
        """Distributions and highest samples by weighting. Caches: equal keys have equal values."""

    def weights(self, weighting: Weighting) -> F64:
        """Weight of each column at each cut [c][points]."""
        return _column_weights(self.calendar, self.cut_numbers, weighting)

    def whole(self, weighting: Weighting) -> Masses:
        """The distribution over all samples."""
        if self._ascending is None:
            self._ascending = _Ascending.of(self.values)
        order, finite, levels, inverse, has_gaps = self._ascending
        weights = self.weights(weighting)[:, order]
        if has_gaps:
            weights *= np.isfinite(levels)
        filled = np.cumsum(weights * finite, axis=2)
        filled *= inverse
        return Masses(levels[None], np.cumsum(weights, axis=2), filled)

    def compact(self, weighting: Weighting) -> Masses:
        """The distribution over the window of each cut alone, for windows far shorter than the past."""
        weights = self.weights(weighting)
        width = min(_window_points(weighting, self.loads.points_per_day), weights.shape[1])
        # The columns of weight, of each cut; where there are fewer than the window is long, columns without.
        columns = np.argsort(weights == 0, axis=1, kind="stable")[:, :width]
        weight = np.take_along_axis(weights, columns, axis=1)[:, None, :]
        values = np.where(weight > 0, np.moveaxis(self.values[:, columns], 0, 1), np.nan)
        order = np.argsort(values, axis=2, kind="stable")
        finite, levels = _gaps_last(np.take_along_axis(values, order, axis=2))
        sorted_weight = np.take_along_axis(np.broadcast_to(weight, values.shape), order, axis=2) * np.isfinite(levels)
        filled = np.cumsum(sorted_weight * finite, axis=2)
        filled *= inverse_levels(levels)
        return Masses(levels, np.cumsum(sorted_weight, axis=2), filled)


def _gaps_last(ordered: F64) -> tuple[F64, F64]:
    """Values in ascending order, NaN last, with nought for NaN, and with +inf for it."""
    gaps = np.isnan(ordered)
    return np.where(gaps, 0.0, ordered), np.where(gaps, np.inf, ordered)


class Samples:
    """Exact `Population` of `Loads`. Memory: resources x cuts x points numbers for each weighting looked at."""

    __slots__ = ("_shared", "_weighting")

    def __init__(self, shared: _Shared, weighting: Weighting) -> None:
        self._shared = shared
        self._weighting = weighting

    @classmethod
    def of(cls, loads: Loads, cuts: I64 | None = None, weighting: Weighting | None = None) -> Self:
        """The population of `loads`; without `cuts`, as it is known at the end."""
        chosen = np.array([loads.days], dtype=np.int64) if cuts is None else np.asarray(cuts, dtype=np.int64)
        if not chosen.size or chosen.min() < 1 or chosen.max() > loads.days:
            raise ValueError("cuts must be day numbers from 1 to the number of days")
        return cls(_Shared(loads, chosen), weighting or Weighting())

    @property
    def loads(self) -> Loads:
        """What it was made of."""
        return self._shared.loads

    @property
    def weighting(self) -> Weighting:
        """The weighting of this view."""
        return self._weighting

    @property
    def cuts(self) -> I64:
        """Ascending day numbers [c]."""
        return self._shared.cuts

    @property
    def points_per_day(self) -> int:
        """Samples in a full day."""
        return self._shared.loads.points_per_day

    @property
    def weekdays(self) -> I64:
        """Weekday of each day [day]."""
        return self._shared.loads.day_weekdays()

    def weighted(self, weighting: Weighting) -> Self:
        """The same samples in another weighting."""
        return type(self)(self._shared, weighting)

    def masses(self) -> Masses:
        """The distribution at each cut."""
        known = self._shared.masses.get(self._weighting)
        if known is None:
            shared, weighting = self._shared, self._weighting
            short = weighting.window_days is not None and (
                _COMPACT * _window_points(weighting, self.points_per_day) <= shared.values.shape[1]
            )
            known = shared.compact(weighting) if short else shared.whole(weighting)
            shared.masses[weighting] = known
        return known

    def least_regret(self, exchange: float, beyond: float | None, tolerance: float) -> F64:
        """Level [r][c] of least regret (see `levels`)."""
        return level_of_least_regret(self.masses(), exchange, beyond, tolerance)

    def peaks(self) -> Floats:
        """Highest sample of positive weight [r][c]."""
        shared, weighting = self._shared, replace(self._weighting, half_life_days=None)
        found = shared.peaks.get(weighting)
        if found is None:
            known = shared.weights(weighting) > 0
            values = np.where(known[None, :, :], self.loads.values[:, None, :], np.nan)
            found = shared.peaks[weighting] = np.fmax.reduce(values, axis=2)
        return found

    def evidence(self) -> Evidence:
        """Days and samples at each cut."""
        per_day = np.count_nonzero(~np.isnan(self.loads.by_day()), axis=2)
        samples = np.cumsum(per_day, axis=1)[:, self.cuts - 1]
        # Span as the VPA counts it, from the first sample to the cut, in days.
        first = np.argmax(~np.isnan(self.loads.values), axis=1) / self.points_per_day
        days = np.where(samples > 0, self.cuts[None, :] - first[:, None], 0.0)
        return Evidence(days.astype(np.float64), samples.astype(np.float64))

    def daily_levels(self, share: float) -> Floats:
        """Level at or below which `share` of a day's samples lie [r][day]."""
        ordered = np.sort(self.loads.by_day(), axis=2)
        counts = np.count_nonzero(~np.isnan(ordered), axis=2)
        at = np.maximum(np.ceil(share * counts - 1e-9).astype(np.int64) - 1, 0)
        found = np.take_along_axis(ordered, at[:, :, None], axis=2)[:, :, 0]
        return np.where(counts >= _HALF * self.points_per_day, found, np.nan)
