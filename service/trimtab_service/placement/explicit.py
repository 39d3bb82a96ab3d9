"""Offers that are scored one by one, before the search: the caller's own, and those of the current place."""

from collections.abc import Iterator
from typing import Final

from trimtab_service.domain.coverage import OfferFacts
from trimtab_service.domain.offers import PLACEMENT_OPTIONS, PriceBasis, PurchaseOption
from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.domain.workloads import CallerOffer, GpuNeed, Residency
from trimtab_service.placement.candidates import Candidate, costed, feasible_offers, priced
from trimtab_service.placement.costs import may_leave_uncovered
from trimtab_service.placement.options import ON_DEMAND, OWNED, SPOT
from trimtab_service.placement.owned_cells import covered
from trimtab_service.placement.question import Question
from trimtab_service.placement.quotas import quota_counts, quota_need_milli
from trimtab_service.placement.spot import RATE_OF_BUCKET

_UNKNOWN_BUCKET: Final = -1


def explicit_candidates(question: Question) -> list[Candidate]:
    """Feasible offers of the caller and of the current type in the current region."""
    found = list(current_candidates(question)) if question.current is not None else []
    for origin, offer in enumerate(question.workload.caller_offers, start=1):
        found.extend(c for c in caller_candidates(question, origin, offer) if type(c) is Candidate)
    return found


def current_candidates(question: Question) -> Iterator[Candidate]:
    """Feasible catalogue offers of the current type in the current region, under every allowed option."""
    current, region, index = question.current, question.current_region, question.index
    if current is None or not current.instance_type or not question.allowed >> region & 1:
        return
    t = index.snapshot.type_index.get((current.location.cloud, current.instance_type))
    if t is None:
        return
    for option in question.codes:
        priced_as = ON_DEMAND if option == OWNED else option
        k = index.snapshot.find_offer(priced_as, region, t)
        if k is None or next(feasible_offers(question, option, region, k, k + 1), None) is None:
            continue
        found = covered(question, region, t, k) if option == OWNED else priced(question, option, region, k)
        if type(found) is Candidate:
            yield found


def caller_candidates(question: Question, origin: int, offer: CallerOffer) -> Iterator[Candidate | RejectionReason]:
    """A caller's offer as a candidate, or the first reason against it; on demand also on owned room that covers it.

    Rules that need a fact the caller did not give (disk, network, family, architecture) reject it; a size that is
    not given is what was asked for.
    """
    region = question.index.snapshot.region_index[offer.location.cloud, offer.location.region]
    options = [offer.option]
    if offer.option is PurchaseOption.ON_DEMAND and question.owned is not None:
        options.append(PurchaseOption.OWNED_COMMITMENT)
    for option in options:
        code = OWNED if option is PurchaseOption.OWNED_COMMITMENT else PLACEMENT_OPTIONS.index(option)
        if code not in question.rows.codes and code != OWNED:
            yield RejectionReason.PURCHASE_OPTION_NOT_ALLOWED
            continue
        yield _caller_offer(question, origin, offer, region, code)


def _caller_offer(
    question: Question, origin: int, offer: CallerOffer, region: int, option: int
) -> Candidate | RejectionReason:
    facts = caller_facts(question, offer)
    reason = (
        _region_reason(question, region)
        or _name_reason(question, offer)
        or _size_reason(question, offer)
        or _place_reason(question, offer, facts, region, option)
    )
    if reason is not None:
        return reason
    case = cover = None
    if option == SPOT:
        rate = RATE_OF_BUCKET[_UNKNOWN_BUCKET]
        if question.learned is not None:
            family, name = facts.family or offer.instance_type, offer.instance_type
            rate = question.learned.rate(offer.location.cloud, family, offer.location.region, name, "", rate)
        case = question.spot.case(rate)
    elif option == OWNED:
        cover = question.state.rooms.cover(facts, question.workload.count, question.instant)
        if not cover.instances_milli or not may_leave_uncovered(question, cover):
            return RejectionReason.NOT_OFFERED
    return costed(question, option, region, offer.instance_type, offer.nanos_per_hour, case, origin, -1, cover)


def caller_facts(question: Question, offer: CallerOffer) -> OfferFacts:
    """What coverage and quotas ask about a caller's offer; a size not given is what was asked for."""
    size = offer.size or question.workload.size
    gpu = size.gpus[0] if size.gpus else None
    return OfferFacts(
        cloud=offer.location.cloud,
        region=offer.location.region,
        instance_type=offer.instance_type,
        family="",
        vcpus=size.vcpus,
        memory_gib=size.memory_gib,
        gpu_model=gpu.models[0] if gpu else "",
        gpus=float(gpu.count) if gpu else 0.0,
        on_demand_nanos=offer.nanos_per_hour,
        zones=offer.zones,
    )


def _region_reason(question: Question, region: int) -> RejectionReason | None:
    return next((reason for reason, regions in question.taken if regions >> region & 1), None)


def _name_reason(question: Question, offer: CallerOffer) -> RejectionReason | None:
    pinned = question.workload.size.instance_type
    if pinned and pinned != offer.instance_type:
        return RejectionReason.TYPE_NOT_ALLOWED
    if question.workload.residency is not None:
        reason = _listed(question.workload.residency, offer.instance_type)
        if reason is not None:
            return reason
    if any(_listed(residency, offer.instance_type) for residency in question.policy.residencies):
        return RejectionReason.POLICY
    return None


def _listed(residency: Residency, name: str) -> RejectionReason | None:
    if residency.families:
        return RejectionReason.FAMILY_NOT_ALLOWED
    if (residency.instance_types and name not in residency.instance_types) or name in residency.denied_instance_types:
        return RejectionReason.TYPE_NOT_ALLOWED
    return None


def _size_reason(  # noqa: PLR0911 - one a rule
    question: Question, offer: CallerOffer
) -> RejectionReason | None:
    need, size = question.workload.size, offer.size
    if size is None:
        return None
    if need.gpus and not any(_has_gpus(size.gpus, wanted) for wanted in need.gpus):
        return RejectionReason.GPU_MISMATCH
    if size.vcpus < need.vcpus or size.memory_gib < need.memory_gib:
        return RejectionReason.TOO_SMALL
    if need.architecture is not None and size.architecture != need.architecture:
        return RejectionReason.ARCH_MISMATCH
    if size.local_disk_gb < need.local_disk_gb:
        return RejectionReason.DISK_TOO_SMALL
    if size.network_gbps < need.network_gbps:
        return RejectionReason.NETWORK_TOO_SLOW
    return None


def _has_gpus(offered: tuple[GpuNeed, ...], wanted: GpuNeed) -> bool:
    return any(
        set(gpu.models) & set(wanted.models) and gpu.count >= wanted.count and gpu.memory_gib >= wanted.memory_gib
        for gpu in offered
    )


def _place_reason(
    question: Question, offer: CallerOffer, facts: OfferFacts, region: int, option: int
) -> RejectionReason | None:
    zones = caller_zones(question, offer, region, option)
    if question.workload.spread_zones > 1 and len(offer.zones) < question.workload.spread_zones:
        return RejectionReason.NOT_ENOUGH_ZONES
    bases = question.policy.price_bases
    if bases is not None and PriceBasis.CALLER not in bases:
        return RejectionReason.PRICE_BASIS
    for barrier in question.barriers_of(region):
        if barrier.options >> option & 1 and not barrier.zone_bits and barrier.name in {"", offer.instance_type}:
            return barrier.reason
    if offer.zones and len(zones) < max(question.workload.spread_zones, 1):
        return RejectionReason.BLOCKED_BY_REQUEST
    bought_as = PurchaseOption.OWNED_COMMITMENT if option == OWNED else PLACEMENT_OPTIONS[option]
    for room in question.quotas.get(region, ()):
        counts = quota_counts(room.quota, facts, bought_as)
        if counts and quota_need_milli(room.quota, facts, question.workload.count) > room.left_milli:
            return RejectionReason.QUOTA
    return None


def caller_zones(question: Question, offer: CallerOffer, region: int, option: int) -> tuple[str, ...]:
    """Zones of a caller's offer that no block takes, in the order of their names."""
    known = question.index.zones_of_region[region]
    barred = 0
    for barrier in question.barriers_of(region):
        if barrier.options >> option & 1 and barrier.zone_bits and barrier.name in {"", offer.instance_type}:
            barred |= barrier.zone_bits
    return tuple(zone for zone in sorted(offer.zones) if zone not in known or not barred >> known.index(zone) & 1)
