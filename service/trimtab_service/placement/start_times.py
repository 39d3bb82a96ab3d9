"""When work that may wait is best started: in hours in which owned room is free.

For every start (the instant, then each full hour to the latest one) and every place that owned room may cover, the cost
of a run is

    rint(p x sum over its hours of uncovered(hour) x part of the hour) + egress + preference,

p nano-USD an hour, summed in integers and rounded once, half to even. `uncovered` is what the room of the hour leaves
of the gang: capacity less what others use in that hour of the week, less what decisions hold then. An hour's room is
that at its beginning. All else is as the decision has it, so a place without owned room costs the same whenever it is
started, and only starting it at once is compared.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Final, NamedTuple

from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.commitments import MILLI
from trimtab_service.domain.coverage import OfferFacts
from trimtab_service.domain.decisions import CostTerms, StartAdvice
from trimtab_service.domain.offers import PurchaseOption
from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.workloads import PlaceQuery, Workload
from trimtab_service.placement.answer import chosen_offer, placement, zones_of
from trimtab_service.placement.candidates import Candidate
from trimtab_service.placement.costs import may_leave_uncovered, place_costs
from trimtab_service.placement.engine import best_candidate
from trimtab_service.placement.explicit import caller_candidates, caller_facts
from trimtab_service.placement.index import OwnedTypes, index_of
from trimtab_service.placement.options import OWNED
from trimtab_service.placement.owned_cells import offer_facts, owned_offers
from trimtab_service.placement.owned_types import owned_types
from trimtab_service.placement.question import Question
from trimtab_service.placement.rooms import Coverage
from trimtab_service.placement.state import ProjectState
from trimtab_service.placement.type_sets import TypeSet, TypeSets

MOST_PLACES: Final = 256
"""Places under owned room that are compared at most: a bound on the time that one question takes."""

_HOUR: Final = timedelta(hours=1)
_MICROSECOND: Final = timedelta(microseconds=1)
_HOUR_US: Final = _HOUR // _MICROSECOND


class _Place(NamedTuple):
    """A place that owned room may cover. Sorts by what a run costs there at least: `other`, egress and preference."""

    other: int
    price_nanos: int
    origin: int
    region: int
    name: str
    k: int
    facts: OfferFacts


class _Run(NamedTuple):
    """A run from `start` at `place`: its `total` micros, `compute` of them; `uncovered` in milli-instances x us."""

    total: int
    start: datetime
    place: _Place
    compute: int
    uncovered: int
    first: int
    last: int


def start_advice(
    query: PlaceQuery, snapshot: CatalogSnapshot, policy: EffectivePolicy, state: ProjectState, instant: datetime
) -> StartAdvice | None:
    """The cheapest start, of equal ones the earliest; None where none was asked for, or no place fits."""
    latest = query.workload.latest_start
    if latest is None:
        return None
    question = Question(query, index_of(snapshot), policy, state, instant)
    slots, bought = _Slots(question, latest), _bought(question)
    # Places are looked for under all that is owned at some time until the end.
    question.owned = _owned(question, slots.end)
    best, at_once = _runs(question, slots, bought)
    cost_now = min(
        (cost for cost in (at_once, None if bought is None else bought.cost) if cost is not None), default=None
    )
    hours = question.hours * question.workload.count
    if bought is not None and (best is None or (bought.cost, instant) < (best.total, best.start)):
        now = placement(question, bought)
        return StartAdvice(instant, now.offer, now.terms, cost_now, 0.0, hours, (), len(slots.starts))
    if best is None:
        return None
    covers = slots.covers(best.place)[best.first : best.last]
    names = dict.fromkeys(name for cover in covers for name in cover.commitments)
    place, region = best.place, best.place.region
    candidate = Candidate(
        best.total, 0, 0, place.price_nanos, region, place.name, OWNED, place.origin, place.k, None, covers[0]
    )
    zone = next(iter(zones_of(question, candidate)), "") if question.workload.spread_zones <= 1 else ""
    egress, preference = place_costs(question, region)
    whole = question.workload.count * MILLI * slots.length
    return StartAdvice(
        best.start,
        chosen_offer(question, candidate, zone),
        CostTerms(compute=best.compute, egress=egress, preference=preference),
        cost_now,
        (whole - best.uncovered) / (MILLI * _HOUR_US),
        hours,
        tuple(names),
        len(slots.starts),
    )


def _runs(question: Question, slots: "_Slots", bought: Candidate | None) -> tuple[_Run | None, int | None]:
    """The best run on owned room, and what the cheapest at once costs; places that cannot win are not looked at."""
    best, at_once = None, None
    for place in _places(question):
        least_now = min(
            (cost for cost in (at_once, None if bought is None else bought.cost) if cost is not None), default=None
        )
        if best is not None and least_now is not None and place.other > max(best.total, least_now):
            break
        for run in slots.runs(place):
            best = run if best is None else min(best, run)
            if run.start == question.instant and (at_once is None or run.total < at_once):
                at_once = run.total
    return best, at_once


def _places(question: Question) -> list[_Place]:
    """Feasible places that owned room may cover at some time, in their order."""
    if question.owned is None:
        return []
    index, found = question.index, []
    for region in TypeSets.members(question.owned.regions & question.allowed):
        other = sum(place_costs(question, region))
        for k in owned_offers(question, region):
            price = index.price[k]
            facts = offer_facts(question, region, index.type_of[k], price)
            found.append(_Place(other, price, 0, region, facts.instance_type, k, facts))
    # What they cost on demand is no reason against them.
    policy = replace(question.policy, max_cost_micros=None)
    at_any_cost = question if not question.workload.caller_offers else _asked(question, question.workload, policy)
    for origin, offer in enumerate(question.workload.caller_offers, start=1):
        if offer.option is PurchaseOption.ON_DEMAND:
            on_demand = next(caller_candidates(at_any_cost, origin, offer))
            if type(on_demand) is Candidate:
                facts = caller_facts(question, offer)
                other, price = sum(place_costs(question, on_demand.region)), offer.nanos_per_hour
                found.append(_Place(other, price, origin, on_demand.region, offer.instance_type, -1, facts))
    return sorted(found)[:MOST_PLACES]


def _owned(question: Question, until: datetime) -> OwnedTypes | None:
    """What the commitments that are active at some time before `until` may cover."""
    rooms, instant = question.state.rooms, question.instant
    if not (question.rows.owned and rooms.has_commitments):
        return None
    begins = {one.from_time for one in rooms.owned().all if instant < one.from_time < until}
    regions, wide, singular = 0, 0, dict[int, TypeSet]()
    for time in (instant, *sorted(begins)):
        now = owned_types(question.index, rooms, time)
        regions, wide = regions | now.regions, wide | now.wide
        for region, types in now.singular.items():
            singular[region] = singular.get(region, 0) | types
    return OwnedTypes(regions, wide, singular)


def _bought(question: Question) -> Candidate | None:
    """The best place without owned room; None where there is none."""
    workload = question.workload
    options = tuple(one for one in workload.options if one is not PurchaseOption.OWNED_COMMITMENT)
    if not options:
        return None
    return best_candidate(_asked(question, replace(workload, options=options), question.policy))


def _asked(question: Question, workload: Workload, policy: EffectivePolicy) -> Question:
    """The question with another workload or policy."""
    query = replace(question.query, workload=workload)
    return Question(query, question.index, policy, question.state, question.instant)


class _Slots:
    """The time from the instant to the end of the last run, cut at full hours."""

    def __init__(self, question: Question, latest: datetime) -> None:
        self._question = question
        self.length = max(round(question.hours * _HOUR_US), 1)
        instant, run = question.instant, timedelta(microseconds=self.length)
        if question.workload.deadline is not None:
            latest = min(latest, question.workload.deadline - run)
        full = instant.replace(minute=0, second=0, microsecond=0)
        self._head = 0 if full == instant else (full + _HOUR - instant) // _MICROSECOND
        first = full if full == instant else full + _HOUR
        self.starts = [instant] if instant <= latest else []
        start = first if first > instant else first + _HOUR
        while start <= latest:
            self.starts.append(start)
            start += _HOUR
        self.end = self.starts[-1] + run if self.starts else instant
        count = -(-((self.end - first) // _MICROSECOND) // _HOUR_US)
        self._begins = [*([instant] if self._head else []), *(first + i * _HOUR for i in range(max(count, 0)))]
        self._known: dict[_Place, list[Coverage]] = {}

    def covers(self, place: _Place) -> list[Coverage]:
        """How far the room of each slot covers the gang there."""
        known = self._known.get(place)
        if known is not None:
            return known
        rooms, count = self._question.state.rooms, self._question.workload.count
        owned = rooms.owned().candidates(place.facts)
        made: dict[tuple[int, ...], Coverage] = {}
        known = self._known[place] = []
        for begin in self._begins:
            # Hours with the same rooms free are covered alike, and most hours are like others.
            free = tuple(
                room.capacity_at(begin) - rooms.drawn_milli(room.key, begin) if one.is_active(begin) else -1
                for one in owned
                for room in one.rooms
            )
            cover = made.get(free)
            if cover is None:
                cover = made[free] = rooms.cover(place.facts, count, begin)
            known.append(cover)
        return known

    def runs(self, place: _Place) -> Iterator[_Run]:
        """A run from every start: those that may be, and that room covers in part at least."""
        question = self._question
        covers = self.covers(place)
        whole = question.workload.count * MILLI
        left = [whole - cover.instances_milli for cover in covers]
        barred = [not may_leave_uncovered(question, cover) for cover in covers]
        sizes = [_HOUR_US] * len(covers)
        if self._head:
            sizes[0] = self._head
        upto = [0, *accumulate(amount * size for amount, size in zip(left, sizes, strict=True))]
        stops = [0, *accumulate(barred)]
        for number, start in enumerate(self.starts):
            head = self._head if not number else 0
            full = max(-(-(self.length - head) // _HOUR_US), 0)
            last = number + full + (head > 0)
            over = head + full * _HOUR_US - self.length
            uncovered = upto[last] - upto[number] - over * left[last - 1]
            if stops[last] - stops[number] or uncovered >= whole * self.length:
                continue
            compute = _half_even(place.price_nanos * uncovered, MILLI * 1_000 * _HOUR_US)
            total = compute + place.other
            if question.max_cost is None or total <= question.max_cost:
                yield _Run(total, start, place, compute, uncovered, number, last)


def _half_even(numerator: int, denominator: int) -> int:
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return whole + (twice > denominator or (twice == denominator and whole % 2 == 1))
