"""Follows the journal, so that what one process changes is in force in all others within a second."""

import threading
import time
from collections.abc import Callable, Sequence

from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.store.journal import Journal, JournalEntry

Handler = Callable[[Sequence[JournalEntry]], None]

POLL_S = 0.2
_PAGE = 1_000


class JournalFollower:
    """Hands entries to one handler: in order, each exactly once, one call at a time.

    The handler runs on whichever thread read the entries. When it raises, nothing counts as handed over
    and the same entries come again: it must be atomic, and pass over what it does not understand.
    """

    def __init__(
        self,
        journal: Journal,
        handler: Handler,
        revision: int = 0,
        poll_s: float = POLL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._handler = handler
        self._revision = revision
        self._poll_s = poll_s
        self._clock = clock
        self._fold = threading.Lock()
        self._stop = threading.Event()
        self._caught_up_at = clock()
        self._last_error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="trimtab-journal", daemon=True)

    @property
    def revision(self) -> int:
        """The last revision that the handler has taken."""
        return self._revision

    @property
    def last_error(self) -> Exception | None:
        """Why the last poll failed; None after one that did not."""
        return self._last_error

    def lag_s(self) -> float:
        """Seconds since this process last knew that it had everything: the bound on its staleness."""
        return self._clock() - self._caught_up_at

    def start(self) -> None:
        """Begin to poll in the background."""
        self._thread.start()

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop polling and wait for the thread, when it was started."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def catch_up(self) -> int:
        """Take everything that is committed now; returns the revision reached. Raises as the handler does."""
        with self._fold:
            while len(self._read_page()) == _PAGE:
                pass
            return self._revision

    def sync_to(self, revision: int) -> None:
        """Return once the handler has taken `revision`, which is committed: what follows an own commit.

        Raises UnavailableError when the database does not answer, or does not know that revision.
        """
        if self._revision >= revision:
            return
        with self._fold:
            while self._revision < revision:
                if not self._read_page():
                    raise UnavailableError(
                        ErrorReason.STORE_UNAVAILABLE,
                        f"revision {revision} is not in the journal",
                        metadata={"revision": str(revision)},
                    )

    def _read_page(self) -> list[JournalEntry]:
        """Read and hand over one page; `_fold` is held."""
        started = self._clock()
        entries = self._journal.read_after(self._revision, _PAGE)
        if entries:
            self._handler(entries)
            self._revision = entries[-1].revision
        if len(entries) < _PAGE:
            self._caught_up_at = started
        return entries

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.catch_up()
                self._last_error = None
            except Exception as error:  # noqa: BLE001 - shown by health; the next poll tries again
                self._last_error = error
            self._stop.wait(self._poll_s)
