"""How a bench sums up what it measured."""

import math
import statistics
from collections.abc import Sequence


def p50(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def p99(values: Sequence[float]) -> float:
    """The least value that 99 in a hundred do not exceed; of fewer than a hundred the greatest."""
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]


def ms(seconds: float) -> float:
    """Milliseconds, to the microsecond."""
    return round(seconds * 1e3, 3)
