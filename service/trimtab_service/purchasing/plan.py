"""The engine's entry: usage, offers and what else is known in, the cheapest portfolio with its proof out.

A pure function of its arguments. `stop` is the deadline and the cancel button in one: it is asked between iterations,
and what was found by then is returned with its gap, marked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import numpy as np

from trimtab_service.domain.purchasing import (
    DroppedOffer,
    Preference,
    Scenario,
)
from trimtab_service.purchasing.alternatives import alternatives
from trimtab_service.purchasing.figures import figures
from trimtab_service.purchasing.memory import require
from trimtab_service.purchasing.optimiser import Ending, Solution, optimise
from trimtab_service.purchasing.outcome import Certificate, PurchasePlan, Rebilled
from trimtab_service.purchasing.plan_request import PlanRequest, require_sound
from trimtab_service.purchasing.pools import MOST_BUDGETS, Pool, Question, pools_of
from trimtab_service.purchasing.program import Floats, Program
from trimtab_service.purchasing.rebilling import plan_bill
from trimtab_service.purchasing.risk import risk_of
from trimtab_service.purchasing.scenarios import optimise_over, stacked
from trimtab_service.purchasing.screening import screen
from trimtab_service.purchasing.shadow_prices import hourly_room
from trimtab_service.purchasing.statement import prices_of, problem_of
from trimtab_service.purchasing.timeline import boundaries, timeline_of
from trimtab_service.purchasing.tranches import sold, tranches
from trimtab_service.purchasing.variants import scaled


def optimise_purchase_plan(
    request: PlanRequest, stop: Callable[[], bool] = lambda: False, hurry: Callable[[], bool] | None = None
) -> PurchasePlan:
    """The plan. Raises InvalidArgumentError for what cannot be right or fit, UnsupportedError for too many budgets.

    The certified plan comes first; risk and alternatives are left out from when `hurry` (absent: `stop`) says so.
    """
    hurry = hurry or stop
    question, screened = _question(request)
    pools = pools_of(question)
    solved = [_solved(request, pool, stop) for pool in pools]
    bought = [sold(pool, solution.amounts) for pool, solution in zip(pools, solved, strict=True)]
    amounts = [portion.amounts for portion in bought]
    horizon_hours = request.terms.horizon // timedelta(hours=1)
    certificate = _certificate(pools, solved, plain=not request.scenarios)
    return PurchasePlan(
        tranches=tuple(t for pool, portion in zip(pools, bought, strict=True) for t in tranches(pool, portion)),
        figures=figures("plan", pools, [solution.amounts for solution in solved]),
        certificate=certificate,
        rebilled=_rebilled(pools, amounts, certificate.bound, stop),
        alternatives=alternatives(pools, hurry),
        risk=risk_of(pools, amounts, request.usage.money.sum(axis=0), horizon_hours, hurry)
        if request.with_risk
        else None,
        dropped=screened,
        notes=request.usage.notes,
        pools=pools,
    )


def _question(request: PlanRequest) -> tuple[Question, tuple[DroppedOffer, ...]]:
    require_sound(request)
    many = bool(request.terms.purchase_times) or not request.terms.renewed
    cuts = [level_time for level in request.owned for level_time in (level.start_time, level.end_time)]
    times = request.terms.purchase_times or (request.terms.start,)
    if not request.terms.renewed:
        cuts += [time + offer.term for time in times for offer in request.offers]
    cuts += times
    changing = boundaries(request.terms, [*cuts, *(change.effective for change in request.changes)])
    hours = request.usage.hours if len(changing) <= 2 else changing[-1]  # noqa: PLR2004 - a start and an end
    classes = len(request.usage.keys) * (2 if request.changes else 1)
    require(
        classes * max(len(request.scenarios), 1),
        hours,
        min(len(request.offers), MOST_BUDGETS),
        request.memory_limit_bytes,
    )
    timeline = timeline_of(request.usage, request.terms, request.changes, cuts)
    screened = screen(request.offers, timeline.keys, request.limits, request.terms.cost_of_capital, terms_matter=many)
    question = Question(timeline, screened.offers, request.owned, request.spot, request.terms, request.limits)
    return question, screened.dropped


@dataclass(frozen=True, slots=True, eq=False)
class _Solved:
    """`amounts`, cost and bound in the aim's measure, and the solution that proves the bound of `program`.

    `program` is the pool's own or, over scenarios, the stacked one; None where the bound takes more than that: regret.
    """

    amounts: Floats
    cost: float
    bound: float
    ending: Ending
    proof: Solution
    program: Program | None


def _solved(request: PlanRequest, pool: Pool, stop: Callable[[], bool]) -> _Solved:
    if not request.scenarios:
        solution = optimise(pool.program, stop)
        return _Solved(solution.amounts, solution.cost, solution.bound, solution.ending, solution, pool.program)
    programs = [_future(pool, scenario) for scenario in request.scenarios]
    probabilities = np.array([scenario.probability for scenario in request.scenarios])
    found = optimise_over(programs, probabilities, request.aim, stop)
    ending = found.proof.ending
    if ending is Ending.OPTIMAL and found.gap > 1e-9:  # noqa: PLR2004 - the certified gap
        ending = Ending.RELAXED
    proved = None if request.aim.preference is Preference.MAXIMUM_REGRET else stacked(programs, found.weights)
    return _Solved(found.amounts, found.risk, found.bound, ending, found.proof, proved)


def _future(pool: Pool, scenario: Scenario) -> Program:
    scales = [scenario.scale * scenario.scales.get(key.family, 1.0) for key in pool.keys]
    return scaled(pool.program, np.array(scales))


_STATED_CELLS = 6_000_000
"""Class-hours above which the proof is not written out: as plain lists it would take more memory than finding it."""

_WORST = (Ending.OPTIMAL, Ending.RELAXED, Ending.STALLED, Ending.STOPPED)


def _certificate(pools: Sequence[Pool], solved: Sequence[_Solved], *, plain: bool) -> Certificate:
    """With `plain` the proof is of the pools' own programs; else of scenarios stacked, which are not written out."""
    cost, bound = sum(s.cost for s in solved), sum(s.bound for s in solved)
    amounts = tuple(s.amounts for s in solved)
    ending = max((s.ending for s in solved), key=_WORST.index, default=Ending.OPTIMAL)
    programs = [s.program for s in solved if s.program is not None]
    stated = len(programs) == len(solved) and sum(program.usage.size for program in programs) <= _STATED_CELLS
    prices = [s.proof.prices for s in solved]
    return Certificate(
        bound=bound,
        gap=max(cost - bound, 0.0) / cost if cost > 0.0 else 0.0,
        ending=ending,
        shadow_prices=hourly_room(pools, amounts, prices).price if plain else np.empty(0),
        statements=tuple(problem_of(program) for program in programs) if stated else (),
        prices=tuple(prices_of(program, proof) for program, proof in zip(programs, prices, strict=True))
        if stated
        else (),
        amounts=amounts,
    )


def _rebilled(
    pools: Sequence[Pool], amounts: Sequence[Floats], bound: float, stop: Callable[[], bool]
) -> Rebilled | None:
    made = plan_bill(pools, amounts, stop)
    if made is None:
        return None
    return Rebilled(made, float(made.cost / Decimal(repr(bound))) - 1.0 if bound > 0.0 else 0.0)
