"""What an estimator looks at: the past of many resources, as it was known at several cuts, as weighted levels.

Axes: resource `r`, cut `c`, level `l`. A *cut* is a day number d: what lies in days 0..d-1 is known, and day d is
what comes next. The last cut is the number of days: that is the recommendation; the earlier ones are the back-test.
So one call of an estimator gives what is advised now and what would have been advised on each day before.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, Self

from trimtab_service.catalog.arrays import F64, I64
from trimtab_service.rightsizing.arrays import Floats

WORKING_DAYS: Final = frozenset(range(5))
"""Monday (0) to Friday."""

ALL_DAYS: Final = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Weighting:
    """How much a sample of the past counts.

    `window_days`: older samples count nothing; None is all there is. `half_life_days`: a sample so old counts half
    (`2 ** (-age / half life)`, the Kubernetes VPA's decay); None is no decay. `weekdays`: samples of other days count
    nothing, and their hours do not age the others: on Monday morning Friday's are fresh. The window is then in
    proportion: of a window of 7 days the 5 latest working days.
    """

    window_days: float | None = None
    half_life_days: float | None = None
    weekdays: frozenset[int] = ALL_DAYS


class Masses(NamedTuple):
    """The weighted distribution at each cut, as running sums along the levels.

    `levels` [1 or c][r][l] ascend: what samples stand at, the same at every cut where the first axis is 1; +inf where
    a resource has fewer. `weight` [c][r][l]: weight of the samples at or below the level; its last entry is all
    weight, nought where nothing is known. `filled` [c][r][l]: sum of weight times value / level of those samples,
    which is how much of a size of that level they use.
    """

    levels: Floats
    weight: Floats
    filled: Floats

    @property
    def total(self) -> Floats:
        """All weight [c][r]."""
        return self.weight[:, :, -1]


class Evidence(NamedTuple):
    """How much there is at each cut: `days` [r][c] with any sample, `samples` [r][c]."""

    days: F64
    samples: F64


class Population(Protocol):
    """The past of resources, looked at in one weighting. Views share their data; none is ever changed."""

    @property
    def weighting(self) -> Weighting:
        """The weighting of this view."""
        ...

    @property
    def cuts(self) -> I64:
        """Ascending day numbers [c], each at least 1."""
        ...

    @property
    def points_per_day(self) -> int:
        """Samples in a full day."""
        ...

    @property
    def weekdays(self) -> I64:
        """Weekday of each day [day]; Monday is 0."""
        ...

    def weighted(self, weighting: Weighting) -> Self:
        """The same past, looked at in another weighting."""
        ...

    def masses(self) -> Masses:
        """The distribution at each cut."""
        ...

    def least_regret(self, exchange: float, beyond: float | None, tolerance: float) -> F64:
        """Level [r][c] of least regret (see `levels.level_of_least_regret`)."""
        ...

    def peaks(self) -> Floats:
        """Highest sample of positive weight [r][c]; NaN where there is none. Decay does not make it lower."""
        ...

    def evidence(self) -> Evidence:
        """How many days and samples there are at each cut, whatever the weighting."""
        ...

    def daily_levels(self, share: float) -> Floats:
        """Level at or below which `share` of a day's samples lie [r][day]; NaN for days under half measured."""
        ...
