"""The exact biller: walks the provider's order over every hour and counts what each plan covered.

Arrays of Python integers: one line of a plan at a time, all hours at once. Exact, whatever the amounts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trimtab_service.purchasing.billing.lines import Exact, OwnedPlan, UsageLine
from trimtab_service.purchasing.billing.order import applications

_ALL_DIGITS: Final = Context(prec=60)
_Objects = NDArray[Any]
"""Hours of exact numbers."""


@dataclass(frozen=True, slots=True)
class PlanUse:
    """What one plan did.

    `fee` femto-USD paid, `room` offered and `used` in its own unit, `covered` femto-USD of usage at on-demand prices.
    """

    plan_id: str
    fee: int
    room: int
    used: Exact
    covered: Exact

    @property
    def utilisation(self) -> float:
        """Used over offered; 1 for a plan without room."""
        return float(self.used / Fraction(self.room)) if self.room else 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Bill:
    """Exact femto-USD: plan `fees`, `on_demand` for what is left, `equivalent` had nothing been owned.

    `plans` says what each did, `hourly` (H,) the totals by hour; where asked for, `idle` (H,) are the fees whose room
    was not used, and `room_left` (H,) by plan what is left of its room, in its own unit.
    """

    fees: int
    on_demand: Exact
    equivalent: int
    plans: tuple[PlanUse, ...]
    hourly: tuple[Exact, ...]
    idle: tuple[Exact, ...]
    room_left: Mapping[str, tuple[Exact, ...]]

    @property
    def total(self) -> Exact:
        """Fees plus what is left."""
        return self.fees + self.on_demand

    @property
    def usd(self) -> Decimal:
        """The total to the femto-dollar, ties to even; exact unless a plan ran out inside a line."""
        return usd_of(self.total)

    @property
    def coverage(self) -> float:
        """Share of usage, at on-demand prices, that plans covered."""
        return 1.0 - float(self.on_demand / Fraction(self.equivalent)) if self.equivalent else 0.0

    @property
    def utilisation(self) -> float:
        """Share of the fees whose room was used."""
        used = sum((Fraction(use.fee) * Fraction(use.used) / use.room for use in self.plans if use.room), Fraction(0))
        return float(used / self.fees) if self.fees else 1.0

    @property
    def effective_savings_rate(self) -> float:
        """1 - total over the on-demand equivalent: what is really saved, waste included."""
        return 1.0 - float(self.total / Fraction(self.equivalent)) if self.equivalent else 0.0


def usd_of(femto: Exact) -> Decimal:
    """Dollars to fifteen places, ties to even."""
    exact = Fraction(femto)
    whole, rest = divmod(exact.numerator, exact.denominator)
    twice = 2 * rest
    if twice > exact.denominator or (twice == exact.denominator and whole % 2):
        whole += 1
    return Decimal(whole).scaleb(-15, _ALL_DIGITS)


def bill(lines: Sequence[UsageLine], plans: Sequence[OwnedPlan], *, with_idle: bool = False) -> Bill:
    """Bills `plans` over `lines`, which all have the same hours. Raises ValueError where they do not."""
    hours = {len(line.micro_units) for line in lines}
    if len(hours) > 1:
        raise ValueError(f"usage lines cover different numbers of hours: {sorted(hours)}")
    count = hours.pop() if hours else 0
    left: list[_Objects] = [_objects(line.micro_units) for line in lines]
    active = {plan.plan_id: _active(plan, count) for plan in plans}
    if len(active) != len(plans):
        raise ValueError("two plans have the same id")
    room = {plan.plan_id: _objects([plan.room if on else 0 for on in active[plan.plan_id]]) for plan in plans}
    used: dict[str, Exact] = {plan.plan_id: 0 for plan in plans}
    covered: dict[str, Exact] = {plan.plan_id: 0 for plan in plans}
    for plan, index in applications(plans, lines):
        line = lines[index]
        taken = _taken(left[index], room[plan.plan_id], plan.draws[line.line_id])
        left[index] = left[index] - taken
        drawn = taken * plan.draws[line.line_id]
        room[plan.plan_id] = room[plan.plan_id] - drawn
        used[plan.plan_id] += _sum(drawn)
        covered[plan.plan_id] += _sum(taken) * line.on_demand_nanos
    hourly = _objects([0] * count)
    for line, rest in zip(lines, left, strict=True):
        hourly = hourly + rest * line.on_demand_nanos
    on_demand = _sum(hourly)
    for plan in plans:
        hourly = hourly + _objects([plan.fee_femto_per_hour if on else 0 for on in active[plan.plan_id]])
    idle = _objects([0] * count if with_idle else [])
    for plan in plans:
        if with_idle and plan.room:
            idle = idle + room[plan.plan_id] * Fraction(plan.fee_femto_per_hour, plan.room)
    uses = tuple(
        PlanUse(
            plan_id=plan.plan_id,
            fee=plan.fee_femto_per_hour * sum(active[plan.plan_id]),
            room=plan.room * sum(active[plan.plan_id]),
            used=used[plan.plan_id],
            covered=covered[plan.plan_id],
        )
        for plan in plans
    )
    return Bill(
        fees=sum(use.fee for use in uses),
        on_demand=on_demand,
        equivalent=sum(sum(line.micro_units) * line.on_demand_nanos for line in lines),
        plans=uses,
        hourly=tuple(hourly.tolist()),
        idle=tuple(idle.tolist()),
        room_left={name: tuple(left.tolist()) for name, left in room.items()} if with_idle else {},
    )


def _objects(values: Sequence[Exact]) -> _Objects:
    array = np.empty(len(values), dtype=object)
    array[:] = [value if isinstance(value, Fraction) else int(value) for value in values]
    return array


def _active(plan: OwnedPlan, hours: int) -> list[bool]:
    last = hours if plan.last_hour is None else plan.last_hour
    return [plan.first_hour <= hour < last for hour in range(hours)]


def _taken(left: _Objects, room: _Objects, draw: int) -> _Objects:
    """Units covered in each hour: all that is left, or what the room pays for, as a fraction."""
    taken = left.copy()
    short = np.flatnonzero((left * draw > room).astype(bool))
    for hour in short.tolist():
        quotient = Fraction(room[hour]) / draw
        taken[hour] = quotient.numerator if quotient.denominator == 1 else quotient
    return taken


def _sum(values: _Objects) -> Exact:
    total: Exact = sum(values.tolist(), 0)
    return total
