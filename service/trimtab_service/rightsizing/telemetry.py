"""Measured series as they come in, before they are put on a grid."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trimtab_service.domain.dimensions import Metric, Statistic, Unit

_HELD: Final = frozenset({Metric.MEMORY, Metric.GPU_MEMORY})
"""What kills where it is short, so that peaks count."""


@dataclass(frozen=True, slots=True, eq=False)
class RawSeries:
    """One series as its source gave it: any order, duplicates, gaps.

    `epoch_seconds` [n] int64 are beginnings of intervals; `values` [n] float64 in `unit`, NaN a gap. `device` names
    one GPU or disk, empty the whole resource. `step_seconds` is the interval as declared, 0 where it is not known.
    `is_incomplete`: the source could give only a part of the window.

    Of a group, a share (PERCENT, RATIO) is of one instance in the mean (AVERAGE) or the highest of any (MAXIMUM), and
    an amount is of all instances together. One metric of one device may come with several statistics: they are of the
    same load, and are never added (`loads_once`).
    """

    metric: Metric
    unit: Unit
    statistic: Statistic
    epoch_seconds: NDArray[np.int64]
    values: NDArray[np.float64]
    device: str = ""
    step_seconds: int = 0
    is_incomplete: bool = False


@dataclass(frozen=True, slots=True)
class Telemetry:
    """All that is known about the use of one resource."""

    series: tuple[RawSeries, ...]


def loads_once(series: Iterable[RawSeries]) -> tuple[RawSeries, ...]:
    """One series for each metric and device, in order of first appearance.

    Of several statistics the maximum is taken for what is held (memory), and for what flows the average: a size that
    never throttles for a moment of an interval is paid for all of it. Series of one statistic all stay.
    """
    by_load: dict[tuple[Metric, str], list[RawSeries]] = {}
    for one in series:
        by_load.setdefault((one.metric, one.device), []).append(one)
    chosen: list[RawSeries] = []
    for (metric, _), alike in by_load.items():
        has_peaks = any(one.statistic is Statistic.MAXIMUM for one in alike)
        has_others = any(one.statistic is not Statistic.MAXIMUM for one in alike)
        wants_peaks = metric in _HELD
        chosen += [
            one
            for one in alike
            if not (has_peaks and has_others) or (one.statistic is Statistic.MAXIMUM) is wants_peaks
        ]
    return tuple(chosen)


def moments(series: Sequence[RawSeries], kept: Sequence[RawSeries]) -> tuple[RawSeries, ...]:
    """Maxima that `loads_once` (whose answer `kept` is) left for the averages: how high the load rose for moments."""
    if len(kept) == len(series):
        return ()
    own = {id(one) for one in kept}
    return tuple(one for one in series if id(one) not in own and one.statistic is Statistic.MAXIMUM)
