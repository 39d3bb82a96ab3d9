"""The last digits: an optimum lies where hinges bend, so amounts next to a kink are moved onto it.

Every move is kept only where the exact cost does not rise, but for rounding.
"""

from typing import Final

import numpy as np

from trimtab_service.purchasing.closed_form import budget_quantile, locked_quantiles
from trimtab_service.purchasing.hourly_cost import total_cost
from trimtab_service.purchasing.program import Floats, Program

_NEAR: Final = 1e-5
"""Relative to the class's mean usage."""

_ROUNDING: Final = 1e-14
"""Sums of the same numbers in another order differ by so much: a tie goes to the kink."""


def at_kinks(program: Program, amounts: Floats) -> Floats:
    """`amounts` moved to zero, to values of the usage, and the budget to its own quantile, where that costs no more."""
    best, cost = amounts, total_cost(program, amounts)
    for move in (_emptied, _at_usage, locked_quantiles, budget_quantile):
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
