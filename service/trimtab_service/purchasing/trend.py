"""Where a series is going, trusted only as far as it explains where it has been.

The path is a straight line through the weekly means of up to two years; its slope is multiplied by the share of their
variance that it explains (R squared), so a fleet that grows steadily is carried on and a restless one stays level. The
path starts midway between the line and the last 30 days. Hours keep the shape of the last 30 days.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from trimtab_service.purchasing.program import Floats

WEEK: Final = 168
LOOK_BACK: Final = 720
_WEEKS: Final = 104
_FEWEST_WEEKS: Final = 8
_LAG_WEEKS: Final = LOOK_BACK / WEEK / 2
"""The middle of the look-back lies this far behind its end."""


@dataclass(frozen=True, slots=True)
class Trend:
    """`recent` mean of the look-back, `line` at the end of the history, `slope` per week, `trust` R squared."""

    recent: float
    line: float
    slope: float
    trust: float

    @property
    def trusted_slope(self) -> float:
        """Slope per week times trust."""
        return self.slope * self.trust


def trend_of(history: Floats) -> Trend:
    """Of hourly `history` (T,); level where it is shorter than eight weeks."""
    recent = float(history[-LOOK_BACK:].mean()) if history.size else 0.0
    weeks = min(_WEEKS, history.size // WEEK)
    if weeks < _FEWEST_WEEKS:
        return Trend(recent, recent, 0.0, 0.0)
    means = history[history.size - weeks * WEEK :].reshape(weeks, WEEK).mean(axis=1)
    clock = np.arange(weeks) - (weeks - 1.0)
    centred = clock - clock.mean()
    spread = means - means.mean()
    slope = float(centred @ spread / (centred @ centred))
    total = float(spread @ spread)
    trust = min(slope * float(centred @ spread) / total, 1.0) if total > 0.0 else 0.0
    return Trend(recent, float(means.mean() - slope * clock.mean()), slope, trust)


def forecast(history: Floats, hours: int) -> Floats:
    """(weeks, L): the last 30 days' hours, scaled to each week of the path over the next `hours`."""
    look = history[-LOOK_BACK:]
    trend = trend_of(history)
    if trend.recent <= 0.0:
        return np.zeros((1, max(look.size, 1)))
    weeks = np.arange(1, max(-(-hours // WEEK), 1) + 1)
    start = (trend.recent + trend.line + trend.trusted_slope * _LAG_WEEKS) / 2.0
    path = np.maximum(start + trend.trusted_slope * weeks, 0.0)
    return np.outer(path / trend.recent, look)


def centred_now(history: Floats) -> float:
    """The factor that moves the last 30 days from their middle to now."""
    trend = trend_of(history)
    return max(1.0 + trend.trusted_slope * _LAG_WEEKS / trend.recent, 0.0) if trend.recent > 0.0 else 1.0
