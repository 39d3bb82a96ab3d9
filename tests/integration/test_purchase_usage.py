"""Where usage comes from: in parts, or from what runs in configured accounts."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from tests.support.command_line import run
from tests.support.contract import Refusal, refusal_of
from tests.support.listed_fleet import ListedAccount, ListedAccounts
from tests.support.purchase_requests import daily, demand, offer, owned
from tests.support.service import RunningService, running_service
from trimtab.client import Client
from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab_service.bootstrap import Overrides
from trimtab_service.domain.offers import Cloud, PurchaseOption
from trimtab_service.domain.resources import CloudResource, ResourceKind

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
PROJECT = "fleet"
PARENT = f"projects/{PROJECT}"
LOOKBACK_H = 48


def machine(name: str, launched_h_ago: float | None = 1_000.0, **fields: object) -> CloudResource:
    """An m5.large in Ireland, launched so long before the last full hour."""
    start = None if launched_h_ago is None else NOW.replace(minute=0) - timedelta(hours=launched_h_ago)
    made = {"instance_type": "m5.large", "account": "123456789012", "start_time": start, **fields}
    return CloudResource(name, Cloud.AWS, "eu-west-1", **made)  # type: ignore[arg-type] # fields of a resource


FLEET = (
    machine("old"),
    machine("young", 10.5),
    machine("unknown", None),
    machine("group", 20, kind=ResourceKind.INSTANCE_GROUP, count=3),
    machine("spot", option=PurchaseOption.SPOT),
    machine("unpriced", instance_type="x9.unheard"),
    machine("pod", kind=ResourceKind.CONTAINER),
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service whose accounts list what the test says; its clock stands still."""
    sources = ListedAccounts(
        PROJECT, (ListedAccount("prod", FLEET), ListedAccount("empty"), ListedAccount("down", is_down=True))
    )
    overrides = Overrides(clock=lambda: NOW, sources=sources)
    with running_service(tmp_path_factory.mktemp("usage"), overrides=overrides) as running:
        yield running


def of_inventory(*names: str, always: bool = False) -> pb.PurchaseDemand:
    """Usage of what runs."""
    made = pb.PurchaseDemand(inventory=pb.InventoryUsage(telemetry_sources=names, assume_always=always))
    made.inventory.lookback.FromTimedelta(timedelta(hours=LOOKBACK_H))
    return made


def bill_of(service: RunningService, usage: pb.PurchaseDemand, **asked: object) -> pb.PurchaseBill:
    """The bill of usage that no plan covers."""
    request = pb.EvaluatePurchasePlanRequest(parent=PARENT, demand=usage, **asked)  # type: ignore[arg-type] # fields
    answer: pb.PurchaseBill = service.purchasing.EvaluatePurchasePlan(request, timeout=60)
    return answer


def refused(service: RunningService, usage: pb.PurchaseDemand) -> Refusal:
    """The refusal."""
    with pytest.raises(grpc.RpcError) as caught:
        bill_of(service, usage)
    return refusal_of(caught.value)


def test_what_runs_counts_from_its_launch_on(service: RunningService) -> None:
    """Hour by hour the bill is of the instances that ran then; the part of a first hour counts as a part."""
    bill = bill_of(service, of_inventory("prod"), hourly=True)
    last = bill.hourly_uncovered[-1] / 6  # old, young, unknown, three of the group
    expected = [2 + 3 * (hour >= LOOKBACK_H - 20) + min(max(hour + 1 - LOOKBACK_H + 10.5, 0), 1) for hour in range(48)]
    assert last > 0.05
    assert [usd / last for usd in bill.hourly_uncovered] == pytest.approx(expected)
    assert list(bill.demand_notes) == [
        "FROM_INVENTORY", "LAUNCH_UNKNOWN", "SPOT_LEFT_OUT", "UNPRICED_LEFT_OUT", "SHORT_HISTORY",
    ]  # fmt: skip


def test_a_fleet_may_be_said_to_have_always_run(service: RunningService) -> None:
    """Then every hour is as the last one, and the answer says so."""
    bill = bill_of(service, of_inventory("prod", always=True), hourly=True)
    assert len(set(bill.hourly_uncovered)) == 1
    assert "ASSUMED_ALWAYS_RUN" in bill.demand_notes
    assert "LAUNCH_UNKNOWN" not in bill.demand_notes


def test_a_plan_is_made_from_what_runs(service: RunningService) -> None:
    """The plan's own offers of the catalogue cover it, and the assumptions stand in the answer."""
    plan = service.purchasing.OptimizePurchasePlan(
        pb.OptimizePurchasePlanRequest(
            parent=PARENT, demand=of_inventory("prod", "empty"), offers=[offer("sp", 0.6)], validate_only=True
        ),
        timeout=60,
    )
    assert plan.verdict == pb.PurchasePlan.VERDICT_BUY
    assert plan.hours == LOOKBACK_H
    assert plan.demand_notes[0] == "FROM_INVENTORY"


def test_nothing_running_a_source_that_fails_and_an_unknown_one_are_three_answers(service: RunningService) -> None:
    """None of them is mistaken for another."""
    assert refused(service, of_inventory("empty")).reason == "NO_USAGE"
    assert refused(service, of_inventory("prod", "down")).reason == "SOURCE_FAILED"
    assert refused(service, of_inventory("other")).reason == "NOT_FOUND"
    both = of_inventory("prod")
    both.series.add()
    assert "demand.series" in refused(service, both).fields


def test_bills_and_shadow_prices_in_parts_are_those_of_one_message(service: RunningService) -> None:
    """However the hours come, and over more than one message a series."""
    hours = 24 * 14
    usage = demand(("m5", daily(60, hours)), ("c5", daily(30, hours, phase=9)))
    plans = [owned("flexible", offer("flexible-1y", 0.66), 50)]
    billed = pb.EvaluatePurchasePlanRequest(parent=PARENT, demand=usage, plans=plans, hourly=True)
    shadow = pb.GetShadowPricesRequest(parent=PARENT, demand=usage, plans=plans)
    with Client(service.target, project=PROJECT) as client:
        assert client.purchasing.stream_evaluate_purchase_plan(billed) == client.purchasing.evaluate_purchase_plan(
            billed
        )
        assert client.purchasing.stream_get_shadow_prices(shadow) == client.purchasing.get_shadow_prices(shadow)


def test_a_stream_without_a_request_is_refused(service: RunningService) -> None:
    """Hours of nothing are no usage."""
    first = pb.StreamEvaluatePurchasePlanRequest(hours=pb.DemandHours(series=0, hourly_usage=[1.0]))
    with pytest.raises(grpc.RpcError) as caught:
        service.purchasing.StreamEvaluatePurchasePlan(iter([first]), timeout=30)
    assert caught.value.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED}


def test_use_by_the_hour_of_the_week_is_what_the_bill_says(service: RunningService) -> None:
    """A plan that covers a day's work is used then and idle at night, Mondays first."""
    day = [20.0 if 8 <= hour < 18 else 5.0 for hour in range(24)]
    usage = demand(("m5", day * 14))
    plans = [owned("flexible", offer("flexible-1y", 0.5), 10)]
    answer = service.purchasing.GetShadowPrices(
        pb.GetShadowPricesRequest(parent=PARENT, demand=usage, plans=plans), timeout=60
    )
    (use,) = answer.commitments
    assert use.commitment_id == "flexible"
    assert list(use.used_by_hour_of_week) == pytest.approx([min(level * 0.5 / 10, 1.0) for level in day] * 7)


def test_the_command_line_plans_what_runs(service: RunningService) -> None:
    """No file of usage: an account is named; a file and an account, or neither, are a fault of the command."""
    to = ("--target", service.target, "--project", PROJECT)
    ran = run("purchase", "optimize", "--inventory", "prod", "--lookback", "48h", *to)
    assert ran.code == 0, ran.err + ran.out
    assert "(optimal)" in ran.out
    assert "FROM_INVENTORY" in run("purchase", "evaluate", "--inventory", "prod", "--json", *to).out
    for wrong in ((), ("--inventory", "prod", "--demand", "usage.csv")):
        refusal = run("purchase", "optimize", *wrong, *to)
        assert refusal.code == 2
        assert "--inventory" in refusal.err
