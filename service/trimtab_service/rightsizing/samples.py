"""A population of every single sample: exact, for one resource or a few."""

import math
from dataclasses import replace
from typing import Final, Self

import numpy as np

from trimtab_service.catalog.arrays import F64, I64
from trimtab_service.rightsizing.arrays import Floats
from trimtab_service.rightsizing.levels import inverse_levels
from trimtab_service.rightsizing.loads import Loads
from trimtab_service.rightsizing.population import ALL_DAYS, Evidence, Masses, Weighting

_HALF: Final = 0.5


class _Sorted:
    """What all views of one population share: samples in ascending order and how old each column is."""

    __slots__ = ("cuts", "finite", "has_gaps", "inverse", "loads", "masses", "order", "values", "weekdays")

    def __init__(self, loads: Loads, cuts: I64) -> None:
        values = np.asarray(loads.values, dtype=np.float64)
        self.loads = loads
        self.cuts = cuts
        self.order: I64 = np.argsort(values, axis=1, kind="stable")
        # NaN sorts last; as +inf it keeps the levels ascending, and its weight is nought.
        self.values: F64 = np.take_along_axis(values, self.order, axis=1)
        self.has_gaps = bool(np.isnan(self.values[:, -1]).any())
        self.finite = self.values
        """The same with nought for gaps."""
        if self.has_gaps:
            self.finite = np.where(np.isnan(self.values), 0.0, self.values)
            self.values[np.isnan(self.values)] = np.inf
        self.inverse = inverse_levels(self.values)
        self.weekdays = loads.weekdays()
        self.masses: dict[Weighting, Masses] = {}
        """Distributions by weighting. A cache: equal keys have equal values."""

    def column_weights(self, weighting: Weighting) -> F64:
        """Weight of each column at each cut [c][points]."""
        per_day, size = self.loads.points_per_day, self.loads.values.shape[1]
        ends = self.cuts[:, None] * per_day
        counted = np.ones(size, dtype=bool)
        scale = 1.0
        if weighting.weekdays != ALL_DAYS:
            counted = np.isin(self.weekdays, list(weighting.weekdays))
            scale = len(weighting.weekdays) / 7
        clock = np.append(0, np.cumsum(counted))
        # Counted points between a column and the cut: 0 for the latest.
        points_old = clock[ends] - clock[1:][None, :]
        known = (np.arange(size)[None, :] < ends) & counted[None, :]
        if weighting.window_days is not None:
            known &= (
                points_old < max(1, math.ceil(weighting.window_days * scale - 1e-9)) * per_day
                if scale < 1
                else (points_old < round(weighting.window_days * per_day))
            )
        if weighting.half_life_days is None:
            return known.astype(np.float64)
        by_age = np.exp2(-(np.arange(size) + _HALF) / (weighting.half_life_days * per_day))
        weights: F64 = np.where(known, by_age[np.maximum(points_old, 0)], 0.0)
        return weights


class Samples:
    """Exact `Population` of `Loads`. Memory: resources x cuts x points numbers for each weighting looked at."""

    __slots__ = ("_sorted", "_weighting")

    def __init__(self, sorted_: _Sorted, weighting: Weighting) -> None:
        self._sorted = sorted_
        self._weighting = weighting

    @classmethod
    def of(cls, loads: Loads, cuts: I64 | None = None, weighting: Weighting | None = None) -> Self:
        """The population of `loads`; without `cuts`, as it is known at the end."""
        chosen = np.array([loads.days], dtype=np.int64) if cuts is None else np.asarray(cuts, dtype=np.int64)
        if not chosen.size or chosen.min() < 1 or chosen.max() > loads.days:
            raise ValueError("cuts must be day numbers from 1 to the number of days")
        return cls(_Sorted(loads, chosen), weighting or Weighting())

    @property
    def loads(self) -> Loads:
        """What it was made of."""
        return self._sorted.loads

    @property
    def weighting(self) -> Weighting:
        """The weighting of this view."""
        return self._weighting

    @property
    def cuts(self) -> I64:
        """Ascending day numbers [c]."""
        return self._sorted.cuts

    @property
    def levels(self) -> Floats:
        """Every sample, ascending [r][l]."""
        return self._sorted.values

    @property
    def points_per_day(self) -> int:
        """Samples in a full day."""
        return self._sorted.loads.points_per_day

    @property
    def weekdays(self) -> I64:
        """Weekday of each day [day]."""
        return self._sorted.loads.day_weekdays()

    def weighted(self, weighting: Weighting) -> Self:
        """The same samples in another weighting."""
        return type(self)(self._sorted, weighting)

    def masses(self) -> Masses:
        """The distribution at each cut."""
        known = self._sorted.masses.get(self._weighting)
        if known is None:
            known = self._sorted.masses[self._weighting] = self._measure()
        return known

    def _measure(self) -> Masses:
        shared = self._sorted
        weights = shared.column_weights(self._weighting)[:, shared.order]
        if shared.has_gaps:
            weights *= np.isfinite(shared.values)
        filled = np.cumsum(weights * shared.finite, axis=2)
        filled *= shared.inverse
        return Masses(np.cumsum(weights, axis=2), filled)

    def peaks(self) -> Floats:
        """Highest sample of positive weight [r][c]."""
        shared = self._sorted
        known = shared.column_weights(replace(self._weighting, half_life_days=None)) > 0
        values = np.where(known[None, :, :], self.loads.values[:, None, :], np.nan)
        found: F64 = np.fmax.reduce(values, axis=2)
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
