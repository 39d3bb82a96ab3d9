"""Rules that decide a commitment level from the past alone: what each would have cost is what a back-test says."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

import numpy as np

from trimtab_service.purchasing.program import Floats
from trimtab_service.purchasing.single_level import single_level
from trimtab_service.purchasing.trend import LOOK_BACK, WEEK, centred_now, forecast

Rule = Callable[[Floats, int, float], float]
"""(history (T,), hours until the term ends, on-demand over plan price) -> level."""

_DAY: Final = 24
_YEAR_WEEKS: Final = 52


class Policy(StrEnum):
    """Names of the rules."""

    NONE = "none"
    QUANTILE_7_DAYS = "quantile_7_days"
    QUANTILE_30_DAYS = "quantile_30_days"
    QUANTILE_60_DAYS = "quantile_60_days"
    QUANTILE_365_DAYS = "quantile_365_days"
    DRIFT = "drift"
    TREND = "trend"


def _quantile(days: int) -> Rule:
    def rule(history: Floats, _hours: int, ratio: float) -> float:
        return single_level(history[-days * _DAY :], ratio)

    return rule


def _none(_history: Floats, _hours: int, _ratio: float) -> float:
    return 0.0


def drift(history: Floats, hours: int, ratio: float) -> float:
    """The last 30 days carried on by the slope between the first and the last of 52 weekly means."""
    look = history[-LOOK_BACK:]
    span = _YEAR_WEEKS * WEEK
    if history.size < span or look.mean() <= 0.0:
        return single_level(look, ratio)
    means = history[-span:].reshape(_YEAR_WEEKS, WEEK).mean(axis=1)
    slope = (means[-1] - means[0]) / (_YEAR_WEEKS - 1)
    path = np.maximum(means[-1] + slope * np.arange(1, -(-hours // WEEK) + 1), 0.0)
    return single_level(np.outer(path / look.mean(), look), ratio)


def trend(history: Floats, hours: int, ratio: float) -> float:
    """The quantile of the forecast hours: the rule for a decision that stands for the whole term."""
    return single_level(forecast(history, hours), ratio)


def top_up(history: Floats, hours: int, ratio: float) -> float:
    """The level to keep when decisions come often: that of now, unless the trend says that it will not last the term.

    Growth is bought when it arrives; decline is not bought into.
    """
    now = single_level(history[-LOOK_BACK:], ratio) * centred_now(history)
    return min(now, max(trend(history, hours, ratio), 0.0)) if centred_now(history) < 1.0 else now


RULES: Final[dict[Policy, Rule]] = {
    Policy.NONE: _none,
    Policy.QUANTILE_7_DAYS: _quantile(7),
    Policy.QUANTILE_30_DAYS: _quantile(30),
    Policy.QUANTILE_60_DAYS: _quantile(60),
    Policy.QUANTILE_365_DAYS: _quantile(365),
    Policy.DRIFT: drift,
    Policy.TREND: trend,
}
