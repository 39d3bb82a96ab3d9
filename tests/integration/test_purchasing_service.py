"""The purchasing service through a real server: plans with their proof, back-tests, ladders, shadow prices."""

import gzip
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import grpc
import pytest

from tests.support import purchase_requests as asked
from tests.support.contract import Refusal, refusal_of
from tests.support.purchase_requests import daily, demand, offer, owned, question, usd
from tests.support.service import RunningService, running_service
from trimtab import certificates
from trimtab.v1 import commitment_service_pb2, recommendation_service_pb2, types_pb2
from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab_service.bootstrap import Overrides

POINT_CAP = 2_000_000
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PLAN = pb.PurchasePlan


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service for all; each test has a project of its own; its clock stands still."""
    overrides = Overrides(clock=lambda: NOW)
    with running_service(tmp_path_factory.mktemp("service"), overrides=overrides, sizing_points=POINT_CAP) as running:
        yield running


@pytest.fixture
def parent() -> str:
    """A project that no other test uses."""
    return f"projects/p{uuid.uuid4().hex[:12]}"


def planned(service: RunningService, request: pb.OptimizePurchasePlanRequest, timeout: float = 60) -> pb.PurchasePlan:
    """The plan."""
    answer: pb.PurchasePlan = service.purchasing.OptimizePurchasePlan(request, timeout=timeout)
    return answer


def refused(service: RunningService, request: pb.OptimizePurchasePlanRequest) -> Refusal:
    """The refusal of a request that must be refused."""
    with pytest.raises(grpc.RpcError) as caught:
        service.purchasing.OptimizePurchasePlan(request, timeout=60)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT, caught.value
    return refusal_of(caught.value)


def amount(money: object) -> Decimal:
    """A Money as it is."""
    return Decimal(getattr(money, "units", 0)) + Decimal(getattr(money, "nanos", 0)).scaleb(-9)


def proof_of(plan: pb.PurchasePlan) -> tuple[float, float]:
    """Cost and bound by the independent checker, from the reply alone."""
    document = json.loads(gzip.decompress(plan.certificate.evidence))
    cost = sum(
        certificates.cost(problem, amounts)
        for problem, amounts in zip(document["problems"], document["amounts"], strict=True)
    )
    bound = sum(
        certificates.lower_bound(problem, prices)
        for problem, prices in zip(document["problems"], document["prices"], strict=True)
    )
    return cost, bound


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


def parts(request: pb.OptimizePurchasePlanRequest, size: int = 100) -> Iterator[pb.StreamOptimizePurchasePlanRequest]:
    """A request as a stream: its heads, then hours in turn."""
    head = pb.OptimizePurchasePlanRequest()
    head.CopyFrom(request)
    for series in head.demand.series:
        del series.hourly_usage[:]
    yield pb.StreamOptimizePurchasePlanRequest(request=head)
    longest = max(len(series.hourly_usage) for series in request.demand.series)
    for begin in range(0, longest, size):
        for index, series in enumerate(request.demand.series):
            hours = pb.DemandHours(series=index, hourly_usage=series.hourly_usage[begin : begin + size])
            yield pb.StreamOptimizePurchasePlanRequest(hours=hours)


def test_a_stream_is_answered_as_one_message(service: RunningService, parent: str) -> None:
    """To the byte, but for how long it took; and stored."""
    request = question(parent)
    whole = planned(service, request)
    streamed = service.purchasing.StreamOptimizePurchasePlan(parts(request), timeout=60)
    for plan in (whole, streamed):
        plan.certificate.solve_seconds = 0.0
    assert streamed == whole


@pytest.mark.parametrize(
    ("first", "field"),
    [(False, "request.parent"), (True, "hours.series")],
)
def test_a_stream_out_of_order_is_refused(service: RunningService, parent: str, first: bool, field: str) -> None:
    """Hours before the request, and hours of a series that is not there."""
    stray = pb.StreamOptimizePurchasePlanRequest(hours=pb.DemandHours(series=7, hourly_usage=[1.0]))
    messages = [*parts(question(parent, hours=24)), stray] if first else [stray]
    with pytest.raises(grpc.RpcError) as caught:
        service.purchasing.StreamOptimizePurchasePlan(iter(messages), timeout=60)
    assert field in refusal_of(caught.value).fields


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


def test_missing_and_repeated_hours_are_told(service: RunningService, parent: str) -> None:
    """An hour that comes twice is summed, one that is missing is none; both are said."""
    request = question(parent, hours=48)
    request.demand.ClearField("start_time")
    begin = int(asked.START.timestamp())
    for series in request.demand.series:
        series.epoch_seconds.extend(begin + 3_600 * index for index in range(48))
        series.epoch_seconds[5] = series.epoch_seconds[4]
    notes = set(planned(service, request).demand_notes)
    assert notes == {"MISSING_HOURS_ZERO", "DUPLICATE_HOURS_SUMMED", "SHORT_HISTORY"}


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), 1e13])
def test_usage_that_cannot_be_is_refused(service: RunningService, parent: str, value: float) -> None:
    """Negative, no number, infinite, or more than any bill holds; the field and the hour are named."""
    request = question(parent, hours=48)
    request.demand.series[1].hourly_usage[7] = value
    assert refused(service, request).says("demand.series[1].hourly_usage[7]") == "OUT_OF_RANGE"


def test_other_faults_are_named_all_at_once(service: RunningService, parent: str) -> None:
    """Currencies mixed, a term of 0, an unknown product, probabilities that do not sum to 1."""
    request = question(parent, hours=48)
    request.demand.currency_code = "EUR"
    request.demand.series[0].unit_price.CopyFrom(usd(1))
    request.offers[0].term.FromTimedelta(timedelta())
    request.offers[1].kind = KINDLESS
    request.offers[2].rate = 0.0
    request.purchase_times.add().FromDatetime(datetime(2026, 12, 1, 0, 30))  # noqa: DTZ001 - protobuf's are naive
    fields = refused(service, request).fields
    assert fields["demand.series[0].unit_price"] == "CONTRADICTION"
    assert fields["offers[0].term"] == "OUT_OF_RANGE"
    assert fields["offers[1].kind"] == "FIELD_REQUIRED"
    assert fields["offers[2].rate"] == "FIELD_REQUIRED"


KINDLESS = commitment_service_pb2.Commitment.KIND_UNSPECIFIED


def test_scenarios_are_parsed_with_the_rest(service: RunningService, parent: str) -> None:
    """Probabilities that do not sum to 1 are a fault of the request; those that do give a plan over the futures."""
    request = question(parent, hours=240)
    request.validate_only = True
    request.scenarios.add(scenario_id="flat", probability=0.5)
    assert "scenarios" in refused(service, request).fields
    request.scenarios.add(scenario_id="half", probability=0.5, scale=0.5)
    request.risk_preference = pb.RISK_PREFERENCE_CVAR
    plan = planned(service, request)
    assert plan.verdict == PLAN.VERDICT_BUY
    assert plan.certificate.gap <= 1e-6
    if plan.certificate.evidence:
        assert proof_of(plan)[1] == pytest.approx(float(amount(plan.certificate.lower_bound)), rel=1e-9)


def test_the_same_commitment_twice_is_refused_and_overlapping_ones_are_not(
    service: RunningService, parent: str
) -> None:
    """Ids tell them apart."""
    request = question(parent, hours=240)
    request.owned.append(owned("a", offer("", 0.66), 5, start=NOW))
    request.owned.append(owned("b", offer("", 0.66), 5, start=NOW))
    both = planned(service, request)
    assert {one.plan for one in both.expiries} >= {"a", "b"}
    request.owned[1].commitment_id = "a"
    assert refused(service, request).says("owned[1]") == "CONTRADICTION"


def test_no_usage_is_a_verdict_and_no_hours_an_error(service: RunningService, parent: str) -> None:
    """Two of the four different answers."""
    request = question(parent, hours=48)
    for series in request.demand.series:
        series.hourly_usage[:] = [0.0] * 48
    plan = planned(service, request)
    assert plan.verdict == PLAN.VERDICT_NO_USAGE
    assert not plan.purchases
    for series in request.demand.series:
        del series.hourly_usage[:]
    assert refused(service, request).says("demand.series") == "FIELD_REQUIRED"
    del request.demand.series[:]
    assert refused(service, request).says("demand.series") == "FIELD_REQUIRED"


def test_usage_that_no_offer_covers_is_unsupported(service: RunningService, parent: str) -> None:
    """Neither an error nor nothing to do."""
    request = question(parent, hours=48)
    del request.offers[:]
    request.offers.append(offer("elsewhere", 0.4, family="p4d"))
    assert planned(service, request).verdict == PLAN.VERDICT_UNSUPPORTED


def test_ten_years_are_planned_and_eleven_refused(service: RunningService, parent: str) -> None:
    """The cap is told with the field."""
    years = 10 * 8_784
    request = pb.OptimizePurchasePlanRequest(
        parent=parent,
        demand=demand(("m5", [float(5 + index % 5) for index in range(years)])),
        offers=[offer("one", 0.5, family="m5")],
        only_given_offers=True,
        validate_only=True,
    )
    assert planned(service, request).verdict == PLAN.VERDICT_BUY
    request.demand.series[0].hourly_usage.extend([1.0] * 8_784)
    assert refused(service, request).says("demand.series[0].hourly_usage") == "TOO_LARGE"


def test_more_than_memory_holds_is_refused_before_it_is_taken(service: RunningService, parent: str) -> None:
    """Few values, but a grid of 4,096 series over ten years: the matrix is never made."""
    request = pb.OptimizePurchasePlanRequest(parent=parent, offers=[offer("flexible", 0.6)], only_given_offers=True)
    first, last = int(asked.START.timestamp()), int(asked.START.timestamp()) + 3_600 * 87_000
    for index in range(4_096):
        request.demand.series.add(
            cloud=types_pb2.CLOUD_AWS,
            family=f"f{index}",
            region="us-east-1",
            hourly_usage=[1.0, 1.0],
            epoch_seconds=[first, last],
        )
    assert refused(service, request).says("demand.series") == "TOO_LARGE"
    request = question(parent, hours=48)
    request.demand.series[0].hourly_usage.extend([1.0] * 400_000)
    assert "TOO_LARGE" in refused(service, request).fields.values()


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
    plan = planned(service, hard(parent), timeout=12)
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


def test_a_back_test_walks_the_callers_own_history(service: RunningService, parent: str) -> None:
    """Every rule over two years; only those asked for are answered; too short a history says how much is wanted."""
    request = pb.BacktestPurchasePolicyRequest(parent=parent, demand=demand(("m5", daily(100, 24 * 730))), rate=1 / 2.1)
    answer = service.purchasing.BacktestPurchasePolicy(request, timeout=60)
    rules = {one.policy_id: one for one in answer.decisions}
    assert {"none", "quantile_30_days", "drift"} <= set(rules)
    assert rules["none"].mean_regret > rules["quantile_30_days"].mean_regret >= 0.0
    assert {one.policy_id for one in answer.ladders} >= {"monthly_top_up", "bulk"}
    request.policy_ids.append("drift")
    assert [one.policy_id for one in service.purchasing.BacktestPurchasePolicy(request, timeout=60).decisions] == [
        "drift"
    ]
    request.policy_ids.append("guess")
    with pytest.raises(grpc.RpcError) as caught:
        service.purchasing.BacktestPurchasePolicy(request, timeout=60)
    assert refusal_of(caught.value).says("policy_ids[1]") == "UNKNOWN_VALUE"
    del request.policy_ids[:]
    del request.demand.series[0].hourly_usage[2_000:]
    short = service.purchasing.BacktestPurchasePolicy(request, timeout=60)
    assert not short.decisions
    assert short.months < short.months_needed


def test_a_ladder_tops_up_what_is_in_force(service: RunningService, parent: str) -> None:
    """Portions of one step follow one another; what is owned counts until it ends; a declared end stops it."""
    request = pb.PlanLadderRequest(
        parent=parent, demand=demand(("m5", daily(600, 24 * 120))), offer=offer("flexible", 0.6), steps=12
    )
    request.owned.append(owned("old", offer("", 0.6), 100, start=NOW - timedelta(days=300)))
    ladder = service.purchasing.PlanLadder(request, timeout=60)
    assert amount(ladder.steps[0].before_per_hour) == 100
    level = amount(ladder.steps[0].before_per_hour)
    for step in ladder.steps:
        assert amount(step.target_per_hour) == amount(step.before_per_hour) + amount(step.buy_per_hour)
        if step.purchase_time == ladder.steps[0].purchase_time:
            assert amount(step.before_per_hour) == level
            level = amount(step.target_per_hour)
            assert amount(step.buy_per_hour) <= 100
    ends = [one.end_time.ToDatetime() for one in ladder.expiries]
    assert ends == sorted(ends)
    assert ladder.expiries[0].plan == "old"
    change = request.changes.add(kind=pb.DeclaredChange.KIND_RETIRES, cloud=types_pb2.CLOUD_AWS, family="m5")
    change.effective_time.FromDatetime((NOW + timedelta(days=60)).replace(tzinfo=None))
    assert not service.purchasing.PlanLadder(request, timeout=60).steps


def test_a_ladder_of_an_offer_for_nothing_is_unsupported(service: RunningService, parent: str) -> None:
    """It covers none of the usage."""
    request = pb.PlanLadderRequest(
        parent=parent, demand=demand(("m5", daily(60, 240))), offer=offer("other", 0.6, family="c5")
    )
    with pytest.raises(grpc.RpcError) as caught:
        service.purchasing.PlanLadder(request, timeout=60)
    assert refusal_of(caught.value).reason == "UNSUPPORTED"


def test_shadow_prices_say_when_a_committed_dollar_is_idle(service: RunningService, parent: str) -> None:
    """Nights of no usage are idle hours; by day the commitment is worth what it replaces."""
    usage = [10.0 if 8 <= hour % 24 < 20 else 0.0 for hour in range(24 * 14)]
    request = pb.GetShadowPricesRequest(parent=parent, demand=demand(("m5", usage), ("c5", usage)))
    request.plans.append(owned("flexible", offer("", 0.5), 4))
    prices = service.purchasing.GetShadowPrices(request, timeout=60)
    assert prices.idle_fraction == 0.5
    assert list(prices.hourly_idle[:24]) == [4.0] * 8 + [0.0] * 12 + [4.0] * 4
    assert [round(worth, 6) for worth in prices.hourly_worth[:24]] == [0.0] * 8 + [2.0] * 12 + [0.0] * 4
    assert list(prices.idle_by_hour_of_week) == [0.0 if 8 <= hour % 24 < 20 else 1.0 for hour in range(168)]


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
