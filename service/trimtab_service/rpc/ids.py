"""Names of decisions: lower-case ULIDs, so that they sort by time."""

import os
from collections.abc import Callable
from datetime import datetime

from ulid import ULID

NewId = Callable[[datetime], str]
"""An id for something made at an instant. Passed in, so that a test knows what comes."""

_RANDOM_BYTES = 10


def new_ulid(instant: datetime) -> str:
    """A ULID of the instant (to the millisecond) with 80 random bits, as 26 lower-case characters."""
    millis = int(instant.timestamp() * 1_000)
    return str(ULID.from_bytes(millis.to_bytes(6, "big") + os.urandom(_RANDOM_BYTES))).lower()
