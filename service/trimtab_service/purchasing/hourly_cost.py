"""What a program costs at given purchases: the primal side of the certificate.

With one budget the greedy fill by value per plan money is optimal and the cost exact; with several budgets the fill
(cheapest budget first, each best value first) is feasible, so the cost is an upper bound of the program's.
"""

import numpy as np

from trimtab_service.purchasing.program import Floats, Program


def total_cost(program: Program, amounts: Floats) -> float:
    """Purchases plus what is left to pay by the hour, over all weighted hours."""
    return float(program.columns.cost @ amounts) + float(program.weights @ uncovered_cost(program, amounts))


def uncovered_cost(program: Program, amounts: Floats) -> Floats:
    """(H,): on-demand and spot money of each hour after locked cover and budgets."""
    levels = program.levels(amounts)
    cost = np.empty(program.usage.shape[1])
    for segment, hours in enumerate(program.segment_slices()):
        cost[hours] = _segment_cost(program, levels[:, segment], hours)
    return cost


def _segment_cost(program: Program, levels: Floats, hours: slice) -> Floats:
    left = np.maximum(program.usage[:, hours] - levels[: program.classes, None], 0.0)
    spot = None if program.spot_room is None else np.minimum(left, program.spot_room[:, hours])
    # Items are (class, layer): base usage at its on-demand price, then the part that could run on spot.
    if spot is None:
        items, value, owner = left, np.ones(program.classes), np.arange(program.classes)
    else:
        items = np.concatenate([left - spot, spot])
        value = np.concatenate([np.ones(program.classes), program.spot_price])
        owner = np.tile(np.arange(program.classes), 2)
    if program.budgets == 1:
        return _filled(items, value, program.rates[0, owner], levels[program.classes])
    for budget in _fill_order(program):
        items = _drawn(items, value, program.rates[budget, owner], levels[program.classes + budget])
    cost: Floats = value @ items
    return cost


def _fill_order(program: Program) -> list[int]:
    """Narrower scopes first, as a narrow budget has no other use; then the higher mean saving."""
    finite = np.isfinite(program.rates)
    mean = np.where(finite, program.rates, 0.0).sum(axis=1) / np.maximum(finite.sum(axis=1), 1)
    return [int(m) for m in np.lexsort((mean, finite.sum(axis=1)))]


def _filled(items: Floats, value: Floats, rate: Floats, level: float) -> Floats:
    """Closed form for one budget: sum_j (v_j/r_j - v_(j+1)/r_(j+1)) (S_j - C)+ over items by falling value per rate."""
    inside = np.isfinite(rate)
    outside: Floats = value[~inside] @ items[~inside]
    order = np.flatnonzero(inside)[np.argsort(-value[inside] / rate[inside], kind="stable")]
    density = value[order] / rate[order]
    steps = density - np.append(density[1:], 0.0)
    cost: Floats = outside
    running = np.zeros(items.shape[1])
    for item, step in zip(order.tolist(), steps.tolist(), strict=True):
        running += rate[item] * items[item]
        if step > 0.0:
            cost = cost + step * np.maximum(running - level, 0.0)
    return cost


def _drawn(items: Floats, value: Floats, rate: Floats, level: float) -> Floats:
    """`items` less what one budget of `level` covers, best value per plan money first."""
    left = items.copy()
    room = np.full(items.shape[1], level)
    inside = np.flatnonzero(np.isfinite(rate))
    for item in inside[np.argsort(-value[inside] / rate[inside], kind="stable")].tolist():
        taken = np.minimum(rate[item] * left[item], room)
        left[item] -= taken / rate[item]
        room -= taken
    return np.maximum(left, 0.0)


def used_levels(program: Program, amounts: Floats) -> Floats:
    """(K+M, H): how much of each slot's level is used in each hour: cover in on-demand money, budgets in plan money."""
    levels = program.levels(amounts)
    used = np.zeros((program.slots, program.usage.shape[1]))
    for segment, hours in enumerate(program.segment_slices()):
        cover = levels[: program.classes, segment, None]
        used[: program.classes, hours] = np.minimum(program.usage[:, hours], cover)
        left = np.maximum(program.usage[:, hours] - cover, 0.0)
        for budget in _fill_order(program):
            rate = program.rates[budget]
            level = float(levels[program.classes + budget, segment])
            after = _drawn(left, np.ones(program.classes), rate, level)
            drawn = left - after
            used[program.classes + budget, hours] = np.where(np.isfinite(rate), rate, 0.0) @ drawn
            left = after
    return used
