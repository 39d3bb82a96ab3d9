"""Names, places and times as Google's APIs write them."""

from datetime import UTC, datetime
from typing import Final

NAME_TAG: Final = "gcp:name"
"""Tag under which a resource's name stands beside its number."""


def region_of(zone: str) -> str:
    """`us-central1` of `us-central1-a`."""
    return zone.rpartition("-")[0]


def instant_of(text: str) -> datetime | None:
    """An aware instant; empty text is none."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
