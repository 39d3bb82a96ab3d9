"""Bills usage under a portfolio: the parsed request as the exact biller takes it, and what is left hour by hour."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

import numpy as np

from trimtab_service.domain.purchasing import OwnedLevel, UsageKey
from trimtab_service.purchasing.billing.biller import Bill, bill
from trimtab_service.purchasing.billing.lines import FEMTO_PER_USD, MICRO_UNITS, OwnedPlan, UsageLine
from trimtab_service.purchasing.demand import hours_since_epoch
from trimtab_service.rpc.demand_parser import ParsedSeries

_NANOS: Final = 1_000_000_000


def bill_of(
    series: Sequence[ParsedSeries], plans: Sequence[OwnedLevel], *, hourly: bool
) -> tuple[Bill, tuple[list[float], list[float]] | None]:
    """The bill, and with `hourly` what is uncovered (on-demand money) and what is not used (plan money) by hour."""
    first = min((int(one.hours.min()) for one in series if one.hours.size), default=0)
    count = max((int(one.hours.max()) + 1 - first for one in series if one.hours.size), default=0)
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
    begin = max(hours_since_epoch(level.start_time) - first, 0)
    end = min(hours_since_epoch(level.end_time) - first, count)
    if end <= begin:
        return None
    room = round(level.per_hour * _NANOS) * (FEMTO_PER_USD // _NANOS)
    return OwnedPlan(level.commitment_id, level.offer.kind, level.account, room, room, draws, begin, end)


def _runs(plan: OwnedPlan, hour: int) -> bool:
    return plan.first_hour <= hour < (plan.last_hour or hour + 1)
