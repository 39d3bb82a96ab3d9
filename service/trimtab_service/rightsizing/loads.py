"""Many resources' loads on one grid of whole days."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from trimtab_service.catalog.arrays import F64, I64
from trimtab_service.rightsizing.arrays import Floats
from trimtab_service.rightsizing.series import DAY_S, Series

_THURSDAY: Final = 3
"""1970-01-01."""


@dataclass(frozen=True, slots=True, eq=False)
class Loads:
    """`values` [resources][days * points per day], NaN for gaps; `end_s` is the end of the last interval.

    Days are counted back from `end_s`, so they need not begin at midnight. `utc_offset_s` moves the calendar that
    weekdays are read from.
    """

    values: Floats
    end_s: int
    step_s: int
    utc_offset_s: int = 0

    def __post_init__(self) -> None:
        if DAY_S % self.step_s or self.values.shape[1] % (DAY_S // self.step_s):
            raise ValueError("loads must be whole days of a step that divides a day")

    @classmethod
    def of(cls, values: Floats, end_s: int, step_s: int, utc_offset_s: int = 0) -> Self:
        """Loads of any length [resources][points]; a first day that is not whole is filled with gaps."""
        per_day = DAY_S // step_s
        missing = -values.shape[1] % per_day
        if missing:
            values = np.pad(values, ((0, 0), (missing, 0)), constant_values=np.nan)
        return cls(values, end_s, step_s, utc_offset_s)

    @classmethod
    def of_series(cls, series: Sequence[Series], utc_offset_s: int = 0) -> Self:
        """Loads of series of one step, aligned by their stamps; what one lacks is a gap. Needs one with points."""
        filled = [one for one in series if one.values.size]
        if len({one.step_s for one in filled}) != 1:
            raise ValueError("the series must have one step, and one of them a point")
        step, end = filled[0].step_s, max(one.end_s for one in filled)
        size = (end - min(one.start_s for one in filled)) // step
        values: F64 = np.full((len(series), size), np.nan)
        for row, one in zip(values, series, strict=True):
            if one.values.size:
                last = size - (end - one.end_s) // step
                row[last - one.values.size : last] = one.values
        return cls.of(values, end, step, utc_offset_s)

    @property
    def points_per_day(self) -> int:
        """Points of a whole day."""
        return DAY_S // self.step_s

    @property
    def days(self) -> int:
        """Whole days, the first perhaps filled up with gaps."""
        return int(self.values.shape[1]) // self.points_per_day

    def by_day(self) -> Floats:
        """A view [resources][days][points per day]."""
        return self.values.reshape(self.values.shape[0], self.days, self.points_per_day)

    def samples_by_day(self) -> Floats:
        """Measured samples of each day [resources][days], in the type of the values."""
        days = self.by_day()
        known = np.equal(self.values, self.values, out=np.empty_like(self.values))
        # A product with ones sums short rows several times faster than a reduction.
        found: Floats = known.reshape(-1, days.shape[2]) @ np.ones(days.shape[2], dtype=days.dtype)
        return found.reshape(days.shape[:2])

    def weekdays(self) -> I64:
        """Weekday of each point [points]; Monday is 0."""
        size = self.values.shape[1]
        return weekdays_of(self.end_s - size * self.step_s + self.utc_offset_s, self.step_s, size)

    def day_weekdays(self) -> I64:
        """Weekday of most of each day [days]: that of its middle."""
        start = self.end_s - self.days * DAY_S + self.utc_offset_s
        return weekdays_of(start + DAY_S // 2, DAY_S, self.days)


def weekdays_of(start_s: int, step_s: int, points: int) -> I64:
    """Weekday of each point of a grid; Monday is 0."""
    result: I64 = ((start_s + np.arange(points) * step_s) // DAY_S + _THURSDAY) % 7
    return result
