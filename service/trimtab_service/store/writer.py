"""Group commit: one thread writes for all, so that many callers share one durable commit.

Two kinds of work meet here. A *unit* is a change whose caller waits: units of a group share the
transaction, each under a savepoint of its own. A *record* is fire-and-forget (the decision log): when the
database is gone, records wait up to a bound and are then refused, counted, never in anyone's way.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol, TypeVar

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from trimtab_service.domain.errors import (
    DeadlineExceededError,
    ResourceExhaustedError,
    UnavailableError,
)
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.store import failures
from trimtab_service.store.engines import Database
from trimtab_service.store.serial import take_turn

T = TypeVar("T")
R_contra = TypeVar("R_contra", contravariant=True)

GROUP: Final = 256
"""Units of one commit."""

RECORD_GROUP: Final = 512
LINGER_S: Final = 0.1
"""How long records wait for company when nobody waits for them. A commit costs as much as fifty records."""

BUSY_RETRY: Final = timedelta(milliseconds=100)
_RETRY_FIRST_S: Final = 0.05
_RETRY_LAST_S: Final = 1.0


_LOG: Final = structlog.get_logger("trimtab.store")


class Sink(Protocol[R_contra]):
    """Where records of one kind go. Idempotent: after a lost connection a group may be written again."""

    def write(self, conn: Connection, records: Sequence[R_contra]) -> None:
        """Insert all records, ignoring those that are there already."""


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """Bounds of what waits: units in number, records in number and in the bytes that callers declare."""

    units: int = 4_096
    records: int = 50_000
    record_bytes: int = 64 * 2**20


@dataclass(frozen=True, slots=True)
class WriterStats:
    """What health and metrics show. `dropped` were refused for want of room, `refused` by the database."""

    queue_depth: int
    units_total: int
    records_total: int
    commits_total: int
    dropped_total: int
    refused_total: int
    last_error: UnavailableError | None


@dataclass(slots=True)
class _Job:
    unit: Callable[[Connection], Any]
    future: Future[Any]


_Record = tuple[Sink[Any], object, int]
"""Where a record goes, the record, its size. A tuple, because one is made for every decision."""

_Settled = tuple[_Job, Any, BaseException | None]


class GroupCommitWriter:
    """Owns the writing thread of a process. Safe to use from any thread; `close` ends it."""

    def __init__(self, database: Database, limits: WriterLimits | None = None) -> None:
        self._database = database
        self._limits = limits or WriterLimits()
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._idle = threading.Condition(self._lock)
        self._jobs: deque[_Job] = deque()
        self._records: deque[_Record] = deque()
        self._record_bytes = 0
        self._in_hand = 0
        self._taken = self._done = 0
        self._urgent_until = 0
        self._closing = False
        self._retry_at = 0.0
        self._retry_s = _RETRY_FIRST_S
        self._last_error: UnavailableError | None = None
        self._units_total = self._records_total = self._commits_total = 0
        self._dropped_total = self._refused_total = 0
        self._thread = threading.Thread(target=self._run, name="trimtab-writer", daemon=True)
        self._thread.start()

    def submit(self, unit: Callable[[Connection], T]) -> Future[T]:
        """Run `unit` in the next group; the future is done when the group is durable.

        The unit holds the turn (`store.serial`) and runs on the writer's thread: it must be short, and
        must neither commit nor wait for another unit. What it raises is what its future raises, and
        its writes are undone. UnavailableError: the database did not answer; whether the group was
        committed may then be unknown, which is what request ids are for. Raises ResourceExhaustedError
        when too many units wait, UnavailableError after `close`.
        """
        future: Future[T] = Future()
        with self._work:
            if self._closing:
                raise UnavailableError(ErrorReason.SHUTTING_DOWN, "the store is closing")
            if len(self._jobs) >= self._limits.units:
                message = "too many changes wait to be committed"
                raise ResourceExhaustedError(ErrorReason.STORE_BUSY, message, retry_after=BUSY_RETRY)
            self._taken += 1
            self._jobs.append(_Job(unit, future))
            self._work.notify()
        return future

    def run(self, unit: Callable[[Connection], T], timeout_s: float | None = None) -> T:
        """`submit` and wait. Raises DeadlineExceededError after `timeout_s`; the unit may still be made."""
        future = self.submit(unit)
        try:
            return future.result(timeout_s)
        except FutureTimeoutError:
            made = "it was not made" if future.cancel() else "it may still be made"
            message = f"the store did not commit the change in time; {made}"
            raise DeadlineExceededError(ErrorReason.DEADLINE_EXCEEDED, message) from None

    def append(self, sink: Sink[R_contra], record: R_contra, size: int = 0) -> bool:
        """Write `record` (of about `size` bytes) soon; False: there was no room, it is dropped and counted."""
        # The lock itself: its condition is the same lock behind two more calls, and this runs for every decision.
        with self._lock:
            room = len(self._records) < self._limits.records
            if self._closing or not room or self._record_bytes + size > self._limits.record_bytes:
                self._dropped_total += 1
                return False
            self._taken += 1
            self._records.append((sink, record, size))
            self._record_bytes += size
            waiting = len(self._records)
            if waiting in {1, RECORD_GROUP}:
                self._work.notify()
        return True

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was handed in before is durable; False when time or the database ran out."""
        give_up = time.monotonic() + timeout_s
        with self._idle:
            awaited = self._urgent_until = self._taken
            self._work.notify()
            # Units overtake records, so this may wait for a little more than was handed in before.
            while self._done < awaited:
                left = give_up - time.monotonic()
                if left <= 0:
                    return False
                self._idle.wait(left)
        return True

    def close(self, timeout_s: float = 5.0) -> int:
        """Flush, then end the thread; returns how many records had to be dropped (0 when all is durable)."""
        with self._work:
            self._closing = True
        self.flush(timeout_s)
        with self._work:
            left = len(self._records)
            self._dropped_total += left
            self._done += left
            self._records.clear()
            self._record_bytes = 0
            abandoned = list(self._jobs)
            self._done += len(abandoned)
            self._jobs.clear()
            self._work.notify()
        closed = UnavailableError(ErrorReason.SHUTTING_DOWN, "the store closed before the change was made")
        for job in abandoned:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(closed)
        self._thread.join(timeout_s)
        return left

    def stats(self) -> WriterStats:
        """A consistent copy of the counters."""
        with self._lock:
            return WriterStats(
                queue_depth=len(self._jobs) + len(self._records) + self._in_hand,
                units_total=self._units_total,
                records_total=self._records_total,
                commits_total=self._commits_total,
                dropped_total=self._dropped_total,
                refused_total=self._refused_total,
                last_error=self._last_error,
            )

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            jobs, records = group
            self._write_group(jobs, records)

    def _next_group(self) -> tuple[list[_Job], list[_Record]] | None:
        """Wait for work.

        A unit goes at once: its group is who came during the last commit. Records alone have nobody who
        waits for them, so they linger for company, and wait out a pause after a failure.
        """
        with self._work:
            linger_until: float | None = None
            while True:
                now = time.monotonic()
                if self._jobs:
                    break
                if self._records:
                    if linger_until is None:
                        linger_until = now + LINGER_S
                    full = self._done < self._urgent_until or len(self._records) >= RECORD_GROUP
                    due = max(now if full else linger_until, self._retry_at)
                    if due <= now:
                        break
                    self._work.wait(due - now)
                elif self._closing:
                    return None
                else:
                    self._work.wait()
            jobs = [self._jobs.popleft() for _ in range(min(GROUP, len(self._jobs)))]
            records: list[_Record] = []
            if time.monotonic() >= self._retry_at:
                records = [self._records.popleft() for _ in range(min(RECORD_GROUP, len(self._records)))]
                self._record_bytes -= sum(size for _, _, size in records)
            self._in_hand = len(jobs) + len(records)
        return jobs, records

    def _write_group(self, jobs: list[_Job], records: list[_Record]) -> None:
        live = [job for job in jobs if job.future.set_running_or_notify_cancel()]
        if live and time.monotonic() < self._retry_at and self._last_error is not None:
            # The database was gone a moment ago: say so now instead of letting each caller find out.
            self._settle([(job, None, _copy(self._last_error)) for job in live], len(jobs))
            return
        refused = 0
        try:
            with self._database.write() as conn:
                refused = _insert(conn, records)
                if live:
                    take_turn(conn)
                alone = len(live) == 1 and not records
                settled = [_attempt(conn, job, alone=alone) for job in live]
        except UnavailableError as error:
            self._lost(error, records)
            self._settle([(job, None, _copy(error)) for job in live], len(jobs))
        except Exception as error:  # noqa: BLE001 - the thread must outlive any fault of one group
            _LOG.error("store_group_refused", error=type(error).__name__, records=len(records), units=len(live))
            with self._lock:
                self._refused_total += len(records)
            self._settle([(job, None, error) for job in live], len(jobs) + len(records))
        else:
            self._committed(len(live), len(records) - refused, refused)
            self._settle(settled, len(jobs) + len(records))

    def _committed(self, units: int, records: int, refused: int) -> None:
        with self._lock:
            recovered, self._last_error = self._last_error, None
            self._retry_s = _RETRY_FIRST_S
            self._commits_total += 1
            self._units_total += units
            self._records_total += records
            self._refused_total += refused
            waiting, dropped = len(self._records), self._dropped_total
        if recovered is not None:
            _LOG.info("store_back", waiting=waiting, dropped_total=dropped)
        if refused:
            _LOG.error("store_records_refused", records=refused)

    def _lost(self, error: UnavailableError, records: list[_Record]) -> None:
        """Put the records back in their order, and pause."""
        with self._lock:
            known = self._last_error is not None
            self._last_error = error
            self._retry_at = time.monotonic() + self._retry_s
            self._retry_s = min(self._retry_s * 2, _RETRY_LAST_S)
            self._records.extendleft(reversed(records))
            self._record_bytes += sum(size for _, _, size in records)
        if not known:
            _LOG.warning("store_lost", cause=error.metadata.get("cause"))

    def _settle(self, settled: Sequence[_Settled], done: int) -> None:
        """Answer the callers, then let `flush` know."""
        for job, value, fault in settled:
            if fault is None:
                job.future.set_result(value)
            else:
                job.future.set_exception(fault)
        with self._idle:
            self._in_hand = 0
            self._done += done
            self._idle.notify_all()


def _attempt(conn: Connection, job: _Job, *, alone: bool) -> _Settled:
    """Run one unit under a savepoint, or, when it is alone, with the whole transaction for one.

    A database that is gone ends the group, any other fault the unit.
    """
    savepoint = None if alone else conn.begin_nested()
    try:
        value = job.unit(conn)
        if savepoint is not None:
            savepoint.commit()
    except Exception as error:
        if isinstance(error, SQLAlchemyError) and failures.is_passing(error):
            raise
        (savepoint or conn).rollback()
        return job, None, error
    return job, value, None


def _copy(error: UnavailableError) -> UnavailableError:
    """One for each caller: an exception that many threads raise grows a traceback without end."""
    return UnavailableError(error.reason, error.message, metadata=error.metadata, retry_after=error.retry_after)


def _insert(conn: Connection, records: list[_Record]) -> int:
    """Write the records of a group, kind by kind; returns how many the database refused for good."""
    by_sink: dict[int, tuple[Sink[Any], list[object]]] = {}
    for sink, record, _ in records:
        by_sink.setdefault(id(sink), (sink, []))[1].append(record)
    return sum(_insert_all(conn, sink, of_kind) for sink, of_kind in by_sink.values())


def _insert_all(conn: Connection, sink: Sink[Any], records: Sequence[object]) -> int:
    """Halve what is refused until the faulty record stands alone: it must not hold up the others."""
    savepoint = conn.begin_nested()
    try:
        sink.write(conn, records)
        savepoint.commit()
    except Exception as error:
        if isinstance(error, SQLAlchemyError) and failures.is_passing(error):
            raise
        savepoint.rollback()
        if len(records) == 1:
            return 1
        half = len(records) // 2
        return _insert_all(conn, sink, records[:half]) + _insert_all(conn, sink, records[half:])
    return 0
