"""Probes that the service makes itself, each on behalf of an observer: at its pace, never two of one at a time.

The first of each falls at a random instant of its interval and every later one is spread a little, so that probes that
were started together do not stay together. At most so many are under way at once; what is late is left out and not
made up for, so that a slow hour ends in fewer probes and not in a storm. A check that hangs counts as failed when its
time is over; one that this process could not make at all says nothing of the side, nor does one during which the
process itself stood still.
"""

import heapq
import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from trimtab_service.domain.errors import TrimtabError
from trimtab_service.domain.offers import Cloud
from trimtab_service.failover.ports import Targets

_LOG: Final = structlog.get_logger("trimtab.failover")

AT_ONCE: Final = 32
"""Probes under way at a time in a process."""

_SPREAD: Final = 0.1
_LOOK_S: Final = 0.05
_STOOD_STILL_S: Final = 0.5
"""Who comes so much later than he should was stopped, or got no processor: time in which this process heard nobody."""


@dataclass(frozen=True, slots=True)
class Watch:
    """A probe of one side of a service, made again and again for the observer that it stands for.

    `target` names a probe of the deployment. A side is reported down when `fails` of the last `of` checks failed.
    """

    name: str
    project: str
    service_id: str
    side_id: str
    observer_id: str
    cloud: Cloud
    target: str
    region: str = ""
    interval: timedelta = timedelta(seconds=5)
    timeout: timedelta = timedelta(seconds=2)
    fails: int = 1
    of: int = 1


@dataclass(frozen=True, slots=True)
class Seen:
    """What one check, with those before it, says of a side."""

    watch: Watch
    time: datetime
    is_healthy: bool
    detail: str


class Duties(Protocol):
    """Which process does what. Raises UnavailableError when the database does not answer."""

    def hold(self, names: Collection[str], lease: timedelta) -> frozenset[str]:
        """Take or keep duties; those that are held now."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How probes are shared out between processes: another one takes over when `lease` is over."""

    lease: timedelta = timedelta(seconds=10)
    heartbeat: timedelta = timedelta(seconds=3)
    at_once: int = AT_ONCE


@dataclass(slots=True)
class _Standing:
    """One watch in this process. `turn`: the check that was handed out, 0: none; `begun`: when a worker began it.

    `hangs`: its worker was given up, and is not back.
    """

    watch: Watch
    failed: deque[bool]
    turn: int = 0
    begun: float | None = None
    hangs: bool = False


class Watcher:
    """The probes of a process. `start` it, `close` it; `report` is called from its threads."""

    def __init__(  # noqa: PLR0913 - its collaborators, each a seam for a test
        self,
        watches: Sequence[Watch],
        targets: Targets,
        duties: Duties,
        report: Callable[[Seen], None],
        *,
        clock: Callable[[], datetime],
        spread: Callable[[], float],
        pace: Pace | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`spread` draws from 0 to 1, evenly."""
        self._all = {watch.name: _Standing(watch, deque(maxlen=watch.of)) for watch in watches}
        self._targets = targets
        self._duties = duties
        self._report = report
        self._clock = clock
        self._spread = spread
        self._pace = pace or Pace()
        self._monotonic = monotonic
        self._held: frozenset[str] = frozenset()
        self._held_until = 0.0
        self._last_look = 0.0
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._ready: queue.SimpleQueue[tuple[_Standing, int] | None] = queue.SimpleQueue()
        self._late: queue.SimpleQueue[tuple[_Standing, int] | None] = queue.SimpleQueue()
        self._turns = itertools.count(1)
        self._workers = min(self._pace.at_once, len(watches))
        self._threads = [
            threading.Thread(target=self._hold_on, name="trimtab-probe-duty", daemon=True),
            threading.Thread(target=self._schedule, name="trimtab-probes", daemon=True),
            threading.Thread(target=self._report_late, name="trimtab-probes-late", daemon=True),
        ]

    def start(self) -> None:
        """Begin, if there is anything to probe."""
        if self._all:
            for thread in self._threads:
                thread.start()
            for _ in range(self._workers):
                self._begin_worker()

    def close(self, timeout_s: float = 1.0) -> None:
        """Begin no further check and report no more. A check that hangs is left behind: its thread holds nothing."""
        self._stop.set()
        self._late.put(None)
        for _ in range(self._workers):
            self._ready.put(None)
        give_up = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, give_up - time.monotonic()))

    def _hold_on(self) -> None:
        names = [duty_of(name) for name in self._all]
        while True:
            asked_at = self._monotonic()
            try:
                held = self._duties.hold(names, self._pace.lease)
            except TrimtabError as error:
                _LOG.warning("failover_probes_not_held", cause=error.message)
            except Exception:  # noqa: BLE001 - the loop must outlive any fault
                _LOG.exception("failover_probe_duty_broke")
            else:
                self._held = held
                self._held_until = asked_at + self._pace.lease.total_seconds()
            if self._stop.wait(self._pace.heartbeat.total_seconds()):
                return

    def _schedule(self) -> None:
        """Hand out what is due, and count what hangs as failed."""
        now = self._last_look = self._monotonic()
        places = itertools.count()
        due = [
            (now + self._spread() * one.watch.interval.total_seconds(), next(places), one) for one in self._all.values()
        ]
        heapq.heapify(due)
        while not self._stop.is_set():
            at, _, one = due[0]
            now = self._looked()
            if at > now:
                self._stop.wait(min(at - now, _LOOK_S))
                self._time_out()
                continue
            interval = one.watch.interval.total_seconds()
            next_at = now + interval * (1.0 + _SPREAD * (2.0 * self._spread() - 1.0))
            heapq.heapreplace(due, (next_at, next(places), one))
            self._hand_out(one, now)

    def _hand_out(self, one: _Standing, now: float) -> None:
        if now >= self._held_until or duty_of(one.watch.name) not in self._held:
            one.failed.clear()
            return
        with self._lock:
            if one.turn:
                return
            one.turn = turn = next(self._turns)
            hangs = one.hangs
        if hangs:
            # Another check would hang beside it.
            self._late.put((one, turn))
        else:
            self._ready.put((one, turn))

    def _looked(self) -> float:
        """Now. Time in which this process stood still since its last look is not taken off a check's own."""
        now = self._monotonic()
        gap, self._last_look = now - self._last_look, now
        if gap > _STOOD_STILL_S:
            for one in self._all.values():
                with self._lock:
                    if one.begun is not None:
                        one.begun += gap
        return now

    def _time_out(self) -> None:
        now = self._looked()
        for one in self._all.values():
            with self._lock:
                is_late = one.begun is not None and now - one.begun > one.watch.timeout.total_seconds()
                turn = one.turn
                if is_late:
                    one.hangs, one.begun = True, None
            if is_late:
                self._late.put((one, turn))
                self._begin_worker()

    def _begin_worker(self) -> None:
        threading.Thread(target=self._work, name="trimtab-probe", daemon=True).start()

    def _report_late(self) -> None:
        while (item := self._late.get()) is not None:
            one, turn = item
            self._take(one, turn, is_healthy=False, detail="no answer in time")

    def _work(self) -> None:
        while not self._stop.is_set():
            item = self._ready.get()
            if item is None:
                return
            one, turn = item
            with self._lock:
                one.begun = begun = self._monotonic()
            is_healthy, detail = self._checked(one.watch)
            over_s = self._monotonic() - begun - one.watch.timeout.total_seconds()
            if is_healthy is False and over_s > _STOOD_STILL_S:
                is_healthy, detail = None, "this process stood still meanwhile"
            with self._lock:
                one.begun = None
                was_given_up, one.hangs = one.hangs, False
            if was_given_up:
                return  # another worker has taken its place
            self._take(one, turn, is_healthy=is_healthy, detail=detail)

    def _checked(self, watch: Watch) -> tuple[bool | None, str]:
        """What the probe says; None: it could not be made."""
        try:
            probe = self._targets.probe(watch.project, watch.target)
            if probe is not None:
                return probe.check(self._clock() + watch.timeout), ""
        except TrimtabError as error:
            return None, error.message
        except Exception:  # noqa: BLE001 - one probe that breaks must not end the others
            _LOG.exception("failover_probe_broke", probe=watch.name)
            return None, "a fault of trimtab"
        return None, f"no probe {watch.target!r} is configured"

    def _take(self, one: _Standing, turn: int, *, is_healthy: bool | None, detail: str) -> None:
        """The first word on a check counts: its own answer, or that it took too long."""
        with self._lock:
            if one.turn != turn or self._stop.is_set():
                return
            one.turn = 0
            if is_healthy is not None:
                one.failed.append(not is_healthy)
            is_down = sum(one.failed) >= one.watch.fails
        if is_healthy is None:
            _LOG.warning("failover_probe_not_made", probe=one.watch.name, cause=detail)
            return
        try:
            self._report(Seen(one.watch, self._clock(), not is_down, detail))
        except TrimtabError as error:
            _LOG.warning("failover_probe_not_reported", probe=one.watch.name, cause=error.message)
        except Exception:  # noqa: BLE001 - the next check reports again
            _LOG.exception("failover_probe_report_broke", probe=one.watch.name)


def duty_of(name: str) -> str:
    """The duty of a watch."""
    return f"probe/{name}"
