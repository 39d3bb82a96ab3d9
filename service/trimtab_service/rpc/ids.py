"""Names of decisions: lower-case ULIDs, so that they sort by time."""

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from trimtab_service import compiled

NewId = Callable[[datetime], str]
"""An id for something made at an instant. Passed in, so that a test knows what comes."""

_RANDOM_BYTES: Final = 10
_KEPT: Final = 512
"""Ids that one call of the system's random source is enough for: it gives up the interpreter's lock, and a server that
decides takes long to get it back."""

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32, as the ULID specification has it, in lower case."""

_STEP: Final = (1 << 32) - 1
"""Ids of one millisecond are a random step up to this apart: one does not tell the next."""

_PAIRS: Final = tuple(a + b for a in _ALPHABET for b in _ALPHABET)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class UlidSource:
    """Makes ULIDs. Threads may share it; processes are spawned, so none begins with another's random bytes."""

    __slots__ = ("_left", "_lock", "_random")

    def __init__(self, random: Callable[[int], bytes] = os.urandom) -> None:
        self._random = random
        self._left: list[bytes] = []
        self._lock = threading.Lock()

    def __call__(self, instant: datetime) -> str:
        """A ULID of the instant (to the millisecond) with 80 random bits, as 26 characters."""
        return text_of(self.draw(instant))

    def draw(self, instant: datetime) -> int:
        """The same as a number."""
        try:
            entropy = self._left.pop()
        except IndexError:
            entropy = self._more()
        since = instant - _EPOCH
        millis = (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000
        return millis << 80 | int.from_bytes(entropy, "big")

    def _more(self) -> bytes:
        drawn = self._random(_RANDOM_BYTES * _KEPT)
        with self._lock:
            self._left.extend(drawn[i : i + _RANDOM_BYTES] for i in range(0, len(drawn), _RANDOM_BYTES))
            return self._left.pop()


class AscendingUlids:
    """ULIDs that ascend within a millisecond too, as they are made.

    A run makes a hundred thousand rows of one instant. By ascending keys a database adds them at the end of each
    index; by random ones it opens another page for each.
    """

    __slots__ = ("_last", "_lock", "_source")

    def __init__(self, source: UlidSource) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._last = 0

    def __call__(self, instant: datetime) -> str:
        """As `UlidSource`; after another of the same millisecond, a random step behind that one."""
        value = self._source.draw(instant)
        with self._lock:
            if value >> 80 == self._last >> 80:
                value = self._last + 1 + (value & _STEP)
            self._last = value
        return text_of(value)


def text_of(value: int) -> str:
    """128 bits as 26 characters, most significant first."""
    pairs = _PAIRS
    return (
        f"{pairs[value >> 120 & 1023]}{pairs[value >> 110 & 1023]}{pairs[value >> 100 & 1023]}"
        f"{pairs[value >> 90 & 1023]}{pairs[value >> 80 & 1023]}{pairs[value >> 70 & 1023]}"
        f"{pairs[value >> 60 & 1023]}{pairs[value >> 50 & 1023]}{pairs[value >> 40 & 1023]}"
        f"{pairs[value >> 30 & 1023]}{pairs[value >> 20 & 1023]}{pairs[value >> 10 & 1023]}{pairs[value & 1023]}"
    )


_WIRE: Final = compiled.load("wire")

new_ulid: Final[NewId] = AscendingUlids(UlidSource()) if _WIRE is None else _WIRE.Ulids(os.urandom)
"""The process's own source."""
