"""Policies walked forward over the caller's own history, against what hindsight would have bought.

One decision: at each decision hour a rule sees the past, its level is paid for over the term; regret is its cost over
that of the best single level, less one. Ladder: every month the rule tops up what is still in force; hindsight is the
exact optimum over the same purchase months.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from trimtab_service.purchasing.migrations import MONTH_HOURS, held_back
from trimtab_service.purchasing.optimiser import optimise
from trimtab_service.purchasing.policies import Rule, top_up
from trimtab_service.purchasing.program import Columns, Floats, Program
from trimtab_service.purchasing.single_level import single_level, single_level_cost


@dataclass(frozen=True, slots=True)
class DecisionCost:
    """One decision at hour `hour`: the level chosen, its cost over the term, the best single level's, and its use."""

    hour: int
    level: float
    cost: float
    hindsight: float
    utilisation: float

    @property
    def regret(self) -> float:
        """Cost over hindsight less one; 0 where nothing was to be paid."""
        return self.cost / self.hindsight - 1.0 if self.hindsight > 0.0 else 0.0


def decisions(usage: Floats, hours: Sequence[int], term: int, ratio: float, rule: Rule) -> list[DecisionCost]:
    """One decision at each of `hours` for which a whole `term` of usage follows."""
    outcomes = []
    for hour in hours:
        future = usage[hour : hour + term]
        if future.size < term:
            continue
        level = rule(usage[:hour], term, ratio)
        best = single_level_cost(future, ratio, single_level(future, ratio))
        used = float(np.minimum(future, level).sum()) / (term * level) if level > 0.0 else 1.0
        outcomes.append(DecisionCost(hour, level, single_level_cost(future, ratio, level), best, used))
    return outcomes


@dataclass(frozen=True, slots=True)
class LadderShape:
    """Terms of `term` steps of `step_hours`, a decision every `cadence` steps, `paid` steps counted at the end."""

    term: int = 12
    cadence: int = 1
    paid: int = 24
    step_hours: int = MONTH_HOURS


@dataclass(frozen=True, slots=True, eq=False)
class LadderCost:
    """`bought` (steps,) at each step's start, `levels` in force, `cost` of the paid steps, utilisation over them."""

    bought: Floats
    levels: Floats
    cost: float
    utilisation: float


Target = Callable[[int, Floats], float]
"""(step, history) -> the level to have in force."""

STANDARD_LADDER: Final = LadderShape()


def ladder(usage: Floats, ratio: float, shape: LadderShape, target: Target) -> LadderCost:
    """Walks `target` forward from the first step that warms up the paid ones; nothing is ever sold."""
    steps = usage.size // shape.step_hours
    first_paid = steps - shape.paid
    bought = np.zeros(steps)
    levels = np.zeros(steps)
    cost = used = held = 0.0
    for step in range(max(first_paid - shape.term + 1, 1), steps):
        now = step * shape.step_hours
        active = float(bought[max(step - shape.term + 1, 0) : step].sum())
        if (step - first_paid) % shape.cadence == 0:
            bought[step] = max(target(step, usage[:now]) - active, 0.0)
        levels[step] = active + bought[step]
        if step >= first_paid:
            month = usage[now : now + shape.step_hours]
            cost += single_level_cost(month, ratio, levels[step])
            used += float(np.minimum(month, levels[step]).sum())
            held += levels[step] * shape.step_hours
    return LadderCost(bought, levels, cost, used / held if held > 0.0 else 1.0)


def top_up_target(ratio: float, shape: LadderShape, siblings: Sequence[Floats] = ()) -> Target:
    """The standing rule: what `top_up` says, and nothing while a sibling's family is leaving. Sees only the past."""

    def target(_step: int, history: Floats) -> float:
        if siblings and held_back(history, [sibling[: history.size] for sibling in siblings]):
            return 0.0
        return top_up(history, shape.term * shape.step_hours, ratio)

    return target


def rule_target(rule: Rule, ratio: float, shape: LadderShape) -> Target:
    """A one-decision rule used as the level to keep."""

    def target(_step: int, history: Floats) -> float:
        return rule(history, shape.term * shape.step_hours, ratio)

    return target


def hindsight_cost(usage: Floats, ratio: float, shape: LadderShape) -> float:
    """The least cost of the paid steps over all purchases at the same steps, the warm-up's included: exact."""
    steps = usage.size // shape.step_hours
    first_paid = steps - shape.paid
    starts = range(max(first_paid - shape.term + 1, 1), steps)
    covers = np.array([[start <= step < start + shape.term for start in starts] for step in range(first_paid, steps)])
    paid = usage[first_paid * shape.step_hours : steps * shape.step_hours]
    program = Program(
        usage=paid[None, :],
        weights=np.ones(paid.size),
        segments=np.arange(shape.paid + 1) * shape.step_hours,
        rates=np.empty((0, 1)),
        existing=np.zeros((1, shape.paid)),
        columns=Columns(
            slot=np.zeros(covers.shape[1], dtype=np.int64),
            cost=shape.step_hours * covers.sum(axis=0) / ratio,
            covers=covers,
        ),
        spot_price=np.ones(1),
        spot_room=None,
        caps=np.empty((0, covers.shape[1])),
        cap_limits=np.empty(0),
    )
    return optimise(program).cost * ratio


def ladder_ratio(
    series: Mapping[str, Floats],
    ratio: float,
    shape: LadderShape,
    target_of: Callable[[str], Target],
) -> float:
    """Cost of all series' ladders over the sum of their hindsight costs."""
    cost = sum(ladder(usage, ratio, shape, target_of(name)).cost for name, usage in series.items())
    best = sum(hindsight_cost(usage, ratio, shape) for usage in series.values())
    return cost / best if best > 0.0 else 1.0
