"""One offer as the search sees it, and the offers of a cell that are feasible but for cost and time.

Order of candidates: cost, then risk, then nearness to the current place, then hourly price, then (cloud, region),
type and option. Field order is that order, so that tuples compare as candidates do; two never tie.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from trimtab_service.catalog.arrays import Bools
from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.placement.costs import moving_cost, owned_factor, place_costs, reread_cost
from trimtab_service.placement.options import OPTION_OF_CODE, SPOT
from trimtab_service.placement.question import Question
from trimtab_service.placement.rooms import Coverage
from trimtab_service.placement.spot import RATE_OF_BUCKET, SpotCase
from trimtab_service.placement.type_sets import TypeSet

_ONE_BY_ONE: Final = 8
"""So many offers of a cell are looked at singly before the rest is looked at in one sweep, which costs as much."""


class Candidate(NamedTuple):
    """A feasible offer with its whole cost in micros. `origin` 0: the catalogue, i: the caller's offer i (from 1).

    `nearness` as `Question.nearness`. `k` is the catalogue's offer, -1 for a caller's. `case` is None unless
    spot, `cover` unless owned room.
    """

    cost: int
    risk: int
    nearness: int
    price_nanos: int
    region: int
    instance_type: str
    option: int
    origin: int
    k: int
    case: SpotCase | None
    cover: Coverage | None


def priced(question: Question, option: int, region: int, k: int) -> Candidate | RejectionReason:
    """Catalogue offer k, large enough and not barred, as a candidate, or the first reason of those that cost shows."""
    index = question.index
    t = index.type_of[k]
    case = spot_case(question, region, t, k) if option == SPOT else None
    return costed(question, option, region, index.snapshot.type_names[t], index.price[k], case, 0, k)


def costed(  # noqa: PLR0913, PLR0917 - an offer's parts
    question: Question,
    option: int,
    region: int,
    name: str,
    price: int,
    case: SpotCase | None,
    origin: int,
    k: int,
    cover: Coverage | None = None,
) -> Candidate | RejectionReason:
    """An offer of any origin as a candidate, or the first reason of those that cost and time show."""
    stays = question.current is not None and question.is_current(region, name, OPTION_OF_CODE[option])
    egress, preference = place_costs(question, region)
    factor = question.factors[option] if cover is None else owned_factor(question, cover)
    cost = round(price * factor) + egress + preference
    risk = 0
    if case is not None:
        barred = case.barred if stays else case.barred_moving
        if barred is not None:
            return barred
        risk = case.risk
        cost += round(price * case.extra) + question.storage
        if question.rereading:
            cost += reread_cost(question, region, case)
    elif question.left_hours is not None and question.late(is_current=stays):
        return RejectionReason.DEADLINE
    if not stays:
        cost += moving_cost(question, region, price, cover)
    if question.max_cost is not None and cost > question.max_cost:
        return RejectionReason.COST_LIMIT
    return Candidate(cost, risk, question.nearness(region, name), price, region, name, option, origin, k, case, cover)


def spot_case(question: Question, region: int, t: int, k: int) -> SpotCase:
    """Outlook of a spot offer at its rate."""
    return question.spot.case(spot_rate(question, region, t, k))


def spot_rate(question: Question, region: int, t: int, k: int) -> float:
    """Interruptions per hour of a spot offer: what was learned, else its bucket's."""
    index = question.index
    prior = RATE_OF_BUCKET[index.bucket[k]]
    learned = question.learned
    if learned is None:
        return prior
    known = question.known_types.get(t)
    if known is None:
        known = question.known_types[t] = learned.knows(index.clouds[region], index.family_of[t])
    if not known:
        return prior
    names = index.snapshot
    family, name = index.family_of[t], names.type_names[t]
    return learned.rate(index.clouds[region], family, names.regions[region].name, name, "", prior)


def feasible_offers(  # noqa: PLR0913, PLR0917 - a cell, a span of it, and types
    question: Question, option: int, region: int, first: int, end: int, types: TypeSet | None = None
) -> Iterator[int]:
    """Catalogue offers k of one cell from `first` on that are large enough and not barred, by (price, type).

    Only those of `types`, where given.
    """
    index = question.index
    ok = question.ok if types is None else question.ok & types
    in_zones: list[tuple[TypeSet, int]] = []
    if question.request_barriers or question.outcome_barriers or question.quotas:
        barred, in_zones = question.barred_types(option, region)
        if barred:
            ok &= ~barred
    checked = bool(in_zones) or question.workload.spread_zones > 1 or question.prices is not None
    type_of = index.type_of
    near = min(first + _ONE_BY_ONE, end)
    for k in range(first, near):
        if ok >> type_of[k] & 1 and (not checked or _passes(question, region, k, in_zones)):
            yield k
    if near == end:
        return
    chosen = _usable(question, region, near, end)
    chosen &= index.type_sets.to_bools(ok)[index.snapshot.offers.type_index[near:end]]
    for position in chosen.nonzero()[0].tolist():
        k = near + position
        if not in_zones or _passes(question, region, k, in_zones):
            yield k


def spot_offers(question: Question, region: int, first: int, end: int) -> Iterator[int]:
    """As `feasible_offers` of a spot cell, but that offers at the catalogue's rate of one before may be left out.

    Those cost no less and carry the same risk.
    """
    index = question.index
    kernel = index.kernel
    if kernel is None or question.prices is not None or question.workload.spread_zones > 1:
        yield from feasible_offers(question, SPOT, region, first, end)
        return
    ok = question.ok
    in_zones: list[tuple[TypeSet, int]] = []
    if question.request_barriers or question.outcome_barriers or question.quotas:
        barred, in_zones = question.barred_types(SPOT, region)
        if barred:
            ok &= ~barred
    types = ok.to_bytes(index.type_sets.count // 8 + 1, "little")
    learned = question.learned
    own = bytes(len(types)) if learned is None else index.learned_types(learned)
    seen, k = 0, first
    while (k := kernel.next_spot(types, own, seen, k, end)) >= 0:
        if not in_zones or _passes(question, region, k, in_zones):
            if not own[index.type_of[k] >> 3] >> (index.type_of[k] & 7) & 1:
                seen |= kernel.rate_bit(k)
            yield k
        k += 1


def _usable(question: Question, region: int, begin: int, end: int) -> Bools:
    """Which offers of a span have a price that may be used and zones enough: `_passes` for many, but for blocks."""
    offers = question.index.snapshot.offers
    usable = np.ones(end - begin, dtype=np.bool_)
    prices = question.prices
    if prices is not None:
        usable &= offers.as_of[begin:end] >= prices.first_day
        usable &= prices.accepted[offers.basis[begin:end]]
    spread = question.workload.spread_zones
    if spread > 1:
        bits = question.index.snapshot.type_region_zones[offers.type_index[begin:end], region]
        usable &= np.bitwise_count(bits) >= spread
    return usable


def _passes(question: Question, region: int, k: int, in_zones: list[tuple[TypeSet, int]]) -> bool:
    """Whether enough zones are left for offer k, and its price may be used."""
    index = question.index
    prices = question.prices
    if prices is not None and (index.basis[k] not in prices.bases or index.as_of[k] < prices.first_day):
        return False
    spread = question.workload.spread_zones
    if not in_zones and spread <= 1:
        return True
    t = index.type_of[k]
    zones = listed = index.zone_bits[t, region]
    for types, bits in in_zones:
        if types >> t & 1:
            zones &= ~bits
    if spread > 1:
        return zones.bit_count() >= spread
    return zones != 0 or listed == 0
