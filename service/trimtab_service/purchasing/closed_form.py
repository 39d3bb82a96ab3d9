"""Purchases that need no search: where one thing alone is bought, the optimum is a weighted quantile."""

import numpy as np

from trimtab_service.purchasing.dearest import highest
from trimtab_service.purchasing.program import Floats, Program


def best_amounts(program: Program) -> Floats | None:
    """The cheapest amounts of a program that buys locked plans alone, or one flexible plan alone; None for any other.

    Exact, over all hours of one period without spot or limits: classes that share no budget stand alone, and a budget
    with nothing else to be bought is a newsvendor's.
    """
    slots, classes = program.columns.slot, program.classes
    sharing = np.bincount(slots, minlength=program.slots)
    plain = program.existing.shape[1] == 1 and program.spot_room is None and not program.cap_limits.size
    if not plain or np.any(sharing > 1):
        return None
    nothing = np.zeros(slots.size)
    if slots.size == 1 and slots[0] == classes and program.budgets == 1:
        return budget_quantile(program, nothing)
    if np.all(slots < classes) and not np.any(program.existing[classes:]):
        return locked_quantiles(_without_budgets(program), nothing)
    return None


def _without_budgets(program: Program) -> Program:
    return Program(
        usage=program.usage,
        weights=program.weights,
        segments=program.segments,
        rates=program.rates[:0],
        existing=program.existing[: program.classes],
        columns=program.columns,
        spot_price=program.spot_price,
        spot_room=None,
        caps=program.caps,
        cap_limits=program.cap_limits,
    )


def locked_quantiles(program: Program, amounts: Floats) -> Floats:
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


def budget_quantile(program: Program, amounts: Floats) -> Floats:
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
