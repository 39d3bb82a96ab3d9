"""Buying Savings Plans: looked up first, quoted again, held against the caps, and bought once.

What was bought carries the hash of its plan and the offer's name as tags, so a repetition after a crash finds it; the
client token makes the call itself idempotent for as long as AWS remembers it.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.changes import fields_of
from trimtab_service.clouds.aws.faults import refused
from trimtab_service.domain.recommendations import Operation
from trimtab_service.domain.resources import CloudResource
from trimtab_service.recommendations.ports import Effect, Observed

HOME: Final = "us-east-1"
"""The region that requests to Savings Plans and Cost Explorer are signed for: both are global."""

PLAN_TAG: Final = "trimtab:plan"
OFFER_TAG: Final = "trimtab:offer"

TYPES: Final[Mapping[str, str]] = {
    "KIND_AWS_COMPUTE_SAVINGS_PLAN": "Compute",
    "KIND_AWS_EC2_INSTANCE_SAVINGS_PLAN": "EC2Instance",
    "KIND_AWS_SAGEMAKER_SAVINGS_PLAN": "SageMaker",
}
_PAYMENTS: Final[Mapping[str, str]] = {
    "PAYMENT_OPTION_NO_UPFRONT": "No Upfront",
    "PAYMENT_OPTION_PARTIAL_UPFRONT": "Partial Upfront",
    "PAYMENT_OPTION_ALL_UPFRONT": "All Upfront",
}
_YEAR_S: Final = 365 * 86_400
_HELD: Final = ("payment-pending", "active", "queued")
"""States of plans that are bought, or about to be."""

_DAY: Final = timedelta(hours=24)
_NANOS: Final = Decimal(1_000_000_000)
_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an operation says to buy. `seconds` is the term; amounts are USD."""

    type: str
    payment: str
    seconds: int
    commitment: Decimal
    upfront: Decimal
    family: str
    region: str
    usage_type: str
    rate: Decimal | None
    offer_id: str
    plan_hash: str


def savings_plan_of(operation: Operation) -> Wanted | None:
    """None where the operation is of another product, or lacks what a purchase needs."""
    said = {change.field: change.after for change in operation.changes}
    kind, payment = TYPES.get(said.get("Kind", "")), _PAYMENTS.get(said.get("PaymentOption", ""))
    try:
        seconds = int(said.get("TermSeconds", ""))
        commitment = Decimal(said.get("CommitmentPerHour", ""))
        upfront = Decimal(said.get("UpfrontPayment") or "0")
        rate = Decimal(said["QuotedRate"]) if said.get("QuotedRate") else None
    except (ValueError, InvalidOperation):
        return None
    plan_hash = said.get("PlanHash", "")
    if kind is None or payment is None or not commitment > 0 or not plan_hash:
        return None
    return Wanted(
        kind,
        payment,
        seconds,
        commitment,
        upfront,
        said.get("Family", ""),
        said.get("Region", ""),
        said.get("QuotedUsageType", ""),
        rate,
        operation.resource_id,
        plan_hash,
    )


@dataclass(frozen=True, slots=True)
class SavingsPlanPurchases:
    """Implements `Change` for purchases of Savings Plans."""

    calls: AwsCalls

    def observe(self, resource: CloudResource, operation: Operation, deadline: datetime) -> Observed:
        """As it would be bought. `state` holds the quote.

        Refuses, as a purchase would, what is beyond a cap or no longer quoted as it was: a dry run shows it.
        """
        del resource
        wanted = _required(operation)
        known = self._bought(wanted, deadline)
        if known is not None:
            fields = {change.field: change.after for change in operation.changes}
            return Observed(exists=True, fields=fields_of(operation, fields), state=str(known.get("state", "")))
        offering = self._quoted(wanted, deadline)
        self._require_within_caps(wanted, deadline)
        return Observed(exists=True, fields=fields_of(operation, {}), state=f"offering {offering}")

    def carry_out(self, resource: CloudResource, operation: Operation, token: str, deadline: datetime) -> Effect:
        """Buy it, unless it stands. The quote and the caps are looked at just before."""
        del resource
        wanted = _required(operation)
        known = self._bought(wanted, deadline)
        if known is not None:
            return Effect(is_changed=False, detail=f"Savings Plan {known['savingsPlanId']} stands already")
        offering = self._quoted(wanted, deadline)
        self._require_within_caps(wanted, deadline)
        asked: dict[str, object] = {
            "savingsPlanOfferingId": offering,
            "commitment": f"{wanted.commitment:f}",
            "clientToken": _token(wanted, token),
            "tags": {PLAN_TAG: wanted.plan_hash, OFFER_TAG: wanted.offer_id[:256]},
        }
        if wanted.payment == _PAYMENTS["PAYMENT_OPTION_PARTIAL_UPFRONT"]:
            asked["upfrontPaymentAmount"] = f"{wanted.upfront:f}"
        made = self._ask("CreateSavingsPlan", asked, deadline)
        return Effect(is_changed=True, detail=f"bought Savings Plan {made['savingsPlanId']}")

    def _bought(self, wanted: Wanted, deadline: datetime) -> Mapping[str, Any] | None:
        marks = {PLAN_TAG: wanted.plan_hash, OFFER_TAG: wanted.offer_id[:256]}
        for plan in self._held(deadline):
            tags = plan.get("tags") or {}
            if all(tags.get(tag) == value for tag, value in marks.items()):
                return plan
        return None

    def _held(self, deadline: datetime) -> Iterator[Mapping[str, Any]]:
        yield from self._pages("DescribeSavingsPlans", {"states": list(_HELD)}, "savingsPlans", deadline)

    def _quoted(self, wanted: Wanted, deadline: datetime) -> str:
        """The offering's id. Refuses where there is not exactly one, or it is not quoted as it was."""
        if wanted.rate is None:
            raise refused(f"{wanted.offer_id}: the offer came without the provider's quote; plan with one to buy")
        asked: dict[str, object] = {
            "planTypes": [wanted.type],
            "paymentOptions": [wanted.payment],
            "durations": [_duration(wanted)],
            "currencies": ["USD"],
        }
        if wanted.type == TYPES["KIND_AWS_EC2_INSTANCE_SAVINGS_PLAN"]:
            asked["filters"] = [
                {"name": "region", "values": [wanted.region]},
                {"name": "instanceFamily", "values": [wanted.family]},
            ]
        found = {
            str(one["offeringId"])
            for one in self._pages("DescribeSavingsPlansOfferings", asked, "searchResults", deadline)
        }
        if len(found) != 1:
            raise refused(f"{wanted.offer_id}: AWS has {len(found)} offerings of that kind, and one was expected")
        (offering,) = found
        rates = {
            Decimal(str(one["rate"]))
            for one in self._pages(
                "DescribeSavingsPlansOfferingRates",
                {"savingsPlanOfferingIds": [offering], "usageTypes": [wanted.usage_type]},
                "searchResults",
                deadline,
            )
        }
        if wanted.rate not in rates:
            now = ", ".join(f"{rate:f}" for rate in sorted(rates)) or "none"
            raise refused(
                f"{wanted.offer_id}: {wanted.usage_type} was quoted at {wanted.rate:f} an hour, and is now at {now}"
            )
        return offering

    def _require_within_caps(self, wanted: Wanted, deadline: datetime) -> None:
        account = self.calls.account
        one, daily = (
            Decimal(account.max_purchase_nanos_per_hour) / _NANOS,
            Decimal(account.max_daily_purchase_nanos_per_hour) / _NANOS,
        )
        if wanted.commitment > one:
            raise refused(f"{wanted.offer_id}: {wanted.commitment:f} USD an hour; one purchase may have {one:f}")
        since = self.calls.patience.clock() - _DAY
        today = sum(
            (Decimal(str(plan["commitment"])) for plan in self._held(deadline) if _start(plan) >= since), Decimal(0)
        )
        if today + wanted.commitment > daily:
            raise refused(
                f"{wanted.offer_id}: {wanted.commitment:f} USD an hour on top of the {today:f} of the last 24 hours; "
                f"{daily:f} may be bought in that time"
            )

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


def _required(operation: Operation) -> Wanted:
    wanted = savings_plan_of(operation)
    if wanted is None:
        raise refused(f"{operation.resource_id}: not a purchase of a Savings Plan")
    return wanted


def _duration(wanted: Wanted) -> int:
    """Whole years of 365 days: what plans of 8,760 hours are."""
    years = max(round(wanted.seconds / _YEAR_S), 1)
    return years * _YEAR_S


def _token(wanted: Wanted, token: str) -> str:
    """64 characters, the same for the same purchase of the same run."""
    return hashlib.sha256(f"{token}/{wanted.plan_hash}/{wanted.offer_id}".encode()).hexdigest()


def _start(plan: Mapping[str, Any]) -> datetime:
    text = str(plan.get("start") or "")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        # Not started: it is counted as bought now.
        return datetime.max.replace(tzinfo=UTC)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
