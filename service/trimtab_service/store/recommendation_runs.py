"""The journal of what was applied: each run, and each operation before and after it is done."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, func, insert, select, update

from trimtab_service.domain.documents import from_document, to_document
from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.recommendations import AppliedOperation, Operation, OperationGroup, Outcome
from trimtab_service.store.recommendation_tables import RECOMMENDATION_OPERATIONS, RECOMMENDATION_RUNS
from trimtab_service.store.serial import take_turn

_RUN: Final = RECOMMENDATION_RUNS.c
_OP: Final = RECOMMENDATION_OPERATIONS.c


class RunRecord(NamedTuple):
    """One run. `outcome` is UNDER_WAY until `end_time`; `plan` are its groups as bytes."""

    project: str
    recommendation_id: str
    number: int
    request_id: str
    body_hash: bytes
    is_rollback: bool
    actor: str
    start_time: datetime
    end_time: datetime | None
    outcome: str
    detail: str
    plan: bytes

    @property
    def groups(self) -> tuple[OperationGroup, ...]:
        """What it carries out."""
        return tuple(from_document(OperationGroup, group) for group in orjson.loads(self.plan))


class JournalledOperation(NamedTuple):
    """One operation of a run, with its number in the recommendation's journal."""

    number: int
    applied: AppliedOperation


_COLUMNS: Final = RunRecord._fields


def plan_bytes(groups: Sequence[OperationGroup]) -> bytes:
    """The groups as a run keeps them."""
    return orjson.dumps([to_document(group) for group in groups])


def run_of_request(conn: Connection, project: str, request_id: str, body_hash: bytes) -> RunRecord | None:
    """The run that this request began. Raises InvalidArgumentError (REQUEST_ID_REUSED) for another body."""
    found = conn.execute(
        select(*(_RUN[name] for name in _COLUMNS)).where(_RUN.project == project, _RUN.request_id == request_id)
    ).first()
    if found is None:
        return None
    record = RunRecord(*found)
    if record.body_hash != body_hash:
        why = "was used before with a different request body"
        raise InvalidArgumentError([Violation("request_id", ErrorReason.REQUEST_ID_REUSED, why)])
    return record


def begin_run(conn: Connection, record: RunRecord) -> RunRecord:
    """Write a run down before anything of it is done; returns it with its number."""
    take_turn(conn)
    last = conn.execute(
        select(func.max(_RUN.number)).where(
            _RUN.project == record.project, _RUN.recommendation_id == record.recommendation_id
        )
    ).scalar()
    numbered = record._replace(number=int(last or 0) + 1)
    conn.execute(insert(RECOMMENDATION_RUNS), numbered._asdict())
    return numbered


def end_run(conn: Connection, record: RunRecord, outcome: Outcome, detail: str, now: datetime) -> None:
    """Write down how it ended."""
    ended = update(RECOMMENDATION_RUNS).where(
        _RUN.project == record.project,
        _RUN.recommendation_id == record.recommendation_id,
        _RUN.number == record.number,
    )
    conn.execute(ended.values(end_time=now, outcome=outcome.value, detail=detail))


def runs_under_way(conn: Connection, limit: int) -> list[RunRecord]:
    """Runs without an end, oldest first: being carried out now, or left by a process that died."""
    wanted = select(*(_RUN[name] for name in _COLUMNS)).where(_RUN.end_time.is_(None))
    return [RunRecord(*row) for row in conn.execute(wanted.order_by(_RUN.start_time).limit(limit))]


def begin_operation(
    conn: Connection, record: RunRecord, operation: Operation, now: datetime, *, is_rollback: bool
) -> int:
    """Write an operation down before it is done; returns its number."""
    take_turn(conn)
    last = conn.execute(
        select(func.max(_OP.number)).where(
            _OP.project == record.project, _OP.recommendation_id == record.recommendation_id
        )
    ).scalar()
    number = int(last or 0) + 1
    conn.execute(
        insert(RECOMMENDATION_OPERATIONS),
        {
            "project": record.project,
            "recommendation_id": record.recommendation_id,
            "number": number,
            "run": record.number,
            "operation": orjson.dumps(to_document(operation)),
            "start_time": now,
            "end_time": None,
            "outcome": Outcome.UNDER_WAY.value,
            "detail": "",
            "is_rollback": is_rollback,
        },
    )
    return number


def end_operation(  # noqa: PLR0913, PLR0917 - the parts of an entry
    conn: Connection, record: RunRecord, number: int, outcome: Outcome, detail: str, now: datetime
) -> None:
    """Write down how an operation ended."""
    ended = update(RECOMMENDATION_OPERATIONS).where(
        _OP.project == record.project,
        _OP.recommendation_id == record.recommendation_id,
        _OP.number == number,
    )
    conn.execute(ended.values(end_time=now, outcome=outcome.value, detail=detail))


def operations_of_run(conn: Connection, record: RunRecord) -> list[JournalledOperation]:
    """What a run has begun so far, in order."""
    wanted = _operations().where(
        _OP.project == record.project,
        _OP.recommendation_id == record.recommendation_id,
        _OP.run == record.number,
    )
    return [JournalledOperation(row.number, _read(row)) for row in conn.execute(wanted.order_by(_OP.number))]


def operations_of(conn: Connection, project: str, ids: Sequence[str]) -> dict[str, list[AppliedOperation]]:
    """Every operation of every run, in order, by recommendation."""
    found: dict[str, list[AppliedOperation]] = {}
    if not ids:
        return found
    wanted = _operations().where(_OP.project == project, _OP.recommendation_id.in_(ids))
    for row in conn.execute(wanted.order_by(_OP.recommendation_id, _OP.number)):
        found.setdefault(row.recommendation_id, []).append(_read(row))
    return found


def last_run(conn: Connection, project: str, own: str) -> RunRecord | None:
    """The newest run of a recommendation."""
    wanted = select(*(_RUN[name] for name in _COLUMNS)).where(_RUN.project == project, _RUN.recommendation_id == own)
    row = conn.execute(wanted.order_by(_RUN.number.desc()).limit(1)).first()
    return None if row is None else RunRecord(*row)


def _operations() -> Any:  # noqa: ANN401 - a Select
    return select(
        _OP.recommendation_id,
        _OP.number,
        _OP.operation,
        _OP.start_time,
        _OP.end_time,
        _OP.outcome,
        _OP.detail,
        _OP.is_rollback,
    )


def _read(row: Any) -> AppliedOperation:  # noqa: ANN401 - a Row of `_operations`
    return AppliedOperation(
        from_document(Operation, orjson.loads(row.operation)),
        row.start_time,
        row.end_time,
        Outcome(row.outcome),
        row.detail,
        row.is_rollback,
    )
