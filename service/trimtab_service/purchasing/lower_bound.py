"""What no portfolio can undercut: the dual side of the certificate.

Give every budget m an hourly price lambda_mt and every class a price mu_kt with

    0 <= mu_kt,   mu_kt <= r_mk lambda_mt,   sum over the hours a purchase covers of w_t mu (or lambda) <= its cost.

Weak duality then bounds every portfolio from below (w the weights, e the spot room, s its price):

    D = sum_t w_t [ sum_k mu_kt (u_kt - c0_kt) - e_kt (mu_kt - s_k)+ ] - sum_t w_t lambda_mt C0_mt - nu g

A class that has one purchase for all its hours needs no mu: the best answer to lambda is a weighted quantile, which is
why a single-period certificate is the hourly prices alone.
"""

from dataclasses import dataclass

import numpy as np

from trimtab_service.purchasing.dearest import highest
from trimtab_service.purchasing.program import Floats, Program


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """Hourly shadow prices.

    `flexible` (M, H): money saved by one more unit of the budget in that hour; `usage` (K, H) what one more unit of
    usage in that hour costs; `caps` (c,) what one more unit of each limit saves.
    """

    flexible: Floats
    usage: Floats
    caps: Floats


def feasible(program: Program, prices: Prices) -> Prices:
    """The nearest prices that satisfy every dual constraint: clipped, then scaled down where a purchase is overpaid."""
    caps = np.maximum(prices.caps, 0.0)
    allowed = program.columns.cost + caps @ program.caps
    flexible = np.maximum(prices.flexible, 0.0)
    classes = program.classes
    for budget in range(program.budgets):
        flexible[budget] *= _fit(program, classes + budget, flexible[budget], allowed)
    ceiling = _ceiling(program, flexible)
    usage = np.minimum(np.maximum(prices.usage, 0.0), ceiling)
    for k in range(classes):
        mine = np.flatnonzero(program.columns.slot == k)
        if mine.size == 0:
            usage[k] = _unbought(program, k, ceiling[k])
        elif mine.size == 1:
            usage[k] = _best_answer(program, k, int(mine[0]), ceiling[k], float(allowed[mine[0]]))
        else:
            usage[k] *= _fit(program, k, usage[k], allowed)
    return Prices(flexible, usage, caps)


def lower_bound(program: Program, prices: Prices) -> float:
    """D of prices that are `feasible`."""
    classes = program.classes
    hours = program.usage.shape[1]
    owned = np.repeat(program.existing, np.diff(program.segments), axis=1)
    total = -float(prices.caps @ program.cap_limits)
    for k in range(classes):
        mu = prices.usage[k]
        value = mu * (program.usage[k] - owned[k])
        if program.spot_room is not None:
            value = value - program.spot_room[k] * np.maximum(mu - program.spot_price[k], 0.0)
        total += float(program.weights @ value)
    for budget in range(program.budgets):
        total -= float(program.weights @ (prices.flexible[budget] * owned[classes + budget]))
    return total if hours else 0.0


def _ceiling(program: Program, flexible: Floats) -> Floats:
    """(K, H): mu may not pass the on-demand price nor what a budget asks."""
    ceiling = np.ones_like(program.usage)
    for budget in range(program.budgets):
        inside = np.flatnonzero(np.isfinite(program.rates[budget]))
        ceiling[inside] = np.minimum(ceiling[inside], program.rates[budget, inside, None] * flexible[budget])
    return ceiling


def _fit(program: Program, slot: int, price: Floats, allowed: Floats) -> float:
    """The largest factor <= 1 by which `price` satisfies every purchase of the slot."""
    sums = np.array([program.weights[hours] @ price[hours] for hours in program.segment_slices()])
    factor = 1.0
    for column in np.flatnonzero(program.columns.slot == slot):
        total = float(sums[program.columns.covers[:, column]].sum())
        if total > allowed[column]:
            factor = min(factor, max(float(allowed[column]), 0.0) / total)
    return factor


def _pieces(program: Program, k: int, ceiling: Floats) -> tuple[Floats, Floats]:
    """Breakpoints and slopes of the cost of usage above a cover level: one hinge an hour, two where spot is cheaper."""
    if program.spot_room is None or program.spot_price[k] >= 1.0:
        return program.usage[k][None, :], ceiling[None, :]
    low = np.minimum(ceiling, program.spot_price[k])
    above = program.usage[k] - program.spot_room[k]
    return np.stack([program.usage[k], above]), np.stack([low, ceiling - low])


def _unbought(program: Program, k: int, ceiling: Floats) -> Floats:
    """No purchase covers the class: the price of an hour is the slope at the level that is owned."""
    points, slopes = _pieces(program, k, ceiling)
    owned = np.repeat(program.existing[k], np.diff(program.segments))
    price: Floats = np.where(points > owned, slopes, 0.0).sum(axis=0)
    return price


def _best_answer(program: Program, k: int, column: int, ceiling: Floats, cost: float) -> Floats:
    """Mu of the cover level that minimises cost x level + sum of hinges: a weighted quantile of the breakpoints.

    The hour at the quantile gets the fraction of its slope that makes the sum meet the cost exactly.
    """
    points, slopes = _pieces(program, k, ceiling)
    owned = np.repeat(program.existing[k], np.diff(program.segments))
    covered = np.repeat(program.columns.covers[:, column], np.diff(program.segments))
    price = np.where(points > owned, slopes, 0.0)
    flat = (points - owned)[:, covered].ravel()
    mass = (price * program.weights)[:, covered].ravel()
    kept, end = highest(flat, mass, cost)
    if end >= 0:
        part = np.zeros_like(price)
        part[:, covered] = kept.reshape(points.shape[0], -1)
        part[:, ~covered] = 1.0
        price = price * part
    total: Floats = price.sum(axis=0)
    return total
