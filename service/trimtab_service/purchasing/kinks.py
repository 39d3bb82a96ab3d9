"""The last digits: an optimum lies where hinges bend, so amounts next to a kink are moved onto it.

Every move is kept only where the exact cost does not rise, but for rounding.
"""

from typing import Final

import numpy as np

from trimtab_service.purchasing.dearest import highest
from trimtab_service.purchasing.hourly_cost import total_cost
from trimtab_service.purchasing.program import Floats, Program

_NEAR: Final = 1e-5
"""Relative to the class's mean usage."""

_ROUNDING: Final = 1e-14
"""Sums of the same numbers in another order differ by so much: a tie goes to the kink."""


def at_kinks(program: Program, amounts: Floats) -> Floats:
    """`amounts` moved to zero, to values of the usage, and the budget to its own quantile, where that costs no more."""
    best, cost = amounts, total_cost(program, amounts)
    for move in (_emptied, _at_usage, _locked_quantiles, _budget_quantile):
        moved = move(program, best)
        if np.array_equal(moved, best) or np.any(program.caps @ moved > program.cap_limits):
            continue
        moved_cost = total_cost(program, moved)
        if moved_cost <= cost * (1.0 + _ROUNDING):
            best, cost = moved, min(moved_cost, cost)
    return best


def _size(program: Program) -> Floats:
    mean = np.average(program.usage, axis=1, weights=program.weights)
    return np.concatenate([mean, np.full(program.budgets, float(mean.sum()))])


def _emptied(program: Program, amounts: Floats) -> Floats:
    return np.where(amounts <= _NEAR * _size(program)[program.columns.slot], 0.0, amounts)


def _at_usage(program: Program, amounts: Floats) -> Floats:
    """Where a class has one purchase over all hours, its level moves to the nearest usage value, if that is near."""
    if program.existing.shape[1] != 1:
        return amounts
    moved = amounts.copy()
    sharing = np.bincount(program.columns.slot, minlength=program.slots)
    for column in np.flatnonzero((program.columns.slot < program.classes) & (sharing[program.columns.slot] == 1)):
        k = int(program.columns.slot[column])
        points = program.usage[k] - program.existing[k, 0]
        if program.spot_room is not None:
            points = np.concatenate([points, points - program.spot_room[k]])
        nearest = float(points[np.argmin(np.abs(points - amounts[column]))])
        if nearest >= 0.0 and abs(nearest - amounts[column]) <= _NEAR * max(float(program.usage[k].mean()), 1e-300):
            moved[column] = nearest
    return moved


def _locked_quantiles(program: Program, amounts: Floats) -> Floats:
    """Without budgets every class stands alone: the least level at which the hours above are worth no more than it."""
    if program.budgets or program.existing.shape[1] != 1 or program.spot_room is not None or program.cap_limits.size:
        return amounts
    moved = amounts.copy()
    sharing = np.bincount(program.columns.slot, minlength=program.slots)
    for column in np.flatnonzero(sharing[program.columns.slot] == 1):
        k = int(program.columns.slot[column])
        points = program.usage[k] - program.existing[k, 0]
        _, end = highest(points, program.weights, float(program.columns.cost[column]) * (1.0 + 1e-12))
        moved[column] = max(float(points[end]), 0.0) if end >= 0 else 0.0
    return moved


def _budget_quantile(program: Program, amounts: Floats) -> Floats:
    """The best budget for the locked cover as it is: a weighted quantile of the sums where classes become marginal."""
    columns = np.flatnonzero(program.columns.slot == program.classes)
    if program.budgets != 1 or columns.size != 1 or program.existing.shape[1] != 1 or program.spot_room is not None:
        return amounts
    column = int(columns[0])
    levels = program.levels(amounts)[:, 0]
    order = np.argsort(program.rates[0], kind="stable")
    order = order[np.isfinite(program.rates[0, order])]
    rate = program.rates[0, order]
    steps = 1.0 / rate - np.append(1.0 / rate[1:], 0.0)
    sums = np.cumsum(rate[:, None] * np.maximum(program.usage[order] - levels[order, None], 0.0), axis=0)
    kept = steps > 0.0
    points = sums[kept].ravel()
    mass = (steps[kept, None] * program.weights).ravel()
    _, end = highest(points, mass, float(program.columns.cost[column]) * (1.0 + 1e-12))
    best = float(points[end]) if end >= 0 else 0.0
    moved = amounts.copy()
    moved[column] = max(best - float(program.existing[program.classes, 0]), 0.0)
    return moved
