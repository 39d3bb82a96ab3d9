"""Bills usage under a portfolio: the parsed request as the exact biller takes it, and what is left hour by hour."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

import numpy as np

from trimtab_service.domain.purchasing import OwnedLevel, UsageKey
from trimtab_service.purchasing.billing.biller import Bill, bill
from trimtab_service.purchasing.billing.lines import FEMTO_PER_USD, MICRO_UNITS, OwnedPlan, UsageLine
from trimtab_service.rpc.demand_parser import ParsedSeries

_NANOS: Final = 1_000_000_000
_HOUR_S: Final = 3_600
_WEEK_H: Final = 168
_EPOCH_HOUR_OF_WEEK: Final = 72
"""1970 began on a Thursday."""


def bill_of(
    series: Sequence[ParsedSeries], plans: Sequence[OwnedLevel], *, hourly: bool
) -> tuple[Bill, tuple[list[float], list[float]] | None]:
    """The bill, and with `hourly` what is uncovered (on-demand money) and what is not used (plan money) by hour."""
    first, count = span_of(series)
    keys = {f"{index}": one.key for index, one in enumerate(series)}
    nanos = {f"{index}": one.unit_nanos for index, one in enumerate(series)}
    lines = [_line(f"{index}", one, first, count) for index, one in enumerate(series)]
    owned = [plan for level in plans if (plan := _plan(level, keys, nanos, first, count)) is not None]
    made = bill(lines, owned, with_idle=hourly)
    if not hourly:
        return made, None
    fees = [sum(plan.fee_femto_per_hour for plan in owned if _runs(plan, hour)) for hour in range(count)]
    uncovered = [float(Fraction(total) - fee) / FEMTO_PER_USD for total, fee in zip(made.hourly, fees, strict=True)]
    return made, (uncovered, [float(idle) / FEMTO_PER_USD for idle in made.idle])


def weekly_use(series: Sequence[ParsedSeries], plans: Sequence[OwnedLevel]) -> dict[str, list[float]]:
    """By plan (168,) from Monday 00:00 UTC on: the mean share of its room that is used, of the hours it is in force in.

    1 in hours of the week that it was never in force in: nothing is known to be free then.
    """
    first, count = span_of(series)
    made, _ = bill_of(series, plans, hourly=True)
    of_week = (np.arange(count) + first + _EPOCH_HOUR_OF_WEEK) % _WEEK_H
    found = {}
    for level in plans:
        left, room = made.room_left.get(level.commitment_id), _room(level)
        begin, end = _force(level, first, count)
        if left is None or not room:
            found[level.commitment_id] = [1.0] * _WEEK_H
            continue
        used = np.array([1.0 - float(rest / Fraction(room)) for rest in left[begin:end]])
        hours = of_week[begin:end]
        seen = np.bincount(hours, minlength=_WEEK_H)
        total = np.bincount(hours, weights=used, minlength=_WEEK_H)
        share = np.where(seen > 0, total / np.maximum(seen, 1), 1.0)
        found[level.commitment_id] = np.clip(share, 0.0, 1.0).tolist()
    return found


def span_of(series: Sequence[ParsedSeries]) -> tuple[int, int]:
    """The first hour since 1970 and how many there are."""
    first = min((int(one.hours.min()) for one in series if one.hours.size), default=0)
    return first, max((int(one.hours.max()) + 1 - first for one in series if one.hours.size), default=0)


def _line(name: str, one: ParsedSeries, first: int, count: int) -> UsageLine:
    units = np.zeros(count, dtype=np.int64)
    np.add.at(units, one.hours - first, np.rint(one.units * MICRO_UNITS).astype(np.int64))
    return UsageLine(name, one.key.cloud, one.key.account, one.unit_nanos, units.tolist())


def _plan(
    level: OwnedLevel, keys: dict[str, UsageKey], nanos: dict[str, int], first: int, count: int
) -> OwnedPlan | None:
    """A plan of spend, whatever the product: its room is plan money, a unit draws its price at the plan's rate."""
    draws = {
        name: max(round(level.offer.rate_of(key) * nanos[name]), 1)
        for name, key in keys.items()
        if level.offer.covers(key)
    }
    begin, end = _force(level, first, count)
    if end <= begin:
        return None
    room = _room(level)
    return OwnedPlan(level.commitment_id, level.offer.kind, level.account, room, room, draws, begin, end)


def _force(level: OwnedLevel, first: int, count: int) -> tuple[int, int]:
    """The hours [begin, end) of the span that it is in force in as a whole: plans are bought at any instant."""
    begin, end = -(-level.start_time.timestamp() // _HOUR_S), level.end_time.timestamp() // _HOUR_S
    return max(int(begin) - first, 0), min(int(end) - first, count)


def _room(level: OwnedLevel) -> int:
    return round(level.per_hour * _NANOS) * (FEMTO_PER_USD // _NANOS)


def _runs(plan: OwnedPlan, hour: int) -> bool:
    return plan.first_hour <= hour < (plan.last_hour or hour + 1)
