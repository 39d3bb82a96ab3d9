"""The engine's entry: usage, offers and what else is known in, the cheapest portfolio with its proof out.

A pure function of its arguments. `stop` is the deadline and the cancel button in one: it is asked between iterations,
and what was found by then is returned with its gap, marked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import numpy as np

from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.purchasing import (
    DeclaredChange,
    OwnedLevel,
    PlanOffer,
    PlanTerms,
    Preference,
    PurchaseLimits,
    RiskAim,
    Scenario,
    SpotShare,
)
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.purchasing.alternatives import alternatives
from trimtab_service.purchasing.demand import HourlyUsage
from trimtab_service.purchasing.figures import figures, scaled
from trimtab_service.purchasing.lower_bound import Prices
from trimtab_service.purchasing.memory import DEFAULT_LIMIT_BYTES, require
from trimtab_service.purchasing.optimiser import Ending, Solution, optimise
from trimtab_service.purchasing.outcome import Certificate, PurchasePlan, Rebilled
from trimtab_service.purchasing.pools import MOST_BUDGETS, Pool, Question, pools_of
from trimtab_service.purchasing.program import Floats, Program
from trimtab_service.purchasing.rebilling import rebilled_cost
from trimtab_service.purchasing.risk import risk_of
from trimtab_service.purchasing.scenarios import optimise_over
from trimtab_service.purchasing.screening import screen
from trimtab_service.purchasing.shadow_prices import hourly_room
from trimtab_service.purchasing.statement import prices_of, problem_of
from trimtab_service.purchasing.timeline import boundaries, timeline_of
from trimtab_service.purchasing.tranches import sold, tranches


@dataclass(frozen=True, slots=True, eq=False)
class PlanRequest:
    """What is asked. `scenarios` matter to the aims other than expected cost of the usage as it is."""

    usage: HourlyUsage
    offers: tuple[PlanOffer, ...]
    terms: PlanTerms
    owned: tuple[OwnedLevel, ...] = ()
    spot: tuple[SpotShare, ...] = ()
    changes: tuple[DeclaredChange, ...] = ()
    limits: PurchaseLimits = PurchaseLimits()
    aim: RiskAim = RiskAim()
    scenarios: tuple[Scenario, ...] = ()
    with_risk: bool = True
    memory_limit_bytes: int = DEFAULT_LIMIT_BYTES


def optimise_purchase_plan(request: PlanRequest, stop: Callable[[], bool] = lambda: False) -> PurchasePlan:
    """The plan. Raises InvalidArgumentError for what cannot be right or fit, UnsupportedError past the budgets' number."""
    question, screened = _question(request)
    pools = pools_of(question)
    solved = [_solved(request, pool, stop) for pool in pools]
    bought = [sold(pool, solution.amounts) for pool, solution in zip(pools, solved, strict=True)]
    amounts = [portion.amounts for portion in bought]
    horizon_hours = request.terms.horizon // timedelta(hours=1)
    risk = risk_of(pools, amounts, request.usage.money.sum(axis=0), horizon_hours, stop) if request.with_risk else None
    certificate = _certificate(pools, solved)
    return PurchasePlan(
        tranches=tuple(t for pool, portion in zip(pools, bought, strict=True) for t in tranches(pool, portion)),
        figures=figures("plan", pools, [solution.amounts for solution in solved]),
        certificate=certificate,
        rebilled=_rebilled(pools, amounts, certificate.bound),
        alternatives=alternatives(pools, stop),
        risk=risk,
        dropped=screened,
        notes=request.usage.notes,
        pools=pools,
    )


def _question(request: PlanRequest) -> tuple[Question, tuple]:
    _require_sound(request)
    many = bool(request.terms.purchase_times) or not request.terms.renewed
    cuts = [level_time for level in request.owned for level_time in (level.start_time, level.end_time)]
    times = request.terms.purchase_times or (request.terms.start,)
    if not request.terms.renewed:
        cuts += [time + offer.term for time in times for offer in request.offers]
    cuts += times
    changing = boundaries(request.terms, [*cuts, *(change.effective for change in request.changes)])
    hours = request.usage.hours if len(changing) <= 2 else changing[-1]  # noqa: PLR2004 - a start and an end
    classes = len(request.usage.keys) * (2 if request.changes else 1)
    require(classes * max(len(request.scenarios), 1), hours, min(len(request.offers), MOST_BUDGETS), request.memory_limit_bytes)
    timeline = timeline_of(request.usage, request.terms, request.changes, cuts)
    screened = screen(
        request.offers, timeline.keys, request.limits, request.terms.cost_of_capital, terms_matter=many
    )
    question = Question(timeline, screened.offers, request.owned, request.spot, request.terms, request.limits)
    return question, screened.dropped


def _require_sound(request: PlanRequest) -> None:
    violations = []
    if request.terms.horizon < timedelta(hours=1):
        violations.append(Violation("horizon", ErrorReason.OUT_OF_RANGE, "a plan needs an hour at least"))
    if not 0.0 <= request.terms.cost_of_capital <= 1.0:
        text = f"{request.terms.cost_of_capital} is not a yearly share between 0 and 1"
        violations.append(Violation("cost_of_capital", ErrorReason.OUT_OF_RANGE, text))
    if request.usage.hours == 0 or not request.usage.keys:
        violations.append(Violation("usage", ErrorReason.FIELD_REQUIRED, "no hour of usage is given"))
    limit = request.limits.commitment_per_hour
    if limit is not None and not limit >= 0.0:
        violations.append(Violation("limits.commitment_per_hour", ErrorReason.OUT_OF_RANGE, f"{limit} is negative"))
    for index, spot in enumerate(request.spot):
        if not (0.0 <= spot.share <= 1.0 and 0.0 <= spot.price <= 1.0):
            text = "share and price are between 0 and 1"
            violations.append(Violation(f"spot[{index}]", ErrorReason.OUT_OF_RANGE, text))
    for index, level in enumerate(request.owned):
        if level.end_time <= level.start_time or not level.per_hour >= 0.0:
            text = "an owned commitment has a term and an amount that is not negative"
            violations.append(Violation(f"owned[{index}]", ErrorReason.OUT_OF_RANGE, text))
    ids = [level.commitment_id for level in request.owned]
    if len(set(ids)) < len(ids):
        text = "the same commitment is given twice: overlapping ones need ids of their own"
        violations.append(Violation("owned", ErrorReason.CONTRADICTION, text))
    for index, change in enumerate(request.changes):
        if not change.factor >= 0.0:
            violations.append(Violation(f"changes[{index}].factor", ErrorReason.OUT_OF_RANGE, "it is negative"))
    if request.aim.preference is not Preference.EXPECTED_COST and not request.scenarios:
        violations.append(Violation("scenarios", ErrorReason.FIELD_REQUIRED, "this aim is over scenarios"))
    total = sum(scenario.probability for scenario in request.scenarios)
    if request.scenarios and (abs(total - 1.0) > 1e-9 or any(s.probability < 0.0 for s in request.scenarios)):  # noqa: PLR2004 - rounding
        violations.append(Violation("scenarios", ErrorReason.OUT_OF_RANGE, f"probabilities sum to {total}, not to 1"))
    if not 0.0 < request.aim.tail <= 1.0:
        violations.append(Violation("aim.tail", ErrorReason.OUT_OF_RANGE, f"{request.aim.tail} is not in (0, 1]"))
    if violations:
        raise InvalidArgumentError(violations)


@dataclass(frozen=True, slots=True, eq=False)
class _Solved:
    """`amounts`, cost and bound in the aim's measure, and the program and prices that prove the bound."""

    amounts: Floats
    cost: float
    bound: float
    ending: Ending
    proof: Solution


def _solved(request: PlanRequest, pool: Pool, stop: Callable[[], bool]) -> _Solved:
    if not request.scenarios:
        solution = optimise(pool.program, stop)
        return _Solved(solution.amounts, solution.cost, solution.bound, solution.ending, solution)
    programs = [_future(pool, scenario) for scenario in request.scenarios]
    probabilities = np.array([scenario.probability for scenario in request.scenarios])
    found = optimise_over(programs, probabilities, request.aim, stop)
    ending = found.proof.ending
    if ending is Ending.OPTIMAL and found.gap > 1e-9:  # noqa: PLR2004 - the certified gap
        ending = Ending.RELAXED
    return _Solved(found.amounts, found.risk, found.bound, ending, found.proof)


def _future(pool: Pool, scenario: Scenario) -> Program:
    scales = [scenario.scale * scenario.scales.get(key.family, 1.0) for key in pool.keys]
    return scaled(pool.program, np.array(scales))


_WORST = (Ending.OPTIMAL, Ending.RELAXED, Ending.STALLED, Ending.STOPPED)


def _certificate(pools: Sequence[Pool], solved: Sequence[_Solved]) -> Certificate:
    cost, bound = sum(s.cost for s in solved), sum(s.bound for s in solved)
    amounts = tuple(s.amounts for s in solved)
    ending = max((s.ending for s in solved), key=_WORST.index, default=Ending.OPTIMAL)
    plain = all(s.proof.prices.flexible.shape[1:] == p.program.usage.shape[1:] for p, s in zip(pools, solved, strict=True))
    prices: list[Prices] = [s.proof.prices for s in solved]
    return Certificate(
        bound=bound,
        gap=max(cost - bound, 0.0) / cost if cost > 0.0 else 0.0,
        ending=ending,
        shadow_prices=hourly_room(pools, amounts, prices).price if plain else np.empty(0),
        statements=tuple(problem_of(pool.program) for pool in pools) if plain else (),
        prices=tuple(prices_of(p.program, proof) for p, proof in zip(pools, prices, strict=True)) if plain else (),
        amounts=amounts,
    )


def _rebilled(pools: Sequence[Pool], amounts: Sequence[Floats], bound: float) -> Rebilled | None:
    cost = rebilled_cost(pools, amounts)
    if cost is None:
        return None
    return Rebilled(cost, float(cost / Decimal(repr(bound))) - 1.0 if bound > 0.0 else 0.0)
