"""Plans with their proof through a real server, and what becomes of them."""

import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import grpc
import pytest

from tests.support import purchase_requests as asked
from tests.support.contract import refusal_of
from tests.support.planning import NOW, PLAN, amount, parts, planned, proof_of, refused
from tests.support.purchase_requests import daily, demand, offer, owned, question, usd
from tests.support.service import RunningService, running_service
from trimtab.v1 import commitment_service_pb2, recommendation_service_pb2, types_pb2
from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab_service.bootstrap import Overrides


def test_a_plan_is_proved_by_its_reply_alone(service: RunningService, parent: str) -> None:
    """Cost and bound are recomputed from the evidence; they meet, and are what the reply says."""
    plan = planned(service, question(parent))
    cost, bound = proof_of(plan)
    assert plan.verdict == PLAN.VERDICT_BUY
    assert plan.certificate.ending == pb.OptimalityCertificate.ENDING_OPTIMAL
    assert 0.0 <= (cost - bound) / cost <= 1e-9
    assert plan.certificate.gap <= 1e-9
    assert float(amount(plan.certificate.lower_bound)) == pytest.approx(bound, rel=1e-9)
    assert float(amount(plan.certificate.cost)) == pytest.approx(cost, rel=1e-9)
    assert float(amount(plan.bill.total_cost)) >= bound * (1 - 1e-12)


def test_the_figures_of_a_plan_add_up(service: RunningService, parent: str) -> None:
    """Bill, purchases, alternatives and periods say the same."""
    plan = planned(service, question(parent))
    bill = plan.bill
    assert amount(bill.commitment_cost) + amount(bill.uncovered_cost) == pytest.approx(
        amount(bill.total_cost), abs=Decimal("1e-6")
    )
    assert Decimal(bill.total_cost_exact) == pytest.approx(amount(bill.total_cost), abs=Decimal("1e-8"))
    costs = {one.alternative_id: amount(one.cost) for one in plan.alternatives}
    assert set(costs) == {"none", "clouds_own_rule", "flexible_only", "locked_only", "plan"}
    assert min(costs.values()) == costs["plan"] == pytest.approx(amount(plan.total_cost), rel=Decimal("1e-9"))
    assert costs["none"] == amount(plan.on_demand_cost)
    assert {one.scenario_id for one in plan.scenarios} == {
        "flat",
        "drift",
        "minus_20_percent",
        "largest_family_migrates",
    }
    assert all(0.0 < one.utilization <= 1.0 and one.regret >= -1e-9 for one in plan.scenarios)
    hours = sum(24 for _ in plan.periods)
    assert hours == plan.hours == 24 * 28
    usage = sum(one.usage for one in plan.periods) * 24
    assert usage == pytest.approx(float(amount(plan.on_demand_cost)))
    for one in plan.periods:
        assert len(one.covered) == len(plan.purchases)
        assert sum(one.covered) + one.uncovered + one.covered_by_owned == pytest.approx(one.usage)
        assert one.used <= one.committed * (1 + 1e-9)
    covered = sum(sum(one.covered) for one in plan.periods) * 24
    assert covered / usage == pytest.approx(plan.coverage)
    for purchase in plan.purchases:
        assert amount(purchase.saving) > 0
        assert purchase.end_time.ToDatetime() - purchase.purchase_time.ToDatetime() == asked.YEAR
        assert 0.0 <= purchase.probability_below_break_even <= 1.0
        assert 0.0 < purchase.fall_tolerance < 1.0
        assert amount(purchase.total_cost) == amount(purchase.commitment_per_hour) * 8_760
        assert purchase.return_until.ToDatetime() == datetime(2026, 11, 30, 12)  # noqa: DTZ001 - protobuf's are naive


def test_a_single_level_is_the_order_statistic(service: RunningService, parent: str) -> None:
    """One family at 1/2.1: the level is where at most T/p hours lie strictly above."""
    usage = [float(value) for value in daily(370, 2_000)]
    request = pb.OptimizePurchasePlanRequest(
        parent=parent,
        demand=demand(("m5", usage)),
        offers=[offer("one", 1 / 2.1, family="m5")],
        only_given_offers=True,
        validate_only=True,
    )
    plan = planned(service, request)
    level = sorted(usage)[2_000 - int(2_000 * 1 / 2.1) - 1]
    (purchase,) = plan.purchases
    assert float(amount(purchase.commitment_per_hour)) == pytest.approx(level / 2.1, abs=1e-5)
    spent = 2_000 * level / 2.1 + sum(max(value - level, 0.0) for value in usage)
    assert float(amount(plan.certificate.cost)) == pytest.approx(spent, rel=1e-12)


def test_a_plan_is_stored_as_a_recommendation_once(service: RunningService, parent: str) -> None:
    """A request id gets its first answer, without the evidence; asked anew it is the same recommendation."""
    request = question(parent)
    request.request_id = str(uuid.uuid4())
    first = planned(service, request)
    assert first.certificate.evidence
    assert first.recommendation.startswith(f"{parent}/recommendations/")
    again = planned(service, request)
    first.certificate.evidence = b""
    assert again == first
    request.offers[0].rate = 0.51
    assert refused(service, request).says("request_id") == "REQUEST_ID_REUSED"
    request.request_id = ""
    assert planned(service, request).recommendation == first.recommendation
    name = recommendation_service_pb2.GetRecommendationRequest(name=first.recommendation)
    stored = service.recommendation.GetRecommendation(name, timeout=30)
    assert "Commit " in stored.summary


def test_only_asked_about_nothing_is_stored(service: RunningService, parent: str) -> None:
    """`validate_only`."""
    request = question(parent)
    request.validate_only = True
    assert not planned(service, request).recommendation
    listed = service.recommendation.ListRecommendations(
        recommendation_service_pb2.ListRecommendationsRequest(parent=parent), timeout=30
    )
    assert not listed.recommendations


def test_the_hash_names_the_question_and_the_plan(service: RunningService, parent: str) -> None:
    """The same in one hour, streamed or whole; another with other usage or offers."""
    request = question(parent, hours=240)
    request.validate_only = True
    first = planned(service, request)
    request.skip_backtest, request.max_evidence_bytes = True, 1
    second = planned(service, request)
    assert second.plan_hash == first.plan_hash
    assert not second.certificate.evidence
    assert any("evidence" in text for text in second.omissions)
    assert service.purchasing.StreamOptimizePurchasePlan(parts(request), timeout=60).plan_hash == first.plan_hash
    request.demand.series[0].hourly_usage[3] += 1.0
    assert planned(service, request).plan_hash != first.plan_hash


def test_what_is_owned_is_not_bought_again(service: RunningService, parent: str) -> None:
    """With more than the optimum owned nothing is bought, and the calendar says what ends."""
    request = question(parent)
    request.owned.append(owned("mine", offer("", 0.66), 200, start=NOW - timedelta(days=1)))
    plan = planned(service, request)
    assert plan.verdict == PLAN.VERDICT_BUY_NOTHING
    assert not plan.purchases
    assert not plan.recommendation
    assert [(one.plan, amount(one.commitment_per_hour)) for one in plan.expiries] == [("mine", Decimal(200))]


def test_the_projects_own_commitments_are_netted(service: RunningService, parent: str) -> None:
    """Those of CommitmentService count as if they were given, unless they are to be left out."""
    commitment = commitment_service_pb2.Commitment(
        kind=asked.FLEXIBLE,
        cloud=types_pb2.CLOUD_AWS,
        spend_per_hour=usd(200),
        discount_fraction=0.34,
    )
    commitment.start_time.FromDatetime((NOW - timedelta(days=1)).replace(tzinfo=None))
    commitment.end_time.FromDatetime((NOW + timedelta(days=700)).replace(tzinfo=None))
    service.commitment.CreateCommitment(
        commitment_service_pb2.CreateCommitmentRequest(parent=parent, commitment=commitment), timeout=30
    )
    request = question(parent)
    assert planned(service, request).verdict == PLAN.VERDICT_BUY_NOTHING
    request.ignore_project_commitments = True
    assert planned(service, request).verdict == PLAN.VERDICT_BUY


def test_offers_that_do_not_count_are_named_with_their_reason(service: RunningService, parent: str) -> None:
    """Dearer than on demand, not for this usage, and 190 of 200 that others dominate."""
    request = question(parent, hours=240)
    request.offers.append(offer("dear", 1.2))
    request.offers.append(offer("elsewhere", 0.4, family="p4d"))
    request.offers.extend(offer(f"worse-{index}", 0.67 + index / 1_000) for index in range(190))
    plan = planned(service, request)
    reasons = {one.offer_id: one.reason for one in plan.dropped_offers}
    assert reasons["dear"] == "DEARER_THAN_ON_DEMAND"
    assert reasons["elsewhere"] == "NO_USAGE"
    assert sum(one.reason == "DOMINATED" and one.dominated_by == "flexible-1y" for one in plan.dropped_offers) == 190
    alone = question(parent, hours=240)
    assert planned(service, alone).certificate.cost == plan.certificate.cost


def hard(parent: str) -> pb.OptimizePurchasePlanRequest:
    """Many seconds of work, even for a fast machine: little usage, but many futures that are planned for together."""
    request = question(parent, hours=1_500)
    random = Random(1)
    request.demand.CopyFrom(
        demand(*((f"f{k}", [v * random.uniform(0.7, 1.3) for v in daily(20, 1_500, k)]) for k in range(10)))
    )
    del request.offers[:]
    request.offers.extend(offer(f"l{k}", 0.45 + k / 100, family=f"f{k}") for k in range(10))
    request.offers.append(offer("flexible", 0.6))
    for index in range(100):
        request.scenarios.add(scenario_id=f"s{index}", probability=1 / 100, scale=random.uniform(0.5, 1.5))
    request.risk_preference = pb.RISK_PREFERENCE_CVAR
    request.risk_tail = 0.2
    request.skip_backtest = request.validate_only = True
    request.max_evidence_bytes = 1
    return request


def test_a_deadline_shorter_than_the_solve_gives_the_best_so_far(service: RunningService, parent: str) -> None:
    """Marked, with a gap that says how far it may be, and with what was left out."""
    planned(service, question(parent, hours=24))  # a worker is up
    plan = planned(service, hard(parent), timeout=30)
    assert plan.certificate.ending == pb.OptimalityCertificate.ENDING_STOPPED
    assert 0.0 < plan.certificate.gap <= 1.0
    assert amount(plan.certificate.lower_bound) < amount(plan.certificate.cost) <= amount(plan.on_demand_cost)
    assert any("alternative" in text for text in plan.omissions)


def test_a_caller_who_leaves_frees_the_worker(service: RunningService, parent: str) -> None:
    """The pool answers the next caller, which it could not while its workers were at work for nobody."""
    calls = [service.purchasing.OptimizePurchasePlan.future(hard(parent), timeout=600) for _ in range(3)]
    with pytest.raises(grpc.FutureTimeoutError):
        calls[0].result(0.5)
    for call in calls:
        call.cancel()
    assert planned(service, question(parent, hours=24), timeout=30).verdict == PLAN.VERDICT_BUY


def test_projects_do_not_see_one_anothers_commitments(service: RunningService, parent: str) -> None:
    """What one owns is not netted from the other's plan."""
    other = f"projects/p{uuid.uuid4().hex[:12]}"
    commitment = commitment_service_pb2.Commitment(
        kind=asked.FLEXIBLE, cloud=types_pb2.CLOUD_AWS, spend_per_hour=usd(200), discount_fraction=0.34
    )
    commitment.start_time.FromDatetime((NOW - timedelta(days=1)).replace(tzinfo=None))
    commitment.end_time.FromDatetime((NOW + timedelta(days=700)).replace(tzinfo=None))
    service.commitment.CreateCommitment(
        commitment_service_pb2.CreateCommitmentRequest(parent=other, commitment=commitment), timeout=30
    )
    plan = planned(service, question(parent))
    assert plan.verdict == PLAN.VERDICT_BUY
    assert not [one for one in plan.expiries if not one.plan.endswith("-1y")]


def test_without_an_account_no_provider_is_asked(service: RunningService, parent: str) -> None:
    """Unsupported, and not an empty recommendation."""
    request = pb.FetchProviderRecommendationRequest(parent=parent, telemetry_source="prod", kind=asked.FLEXIBLE)
    with pytest.raises(grpc.RpcError) as caught:
        service.purchasing.FetchProviderRecommendation(request, timeout=30)
    assert refusal_of(caught.value).reason in {"UNSUPPORTED", "NOT_FOUND"}


def test_a_plan_outlives_the_service(tmp_path: Path, parent: str) -> None:
    """The recommendation is durable before the answer."""
    overrides = Overrides(clock=lambda: NOW)
    with running_service(tmp_path, overrides=overrides) as before:
        name = planned(before, question(parent, hours=240)).recommendation
    with running_service(tmp_path, overrides=overrides) as after:
        got = after.recommendation.GetRecommendation(
            recommendation_service_pb2.GetRecommendationRequest(name=name), timeout=30
        )
    assert got.name == name
