"""Which interval to ask CloudWatch for."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from trimtab_service.rightsizing.ports import Window

RETENTION: Final = (
    (timedelta(days=15), 60),
    (timedelta(days=63), 300),
    (timedelta(days=455), 3600),
)
"""Age up to which CloudWatch keeps points of a period in seconds (Amazon CloudWatch API reference, GetMetricData)."""

_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Grid:
    """Whole periods of `period_s` seconds from `start_s` to before `end_s`, in seconds since 1970.

    `is_cut`: the window began before anything that is kept.
    """

    start_s: int
    end_s: int
    period_s: int
    is_cut: bool

    @classmethod
    def of(cls, window: Window, now: datetime, resolution: timedelta) -> Self:
        """The finest period that is kept for the whole window and is not finer than `resolution`.

        Periods divide a day. CloudWatch itself rounds a start down; it is done here so that two windows that meet share
        no interval. An interval that has not ended is left out: its sum and maximum would still change.
        """
        oldest, coarsest = RETENTION[-1]
        age = now - window.start
        kept = next((period for limit, period in RETENTION if age <= limit), coarsest)
        wanted = max(kept, int(resolution.total_seconds()))
        period = next(size for size in range(wanted, _DAY_S + 1) if _DAY_S % size == 0 and size % kept == 0)
        start = max(int(window.start.timestamp()), int((now - oldest).timestamp()))
        end = min(int(window.end.timestamp()), int(now.timestamp()))
        return cls(start // period * period, end // period * period, period, age > oldest)

    @property
    def points(self) -> int:
        """Points of a series without gaps."""
        return max(0, (self.end_s - self.start_s) // self.period_s)
