"""A bucket of tokens: so many bytes a second, however many threads ask."""

import threading
from collections.abc import Callable
from typing import Final

_BURST_S: Final = 0.25
"""What may be saved up while nothing is asked for."""


class Bandwidth:
    """Shared by the threads of one replication."""

    __slots__ = ("_at", "_free", "_lock", "_monotonic", "_rate", "_sharers", "_wait")

    def __init__(
        self, rate: int | None, monotonic: Callable[[], float], wait: Callable[[float], None], sharers: int = 1
    ) -> None:
        """`rate` in bytes a second; None: no limit. `wait` sleeps so many seconds, or raises to end it.

        `sharers`: how many take of it at the same time.
        """
        self._rate = rate
        self._sharers = sharers
        self._monotonic = monotonic
        self._wait = wait
        self._lock = threading.Lock()
        self._free = 0.0
        self._at = monotonic()

    def take(self, size: int) -> None:
        """Wait until so many bytes may pass. Who takes more than is free goes into debt, and those after wait too."""
        if self._rate is None:
            return
        with self._lock:
            now = self._monotonic()
            self._free = min(self._free + (now - self._at) * self._rate, self._rate * _BURST_S)
            self._at = now
            self._free -= size
            owed = -self._free
        if owed > 0:
            self._wait(owed / self._rate)

    def time_for(self, size: int) -> float:
        """Seconds that so many bytes take when all who share take as many; 0 without a limit."""
        return 0.0 if self._rate is None else size * self._sharers / self._rate
