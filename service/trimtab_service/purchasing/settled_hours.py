"""Hours that are settled: over a box around the optimum they cost a linear amount, so they need not be solved again.

Every n-th hour tells roughly where the optimum lies. In most hours of a program with few classes it is then certain,
over the whole box, which classes exceed their cover and which of them the budget reaches: such an hour's prices are
known and go into the purchases' costs. The rest is solved. Nothing is taken on trust: the certificate is computed over
all hours afterwards, and a program whose reduction does not prove optimal is solved whole.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trimtab_service.purchasing.interior_point import InteriorPoint, interior_point
from trimtab_service.purchasing.lower_bound import Prices
from trimtab_service.purchasing.program import Columns, Floats, Program
from trimtab_service.purchasing.variants import thinned

_FEWEST_HOURS: Final = 2_000
_MOST_CLASSES: Final = 48
"""Past this number hardly an hour is settled."""

_STEP: Final = 5
"""Every fifth hour: no divisor of day or week."""

_SAMPLE_TOLERANCE: Final = 1e-4
_ROUGH_TOLERANCE: Final = 1e-3
_ROUGH_CLASSES: Final = 4
"""So few classes settle most hours in a rougher box as well."""

_BOX_RANKS: Final = 0.02
"""Half-width of the box, as a share of the hours: some standard errors of a quantile of the sample."""

_FEWEST_SETTLED: Final = 0.2
_NOTHING_BOUGHT: Final = 0.005
"""Levels under this share of the mean are taken for nothing bought."""

_LOOKED_AT: Final = 512
_MOST_TIES: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class _Box:
    """Levels (K,) and the budget's, between which hours are judged."""

    low: Floats
    high: Floats
    budget_low: float
    budget_high: float


def solve_by_parts(program: Program, tolerance: float, stop: Callable[[], bool]) -> InteriorPoint | None:
    """The optimum and the prices of all hours; None where the program is not of the kind or it did not work."""
    if not _applies(program):
        return None
    sampled = thinned(program, -(-program.usage.shape[1] // _STEP))
    rough = program.classes <= _ROUGH_CLASSES
    guess = interior_point(sampled, _ROUGH_TOLERANCE if rough else _SAMPLE_TOLERANCE, stop)
    if stop():
        return _as_it_stands(program, guess)
    box = _box(program, program.levels(guess.amounts)[:, 0])
    settled, lam, mu_sums = _settled(program, box)
    if settled.mean() < _FEWEST_SETTLED:
        return None
    columns = program.columns
    known = np.append(mu_sums, float(program.weights @ lam))[columns.slot]
    cost = columns.cost - known
    if np.any(cost <= 0.0):
        return None
    rest = ~settled
    reduced = Program(
        usage=np.ascontiguousarray(program.usage[:, rest]),
        weights=program.weights[rest],
        segments=np.array([0, int(rest.sum())]),
        rates=program.rates,
        existing=program.existing,
        columns=Columns(columns.slot, cost, columns.covers),
        spot_price=program.spot_price,
        spot_room=None,
        caps=program.caps,
        cap_limits=program.cap_limits,
    )
    point = interior_point(reduced, tolerance, stop)
    levels = program.levels(point.amounts)[:, 0]
    inside = np.all((levels[:-1] >= box.low) & (levels[:-1] <= box.high))
    if not (inside and box.budget_low <= levels[-1] <= box.budget_high):
        return None
    lam[rest] = point.prices.flexible[0]
    prices = Prices(lam[None, :], np.zeros_like(program.usage), point.prices.caps)
    return InteriorPoint(point.amounts, prices, point.relative_gap, guess.iterations + point.iterations)


def _as_it_stands(program: Program, guess: InteriorPoint) -> InteriorPoint:
    """Time was up over the sample: every hour gets the price of the sampled hour before it."""
    hours = program.usage.shape[1]
    flexible = np.repeat(guess.prices.flexible, _STEP, axis=1)[:, :hours]
    prices = Prices(flexible, np.zeros_like(program.usage), guess.prices.caps)
    return InteriorPoint(guess.amounts, prices, guess.relative_gap, guess.iterations)


def _applies(program: Program) -> bool:
    """One period, one budget, one purchase a slot, no spot, no limits: what a plain request asks."""
    return (
        program.budgets == 1
        and program.existing.shape[1] == 1
        and program.spot_room is None
        and program.cap_limits.size == 0
        and program.classes <= _MOST_CLASSES
        and program.usage.shape[1] >= _FEWEST_HOURS
        and bool(np.isfinite(program.rates).all())
        and not _tied(program.usage)
        and bool(np.all(np.bincount(program.columns.slot, minlength=program.slots) == 1))
    )


def _tied(usage: Floats) -> bool:
    """Whether few values make up most hours: around any of them hardly an hour is settled."""
    first = np.sort(usage[:, :_LOOKED_AT], axis=1)
    return bool(np.mean(np.diff(first, axis=1) == 0.0) > _MOST_TIES)


def _box(program: Program, levels: Floats) -> _Box:
    owned = program.existing[:, 0]
    ranks = max(round(_BOX_RANKS * program.usage.shape[1]), 1)
    low, high = np.empty(program.classes), np.empty(program.classes)
    for k, level in enumerate(levels[:-1].tolist()):
        mean = float(program.usage[k].mean())
        if level <= _NOTHING_BOUGHT * mean:
            low[k], high[k] = 0.0, 2.0 * _NOTHING_BOUGHT * mean
        else:
            low[k], high[k] = _around(program.usage[k], level, ranks)
    sums = program.rates[0] @ np.maximum(program.usage - levels[:-1, None], 0.0)
    budget_low, budget_high = _around(sums, float(levels[-1]), ranks)
    return _Box(np.maximum(low, owned[:-1]), high, max(budget_low, float(owned[-1])), budget_high)


def _around(values: Floats, level: float, ranks: int) -> tuple[float, float]:
    """The values so many ranks below and above `level`, and one distinct value further: ties would close the box.

    Where fewer lie below, it reaches as far below the least of them as its upper end lies above: down to nothing the
    budget would be in doubt in every hour.
    """
    ordered = np.sort(values)
    rank = int(np.searchsorted(ordered, level))
    first = int(np.searchsorted(ordered, ordered[max(rank - ranks, 0)])) - 1
    last = int(np.searchsorted(ordered, ordered[min(rank + ranks, ordered.size - 1)], side="right"))
    high = float(ordered[last]) if last < ordered.size else np.inf
    if first >= 0 and rank >= ranks:
        return float(ordered[first]), high
    least = float(ordered[0])
    return (max(2.0 * least - high, 0.0) if level > least and np.isfinite(high) else 0.0), high


def _settled(program: Program, box: _Box) -> tuple[NDArray[np.bool_], Floats, Floats]:
    """Which hours are settled, their budget price (H,), and the weighted sums (K,) of their usage prices."""
    usage, order = program.usage, np.argsort(program.rates[0], kind="stable")
    above, below = usage >= box.high[:, None], usage <= box.low[:, None]
    settled: NDArray[np.bool_] = np.all(above | below, axis=0)
    rate = program.rates[0, order]
    steps = 1.0 / rate - np.append(1.0 / rate[1:], 0.0)
    least, most = np.zeros(usage.shape[1]), np.zeros(usage.shape[1])
    reached = np.zeros(usage.shape)
    for place, k in enumerate(order.tolist()):
        least += rate[place] * np.maximum(usage[k] - box.high[k], 0.0)
        most += rate[place] * np.maximum(usage[k] - box.low[k], 0.0)
        if steps[place] > 0.0:
            beyond, within = least >= box.budget_high, most <= box.budget_low
            settled &= beyond | within
            reached[place] = steps[place] * beyond
    # Summed from the last marginal class down: what one more unit of the class's usage costs per unit of its rate.
    tails = np.cumsum(reached[::-1], axis=0)[::-1]
    lam = np.where(settled, tails[0], 0.0)
    sums = np.zeros(program.classes)
    for place, k in enumerate(order.tolist()):
        sums[k] = rate[place] * float(program.weights @ (tails[place] * above[k] * settled))
    return settled, lam, sums
