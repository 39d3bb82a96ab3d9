"""Coverage, utilisation and cost of a portfolio over its pools."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trimtab_service.purchasing.hourly_cost import total_cost, uncovered_cost, used_levels
from trimtab_service.purchasing.outcome import Figures
from trimtab_service.purchasing.pools import Pool
from trimtab_service.purchasing.program import Columns, Floats, Program


def figures(name: str, pools: Sequence[Pool], amounts: Sequence[Floats]) -> Figures:
    """Of `amounts` in each pool; owned levels count in coverage and utilisation, and cost nothing more."""
    cost = on_demand = left = used = held = 0.0
    for pool, bought in zip(pools, amounts, strict=True):
        program = pool.program
        cost += total_cost(program, bought)
        on_demand += float(program.weights @ program.usage.sum(axis=0))
        left += float(program.weights @ uncovered_cost(program, bought))
        mine_used, mine_held = money_used(program, bought)
        used, held = used + float(mine_used.sum()), held + float(mine_held.sum())
    coverage = 1.0 - left / on_demand if on_demand > 0.0 else 0.0
    return Figures(name, cost, on_demand, coverage, used / held if held > 0.0 else 1.0)


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


def scaled(program: Program, scale: float | Floats) -> Program:
    """The program with every class's usage, and its room for spot, times `scale` (a number or (K,))."""
    factor = np.broadcast_to(np.asarray(scale, dtype=np.float64), (program.classes,))[:, None]
    return Program(
        usage=program.usage * factor,
        weights=program.weights,
        segments=program.segments,
        rates=program.rates,
        existing=program.existing,
        columns=program.columns,
        spot_price=program.spot_price,
        spot_room=None if program.spot_room is None else program.spot_room * factor,
        caps=program.caps,
        cap_limits=program.cap_limits,
    )


def with_columns(program: Program, kept: NDArray[np.bool_]) -> Program:
    """The program where only the columns flagged in `kept` (n,) may be bought."""
    return Program(
        usage=program.usage,
        weights=program.weights,
        segments=program.segments,
        rates=program.rates,
        existing=program.existing,
        columns=Columns(
            slot=program.columns.slot[kept],
            cost=program.columns.cost[kept],
            covers=program.columns.covers[:, kept],
        ),
        spot_price=program.spot_price,
        spot_room=program.spot_room,
        caps=program.caps[:, kept],
        cap_limits=program.cap_limits,
    )


def thinned(program: Program, most_hours: int) -> Program:
    """Every n-th hour with n times the weight, so that at most about `most_hours` are left: for figures, not proofs."""
    step = -(-program.usage.shape[1] // most_hours)
    if step <= 1:
        return program
    parts = [np.arange(hours.start, hours.stop, step) for hours in program.segment_slices()]
    chosen = np.concatenate(parts)
    weights = np.concatenate(
        [
            np.full(part.size, program.weights[hours].sum() / max(part.size, 1))
            for part, hours in zip(parts, program.segment_slices(), strict=True)
        ]
    )
    return Program(
        usage=program.usage[:, chosen],
        weights=weights,
        segments=np.cumsum([0, *(part.size for part in parts)]),
        rates=program.rates,
        existing=program.existing,
        columns=program.columns,
        spot_price=program.spot_price,
        spot_room=None if program.spot_room is None else program.spot_room[:, chosen],
        caps=program.caps,
        cap_limits=program.cap_limits,
    )
