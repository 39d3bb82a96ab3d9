"""Offers that blocks, capacity failures and quotas keep out of single cells (option, region).

Patterns are resolved to region numbers, type sets and zone bits once: those of a request for the request, those of
reported failures once for as long as the same failures hold.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple

from trimtab_service.domain.commitments import MILLI
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.domain.workloads import OfferPattern, PlaceQuery, Quota
from trimtab_service.placement.blocks import ActiveBlocks
from trimtab_service.placement.index import Barrier, Barriers, SearchIndex
from trimtab_service.placement.options import ALL_OPTIONS, option_bits
from trimtab_service.placement.quotas import GPUS, VCPUS, quota_key
from trimtab_service.placement.rooms import Rooms
from trimtab_service.placement.type_sets import TypeSet


class QuotaRoom(NamedTuple):
    """A quota of one region with what is left in milli-units; `bars` are the types that the gang is too large for."""

    quota: Quota
    left_milli: int
    bars: TypeSet
    options: int


def request_barriers(index: SearchIndex, patterns: Iterable[OfferPattern]) -> Barriers:
    """The request's own patterns, by the regions where they match something."""
    found = Barriers({}, [])
    for pattern in patterns:
        _add(
            index,
            found,
            RejectionReason.BLOCKED_BY_REQUEST,
            (pattern.cloud, pattern.region, pattern.zone, pattern.instance_type),
            ALL_OPTIONS if pattern.option is None else option_bits((pattern.option,)),
            None,
        )
    return found


def _add(  # noqa: PLR0913, PLR0917 - a pattern and what it means
    index: SearchIndex,
    found: Barriers,
    reason: RejectionReason,
    place: tuple[Cloud | None, str, str, str],
    options: int,
    end_time: datetime | None,
) -> None:
    cloud, region, zone, instance_type = place
    types = index.type_sets.named(instance_type) if instance_type else index.type_sets.all
    regions = index.regions_named(cloud, region)
    if zone:
        for r, bit in index.zone_places.get(zone, ()):
            if regions >> r & 1:
                found.by_region.setdefault(r, []).append(Barrier(reason, types, options, bit, instance_type, end_time))
        return
    barrier = Barrier(reason, types, options, 0, instance_type, end_time)
    if cloud is not None and region:
        found.by_region.setdefault(regions.bit_length() - 1, []).append(barrier)
    else:
        found.wide.append((regions, barrier))


_KEPT_BLOCKS: Final = 64


def outcome_barriers(index: SearchIndex, active: ActiveBlocks) -> Barriers:
    """Reported failures that hold, by region; made once for as long as they are the same."""
    kept = index.blocks.get(id(active))
    if kept is not None:
        return kept[1]
    found = Barriers({}, [])
    for block in active.blocks:
        _add(
            index,
            found,
            RejectionReason.BLOCKED_BY_OUTCOME,
            (block.cloud, block.region, block.zone, block.instance_type),
            option_bits((block.option,)),
            block.end_time,
        )
    while len(index.blocks) >= _KEPT_BLOCKS:
        index.blocks.pop(next(iter(index.blocks)), None)
    index.blocks[id(active)] = (active, found)
    return found


def quota_rooms(index: SearchIndex, query: PlaceQuery, rooms: Rooms, instant: datetime) -> dict[int, list[QuotaRoom]]:
    """Quotas by region, less what is drawn already, with the types whose gang would not fit.

    Amounts are compared in whole milli-units. A quota of a family or a GPU model counts only such types.
    """
    found: dict[int, list[QuotaRoom]] = {}
    sets = index.type_sets
    count = query.workload.count
    for quota in query.workload.quotas:
        r = index.snapshot.region_index.get((quota.location.cloud, quota.location.region))
        if r is None:
            continue
        left = rooms.left_milli(quota_key(query.project, quota), int(quota.left * MILLI), instant)
        if quota.unit == VCPUS:
            bars = sets.vcpus.above_milli(left, count)
        elif quota.unit == GPUS:
            bars = sets.gpus.above_milli(left, count)
        else:
            bars = sets.all if count * MILLI > left else 0
        if quota.family:
            bars &= sets.of_families((quota.family,))
        if quota.gpu_model:
            bars &= sets.by_model.get(quota.gpu_model, 0)
        found.setdefault(r, []).append(QuotaRoom(quota, left, bars, option_bits(quota.options)))
    return found
