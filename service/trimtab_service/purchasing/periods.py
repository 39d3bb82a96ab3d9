"""A plan over time: what covers the usage in each stretch of days, and what each purchase saves. For people's eyes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from trimtab_service.purchasing.hourly_cost import total_cost, uncovered_cost, used_levels
from trimtab_service.purchasing.pools import Pool
from trimtab_service.purchasing.program import Floats, Program
from trimtab_service.purchasing.variants import thinned

_DAY: Final = 24
_EXACT_CELLS: Final = 200_000_000
"""Class-hours times purchases above which savings are taken from every n-th hour."""
_SAMPLED_HOURS: Final = 1_460


@dataclass(frozen=True, slots=True, eq=False)
class Periods:
    """P stretches of `hours_each` hours, the last may be shorter; means per hour.

    `usage`, `owned`, `uncovered` (P,) in on-demand money, `covered` (purchases, P) likewise, in the order of the pools'
    purchases; `committed` and `used` (P,) in plan money.
    """

    hours_each: int
    usage: Floats
    owned: Floats
    covered: Floats
    uncovered: Floats
    committed: Floats
    used: Floats


def periods(pools: Sequence[Pool], amounts: Sequence[Floats], most: int) -> Periods:
    """At most `most` stretches of whole days."""
    hours = max((pool.program.usage.shape[1] for pool in pools), default=0)
    days = -(-hours // _DAY)
    each = _DAY * max(-(-days // most), 1)
    parts = [_hourly(pool, bought) for pool, bought in zip(pools, amounts, strict=True)]
    starts = np.arange(0, hours, each)
    lengths = np.diff(np.append(starts, hours)).astype(np.float64)

    def mean(rows: Floats) -> Floats:
        reduced: Floats = np.add.reduceat(rows, starts, axis=-1) / lengths
        return reduced

    nothing = np.zeros(hours)
    covered = np.concatenate([part.covered for part in parts]) if parts else np.empty((0, hours))
    return Periods(
        hours_each=each,
        usage=mean(sum((part.usage for part in parts), nothing)),
        owned=mean(sum((part.owned for part in parts), nothing)),
        covered=mean(covered) if covered.size else np.empty((covered.shape[0], starts.size)),
        uncovered=mean(sum((part.uncovered for part in parts), nothing)),
        committed=mean(sum((part.committed for part in parts), nothing)),
        used=mean(sum((part.used for part in parts), nothing)),
    )


def savings(pool: Pool, amounts: Floats) -> Floats:
    """(n,): what each purchase saves over the horizon against going without it, all else kept; negative if it loses."""
    program = pool.program
    held = np.flatnonzero(amounts > 0.0)
    if program.usage.size * held.size > _EXACT_CELLS:
        program = thinned(program, _SAMPLED_HOURS)
    whole = total_cost(program, amounts)
    saved = np.zeros(amounts.size)
    for index in held.tolist():
        without = amounts.copy()
        without[index] = 0.0
        saved[index] = total_cost(program, without) - whole
    return saved


@dataclass(frozen=True, slots=True, eq=False)
class _Hourly:
    usage: Floats
    owned: Floats
    covered: Floats
    uncovered: Floats
    committed: Floats
    used: Floats


def _hourly(pool: Pool, amounts: Floats) -> _Hourly:
    program = pool.program
    used = used_levels(program, amounts)
    money = _on_demand_money(program, used, amounts)
    lengths = np.diff(program.segments)
    below = np.repeat(program.existing, lengths, axis=1)
    levels = np.repeat(program.levels(amounts), lengths, axis=1)
    rate = _plan_money(program)
    worth = np.divide(money, used, out=np.zeros_like(used), where=used > 0.0)
    covered = np.zeros((amounts.size, program.usage.shape[1]))
    owned = (np.minimum(used, below) * worth).sum(axis=0)
    for index in np.flatnonzero(amounts > 0.0).tolist():
        slot = int(program.columns.slot[index])
        inside = np.repeat(program.columns.covers[:, index], lengths)
        mine = np.clip(used[slot] - below[slot], 0.0, amounts[index]) * inside
        covered[index] = mine * worth[slot]
        below[slot] += amounts[index] * inside
    usage = program.usage.sum(axis=0)
    return _Hourly(
        usage=usage,
        owned=owned,
        covered=covered,
        uncovered=np.maximum(usage - owned - covered.sum(axis=0), 0.0),
        committed=rate @ levels,
        used=rate @ used,
    )


def _on_demand_money(program: Program, used: Floats, amounts: Floats) -> Floats:
    """(K+M, H): usage that each slot covers. Several budgets share what they cover by the plan money they use."""
    money = used.copy()
    if program.budgets == 0:
        return money
    left = (program.usage - used[: program.classes]).sum(axis=0)
    spot_saving = np.zeros(left.size)
    if program.spot_room is not None:
        after = np.minimum(program.usage - used[: program.classes], program.spot_room)
        spot_saving = (1.0 - program.spot_price) @ after
    flexible = np.maximum(left - spot_saving - uncovered_cost(program, amounts), 0.0)
    drawn = used[program.classes :]
    whole = drawn.sum(axis=0)
    money[program.classes :] = np.divide(drawn * flexible, whole, out=np.zeros_like(drawn), where=whole > 0.0)
    return money


def _plan_money(program: Program) -> Floats:
    """(K+M,): plan money per unit of a slot: a class's cheapest rate, 1 for a budget."""
    unit = np.ones(program.slots)
    per_hour = program.columns.cost / np.maximum(program.columns.covers.T @ program.segment_weights(), 1e-300)
    for slot in range(program.classes):
        mine = per_hour[program.columns.slot == slot]
        if mine.size:
            unit[slot] = float(mine.min())
    return unit
