"""Candidates to placements: names, zones, terms, draws and notes of what is answered."""

from typing import Final

from trimtab_service.domain.commitments import Draw
from trimtab_service.domain.decisions import ChosenOffer, Placement
from trimtab_service.domain.offers import PriceBasis
from trimtab_service.placement.candidates import Candidate
from trimtab_service.placement.costs import cost_terms, paid_hours
from trimtab_service.placement.explicit import caller_facts, caller_zones
from trimtab_service.placement.options import OPTION_OF_CODE
from trimtab_service.placement.owned_cells import offer_facts
from trimtab_service.placement.question import Question
from trimtab_service.placement.quotas import quota_counts, quota_draw
from trimtab_service.placement.rates import RateBook
from trimtab_service.placement.spot import RATE_OF_BUCKET

STALE_AFTER_DAYS: Final = 90
"""Prices older than this are noted in the answer; a policy may refuse them."""

OFFER_WORDS: Final = "%s in %s:%s"
BASIS_NOTE: Final = "price of %s: %s"
AGE_NOTE: Final = "price of %s is %d days old"

_NO_NAMES: Final[tuple[str, ...]] = ()
_NO_DRAWS: Final[tuple[Draw, ...]] = ()


def placement(question: Question, candidate: Candidate, *, place: int = 0) -> Placement:
    """What is answered of a candidate, in its best zone, or in the next best (`place` 1)."""
    workload = question.workload
    _, risk, _, price, region, name, option, origin, k, case, cover = candidate
    spread: tuple[tuple[str, int], ...] = ()
    if question.is_plain and question.learned is None and not origin and cover is None:
        offer = question.index.offers_in_zones(k, region, option)[place]
        age = question.today - question.index.as_of[k]
    else:
        zones = zones_of(question, candidate) or ("",)
        zone = zones[place]
        if workload.spread_zones > 1:
            spread, zone = share_out(workload.count, zones[: workload.spread_zones]), ""
        offer = chosen_offer(question, candidate, zone)
        age = 0 if origin else question.today - question.index.as_of[k]
    billed, interruptions, interval = question.hours, 0.0, None
    covered, commitments = 0.0, _NO_NAMES
    if case is not None:
        billed, interruptions, interval, _ = case.outlook
    elif cover is not None:
        covered, commitments = cover.instances, cover.commitments
    elif not question.rows.uniform:
        billed = paid_hours(question, option)
    return Placement(
        offer,
        cost_terms(question, option, region, name, price, case, cover),
        billed,
        interruptions,
        risk,
        spread,
        interval,
        max(0, age),
        commitments,
        covered,
        0.0 if question.latency_ms is None else question.latency_ms.item(region),
        draws(question, candidate) if cover is not None or question.quotas else _NO_DRAWS,
    )


def in_next_zone(question: Question, candidate: Candidate, placed: Placement) -> Placement | None:
    """The same offer in its next best zone; None where there is none, or the gang is spread."""
    if question.workload.spread_zones > 1:
        return None
    if question.is_plain and question.learned is None and not candidate.origin and candidate.cover is None:
        offers = question.index.offers_in_zones(candidate.k, candidate.region, candidate.option)
        return Placement(offers[1], *placed[1:]) if len(offers) > 1 else None
    zones = zones_of(question, candidate)
    return placement(question, candidate, place=1) if len(zones) > 1 else None


def chosen_offer(question: Question, candidate: Candidate, zone: str) -> ChosenOffer:
    """What to buy, in a zone."""
    if candidate.origin:
        place = question.index.snapshot.regions[candidate.region]
        return ChosenOffer(
            place.cloud,
            place.name,
            zone,
            candidate.instance_type,
            OPTION_OF_CODE[candidate.option],
            candidate.price_nanos,
            PriceBasis.CALLER,
            None,
        )
    return question.index.offer(candidate.k, candidate.region, candidate.option, zone)


def zones_of(question: Question, candidate: Candidate) -> tuple[str, ...]:
    """Zones where the candidate may run, best first: that of the current place, then by what was learned, then by name.

    Owned room of zonal reservations keeps the gang to their zones.
    """
    index, region = question.index, candidate.region
    if candidate.origin:
        offer = question.workload.caller_offers[candidate.origin - 1]
        zones = caller_zones(question, offer, region, candidate.option)
    elif question.request_barriers is None and question.outcome_barriers is None:
        zones = index.zones_offered(index.type_of[candidate.k], region)
    else:
        zones = question.zones_left(candidate.option, region, index.type_of[candidate.k])
    cover, current = candidate.cover, question.current
    if candidate.case is not None and question.learned is not None and not candidate.origin and len(zones) > 1:
        zones = _safest_first(question, candidate, question.learned, zones)
    if cover is not None and cover.zones:
        zones = tuple(zone for zone in cover.zones if zone in zones) or zones
    if current is not None and region == question.current_region and current.zone in zones:
        zones = (current.zone, *(zone for zone in zones if zone != current.zone))
    return zones


def _safest_first(
    question: Question, candidate: Candidate, learned: RateBook, zones: tuple[str, ...]
) -> tuple[str, ...]:
    """Zones of a spot offer by the posterior rate of each.

    The cost is that of the whole region: it must not depend on a zone that may be gone when capacity is asked for.
    """
    index, region = question.index, candidate.region
    cloud, family = index.clouds[region], index.family_of[index.type_of[candidate.k]]
    if not learned.knows(cloud, family):
        return zones
    name, prior = index.snapshot.regions[region].name, RATE_OF_BUCKET[index.bucket[candidate.k]]
    return tuple(
        sorted(zones, key=lambda zone: learned.rate(cloud, family, name, candidate.instance_type, zone, prior))
    )


def share_out(count: int, zones: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """Instances per zone as evenly as may be, the first zones taking one more."""
    each, more = divmod(count, len(zones))
    return tuple((zone, each + (i < more)) for i, zone in enumerate(zones) if each or i < more)


def draws(question: Question, candidate: Candidate) -> tuple[Draw, ...]:
    """What a reservation has to draw: commitment room, and every quota that counts the offer."""
    found: list[Draw] = list(candidate.cover.draws) if candidate.cover is not None else []
    rooms = question.quotas.get(candidate.region, ())
    if rooms:
        if candidate.origin:
            facts = caller_facts(question, question.workload.caller_offers[candidate.origin - 1])
        else:
            t = question.index.type_of[candidate.k]
            facts = offer_facts(question, candidate.region, t, candidate.price_nanos)
        option = OPTION_OF_CODE[candidate.option]
        counted = (
            quota_draw(question.query.project, room.quota, facts, question.workload.count)
            for room in rooms
            if quota_counts(room.quota, facts, option)
        )
        found.extend(draw for draw in counted if draw.amount_milli)  # a type without GPUs takes nothing of their quota
    return tuple(found)


def notes(question: Question, chosen: Placement | None) -> tuple[str, ...]:
    """How names were read, and what to know about the price that was chosen."""
    readings = question.workload.readings
    return readings if chosen is None else price_notes(readings, chosen)


def price_notes(readings: tuple[str, ...], chosen: Placement) -> tuple[str, ...]:
    """`readings` with what to know about a price: a basis that is no list price, and age."""
    offer, age = chosen.offer, chosen.price_age_days
    if offer.basis is PriceBasis.LIST and age <= STALE_AFTER_DAYS:
        return readings
    what = OFFER_WORDS % (offer.instance_type, offer.cloud, offer.region)
    if offer.basis is not PriceBasis.LIST:
        readings = (*readings, BASIS_NOTE % (what, offer.basis.meaning))
    if age > STALE_AFTER_DAYS:
        readings = (*readings, AGE_NOTE % (what, age))
    return readings
