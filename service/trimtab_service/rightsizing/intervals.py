"""An interval for a share of time that does not take the samples of one day for independent.

Load is correlated over hours: a day of 288 samples is nowhere near 288 observations. The days are taken as the
independent units (clusters). The spread between daily shares gives the variance of their mean; that variance says how
many independent samples the data are worth (never more than there are); Wilson's score interval on that number
then behaves at shares near 0 and 1, where a mean plus or minus its error would leave the range. Without any spread
between days the number is that of the days.
"""

from functools import lru_cache
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np

from trimtab_service.catalog.arrays import F64, I64

CONFIDENCE_LEVEL: Final = 0.95


class Interval(NamedTuple):
    """`low` and `high` of a share, and the number of independent samples it rests on."""

    low: float
    high: float
    effective_samples: float


@lru_cache(maxsize=64)
def _normal_quantile(confidence_level: float) -> float:
    return NormalDist().inv_cdf(0.5 + confidence_level / 2)


def student_quantile(confidence_level: float, degrees: int) -> float:
    """Two-sided quantile of Student's t, by the Cornish-Fisher expansion; exact for 1 and 2 degrees.

    Abramowitz and Stegun 26.7.5; within 1 % for 3 degrees and more at 95 %.
    """
    probability = 0.5 + confidence_level / 2
    if degrees == 1:
        return float(np.tan(np.pi * (probability - 0.5)))
    if degrees == 2:  # noqa: PLR2004 - the closed form of two degrees
        twice = 2 * probability - 1
        return float(twice * np.sqrt(2 / (1 - twice**2)))
    z = _normal_quantile(confidence_level)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return float(z + sum(term / degrees ** (power + 1) for power, term in enumerate(terms)))


def interval_of_days(shares: F64, measured: I64, confidence_level: float = CONFIDENCE_LEVEL) -> Interval:
    """Interval of the mean of daily shares [days] (NaN for days without samples), each of `measured` [days] samples.

    Without a day it is (0, 1) on 0 samples: nothing is known.
    """
    known = measured > 0
    days = int(np.count_nonzero(known))
    if not days:
        return Interval(0.0, 1.0, 0.0)
    daily = shares[known]
    mean = float(daily.mean())
    samples = float(measured[known].sum())
    effective = float(days)
    if days > 1:
        variance = float(daily.var(ddof=1)) / days
        if variance > 0:
            effective = min(max(mean * (1 - mean) / variance, 1.0), samples)
    quantile = student_quantile(confidence_level, days - 1) if days > 1 else _normal_quantile(confidence_level)
    squared = quantile**2
    centre = (mean + squared / (2 * effective)) / (1 + squared / effective)
    reach = quantile * np.sqrt(mean * (1 - mean) / effective + squared / (4 * effective**2)) / (1 + squared / effective)
    return Interval(max(0.0, float(centre - reach)), min(1.0, float(centre + reach)), effective)
