"""A purchase plan as a recommendation: what is bought first, through whom, and what it saves a month."""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Final

from google.type.money_pb2 import Money as MoneyMessage

from trimtab.v1 import commitment_service_pb2 as commitment_pb
from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab_service.domain.money import Money
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.purchasing import UsageKey
from trimtab_service.domain.recommendations import (
    FieldChange,
    Impact,
    ImpactCategory,
    Kind,
    Operation,
    OperationGroup,
    OperationKind,
    Priority,
    RecommendationContent,
)
from trimtab_service.domain.resources import CloudResource, ResourceKind
from trimtab_service.recommendations.identity import exclusive_group_of, identity_of
from trimtab_service.rpc.vocabulary import CLOUD_OF

_MONTH: Final = timedelta(hours=730)
_URGENT_MICROS: Final = 10_000_000_000
"""From 10,000 USD a month on a plan is worth looking at soon."""


def content_of_plan(plan: pb.PurchasePlan) -> RecommendationContent | None:
    """None where nothing is to be bought, or what was found is dearer than going without.

    Only the purchases of the plan's first instant are to be carried out now; the others are planned anew when due.
    """
    if not plan.purchases or plan.total_cost.currency_code != "USD":
        return None
    first = min(purchase.purchase_time.ToDatetime() for purchase in plan.purchases)
    now = [purchase for purchase in plan.purchases if purchase.purchase_time.ToDatetime() == first]
    saving = _monthly(plan)
    if saving <= 0:
        return None
    largest = max(now, key=lambda purchase: _micros(purchase.commitment_per_hour))
    # A recommendation is of one cloud; the others' purchases are found again when it is carried out and planned anew.
    now = [purchase for purchase in now if purchase.offer.cloud == largest.offer.cloud]
    resource = _commitments_of(CLOUD_OF[largest.offer.cloud])
    per_hour = Money(sum(_micros(purchase.commitment_per_hour) for purchase in now)).usd
    return RecommendationContent(
        identity=identity_of(Kind.PURCHASE, resource),
        kind=Kind.PURCHASE,
        priority=Priority.P2 if saving >= _URGENT_MICROS else Priority.P3,
        resource=resource,
        primary_impact=Impact(ImpactCategory.COST, -saving, _MONTH),
        exclusive_group=exclusive_group_of(resource),
        operation_groups=tuple(OperationGroup((_operation(purchase, plan.plan_hash),)) for purchase in now),
        summary=f"Commit {per_hour:.2f} USD an hour in {len(now)} purchase{'s' if len(now) > 1 else ''}: "
        f"saves {Money(saving).usd:.2f} USD a month, proved within {plan.certificate.gap:.1e} of the best possible.",
        reasons=(),
        confidence=1.0 - max((purchase.probability_below_break_even for purchase in now), default=0.0),
        catalog_version=plan.catalog_version,
    )


def identities_over(
    plan: pb.PurchasePlan, content: RecommendationContent | None, keys: Iterable[UsageKey]
) -> tuple[str, ...]:
    """Recommendations of earlier plans that this one leaves nothing of: those of its clouds for which it buys nothing.

    A search that was stopped has not found that, nor has one without an offer that covers anything.
    """
    found = plan.certificate.ending == pb.OptimalityCertificate.ENDING_OPTIMAL
    if not found or plan.verdict == pb.PurchasePlan.VERDICT_UNSUPPORTED:
        return ()
    clouds = {key.cloud for key in keys} - ({content.resource.cloud} if content is not None else set())
    return tuple(identity_of(Kind.PURCHASE, _commitments_of(cloud)) for cloud in sorted(clouds))


def _commitments_of(cloud: Cloud) -> CloudResource:
    """What a purchase changes: the commitments of a cloud, whatever they are for."""
    return CloudResource("commitments", cloud, region="", kind=ResourceKind.INSTANCE_GROUP)


def _monthly(plan: pb.PurchasePlan) -> int:
    """Saved against buying nothing: what is owned already saves without this plan."""
    without = next((one.cost for one in plan.alternatives if one.alternative_id == "none"), plan.on_demand_cost)
    saved = _micros(without) - _micros(plan.total_cost)
    hours = plan.horizon.seconds / 3600
    return round(saved * 730 / hours) if hours else 0


def _micros(money: MoneyMessage) -> int:
    return Money.from_units_and_nanos(money.units, money.nanos).micros


def _decimal(money: MoneyMessage) -> Decimal:
    """Exactly: commitments have five decimals, quotes nine."""
    return (Decimal(money.units) + Decimal(money.nanos).scaleb(-9)).normalize()


def _operation(purchase: pb.PlannedPurchase, plan_hash: str) -> Operation:
    offer = purchase.offer
    said = {
        "Kind": commitment_pb.Commitment.Kind.Name(offer.kind),
        "OfferId": offer.offer_id,
        "Family": offer.family,
        "Region": offer.region,
        "Sku": offer.sku,
        "TermSeconds": str(offer.term.seconds),
        "PaymentOption": pb.PaymentOption.Name(offer.payment),
        "CommitmentPerHour": f"{_decimal(purchase.commitment_per_hour):f}",
        "Units": f"{purchase.units:.0f}" if purchase.units else "",
        "UpfrontPayment": f"{_decimal(purchase.upfront_cost):f}" if _micros(purchase.upfront_cost) else "",
        "Rate": f"{offer.rate!r}",
        "QuotedUsageType": offer.quote.usage_type,
        "QuotedRate": f"{_decimal(offer.quote.rate):f}" if offer.HasField("quote") else "",
        "PlanHash": plan_hash,
    }
    changes = tuple(FieldChange(field, "", value) for field, value in said.items() if value)
    return Operation(OperationKind.PURCHASE_COMMITMENT, offer.offer_id, changes)
