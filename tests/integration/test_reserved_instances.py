"""Buying Reserved Instances: once, though AWS takes no token for it; at the price quoted; within caps that hold."""

import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.test_purchases import Buyers, allowed, budget_of, buyer, buyers, purchase, soon
from tests.support.purchase_requests import RESERVED, daily, demand, offer, usd
from tests.support.reserved_instances_api import Reservable, Reserved
from tests.support.savings_plans_api import SavingsPlansApi, aws_account, offering
from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab.v1 import recommendation_service_pb2 as recommendation_pb
from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.aws.connection import connect, observed
from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.errors import FailedPreconditionError, UnavailableError
from trimtab_service.domain.recommendations import Operation
from trimtab_service.domain.resources import CloudResource
from trimtab_service.recommendations.ports import Purchase
from trimtab_service.rpc.purchase_booking import PurchaseBook
from trimtab_service.store.commitments import COMMITMENT
from trimtab_service.store.engines import Database
from trimtab_service.store.purchase_budget import StoredPurchaseBudget
from trimtab_service.store.resources import ResourceStore
from trimtab_service.store.writer import GroupCommitWriter

M5 = "m5.xlarge"
__all__ = ["buyers"]
"""A fixture of the other products, used here."""


@pytest.fixture
def api() -> SavingsPlansApi:
    """m5.xlarge is reserved at 0.12 an hour without upfront, or at 0.05 and 438 USD at once."""
    made = SavingsPlansApi(offerings=[offering("compute")], rates={("compute", "BoxUsage:m5.xlarge"): "0.13"})
    made.reserved.offerings = [
        Reservable("no-upfront", M5, "0.12"),
        Reservable("partial", M5, "0.05", fixed="438", payment="Partial Upfront"),
        Reservable("convertible", M5, "0.14", offering_class="convertible"),
    ]
    return made


@pytest.fixture
def account(api: SavingsPlansApi, tmp_path: Path) -> Iterator[CloudAccount]:
    """An account that may buy 50 USD an hour at once and 80 a day."""
    with aws_account(api, tmp_path) as configured:
        yield configured


def reservation(**said: str) -> tuple[CloudResource, Operation]:
    """Ten of them."""
    fields = {
        "Kind": "KIND_AWS_RESERVED_INSTANCE_STANDARD",
        "Region": "us-east-1",
        "Family": "m5",
        "Sku": M5,
        "Units": "10",
        "CommitmentPerHour": "1.2",
        "QuotedRate": "0.12",
        "QuotedUsageType": "",
        "Rate": "0.625",
        **said,
    }
    return purchase(fields.pop("CommitmentPerHour"), **fields)


def test_reservations_are_bought_once_and_marked(api: SavingsPlansApi, account: CloudAccount) -> None:
    """A dry run asks AWS without buying; a repetition finds what stands by its tags."""
    actuator, (resource, operation) = buyer(account), reservation()
    assert actuator.handles(resource, operation)
    seen = actuator.observe(resource, operation, soon())
    assert seen.state == "offering no-upfront"
    assert api.reserved.asked[-1] == "PurchaseReservedInstancesOffering"
    assert api.reserved.reserved == []
    assert actuator.carry_out(resource, operation, "t-1", soon()).is_changed
    assert not actuator.carry_out(resource, operation, "t-2", soon()).is_changed
    (bought,) = api.reserved.reserved
    assert (bought.count, bought.of.offering_id) == (10, "no-upfront")
    assert bought.tags == {"trimtab:plan": "a" * 64, "trimtab:offer": "flexible"}
    assert dict(actuator.observe(resource, operation, soon()).fields)["Units"] == "10"


@pytest.mark.parametrize("action", ["PurchaseReservedInstancesOffering", "CreateTags"])
def test_a_lost_answer_is_looked_up_and_not_bought_again(
    api: SavingsPlansApi, account: CloudAccount, action: str
) -> None:
    """EC2 did it and the answer was lost: the next attempt finds the reservation that began since, and marks it."""
    actuator, (resource, operation) = buyer(account), reservation()
    api.reserved.failing = {action}
    if action == "PurchaseReservedInstancesOffering":
        with pytest.raises(UnavailableError):
            actuator.carry_out(resource, operation, "t-1", soon())
    else:
        assert actuator.carry_out(resource, operation, "t-1", soon()).is_changed  # marking is asked again
    assert len(api.reserved.reserved) == 1
    again = buyer(account).carry_out(resource, operation, "t-2", soon())
    assert not again.is_changed
    assert len(api.reserved.reserved) == 1
    assert api.reserved.reserved[0].tags["trimtab:plan"] == "a" * 64


def test_what_somebody_else_bought_is_not_taken_for_ours(api: SavingsPlansApi, account: CloudAccount) -> None:
    """Without an attempt of this order, or with other terms, or from before: it is bought."""
    stranger = Reserved("ri-other", api.reserved.offerings[0], 10, datetime.now(UTC))
    api.reserved.reserved.append(stranger)
    assert buyer(account).carry_out(*reservation(), "t", soon()).is_changed
    assert stranger.tags == {}
    api.reserved.failing = {"PurchaseReservedInstancesOffering"}
    second = reservation(OfferId="second", Units="3", CommitmentPerHour="0.36")
    with pytest.raises(UnavailableError):
        buyer(account).carry_out(*second, "t", soon())
    api.reserved.reserved.pop()  # the answer was lost, and nothing was done
    assert buyer(account).carry_out(*second, "t", soon()).is_changed
    assert [one.count for one in api.reserved.reserved] == [10, 10, 3]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"QuotedRate": "0.11"}, "quoted at 0.11 an hour, and is now at 0.120000"),
        ({"QuotedRate": ""}, "without the provider's quote"),
        ({"PaymentOption": "PAYMENT_OPTION_ALL_UPFRONT"}, "0 offerings"),
        ({"TermSeconds": "94608000"}, "0 offerings"),
        ({"CommitmentPerHour": "50.16", "Units": "418"}, "one purchase may have 50"),
        ({"Units": "1000"}, "planned at 0.001200 an hour for one m5.xlarge, and quoted at 0.12"),
    ],
)
def test_what_moved_or_is_too_large_is_not_reserved(
    api: SavingsPlansApi, account: CloudAccount, said: dict[str, str], why: str
) -> None:
    """Neither in a dry run nor in earnest."""
    actuator, (resource, operation) = buyer(account), reservation(**said)
    for attempt in (
        lambda: actuator.observe(resource, operation, soon()),
        lambda: actuator.carry_out(resource, operation, "t", soon()),
    ):
        with pytest.raises(FailedPreconditionError, match=why):
            attempt()
    assert api.reserved.reserved == []


def test_what_is_paid_at_once_is_part_of_the_quote_and_limited(api: SavingsPlansApi, account: CloudAccount) -> None:
    """438 USD over a year are 0.05 an hour; AWS is told the most that may be charged at once."""
    said = {"PaymentOption": "PAYMENT_OPTION_PARTIAL_UPFRONT", "QuotedRate": "0.1", "CommitmentPerHour": "1"}
    with pytest.raises(FailedPreconditionError, match="above the limit"):
        buyer(account).carry_out(*reservation(**said, UpfrontPayment="4379"), "t", soon())
    assert buyer(account).carry_out(*reservation(**said, UpfrontPayment="4380"), "t", soon()).is_changed


def test_a_dry_run_says_when_the_account_may_not_buy(api: SavingsPlansApi, account: CloudAccount) -> None:
    """Rights are asked of AWS before anybody approves."""
    api.reserved.may_buy = False
    with pytest.raises(UnavailableError, match="may not do this"):
        buyer(account).observe(*reservation(), soon())


def test_incomplete_orders_and_other_regions_are_nobodys(account: CloudAccount) -> None:
    """A family is planned with and not bought: a reservation is of a type, in a region of the account, in units."""
    actuator = buyer(account)
    for said in ({"Sku": ""}, {"Units": ""}, {"Units": "1.5"}, {"Region": "eu-west-1"}, {"PlanHash": ""}):
        assert not actuator.handles(*reservation(**said))
    assert actuator.handles(*reservation(Kind="KIND_AWS_RESERVED_INSTANCE_CONVERTIBLE"))


def test_both_products_share_the_day(api: SavingsPlansApi, account: CloudAccount) -> None:
    """40 of Savings Plans and 40 of reservations fill 80."""
    actuator = buyer(account)
    actuator.carry_out(*purchase("40", OfferId="plan"), "t", soon())
    many = {"Units": "333", "CommitmentPerHour": "39.96", "OfferId": "many"}
    actuator.carry_out(*reservation(**many), "t", soon())
    with pytest.raises(FailedPreconditionError, match=r"on top of the 79\.96"):
        actuator.carry_out(*reservation(OfferId="more"), "t", soon())
    assert len(api.reserved.reserved) == 1


def test_a_refusal_gives_the_day_back(api: SavingsPlansApi, account: CloudAccount) -> None:
    """What AWS refused took nothing; what may have been done stays taken."""
    budget = budget_of(account)
    said = {"PaymentOption": "PAYMENT_OPTION_PARTIAL_UPFRONT", "QuotedRate": "0.1", "UpfrontPayment": "1"}
    with pytest.raises(FailedPreconditionError):
        buyer(account).carry_out(*reservation(**said), "t", soon())
    since = datetime.now(UTC) - timedelta(hours=1)
    assert budget.take(Purchase(account.account, "x", 80 * 10**9), {}, 80 * 10**9, since) is None
    assert api.reserved.reserved == []


def test_a_refusal_does_not_forget_an_attempt_whose_answer_was_lost(
    api: SavingsPlansApi, account: CloudAccount
) -> None:
    """EC2 bought it, does not list it yet and refuses a second: once listed it is found, and not bought again."""
    actuator, (resource, operation) = buyer(account), reservation()
    api.reserved.failing = {"PurchaseReservedInstancesOffering"}
    with pytest.raises(UnavailableError):
        actuator.carry_out(resource, operation, "t-1", soon())
    (bought,) = api.reserved.reserved
    api.reserved.reserved.clear()
    api.reserved.is_full = True
    with pytest.raises(FailedPreconditionError, match="limit"):
        actuator.carry_out(resource, operation, "t-2", soon())
    api.reserved.reserved.append(bought)
    api.reserved.is_full = False
    assert not actuator.carry_out(resource, operation, "t-3", soon()).is_changed
    assert api.reserved.reserved == [bought]


def test_buying_reservations_needs_exactly_its_policy(api: SavingsPlansApi, account: CloudAccount) -> None:
    """What is called of EC2 is what `deploy/iam` allows."""
    called: set[str] = set()
    connection = observed(
        account,
        Patience(sleep=lambda _: None),
        lambda service, name: called.add(f"{service}:{name}"),
        budget_of(account),
    )
    assert connection.actuator is not None
    connection.actuator.carry_out(*reservation(), "t", soon())
    assert len(api.reserved.reserved) == 1
    wanted = {name for name in allowed("aws-purchases.json") if name.startswith("ec2:")}
    assert {name for name in called if name.startswith("ec2:")} == wanted


def test_two_that_buy_at_once_do_not_pass_the_cap_together(
    api: SavingsPlansApi, account: CloudAccount, database: Database
) -> None:
    """Eight threads want 20 each of 80, each with a connection of its own: four get it, whichever."""
    budget = StoredPurchaseBudget(database, lambda: datetime.now(UTC))
    together = threading.Barrier(8)
    outcomes: list[str] = []

    def buy(number: int) -> None:
        actuator = connect(account, Patience(sleep=lambda _: None), budget).actuator
        assert actuator is not None
        together.wait(60)
        try:
            actuator.carry_out(*purchase("20", OfferId=f"offer-{number}"), f"t-{number}", soon())
            outcomes.append("bought")
        except FailedPreconditionError:
            outcomes.append("refused")

    threads = [threading.Thread(target=buy, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["bought"] * 4 + ["refused"] * 4
    assert sum(float(plan["commitment"]) for plan in api.plans) == 80.0


def test_a_purchase_takes_its_part_once_and_for_a_day(database: Database) -> None:
    """Taken again it takes nothing more; a day later it is over; what the account shows is not counted twice."""
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    clock = [now]
    budget = StoredPurchaseBudget(database, lambda: clock[0])
    one, two = Purchase("a", "one", 60), Purchase("a", "two", 60)
    day = timedelta(hours=24)
    assert budget.attempted("a", "one") is None
    assert budget.take(one, {}, 100, now - day) is None
    assert budget.take(one, {"one": 60}, 100, now - day) is None
    assert budget.attempted("a", "one") == now
    assert budget.take(two, {"one": 60, "foreign": 10}, 100, now - day) == 70
    assert budget.take(Purchase("b", "two", 60), {}, 100, now - day) is None
    clock[0] = now + day + timedelta(minutes=1)
    assert budget.take(two, {}, 100, clock[0] - day) is None
    budget.give_back("a", "two")
    assert budget.attempted("a", "two") is None


def test_a_plan_of_reservations_is_approved_bought_and_entered(buyers: Buyers, api: SavingsPlansApi) -> None:
    """From usage of a type to reservations of it that the project owns: planned in whole units, quoted, marked."""
    parent = f"projects/r{uuid.uuid4().hex[:12]}"
    one = offer("m5-ri", 0.625, family="m5", kind=RESERVED)
    one.sku = M5
    one.unit_price_per_hour.CopyFrom(usd("0.12"))
    one.quote.usage_type = "BoxUsage:m5.xlarge"
    one.quote.rate.CopyFrom(usd("0.12"))
    request = pb.OptimizePurchasePlanRequest(
        parent=parent, demand=demand(("m5", daily(60, 240))), offers=[one], only_given_offers=True, skip_backtest=True
    )
    request.demand.series[0].sku = M5
    request.demand.series[0].unit_price.CopyFrom(usd("0.192"))
    plan = buyers.service.purchasing.OptimizePurchasePlan(request, timeout=60, metadata=buyers.ada)
    units = plan.purchases[0].units
    assert units == int(units) > 0
    claim = recommendation_pb.ClaimRecommendationRequest(name=plan.recommendation, request_id=str(uuid.uuid4()))
    found = buyers.service.recommendation.ClaimRecommendation(claim, timeout=30, metadata=buyers.ada)
    assert list(buyers.applied(found.name, execute=False).obstacles) == ["APPROVAL_REQUIRED"]
    buyers.approved(found)
    assert buyers.applied(found.name, execute=True).executed
    (bought,) = api.reserved.reserved
    assert (bought.count, bought.tags["trimtab:plan"]) == (units, plan.plan_hash)
    (commitment,) = buyers.owned(parent)
    assert (commitment.instances, commitment.instance_type, commitment.kind) == (units, M5, RESERVED)


def test_reservations_are_booked_as_instances(database: Database) -> None:
    """The project then owns ten m5.xlarge at their price, as placement counts them."""
    writer = GroupCommitWriter(database)
    try:
        store = ResourceStore(COMMITMENT, database, writer)
        own = PurchaseBook(store, lambda: datetime(2026, 11, 23, tzinfo=UTC)).enter("p", *reservation())
        body = store.get("projects/p", own).body.decode()
    finally:
        writer.close()
    assert '"instances":10.0' in body
    assert '"price_nanos_per_hour":120000000' in body
    assert "spend_nanos_per_hour" not in body
