"""Carries replications out in the background: each by one process at a time, under a lease and a token.

The lease is for liveness; safety rests on the token, which every commit compares, and on conditions that the stores
compare: a process that was paused can write nothing here, and there only what is newer than what is there.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from trimtab_service.domain.errors import TrimtabError
from trimtab_service.replication.bandwidth import Bandwidth
from trimtab_service.replication.checksums import Crc32c
from trimtab_service.replication.copying import Around
from trimtab_service.replication.journal import Held, LeaseLostError, ReplicationJournal
from trimtab_service.replication.opening import Replications
from trimtab_service.replication.passing import Pass
from trimtab_service.replication.progress import Progress

_LOG: Final = structlog.get_logger("trimtab.replication")


@dataclass(frozen=True, slots=True)
class Pacing:
    """How often and how long. `call_time` is the deadline of one call to a store; `lease` at least three heartbeats."""

    lease: timedelta = timedelta(seconds=10)
    heartbeat: timedelta = timedelta(seconds=3)
    poll: timedelta = timedelta(seconds=2)
    call_time: timedelta = timedelta(seconds=120)
    after_fault: timedelta = timedelta(seconds=15)


@dataclass(slots=True)
class _Hold:
    """A replication in hand, until its lease ends by our own count of time."""

    held: Held
    until: float
    ended: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise LeaseLostError when nothing may be written any more."""
        if self.ended.is_set() or time.monotonic() >= self.until:
            raise LeaseLostError

    def wait(self, seconds: float) -> None:
        """Wait, at most until the hold ends; raises as `check`."""
        self.ended.wait(seconds)
        self.check()


class ReplicationRunner:
    """One a process. `start` it, `wake` it when there may be something to do, `close` it."""

    def __init__(  # noqa: PLR0913 - its collaborators, each a seam for a test
        self,
        journal: ReplicationJournal,
        replications: Replications,
        *,
        owner: str,
        clock: Callable[[], datetime],
        crc32c: Crc32c | None,
        pacing: Pacing | None = None,
    ) -> None:
        self._journal = journal
        self._replications = replications
        self._owner = owner
        self._clock = clock
        self._crc32c = crc32c
        self._pacing = pacing or Pacing()
        self._holds: dict[str, _Hold] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._woken = threading.Event()
        self._threads = [
            threading.Thread(target=self._loop, name="trimtab-replication", daemon=True),
            threading.Thread(target=self._beat, name="trimtab-replication-lease", daemon=True),
        ]

    def start(self) -> None:
        """Begin to take replications; nothing where none is configured."""
        if self._replications.identities():
            for thread in self._threads:
                thread.start()

    def wake(self) -> None:
        """One was started or turned."""
        self._woken.set()

    def close(self, timeout_s: float = 5.0) -> None:
        """Take nothing more and let go; what is under way is gone on with by another process, or the next start."""
        self._stop.set()
        self._woken.set()
        with self._lock:
            holds = list(self._holds.values())
        for hold in holds:
            hold.ended.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout_s)

    def take(self) -> bool:
        """Claim one that is due, if there is one, and carry it out in a thread of its own. Raises UnavailableError."""
        sent_at = time.monotonic()
        held = self._journal.claim(self._replications.identities(), self._owner, self._pacing.lease)
        if held is None:
            return False
        hold = _Hold(held, sent_at + self._pacing.lease.total_seconds())
        with self._lock:
            self._holds[held.name] = hold
        threading.Thread(target=self._carry_out, args=(hold,), name=f"trimtab-copy-{held.name}", daemon=True).start()
        return True

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._woken.clear()
            try:
                while not self._stop.is_set() and self.take():
                    pass
            except TrimtabError as error:
                _LOG.warning("replications_not_read", cause=error.message)
            except Exception:  # noqa: BLE001 - the loop must outlive any fault of one replication
                _LOG.exception("replication_claim_broke")
            self._woken.wait(self._pacing.poll.total_seconds())

    def _beat(self) -> None:
        while not self._stop.wait(self._pacing.heartbeat.total_seconds()):
            with self._lock:
                holds = dict(self._holds)
            if not holds:
                continue
            sent_at = time.monotonic()
            try:
                ours = self._journal.renew([hold.held for hold in holds.values()], self._pacing.lease)
            except TrimtabError as error:
                _LOG.warning("replication_lease_not_renewed", cause=error.message)
                continue
            for name, hold in holds.items():
                if name in ours:
                    hold.until = sent_at + self._pacing.lease.total_seconds()
                else:
                    hold.ended.set()

    def _carry_out(self, hold: _Hold) -> None:
        name = hold.held.name
        try:
            self._pass(hold)
        except LeaseLostError:
            _LOG.info("replication_let_go", replication=name)
            self._let_go(hold.held)
        except TrimtabError as error:
            # The journal could not be written: the lease ends by itself, and another try goes on from what is kept.
            _LOG.warning("replication_left", replication=name, cause=error.message)
        except Exception:  # noqa: BLE001 - the last stand of a background thread
            _LOG.exception("replication_broke", replication=name)
        finally:
            hold.ended.set()
            with self._lock:
                if self._holds.get(name) is hold:
                    del self._holds[name]

    def _let_go(self, held: Held) -> None:
        """Sooner than the lease ends, so that who waits for it need not."""
        try:
            self._journal.release(held)
        except TrimtabError as error:
            _LOG.warning("replication_lease_left", replication=held.name, cause=error.message)

    def _pass(self, hold: _Hold) -> None:
        held, pacing = hold.held, self._pacing
        opened = self._replications.get(held.name)
        definition, kept = opened.definition, held.progress
        began = self._clock()
        try:
            source, destination = opened.stores(is_reversed=held.is_reversed)
            around = Around(
                source=source,
                destination=destination,
                journal=self._journal,
                held=held,
                bandwidth=Bandwidth(definition.bandwidth, time.monotonic, hold.wait, definition.concurrency),
                part_size=definition.part_size,
                crc32c=self._crc32c,
                check=hold.check,
                clock=self._clock,
                call_time=pacing.call_time,
            )
            work = Pass(definition, around, kept)
            try:
                over = work.run()
            finally:
                kept = work.progress
        except LeaseLostError:
            raise
        except TrimtabError as error:
            _LOG.warning("replication_pass_failed", replication=held.name, cause=error.message)
            self._journal.finish(held, replace(kept, fault=error.message), pacing.after_fault)
            return
        except Exception:  # noqa: BLE001 - told where its operator looks, and tried again
            _LOG.exception("replication_broke", replication=held.name)
            told = "a fault of trimtab ended the pass; the log has more"
            self._journal.finish(held, replace(kept, fault=told), pacing.after_fault)
            return
        again = max(definition.every - (self._clock() - began), timedelta())
        self._journal.finish(held, over, again)
        _told(held.name, over)


def _told(name: str, over: Progress) -> None:
    assert over.last is not None  # noqa: S101 - a pass has ended
    counts = over.last.counts
    if counts.copied or counts.deleted or counts.failed:
        _LOG.info(
            "replication_pass",
            replication=name,
            copied=counts.copied,
            deleted=counts.deleted,
            failed=counts.failed,
            sent_bytes=counts.sent_bytes,
        )
