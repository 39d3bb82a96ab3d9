"""What a portfolio is billed, through a real server, in the provider's own order."""

from decimal import Decimal

import grpc
import pytest

from tests.support import purchase_requests as asked
from tests.support.contract import refusal_of
from tests.support.planning import amount
from tests.support.purchase_requests import offer, owned, usd
from tests.support.service import RunningService
from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab.v1 import types_pb2


def aws_example(commitment: str) -> pb.EvaluatePurchasePlanRequest:
    """The example that AWS publishes: four kinds of usage in one hour, and a Compute Savings Plan."""
    request = pb.EvaluatePurchasePlanRequest(parent="")
    request.demand.start_time.FromDatetime(asked.START.replace(tzinfo=None))
    for family, price, units in (
        ("c5", "4", 1),
        ("c5-windows", "10", 1),
        ("fargate-vcpu", "1.5", 10),
        ("fargate-gb", "2", 5),
    ):
        request.demand.series.add(
            cloud=types_pb2.CLOUD_AWS,
            family=family,
            region="us-east-1",
            hourly_usage=[units],
            unit_price=usd(price),
        )
    plan = offer("", 0.5)
    plan.rates["c5-windows"] = 0.8
    plan.rates["fargate-vcpu"] = 2 / 3
    plan.rates["fargate-gb"] = 0.5
    request.plans.append(owned("csp", plan, commitment))
    return request


def evaluated(service: RunningService, request: pb.EvaluatePurchasePlanRequest, parent: str) -> pb.PurchaseBill:
    """The bill."""
    request.parent = parent
    bill: pb.PurchaseBill = service.purchasing.EvaluatePurchasePlan(request, timeout=30)
    return bill


def test_the_published_example_is_covered_by_25_dollars(service: RunningService, parent: str) -> None:
    """2 + 8 + 10 + 5 = 25.00 an hour covers usage of 39.00 on demand."""
    bill = evaluated(service, aws_example("25"), parent)
    assert amount(bill.on_demand_equivalent) == Decimal(39)
    assert amount(bill.total_cost) == amount(bill.commitment_cost) == Decimal(25)
    assert bill.total_cost_exact == "25.000000000000000"
    assert (bill.coverage, bill.utilization) == (1.0, 1.0)
    assert amount(bill.uncovered_cost) == amount(bill.unused_cost) == 0
    assert bill.effective_savings_rate == pytest.approx(1 - 25 / 39)


@pytest.mark.parametrize(
    ("commitment", "uncovered", "unused"),
    [
        # c5 and Fargate memory save half: 2 + 5. Then Fargate vCPU at a third: 10. Then Windows at a fifth: 8.
        ("7", "25", "0"),
        ("12", "17.5", "0"),
        ("17", "10", "0"),
        ("21", "5", "0"),
        ("30", "0", "5"),
    ],
)
def test_partial_cover_goes_to_the_highest_saving_first(
    service: RunningService, parent: str, commitment: str, uncovered: str, unused: str
) -> None:
    """By hand."""
    request = aws_example(commitment)
    request.hourly = True
    bill = evaluated(service, request, parent)
    assert amount(bill.uncovered_cost) == Decimal(uncovered)
    assert amount(bill.unused_cost) == Decimal(unused)
    assert amount(bill.total_cost) == Decimal(uncovered) + Decimal(commitment)
    (use,) = bill.plans
    assert amount(use.cost) == Decimal(commitment)
    assert amount(use.used) == Decimal(commitment) - Decimal(unused)
    assert amount(use.covered) == 39 - Decimal(uncovered)
    assert list(bill.hourly_uncovered) == [float(uncovered)]
    assert list(bill.hourly_unused) == [float(unused)]


def test_family_plans_go_before_compute_plans(service: RunningService, parent: str) -> None:
    """The family's plan takes 4.00 of usage at 1.00; what is left is the Compute plan's: 8 + 10 + 5 of its 25."""
    request = aws_example("25")
    request.plans.append(owned("eisp", offer("", 0.25, family="c5"), 1))
    bill = evaluated(service, request, parent)
    uses = {use.commitment_id: (amount(use.used), amount(use.covered)) for use in bill.plans}
    assert uses == {"eisp": (Decimal(1), Decimal(4)), "csp": (Decimal(23), Decimal(35))}
    assert amount(bill.unused_cost) == Decimal(2)


def test_the_same_plan_twice_cannot_be_billed(service: RunningService, parent: str) -> None:
    """Two commitments have two ids."""
    request = aws_example("25")
    request.plans.append(request.plans[0])
    request.parent = parent
    with pytest.raises(grpc.RpcError) as caught:
        service.purchasing.EvaluatePurchasePlan(request, timeout=30)
    assert refusal_of(caught.value).says("plans[1]") == "CONTRADICTION"
