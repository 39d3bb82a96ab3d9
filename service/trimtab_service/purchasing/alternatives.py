"""What else could be bought: nothing, flexible plans alone, locked plans alone, what the clouds' own rule says."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trimtab_service.purchasing.closed_form import best_amounts
from trimtab_service.purchasing.figures import figures
from trimtab_service.purchasing.optimiser import optimise, within_limits
from trimtab_service.purchasing.outcome import Figures
from trimtab_service.purchasing.pools import Pool
from trimtab_service.purchasing.program import Floats
from trimtab_service.purchasing.single_level import single_level
from trimtab_service.purchasing.variants import thinned, with_columns

_LOOK_BACK: Final = 720
_EXACT_CELLS: Final = 160_000
"""Class-hours up to which an alternative that needs a search is found over all hours."""


def alternatives(pools: Sequence[Pool], stop: Callable[[], bool]) -> tuple[Figures, ...]:
    """Side by side over the same hours; those for which time was left."""
    made = [figures("none", pools, [np.zeros(len(pool.purchases)) for pool in pools])]
    made.append(figures("clouds_own_rule", pools, [_clouds_rule(pool) for pool in pools]))
    for name, locked in (("flexible_only", False), ("locked_only", True)):
        if stop():
            break
        found = [_only(pool, _is_locked(pool) == locked, stop) for pool in pools]
        if stop():  # what was found by then may be far from the best of its kind
            break
        made.append(figures(name, pools, found))
    return tuple(made)


def sampled_step(pools: Sequence[Pool]) -> int:
    """1 where every alternative was found over all hours; n where one was found over every n-th. Costs are of all."""
    steps = [1]
    for pool in pools:
        for locked in (False, True):
            kept = _is_locked(pool) == locked
            if kept.any() and best_amounts(with_columns(pool.program, kept)) is None:
                steps.append(-(-pool.program.usage.shape[1] // _hours_of(pool)))
    return max(steps)


def _hours_of(pool: Pool) -> int:
    return max(_EXACT_CELLS // max(pool.program.classes, 1), _LOOK_BACK)


def _is_locked(pool: Pool) -> NDArray[np.bool_]:
    return np.array([purchase.offer.offer.locked for purchase in pool.purchases], dtype=bool)


def _only(pool: Pool, kept: NDArray[np.bool_], stop: Callable[[], bool]) -> Floats:
    amounts = np.zeros(kept.size)
    if kept.any():
        program = with_columns(pool.program, kept)
        exact = best_amounts(program)
        amounts[kept] = optimise(thinned(program, _hours_of(pool)), stop).amounts if exact is None else exact
    return amounts


def _clouds_rule(pool: Pool) -> Floats:
    """The 30-day quantile of every class for its cheapest locked plan.

    Each call of a cloud's recommender fixes one product; where no class has a locked plan, the first flexible one is
    bought at the quantile of the pooled usage.
    """
    program = pool.program
    amounts = np.zeros(len(pool.purchases))
    hours = program.segment_weights()
    per_hour = program.columns.cost / np.maximum(program.columns.covers.T @ hours, 1e-300)
    for k in range(program.classes):
        mine = np.flatnonzero(program.columns.slot == k)
        if mine.size:
            best = mine[np.argmin(per_hour[mine])]
            level = single_level(program.usage[k, -_LOOK_BACK:], 1.0 / float(per_hour[best]))
            amounts[best] = max(level - float(program.existing[k].max()), 0.0)
    flexible = np.flatnonzero(program.columns.slot >= program.classes)
    if not amounts.any() and flexible.size:
        first = int(flexible[0])
        rates = program.rates[program.columns.slot[first] - program.classes]
        inside = np.isfinite(rates)
        usage = program.usage[inside, -_LOOK_BACK:].sum(axis=0)
        rate = float(np.average(rates[inside], weights=np.maximum(program.usage[inside].sum(axis=1), 1e-300)))
        level = single_level(usage, 1.0 / rate) * rate
        amounts[first] = max(level - float(program.existing[program.columns.slot[first]].max()), 0.0)
    return within_limits(program, amounts)
