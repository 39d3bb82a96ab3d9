"""A plan billed as the provider would: the program's classes as usage lines, purchases and owned levels as plans."""

import math
from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from trimtab_service.domain.commitments import CommitmentKind
from trimtab_service.domain.offers import Cloud
from trimtab_service.purchasing.billing.biller import Bill, bill, usd_of
from trimtab_service.purchasing.billing.lines import FEMTO_PER_USD, MICRO_UNITS, OwnedPlan, UsageLine
from trimtab_service.purchasing.pools import Pool
from trimtab_service.purchasing.program import Floats

_NANO = 10**9
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


def rebill(pool: Pool, amounts: Floats) -> Bill:
    """The bill over the timeline's hours, each once.

    A unit of usage is one unit of on-demand money; new plans cost their levelised rate, owned ones nothing more. Hours
    that stand for several are billed once: scale by their weight.
    """
    program = pool.program
    lines = [
        UsageLine(str(k), key.cloud, key.account, _NANO, np.rint(program.usage[k] * MICRO_UNITS).astype(int).tolist())
        for k, key in enumerate(pool.keys)
    ]
    plans = [*_owned(pool), *_bought(pool, amounts)]
    return bill(lines, plans)


def rebilled_cost(pools: Sequence[Pool], amounts: Sequence[Floats]) -> Decimal | None:
    """Over the horizon; None where a class may run on spot, which is no provider's order, or hours weigh unequally."""
    total = Decimal(0)
    for pool, bought in zip(pools, amounts, strict=True):
        weights = pool.program.weights
        if pool.program.spot_room is not None or float(np.ptp(weights)) > 0.0:
            return None
        total += usd_of(rebill(pool, bought).total) * Decimal(repr(float(weights[0])) if weights.size else 1)
    return total


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
                    plan_id=f"owned/{slot}/{segment}",
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
