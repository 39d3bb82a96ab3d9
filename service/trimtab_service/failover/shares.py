"""Shares of machines, in whole ones."""

import math

_ROUNDING = 1e-9
"""What floats leave over: 10 % of 30 is 3, not 4."""


def share_of(count: int, minimum_share: float) -> int:
    """The share of a number, rounded up; 0 means all."""
    return count if minimum_share <= 0 else min(count, math.ceil(count * minimum_share - _ROUNDING))


def share_of_peak(peak: int, percent: float, desired: int) -> int:
    """Percent of a peak, rounded up, and never fewer than are asked for already."""
    return max(desired, math.ceil(peak * percent / 100 - _ROUNDING))
