"""Canary objects: what a replication last carried over, by the stamp that somebody wrote at the source."""

import json
from datetime import UTC, datetime
from typing import Final

from trimtab_service.clouds.patience import source_failed

LONGEST: Final = 4096
"""Bytes that are read of one; more is no canary."""


def stamp_of(content: object, where: str) -> datetime:
    """The time of `{"time": "2026-11-23T12:00:00Z"}`, aware UTC. Raises UnavailableError (SOURCE_FAILED)."""
    said = content.get("time") if isinstance(content, dict) else None
    try:
        stamp = datetime.fromisoformat(str(said))
    except ValueError:
        stamp = None
    if stamp is None or stamp.tzinfo is None:
        raise source_failed(f"{where}: not a canary, whose `time` is an instant with its offset")
    return stamp.astimezone(UTC)


def parsed(data: bytes, where: str) -> object:
    """The JSON of an object. Raises UnavailableError (SOURCE_FAILED)."""
    try:
        return json.loads(data)
    except ValueError as error:
        raise source_failed(f"{where}: not a canary, which is JSON") from error
