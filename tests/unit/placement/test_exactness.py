"""The search agrees with looking at every offer, in place, cost, verdict and fallbacks: 2,000 random requests."""

from dataclasses import replace

import pytest

from tests.support.brute_force import BruteForce
from tests.support.comparison import compare
from tests.support.requests import Case, Requests
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.decisions import Verdict
from trimtab_service.domain.offers import PurchaseOption
from trimtab_service.placement.engine import VALID_FOR, decide
from trimtab_service.placement.index import index_of
from trimtab_service.placement.plain import plain_decision


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["plain", "guarded", "full"])
def test_small_catalogue(small: CatalogSnapshot, small_scorer: BruteForce, kind: str, seed: int) -> None:
    """100 requests of a kind a seed: nothing differs, and most of them can be placed."""
    requests = Requests(small, seed)
    placed = 0
    for number in range(100):
        case: Case = getattr(requests, kind)()
        decision, difference = compare(small, small_scorer, case)
        assert not difference, f"{kind} {seed}/{number}: {case.query.workload}\n{difference}"
        placed += decision.chosen is not None
    assert placed > (40 if kind == "full" else 60)


@pytest.mark.parametrize(("kind", "seed"), [("plain", 1), ("guarded", 2), ("full", 3), ("full", 4)])
def test_packaged_catalogue(starter: CatalogSnapshot, starter_scorer: BruteForce, kind: str, seed: int) -> None:
    """50 requests of a kind a seed over all packaged offers."""
    requests = Requests(starter, 100 + seed)
    for number in range(50):
        case: Case = getattr(requests, kind)()
        _, difference = compare(starter, starter_scorer, case)
        assert not difference, f"{kind} {seed}/{number}: {case.query.workload}\n{difference}"


def test_the_requests_are_of_full_variety(small: CatalogSnapshot) -> None:
    """Every field is used by many of the random requests, alone and together, and all verdicts but one come up."""
    requests = Requests(small, 7)
    cases = [requests.full() for _ in range(400)]
    works = [case.query.workload for case in cases]
    for name in (
        "deadline",
        "users",
        "residency",
        "current",
        "quotas",
        "blocked_offers",
        "caller_offers",
        "services",
        "data_sets",
        "month_to_date_egress",
        "partitions",
    ):
        assert sum(bool(getattr(work, name)) for work in works) > 20, name
    assert sum(case.policy.residencies != () for case in cases) > 20
    assert sum(case.state.learned.has_rates for case in cases) > 100
    assert sum(case.state.rooms.has_commitments for case in cases) > 100
    decisions = [decide(c.query, small, c.policy, c.state, c.instant) for c in cases]
    assert {one.verdict for one in decisions} >= {Verdict.PLACED, Verdict.STAY, Verdict.INFEASIBLE}
    options = {one.chosen.offer.option for one in decisions if one.chosen is not None}
    assert options == {
        PurchaseOption.ON_DEMAND,
        PurchaseOption.SPOT,
        PurchaseOption.RESERVED_1Y,
        PurchaseOption.RESERVED_3Y,
        PurchaseOption.OWNED_COMMITMENT,
    }


def test_explained_counts_are_those_of_every_offer(small: CatalogSnapshot, small_scorer: BruteForce) -> None:
    """The explanation's feasible offers are as many as the brute-force scorer finds, and no offer is counted twice."""
    requests = Requests(small, 21)
    checked = 0
    for _ in range(150):
        case = requests.full()
        if PurchaseOption.OWNED_COMMITMENT in case.query.workload.options:
            continue
        decision = decide(replace(case.query, explain=True), small, case.policy, case.state, case.instant)
        explanation = decision.explanation
        assert explanation is not None
        answer = small_scorer.decide(case.query, case.policy, case.state, case.instant)
        assert explanation.feasible_offers == answer.feasible
        counted = sum(count for _, count in explanation.rejected_offers)
        assert counted + (1 if decision.chosen is not None else 0) == explanation.offers
        checked += 1
    assert checked > 50


def test_plain_requests_are_decided_alike_by_both_ways(starter: CatalogSnapshot) -> None:
    """The short way for plain requests gives the engine's decision, field by field; explaining takes the long way."""
    requests = Requests(starter, 31)
    short = 0
    for number in range(216):
        case = requests.plain()
        query = replace(case.query, max_fallbacks=number % 9)
        decision = decide(query, starter, case.policy, case.state, case.instant)
        explained = decide(replace(query, explain=True), starter, case.policy, case.state, case.instant)
        assert decision == explained._replace(explanation=None), case.query.workload
        found = plain_decision(query, index_of(starter), case.policy, case.state, case.instant, VALID_FOR)
        short += found is not None
    assert short > 160
