"""Cumulative counters and interval sums as rates, so that everything after is a gauge."""

from typing import Final

import numpy as np

from trimtab_service.catalog.arrays import F64, I64

_FEWEST_POINTS: Final = 30
"""Fewer points are not judged: a short rise is a load that grows."""
RISING_SHARE: Final = 0.6
"""A counter rises in at least so many of its intervals."""

_RESETS_SHARE: Final = 0.02
_RANGE_OVER_STEP: Final = 10.0


def looks_like_counter(stamps: F64 | I64, values: F64) -> bool:
    """True if the values only ever rise, but for rare falls to near zero, as a counter's do.

    `stamps` ascend and `values` are finite. A gauge of load goes both ways within a day; what rises in most
    intervals and otherwise stands still is no load. Memory and disk fill may rise for weeks: their callers do not ask.
    """
    if values.size < _FEWEST_POINTS or values[0] < 0 or stamps[-1] <= stamps[0]:
        return False
    change = values[1:] - values[:-1]
    if np.count_nonzero(change > 0) < RISING_SHARE * change.size:
        return False
    falls = change < 0
    if np.count_nonzero(falls) > _RESETS_SHARE * change.size:
        return False
    # A reset starts again from nothing; a load that dips does not.
    if falls.any() and (values[1:][falls] > 0.5 * values[:-1][falls]).any():
        return False
    return bool(np.ptp(values) > _RANGE_OVER_STEP * float(np.median(np.abs(change))))


def rate_of_counter(stamps: F64, values: F64) -> tuple[F64, F64, int]:
    """(stamps, rates per second, resets) of a counter. Needs strictly ascending stamps; one point gives no rate.

    Each rate stands at the beginning of its interval. After a reset the counter has counted from zero (Prometheus'
    reading), so what it shows is what was counted, and a rate is never negative.
    """
    seconds = np.diff(stamps)
    change = np.diff(values)
    resets = change < 0
    with np.errstate(over="ignore"):
        rates = np.where(resets, values[1:], change) / seconds
    return stamps[:-1], rates, int(np.count_nonzero(resets))


def rate_of_sums(stamps: F64, values: F64) -> F64:
    """Sums over intervals as rates per second; the interval is the distance to the nearer neighbour.

    The nearer one, since the farther may lie across a gap. A single point has no interval and gives NaN.
    """
    if stamps.size < 2:  # noqa: PLR2004 - one point has no neighbour
        return np.full(values.shape, np.nan)
    apart = np.diff(stamps)
    before = np.append(apart[:1], apart)
    after = np.append(apart, apart[-1:])
    with np.errstate(over="ignore"):
        rates: F64 = values / np.minimum(before, after)
    return rates
