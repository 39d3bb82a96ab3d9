"""Candidates to placements: names, zones, terms, draws and notes of what is answered."""

from datetime import timedelta
from typing import Final

from trimtab_service.domain.commitments import Draw
from trimtab_service.domain.decisions import ChosenOffer, CostTerms, Placement
from trimtab_service.domain.offers import PriceBasis
from trimtab_service.placement.candidates import Candidate
from trimtab_service.placement.index import OPTION_OF_CODE
from trimtab_service.placement.explicit import caller_facts, caller_zones
from trimtab_service.placement.owned_cells import offer_facts
from trimtab_service.placement.question import Question
from trimtab_service.placement.quotas import quota_counts, quota_draw

STALE_AFTER: Final = timedelta(days=90)
"""Prices older than this are noted in the answer; a policy may refuse them."""

_NO_DRAWS: Final[tuple[Draw, ...]] = ()


def placement(question: Question, candidate: Candidate, *, zone: str | None = None) -> Placement:
    """What is answered of a candidate. `zone` names the zone instead of the first that is left."""
    workload, index = question.workload, question.index
    region, option, case, cover = candidate.region, candidate.option, candidate.case, candidate.cover
    spread: tuple[tuple[str, int], ...] = ()
    if zone is None:
        zones = zones_of(question, candidate)
        zone = zones[0] if zones else ""
        if workload.spread_zones > 1:
            spread, zone = share_out(workload.count, zones[: workload.spread_zones]), ""
    offer = chosen_offer(question, candidate, zone)
    age = 0 if offer.as_of is None else max(0, (question.instant.date() - offer.as_of).days)
    billed, interruptions, interval = question.paid_hours(option), 0.0, None
    covered, commitments = 0.0, ()
    if case is not None:
        billed, interruptions, interval = case.outlook[:3]
    elif cover is not None:
        covered, commitments = cover.instances, cover.commitments
    latency = question.latency_ms
    return Placement(
        offer,
        cost_terms(question, candidate),
        billed,
        interruptions,
        candidate.risk,
        spread,
        interval,
        age,
        commitments,
        covered,
        0.0 if latency is None else float(latency[region]),
        draws(question, candidate) if cover is not None or question.quotas else _NO_DRAWS,
    )


def cost_terms(question: Question, candidate: Candidate) -> CostTerms:
    """The terms whose sum is the candidate's cost."""
    price, region, case, cover = candidate.price_nanos, candidate.region, candidate.case, candidate.cover
    egress, preference = question.place_costs(region)
    factor = question.factors[candidate.option] if cover is None else question.owned_factor(cover)
    compute = round(price * factor)
    interruption = storage = moving = 0
    if case is not None:
        interruption = round(price * case.extra)
        egress += question.rereads(region, case)
        storage = question.storage
    if question.current is not None and not question.is_current(
        region, candidate.instance_type, OPTION_OF_CODE[candidate.option]
    ):
        moving = question.moving_cost(region, price, cover)
    return CostTerms(compute, interruption, egress, storage, moving, preference)


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
    """Zones where the candidate may run, best first: that of the current place, then by name.

    Owned room of zonal reservations keeps the gang to their zones.
    """
    index, region = question.index, candidate.region
    if candidate.origin:
        offer = question.workload.caller_offers[candidate.origin - 1]
        zones = caller_zones(question, offer, region, candidate.option)
    elif region not in question.barriers:
        zones = index.zones_offered(index.type_of[candidate.k], region)
    else:
        zones = question.zones_left(candidate.option, region, index.type_of[candidate.k])
    cover, current = candidate.cover, question.current
    if cover is not None and cover.zones:
        zones = tuple(zone for zone in cover.zones if zone in zones) or zones
    if current is not None and region == question.current_region and current.zone in zones:
        zones = (current.zone, *(zone for zone in zones if zone != current.zone))
    return zones


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
        found.extend(
            quota_draw(question.query.project, room.quota, facts, question.workload.count)
            for room in rooms
            if quota_counts(room.quota, facts, option)
        )
    return tuple(found)


def notes(question: Question, chosen: Placement | None) -> tuple[str, ...]:
    """How names were read, and what to know about the price that was chosen."""
    found = list(question.workload.readings)
    if chosen is not None:
        offer = chosen.offer
        what = f"{offer.instance_type} in {offer.cloud}:{offer.region}"
        if offer.basis.is_estimate or offer.basis is not PriceBasis.LIST:
            found.append(f"price of {what}: {offer.basis.meaning}")
        if chosen.price_age_days > STALE_AFTER.days:
            found.append(f"price of {what} is {chosen.price_age_days} days old")
    return tuple(found)
