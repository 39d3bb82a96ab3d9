"""The lifecycle's background work.

What is not confirmed expires, what was left half done goes on, what was applied is measured. Every process may run it:
leases and the turn keep one of them at each thing.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog

from trimtab_service.domain.errors import TrimtabError
from trimtab_service.rpc.recommendation_runner import Runner
from trimtab_service.rpc.recommendation_verifier import Verifier
from trimtab_service.store.recommendations import RecommendationStore

_LOG: Final = structlog.get_logger("trimtab.recommendations")


class Sweeper:
    """A thread that looks every `every_s` seconds; `close` stops it after what is in hand."""

    def __init__(
        self,
        store: RecommendationStore,
        runner: Runner,
        verifier: Verifier,
        *,
        clock: Callable[[], datetime],
        every_s: float,
    ) -> None:
        self._store = store
        self._runner = runner
        self._verifier = verifier
        self._clock = clock
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trimtab-recommendations", daemon=True)

    def start(self) -> None:
        """Begin; what a process left half done is taken up at once."""
        self._thread.start()

    def close(self, timeout_s: float = 5.0) -> None:
        """End."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def sweep(self) -> None:
        """All of it once. Raises UnavailableError when the database does not answer."""
        resumed = self._runner.resume_left_over()
        expired = self._store.expire(self._clock())
        measured = self._verifier.sweep()
        if resumed or expired or measured:
            _LOG.info("recommendations_swept", resumed=resumed, expired=expired, measured=measured)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.sweep()
            except TrimtabError as error:
                _LOG.warning("recommendations_not_swept", cause=error.message)
            except Exception:  # noqa: BLE001 - the last stand of a background thread
                _LOG.exception("recommendations_sweep_broke")
            self._stop.wait(self._every_s)
