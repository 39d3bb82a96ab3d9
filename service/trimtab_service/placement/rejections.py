"""Regions that were not chosen, counted by reason, each once.

Whole regions go by the rules in the order of `permits.REGION_ORDER`; then those where nothing of the size is
offered under an allowed option; then those whose every offer was rejected, under the reason that the furthest of
them got to. All others are COSTLIER: they hold nothing that costs less, which the search knows without looking
closer.
"""

from collections import Counter

from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.placement.index import Barrier
from trimtab_service.placement.options import ON_DEMAND, OWNED
from trimtab_service.placement.permits import policy_permits, type_steps
from trimtab_service.placement.question import Question
from trimtab_service.placement.region_sets import RegionSet
from trimtab_service.placement.scan import OFFER_ORDER, Scan
from trimtab_service.placement.type_sets import TypeSet


def rejected_regions(
    question: Question, closed: list[tuple[int, int]], answered: RegionSet, cheaper: int = 0
) -> tuple[tuple[RejectionReason, int], ...]:
    """Counts by reason.

    `closed` cells had nothing feasible; `answered` are the regions of the chosen place, which is no rejection, and
    of its fallbacks; `cheaper` of these were not worth moving to.
    """
    counts = [(reason, regions.bit_count()) for reason, regions in question.taken]
    offered = offered_regions(question)
    left = question.allowed & ~answered
    nothing = left & ~offered
    if nothing:
        counts.append((RejectionReason.NOT_OFFERED, nothing.bit_count()))
    costlier = (left & offered).bit_count() + max(answered.bit_count() - 1, 0) - cheaper
    if closed:
        empty = [r for r in _closed_regions(question, closed) if left >> r & 1]
        for reason, count in _reasons(question, empty):
            _add(counts, reason, count)
        costlier -= len(empty)
    if cheaper:
        counts.append((RejectionReason.NOT_WORTH_MOVING, cheaper))
    if costlier:
        counts.append((RejectionReason.COSTLIER, costlier))
    return tuple(counts)


def _add(counts: list[tuple[RejectionReason, int]], reason: RejectionReason, count: int) -> None:
    for i, (known, before) in enumerate(counts):
        if known is reason:
            counts[i] = (reason, before + count)
            return
    counts.append((reason, count))


def offered_regions(question: Question) -> RegionSet:
    """Regions with an offer of the size under some allowed option."""
    offered = question.cheapest.offered
    found = 0
    for code in question.codes:
        found |= offered[ON_DEMAND if code == OWNED else code]
    return found


def _closed_regions(question: Question, closed: list[tuple[int, int]]) -> list[int]:
    """Regions all of whose offered cells were opened in vain."""
    offered = question.cheapest.offered
    seen: dict[int, set[int]] = {}
    for option, r in closed:
        seen.setdefault(r, set()).add(option)
    return [
        r
        for r, options in sorted(seen.items())
        if all(code == OWNED or code in options or not offered[code] >> r & 1 for code in question.codes)
    ]


def _reasons(question: Question, regions: list[int]) -> list[tuple[RejectionReason, int]]:
    furthest: Counter[int] = Counter()
    scanned = []
    for r in regions:
        code = _by_types(question, r)
        if code is None:
            scanned.append(r)
        else:
            furthest[code] += 1
    if scanned:
        found = Scan(question, scanned).found
        furthest.update(int(found.reason[found.region == r].max(initial=-1)) for r in scanned)
    return [(OFFER_ORDER[code], count) for code, count in sorted(furthest.items())]


def _by_types(question: Question, region: int) -> int | None:  # noqa: C901 - one branch a rule
    """The reason of a region whose offers are all out by what they are or by blocks, as a place in `OFFER_ORDER`.

    None where it takes prices, zones, quotas or time to tell.
    """
    index, size, residency = question.index, question.workload.size, question.workload.residency
    sets = index.type_sets
    steps = [(RejectionReason.POLICY, policy_permits(index, question.policy)[1])]
    if residency is not None:
        steps += type_steps(index, residency)
    if size.instance_type:
        steps.append((RejectionReason.TYPE_NOT_ALLOWED, sets.named(size.instance_type)))
    steps.append((RejectionReason.GPU_MISMATCH, sets.with_gpus(size)))
    steps.append((RejectionReason.TOO_SMALL, sets.large_enough(size)))
    if size.architecture is not None:
        steps.append((RejectionReason.ARCH_MISMATCH, sets.by_arch.get(size.architecture, 0)))
    if size.local_disk_gb > 0.0:
        steps.append((RejectionReason.DISK_TOO_SMALL, sets.disk(size.local_disk_gb)))
    if size.network_gbps > 0.0:
        steps.append((RejectionReason.NETWORK_TOO_SLOW, sets.network(size.network_gbps)))
    furthest = -1
    barriers = question.barriers_of(region)
    for option in question.rows.codes:
        types = index.types_of_cell(option, region)
        if not types:
            continue
        code = _first_empty(types, steps)
        if code is None:
            if question.prices is not None or question.workload.spread_zones > 1:
                return None
            code = _first_empty(types & question.ok, _block_steps(barriers, option))
        if code is None:
            return None
        furthest = max(furthest, code)
    return furthest if furthest >= 0 else None


def _block_steps(barriers: list[Barrier], option: int) -> list[tuple[RejectionReason, TypeSet | None]]:
    """What blocks of whole offers leave; those of single zones are left out, which may only make too much of it."""
    steps: list[tuple[RejectionReason, TypeSet | None]] = []
    for reason in (RejectionReason.BLOCKED_BY_REQUEST, RejectionReason.BLOCKED_BY_OUTCOME):
        barred = 0
        for barrier in barriers:
            if barrier.reason is reason and barrier.options >> option & 1 and not barrier.zone_bits:
                barred |= barrier.types
        steps.append((reason, ~barred))
    return steps


def _first_empty(types: TypeSet, steps: list[tuple[RejectionReason, TypeSet | None]]) -> int | None:
    for reason, allowed in steps:
        if allowed is not None:
            types &= allowed
            if not types:
                return OFFER_ORDER.index(reason)
    return None
