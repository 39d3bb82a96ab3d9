"""Several futures at once: least expected cost, least CVaR, least maximum regret, each with a bound.

Expected cost is the same program over stacked hours. The other two are worst cases over weights omega of the scenarios:
CVaR of tail b allows 0 <= omega_s <= pi_s / b, maximum regret any omega, with each scenario's own optimum taken off.
For any omega the stacked program bounds the risk from below; the portfolios found on the way are mixed (cost is convex)
as a small linear program says, whose duals are the next omega. Both sides meet at the optimum.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from trimtab_service.domain.purchasing import Preference, RiskAim
from trimtab_service.purchasing.dense_lp import solve
from trimtab_service.purchasing.hourly_cost import total_cost
from trimtab_service.purchasing.optimiser import CERTIFIED_GAP, Solution, optimise
from trimtab_service.purchasing.program import Columns, Floats, Program

_ROUNDS: Final = 40


@dataclass(frozen=True, slots=True, eq=False)
class RiskSolution:
    """`amounts`, their `risk` and its lower `bound` in the aim's own measure, `costs` (S,) by scenario.

    `weights` are the omega that prove the bound, `proof` the stacked solution behind it.
    """

    amounts: Floats
    risk: float
    bound: float
    costs: Floats
    weights: Floats
    proof: Solution

    @property
    def gap(self) -> float:
        """(risk - bound) / risk; 0 where there is none."""
        return max(self.risk - self.bound, 0.0) / self.risk if self.risk > 0.0 else 0.0


def stacked(programs: Sequence[Program], weights: Floats) -> Program:
    """One program over the hours of all, each scenario's weighted; those of weight zero are left out."""
    kept = [(program, float(w)) for program, w in zip(programs, weights, strict=True) if w > 0.0]
    first = programs[0]
    rooms = [program.spot_room for program, _ in kept]
    offsets = np.cumsum([0, *(program.usage.shape[1] for program, _ in kept)])
    bounds = [program.segments[:-1] + offset for (program, _), offset in zip(kept, offsets, strict=False)]
    return Program(
        usage=np.concatenate([program.usage for program, _ in kept], axis=1),
        weights=np.concatenate([w * program.weights for program, w in kept]),
        segments=np.append(np.concatenate(bounds), offsets[-1]),
        rates=first.rates,
        existing=np.concatenate([program.existing for program, _ in kept], axis=1),
        columns=Columns(
            slot=first.columns.slot,
            cost=first.columns.cost * float(sum(w for _, w in kept)),
            covers=np.concatenate([program.columns.covers for program, _ in kept], axis=0),
        ),
        spot_price=first.spot_price,
        spot_room=None if first.spot_room is None else np.concatenate([r for r in rooms if r is not None], axis=1),
        caps=first.caps,
        cap_limits=first.cap_limits,
    )


def optimise_over(
    programs: Sequence[Program],
    probabilities: Floats,
    aim: RiskAim,
    stop: Callable[[], bool] = lambda: False,
) -> RiskSolution:
    """The portfolio of least risk over `programs`, which differ in usage alone; probabilities sum to 1."""
    offsets = np.zeros(len(programs))
    if aim.preference is Preference.MAXIMUM_REGRET:
        offsets = np.array([optimise(program, stop).cost for program in programs])
    ceiling = _ceiling(probabilities, aim)
    omega = np.asarray(probabilities, dtype=np.float64)
    found: list[Floats] = []
    outcomes: list[Floats] = []
    bound, weights, proof = -np.inf, omega, None
    amounts, risk = np.zeros(programs[0].columns.cost.size), np.inf
    for _ in range(_ROUNDS if aim.preference is not Preference.EXPECTED_COST else 1):
        solution = optimise(stacked(programs, omega), stop)
        if proof is None or solution.bound - float(omega @ offsets) > bound:
            bound, weights, proof = solution.bound - float(omega @ offsets), omega, solution
        found.append(solution.amounts)
        outcomes.append(np.array([total_cost(program, solution.amounts) for program in programs]) - offsets)
        mix, omega = _mixture(np.array(outcomes), ceiling)
        candidate = mix @ np.array(found)
        costs = np.array([total_cost(program, candidate) for program in programs]) - offsets
        if (worst := _worst(costs, ceiling)) < risk:
            amounts, risk = candidate, worst
        if stop() or risk - bound <= CERTIFIED_GAP * abs(risk):
            break
    assert proof is not None  # noqa: S101 - the loop runs once at least
    bound = max(bound, 0.0)
    return RiskSolution(amounts, risk, bound, np.array([total_cost(p, amounts) for p in programs]), weights, proof)


def _ceiling(probabilities: Floats, aim: RiskAim) -> Floats:
    if aim.preference is Preference.EXPECTED_COST:
        return np.asarray(probabilities, dtype=np.float64)
    if aim.preference is Preference.CVAR:
        return np.minimum(np.asarray(probabilities) / aim.tail, 1.0)
    return np.ones(len(probabilities))


def _worst(costs: Floats, ceiling: Floats) -> float:
    """Max omega . costs over 0 <= omega <= ceiling, sum omega = 1: the dearest scenarios first."""
    left, total = 1.0, 0.0
    for index in np.argsort(-costs).tolist():
        share = min(left, float(ceiling[index]))
        total += share * float(costs[index])
        left -= share
    return total


def _mixture(outcomes: Floats, ceiling: Floats) -> tuple[Floats, Floats]:
    """The mix of the portfolios found (n,) whose worst weighting is least, and that weighting (S,).

    min eta + ceiling . z  with  eta + z_s >= sum_i mix_i outcomes_is,  sum mix = 1,  all non-negative.
    """
    count, scenarios = outcomes.shape
    # Outcomes are shifted to be non-negative, so eta is too.
    shifted = outcomes - outcomes.min()
    rows = np.zeros((scenarios + 1, count + 1 + 2 * scenarios))
    rows[:scenarios, :count] = -shifted.T / max(float(shifted.max()), 1e-300)
    rows[:scenarios, count] = 1.0
    rows[:scenarios, count + 1 : count + 1 + scenarios] = np.eye(scenarios)
    rows[:scenarios, count + 1 + scenarios :] = -np.eye(scenarios)
    rows[scenarios, :count] = 1.0
    cost = np.concatenate([np.zeros(count), [1.0], ceiling, np.zeros(scenarios)])
    solution, duals = solve(cost, rows, np.append(np.zeros(scenarios), 1.0))
    mix = np.maximum(solution[:count], 0.0)
    omega = np.clip(duals[:scenarios], 0.0, ceiling)
    omega = omega / omega.sum() if omega.sum() > 0.0 else ceiling / ceiling.sum()
    return mix / mix.sum(), np.minimum(omega, ceiling) / np.minimum(omega, ceiling).sum()
