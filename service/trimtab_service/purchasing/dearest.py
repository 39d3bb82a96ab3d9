"""Of points with masses, the highest whose masses add up to an amount: a weighted quantile, without sorting all."""

from typing import Final

import numpy as np

from trimtab_service.purchasing.program import Floats

_FEW: Final = 64
"""So few are sorted."""


def highest(points: Floats, mass: Floats, amount: float) -> tuple[Floats, int]:
    """Shares (n,) of the points, from the highest down, whose masses sum to `amount`, and where that ends.

    All shares are 1 or 0 but that of the last point, whose index comes with them; -1 where all masses together are no
    more than the amount. Ties go by index.
    """
    shares = np.zeros(points.size)
    left = np.arange(points.size)
    before = 0.0
    if float(mass.sum()) <= amount:
        return np.ones(points.size), -1
    while left.size > _FEW:
        values = points[left]
        # Halves where values are spread evenly; where they are not, a few rounds more.
        middle = 0.5 * (float(values.mean()) + 0.5 * (float(values.min()) + float(values.max())))
        above = values > middle
        upper = left[above]
        if upper.size in {0, left.size}:
            break
        sum_above = before + float(mass[upper].sum())
        if sum_above > amount:
            left = upper
        else:
            shares[upper] = 1.0
            before, left = sum_above, left[~above]
    order = left[np.argsort(-points[left], kind="stable")]
    running = before + np.cumsum(mass[order])
    last = min(int(np.searchsorted(running, amount, side="right")), order.size - 1)
    shares[order[:last]] = 1.0
    reached = float(running[last - 1]) if last else before
    end = int(order[last])
    shares[end] = min(max(amount - reached, 0.0) / max(float(mass[end]), float(np.finfo(float).tiny)), 1.0)
    return shares, end
