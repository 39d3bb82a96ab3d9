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
_ROUNDING_F32: Final = 1e-5
"""Running sums of weights are off by less than this share of the total."""


def level_of_share(masses: Masses, share: float) -> F64:
    """Percentile level [r][c]; NaN where there is no weight."""
    rounding = _ROUNDING if masses.weight.dtype == np.float64 else _ROUNDING_F32
    enough = masses.total * masses.weight.dtype.type(share - rounding)
    return _picked(masses, np.argmax(masses.weight >= enough[:, :, None], axis=2))


def level_of_least_regret(masses: Masses, exchange: float, beyond: float | None = None, tolerance: float = 0.0) -> F64:
    """Level [r][c] that minimises unused share + the worth of the time exceeded; NaN where there is no weight.

    With F the share of time at or below a level s and M the part of the mean load from there, the unused share of a
    size s is F - M/s and the exceeded share E = 1 - F. A point of E is worth `exchange` (above 1) points of unused
    size, and where E is more than `tolerance`, `beyond` (at least `exchange`): the worth is convex, as in any budget
    of want. At the optimum every resource pays the same price for its last point of safety, which is what a fixed
    percentile misses: on a steady load the last per cent is almost free, on a bursty one it is half the bill. The
    tolerance keeps it from the other fault, to give up a bursty load because it is dear. Equal levels: the lowest.
    """
    # The same as the largest (exchange - 1) F + M/s, which needs no division by the total.
    number = masses.weight.dtype.type
    gain = masses.weight * number(exchange - 1.0)
    gain += masses.filled
    if beyond is not None:
        short = masses.weight - (masses.total * number(1.0 - tolerance))[:, :, None]
        np.minimum(short, 0, out=short)
        short *= number(beyond - exchange)
        gain += short
    return _picked(masses, np.argmax(gain, axis=2))


def inverse_levels(levels: Floats) -> Floats:
    """1 / level; nought for a level of nought, where nothing is unused, and for one that no sample has."""
    inverse = np.zeros_like(levels)
    return np.divide(1.0, levels, out=inverse, where=levels > 0)


def _picked(masses: Masses, at: I64) -> F64:
    cuts, resources = at.shape
    # Indices by hand: what take_along_axis does costs more than the rest where there are few resources.
    first = np.arange(cuts)[:, None] if masses.levels.shape[0] > 1 else np.zeros((1, 1), dtype=np.int64)
    found = masses.levels[first, np.arange(resources)[None, :], at].astype(np.float64)
    return np.where(masses.total > 0, found, np.nan).T


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
