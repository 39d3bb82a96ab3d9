"""The compiled kernel decides as the interpreted engine does, field by field, or leaves the request to it."""

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.support.project_states import NOW
from tests.support.requests import Case, Requests
from trimtab_service import compiled
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.decisions import Decision, Verdict
from trimtab_service.domain.offers import PurchaseOption
from trimtab_service.domain.outcomes import Outcome
from trimtab_service.domain.workloads import GpuNeed, Interruption, OfferPattern, Workload
from trimtab_service.placement.engine import VALID_FOR, decide_on
from trimtab_service.placement.index import SearchIndex
from trimtab_service.placement.learned import LearnedState
from trimtab_service.placement.state import ProjectState

if TYPE_CHECKING:
    from collections.abc import Callable

BUILT = compiled.load("kernel") is not None


@pytest.fixture(scope="module")
def interpreted(starter: CatalogSnapshot) -> SearchIndex:
    """The packaged catalogue's index without the kernel."""
    index = SearchIndex(starter)
    index.kernel = None
    return index


@pytest.fixture(scope="module")
def fast(starter: CatalogSnapshot) -> SearchIndex:
    """The same with the kernel, where it is built."""
    index = SearchIndex(starter)
    assert (index.kernel is not None) == BUILT
    return index


def of_kernel(index: SearchIndex, case: Case) -> Decision | None:
    """What the kernel alone says of a case; None where it is not built or leaves it to the engine."""
    if index.kernel is None:
        return None
    return index.kernel.decide(case.query, case.policy, case.state, case.instant, VALID_FOR)


def hold(fast: SearchIndex, interpreted: SearchIndex, case: Case) -> bool:
    """Both forms decide a case alike, to the type of each number; whether the kernel knew it."""
    made = of_kernel(fast, case)
    expected = decide_on(interpreted, case.query, case.policy, case.state, case.instant)
    if made is not None:
        assert repr(made) == repr(expected._replace(relaxations=())), case.query
        assert made.verdict in {Verdict.PLACED, Verdict.INFEASIBLE}
    assert decide_on(fast, case.query, case.policy, case.state, case.instant) == expected, case.query
    return made is not None


def varied(work: Workload, requests: Requests) -> Workload:  # noqa: C901 - one chance a field
    """A workload with more: gangs, services, checkpoints, sizes, private links, repeated sources."""
    rng = requests.random
    if rng.random() < 0.3:
        work = replace(work, count=rng.choice((2, 8, 10_000)))
    if rng.random() < 0.2:
        work = replace(work, is_service=True)
    if rng.random() < 0.3:
        work = replace(
            work,
            interruption=Interruption(
                rng.choice((None, 0.0, 0.05)),
                rng.choice((0.0, 0.5, 100.0)),
                rng.choice((None, None, 0.0, 0.3, 5_000.0)),
                rng.choice((None, *requests.regions[:3])),
                rng.choice((0.0, 800.0)),
                rng.choice((0, 23_000_000)),
                rng.choice((None, None, 0.01, 3.0)),
            ),
        )
    if rng.random() < 0.3:
        options = (*work.options, PurchaseOption.OWNED_COMMITMENT)
        work = replace(work, options=tuple(rng.sample(options, rng.randint(1, 3))))
    if rng.random() < 0.2:
        work = replace(work, hours=rng.choice((1e-6, 700.0, 87_000.0)))
    if rng.random() < 0.2:
        work = replace(work, data_sets=work.data_sets * 2)
    if rng.random() < 0.2:
        data = work.data_sets[0]
        private = replace(
            data, private_nanos_per_gib=7_000_000, private_clouds=rng.choice(((), (data.location.cloud,)))
        )
        work = replace(work, data_sets=(private, data, *work.data_sets))
    if rng.random() < 0.3:
        size = replace(
            work.size,
            architecture=rng.choice((None, "arm64", "x86_64", "another")),
            local_disk_gb=rng.choice((0.0, 500.0)),
            network_gbps=rng.choice((0.0, 20.0)),
        )
        work = replace(work, size=size)
    if rng.random() < 0.1:
        names = (rng.choice(requests.snapshot.type_names), "nothing-of-the-kind")
        work = replace(work, size=replace(work.size, instance_type=rng.choice(names)))
    if work.size.gpus and rng.random() < 0.3:
        need = GpuNeed(tuple(rng.sample(requests.parts.models, 2)), 1, rng.choice((0.0, 30.0, 60.0)))
        work = replace(work, size=replace(work.size, gpus=(*work.size.gpus, need)))
    if rng.random() < 0.1:
        work = replace(work, partitions=frozenset({"gov"}))
    return work


@pytest.mark.parametrize("kind", ["plain", "guarded"])
@pytest.mark.parametrize("seed", range(4))
def test_requests_that_the_kernel_knows(fast: SearchIndex, interpreted: SearchIndex, kind: str, seed: int) -> None:
    """200 requests of a kind a seed, with all that it knows, and no fallbacks or many: the same answer."""
    requests = Requests(interpreted.snapshot, 40 + seed)
    rng, known = requests.random, 0
    make: Callable[[], Case] = getattr(requests, kind)
    for _ in range(200):
        case = make()
        work = varied(case.query.workload, requests)
        query = replace(case.query, workload=work, max_fallbacks=rng.choice((0, 1, 2, 3, 8)))
        known += hold(fast, interpreted, replace(case, query=query))
    assert known > 100 or not BUILT


@pytest.mark.parametrize("kind", ["plain", "guarded"])
def test_policies_prices_and_deadlines(fast: SearchIndex, interpreted: SearchIndex, kind: str) -> None:
    """150 requests of a kind under policies, with deadlines and without estimates, of which many cannot be met."""
    requests = Requests(interpreted.snapshot, 60)
    rng, known = requests.random, 0
    make: Callable[[], Case] = getattr(requests, kind)
    for _ in range(150):
        case = make()
        work = replace(case.query.workload, allow_estimated_prices=rng.random() < 0.7)
        if rng.random() < 0.4:
            hours = work.hours * rng.choice((0.99, 1.0, 1.01, 1.2, 2.0)) + rng.choice((0.0, 0.1, 1.0))
            work = replace(work, deadline=case.instant + timedelta(hours=hours))
        policy = requests.states.policy()
        if rng.random() < 0.8:
            policy = replace(policy, tolerance_fraction=0.0)
        if rng.random() < 0.2:
            policy = replace(policy, approval_threshold_micros=1_000, approval_source="policies/p")
        known += hold(fast, interpreted, replace(case, query=replace(case.query, workload=work), policy=policy))
    assert known > 75 or not BUILT


@pytest.mark.parametrize("kind", ["plain", "guarded"])
def test_what_is_usual_is_known(fast: SearchIndex, kind: str) -> None:
    """Not one of 200 usual requests has to be decided the long way."""
    requests = Requests(fast.snapshot, 90)
    make: Callable[[], Case] = getattr(requests, kind)
    cases = [make() for _ in range(200)]
    assert not BUILT or all(of_kernel(fast, case) is not None for case in cases)


def test_requests_of_full_variety(fast: SearchIndex, interpreted: SearchIndex) -> None:
    """What the kernel does not know it leaves to the engine; the answer is the same."""
    requests = Requests(interpreted.snapshot, 77)
    known = sum(hold(fast, interpreted, requests.full()) for _ in range(150))
    assert known < 150


def test_blocks_of_zones_and_their_ends(fast: SearchIndex, interpreted: SearchIndex) -> None:
    """Zones that are blocked one after the other, until none is left; an answer ends when a block ends."""
    requests = Requests(interpreted.snapshot, 5)
    index, ends = interpreted, set()
    for _ in range(40):
        case = requests.plain()
        outcomes: list[Outcome] = []
        patterns: list[OfferPattern] = []
        for step in range(6):
            state = ProjectState(LearnedState().report(outcomes))
            work = replace(case.query.workload, blocked_offers=tuple(patterns))
            now = replace(case, query=replace(case.query, workload=work), state=state)
            hold(fast, interpreted, now)
            decision = decide_on(index, now.query, now.policy, state, now.instant)
            ends.add(decision.valid_until)
            if decision.chosen is None:
                break
            offer = decision.chosen.offer
            if step % 2:
                patterns.append(OfferPattern(None, offer.region, offer.zone, "", offer.option))
            else:
                event = NOW - timedelta(minutes=requests.random.uniform(0.0, 4.0))
                name = (offer.cloud, offer.region, offer.zone if step else "", offer.instance_type, offer.option)
                outcomes.append(Outcome(*name, event, capacity_failure=True))
    assert len(ends) > 20


def test_evidence_that_comes_in(fast: SearchIndex, interpreted: SearchIndex) -> None:
    """After each of 300 reports of two projects the next decision uses it, in both forms alike."""
    requests = Requests(interpreted.snapshot, 6)
    rng, snapshot = requests.random, interpreted.snapshot
    case = requests.plain()
    states, first = [LearnedState(), LearnedState()], LearnedState()
    for number in range(300):
        t = rng.randrange(len(snapshot.type_names))
        cloud = snapshot.type_cloud(t)
        location = rng.choice([key for key in requests.regions if key.cloud is cloud])
        family = snapshot.families[int(snapshot.types.family[t])]
        outcome = Outcome(
            cloud,
            location.region,
            "",
            snapshot.type_names[t],
            PurchaseOption.SPOT,
            NOW,
            interruptions=rng.choice((0, 3)),
            hours_run=rng.choice((2.0, 90.0)),
            family=family,
        )
        which = number % 2
        states[which] = states[which].report([outcome])
        if number == 20:
            first = states[which]
        if number % 10 == 0:
            case = requests.plain()
        hold(fast, interpreted, replace(case, state=ProjectState(states[which])))
    hold(fast, interpreted, replace(case, state=ProjectState(first)))
