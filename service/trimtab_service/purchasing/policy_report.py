"""What each policy would have cost on the caller's own history: a back-test, short enough for every advice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from trimtab_service.purchasing.backtest import (
    LadderShape,
    Target,
    decisions,
    hindsight_cost,
    ladder,
    rule_target,
    top_up_target,
)
from trimtab_service.purchasing.migrations import MONTH_HOURS
from trimtab_service.purchasing.policies import RULES, Policy
from trimtab_service.purchasing.program import Floats
from trimtab_service.purchasing.single_level import break_even_utilisation

_YEAR: Final = 8_760

LADDERS: Final = ("monthly_standing_rule", "monthly_top_up", "quarterly_top_up", "bulk")
"""Names of repeated purchases."""


@dataclass(frozen=True, slots=True)
class DecisionReport:
    """One decision a month, each paid over the term: regret of all and of the worst, and how often it lost money."""

    policy: Policy
    decisions: int
    mean_regret: float
    worst_regret: float
    probability_below_break_even: float


@dataclass(frozen=True, slots=True)
class LadderReport:
    """Repeated purchases by name (`monthly_top_up`, `quarterly_top_up`, `yearly_bulk`, ...): cost over hindsight."""

    name: str
    ratio: float
    utilisation: float


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """Both, or neither where history is too short: `months` that were there and `months_needed` for anything."""

    one_decision: tuple[DecisionReport, ...]
    ladders: tuple[LadderReport, ...]
    months: int
    months_needed: int


def policy_report(
    series: Mapping[str, Floats],
    ratio: float,
    *,
    term_hours: int = _YEAR,
    families: Mapping[str, str] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> PolicyReport:
    """Walks every policy over every series (all of the same hours).

    `families` names each series' family, so that one region's migration is known to the others. Decisions start after
    a year of history, or half of what is there.
    """
    hours = min((usage.size for usage in series.values()), default=0)
    months = hours // MONTH_HOURS
    first = min(_YEAR, hours // 2)
    starts = range(first, hours - term_hours + 1, MONTH_HOURS)
    single = []
    for policy in RULES:
        if len(starts) == 0 or stop():
            break
        single.append(_decided(series, ratio, policy, starts, term_hours))
    term = max(term_hours // MONTH_HOURS, 1)
    paid = min(months - term, 2 * term)
    ladders = (
        () if paid < 1 or stop() else tuple(_ladders(series, ratio, LadderShape(term, 1, paid), families or {}, stop))
    )
    return PolicyReport(tuple(single), ladders, months, term + 1)


def _decided(
    series: Mapping[str, Floats], ratio: float, policy: Policy, starts: Sequence[int], term: int
) -> DecisionReport:
    outcomes = [decisions(usage, starts, term, ratio, RULES[policy]) for usage in series.values()]
    costs = np.array([[outcome.cost for outcome in mine] for mine in outcomes])
    best = np.array([[outcome.hindsight for outcome in mine] for mine in outcomes])
    bought = [outcome for mine in outcomes for outcome in mine if outcome.level > 0.0]
    lost = sum(outcome.utilisation < break_even_utilisation(ratio) for outcome in bought)
    pooled = np.where(best.sum(axis=0) > 0.0, costs.sum(axis=0) / np.maximum(best.sum(axis=0), 1e-300) - 1.0, 0.0)
    return DecisionReport(
        policy=policy,
        decisions=len(starts),
        mean_regret=float(costs.sum() / best.sum() - 1.0) if best.sum() > 0.0 else 0.0,
        worst_regret=float(pooled.max(initial=0.0)),
        probability_below_break_even=lost / len(bought) if bought else 0.0,
    )


def _ladders(
    series: Mapping[str, Floats],
    ratio: float,
    shape: LadderShape,
    families: Mapping[str, str],
    stop: Callable[[], bool],
) -> list[LadderReport]:
    best = sum(hindsight_cost(usage, ratio, shape) for usage in series.values())
    quantile = RULES[Policy.QUANTILE_30_DAYS]

    def siblings(name: str) -> list[Floats]:
        mine = families.get(name, "")
        return [usage for other, usage in series.items() if mine and other != name and families.get(other) == mine]

    def cadence(every: int) -> LadderShape:
        return LadderShape(shape.term, every, shape.paid, shape.step_hours)

    kinds: tuple[tuple[LadderShape, Callable[[str], Target]], ...] = (
        (shape, lambda name: top_up_target(ratio, shape, siblings(name))),
        (shape, lambda _: rule_target(quantile, ratio, shape)),
        (cadence(3), lambda _: rule_target(quantile, ratio, shape)),
        (cadence(shape.term), lambda _: rule_target(quantile, ratio, shape)),
    )
    made = []
    for name, (form, target_of) in zip(LADDERS, kinds, strict=True):
        if stop():
            break
        walked = [ladder(usage, ratio, form, target_of(key)) for key, usage in series.items()]
        held = sum(float(walk.levels[-form.paid :].sum()) for walk in walked)
        used = sum(walk.utilisation * float(walk.levels[-form.paid :].sum()) for walk in walked)
        cost = sum(walk.cost for walk in walked)
        made.append(LadderReport(name, cost / best if best > 0.0 else 1.0, used / held if held > 0.0 else 1.0))
    return made
