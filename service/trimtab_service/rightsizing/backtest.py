"""Walk-forward: what a rule would have advised on each day of the past, and how the next day went.

The rule sees only what lies before a cut; the day after it is the test. Nothing is fitted to the tested days, so the
share of samples above the rule's levels is what its next recommendation may be expected to show.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from trimtab_service import compiled
from trimtab_service.catalog.arrays import F64, I64
from trimtab_service.rightsizing.arrays import Floats
from trimtab_service.rightsizing.estimators import Estimator
from trimtab_service.rightsizing.intervals import CONFIDENCE_LEVEL, Interval, interval_of_days
from trimtab_service.rightsizing.loads import Loads
from trimtab_service.rightsizing.samples import Samples

LEAST_TRAIN_DAYS: Final = 1
"""A rule that has seen less than a day has not seen a night."""
TRAIN_DAYS: Final = 7
"""Preferred history before the first test: a full week."""
MOST_WINDOWS: Final = 60

_FEW: Final = 64
"""Up to so many loads at once numpy's calls cost more than its sums."""

_KERNEL: Final = compiled.load("sizing")


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """How a rule did, per resource [r].

    `levels` [r][windows] are what it advised; `exceeded`, `measured` [r][windows] count the next day's samples above
    it and in all; `unused` [r][windows] is the mean share of the level that lay idle (0 when exceeded). `advised` [r]
    is the recommendation: the level at the end.
    """

    levels: F64
    exceeded: I64
    measured: I64
    unused: F64
    advised: F64

    @property
    def exceedance(self) -> F64:
        """Mean over tested days of the share above [r]; NaN where no day was tested."""
        return _mean_of_days(self.shares())

    @property
    def slack(self) -> F64:
        """Mean unused share over tested days [r]; NaN where no day was tested."""
        return _mean_of_days(self.unused)

    def shares(self) -> F64:
        """Share of each tested day's samples above its level [r][windows]; NaN for days without samples."""
        unknown = np.full(self.exceeded.shape, np.nan)
        shares: F64 = np.divide(self.exceeded, self.measured, out=unknown, where=self.measured > 0)
        return shares

    def interval(self, resource: int, confidence_level: float = CONFIDENCE_LEVEL) -> Interval:
        """Interval of one resource's exceedance; days are the independent units (see `intervals`)."""
        return interval_of_days(self.shares()[resource], self.measured[resource], confidence_level)


def _mean_of_days(values: F64) -> F64:
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    mean: F64 = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


def cuts_of(days: int, train_days: int = TRAIN_DAYS, most: int = MOST_WINDOWS, every_days: int = 1) -> I64:
    """Cuts to walk over: every so many days after the first `train_days`, and the end.

    In a history shorter than twice `train_days` the training is half of it, at least a day; the latest `most` days
    are tested.
    """
    first = max(LEAST_TRAIN_DAYS, min(train_days, days // 2), days - most)
    return np.append(np.arange(first, days, every_days, dtype=np.int64), days)


def walk_forward(estimator: Estimator, samples: Samples) -> Walk:
    """How `estimator` did at the cuts of `samples`; the last cut must be the number of days, the others are tested."""
    levels = estimator.levels(samples)
    return walked(levels, samples.loads, samples.cuts)


def walked(levels: F64, loads: Loads, cuts: I64, samples: Floats | None = None) -> Walk:
    """The walk of levels [r][cuts] that were advised at `cuts`, of which the last is the end.

    A level holds until the next cut, so where cuts are days apart, each of those days tests it. `samples` [r][days]
    are the measured samples of each day, if they are counted already.
    """
    if cuts[-1] != loads.days:
        raise ValueError("the last cut must be the number of days")
    advised = np.repeat(levels[:, :-1], np.diff(cuts), axis=1)
    counted = loads.samples_by_day() if samples is None else samples
    return Walk(advised, *_held_against(loads.by_day()[:, cuts[0] :], counted[:, cuts[0] :], advised), levels[:, -1])


def _held_against(days: Floats, samples: Floats, levels: F64) -> tuple[I64, I64, F64]:
    """(samples above, samples, mean unused share) of days [r][w][points] against levels [r][w].

    A window whose level is not known tests nothing; gaps are above nothing and fill nothing.
    """
    if _KERNEL is not None and days.dtype == np.float64 and days.shape[0] <= _FEW:
        exceeded, known = np.empty((2, *levels.shape), dtype=np.int64)
        unused = np.empty(levels.shape)
        _KERNEL.held_against(days, levels, exceeded, known, unused)
        return exceeded, known, unused
    per_day = days.shape[2]
    # Sums of short rows: a product with ones is several times faster than a reduction.
    ones = np.ones(per_day, dtype=days.dtype)
    # In the precision of the samples, so that a level that is a sample is equal to it.
    size = levels.astype(days.dtype)
    measured = np.where(np.isnan(levels), 0, samples)
    # Long rows, each size as often as its day has points: much faster than short rows with a size each.
    rows = days.reshape(days.shape[0], -1)
    sizes = np.repeat(size, per_day, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        exceeded = np.greater(rows, sizes, out=np.empty_like(rows)).reshape(-1, per_day) @ ones
        # fmin takes the number of a number and NaN, so that gaps count as the size until they are taken out.
        used = (np.fmin(rows, sizes, out=sizes).reshape(-1, per_day) @ ones).reshape(size.shape)
        used -= (per_day - samples) * size
        unused = np.where(measured > 0, np.where(size > 0, 1 - used / (size * measured), 0.0), np.nan)
    return (
        exceeded.reshape(size.shape).astype(np.int64),
        measured.astype(np.int64),
        np.maximum(unused, 0.0).astype(np.float64),
    )


@dataclass(frozen=True, slots=True)
class CapacityTest:
    """How one fixed capacity would have done on the whole measured past of one resource. Shares 0 to 1."""

    exceedance: float
    interval: Interval
    slack: float
    days: int
    days_exceeded: int


def capacity_test(
    loads: Loads, resource: int, capacity: float, confidence_level: float = CONFIDENCE_LEVEL
) -> CapacityTest | None:
    """The measured share of samples of one resource above `capacity`; None where nothing was measured.

    The capacity was not learned from the series (a catalogue type is what it is), so every measured day tests it.
    """
    days = loads.by_day()[resource : resource + 1]
    counted = loads.samples_by_day()[resource : resource + 1]
    exceeded, measured, unused = _held_against(days, counted, np.full((1, loads.days), capacity))
    total = int(measured.sum())
    if not total:
        return None
    shares = np.divide(exceeded[0], measured[0], out=np.full(loads.days, np.nan), where=measured[0] > 0)
    return CapacityTest(
        exceedance=float(exceeded.sum() / total),
        interval=interval_of_days(shares, measured[0], confidence_level),
        slack=float(np.nansum(unused[0] * measured[0]) / total),
        days=int(np.count_nonzero(measured)),
        days_exceeded=int(np.count_nonzero(exceeded)),
    )
