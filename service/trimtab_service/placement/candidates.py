"""One offer as the search sees it, and the cells it walks.

Order of candidates: cost, then risk, then nearness to the current place, then hourly price, then (cloud, region),
type and option. Field order is that order, so that tuples compare as candidates do; two never tie.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.placement.index import OPTION_OF_CODE
from trimtab_service.placement.question import SPOT, Question
from trimtab_service.placement.rooms import Coverage
from trimtab_service.placement.spot import RATE_OF_BUCKET, SpotCase
from trimtab_service.placement.type_sets import TypeSet


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
    name = index.snapshot.type_names[t]
    case = spot_case(question, region, t, k) if option == SPOT else None
    return costed(question, option, region, name, index.price[k], case, 0, k)


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
    stays = question.is_current(region, name, OPTION_OF_CODE[option])
    egress, preference = question.place_costs(region)
    factor = question.factors[option] if cover is None else question.owned_factor(cover)
    cost = round(price * factor) + egress + preference
    risk = 0
    if case is not None:
        barred = case.barred if stays else case.barred_moving
        if barred is not None:
            return barred
        risk = case.risk
        cost += round(price * case.extra) + question.storage + question.rereads(region, case)
    elif question.left_hours is not None and question.late(is_current=stays):
        return RejectionReason.DEADLINE
    if not stays:
        cost += question.moving_cost(region, price, cover)
    if question.max_cost is not None and cost > question.max_cost:
        return RejectionReason.COST_LIMIT
    return Candidate(cost, risk, question.nearness(region, name), price, region, name, option, origin, k, case, cover)


def spot_case(question: Question, region: int, t: int, k: int) -> SpotCase:
    """Outlook of a spot offer at its learned rate, else at its bucket's."""
    index = question.index
    prior = RATE_OF_BUCKET[index.bucket[k]]
    rules = question.spot
    assert rules is not None  # noqa: S101 - compiled wherever spot is allowed
    if question.learned is None:
        return rules.case(prior)
    cloud = index.clouds[region]
    family = index.family_of[t]
    if not question.learned.knows(cloud, family):
        return rules.case(prior)
    names = index.snapshot
    rate = question.learned.rate(cloud, family, names.regions[region].name, names.type_names[t], "", prior)
    return rules.case(rate)


def feasible_offers(question: Question, option: int, region: int, first: int, end: int) -> Iterator[int]:
    """Catalogue offers k of one cell from `first` on that are large enough and not barred, by (price, type)."""
    index = question.index
    barred, in_zones = question.barred_types(option, region)
    ok = question.ok & ~barred
    k = first
    if ok >> index.type_of[k] & 1 and _passes(question, region, k, in_zones):
        yield k
    types = index.snapshot.offers.type_index[first + 1 : end]
    for position in np.flatnonzero(index.type_sets.to_bools(ok)[types]).tolist():
        k = first + 1 + position
        if _passes(question, region, k, in_zones):
            yield k


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
