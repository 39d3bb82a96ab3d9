"""Back-tests, ladders and shadow prices."""

from datetime import timedelta

import grpc
import pytest

from tests.support.contract import refusal_of
from tests.support.planning import NOW, amount
from tests.support.purchase_requests import daily, demand, offer, owned
from tests.support.service import RunningService
from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab.v1 import types_pb2


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
