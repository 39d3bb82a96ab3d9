"""Regions that were not chosen, counted by reason, each once.

Whole regions go by the rules in the order of `permits.REGION_ORDER`; then those where nothing of the size is
offered under an allowed option; then those whose every offer was rejected, under the reason that the furthest of
them got to. All others are COSTLIER: they hold nothing that costs less, which the search knows without looking
closer.
"""

from collections import Counter

from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.placement.options import ON_DEMAND, OWNED
from trimtab_service.placement.question import Question
from trimtab_service.placement.region_sets import RegionSet
from trimtab_service.placement.scan import OFFER_ORDER, Scan


def rejected_regions(
    question: Question, closed: list[tuple[int, int]], answered: RegionSet, cheaper: int = 0
) -> tuple[tuple[RejectionReason, int], ...]:
    """Counts by reason.

    `closed` cells had nothing feasible; `answered` are regions with a candidate that was found, the chosen one
    counted out; `cheaper` of the regions were not worth moving to.
    """
    counts = [(reason, regions.bit_count()) for reason, regions in question.taken]
    left = question.allowed & ~answered
    offered = offered_regions(question)
    nothing = left & ~offered
    if nothing:
        counts.append((RejectionReason.NOT_OFFERED, nothing.bit_count()))
    left &= offered
    if closed:
        empty = [r for r in _closed_regions(question, closed) if left >> r & 1]
        for reason, count in _reasons(question, empty):
            _add(counts, reason, count)
        left &= ~sum(1 << r for r in empty)
    if cheaper:
        counts.append((RejectionReason.NOT_WORTH_MOVING, cheaper))
    costlier = left.bit_count() + max(answered.bit_count() - 1, 0) - cheaper
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
    if not regions:
        return []
    found = Scan(question, regions).found
    furthest = Counter(int(found.reason[found.region == r].max(initial=-1)) for r in regions)
    return [
        (OFFER_ORDER[code] if code >= 0 else RejectionReason.NOT_OFFERED, count)
        for code, count in sorted(furthest.items())
    ]
