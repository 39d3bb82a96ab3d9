"""Sides and deadlines that the tests of traffic targets have in common."""

from datetime import UTC, datetime, timedelta
from typing import Final

from trimtab_service.domain.failover import Side
from trimtab_service.domain.offers import Cloud
from trimtab_service.failover.ports import Traffic

AWS: Final = Side("aws", Cloud.AWS, "eu-west-1")
GCP: Final = Side("gcp", Cloud.GCP, "europe-west1")
ADDRESSES: Final = {"aws": ("192.0.2.1", "192.0.2.2"), "gcp": ("198.51.100.1",)}


def soon(seconds: float = 120.0) -> datetime:
    """A deadline."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


def share(traffic: Traffic, side: Side) -> float:
    """What a side has of it."""
    return dict(traffic.weights)[side.side_id]
