"""From amounts to purchases: rounding to what a provider sells, cash, break-even, and how much bad news each stands."""

import calendar
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Final

import numpy as np

from trimtab_service.domain.commitments import CommitmentKind
from trimtab_service.purchasing.hourly_cost import total_cost, used_levels
from trimtab_service.purchasing.outcome import Tranche
from trimtab_service.purchasing.pools import Pool, Purchase
from trimtab_service.purchasing.program import Floats, Program
from trimtab_service.purchasing.variants import scaled, thinned

STEP: Final = Decimal("0.00001")
"""Commitments per hour have five decimals at most."""

RETURN_MOST_PER_HOUR: Final = Decimal(100)
RETURN_WITHIN: Final = timedelta(days=7)
"""AWS takes Savings Plans back of up to 100 USD an hour, within 7 days and the same calendar month."""

_RETURNABLE: Final = frozenset(
    {
        CommitmentKind.AWS_COMPUTE_SAVINGS_PLAN,
        CommitmentKind.AWS_EC2_INSTANCE_SAVINGS_PLAN,
        CommitmentKind.AWS_SAGEMAKER_SAVINGS_PLAN,
    }
)
_MONTH_HOURS: Final = 730
_HOUR: Final = timedelta(hours=1)
_SAMPLED_HOURS: Final = 1_460
_BISECTIONS: Final = 14


@dataclass(frozen=True, slots=True, eq=False)
class Sold:
    """Amounts as they can be bought: `amounts` (n,) after rounding down, money per hour and whole units of each."""

    amounts: Floats
    per_hour: tuple[Decimal, ...]
    units: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Standing:
    utilisation: float
    fall_tolerance: float


def sold(pool: Pool, amounts: Floats) -> Sold:
    """`amounts` rounded down to whole units, or to five decimals of money per hour."""
    kept, money, units = np.zeros(amounts.size), [], []
    for index, (amount, purchase) in enumerate(zip(amounts.tolist(), pool.purchases, strict=True)):
        unit = purchase.offer.offer.unit_per_hour
        wanted = Decimal(repr(amount * purchase.unit))
        if unit > 0.0:
            count = math.floor(amount * purchase.unit / unit + 1e-9)
            per_hour = Decimal(repr(unit)) * count
        else:
            # A hair up first: a level of 370 that floating point left at 369.9999999 is 370.
            count, per_hour = 0, (wanted + STEP / 1000).quantize(STEP, rounding=ROUND_DOWN)
        kept[index] = min(float(per_hour) / purchase.unit, amount) if wanted > 0 else 0.0
        money.append(per_hour)
        units.append(count)
    return Sold(kept, tuple(money), tuple(units))


def tranches(pool: Pool, bought: Sold) -> tuple[Tranche, ...]:
    """One for each column of which something is bought."""
    program = thinned(pool.program, _SAMPLED_HOURS)
    utilisation = _utilisation(pool.program, bought.amounts)
    made = []
    for index, purchase in enumerate(pool.purchases):
        if bought.per_hour[index] <= 0:
            continue
        standing = _Standing(float(utilisation[index]), _fall_tolerance(program, bought.amounts, index))
        made.append(_tranche(pool, purchase, index, bought, standing))
    return tuple(made)


def _tranche(pool: Pool, purchase: Purchase, index: int, bought: Sold, standing: _Standing) -> Tranche:
    offer = purchase.offer.offer
    per_hour = bought.per_hour[index]
    hours = offer.term // _HOUR
    total = per_hour * hours
    upfront = (total * Decimal(repr(offer.upfront_fraction))).quantize(Decimal("0.01"))
    running = per_hour * (1 - Decimal(repr(offer.upfront_fraction)))
    slot = int(pool.program.columns.slot[index])
    locked = slot < pool.program.classes
    rate = _mean_rate(pool, slot)
    return Tranche(
        offer_id=offer.offer_id,
        kind=offer.kind,
        family=pool.keys[slot].family if locked else offer.family,
        region=pool.keys[slot].region if locked else offer.region,
        payment=offer.payment,
        start_time=purchase.time,
        end_time=purchase.time + offer.term,
        per_hour=per_hour,
        units=bought.units[index],
        upfront=upfront,
        per_month=(running * _MONTH_HOURS).quantize(Decimal("0.01")),
        total=total,
        utilisation=standing.utilisation,
        break_even_utilisation=rate,
        break_even_month=_break_even_month(hours, offer.upfront_fraction, rate, standing.utilisation),
        fall_tolerance=standing.fall_tolerance,
        return_until=return_until(offer.kind, per_hour, purchase.time),
    )


def _mean_rate(pool: Pool, slot: int) -> float:
    """Plan money per on-demand money: a class's own, a budget's over what it may cover, usage weighted."""
    program = pool.program
    if slot < program.classes:
        mine = program.columns.slot == slot
        per_hour = program.columns.cost[mine] / (program.columns.covers[:, mine].T @ program.segment_weights())
        return float(per_hour.min())
    rates = program.rates[slot - program.classes]
    inside = np.isfinite(rates)
    usage = program.usage[inside].sum(axis=1)
    return float(np.average(rates[inside], weights=usage)) if usage.sum() > 0.0 else float(rates[inside].mean())


def _break_even_month(hours: int, upfront: float, rate: float, utilisation: float) -> float | None:
    """When on-demand money saved has paid for what was paid by then: f T / (z / r - (1 - f)), None past the term."""
    earned = utilisation / rate - (1.0 - upfront)
    if earned <= 0.0 or utilisation < rate:
        return None
    return upfront * hours / earned / _MONTH_HOURS


def return_until(kind: CommitmentKind, per_hour: Decimal, start: datetime) -> datetime | None:
    """The last instant at which a purchase of this size can be handed back; None where it cannot."""
    if kind not in _RETURNABLE or per_hour > RETURN_MOST_PER_HOUR:
        return None
    days = calendar.monthrange(start.year, start.month)[1]
    month_end = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)
    return min(start + RETURN_WITHIN, month_end)


def _utilisation(program: Program, amounts: Floats) -> Floats:
    """(n,): a slot's use is counted from what is owned upwards, then from the column bought first."""
    used = used_levels(program, amounts)
    lengths = np.diff(program.segments)
    below = np.repeat(program.existing, lengths, axis=1)
    share = np.ones(amounts.size)
    for index in range(amounts.size):
        slot = int(program.columns.slot[index])
        covered = np.repeat(program.columns.covers[:, index], lengths)
        if amounts[index] <= 0.0:
            continue
        mine = np.clip(used[slot, covered] - below[slot, covered], 0.0, amounts[index])
        share[index] = float(program.weights[covered] @ mine) / (amounts[index] * float(program.weights[covered].sum()))
        below[slot, covered] += amounts[index]
    return share


def _fall_tolerance(program: Program, amounts: Floats, index: int) -> float:
    """The share by which all usage may fall before the plan would be cheaper without this purchase; by bisection."""
    without = amounts.copy()
    without[index] = 0.0

    def pays(scale: float) -> bool:
        smaller = scaled(program, scale)
        return total_cost(smaller, amounts) <= total_cost(smaller, without)

    if not pays(1.0):
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        low, high = (low, middle) if pays(middle) else (middle, high)
    return 1.0 - high


def calendar_of(made: Sequence[Tranche]) -> dict[datetime, Decimal]:
    """Plan money per hour that ends at each instant, in order."""
    ends: dict[datetime, Decimal] = {}
    for tranche in made:
        ends[tranche.end_time] = ends.get(tranche.end_time, Decimal(0)) + tranche.per_hour
    return dict(sorted(ends.items()))
