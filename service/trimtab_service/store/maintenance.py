"""Retention: what has outlived its use is deleted, in batches that nobody has to wait for."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, or_, select, tuple_

from trimtab_service.domain.errors import UnavailableError
from trimtab_service.store import (
    decisions,
    failover_evaluations,
    failover_sweeps,
    fleet,
    journal,
    profiles,
    recommendation_sweeps,
)
from trimtab_service.store.engines import Database
from trimtab_service.store.serial import LOCK_PRODUCT, LOCK_PRUNE
from trimtab_service.store.tables import REQUESTS, RESERVATIONS

_LOG: Final = structlog.get_logger("trimtab.store")


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept. Reservations and answers count from when they ended or expired."""

    decisions: timedelta = timedelta(days=90)
    journal: timedelta = timedelta(days=90)
    reservations: timedelta = timedelta(days=7)
    answers: timedelta = timedelta()
    analyses: timedelta = timedelta(days=90)
    profiles: timedelta = timedelta(days=35)
    recommendations: timedelta = timedelta(days=400)
    leases: timedelta = timedelta(days=30)
    failover_runs: timedelta = timedelta(days=1_826)
    failover_reports: timedelta = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Pruned:
    """Rows deleted by one run."""

    decisions: int
    journal: int
    reservations: int
    answers: int
    analyses: int = 0
    profiles: int = 0
    recommendations: int = 0
    leases: int = 0
    failover_runs: int = 0
    failover_versions: int = 0
    failover_reports: int = 0
    failover_evaluations: int = 0


class Maintenance:
    """Prunes. Several replicas may run it: on PostgreSQL one of them deletes and the others find nothing."""

    def __init__(self, database: Database, retention: Retention, batch: int = 500, pause_s: float = 0.02) -> None:
        self._database = database
        self._retention = retention
        self._batch = batch
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def run_once(self, now: datetime) -> Pruned:
        """Delete all that is over age at `now`, one short transaction a batch, pausing in between.

        Raises UnavailableError when the database does not answer; what was deleted stays deleted.
        """
        kept = self._retention
        return Pruned(
            decisions=self._all(lambda conn, limit: decisions.prune(conn, now - kept.decisions, limit)),
            journal=self._all(lambda conn, limit: journal.prune(conn, now - kept.journal, limit)),
            reservations=self._all(lambda conn, limit: _prune_reservations(conn, now - kept.reservations, limit)),
            answers=self._all(lambda conn, limit: _prune_answers(conn, now - kept.answers, limit)),
            analyses=self._all(lambda conn, limit: fleet.prune(conn, now - kept.analyses, limit)),
            profiles=self._all(lambda conn, limit: profiles.prune(conn, now - kept.profiles, limit)),
            recommendations=self._all(
                lambda conn, limit: recommendation_sweeps.prune(conn, now - kept.recommendations, limit)
            ),
            leases=self._all(lambda conn, limit: recommendation_sweeps.prune_leases(conn, now - kept.leases, limit)),
            failover_runs=self._all(
                lambda conn, limit: failover_sweeps.prune_runs(conn, now - kept.failover_runs, limit)
            ),
            failover_versions=self._all(
                lambda conn, limit: failover_sweeps.prune_versions(conn, now - kept.failover_runs, limit)
            ),
            failover_reports=self._all(
                lambda conn, limit: failover_sweeps.prune_reports(conn, now - kept.failover_reports, limit)
            ),
            failover_evaluations=self._all(failover_evaluations.prune_evaluations),
        )

    def start(self, clock: Callable[[], datetime], every_s: float = 600.0) -> None:
        """Run in the background until `close`."""
        self._thread = threading.Thread(target=self._run, args=(clock, every_s), name="trimtab-prune", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop after the batch in hand."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self, clock: Callable[[], datetime], every_s: float) -> None:
        while not self._stop.wait(every_s):
            try:
                _LOG.info("store_pruned", pruned=self.run_once(clock()))
            except UnavailableError as error:
                _LOG.warning("store_prune_failed", cause=error.metadata.get("cause"))

    def _all(self, prune: Callable[[Connection, int], int]) -> int:
        total = 0
        while not self._stop.is_set():
            with self._database.write() as conn:
                pruned = prune(conn, self._batch) if _first(conn) else 0
            total += pruned
            if pruned < self._batch:
                break
            self._stop.wait(self._pause_s)
        return total


def _first(conn: Connection) -> bool:
    """Whether no other replica is pruning at this moment."""
    if conn.dialect.name != "postgresql":
        return True
    return bool(conn.execute(select(func.pg_try_advisory_xact_lock(LOCK_PRODUCT, LOCK_PRUNE))).scalar())


def _prune_reservations(conn: Connection, before: datetime, limit: int) -> int:
    over = or_(RESERVATIONS.c.expire_time < before, RESERVATIONS.c.release_time < before)
    return _prune(conn, RESERVATIONS, over, limit)


def _prune_answers(conn: Connection, before: datetime, limit: int) -> int:
    return _prune(conn, REQUESTS, and_(REQUESTS.c.expire_time < before), limit)


def _prune(conn: Connection, table: Table, over: ColumnElement[bool], limit: int) -> int:
    key = tuple(table.primary_key.columns)
    oldest = select(*key).where(over).order_by(table.c.expire_time).limit(limit)
    return conn.execute(delete(table).where(tuple_(*key).in_(oldest))).rowcount
