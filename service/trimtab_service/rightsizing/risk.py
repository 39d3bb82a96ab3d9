"""Performance risk of a capacity, 0 to 4 per dimension, in the manner of AWS Compute Optimizer: the whole is the worst.

AWS publishes the scale and the maximum rule but not the function (design page, 1.1). Ours is a function of measured
exceedance, which is a share of time, in bands a factor of ten apart, continuous within each (in logarithms):

| share of time above the capacity | risk | in words |
| --- | --- | --- |
| 0, and utilisation at most 95 % of it | 0 | never short |
| up to 0.1 % | 0 to 1 | under 44 minutes a month |
| 0.1 % to 1 % | 1 to 2 | up to 7 hours a month |
| 1 % to 10 % | 2 to 3 | up to 73 hours a month |
| 10 % to 50 % | 3 to 4 | hours each day |
| 50 % and more | 4 | the typical load does not fit |

What kills instead of slowing down (memory) is graver: any measured exceedance there is 3 or more. A capacity that
was never exceeded but whose highest use was over 95 % of it has risk 0.5: the next peak may be a little higher.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np

from trimtab_service.catalog.arrays import F64
from trimtab_service.domain.dimensions import INCOMPRESSIBLE, Dimension

LEAST: Final = 0.0
MOST: Final = 4.0
NARROW: Final = 0.5
_KILLS: Final = 3.0
_NEARLY_FULL: Final = 0.95

_SHARES: Final = np.log10(np.array([1e-4, 1e-3, 1e-2, 1e-1, 5e-1]))
_RISKS: Final = np.array([NARROW, 1.0, 2.0, 3.0, MOST])


def risk_of_share(exceedance: F64 | float) -> F64:
    """Risk of a share of time above the capacity, elementwise; 0 for exactly 0, NaN for NaN."""
    share = np.asarray(exceedance, dtype=np.float64)
    return np.where(np.isnan(share), np.nan, np.where(share <= 0, LEAST, risk_when_short(np.maximum(share, 1e-12))))


def risk_when_short(exceedance: F64) -> F64:
    """As `risk_of_share`, of shares that are all above nought."""
    risk: F64 = np.interp(np.log10(exceedance), _SHARES, _RISKS)
    return risk


def dimension_risk(dimension: Dimension, samples: F64, capacity: float) -> float:
    """Risk of one dimension, from its measured `samples` [points] (NaN gaps) in the unit of `capacity`.

    4 where the median of the load is above the capacity: of 4 GPUs at 30 %, the load is 1.2 GPUs, and one GPU is
    short half the time or more. 4 also without any capacity under some load. NaN without samples: not measured is
    not safe, and the caller says so.
    """
    known = samples[~np.isnan(samples)]
    if not known.size:
        return float("nan")
    return risk_of_load(
        dimension,
        exceedance=float(np.count_nonzero(known > capacity)) / known.size,
        peak=float(known.max()),
        capacity=capacity,
    )


def risk_of_load(dimension: Dimension, *, exceedance: float, peak: float, capacity: float) -> float:
    """As `dimension_risk`, from the share of time above the capacity and the highest use."""
    if exceedance <= 0:
        return NARROW if peak > _NEARLY_FULL * capacity and peak > 0 else LEAST
    risk = float(risk_of_share(exceedance))
    return max(risk, _KILLS) if dimension in INCOMPRESSIBLE else risk


def overall_risk(risks: Iterable[float]) -> float:
    """The worst of the dimensions that were measured; 0 if none was."""
    return max((risk for risk in risks if not np.isnan(risk)), default=LEAST)
