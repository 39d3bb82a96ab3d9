"""Canaries: a stamp of time that goes the way of the data, and arrives only after all that was there before it."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.replication.checksums import NO_CHECKSUMS, Crc32c, Tally
from trimtab_service.replication.ports import (
    ABSENT,
    Attributes,
    ChangedError,
    Content,
    CutOffError,
    GoneError,
    ObjectStore,
)

_LONGEST: Final = 4096
_TRIES: Final = 3
_ATTRIBUTES: Final = Attributes(content_type="application/json")


@dataclass(frozen=True, slots=True)
class Canary:
    """The time within, and the version of the object."""

    time: datetime
    version: str


def read_canary(store: ObjectStore, key: str, deadline: datetime) -> Canary | None:
    """The canary that a store has; None where it has none. Raises UnavailableError (SOURCE_FAILED)."""
    try:
        head = store.head(key, deadline)
        if not 0 < head.size <= _LONGEST:
            raise _no_canary(store, key)
        data = b"".join(store.read(key, head.version, 0, None, deadline).pieces)
    except GoneError:
        return None
    except (ChangedError, CutOffError):
        return read_canary(store, key, deadline)
    try:
        time = datetime.fromisoformat(str(json.loads(data)["time"]))
    except (ValueError, TypeError, KeyError):
        raise _no_canary(store, key) from None
    if time.tzinfo is None:
        raise _no_canary(store, key)
    return Canary(time.astimezone(UTC), head.version)


def write_canary(store: ObjectStore, key: str, time: datetime, deadline: datetime, crc32c: Crc32c | None) -> None:
    """Put a canary of that time, unless there is a newer one. Raises UnavailableError (SOURCE_FAILED)."""
    data = json.dumps({"time": time.astimezone(UTC).isoformat()}).encode()
    tally = Tally(crc32c, NO_CHECKSUMS)
    tally.add(data)
    content = Content(data, tally.checksums(), _ATTRIBUTES)
    for _ in range(_TRIES):
        there = read_canary(store, key, deadline)
        if there is not None and there.time >= time:
            return
        try:
            store.put(key, content, ABSENT if there is None else there.version, deadline)
        except ChangedError:
            continue
        return
    raise UnavailableError(ErrorReason.SOURCE_FAILED, f"{store.uri}: others write the canary at the same time")


def _no_canary(store: ObjectStore, key: str) -> UnavailableError:
    return UnavailableError(ErrorReason.SOURCE_FAILED, f"{store.uri}: {key} is not a canary of trimtab")
