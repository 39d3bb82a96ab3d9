"""What an estimator is made of, as data: a recipe per dimension, from which the composed estimator is built."""

from dataclasses import dataclass, replace

import numpy as np

from trimtab_service.catalog.arrays import F64
from trimtab_service.rightsizing.estimators import (
    PEAK,
    AtLeast,
    Decayed,
    DriftHeadroom,
    Estimator,
    Headroom,
    LeastRegret,
    Percentile,
    Within,
    WorkingDayFloor,
    two_windows,
)
from trimtab_service.rightsizing.population import WORKING_DAYS, Population


@dataclass(frozen=True, slots=True)
class Drift:
    """Parameters of `DriftHeadroom`."""

    factor: float
    prior: float = 0.07
    prior_days: float = 7.0
    most: float = 0.20


@dataclass(frozen=True, slots=True)
class LatestWindow:
    """The second window of `two_windows`."""

    days: float
    factor: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """The level rule, what it looks at, what is added, and where it stops.

    `daily_peaks`: the rule is a decayed percentile of daily peaks (the VPA's for memory). `headroom` is a fraction;
    `drift` comes beside it. `never_below_peak` holds whatever the rest says.
    """

    rule: Percentile | LeastRegret
    window_days: float
    half_life_days: float | None = None
    latest: LatestWindow | None = None
    headroom: float = 0.0
    drift: Drift | None = None
    weekday_aware: bool = False
    daily_peaks: bool = False
    never_below_peak: bool = False

    def overridden(self, percentile: float | None, headroom: float | None) -> "Recipe":
        """With a percentile instead of the rule, and a headroom instead of headroom and drift, where given."""
        recipe = self
        if percentile is not None:
            # What was asked for is what is applied: an own percentile is of the window, without decay.
            recipe = replace(recipe, rule=Percentile(percentile), half_life_days=None, daily_peaks=False)
        if headroom is not None:
            recipe = replace(recipe, headroom=headroom, drift=None, latest=None)
        return recipe

    def estimator(self, floor: float | None = None) -> Estimator:
        """The composed estimator; `floor` is in the unit of the samples."""
        built: Estimator = self.rule
        if self.daily_peaks and isinstance(self.rule, Percentile):
            built = DailyPeaks(self.rule.percent, self.half_life_days)
        elif self.half_life_days is not None:
            built = Decayed(built, self.half_life_days)
        if self.latest is not None:
            built = two_windows(built, self.window_days, self.latest.days, self.latest.factor)
        else:
            built = Within(built, self.window_days)
        if self.weekday_aware:
            built = WorkingDayFloor(built)
        if self.drift is not None:
            drift = self.drift
            weekdays = WORKING_DAYS if self.weekday_aware else None
            built = DriftHeadroom(built, drift.factor, drift.prior, drift.prior_days, drift.most, weekdays=weekdays)
        if self.headroom:
            built = Headroom(built, self.headroom)
        if self.never_below_peak:
            built = NotBelow(built, Within(PEAK, self.window_days))
        return built if floor is None else AtLeast(built, floor)


@dataclass(frozen=True, slots=True)
class NotBelow:
    """`inner`, or `bound` where that is higher."""

    inner: Estimator
    bound: Estimator

    def levels(self, population: Population) -> F64:
        """Level [r][c]."""
        return np.fmax(self.inner.levels(population), self.bound.levels(population))


@dataclass(frozen=True, slots=True)
class DailyPeaks:
    """The (decayed) percentile of daily peaks: the VPA's rule for memory."""

    percent: float
    half_life_days: float | None

    def levels(self, population: Population) -> F64:
        """Level [r][c]."""
        daily = np.asarray(population.daily_levels(1.0), dtype=np.float64)
        order = np.argsort(daily, axis=1, kind="stable")
        ordered = np.take_along_axis(daily, order, axis=1)
        age = population.cuts[None, :, None] - 1 - order[:, None, :]
        known = (age >= 0) & ~np.isnan(ordered)[:, None, :]
        window = population.weighting.window_days
        if window is not None:
            known &= age < window
        weights = np.where(known, 1.0 if self.half_life_days is None else np.exp2(-age / self.half_life_days), 0.0)
        running = np.cumsum(weights, axis=2)
        total = running[:, :, -1:]
        at = np.argmax(running >= self.percent / 100 * total - 1e-12 * total, axis=2)
        # Days of no weight before the first weighted one have a running sum of nought and share nought.
        found = np.take_along_axis(ordered, at, axis=1)
        return np.where(total[:, :, 0] > 0, found, np.nan)
