"""Requests for purchase plans of usage that a test knows."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from google.type.money_pb2 import Money

from trimtab.v1 import commitment_service_pb2, types_pb2
from trimtab.v1 import purchasing_service_pb2 as pb

START: Final = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday."""

YEAR: Final = timedelta(hours=8_760)
KIND: Final = commitment_service_pb2.Commitment
LOCKED: Final = KIND.KIND_AWS_EC2_INSTANCE_SAVINGS_PLAN
FLEXIBLE: Final = KIND.KIND_AWS_COMPUTE_SAVINGS_PLAN
RESERVED: Final = KIND.KIND_AWS_RESERVED_INSTANCE_STANDARD


def usd(amount: str | int) -> Money:
    """Exact dollars."""
    units, rest = divmod(Decimal(amount), 1)
    return Money(currency_code="USD", units=int(units), nanos=int(rest * 10**9))


def daily(level: float, hours: int, phase: int = 0) -> list[float]:
    """Usage that goes up and down with the day by a third of its level, in whole units."""
    return [
        float(round(level * (1.0 + math.sin(2 * math.pi * (hour + phase) / 24) / 3 + (hour % 7) / 50)))
        for hour in range(hours)
    ]


def demand(*series: tuple[str, Sequence[float]], region: str = "us-east-1") -> pb.PurchaseDemand:
    """Usage of families in one region from `START` on, as on-demand money."""
    made = pb.PurchaseDemand()
    made.start_time.FromDatetime(START.replace(tzinfo=None))
    for family, usage in series:
        made.series.add(cloud=types_pb2.CLOUD_AWS, family=family, region=region, hourly_usage=usage)
    return made


def offer(
    offer_id: str,
    rate: float,
    *,
    family: str = "",
    kind: commitment_service_pb2.Commitment.Kind.ValueType | None = None,
    term: timedelta = YEAR,
) -> pb.PurchaseOffer:
    """A Compute Savings Plan, or with a family an EC2 Instance one."""
    made = pb.PurchaseOffer(
        offer_id=offer_id,
        kind=kind or (LOCKED if family else FLEXIBLE),
        cloud=types_pb2.CLOUD_AWS,
        family=family,
        region="us-east-1" if family else "",
        rate=rate,
    )
    made.term.FromTimedelta(term)
    return made


def owned(
    commitment_id: str, of: pb.PurchaseOffer, per_hour: str | int, *, start: datetime = START, days: int = 365
) -> pb.OwnedPlan:
    """A plan that is there from `start` on."""
    made = pb.OwnedPlan(commitment_id=commitment_id, offer=of, commitment_per_hour=usd(per_hour))
    made.start_time.FromDatetime(start.replace(tzinfo=None))
    made.end_time.FromDatetime((start + timedelta(days=days)).replace(tzinfo=None))
    return made


def question(parent: str, hours: int = 24 * 28) -> pb.OptimizePurchasePlanRequest:
    """Two families, a locked plan for each, one flexible plan; the catalogue left out."""
    return pb.OptimizePurchasePlanRequest(
        parent=parent,
        demand=demand(("m5", daily(60, hours)), ("c5", daily(30, hours, phase=9))),
        offers=[offer("m5-1y", 0.5, family="m5"), offer("c5-1y", 0.55, family="c5"), offer("flexible-1y", 0.66)],
        only_given_offers=True,
    )
