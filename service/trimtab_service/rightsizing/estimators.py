"""Estimators: small pieces, each wrapping another, from a population to the level a size should have.

The idea of estimators as tiny decorators is the Kubernetes VPA recommender's. Each answers for every resource and
every cut at once; none looks past a cut, so that the back-test of a composed estimator is honest by construction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Protocol

import numpy as np

from trimtab_service import compiled
from trimtab_service.catalog.arrays import F64, I64
from trimtab_service.rightsizing.levels import level_of_share
from trimtab_service.rightsizing.population import WORKING_DAYS, Population, Weighting
from trimtab_service.rightsizing.series import DAY_S

MIB_PER_GIB = 1024.0
_KERNEL: Final = compiled.load("sizing")


class Estimator(Protocol):
    """From the past to a level."""

    def levels(self, population: Population) -> F64:
        """Level [resources][cuts] in the unit of the samples; NaN where a resource has no sample before the cut.

        Scale equivariant: k times the load gives k times the level, but for floors given in units.
        """
        ...


@dataclass(frozen=True, slots=True)
class Percentile:
    """The smallest sample that `percent` (above 0, to 100) of the weight lies at or below (see `levels`)."""

    percent: float

    def __post_init__(self) -> None:
        if not 0 < self.percent <= 100:  # noqa: PLR2004 - percent
            raise ValueError("a percentile is above 0 and at most 100")

    def levels(self, population: Population) -> F64:
        """Level [r][c]."""
        if self.percent == 100:  # noqa: PLR2004 - percent
            return np.asarray(population.peaks(), dtype=np.float64)
        return level_of_share(population.masses(), self.percent / 100)


PEAK = Percentile(100.0)
"""The highest sample: what memory is sized by."""


@dataclass(frozen=True, slots=True)
class LeastRegret:
    """The level where one more point of time in want is worth what it saves in points of unused size (see `levels`).

    A point is worth `exchange`, and past a want of `tolerance` (a share of the time) `beyond`; None: `exchange` too.
    """

    exchange: float
    beyond: float | None = None
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        if self.exchange <= 1 or (self.beyond is not None and self.beyond < self.exchange):
            raise ValueError("a point of want is worth more than one of size, and beyond the tolerance no less")
        if not 0 <= self.tolerance < 1:
            raise ValueError("a tolerance is a share of the time")

    def levels(self, population: Population) -> F64:
        """Level [r][c]."""
        return population.least_regret(self.exchange, self.beyond, self.tolerance)


@dataclass(frozen=True, slots=True)
class Within:
    """`inner` over the latest `days` only."""

    inner: Estimator
    days: float

    def levels(self, population: Population) -> F64:
        """Level [r][c]."""
        now = population.weighting
        return self.inner.levels(population.weighted(Weighting(self.days, now.half_life_days, now.weekdays)))


@dataclass(frozen=True, slots=True)
class Decayed:
    """`inner` with samples that lose half their weight every `half_life_days`."""

    inner: Estimator
    half_life_days: float

    def levels(self, population: Population) -> F64:
        """Level [r][c]."""
        view = population.weighted(replace(population.weighting, half_life_days=self.half_life_days))
        return self.inner.levels(view)


@dataclass(frozen=True, slots=True)
class Largest:
    """The largest of several. One that has no samples in its window is left out."""

    inners: tuple[Estimator, ...]

    def levels(self, population: Population) -> F64:
        """Level [r][c]."""
        found = self.inners[0].levels(population)
        for inner in self.inners[1:]:
            found = np.fmax(found, inner.levels(population))
        return found


@dataclass(frozen=True, slots=True)
class Headroom:
    """`inner` times `1 + fraction`."""

    inner: Estimator
    fraction: float

    def levels(self, population: Population) -> F64:
        """Level [r][c]."""
        return self.inner.levels(population) * (1.0 + self.fraction)


def two_windows(inner: Estimator, long_days: float, latest_days: float, latest_factor: float) -> Estimator:
    """The larger of `inner` over the long window and `latest_factor` times `inner` over the latest days.

    The long window knows the week, the latest day knows a new level (design page, 5.2).
    """
    return Largest((Within(inner, long_days), Headroom(Within(inner, latest_days), latest_factor - 1.0)))


@dataclass(frozen=True, slots=True)
class WorkingDayFloor:
    """Never below `inner` of the working days alone, on a clock that stands still on other days.

    So a weekend, which decay or a short window takes for a new low level, never lowers Monday's floor
    (kubernetes/autoscaler#3684, #3698). A load whose weekends are high is unaffected: `inner` sees them too.
    """

    inner: Estimator
    working_days: frozenset[int] = WORKING_DAYS

    def levels(self, population: Population) -> F64:
        """Level [r][c]."""
        now = population.weighting
        working = population.weighted(Weighting(now.window_days, now.half_life_days, self.working_days))
        return np.fmax(self.inner.levels(population), self.inner.levels(working))


@dataclass(frozen=True, slots=True)
class DriftHeadroom:
    """`inner` raised by how much the load grows from one day to the next.

    `factor` deviations of the day-to-day change of the daily level (P95, in logarithms), as measured over the
    `window_days` before each cut and drawn towards `prior` as if `prior_days` more days had shown it: a week of
    history has few differences. Growth alone counts, twice, so that changes that are as often up as down give their
    standard deviation, and a fall asks for no headroom. A change counts up to twice `most` (e-folds), the deviation
    up to `most`. Given `weekdays`, the changes are those from one of these days to the next: so a quiet weekend, which
    is a fall that is made good on Monday, changes nothing.
    """

    inner: Estimator
    factor: float
    prior: float
    prior_days: float
    most: float
    window_days: int = 14
    share: float = 0.95
    weekdays: frozenset[int] | None = None

    def levels(self, population: Population) -> F64:
        """Level [r][c]."""
        return self.inner.levels(population) * np.exp(self.factor * self.deviation(population))

    def deviation(self, population: Population) -> F64:
        """Shrunk upward deviation of the change from one day that counts to the next, in e-folds [r][c]."""
        among = population.weighting.weekdays if self.weekdays is None else self.weekdays
        week, cuts = population.weekdays, population.cuts
        counted, first, last = _changes(week.size, int(week[0]), tuple(cuts.tolist()), among, self.window_days)
        daily = population.daily_levels(self.share)[:, counted]
        after, before = daily[:, 1:], daily[:, :-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.log(after / before)
        if _KERNEL is not None and daily.dtype == np.float32:
            found = np.empty((daily.shape[0], cuts.size))
            bounds = (2 * self.most, self.prior_days, self.prior, self.most)
            _KERNEL.growth(daily, logs, first, last, *bounds, found)
            return found
        change = np.clip(logs, 0.0, 2 * self.most)
        # From nought to nought nothing changes; from it the change is as large as is counted, by the clip.
        change = np.where((after == 0) & (before == 0), 0.0, change)
        known = ~np.isnan(change)
        squares = np.where(known, 2 * change**2, 0.0)
        sums, numbers = _running(squares), _running(known.astype(np.float64))
        total = sums[:, last] - sums[:, first]
        number = numbers[:, last] - numbers[:, first]
        spread = np.sqrt((self.prior_days * self.prior**2 + total) / (self.prior_days + number))
        return np.minimum(spread, self.most)


@lru_cache(maxsize=256)
def _changes(
    days: int, first_weekday: int, cuts: tuple[int, ...], among: frozenset[int], window_days: int
) -> tuple[I64, I64, I64]:
    """Days that count, and at each cut the first change between them that is looked at and the last; read-only.

    Change i lies between the counted days i and i + 1: with n counted days before a cut, n - 1 are known.
    """
    counted = np.array([day for day in range(days) if (first_weekday + day) % 7 in among], dtype=np.int64)
    last = np.maximum(np.searchsorted(counted, np.array(cuts)) - 1, 0)
    first = np.maximum(last - window_days, 0)
    for shared in (counted, first, last):
        shared.flags.writeable = False
    return counted, first, last


def _running(values: F64) -> F64:
    return np.concatenate((np.zeros((values.shape[0], 1)), np.cumsum(values, axis=1)), axis=1)


@dataclass(frozen=True, slots=True)
class Confidence:
    """`inner` times `(1 + multiplier / confidence) ** exponent`, where confidence grows with the data.

    The VPA's bounds: upper (1, 1), lower (0.001, -2). Confidence is the lesser of the days spanned and the samples
    over `samples_per_day` (1,440 in the VPA, which samples each minute; None: those of the grid).
    """

    inner: Estimator
    multiplier: float
    exponent: float
    samples_per_day: float | None = None

    def levels(self, population: Population) -> F64:
        """Level [r][c]."""
        return self.inner.levels(population) * self.factors(population)

    def factors(self, population: Population) -> F64:
        """The factor alone [r][c]; +inf (or 0, for a negative exponent) without data."""
        found = confidence(population, self.samples_per_day)
        with np.errstate(divide="ignore"):
            return np.asarray((1.0 + self.multiplier / found) ** self.exponent, dtype=np.float64)


def confidence(population: Population, samples_per_day: float | None = None) -> F64:
    """Days' worth of evidence [r][c]: the lesser of days spanned and samples per `samples_per_day`."""
    evidence = population.evidence()
    return np.minimum(evidence.days, evidence.samples / (samples_per_day or population.points_per_day))


@dataclass(frozen=True, slots=True)
class AtLeast:
    """`inner`, or `floor` (in its unit) where that is higher. Without samples it stays NaN: a floor is no estimate."""

    inner: Estimator
    floor: float

    def levels(self, population: Population) -> F64:
        """Level [r][c]."""
        return np.maximum(self.inner.levels(population), self.floor)


@dataclass(frozen=True, slots=True)
class Incident:
    """A kill for want of memory, or a throttling: what was in use when it happened, in the unit of the samples."""

    resource: int
    at_s: float
    use: float


@dataclass(frozen=True, slots=True)
class IncidentFloor:
    """Never below `max(use * factor, use + plus)` of an incident that happened before the cut.

    The VPA's rule after an OOM kill: factor 1.2, plus 100 MiB; `plus` is in the unit of the samples. A use that
    led to a kill is a lower bound of what was needed, since the measured series ends where the kill was.
    """

    inner: Estimator
    incidents: tuple[Incident, ...]
    end_s: float
    """End of the last day of the population."""
    factor: float = 1.2
    plus: float = 0.0

    def levels(self, population: Population) -> F64:
        """Level [r][c]."""
        found = self.inner.levels(population)
        last = int(population.cuts[-1])
        for incident in self.incidents:
            # An incident after the last cut is still known now.
            days_ago = (self.end_s - incident.at_s) / DAY_S
            known = (population.cuts >= last - days_ago) | (population.cuts == last)
            floor = max(incident.use * self.factor, incident.use + self.plus)
            found[incident.resource] = np.where(
                known, np.fmax(found[incident.resource], floor), found[incident.resource]
            )
        return found


def raised_after(
    inner: Estimator, incidents: Sequence[Incident], end_s: float, *, plus_gib: float = 100 / MIB_PER_GIB
) -> Estimator:
    """`inner` with the VPA's floor after kills, for samples in GiB; `inner` itself without incidents."""
    return IncidentFloor(inner, tuple(incidents), end_s, plus=plus_gib) if incidents else inner
