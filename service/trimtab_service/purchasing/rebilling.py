"""A plan billed as the provider would: the program's classes as usage lines, purchases and owned levels as plans."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

import numpy as np

from trimtab_service.domain.commitments import CommitmentKind
from trimtab_service.domain.offers import Cloud
from trimtab_service.purchasing.billing.biller import Bill, bill, usd_of
from trimtab_service.purchasing.billing.lines import FEMTO_PER_USD, MICRO_UNITS, Exact, OwnedPlan, UsageLine
from trimtab_service.purchasing.pools import Pool
from trimtab_service.purchasing.program import Floats

_NANO = 10**9
_HOURS_TOGETHER = 500
_OWNED = "\x00owned/"
"""Begins the ids of what is owned: no offer's id holds it."""

_FLEXIBLE = {
    Cloud.AWS: CommitmentKind.AWS_COMPUTE_SAVINGS_PLAN,
    Cloud.GCP: CommitmentKind.GCP_FLEXIBLE_CUD,
    Cloud.AZURE: CommitmentKind.AZURE_SAVINGS_PLAN,
}
_LOCKED = {
    Cloud.AWS: CommitmentKind.AWS_RESERVED_INSTANCE_STANDARD,
    Cloud.GCP: CommitmentKind.GCP_RESOURCE_CUD,
    Cloud.AZURE: CommitmentKind.AZURE_RESERVATION,
}


def rebill(pool: Pool, amounts: Floats, hours: slice = slice(None)) -> Bill:
    """The bill over the timeline's `hours`, each once.

    A unit of usage is one unit of on-demand money; new plans cost their levelised rate, owned ones nothing more. Hours
    that stand for several are billed once: scale by their weight.
    """
    first, last, _ = hours.indices(pool.program.usage.shape[1])
    units = np.rint(pool.program.usage[:, first:last] * MICRO_UNITS).astype(np.int64)
    lines = [UsageLine(str(k), key.cloud, key.account, _NANO, units[k].tolist()) for k, key in enumerate(pool.keys)]
    plans = [part for plan in (*_owned(pool), *_bought(pool, amounts)) if (part := _within(plan, first, last))]
    return bill(lines, plans)


def _within(plan: OwnedPlan, first: int, last: int) -> OwnedPlan | None:
    """The plan as those hours see it; None where it is not in force in any."""
    begin = max(plan.first_hour, first)
    end = last if plan.last_hour is None else min(plan.last_hour, last)
    return replace(plan, first_hour=begin - first, last_hour=end - first) if begin < end else None


@dataclass(frozen=True, slots=True)
class PurchaseBilled:
    """One purchase of a bill: levelised `cost` over the horizon, usage `covered` at on-demand prices, share used."""

    offer_id: str
    cost: Decimal
    covered: Decimal
    utilisation: float


@dataclass(frozen=True, slots=True)
class PlanBill:
    """Over the horizon: `fees` of the purchases, `uncovered` usage, and each purchase in the order of its pool."""

    fees: Decimal
    uncovered: Decimal
    purchases: tuple[PurchaseBilled, ...]

    @property
    def cost(self) -> Decimal:
        """All that is paid."""
        return self.fees + self.uncovered

    @property
    def unused(self) -> Decimal:
        """Paid for and not used."""
        return sum((one.cost * Decimal(repr(1.0 - one.utilisation)) for one in self.purchases), Decimal(0))


def plan_bill(
    pools: Sequence[Pool], amounts: Sequence[Floats], stop: Callable[[], bool] = lambda: False
) -> PlanBill | None:
    """None where a class may run on spot, which is no provider's order, hours weigh unequally, or `stop` said so."""
    fees = uncovered = Decimal(0)
    purchases: list[PurchaseBilled] = []
    for pool, bought in zip(pools, amounts, strict=True):
        weights = pool.program.weights
        if pool.program.spot_room is not None or float(np.ptp(weights)) > 0.0:
            return None
        weight = Decimal(repr(float(weights[0]))) if weights.size else Decimal(1)
        together: dict[str, list[Exact]] = {}
        on_demand: Exact = 0
        # Hours are billed each by itself, so they can be billed in parts.
        for first in range(0, pool.program.usage.shape[1], _HOURS_TOGETHER):
            if stop():
                return None
            made = rebill(pool, bought, slice(first, first + _HOURS_TOGETHER))
            on_demand += made.on_demand
            for use in made.plans:
                if not use.plan_id.startswith(_OWNED) and use.fee:
                    sums = together.setdefault(use.plan_id, [0, 0, 0, 0])
                    for place, value in enumerate((use.fee, use.covered, use.used, use.room)):
                        sums[place] += value
        uncovered += usd_of(on_demand) * weight
        for plan_id, (fee, covered, used, room) in together.items():
            cost = usd_of(fee) * weight
            fees += cost
            share = float(Fraction(used) / Fraction(room)) if room else 1.0
            purchases.append(PurchaseBilled(plan_id.rsplit("/", 2)[0], cost, usd_of(covered) * weight, share))
    return PlanBill(fees, uncovered, tuple(purchases))


def _draws(pool: Pool, slot: int) -> tuple[dict[str, int], bool]:
    program = pool.program
    if slot < program.classes:
        return {str(slot): 1}, True
    rates = program.rates[slot - program.classes]
    return {str(k): max(round(float(rates[k]) * _NANO), 1) for k in np.flatnonzero(np.isfinite(rates))}, False


def _bought(pool: Pool, amounts: Floats) -> list[OwnedPlan]:
    program = pool.program
    plans = []
    for index, purchase in enumerate(pool.purchases):
        slot, offer = int(program.columns.slot[index]), purchase.offer.offer
        draws, locked = _draws(pool, slot)
        covered = program.columns.covers[:, index]
        rate = float(program.columns.cost[index]) / float(covered @ program.segment_weights())
        for number, (first, last) in enumerate(_stretches(program.segments, covered)):
            amount = float(amounts[index])
            plans.append(
                OwnedPlan(
                    plan_id=f"{offer.offer_id}/{index}/{number}",
                    kind=_LOCKED[offer.cloud] if locked else offer.kind if not offer.locked else _family(offer.kind),
                    account="",
                    room=math.floor(amount * MICRO_UNITS) if locked else round(amount * FEMTO_PER_USD),
                    fee_femto_per_hour=round(amount * rate * FEMTO_PER_USD),
                    draws=draws,
                    first_hour=first,
                    last_hour=last,
                )
            )
    return plans


def _family(kind: CommitmentKind) -> CommitmentKind:
    """A family's plan over several classes is a spend plan of the narrower turn."""
    return CommitmentKind.AWS_EC2_INSTANCE_SAVINGS_PLAN if kind.value.startswith("aws") else kind


def _owned(pool: Pool) -> list[OwnedPlan]:
    program = pool.program
    plans = []
    for slot in range(program.slots):
        draws, locked = _draws(pool, slot)
        cloud = pool.keys[slot].cloud if locked else pool.keys[int(next(iter(draws)))].cloud
        for segment, hours in enumerate(program.segment_slices()):
            level = float(program.existing[slot, segment])
            if level <= 0.0:
                continue
            plans.append(
                OwnedPlan(
                    plan_id=f"{_OWNED}{slot}/{segment}",
                    kind=_LOCKED[cloud] if locked else _FLEXIBLE[cloud],
                    account="",
                    room=round(level * (MICRO_UNITS if locked else FEMTO_PER_USD)),
                    fee_femto_per_hour=0,
                    draws=draws,
                    first_hour=hours.start,
                    last_hour=hours.stop,
                )
            )
    return plans


def _stretches(segments: np.ndarray, covered: np.ndarray) -> list[tuple[int, int]]:
    """The hours covered, as runs."""
    runs: list[tuple[int, int]] = []
    for segment in np.flatnonzero(covered).tolist():
        first, last = int(segments[segment]), int(segments[segment + 1])
        if runs and runs[-1][1] == first:
            runs[-1] = (runs[-1][0], last)
        else:
            runs.append((first, last))
    return runs
