"""Series that are on a grid already, as most are: taken as they stand, at a fifth of the price of looking for one."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from trimtab_service import compiled
from trimtab_service.catalog.arrays import F64
from trimtab_service.domain.dimensions import Statistic
from trimtab_service.domain.reasons import SeriesNote
from trimtab_service.rightsizing.counters import RISING_SHARE, looks_like_counter
from trimtab_service.rightsizing.series import STEPS_S, Counted, Rules, Series

_KERNEL: Final = compiled.load("sizing")
_STEPS: Final = frozenset(STEPS_S)
_LARGEST: Final = 1e15
"""Beyond any load in any unit; `regularize` looks closer."""


def already_regular(
    stamps: NDArray[np.int64], values: F64, *, now_s: float, statistic: Statistic, rules: Rules
) -> Series | None:
    """What `regularize` would make of a clean gauge on one grid; None where there is anything to be dealt with."""
    size = stamps.size
    if (
        size < 2  # noqa: PLR2004 - one point has no grid
        or size != values.size
        or size > rules.max_points
        or rules.step_s is not None
        or statistic not in {Statistic.AVERAGE, Statistic.MAXIMUM}
    ):
        return None
    first, last, step = int(stamps[0]), int(stamps[-1]), int(stamps[1]) - int(stamps[0])
    oldest = 0.0 if rules.lookback_s is None else max(0.0, now_s - rules.lookback_s)
    if step not in _STEPS or last - first != step * (size - 1) or first < oldest or last > now_s + rules.skew_s:
        return None
    extent = _extent(stamps, values, step)
    if extent is None:
        return None
    low, high, rises = extent
    # A NaN among them makes both NaN, and every comparison false.
    if not (low >= 0.0 and high <= min(rules.whole, rules.plausible_max, _LARGEST)):
        return None
    if rules.detect_counter and rises >= RISING_SHARE * (size - 1) and looks_like_counter(stamps, values):
        return None
    notes = (Counted(SeriesNote.CONSTANT, size),) if low == high else ()
    return Series(values, first // step * step, step, size, size, notes)


def _extent(stamps: NDArray[np.int64], values: F64, step: int) -> tuple[float, float, int] | None:
    """The least value, the largest (NaN with a NaN among them), how often they rise; None off the grid."""
    if _KERNEL is not None:
        found: tuple[float, float, int] | None = _KERNEL.regular(stamps, values, step)
        return found
    if np.count_nonzero(stamps[1:] - stamps[:-1] != step):
        return None
    rises = int(np.count_nonzero(values[1:] > values[:-1]))
    return float(np.minimum.reduce(values)), float(np.maximum.reduce(values)), rises
