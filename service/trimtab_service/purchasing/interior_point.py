"""A primal-dual interior-point method for the purchase program, with Mehrotra's predictor and corrector.

The linear program has H(K + M) rows, but all of them hang together only through the few purchases: after eliminating
each hour on its own (`Block`) the Newton system is as large as the number of purchases. Primal infeasibility is carried
by the right-hand side, the dual stays feasible from the first point on, so that its prices can be read at any time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from trimtab_service.purchasing.complementary_pair import Pair
from trimtab_service.purchasing.interior_block import Block
from trimtab_service.purchasing.interior_start import Start, starting_point
from trimtab_service.purchasing.lower_bound import Prices, feasible, lower_bound
from trimtab_service.purchasing.program import Floats, Program

_ITERATIONS: Final = 200
_TO_BOUNDARY: Final = 0.995
_CENTRING_POWER: Final = 4
_WATCHED: Final = 1e-4
"""With several budgets of nearly proportional rates the last steps may lose digits: the best prices are kept."""

_RESTORATIONS: Final = 2
_CLOSE: Final = 1e-6
"""How near to the identity a matrix times its inverse has to be for refinement to do the rest."""
_PATIENCE: Final = 12
"""Iterations without a better gap before rounding is held to blame."""


@dataclass(frozen=True, slots=True, eq=False)
class InteriorPoint:
    """Where the method stands: `amounts` (n,), prices, the relative complementarity, the iterations made."""

    amounts: Floats
    prices: Prices
    relative_gap: float
    iterations: int


def interior_point(program: Program, tolerance: float, stop: Callable[[], bool]) -> InteriorPoint:
    """Iterates until the relative gap is under `tolerance`, progress ends, or `stop()`, asked each time, says so."""
    start = starting_point(program)
    blocks, purchases, limits = start.blocks, start.purchases, start.limits
    gap = best = np.inf
    iteration = since = 0
    kept: Prices | None = None
    while iteration < _ITERATIONS:
        products = _products(blocks, purchases, limits)
        gap = products / start.scale
        best, since = (gap, 0) if gap < best else (best, since + 1)
        if program.budgets > 1 and gap < _WATCHED:
            kept = _better(program, kept, _prices(program, start))
        if gap < tolerance or since > _PATIENCE or stop():
            break
        _iterate(program, start, products)
        iteration += 1
    _restore(program, start)
    prices = _prices(program, start)
    if kept is not None:
        prices = _better(program, kept, prices)
    return InteriorPoint(
        amounts=purchases.value.ravel().copy(),
        prices=prices,
        relative_gap=gap,
        iterations=iteration,
    )


def _products(blocks: list[Block], purchases: Pair, limits: Pair) -> float:
    inside = sum(pair.product(block.weights) for block in blocks for pair in block.pairs)
    return inside + purchases.product(None) + limits.product(None)


def _iterate(program: Program, start: Start, products: float) -> None:
    blocks, purchases, limits = start.blocks, start.purchases, start.limits
    solver = _factored(program, start)
    purchases.weigh()
    limits.weigh()
    levels = start.levels(program)
    demand = np.zeros((program.slots, program.columns.covers.shape[0]))
    for block in blocks:
        demand[:, block.segment] += block.predict(levels[:, block.segment])
    drift = _drift(program, start)
    purchases.predict()
    limits.predict()
    _solve(program, start, solver, demand, drift)
    primal, dual = _lengths(start)
    after = sum(pair.product_after(primal, dual, block.weights) for block in blocks for pair in block.pairs)
    after += purchases.product_after(primal, dual, None) + limits.product_after(primal, dual, None)
    centring = min(max(after / products, 0.0), 1.0) ** _CENTRING_POWER
    target = centring * products / start.count

    demand = np.zeros_like(demand)
    for block in blocks:
        demand[:, block.segment] += block.correct(target)
    purchases.correct(target)
    limits.correct(target)
    _solve(program, start, solver, demand, drift)
    primal, dual = (min(1.0, _TO_BOUNDARY * length) for length in _lengths(start, bounded=False))
    for pair in start.pairs:
        pair.advance(primal, dual)


def _factored(program: Program, start: Start) -> "_Factor":
    columns, purchases, limits = program.columns, start.purchases, start.limits
    response = np.zeros((columns.covers.shape[0], program.slots, program.slots))
    for block in start.blocks:
        response[block.segment] += block.factor()
    matrix = np.diag((purchases.dual / purchases.value).ravel())
    for segment, covered in enumerate(columns.covers):
        active = np.flatnonzero(covered)
        slots = columns.slot[active]
        matrix[np.ix_(active, active)] += response[segment][np.ix_(slots, slots)]
    stiffness = (limits.dual / limits.value).ravel()
    matrix += program.caps.T @ (stiffness[:, None] * program.caps)
    return _Factor(matrix)


def _drift(program: Program, start: Start) -> Floats:
    """(n,): how far rounding has taken the reduced costs from what the prices imply; zero on paper."""
    reached = np.zeros((program.slots, program.columns.covers.shape[0]))
    for block in start.blocks:
        reached[:, block.segment] += block.reached()
    implied = program.columns.cost + start.limits.dual[0] @ program.caps - program.columns.reached(reached)
    drift: Floats = implied - start.purchases.dual[0]
    return drift


def _restore(program: Program, start: Start) -> None:
    """Moves the hourly prices back to where they add up to the purchases' costs, where that costs least."""
    solver = _factored(program, start)
    for _ in range(_RESTORATIONS):
        step = solver.solve(-_drift(program, start))
        start.purchases.dual -= step * start.purchases.dual / start.purchases.value
        level_step = program.columns.levels(step, program.slots)
        for block in start.blocks:
            block.shift(level_step[:, block.segment])


def _solve(program: Program, start: Start, solver: "_Factor", demand: Floats, drift: Floats) -> None:
    """Directions of everything, from the slots' demand on prices."""
    columns, purchases, limits = program.columns, start.purchases, start.limits
    right = columns.reached(demand) - drift
    # The dual slack of a purchase is cost - prices reached; lifts are in units of the amounts.
    lift = -purchases.value if purchases.lift is None else purchases.lift
    limit_lift = -limits.value if limits.lift is None else limits.lift
    right += (lift / purchases.ratio).ravel()
    spare = program.cap_limits - program.caps @ start.amounts - limits.value.ravel()
    force = (limit_lift[0] - spare) / limits.ratio[0]
    right -= program.caps.T @ force
    step = solver.solve(right)
    level_step = columns.levels(step, program.slots)
    for block in start.blocks:
        block.follow(level_step[:, block.segment])
    purchases.value_step = step[None, :]
    purchases.dual_step = (lift - purchases.value_step) / purchases.ratio
    limits.value_step = (spare - program.caps @ step)[None, :]
    limits.dual_step = (limit_lift - limits.value_step) / limits.ratio


def _lengths(start: Start, *, bounded: bool = True) -> tuple[float, float]:
    primal = dual = 0.0
    for pair in start.pairs:
        value, slack = pair.falls()
        primal, dual = max(primal, value), max(dual, slack)
    lengths = (1.0 / max(primal, 1e-12), 1.0 / max(dual, 1e-12))
    return (min(1.0, lengths[0]), min(1.0, lengths[1])) if bounded else lengths


def _better(program: Program, kept: Prices | None, prices: Prices) -> Prices:
    proof = feasible(program, prices)
    if kept is None or lower_bound(program, proof) > lower_bound(program, kept):
        return proof
    return kept


def _prices(program: Program, start: Start) -> Prices:
    flexible = np.empty((program.budgets, program.usage.shape[1]))
    usage = np.empty_like(program.usage)
    for block in start.blocks:
        usage[:, block.hours] = block.cover.dual
        flexible[:, block.hours] = block.idle.dual
    return Prices(flexible, usage, start.limits.dual.ravel().copy())


class _Factor:
    """Solves with a symmetric positive definite matrix, equilibrated by its diagonal."""

    def __init__(self, matrix: Floats) -> None:
        self._scale = 1.0 / np.sqrt(np.diagonal(matrix))
        scaled = matrix * self._scale * self._scale[:, None]
        scaled[np.diag_indices_from(scaled)] += 1e-15
        self._matrix = scaled
        # Made once for several right sides. Limits that bind make the matrix too crooked for it towards the end.
        self._inverse = np.linalg.inv(scaled)
        off = self._inverse @ scaled
        off[np.diag_indices_from(off)] -= 1.0
        self._is_close = float(np.abs(off).max(initial=0.0)) < _CLOSE

    def solve(self, right: Floats) -> Floats:
        """One step of refinement after the direct solution; two where the inverse stands for it."""
        target = right * self._scale
        first = self._direct(target)
        for _ in range(1 + self._is_close):
            first += self._direct(target - self._matrix @ first)
        solution: Floats = first * self._scale
        return solution

    def _direct(self, target: Floats) -> Floats:
        if self._is_close:
            return np.asarray(self._inverse @ target, dtype=np.float64)
        return np.asarray(np.linalg.solve(self._matrix, target), dtype=np.float64)
