"""Asking several that may hang, side by side, and going on without those that do."""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import structlog

K = TypeVar("K")
V = TypeVar("V")

_LOG: Final = structlog.get_logger("trimtab.failover")
_MOST_THREADS: Final = 16


def answered(calls: Mapping[K, Callable[[], V]], timeout_s: float) -> dict[K, V]:
    """What each call answers within the time; those that do not, or raise, are left out.

    At most 16 at once, in threads that are left behind when they hang: they hold neither the caller nor the process.
    """
    waiting: queue.SimpleQueue[tuple[K, Callable[[], V]]] = queue.SimpleQueue()
    came: queue.SimpleQueue[tuple[K, V] | None] = queue.SimpleQueue()
    for key, call in calls.items():
        waiting.put((key, call))

    def work() -> None:
        while True:
            try:
                key, call = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                came.put((key, call()))
            except Exception:  # noqa: BLE001 - one that breaks must not be waited for
                _LOG.exception("failover_reading_broke", of=str(key))
                came.put(None)

    for _ in range(min(len(calls), _MOST_THREADS)):
        threading.Thread(target=work, name="trimtab-reading", daemon=True).start()
    give_up = time.monotonic() + timeout_s
    found: dict[K, V] = {}
    for _ in calls:
        try:
            one = came.get(timeout=max(0.0, give_up - time.monotonic()))
        except queue.Empty:
            break
        if one is not None:
            found[one[0]] = one[1]
    return found
