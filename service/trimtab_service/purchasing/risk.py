"""How a plan stands in futures that differ from the hours it was made for.

The fan: all usage scaled by a common factor, lognormal around what the trend says of the horizon's mean, as wide as the
30-day changes of the history make a random walk over it (averaged over the horizon: variance grows to a third). Figures
are taken on every n-th hour: they are estimates, the certificate is not.
"""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Final

import numpy as np

from trimtab_service.purchasing.figures import money_used
from trimtab_service.purchasing.hourly_cost import total_cost
from trimtab_service.purchasing.optimiser import optimise
from trimtab_service.purchasing.outcome import RiskFigures, ScenarioFigure
from trimtab_service.purchasing.pools import Pool
from trimtab_service.purchasing.program import Floats, Program
from trimtab_service.purchasing.trend import LOOK_BACK, WEEK, forecast
from trimtab_service.purchasing.variants import scaled, thinned

_FUTURES: Final = 60
_TAIL: Final = 0.05
_SAMPLED_HOURS: Final = 1_460
_FEWEST_WEEKS: Final = 8
_MINUS: Final = 0.8


def fan(history: Floats, horizon_hours: int) -> Floats:
    """(60,) equally likely factors on the last 30 days' usage over the horizon; all 1 where history is too short."""
    weeks = history.size // WEEK
    if weeks < _FEWEST_WEEKS or history[-WEEK:].sum() <= 0.0:
        return np.ones(_FUTURES)
    months = history[history.size % LOOK_BACK :].reshape(-1, LOOK_BACK).mean(axis=1)
    positive = months[months > 0.0]
    monthly = float(np.diff(np.log(positive)).std()) if positive.size > 2 else 0.0  # noqa: PLR2004 - two changes
    width = monthly * math.sqrt(max(horizon_hours / LOOK_BACK, 1.0) / 3.0)
    normal = NormalDist()
    points = np.array([normal.inv_cdf((i + 0.5) / _FUTURES) for i in range(_FUTURES)])
    factors: Floats = drift_factor(history, horizon_hours) * np.exp(width * points)
    return factors


def drift_factor(history: Floats, horizon_hours: int) -> float:
    """Mean usage of the trend's path over the horizon, over that of the last 30 days."""
    recent = float(history[-720:].mean()) if history.size else 0.0
    return float(forecast(history, horizon_hours).mean()) / recent if recent > 0.0 else 1.0


def risk_of(
    pools: Sequence[Pool], amounts: Sequence[Floats], history: Floats, horizon_hours: int, stop: Callable[[], bool]
) -> RiskFigures | None:
    """The plan over the fan and the named scenarios; None where `stop` says that time is up. `history` is all usage."""
    programs = [thinned(pool.program, _SAMPLED_HOURS) for pool in pools]
    factors = fan(history, horizon_hours)
    below, under_90, costs = [], [], []
    lossy = [np.zeros(program.slots) for program in programs]
    break_even = [_break_even(program) for program in programs]
    for factor in factors.tolist():
        if stop():
            return None
        lost = little = held_money = cost = 0.0
        for number, (program, bought) in enumerate(zip(programs, amounts, strict=True)):
            future = scaled(program, factor)
            cost += total_cost(future, bought)
            used, held = money_used(future, bought)
            share = np.where(held > 0.0, used / np.maximum(held, 1e-300), 1.0)
            is_lost = share < break_even[number]
            lossy[number] += is_lost
            lost += float(held[is_lost].sum())
            little += float(held[share < 0.9].sum())  # noqa: PLR2004 - the field's usual second threshold
            held_money += float(held.sum())
        below.append(lost / held_money if held_money > 0.0 else 0.0)
        under_90.append(little / held_money if held_money > 0.0 else 0.0)
        costs.append(cost)
    worst = sorted(costs)[-max(round(_TAIL * _FUTURES), 1) :]
    scenarios = tuple(_scenarios(programs, amounts, drift_factor(history, horizon_hours), stop))
    return RiskFigures(
        probability_below_break_even=float(np.mean(below)),
        probability_below_90_percent=float(np.mean(under_90)),
        cvar_95=float(np.mean(worst)),
        expected_cost=float(np.mean(costs)),
        scenarios=scenarios,
        below_break_even_by_slot=tuple(counts / _FUTURES for counts in lossy),
    )


def _break_even(program: Program) -> Floats:
    """(K+M,): the use below which a slot's plan costs more than on demand: its rate."""
    rates = np.ones(program.slots)
    per_hour = program.columns.cost / np.maximum(program.columns.covers.T @ program.segment_weights(), 1e-300)
    for slot in range(program.classes):
        mine = per_hour[program.columns.slot == slot]
        if mine.size:
            rates[slot] = float(mine.min())
    for budget in range(program.budgets):
        inside = np.isfinite(program.rates[budget])
        rates[program.classes + budget] = float(program.rates[budget, inside].mean())
    return rates


def _scenarios(
    programs: Sequence[Program], amounts: Sequence[Floats], drift: float, stop: Callable[[], bool]
) -> list[ScenarioFigure]:
    made = []
    for name, future in (
        ("flat", programs),
        ("drift", [scaled(program, drift) for program in programs]),
        ("minus_20_percent", [scaled(program, _MINUS) for program in programs]),
        ("largest_family_migrates", _migrated(programs)),
    ):
        if stop():
            break
        cost = sum(total_cost(program, bought) for program, bought in zip(future, amounts, strict=True))
        best = sum(optimise(program, stop).bound for program in future)
        used = [money_used(program, bought) for program, bought in zip(future, amounts, strict=True)]
        held = sum(float(one.sum()) for _, one in used)
        share = sum(float(one.sum()) for one, _ in used) / held if held > 0.0 else 1.0
        made.append(ScenarioFigure(name, cost, best, share))
    return made


def _migrated(programs: Sequence[Program]) -> list[Program]:
    """The largest class's usage moves to the next class of its pool halfway; where there is none it ends."""
    sizes = [float((program.usage @ program.weights).max(initial=0.0)) for program in programs]
    moved = list(programs)
    if not sizes or max(sizes) <= 0.0:
        return moved
    which = int(np.argmax(sizes))
    program = programs[which]
    largest = int(np.argmax(program.usage @ program.weights))
    usage = program.usage.copy()
    half = usage.shape[1] // 2
    if program.classes > 1:
        usage[(largest + 1) % program.classes, half:] += usage[largest, half:]
    usage[largest, half:] = 0.0
    room = None if program.spot_room is None else np.minimum(program.spot_room, usage)
    kept = scaled(program, 1.0)
    moved[which] = Program(
        usage=usage,
        weights=kept.weights,
        segments=kept.segments,
        rates=kept.rates,
        existing=kept.existing,
        columns=kept.columns,
        spot_price=kept.spot_price,
        spot_room=room,
        caps=kept.caps,
        cap_limits=kept.cap_limits,
    )
    return moved
