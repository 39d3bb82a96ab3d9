"""Why everything else was not chosen: counts over all offers, and the best of the rejected.

A rejected candidate is shown where it would have cost less than what was chosen, or nothing was; offers that are
too small or have the wrong GPU never are, for they are not what was asked for.
"""

from typing import Final

import numpy as np

from trimtab_service.catalog.arrays import I64, Bools
from trimtab_service.domain.decisions import Explanation, Placement, RejectedCandidate
from trimtab_service.domain.money import Money
from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.placement.answer import placement
from trimtab_service.placement.candidates import Candidate, spot_case
from trimtab_service.placement.explicit import caller_candidates
from trimtab_service.placement.options import OPTION_OF_CODE, SPOT
from trimtab_service.placement.question import Question
from trimtab_service.placement.scan import FEASIBLE, OFFER_ORDER, Scan, Scanned

_NEVER_SHOWN: Final = frozenset(
    {
        RejectionReason.PARTITION_NOT_ALLOWED,
        RejectionReason.GPU_MISMATCH,
        RejectionReason.TOO_SMALL,
        RejectionReason.ARCH_MISMATCH,
        RejectionReason.NEVER_FINISHES,
    }
)


def explanation(question: Question, chosen: Placement | None) -> Explanation:
    """Counts of every offer by its first reason, with the best rejected candidate of each."""
    found = Scan(question).found
    counts = {
        OFFER_ORDER[code]: count
        for code, count in enumerate(np.bincount(found.reason[found.reason >= 0], minlength=len(OFFER_ORDER)).tolist())
    }
    feasible = int((found.reason == FEASIBLE).sum())
    offers = found.k.size
    for origin, offer in enumerate(question.workload.caller_offers, start=1):
        result = next(iter(caller_candidates(question, origin, offer)))
        offers += 1
        if isinstance(result, RejectionReason):
            counts[result] = counts.get(result, 0) + 1
        else:
            feasible += 1
    counts[RejectionReason.COSTLIER] = feasible - 1 if chosen is not None and feasible else 0
    return Explanation(
        offers=offers,
        feasible_offers=feasible,
        rejected_offers=tuple((reason, count) for reason, count in counts.items() if count),
        candidates=tuple(_best_rejected(question, found, chosen)),
    )


def _best_rejected(question: Question, found: Scanned, chosen: Placement | None) -> list[RejectedCandidate]:
    limit = np.inf if chosen is None else chosen.terms.total
    shown = []
    for code, reason in enumerate(OFFER_ORDER):
        if reason in _NEVER_SHOWN:
            continue
        rows = np.flatnonzero((found.reason == code) & _is_asked_for(question, found))
        best = _cheapest(found, rows)
        if best is not None and found.cost[best] < limit:
            candidate = _candidate(question, found, best)
            shown.append(
                RejectedCandidate(
                    placement(question, candidate), reason, _would_win(reason, candidate, question, chosen)
                )
            )
    if chosen is not None:
        rows = np.flatnonzero((found.reason == FEASIBLE) & ~_is(question, found, chosen))
        best = _cheapest(found, rows)
        if best is not None:
            candidate = _candidate(question, found, best)
            reason = RejectionReason.COSTLIER
            shown.append(
                RejectedCandidate(
                    placement(question, candidate), reason, _would_win(reason, candidate, question, chosen)
                )
            )
    return shown


def _is_asked_for(question: Question, found: Scanned) -> Bools:
    """Offers large enough, of the GPU and architecture asked for, outside other partitions."""
    sets, size = question.index.type_sets, question.workload.size
    types = sets.with_gpus(size) & sets.large_enough(size)
    if size.architecture is not None:
        types &= sets.by_arch.get(size.architecture, 0)
    return sets.to_bools(types)[found.types] & np.isfinite(found.cost)


def _is(question: Question, found: Scanned, chosen: Placement) -> Bools:
    offer, index = chosen.offer, question.index
    region = index.snapshot.region_index[offer.cloud, offer.region]
    t = index.snapshot.type_index.get((offer.cloud, offer.instance_type), -1)
    option = OPTION_OF_CODE.index(offer.option)
    is_it: Bools = (found.region == region) & (found.types == t) & (found.option == option)
    return is_it


def _cheapest(found: Scanned, rows: I64) -> int | None:
    """Row of least cost, then lowest offer number: option, region, price, type."""
    if not rows.size:
        return None
    return int(rows[np.lexsort((found.k[rows], found.cost[rows]))[0]])


def _candidate(question: Question, found: Scanned, row: int) -> Candidate:
    index = question.index
    k, region, option, t = (int(array[row]) for array in found[:4])
    case = spot_case(question, region, t, k) if option == SPOT else None
    name = index.snapshot.type_names[t]
    risk = 0 if case is None else case.risk
    cost = int(found.cost[row])
    return Candidate(
        cost, risk, question.nearness(region, name), index.price[k], region, name, option, 0, k, case, None
    )


def _would_win(reason: RejectionReason, candidate: Candidate, question: Question, chosen: Placement | None) -> str:
    change = _change(reason, candidate, question)
    if chosen is None:
        return change
    gain = chosen.terms.total - candidate.cost
    if reason is RejectionReason.COSTLIER:
        if gain > 0:
            return "less risk, or being the current place: it costs less, but within the tolerance"
        compute = round(candidate.price_nanos * question.factors[candidate.option])
        share = min(1.0, (1 - gain) / compute) if compute else 1.0
        return f"a price {share * 100.0:.2f} % lower"
    return f"{change}: saves {Money(gain).usd:.2f} USD"


def _change(reason: RejectionReason, candidate: Candidate, question: Question) -> str:  # noqa: C901, PLR0911 - one a reason
    place = question.index.snapshot.regions[candidate.region]
    match reason:
        case RejectionReason.RESIDENCY:
            return f"country {place.country} allowed"
        case RejectionReason.CLOUD_NOT_ALLOWED:
            return f"cloud {place.cloud} allowed"
        case RejectionReason.REGION_NOT_ALLOWED:
            return f"region {place.key} allowed"
        case RejectionReason.FAMILY_NOT_ALLOWED:
            family = question.index.family_of[question.index.type_of[candidate.k]]
            return f"family {family} allowed"
        case RejectionReason.TYPE_NOT_ALLOWED:
            return f"type {candidate.instance_type} allowed"
        case RejectionReason.BLOCKED_BY_REQUEST:
            return f"{candidate.instance_type} in {place.key} not blocked"
        case RejectionReason.BLOCKED_BY_OUTCOME:
            return f"capacity for {candidate.instance_type} in {place.key}"
        case RejectionReason.QUOTA:
            return f"more quota in {place.key}"
        case RejectionReason.DEADLINE:
            return "a later deadline"
        case RejectionReason.LATENCY:
            latency = question.latency_ms
            return "a higher latency limit" if latency is None else f"a limit of {latency[candidate.region]:.0f} ms"
        case RejectionReason.NOT_ENOUGH_ZONES:
            return "a spread over fewer zones"
        case _:
            return f"without {reason.name}"
