"""How the targets of every plan stood when they were read last, for all processes: one row a plan."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from sqlalchemy import Connection, and_, delete, func, or_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from trimtab_service.failover.findings import Evaluation, Severity
from trimtab_service.failover.survey import Survey
from trimtab_service.failover.survey_documents import survey_bytes, survey_of
from trimtab_service.store.engines import Database
from trimtab_service.store.failover_runs import instant_of
from trimtab_service.store.failover_tables import FAILOVER_EVALUATIONS, FAILOVER_PLANS

_E: Final = FAILOVER_EVALUATIONS.c
_P: Final = FAILOVER_PLANS.c


@dataclass(frozen=True, slots=True)
class KeptReading:
    """What was read of a plan's targets: for the version of that etag, at that instant of the reader's clock."""

    etag: str
    read_time: datetime
    survey: Survey


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A plan's latest reading and what follows from it."""

    project: str
    plan_id: str
    reading: KeptReading
    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class PlanStanding:
    """How many plans there are in which standing, and how old the oldest reading is (None: there is none)."""

    ready: int
    not_ready: int
    not_evaluated: int
    warnings: int
    oldest: timedelta | None


class FailoverEvaluationStore:
    """Every method raises UnavailableError when the database does not answer."""

    __slots__ = ("_clock", "_database")

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def read(self, project: str, plan_id: str) -> KeptReading | None:
        """The latest reading; None: there is none."""
        query = select(_E.etag, _E.read_time, _E.survey).where(_E.parent == _parent(project), _E.plan_id == plan_id)
        with self._database.read() as conn:
            row = conn.execute(query).first()
        return None if row is None else KeptReading(row.etag, row.read_time, survey_of(bytes(row.survey)))

    def keep(self, evaluated: Sequence[Evaluated]) -> set[tuple[str, str]]:
        """Keep readings, each of another plan, and what follows from them, in one commit.

        Returns the plans (project, id) whose findings are others than before. An older reading than the one that is
        there changes nothing.
        """
        rows = [_row(one) for one in evaluated]
        own = tuple_(_E.parent, _E.plan_id).in_([(row["parent"], row["plan_id"]) for row in rows])
        with self._database.write() as conn:
            found = conn.execute(select(_E.parent, _E.plan_id, _E.findings).where(own))
            before = {(parent, plan_id): findings for parent, plan_id, findings in found}
            insert: Any = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
            given = insert(FAILOVER_EVALUATIONS)
            values = {name: given.excluded[name] for name in _READ}
            newer = _E.read_time <= given.excluded.read_time
            conn.execute(
                given.on_conflict_do_update(index_elements=[_E.parent, _E.plan_id], set_=values, where=newer), rows
            )
        return {
            (one.project, one.plan_id)
            for one, row in zip(evaluated, rows, strict=True)
            if before.get((row["parent"], row["plan_id"])) != row["findings"]
        }

    def due(self, every: timedelta) -> Sequence[tuple[str, str]]:
        """Plans (project, id) that were changed since they were read, or read too long ago; the oldest first."""
        with self._database.read() as conn:
            before = instant_of(conn, self._clock) - every
            query = (
                select(_P.parent, _P.id)
                .outerjoin(FAILOVER_EVALUATIONS, _same_plan())
                .where(or_(_E.etag.is_(None), _E.etag != _P.etag, _E.read_time <= before))
                .order_by(_E.read_time)
            )
            return [(parent.removeprefix("projects/"), plan_id) for parent, plan_id in conn.execute(query)]

    def standing(self) -> PlanStanding:
        """Of all plans."""
        is_read = and_(_E.etag.is_not(None), _E.etag == _P.etag)
        query = select(
            func.count().filter(and_(is_read, _E.errors == 0)),
            func.count().filter(and_(is_read, _E.errors > 0)),
            func.count().filter(or_(_E.etag.is_(None), _E.etag != _P.etag)),
            func.coalesce(func.sum(_E.warnings), 0),
            func.min(_E.read_time),
        ).select_from(FAILOVER_PLANS.outerjoin(FAILOVER_EVALUATIONS, _same_plan()))
        with self._database.read() as conn:
            now = instant_of(conn, self._clock)
            ready, not_ready, missing, warnings, oldest = conn.execute(query).one()
        return PlanStanding(ready, not_ready, missing, int(warnings), None if oldest is None else now - oldest)


_READ: Final = ("etag", "read_time", "errors", "warnings", "findings", "survey")


def _row(one: Evaluated) -> dict[str, Any]:
    record = one.evaluation.record
    return {
        "parent": _parent(one.project),
        "plan_id": one.plan_id,
        "etag": one.reading.etag,
        "read_time": one.reading.read_time,
        "errors": sum(1 for severity, _, _ in record if severity == Severity.ERROR.value),
        "warnings": sum(1 for severity, _, _ in record if severity == Severity.WARNING.value),
        "findings": orjson.dumps(record).decode(),
        "survey": survey_bytes(one.reading.survey),
    }


def prune_evaluations(conn: Connection, limit: int) -> int:
    """Delete up to `limit` readings of plans that are gone; returns how many."""
    gone = select(_E.parent, _E.plan_id).outerjoin(FAILOVER_PLANS, _same_plan()).where(_P.id.is_(None)).limit(limit)
    rows = conn.execute(gone).all()
    for parent, plan_id in rows:
        conn.execute(delete(FAILOVER_EVALUATIONS).where(_E.parent == parent, _E.plan_id == plan_id))
    return len(rows)


def _same_plan() -> Any:  # noqa: ANN401 - a condition of a join
    return and_(_E.parent == _P.parent, _E.plan_id == _P.id)


def _parent(project: str) -> str:
    return f"projects/{project}"
