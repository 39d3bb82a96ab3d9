"""When work that may wait is best started: what is advised is what looking at every start and every offer finds."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from random import Random
from typing import NamedTuple

import pytest

from tests.support.brute_force import BruteForce
from tests.support.project_states import NOW, PROJECT
from tests.support.requests import Case, Requests
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.commitments import Commitment, CommitmentKind
from trimtab_service.domain.coverage import OfferFacts
from trimtab_service.domain.offers import Cloud, PurchaseOption
from trimtab_service.domain.policy import NO_POLICY
from trimtab_service.domain.workloads import CallerOffer, PlaceQuery, RegionKey, Residency, Size, Workload
from trimtab_service.placement.rooms import Rooms
from trimtab_service.placement.start_times import start_advice
from trimtab_service.placement.state import ProjectState

HOUR = timedelta(hours=1)
OD, OWNED, SPOT = PurchaseOption.ON_DEMAND, PurchaseOption.OWNED_COMMITMENT, PurchaseOption.SPOT


class Run(NamedTuple):
    """A run found by looking at everything."""

    total: int
    start: datetime
    offer: tuple[str, str, str]


def slots(start: datetime, hours: float) -> Iterator[tuple[datetime, Fraction]]:
    """The beginnings of the hours that a run touches, and how much of each it takes, in hours."""
    end = start + timedelta(microseconds=round(hours * 3_600_000_000))
    while start < end:
        upto = min(start.replace(minute=0, second=0, microsecond=0) + HOUR, end)
        yield start, Fraction((upto - start) // timedelta(microseconds=1), 3_600_000_000)
        start = upto


def facts_of(world: BruteForce, region: tuple[str, str], name: str, price: int, zones: tuple[str, ...]) -> OfferFacts:
    """What coverage asks about a catalogue offer."""
    kind = next(one for one in world.types if one.name == name and one.cloud == region[0])
    return OfferFacts(
        kind.cloud, region[1], name, kind.family, kind.vcpus, kind.memory, kind.gpu, kind.gpus, price, zones
    )


def starts_of(case: Case) -> list[datetime]:
    """The instant and every full hour that the run may begin at."""
    work, starts = case.query.workload, [case.instant]
    last = work.latest_start or case.instant
    if work.deadline is not None:
        last = min(last, work.deadline - timedelta(microseconds=round(work.hours * 3_600_000_000)))
    start = case.instant.replace(minute=0, second=0, microsecond=0) + HOUR
    while start <= last:
        starts.append(start)
        start += HOUR
    return starts


def bought(world: BruteForce, case: Case) -> Iterator[Run]:
    """The best place without owned room, at once."""
    work = case.query.workload
    bare = replace(work, options=tuple(one for one in work.options if one is not OWNED))
    if bare.options:
        answer = world.decide(replace(case.query, workload=bare), case.policy, case.state, case.instant)
        if answer.chosen is not None:
            chosen = answer.chosen
            yield Run(chosen.cost, case.instant, (chosen.cloud, chosen.region, chosen.instance_type))


def every_run(world: BruteForce, case: Case) -> Iterator[Run]:
    """Every start on owned room at every offer, and the bought place at once."""
    yield from bought(world, case)
    work, policy = case.query.workload, case.policy
    allowed = [one for one in work.options if policy.options is None or one in policy.options]
    asked = replace(case.query, workload=replace(work, options=(OD,)))
    hours = [(start, list(slots(start, work.hours))) for start in starts_of(case)]
    begins = {begin for _, touched in hours for begin, _ in touched}
    at_any_cost = replace(policy, max_cost_micros=None, options=None)
    for offer in world.candidates(asked, at_any_cost, case.state, case.instant) if OWNED in allowed else ():
        facts = facts_of(world, offer.place, offer.instance_type, offer.price, offer.zones)
        other = offer.cost - round(offer.price * (work.hours * work.count / 1000.0))
        # Starts an hour apart touch the same hours, whose room is the same.
        rooms = {begin: case.state.rooms.cover(facts, work.count, begin).instances_milli for begin in begins}
        for start, touched in hours:
            covered = [(rooms[begin], part) for begin, part in touched]
            uncovered = sum(((work.count * 1000 - milli) * part for milli, part in covered), Fraction(0))
            is_whole = all(milli == work.count * 1000 for milli, _ in covered)
            some = any(milli for milli, _ in covered)
            total = other + round(offer.price * uncovered / 1_000_000)
            may = some and (is_whole or OD in allowed)
            if may and (policy.max_cost_micros is None or total <= policy.max_cost_micros):
                yield Run(total, start, (*offer.place, offer.instance_type))


def busy(random: Random) -> tuple[float, ...]:
    """Use by the hour of the week: of days, of nights, at random, or none said."""
    return random.choice(
        (
            (),
            tuple(1.0 if 8 <= hour % 24 < 20 else 0.1 for hour in range(168)),
            tuple(0.0 if hour % 24 < 6 else 0.8 for hour in range(168)),
            tuple(random.random() for _ in range(168)),
        )
    )


def deferrable(requests: Requests) -> Case:
    """A request of full variety, for work that may wait, with rooms of all kinds."""
    random = requests.random
    case = requests.full()
    work = replace(
        case.query.workload,
        is_service=False,
        hours=random.choice((0.25, 1.0, 3.5, 12.0, random.uniform(0.1, 40.0))),
        options=random.choice(((OD, OWNED), (OD, SPOT, OWNED), (OWNED,), (OD, OWNED))),
        current=None,
        caller_offers=(),
        deadline=None if random.random() < 0.8 else NOW + timedelta(hours=80),
        tolerance_fraction=None,
    )
    rooms = case.state.rooms
    if random.random() < 0.8:
        places = [RegionKey(one.cloud, one.region) for _, one in rooms.commitments.items() if one.region]
        places += random.sample(requests.regions, 2)
        work = replace(work, residency=Residency(regions=frozenset(places)), users=None, services=())
        work = replace(work, size=Size(vcpus=random.choice((1.0, 2.0, 8.0))), count=random.choice((1, 2, 5)))
    for name, commitment in rooms.commitments.items():
        rooms = rooms.change(name, replace(commitment, used_by_hour_of_week=busy(random)))
        if random.random() < 0.3 and commitment.spend_nanos_per_hour:
            until = NOW + timedelta(hours=random.uniform(1.0, 60.0))
            drawn = [(commitment.name, commitment.spend_nanos_per_hour // 2)]
            rooms = rooms.draw(f"d{name}", drawn, until, NOW)
    instant = NOW + timedelta(minutes=random.choice((0.0, 0.0, 37.5)))
    work = replace(work, latest_start=instant + timedelta(hours=random.choice((0.0, 0.5, 5.0, 30.0))))
    policy = replace(case.policy, tolerance_fraction=0.0)
    return Case(replace(case.query, workload=work), policy, replace(case.state, rooms=rooms), instant)


@pytest.mark.parametrize("seed", range(3))
def test_the_start_is_the_cheapest_of_all(small: CatalogSnapshot, small_scorer: BruteForce, seed: int) -> None:
    """No start at any offer is cheaper, none as cheap is earlier, and the saving is against now.

    20 requests a seed, and on to the first that waits; which requests a seed gives hangs on the salt of hashes.
    """
    requests = Requests(small, 500 + seed)
    waits = 0
    for number in range(200):
        if number >= 20 and waits:
            break
        case = deferrable(requests)
        if len(case.state.rooms.commitments) == 0:
            continue
        advice = start_advice(case.query, small, case.policy, case.state, case.instant)
        runs = list(every_run(small_scorer, case))
        what = f"{seed}/{number}: {case.query.workload}"
        if not runs:
            assert advice is None, what
            continue
        assert advice is not None, what
        best = min(runs)
        assert (advice.terms.total, advice.start_time) == (best.total, best.start), what
        now = [run.total for run in runs if run.start == case.instant]
        assert advice.cost_now == (min(now) if now else None), what
        waits += advice.start_time > case.instant
    assert waits


IRELAND = RegionKey(Cloud.AWS, "eu-west-1")


def night_job(**fields: object) -> PlaceQuery:
    """Four hours of an m5.large in Ireland, to begin within a day."""
    work = Workload(
        size=Size(instance_type="m5.large"),
        hours=4.0,
        options=(OD, OWNED),
        residency=Residency(regions=frozenset({IRELAND})),
        latest_start=NOW + timedelta(hours=24),
    )
    return PlaceQuery(PROJECT, replace(work, **fields))  # type: ignore[arg-type] # fields of a workload


def owning(**fields: object) -> ProjectState:
    """One m5.large is reserved in Ireland; others use it from 6 to 22."""
    by_day = tuple(1.0 if 6 <= hour % 24 < 22 else 0.0 for hour in range(168))
    start = datetime(2020, 1, 1, tzinfo=UTC)
    commitment = Commitment(
        PROJECT, "ri", CommitmentKind.AWS_RESERVED_INSTANCE_STANDARD, Cloud.AWS, start, start + timedelta(days=9_999),
        region="eu-west-1", instance_type="m5.large", family="m5", instances=1.0, used_by_hour_of_week=by_day,
    )  # fmt: skip
    return ProjectState(rooms=Rooms().change("ri", replace(commitment, **fields)))  # type: ignore[arg-type] # as above


def test_work_that_may_wait_runs_at_night_for_nothing(starter: CatalogSnapshot) -> None:
    """At noon the reservation is in use: four hours cost their price now, and nothing from 22 o'clock on."""
    advice = start_advice(night_job(), starter, NO_POLICY, owning(), NOW)
    assert advice is not None
    assert advice.start_time == NOW.replace(hour=22)
    assert (advice.terms.total, advice.covered_hours, advice.instance_hours) == (0, 4.0, 4.0)
    assert advice.cost_now is not None
    assert advice.cost_now > 0
    assert advice.commitments == ("projects/p/commitments/ri",)
    assert advice.starts == 25


def test_without_a_free_hour_in_reach_it_starts_now(starter: CatalogSnapshot) -> None:
    """The earliest of starts that cost the same is the instant; there is nothing to save."""
    query = night_job(latest_start=NOW + timedelta(hours=4))
    advice = start_advice(query, starter, NO_POLICY, owning(), NOW)
    assert advice is not None
    assert (advice.start_time, advice.cost_now) == (NOW, advice.terms.total)
    assert advice.commitments == ()


def test_owned_room_alone_is_waited_for(starter: CatalogSnapshot) -> None:
    """Where nothing may be bought, it cannot be run now: the advice says when, and no cost of now."""
    advice = start_advice(night_job(options=(OWNED,)), starter, NO_POLICY, owning(), NOW)
    assert advice is not None
    assert (advice.start_time, advice.cost_now) == (NOW.replace(hour=22), None)
    never = owning(used_by_hour_of_week=(1.0,) * 168)
    assert start_advice(night_job(options=(OWNED,)), starter, NO_POLICY, never, NOW) is None


def test_nobody_who_does_not_ask_is_advised(starter: CatalogSnapshot) -> None:
    """No latest start, no advice."""
    assert start_advice(night_job(latest_start=None), starter, NO_POLICY, owning(), NOW) is None


def test_offers_of_the_caller_wait_too(starter: CatalogSnapshot) -> None:
    """A SageMaker plan in use by day covers one of two `ml.*` instances at night, which only the caller can price."""
    ml = CallerOffer(IRELAND, "ml.m5.large", OD, 200_000_000, Size(vcpus=2.0, memory_gib=8.0))
    query = night_job(size=Size(instance_type="ml.m5.large"), caller_offers=(ml,), count=2)
    plan = owning(
        kind=CommitmentKind.AWS_SAGEMAKER_SAVINGS_PLAN,
        region="",
        instance_type="",
        family="",
        instances=0.0,
        spend_nanos_per_hour=150_000_000,
        discount_fraction=0.25,
    )
    advice = start_advice(query, starter, NO_POLICY, plan, NOW)
    assert advice is not None
    assert (advice.start_time, advice.offer.instance_type) == (NOW.replace(hour=22), "ml.m5.large")
    # 0.15 USD an hour cover one of the two, which draw 0.15 each.
    assert (advice.terms.total, advice.cost_now) == (800_000, 1_600_000)
    assert advice.covered_hours == 4.0
