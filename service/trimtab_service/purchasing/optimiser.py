"""The optimiser: a program in, the cheapest purchases and the proof out.

The interior-point method finds amounts and prices; both are then made exact: amounts are moved to the kinks they lie
next to where that does not cost more, prices are made feasible. Cost F and bound D are evaluated from those alone, so
the certificate does not depend on how they were found.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from trimtab_service.purchasing.hourly_cost import total_cost
from trimtab_service.purchasing.interior_point import InteriorPoint, interior_point
from trimtab_service.purchasing.kinks import at_kinks
from trimtab_service.purchasing.lower_bound import Prices, feasible, lower_bound
from trimtab_service.purchasing.program import Floats, Program
from trimtab_service.purchasing.settled_hours import solve_by_parts

CERTIFIED_GAP: Final = 1e-9
"""A relative gap at or under this is called optimal."""

_INNER_TOLERANCE: Final = 1e-11


class Ending(StrEnum):
    """Why the optimiser ended."""

    OPTIMAL = "optimal"
    RELAXED = "relaxed"
    """The bound is a relaxation: plans of one scope with rates that are not proportional."""
    STOPPED = "stopped"
    """The deadline came or the caller cancelled: the best so far with its gap."""
    STALLED = "stalled"
    """Rounding ended progress before the gap was certified."""


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """`amounts` (n,), their `cost` F, the `bound` D, feasible `prices` that prove it, and how it ended."""

    amounts: Floats
    cost: float
    bound: float
    prices: Prices
    ending: Ending
    iterations: int

    @property
    def gap(self) -> float:
        """(F - D) / F; 0 where nothing is to be paid."""
        return max(self.cost - self.bound, 0.0) / self.cost if self.cost > 0.0 else 0.0


def optimise(program: Program, stop: Callable[[], bool] = lambda: False) -> Solution:
    """The cheapest amounts. `stop` is asked between iterations (a deadline, a cancelled call)."""
    stopped = False

    def stopping() -> bool:
        nonlocal stopped
        stopped = stopped or stop()
        return stopped

    if not np.any(program.usage):
        return _certified(program, np.zeros(program.columns.cost.size), _no_prices(program), 0, stopped=False)
    parts = solve_by_parts(program, _INNER_TOLERANCE, stopping)
    if parts is not None:
        solution = _finished(program, parts, stopped=stopped)
        if stopped or solution.ending is Ending.OPTIMAL:
            return solution
    return _finished(program, interior_point(program, _INNER_TOLERANCE, stopping), stopped=stopped)


def _finished(program: Program, point: InteriorPoint, *, stopped: bool) -> Solution:
    nothing = np.zeros(program.columns.cost.size)
    amounts = within_limits(program, point.amounts)
    if not stopped:
        amounts = at_kinks(program, amounts)
    if total_cost(program, nothing) <= total_cost(program, amounts):
        amounts = nothing
    return _certified(program, amounts, point.prices, point.iterations, stopped=stopped)


def within_limits(program: Program, amounts: Floats) -> Floats:
    """`amounts`, scaled down by what rounding or an early end leaves over a limit."""
    held = np.maximum(amounts, 0.0)
    for row, limit in zip(program.caps, program.cap_limits, strict=True):
        spent = float(row @ held)
        if spent > limit:
            held = held * np.where(row > 0.0, limit / spent, 1.0)
    return held


def _no_prices(program: Program) -> Prices:
    return Prices(
        np.zeros((program.budgets, program.usage.shape[1])),
        np.zeros_like(program.usage),
        np.zeros(program.cap_limits.size),
    )


def _certified(program: Program, amounts: Floats, prices: Prices, iterations: int, *, stopped: bool) -> Solution:
    proof = feasible(program, prices)
    cost, bound = total_cost(program, amounts), lower_bound(program, proof)
    if bound < 0.0:  # prices of zero prove that much
        proof, bound = _no_prices(program), 0.0
    gap = (cost - bound) / cost if cost > 0.0 else 0.0
    if gap <= CERTIFIED_GAP:
        ending = Ending.OPTIMAL
    elif stopped:
        ending = Ending.STOPPED
    else:
        ending = Ending.RELAXED if program.budgets > 1 else Ending.STALLED
    return Solution(amounts, cost, bound, proof, ending, iterations)
