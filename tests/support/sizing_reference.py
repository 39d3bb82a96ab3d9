"""Sizing rules as one would write them down first: loops over lists of numbers, one resource, one moment."""

import math
from collections.abc import Sequence

DAY_S = 86_400


def known(values: Sequence[float]) -> list[float]:
    """The measured ones."""
    return [value for value in values if not math.isnan(value)]


def percentile(values: Sequence[float], weights: Sequence[float], percent: float) -> float:
    """Smallest value that `percent` of the weight lies at or below; NaN without weight."""
    pairs = sorted((v, w) for v, w in zip(values, weights, strict=True) if not math.isnan(v) and w > 0)
    total = math.fsum(w for _, w in pairs)
    reached = 0.0
    for value, weight in pairs:
        reached += weight
        if reached >= percent / 100 * total - 1e-9 * total:
            return value
    return math.nan


def regret(size: float, values: Sequence[float], weights: Sequence[float], exchange: float) -> float:
    """Unused share + exchange x exceeded share of a size."""
    cost = total = 0.0
    for value, weight in zip(values, weights, strict=True):
        if math.isnan(value):
            continue
        total += weight
        if value > size:
            cost += weight * exchange
        elif size > 0:
            cost += weight * (1 - value / size)
    return cost / total


def decay(points: int, per_day: int, half_life_days: float) -> list[float]:
    """Weights of points, the latest half a step old."""
    return [2.0 ** (-(points - 1 - i + 0.5) / (half_life_days * per_day)) for i in range(points)]


def exceedance_of_days(
    values: Sequence[float], per_day: int, levels: Sequence[float], first_day: int
) -> tuple[float, float]:
    """(mean over days of the share above the day's level, mean over days of the mean unused share)."""
    shares, unused = [], []
    for number, level in enumerate(levels):
        begin = (first_day + number) * per_day
        day = known(values[begin : begin + per_day])
        if day:
            shares.append(sum(value > level for value in day) / len(day))
            unused.append(sum(max(0.0, 1 - value / level) for value in day) / len(day) if level > 0 else 0.0)
    return math.fsum(shares) / len(shares), math.fsum(unused) / len(unused)
