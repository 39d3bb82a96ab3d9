"""Coverage, utilisation and cost of a portfolio over its pools."""

from collections.abc import Sequence

import numpy as np

from trimtab_service.purchasing.hourly_cost import total_cost, uncovered_cost, used_levels
from trimtab_service.purchasing.outcome import Figures
from trimtab_service.purchasing.pools import Pool
from trimtab_service.purchasing.program import Floats, Program


def figures(name: str, pools: Sequence[Pool], amounts: Sequence[Floats]) -> Figures:
    """Of `amounts` in each pool; owned levels count in coverage and utilisation, and cost nothing more."""
    cost = on_demand = left = used = held = per_hour = 0.0
    for pool, bought in zip(pools, amounts, strict=True):
        program = pool.program
        cost += total_cost(program, bought)
        on_demand += float(program.weights @ program.usage.sum(axis=0))
        left += float(program.weights @ uncovered_cost(program, bought))
        mine_used, mine_held = money_used(program, bought)
        used, held = used + float(mine_used.sum()), held + float(mine_held.sum())
        units = np.array([purchase.unit for purchase in pool.purchases]) * bought
        per_hour += float((program.columns.covers @ units).max(initial=0.0))
    coverage = 1.0 - left / on_demand if on_demand > 0.0 else 0.0
    return Figures(name, cost, on_demand, coverage, used / held if held > 0.0 else 1.0, per_hour)


def money_used(program: Program, amounts: Floats) -> tuple[Floats, Floats]:
    """(K+M,) twice: plan money used and held over the horizon, by slot; classes at their cheapest purchase's rate."""
    unit = np.ones(program.slots)
    per_hour = program.columns.cost / np.maximum(program.columns.covers.T @ program.segment_weights(), 1e-300)
    for slot in range(program.classes):
        mine = per_hour[program.columns.slot == slot]
        if mine.size:
            unit[slot] = float(mine.min())
    used = used_levels(program, amounts) @ program.weights
    held = program.levels(amounts) @ program.segment_weights()
    return used * unit, held * unit
