"""Savings Plans as a product: what is bought carries its plan and offer as tags, and a client token besides."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.faults import refused
from trimtab_service.clouds.aws.purchase_orders import PARTIAL, Held, Order

HOME: Final = "us-east-1"
"""The region that requests to Savings Plans and Cost Explorer are signed for: both are global."""

TYPES: Final[Mapping[str, str]] = {
    "KIND_AWS_COMPUTE_SAVINGS_PLAN": "Compute",
    "KIND_AWS_EC2_INSTANCE_SAVINGS_PLAN": "EC2Instance",
    "KIND_AWS_SAGEMAKER_SAVINGS_PLAN": "SageMaker",
}
_HELD: Final = ("payment-pending", "active", "queued")
"""States of plans that are bought, or about to be."""

_NANOS: Final = Decimal(1_000_000_000)
_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class SavingsPlans:
    """Implements `Product`."""

    calls: AwsCalls

    def sells(self, order: Order) -> bool:
        """As the port says."""
        return order.kind in TYPES

    def held(self, regions: tuple[str, ...], deadline: datetime) -> Iterator[Held]:
        """As the port says: plans are of the whole account."""
        del regions
        for plan in self._pages("DescribeSavingsPlans", {"states": list(_HELD)}, "savingsPlans", deadline):
            yield Held(
                f"Savings Plan {plan['savingsPlanId']}",
                str(plan.get("state", "")),
                plan.get("tags") or {},
                _start(plan),
                round(Decimal(str(plan["commitment"])) * _NANOS),
            )

    def found(self, order: Order, attempted: datetime | None, deadline: datetime) -> Held | None:
        """As the port says, by its tags."""
        del attempted
        return next((held for held in self.held((), deadline) if held.is_of(order)), None)

    def quoted(self, order: Order, deadline: datetime) -> str:
        """As the port says."""
        if order.rate is None:
            raise refused(f"{order.offer_id}: the offer came without the provider's quote; plan with one to buy")
        asked: dict[str, object] = {
            "planTypes": [TYPES[order.kind]],
            "paymentOptions": [order.payment],
            "durations": [order.term_s],
            "currencies": ["USD"],
        }
        if TYPES[order.kind] == TYPES["KIND_AWS_EC2_INSTANCE_SAVINGS_PLAN"]:
            asked["filters"] = [
                {"name": "region", "values": [order.region]},
                {"name": "instanceFamily", "values": [order.family]},
            ]
        found = {
            str(one["offeringId"])
            for one in self._pages("DescribeSavingsPlansOfferings", asked, "searchResults", deadline)
        }
        if len(found) != 1:
            raise refused(f"{order.offer_id}: AWS has {len(found)} offerings of that kind, and one was expected")
        (offering,) = found
        rates = {
            Decimal(str(one["rate"]))
            for one in self._pages(
                "DescribeSavingsPlansOfferingRates",
                {"savingsPlanOfferingIds": [offering], "usageTypes": [order.usage_type]},
                "searchResults",
                deadline,
            )
        }
        if order.rate not in rates:
            now = ", ".join(f"{rate:f}" for rate in sorted(rates)) or "none"
            raise refused(
                f"{order.offer_id}: {order.usage_type} was quoted at {order.rate:f} an hour, and is now at {now}"
            )
        return offering

    def rehearse(self, order: Order, offering: str, deadline: datetime) -> None:
        """Savings Plans cannot be asked."""

    def buy(self, order: Order, offering: str, token: str, deadline: datetime) -> str:
        """As the port says. The client token makes the call itself idempotent for as long as AWS remembers it."""
        asked: dict[str, object] = {
            "savingsPlanOfferingId": offering,
            "commitment": f"{order.commitment:f}",
            "clientToken": _token(order, token),
            "tags": order.tags,
        }
        if order.payment == PARTIAL:
            asked["upfrontPaymentAmount"] = f"{order.upfront:f}"
        made = self._ask("CreateSavingsPlan", asked, deadline)
        return f"Savings Plan {made['savingsPlanId']}"

    def _pages(
        self, operation: str, asked: Mapping[str, object], field: str, deadline: datetime
    ) -> Iterator[Mapping[str, Any]]:
        token = ""
        while True:
            page = {**asked, "maxResults": _PAGE, **({"nextToken": token} if token else {})}
            answer = self._ask(operation, page, deadline)
            yield from answer.get(field) or ()
            token = answer.get("nextToken") or ""
            if not token:
                return

    def _ask(self, operation: str, asked: Mapping[str, object], deadline: datetime) -> dict[str, Any]:
        return self.calls.call("savingsplans", HOME, operation, asked, deadline)


def _token(order: Order, token: str) -> str:
    """64 characters, the same for the same purchase of the same run."""
    return hashlib.sha256(f"{token}/{order.plan_hash}/{order.offer_id}".encode()).hexdigest()


def _start(plan: Mapping[str, Any]) -> datetime:
    text = str(plan.get("start") or "")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        # Not started: it is counted as bought now.
        return datetime.max.replace(tzinfo=UTC)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
