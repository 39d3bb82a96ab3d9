"""What is done for the whole deployment again and again, each by one process at a time."""

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

import structlog

from trimtab_service.domain.errors import TrimtabError
from trimtab_service.failover.watching import Duties

EVERY: Final = timedelta(seconds=5)
LEASE: Final = timedelta(seconds=20)
"""After so long another process takes over what one was doing."""

Round = Callable[[threading.Event], object]
"""Does what is due now and ends soon after the event is set. Raises UnavailableError."""

_LOG: Final = structlog.get_logger("trimtab.failover")


class FailoverRounds:
    """Rounds by the name of their duty, each in a thread of its own: a slow one keeps no other waiting."""

    def __init__(
        self,
        duties: Duties,
        rounds: Mapping[str, Round],
        *,
        every: timedelta = EVERY,
        lease: timedelta = LEASE,
    ) -> None:
        self._duties = duties
        self._every_s = every.total_seconds()
        self._lease = lease
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._go_round, args=(name, one), name=f"trimtab-{name}", daemon=True)
            for name, one in rounds.items()
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def close(self, timeout_s: float = 1.0) -> None:
        """Begin no further round. One that waits for a cloud is left behind: its thread holds nothing."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout_s)

    def _go_round(self, name: str, go: Round) -> None:
        while not self._stop.wait(self._every_s):
            try:
                if self._duties.hold((name,), self._lease):
                    go(self._stop)
            except TrimtabError as error:
                _LOG.warning("failover_round_failed", round=name, cause=error.message)
            except Exception:  # noqa: BLE001 - the loop must outlive any fault of one round
                _LOG.exception("failover_round_broke", round=name)
