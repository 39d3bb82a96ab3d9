"""What an operation says to buy, and what of it is the same for every product."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Final, Protocol

from trimtab_service.domain.recommendations import Operation

PLAN_TAG: Final = "trimtab:plan"
OFFER_TAG: Final = "trimtab:offer"
PARTIAL: Final = "Partial Upfront"
YEAR_S: Final = 365 * 86_400

_PAYMENTS: Final[Mapping[str, str]] = {
    "PAYMENT_OPTION_NO_UPFRONT": "No Upfront",
    "PAYMENT_OPTION_PARTIAL_UPFRONT": PARTIAL,
    "PAYMENT_OPTION_ALL_UPFRONT": "All Upfront",
}
_MOST_TAG: Final = 256
_NANOS: Final = Decimal(1_000_000_000)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be bought. `seconds` is the term; amounts are USD, `rate` None where no quote came with the offer."""

    kind: str
    payment: str
    seconds: int
    commitment: Decimal
    upfront: Decimal
    family: str
    region: str
    sku: str
    units: int
    usage_type: str
    rate: Decimal | None
    offer_id: str
    plan_hash: str

    @property
    def key(self) -> str:
        """Names the purchase for good: the same offer of the same plan is bought once."""
        return hashlib.sha256(f"{self.plan_hash}/{self.offer_id}".encode()).hexdigest()

    @property
    def tags(self) -> dict[str, str]:
        """What is written onto what was bought."""
        return {PLAN_TAG: self.plan_hash, OFFER_TAG: self.offer_id[:_MOST_TAG]}

    @property
    def nanos_per_hour(self) -> int:
        """The commitment."""
        return round(self.commitment * _NANOS)

    @property
    def term_s(self) -> int:
        """Whole years of 365 days: what plans of 8,760 hours are."""
        return max(round(self.seconds / YEAR_S), 1) * YEAR_S


@dataclass(frozen=True, slots=True)
class Held:
    """Something the account has bought: its tags, when it began (now, where it has not yet), what it costs an hour."""

    id: str
    state: str
    tags: Mapping[str, str]
    start_time: datetime
    nanos_per_hour: int

    @property
    def key(self) -> str:
        """`Order.key` of what this service bought; of what others did, its id."""
        plan, offer = self.tags.get(PLAN_TAG), self.tags.get(OFFER_TAG)
        return hashlib.sha256(f"{plan}/{offer}".encode()).hexdigest() if plan and offer else self.id

    def is_of(self, order: Order) -> bool:
        """Whether it was bought by this order."""
        return all(self.tags.get(tag) == value for tag, value in order.tags.items())


class Product(Protocol):
    """One of AWS's products. Methods raise RefusedError beside what `recommendations.ports.Actuator` says."""

    def sells(self, order: Order) -> bool:
        """Whether the order is of this product, and complete."""
        ...

    def held(self, regions: tuple[str, ...], deadline: datetime) -> Iterator[Held]:
        """What the account has of it, or is about to have."""
        ...

    def found(self, order: Order, attempted: datetime | None, deadline: datetime) -> Held | None:
        """What was bought by this order, which was first about to be made at `attempted`; it is marked as such."""
        ...

    def quoted(self, order: Order, deadline: datetime) -> str:
        """The offering's id. Refuses where there is not exactly one, or it is not quoted as it was."""
        ...

    def rehearse(self, order: Order, offering: str, deadline: datetime) -> None:
        """Ask AWS whether it could be bought, where it can be asked."""
        ...

    def buy(self, order: Order, offering: str, token: str, deadline: datetime) -> str:
        """Buy it; the id of what was bought."""
        ...


def order_of(operation: Operation) -> Order | None:
    """None where something is lacking that every purchase needs."""
    said = {change.field: change.after for change in operation.changes}
    payment = _PAYMENTS.get(said.get("PaymentOption", ""))
    try:
        seconds = int(said.get("TermSeconds", ""))
        commitment = Decimal(said.get("CommitmentPerHour", ""))
        upfront = Decimal(said.get("UpfrontPayment") or "0")
        rate = Decimal(said["QuotedRate"]) if said.get("QuotedRate") else None
        units = Decimal(said.get("Units") or "0")
    except (ValueError, InvalidOperation):
        return None
    plan_hash = said.get("PlanHash", "")
    if payment is None or not commitment > 0 or not plan_hash or units != int(units):
        return None
    return Order(
        said.get("Kind", ""),
        payment,
        seconds,
        commitment,
        upfront,
        said.get("Family", ""),
        said.get("Region", ""),
        said.get("Sku", ""),
        int(units),
        said.get("QuotedUsageType", ""),
        rate,
        operation.resource_id,
        plan_hash,
    )
