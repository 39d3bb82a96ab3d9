"""One level for one series: the newsvendor's quantile, exact, without any optimiser.

A committed unit costs 1 an hour, a unit on demand `ratio` = 1 / plan rate. The least cost is at an order statistic:
at most T / ratio hours may lie strictly above the level.
"""

import math

import numpy as np

from trimtab_service.purchasing.program import Floats


def single_level(usage: Floats, ratio: float) -> float:
    """The cheapest level for the hours of `usage`; 0 where a plan does not pay (ratio <= 1) or there are no hours."""
    hours = usage.size
    if hours == 0 or ratio <= 1.0:
        return 0.0
    rank = hours - math.floor(hours / ratio) - 1
    return float(np.partition(usage.ravel(), rank)[rank])


def single_level_cost(usage: Floats, ratio: float, level: float) -> float:
    """Committed units plus what lies above them on demand, in committed units' money."""
    return usage.size * level + ratio * float(np.maximum(usage - level, 0.0).sum())


def break_even_utilisation(ratio: float) -> float:
    """The share of a commitment that must be used for it to pay: 1 / ratio."""
    return 1.0 / ratio
