"""What observers say of the sides of a plan: one row an observer, so that every process judges by the same words."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
from sqlalchemy import Connection, insert, select, update

from trimtab_service.domain.documents import from_document, to_document
from trimtab_service.domain.failover import FailoverPlan
from trimtab_service.failover.detection import Observed, Report, Word, fold
from trimtab_service.store.engines import Database
from trimtab_service.store.failover_tables import FAILOVER_REPORTS
from trimtab_service.store.idempotency import RequestKey, once
from trimtab_service.store.serial import take_turn
from trimtab_service.store.writer import GroupCommitWriter

_C: Final = FAILOVER_REPORTS.c


@dataclass(frozen=True, slots=True)
class _Words:
    sides: tuple[tuple[str, Word], ...] = ()


class FailoverReportStore:
    """The words of all observers. Every method raises UnavailableError when the database does not answer."""

    __slots__ = ("_clock", "_database", "_writer")

    def __init__(self, database: Database, writer: GroupCommitWriter, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._writer = writer
        self._clock = clock

    def take(self, plan: FailoverPlan, report: Report, key: RequestKey, timeout_s: float | None = None) -> Observed:
        """Fold a report in and return what everybody says now. An old or a repeated one changes nothing."""

        def unit(conn: Connection) -> Observed:
            take_turn(conn)
            once(conn, key, self._clock(), lambda: _fold(conn, plan, report))
            return _all(conn, plan)

        return self._writer.run(unit, timeout_s)

    def read(self, plan: FailoverPlan) -> Observed:
        """What everybody says."""
        with self._database.read() as conn:
            return _all(conn, plan)


def _fold(conn: Connection, plan: FailoverPlan, report: Report) -> bytes:
    mine = (_C.project == plan.project) & (_C.plan_id == plan.plan_id) & (_C.observer_id == report.observer_id)
    stored = conn.execute(select(_C.body).where(mine)).scalar()
    before = _observed(report.observer_id, stored) if stored is not None else Observed()
    after = fold(before, report, plan.detection)
    if after == before:
        return b"{}"
    words = _Words(tuple((side, word) for (_, side), word in after.words.items()))
    values = {"update_time": report.observe_time, "body": orjson.dumps(to_document(words)).decode()}
    if stored is None:
        own = {"project": plan.project, "plan_id": plan.plan_id, "observer_id": report.observer_id}
        conn.execute(insert(FAILOVER_REPORTS), {**own, **values})
    else:
        conn.execute(update(FAILOVER_REPORTS).where(mine).values(values))
    return b"{}"


def _all(conn: Connection, plan: FailoverPlan) -> Observed:
    query = select(_C.observer_id, _C.body).where(_C.project == plan.project, _C.plan_id == plan.plan_id)
    words: dict[tuple[str, str], Word] = {}
    for observer_id, body in conn.execute(query):
        words.update(_observed(observer_id, body).words)
    return Observed(words)


def _observed(observer_id: str, body: str) -> Observed:
    words = from_document(_Words, orjson.loads(body))
    return Observed({(observer_id, side): word for side, word in words.sides})
