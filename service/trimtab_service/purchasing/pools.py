"""From usage and offers to programs: classes, budgets, columns, and which classes must be decided together.

Usage rows that no offer tells apart are one class. An offer over one class locks it; an offer over several is a budget.
Classes that share no budget are decided apart; a limit on all commitments ties them together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from trimtab_service.domain.errors import UnsupportedError
from trimtab_service.domain.purchasing import (
    CommitmentBasis,
    OwnedLevel,
    PlanTerms,
    PurchaseLimits,
    SpotShare,
    UsageKey,
)
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.purchasing.program import Columns, Floats, Program
from trimtab_service.purchasing.screening import PricedOffer, priced
from trimtab_service.purchasing.timeline import Timeline, hour_of

MOST_BUDGETS: Final = 12
"""Flexible plans with rates of their own in one pool: an hour's cost grows with their square."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """What a column means: an offer bought at an instant; `unit` is its own money per hour for one unit of amount."""

    offer: PricedOffer
    time: datetime
    unit: float


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """A program and its meaning: timeline `rows` of each class, the key of its first, a purchase per column."""

    program: Program
    rows: tuple[tuple[int, ...], ...]
    keys: tuple[UsageKey, ...]
    purchases: tuple[Purchase, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """Everything the programs are made of."""

    timeline: Timeline
    offers: tuple[PricedOffer, ...]
    owned: tuple[OwnedLevel, ...]
    spot: tuple[SpotShare, ...]
    terms: PlanTerms
    limits: PurchaseLimits


def pools_of(question: Question) -> tuple[Pool, ...]:
    """The programs, in the order of their first class."""
    owned = [priced(level.offer, question.timeline.keys, 0.0) for level in question.owned]
    classes = _classes(question, owned)
    everything = [*question.offers, *owned]
    groups = _groups(classes, everything, joint=question.limits.commitment_per_hour is not None)
    return tuple(_pool(question, [classes[index] for index in group], owned) for group in groups)


def _classes(question: Question, owned: Sequence[PricedOffer]) -> list[tuple[int, ...]]:
    """Rows with the same family, region and rates everywhere."""
    found: dict[tuple[object, ...], list[int]] = {}
    for row, key in enumerate(question.timeline.keys):
        rates = tuple(float(offer.rates[row]) for offer in (*question.offers, *owned))
        found.setdefault((key.cloud, key.service, key.family, key.region, rates), []).append(row)
    return [tuple(rows) for rows in found.values()]


def _groups(classes: Sequence[tuple[int, ...]], offers: Sequence[PricedOffer], *, joint: bool) -> list[list[int]]:
    """Classes joined by offers over several of them."""
    leader = list(range(len(classes)))

    def lead(index: int) -> int:
        while leader[index] != index:
            index = leader[index]
        return index

    for offer in offers:
        mine = [index for index, rows in enumerate(classes) if np.isfinite(offer.rates[rows[0]])]
        for index in mine[1:]:
            leader[lead(index)] = lead(mine[0])
    if joint:
        return [list(range(len(classes)))] if classes else []
    grouped: dict[int, list[int]] = {}
    for index in range(len(classes)):
        grouped.setdefault(lead(index), []).append(index)
    return list(grouped.values())


def _pool(question: Question, classes: list[tuple[int, ...]], owned: Sequence[PricedOffer]) -> Pool:
    timeline = question.timeline
    firsts = np.array([rows[0] for rows in classes])
    usage = np.array([timeline.money[list(rows)].sum(axis=0) for rows in classes])
    slot_of: dict[int, int] = {}
    rates: list[Floats] = []
    offers = [offer for offer in question.offers if np.isfinite(offer.rates[firsts]).any()]
    for number, offer in enumerate(offers):
        slot_of[number] = _slot(offer.rates[firsts], rates, len(classes))
    levels: list[tuple[int, OwnedLevel, float]] = []
    for level, offer in zip(question.owned, owned, strict=True):
        mine = offer.rates[firsts]
        if np.isfinite(mine).any():
            slot, unit = _owned_slot(mine, rates, len(classes))
            levels.append((slot, level, _plan_money(level) / unit))
    if len(rates) > MOST_BUDGETS:
        raise UnsupportedError(
            ErrorReason.UNSUPPORTED,
            f"{len(rates)} flexible plans with rates of their own in one pool; at most {MOST_BUDGETS}",
            metadata={"budgets": str(len(rates)), "most": str(MOST_BUDGETS)},
        )
    existing = np.zeros((len(classes) + len(rates), timeline.hours.size))
    for slot, level, amount in levels:
        starts, ends = hour_of(question.terms, level.start_time), hour_of(question.terms, level.end_time)
        existing[slot] += amount * ((timeline.starts >= starts) & (timeline.starts < ends))
    columns, purchases = _columns(question, offers, slot_of, firsts)
    caps, cap_limits = _caps(question, columns, purchases)
    price, room = _spot(question.spot, [timeline.keys[row] for row in firsts], usage)
    program = Program(
        usage=usage,
        weights=timeline.weights,
        segments=timeline.segments,
        rates=np.array(rates) if rates else np.empty((0, len(classes))),
        existing=existing,
        columns=columns,
        spot_price=price,
        spot_room=room,
        caps=caps,
        cap_limits=cap_limits,
    )
    keys = tuple(timeline.keys[int(row)] for row in firsts)
    return Pool(program, tuple(classes), keys, purchases)


def _slot(rates: Floats, budgets: list[Floats], classes: int) -> int:
    """The class that an offer locks, or the budget that it is; offers of the same rates are one budget."""
    inside = np.flatnonzero(np.isfinite(rates))
    if inside.size == 1:
        return int(inside[0])
    for number, known in enumerate(budgets):
        if np.array_equal(known, rates):
            return classes + number
    budgets.append(rates)
    return classes + len(budgets) - 1


def _owned_slot(rates: Floats, budgets: list[Floats], classes: int) -> tuple[int, float]:
    """The slot of an owned level, and its money per unit of the slot: proportional rates share a budget."""
    inside = np.flatnonzero(np.isfinite(rates))
    if inside.size == 1:
        return int(inside[0]), float(rates[inside[0]])
    for number, known in enumerate(budgets):
        if np.array_equal(np.isfinite(known), np.isfinite(rates)):
            ratio = rates[inside] / known[inside]
            if np.ptp(ratio) <= 1e-12 * float(ratio[0]):
                return classes + number, float(ratio[0])
    budgets.append(rates)
    return classes + len(budgets) - 1, 1.0


def _plan_money(level: OwnedLevel) -> float:
    on_demand_basis = level.offer.basis is CommitmentBasis.ON_DEMAND
    return level.per_hour * level.offer.rate if on_demand_basis else level.per_hour


def _columns(
    question: Question, offers: Sequence[PricedOffer], slot_of: dict[int, int], firsts: np.ndarray
) -> tuple[Columns, tuple[Purchase, ...]]:
    terms, timeline = question.terms, question.timeline
    slots, costs, covers, purchases = [], [], [], []
    for number, offer in enumerate(offers):
        slot = slot_of[number]
        locked = slot < firsts.size
        rate = float(offer.rates[firsts[slot]]) if locked else 1.0
        for time in terms.purchase_times or (terms.start,):
            begin = hour_of(terms, time)
            end = np.inf if terms.renewed else hour_of(terms, time + offer.offer.term)
            covered = (timeline.starts >= begin) & (timeline.starts < end)
            if not covered.any():
                continue
            slots.append(slot)
            covers.append(covered)
            costs.append(rate * float(timeline.hours[covered].sum()))
            purchases.append(Purchase(offer, time, rate / offer.levelling))
    columns = Columns(
        slot=np.array(slots, dtype=np.int64),
        cost=np.array(costs, dtype=np.float64),
        covers=np.array(covers, dtype=bool).reshape(len(slots), timeline.hours.size).T,
    )
    return columns, tuple(purchases)


def _caps(question: Question, columns: Columns, purchases: Sequence[Purchase]) -> tuple[Floats, Floats]:
    """The limit on new plan money per hour, a row for every set of purchases that is in force together."""
    limit = question.limits.commitment_per_hour
    count = columns.cost.size
    if limit is None or count == 0:
        return np.empty((0, count)), np.empty(0)
    units = np.array([purchase.unit for purchase in purchases])
    together = np.unique(columns.covers, axis=0)
    rows = together[together.any(axis=1)] * units
    return rows, np.full(rows.shape[0], float(limit))


def _spot(spot: Sequence[SpotShare], keys: Sequence[UsageKey], usage: Floats) -> tuple[Floats, Floats | None]:
    price, share = np.ones(len(keys)), np.zeros(len(keys))
    for offer in spot:
        for row, key in enumerate(keys):
            if offer.cloud is key.cloud and offer.family == key.family and offer.region in {"", key.region}:
                price[row], share[row] = offer.price, offer.share
    if not share.any():
        return price, None
    return np.where(share > 0.0, price, 1.0), usage * share[:, None]
