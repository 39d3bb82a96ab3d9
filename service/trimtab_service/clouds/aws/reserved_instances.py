"""EC2 Reserved Instances as a product.

The purchase takes no client token and no tags. So what was bought is tagged right after; and before anything is bought
again, the account is searched: for the tags, and, where a purchase of this order was attempted before, for reservations
without them that began since and are just what was ordered. Those are ours, and are tagged.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.faults import RefusedError, refused
from trimtab_service.clouds.aws.purchase_orders import PLAN_TAG, Held, Order
from trimtab_service.clouds.patience import source_failed

CLASSES: Final[Mapping[str, str]] = {
    "KIND_AWS_RESERVED_INSTANCE_STANDARD": "standard",
    "KIND_AWS_RESERVED_INSTANCE_CONVERTIBLE": "convertible",
}
PLATFORM: Final = "Linux/UNIX"
_HELD: Final = ["payment-pending", "active", "queued"]
_SKEW: Final = timedelta(minutes=5)
"""AWS's clock may say that it began a little before we asked."""

_REHEARSED: Final = "DryRunOperation"
_EXACT: Final = Decimal("1e-6")
"""Upfront payments divided by hours do not come out even."""

_NANOS: Final = Decimal(1_000_000_000)
_HOUR_S: Final = 3_600
_NOT_YET: Final = datetime.max.replace(tzinfo=UTC)
"""Queued: it is counted as bought now."""


@dataclass(frozen=True, slots=True)
class ReservedInstances:
    """Implements `Product` for regional reservations of shared Linux instances."""

    calls: AwsCalls

    def sells(self, order: Order) -> bool:
        """As the port says: of one instance type in one of the account's regions, in whole units."""
        here = order.region in self.calls.account.regions
        return order.kind in CLASSES and bool(order.sku) and here and order.units > 0

    def held(self, regions: tuple[str, ...], deadline: datetime) -> Iterator[Held]:
        """As the port says, in the account's regions."""
        for region in regions:
            for one in self._reservations(region, {}, deadline):
                yield _held(one)

    def found(self, order: Order, attempted: datetime | None, deadline: datetime) -> Held | None:
        """As the port says."""
        alike = list(self._reservations(order.region, {"instance-type": order.sku}, deadline))
        for one in alike:
            if _held(one).is_of(order):
                return _held(one)
        if attempted is None:
            return None
        for one in sorted(alike, key=lambda one: str(one["ReservedInstancesId"])):
            held = _held(one)
            if PLAN_TAG not in held.tags and held.start_time >= attempted - _SKEW and _is_just(one, order):
                self._mark(order, str(one["ReservedInstancesId"]), deadline)
                return replace(held, tags={**held.tags, **order.tags})
        return None

    def quoted(self, order: Order, deadline: datetime) -> str:
        """As the port says. The quote is of one instance and hour, what is paid at once spread over the term.

        Commitment and caps are of the plan's money, so the plan must reckon with the quote for each instance.
        """
        if order.rate is None:
            raise refused(f"{order.offer_id}: the offer came without the provider's quote; plan with one to buy")
        asked = {
            "InstanceType": order.sku,
            "ProductDescription": PLATFORM,
            "OfferingClass": CLASSES[order.kind],
            "OfferingType": order.payment,
            "InstanceTenancy": "default",
            "MinDuration": order.term_s,
            "MaxDuration": order.term_s,
            "IncludeMarketplace": False,
            "Filters": [{"Name": "scope", "Values": ["Region"]}],
        }
        found = [
            one
            for page in self.calls.pages("ec2", order.region, "DescribeReservedInstancesOfferings", asked, deadline)
            for one in page["ReservedInstancesOfferings"]
        ]
        if len(found) != 1:
            raise refused(f"{order.offer_id}: AWS has {len(found)} offerings of that kind, and one was expected")
        now = _hourly(found[0])
        if abs(now - order.rate) > _EXACT:
            raise refused(
                f"{order.offer_id}: {order.sku} was quoted at {order.rate:f} an hour, and is now at {now:.6f}"
            )
        planned = order.commitment / order.units
        if abs(planned - order.rate) > _EXACT:
            raise refused(
                f"{order.offer_id}: planned at {planned:.6f} an hour for one {order.sku}, and quoted at {order.rate:f}"
            )
        return str(found[0]["ReservedInstancesOfferingId"])

    def rehearse(self, order: Order, offering: str, deadline: datetime) -> None:
        """As the port says."""
        try:
            self._purchase(order, offering, deadline, is_rehearsal=True)
        except RefusedError as error:
            if error.code != _REHEARSED:
                raise

    def buy(self, order: Order, offering: str, token: str, deadline: datetime) -> str:
        """As the port says."""
        del token
        made = str(self._purchase(order, offering, deadline, is_rehearsal=False)["ReservedInstancesId"])
        try:
            self._mark(order, made, deadline)
        except RefusedError as error:
            # It is bought, so this is no refusal: who looks again finds it, and marks it.
            raise source_failed(f"Reserved Instances {made} were bought and not marked: {error}") from error
        return f"Reserved Instances {made}"

    def _purchase(self, order: Order, offering: str, deadline: datetime, *, is_rehearsal: bool) -> dict[str, Any]:
        asked: dict[str, object] = {
            "ReservedInstancesOfferingId": offering,
            "InstanceCount": order.units,
            "DryRun": is_rehearsal,
        }
        if order.upfront > 0:
            # AWS then refuses what would be charged more at once than was planned, but for what the quote leaves open.
            limit = order.upfront + order.units * _EXACT * order.term_s / _HOUR_S
            asked["LimitPrice"] = {"Amount": float(limit), "CurrencyCode": "USD"}
        return self.calls.once("ec2", order.region, "PurchaseReservedInstancesOffering", asked, deadline)

    def _mark(self, order: Order, made: str, deadline: datetime) -> None:
        tags = [{"Key": key, "Value": value} for key, value in order.tags.items()]
        self.calls.call("ec2", order.region, "CreateTags", {"Resources": [made], "Tags": tags}, deadline)

    def _reservations(
        self, region: str, narrowed: Mapping[str, str], deadline: datetime
    ) -> Iterator[Mapping[str, Any]]:
        filters = [{"Name": "state", "Values": _HELD}]
        filters += [{"Name": name, "Values": [value]} for name, value in narrowed.items()]
        answer = self.calls.call("ec2", region, "DescribeReservedInstances", {"Filters": filters}, deadline)
        yield from answer.get("ReservedInstances") or ()


def _held(one: Mapping[str, Any]) -> Held:
    start = one.get("Start") or _NOT_YET
    return Held(
        f"Reserved Instances {one['ReservedInstancesId']}",
        str(one.get("State", "")),
        {tag["Key"]: tag["Value"] for tag in one.get("Tags") or ()},
        start,
        round(_hourly(one) * int(one["InstanceCount"]) * _NANOS),
    )


def _hourly(one: Mapping[str, Any]) -> Decimal:
    """What one instance costs an hour: `FixedPrice` spread over `Duration`, the usage price and hourly charges."""
    recurring = sum((Decimal(str(charge["Amount"])) for charge in one.get("RecurringCharges") or ()), Decimal(0))
    fixed, seconds = Decimal(str(one.get("FixedPrice") or 0)), Decimal(int(one["Duration"]))
    return fixed * _HOUR_S / seconds + Decimal(str(one.get("UsagePrice") or 0)) + recurring


def _is_just(one: Mapping[str, Any], order: Order) -> bool:
    return (
        int(one["InstanceCount"]) == order.units
        and int(one["Duration"]) == order.term_s
        and one.get("OfferingClass") == CLASSES[order.kind]
        and one.get("OfferingType") == order.payment
        and one.get("Scope") == "Region"
        and one.get("ProductDescription") == PLATFORM
    )
