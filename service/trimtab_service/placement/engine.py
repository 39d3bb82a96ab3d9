"""Where: one request, one catalogue, one policy, one project state and one instant in; one decision out.

A pure function: the same arguments give the same decision, whatever was decided before. Caches hold only what
their keys determine.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.decisions import Decision, Placement, Verdict
from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.workloads import PlaceQuery
from trimtab_service.placement.answer import notes, placement
from trimtab_service.placement.asked import Asked
from trimtab_service.placement.candidates import Candidate
from trimtab_service.placement.explain import explanation
from trimtab_service.placement.explicit import explicit_candidates
from trimtab_service.placement.fallbacks import fallbacks
from trimtab_service.placement.index import SearchIndex, index_of
from trimtab_service.placement.plain import plain_decision
from trimtab_service.placement.question import Question
from trimtab_service.placement.rejections import rejected_regions
from trimtab_service.placement.relax import relaxations
from trimtab_service.placement.search import Frontier
from trimtab_service.placement.state import ProjectState
from trimtab_service.placement.staying import best_staying, gains_enough, is_staying

VALID_FOR: Final = timedelta(minutes=15)
"""How long an answer stands at most: prices, capacity and blocks change."""


def decide(
    query: PlaceQuery,
    snapshot: CatalogSnapshot,
    policy: EffectivePolicy,
    state: ProjectState,
    instant: datetime,
) -> Decision:
    """The feasible offer of least expected cost, by the declared order, with its fallbacks and what was rejected.

    Never raises for a request that was parsed against this snapshot: infeasible and unsupported are verdicts.
    """
    return decide_on(index_of(snapshot), query, policy, state, instant)


def decide_on(
    index: SearchIndex, query: PlaceQuery, policy: EffectivePolicy, state: ProjectState, instant: datetime
) -> Decision:
    """As `decide`, on the index of a snapshot."""
    asked = Asked(query, index, policy, state, instant)
    decision = None if query.explain else _short(asked)
    if decision is not None and decision.verdict is Verdict.PLACED:
        return decision
    question = None
    if decision is None:
        question = asked.question()
        decision = _answer(question)
    if decision.verdict is Verdict.INFEASIBLE:
        decision = decision._replace(relaxations=relaxations(asked, _best_place))
    if query.explain and question is not None:
        decision = decision._replace(explanation=explanation(question, decision.chosen))
    return decision


def _short(asked: Asked) -> Decision | None:
    """What the compiled kernel, or the written-out form of plain requests, makes of a request that it knows."""
    query, index, policy, state, instant = asked
    if index.kernel is not None:
        return index.kernel.decide(query, policy, state, instant, VALID_FOR)
    return plain_decision(query, index, policy, state, instant, VALID_FOR)


def _best_place(asked: Asked) -> Placement | None:
    """The best place alone, None when the request is infeasible."""
    decision = _short(asked)
    if decision is not None:
        return decision.chosen
    question = asked.question()
    best = best_candidate(question)
    return None if best is None else placement(question, best)


def best_candidate(question: Question) -> Candidate | None:
    """The best candidate alone, None when the request is infeasible."""
    return _next_best(question, Frontier(question, explicit_candidates(question)))()


def _next_best(question: Question, frontier: Frontier) -> Callable[[], Candidate | None]:
    tolerance = question.workload.tolerance_fraction
    if tolerance is None:
        tolerance = question.policy.tolerance_fraction
    return partial(frontier.next_in_band, tolerance) if tolerance > 0.0 else frontier.next_best


def _answer(question: Question) -> Decision:
    workload = question.workload
    explicit = explicit_candidates(question) if workload.current or workload.caller_offers else []
    frontier = Frontier(question, explicit)
    next_best = _next_best(question, frontier)
    best = next_best()
    if best is None:
        return _nothing(question, frontier)
    chosen, verdict, cheaper = best, Verdict.PLACED, None
    if workload.current is not None:
        if is_staying(question, best):
            verdict = Verdict.STAY
        else:
            staying = best_staying(question, explicit)
            if staying is not None and not gains_enough(question, staying, best):
                chosen, verdict, cheaper = staying, Verdict.STAY, staying.cost
                frontier = Frontier(question, explicit)
                frontier.leave_out(1 << staying.region)
                next_best = _next_best(question, frontier)
    place = placement(question, chosen)
    found = fallbacks(question, frontier, chosen, place, next_best)
    answered = 1 << chosen.region
    for other in found:
        answered |= 1 << question.index.snapshot.region_index[other.placement.offer[:2]]
    worse = 0 if cheaper is None else sum(1 for other in found if other.placement.terms.total < cheaper)
    return Decision(
        verdict,
        place,
        tuple(found),
        rejected_regions(question, frontier.closed, answered, worse),
        valid_until(question, place),
        notes(question, place),
        approval_required_by=_approval(question.policy, place),
    )


def _nothing(question: Question, frontier: Frontier) -> Decision:
    """No candidate: nothing is known about what was asked for, or it cannot be met."""
    size, index = question.workload.size, question.index
    pinned = size.instance_type
    priced = {offer.instance_type for offer in question.workload.caller_offers}
    unknown = bool(pinned) and pinned not in priced and not index.has_offers(index.type_sets.named(pinned or ""))
    found = notes(question, None)
    if unknown:
        found = (*found, f"no price of {pinned} is known; a caller offer may bring one")
    return Decision(
        Verdict.UNSUPPORTED if unknown else Verdict.INFEASIBLE,
        None,
        (),
        rejected_regions(question, frontier.closed, 0),
        valid_until(question, None),
        found,
    )


def valid_until(question: Question, chosen: Placement | None) -> datetime:
    """When to ask again, at the latest after `VALID_FOR`.

    Earlier when a block of an offer ends that would do, when uninterrupted work could no longer meet the deadline,
    and when a commitment that covers the place ends.
    """
    until = question.instant + VALID_FOR
    if question.outcome_barriers is not None:
        codes = sum(1 << code for code in question.codes)
        for region, barriers in question.outcome_barriers.by_region.items():
            for barrier in barriers:
                end = barrier.end_time
                if end is not None and end < until and barrier.options & codes and question.allowed >> region & 1:
                    until = end if barrier.types & question.ok else until
    if chosen is not None:
        if question.left_hours is not None and question.left_hours > question.hours:
            slack = question.left_hours - question.hours
            if slack * 3600.0 < VALID_FOR.total_seconds():
                until = min(until, question.instant + timedelta(hours=slack))
        if chosen.commitments:
            until = min(until, question.state.rooms.steady_until(question.instant))
    return until


def _approval(policy: EffectivePolicy, chosen: Placement) -> str:
    threshold = policy.approval_threshold_micros
    return policy.approval_source if threshold is not None and chosen.terms.total > threshold else ""
