"""Measured series as they come in, before they are put on a grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trimtab_service.domain.dimensions import Metric, Statistic, Unit


@dataclass(frozen=True, slots=True, eq=False)
class RawSeries:
    """One series as its source gave it: any order, duplicates, gaps.

    `epoch_seconds` [n] int64 are beginnings of intervals; `values` [n] float64 in `unit`, NaN a gap. `device` names
    one GPU or disk, empty the whole resource. `step_seconds` is the interval as declared, 0 where it is not known.
    `is_incomplete`: the source could give only a part of the window.
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
