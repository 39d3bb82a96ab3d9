"""How a process holds on to its runs, and when it must let go.

The rule is Patroni's: heartbeat + 2 tries within the lease. Two renewals in a row that fail end every hold of the
process, and so does its own count of time, which goes on while a process is stopped. Whoever has lost a hold issues no
call any more. That is for liveness and courtesy; safety rests on the token, which targets and database compare.
"""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import structlog

from trimtab_service.domain.errors import TrimtabError
from trimtab_service.domain.failover import RunMode, RunState
from trimtab_service.failover.journal import LeaseLostError, RunJournal, Standing
from trimtab_service.failover.run import Run
from trimtab_service.failover.steps.call import StoppedError

_LOG: Final = structlog.get_logger("trimtab.failover")
_TRIES: Final = 2


class Lease:
    """A hold on one run. Threads share it."""

    __slots__ = ("_ended", "_lease_s", "_monotonic", "_until", "run", "standing")

    def __init__(self, run: Run, lease_s: float, sent_at: float, monotonic: Callable[[], float]) -> None:
        self.run = run
        self.standing = Standing(run.state, run.mode)
        self._lease_s = lease_s
        self._monotonic = monotonic
        self._until = sent_at + lease_s
        self._ended = threading.Event()

    @property
    def is_held(self) -> bool:
        """Whether calls may be issued."""
        return not self._ended.is_set() and self._monotonic() < self._until

    @property
    def remaining_s(self) -> float:
        """Seconds for which calls may certainly still be issued; never negative."""
        return 0.0 if self._ended.is_set() else max(0.0, self._until - self._monotonic())

    def extend(self, sent_at: float) -> None:
        """It was renewed by a request sent at that instant of the monotonic clock."""
        self._until = max(self._until, sent_at + self._lease_s)

    def lose(self) -> None:
        """Nothing may be issued any more; who waits wakes up."""
        self._ended.set()

    def wait(self, seconds: float) -> None:
        """Wait, at most until the hold ends."""
        self._ended.wait(seconds)


class LeaseView:
    """The hold as a step sees it: what undoes is not stopped by the abort that it serves.

    `graceful_only`: the step is left out once the run is ungraceful.
    """

    __slots__ = ("_graceful_only", "_is_undoing", "_lease")

    def __init__(self, lease: Lease, *, is_undoing: bool, graceful_only: bool) -> None:
        self._lease = lease
        self._is_undoing = is_undoing
        self._graceful_only = graceful_only

    @property
    def mode(self) -> RunMode:
        """The run's, as it was last heard of."""
        return self._lease.standing.mode

    def check(self) -> None:
        """Raise LeaseLostError or StoppedError."""
        if not self._lease.is_held:
            raise LeaseLostError
        if self._is_undoing:
            return
        if self._lease.standing.state is RunState.ABORTING:
            raise StoppedError("the run is aborted")
        if self._graceful_only and self.mode is RunMode.UNGRACEFUL:
            raise StoppedError("an ungraceful run leaves it out")

    def remaining_s(self) -> float:
        """As the hold's."""
        return self._lease.remaining_s

    def wait(self, seconds: float) -> None:
        """Wait in short pieces, so that an abort is noticed."""
        give_up = time.monotonic() + seconds
        while (left := give_up - time.monotonic()) > 0:
            self.check()
            self._lease.wait(min(left, 0.25))
        self.check()


class LeaseKeeper:
    """The heartbeat of a process. One thread renews all its holds at once."""

    def __init__(self, journal: RunJournal, lease: timedelta, heartbeat: timedelta) -> None:
        """Raises ValueError unless two tries fit into the lease."""
        if heartbeat * (_TRIES + 1) > lease:
            raise ValueError("a lease lasts at least three heartbeats")
        self._journal = journal
        self._lease = lease
        self._heartbeat_s = heartbeat.total_seconds()
        self._holds: dict[str, Lease] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="trimtab-failover-lease", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def close(self) -> None:
        """End, and let go of everything."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(1.0)
        self._lose_all()

    def hold(self, run: Run, sent_at: float) -> Lease:
        """Keep a run that was claimed by a request sent at that instant."""
        lease = Lease(run, self._lease.total_seconds(), sent_at, time.monotonic)
        with self._lock:
            self._holds[run.name] = lease
        return lease

    def drop(self, lease: Lease) -> None:
        """Renew it no more."""
        with self._lock:
            if self._holds.get(lease.run.name) is lease:
                del self._holds[lease.run.name]
        lease.lose()

    def beat(self) -> None:
        """Renew everything once."""
        with self._lock:
            holds = list(self._holds.values())
        if not holds:
            self._failures = 0
            return
        sent_at = time.monotonic()
        try:
            standings = self._journal.renew([lease.run for lease in holds], self._lease)
        except TrimtabError as error:
            self._failures += 1
            _LOG.warning("failover_lease_not_renewed", cause=error.message, failures=self._failures)
            if self._failures >= _TRIES:
                self._lose_all()
            return
        self._failures = 0
        for lease in holds:
            standing = standings.get(lease.run.name)
            if standing is None:
                lease.lose()
            else:
                lease.standing = standing
                lease.extend(sent_at)

    def _run(self) -> None:
        while not self._stop.wait(self._heartbeat_s):
            try:
                self.beat()
            except Exception:  # noqa: BLE001 - the heartbeat must outlive any fault
                _LOG.exception("failover_heartbeat_broke")
                self._lose_all()

    def _lose_all(self) -> None:
        with self._lock:
            holds = list(self._holds.values())
        for lease in holds:
            lease.lose()
