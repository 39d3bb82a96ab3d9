"""The level a size should have, read from a weighted distribution: a percentile, or what is cheapest.

Percentiles are the smallest measured level that at least the asked share of weight lies at or below (numpy's
`inverted_cdf`, the only one of its definitions that takes weights). So the share above it, in the past it was read
from, is never more than was asked for, and no level is invented between two samples.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from trimtab_service.catalog.arrays import F64, I64
from trimtab_service.rightsizing.arrays import Floats
from trimtab_service.rightsizing.population import Masses

_ROUNDING: Final = 1e-9
"""Sums of weights are off by less; float32 ones by 1e-5, see `level_of_share`."""


def level_of_share(levels: Floats, masses: Masses, share: float) -> F64:
    """Percentile level [r][c]; `levels` [r][l]. NaN where there is no weight."""
    slack = _ROUNDING if masses.share.dtype == np.float64 else 1e-5
    reached = masses.share >= share - slack
    at: I64 = np.argmax(reached, axis=2)
    found = np.take_along_axis(levels, at, axis=1).astype(np.float64)
    return np.where(reached.any(axis=2), found, np.nan)


def level_of_least_regret(levels: Floats, masses: Masses, exchange: float) -> F64:
    """Level [r][c] that minimises unused share + `exchange` x share of time exceeded; `levels` [r][l].

    With F the share of time at or below a level s and M the mean of the load there, the unused share of a size s is
    F(s) - M(s)/s and the exceeded share 1 - F(s). `exchange` is how many points of unused capacity one point of time
    in want is worth. At the optimum every resource pays the same price for its last point of safety, which is what a
    fixed percentile misses: on a steady load the last per cent is almost free, on a bursty one it costs half the bill.
    """
    size = np.where(levels > 0, levels, np.inf).astype(levels.dtype)[:, None, :]
    regret = exchange * (1.0 - masses.share) + (masses.share - masses.moment / size)
    return _argmin_level(levels, regret, masses)


def _argmin_level(levels: Floats, regret: Floats, masses: Masses) -> F64:
    known = masses.share[:, :, -1] > 0
    # A level below the first weighted sample stands for nothing measured.
    at: I64 = np.argmin(np.where(masses.share > 0, regret, np.inf), axis=2)
    return np.where(known, np.take_along_axis(levels, at, axis=1).astype(np.float64), np.nan)


class CheapestLevel(NamedTuple):
    """The capacity that costs least over time, its position (-1 if any can be had), and expected costs per hour."""

    capacity: float
    position: int
    size_cost: float
    exceedance_cost: float
    exceedance: float

    @property
    def cost(self) -> float:
        """Both together."""
        return self.size_cost + self.exceedance_cost


def cheapest_level(samples: ArrayLike, price_per_unit: float, throttled_hour_cost: float) -> CheapestLevel:
    """The capacity with the least price + `throttled_hour_cost` x share of time exceeded, if any capacity can be had.

    `samples` [points], NaN for gaps, in the unit that `price_per_unit` is per hour of. The answer is one of the
    samples: between two of them cost only rises. See `cheapest_capacity`.
    """
    values = _measured(samples)
    found = cheapest_capacity(values, values, values * price_per_unit, throttled_hour_cost)
    return found._replace(position=-1)


def cheapest_capacity(
    samples: ArrayLike, capacities: ArrayLike, prices: ArrayLike, throttled_hour_cost: float
) -> CheapestLevel:
    """Of `capacities` [n] at `prices` [n] per hour, the one with the least price + expected cost of want per hour.

    The price of want takes the place of a percentile: an hour in which the load is above the capacity costs
    `throttled_hour_cost`, in the currency of the prices. `samples` [points] are in the unit of the capacities, NaN for
    gaps. Of equal costs the larger capacity wins. Floats rank here; the caller's money stays exact. Raises ValueError
    without a sample or a capacity.
    """
    values = np.sort(_measured(samples))
    sizes = np.asarray(capacities, dtype=np.float64).reshape(-1)
    price = np.asarray(prices, dtype=np.float64).reshape(-1)
    if not sizes.size or sizes.size != price.size:
        raise ValueError("there must be a capacity, and a price for each")
    exceedance = 1.0 - np.searchsorted(values, sizes, side="right") / values.size
    want = throttled_hour_cost * exceedance
    total = price + want
    best = np.flatnonzero(total <= total.min() * (1 + _ROUNDING))
    chosen = int(best[np.argmax(sizes[best])])
    return CheapestLevel(
        capacity=float(sizes[chosen]),
        position=chosen,
        size_cost=float(price[chosen]),
        exceedance_cost=float(want[chosen]),
        exceedance=float(exceedance[chosen]),
    )


def _measured(samples: ArrayLike) -> F64:
    values = np.asarray(samples, dtype=np.float64).reshape(-1)
    values = values[~np.isnan(values)]
    if not values.size:
        raise ValueError("there is no sample to choose a level from")
    return values
