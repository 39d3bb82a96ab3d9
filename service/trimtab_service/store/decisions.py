"""The decision log: what was asked, what was answered, and with which revisions."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import dialect as postgresql_dialect
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import IntegrityError

from trimtab_service import compiled
from trimtab_service.domain.errors import NotFoundError
from trimtab_service.domain.filters import FieldKind
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.store.columns import to_micros
from trimtab_service.store.copying import copy_rows
from trimtab_service.store.engines import Database
from trimtab_service.store.filters import Filterable
from trimtab_service.store.pages import Listing, ListRequest, Page, read_page
from trimtab_service.store.tables import DECISIONS
from trimtab_service.store.writer import GroupCommitWriter

_ROW_OVERHEAD_BYTES: Final = 1_024
_FLUSH_S: Final = 1.0


class DecisionRecord(NamedTuple):
    """One logged decision. `request` and `response` are the messages' bytes; texts may be empty.

    `context` is what the decision depended on beside the request and the revisions: the draws of the items
    before it in a joint batch, as JSON.
    """

    project: str
    decision_id: str
    create_time: datetime
    workload_id: str
    verdict: str
    request: bytes
    response: bytes
    catalog_version: str
    state_revision: int
    policy_revision: int
    learned_revision: int
    commitment_revision: int
    cloud: str = ""
    region: str = ""
    instance_type: str = ""
    purchase_option: str = ""
    expected_cost_micros: int | None = None
    valid_until: datetime | None = None
    reserved: bool = False
    release_time: datetime | None = None
    outcome: str | None = None
    context: bytes | None = None


_COLUMNS: Final = DecisionRecord._fields
_SELECTED: Final[Select[Any]] = select(*(DECISIONS.c[name] for name in _COLUMNS))

FIELDS: Final = {
    "workload_id": Filterable(FieldKind.TEXT, DECISIONS.c.workload_id),
    "verdict": Filterable(FieldKind.TEXT, DECISIONS.c.verdict),
    "cloud": Filterable(FieldKind.TEXT, DECISIONS.c.cloud),
    "region": Filterable(FieldKind.TEXT, DECISIONS.c.region),
    "instance_type": Filterable(FieldKind.TEXT, DECISIONS.c.instance_type),
    "purchase_option": Filterable(FieldKind.TEXT, DECISIONS.c.purchase_option),
    "create_time": Filterable(FieldKind.TIMESTAMP, DECISIONS.c.create_time),
    "valid_until": Filterable(FieldKind.TIMESTAMP, DECISIONS.c.valid_until),
    "release_time": Filterable(FieldKind.TIMESTAMP, DECISIONS.c.release_time),
    "expected_cost_micros": Filterable(FieldKind.INTEGER, DECISIONS.c.expected_cost_micros),
    "reserved": Filterable(FieldKind.BOOLEAN, DECISIONS.c.reserved),
    "outcome": Filterable(FieldKind.TEXT, DECISIONS.c.outcome),
}


_TIMES: Final = tuple(_COLUMNS.index(name) for name in ("create_time", "valid_until", "release_time"))
_FRESH: Final = _COLUMNS.index("release_time")
"""Columns before what becomes of a decision later. Those behind are empty for almost every one that is made."""

_NOTHING_YET: Final = (None,) * (len(_COLUMNS) - _FRESH)
_POSTGRESQL: Final = postgresql_dialect(paramstyle="format")  # type: ignore[no-untyped-call] # untyped in SQLAlchemy
_SQLITE: Final = sqlite_dialect(paramstyle="qmark")

_CHUNKS: Final = (256, 64, 16, 4, 1)
"""Rows of one statement. Few sizes, so that the driver keeps each prepared; 256 rows are under both engines' limits
of parameters."""


_WORTH_COPYING: Final = 8
"""Rows from which on COPY costs less than an INSERT, on PostgreSQL."""


class DecisionSink:
    """Writes records of the log; one that is there already is left as it is.

    This is the one statement that runs as often as decisions are made. It is compiled once, values go to the driver
    as they are (binding each by its column's type would double the cost of a row), those that a row does not have yet
    not at all, and many rows go in one statement: drivers give up the interpreter's lock around each, and a server that
    decides takes long to get it back.
    """

    __slots__ = ()

    def write(self, conn: Connection, records: Sequence[DecisionRecord]) -> None:
        """Insert all of them. Part of a group, or of the unit that draws a reservation."""
        width = _FRESH if all(record[_FRESH:] == _NOTHING_YET for record in records) else len(_COLUMNS)
        sqlite = conn.dialect.name == "sqlite"
        if not sqlite and len(records) >= _WORTH_COPYING and _copied(conn, records, width):
            return
        # A compiled insert takes its values in the order of the table, which is the record's (a test holds it).
        begin = 0
        for size in _CHUNKS:
            while len(records) - begin >= size:
                end = begin + size
                values = (
                    _sqlite_values(records, begin, end, width, _TIMES)
                    if sqlite
                    else tuple(chain.from_iterable(record[:width] for record in records[begin:end]))
                )
                conn.exec_driver_sql(_insert_of(conn.dialect.name, width, size), values)
                begin = end


def _copied(conn: Connection, records: Sequence[DecisionRecord], width: int) -> bool:
    """Add records to PostgreSQL by COPY; False, and nothing done, when one of them is there already."""
    savepoint = conn.begin_nested()
    try:
        copy_rows(conn, DECISIONS, _COLUMNS[:width], (record[:width] for record in records))
    except IntegrityError:
        savepoint.rollback()
        return False
    savepoint.commit()
    return True


@cache
def _insert_of(dialect: str, width: int, rows: int) -> str:
    """The insert of so many rows of so many columns: the compiled one with its list of values repeated."""
    columns = _COLUMNS[:width]
    statement = str(
        sqlite_insert(DECISIONS).on_conflict_do_nothing().compile(dialect=_SQLITE, column_keys=columns)
        if dialect == "sqlite"
        else postgresql_insert(DECISIONS).on_conflict_do_nothing().compile(dialect=_POSTGRESQL, column_keys=columns)
    )
    begin = statement.index("VALUES (") + len("VALUES ")
    end = statement.index(")", begin) + 1
    return statement[:begin] + ", ".join([statement[begin:end]] * rows) + statement[end:]


def flat_values(
    records: Sequence[DecisionRecord], begin: int, end: int, width: int, times: tuple[int, ...]
) -> tuple[Any, ...]:
    """The first `width` values of records `begin` to `end`, in one tuple, as `columns` binds them on SQLite."""
    flat: list[Any] = []
    for record in records[begin:end]:
        values: list[Any] = list(record[:width])
        for place in times:
            if place < width and values[place] is not None:
                values[place] = to_micros(values[place])
        flat.extend(values)
    return tuple(flat)


_WIRE: Final = compiled.load("wire")
_sqlite_values: Final[Callable[[Sequence[DecisionRecord], int, int, int, tuple[int, ...]], tuple[Any, ...]]] = (
    flat_values if _WIRE is None else _WIRE.flat_values
)


DECISION_SINK: Final = DecisionSink()


class DecisionLog:
    """The log of all projects. Reads raise UnavailableError without a database; appending never does."""

    __slots__ = ("_database", "_writer")

    def __init__(self, database: Database, writer: GroupCommitWriter) -> None:
        self._database = database
        self._writer = writer

    def append(self, record: DecisionRecord) -> bool:
        """Log soon, without waiting; False when the queue is full and the record was dropped (and counted)."""
        size = len(record.request) + len(record.response) + len(record.context or b"") + _ROW_OVERHEAD_BYTES
        return self._writer.append(DECISION_SINK, record, size)

    def get(self, project: str, decision_id: str) -> DecisionRecord:
        """One decision of the project. Raises NotFoundError; waits for what this process has yet to write."""
        found = self._find(project, decision_id)
        if found is None and self._writer.stats().queue_depth and self._writer.flush(_FLUSH_S):
            found = self._find(project, decision_id)
        if found is None:
            message = f"decision {decision_id!r} is not in the log"
            raise NotFoundError(ErrorReason.NOT_FOUND, message, metadata={"decision": decision_id})
        return found

    def list(self, project: str, request: ListRequest) -> Page[DecisionRecord]:
        """Decisions of the project, newest first. Raises InvalidArgumentError for a bad filter or token."""
        listing = Listing(
            query=_SELECTED.where(DECISIONS.c.project == project),
            time=DECISIONS.c.create_time,
            id=DECISIONS.c.decision_id,
            fields=FIELDS,
            read=_read,
        )
        with self._database.read() as conn:
            return read_page(conn, listing, request)

    def _find(self, project: str, decision_id: str) -> DecisionRecord | None:
        wanted = _SELECTED.where(DECISIONS.c.project == project, DECISIONS.c.decision_id == decision_id)
        with self._database.read() as conn:
            row = conn.execute(wanted).first()
        return None if row is None else _read(row)


def mark_released(conn: Connection, project: str, decision_id: str, now: datetime) -> bool:
    """Note when the decision was given back, if it was not before; False when nothing was changed."""
    changed = _one(project, decision_id).where(DECISIONS.c.release_time.is_(None)).values(release_time=now)
    return conn.execute(changed).rowcount > 0


def mark_outcome(conn: Connection, project: str, decision_id: str, outcome: str) -> bool:
    """Note the last outcome reported for it; False when the log does not have the decision."""
    return conn.execute(_one(project, decision_id).values(outcome=outcome)).rowcount > 0


def prune(conn: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` of the oldest decisions made before `before`, project by project."""
    left = limit
    project = conn.execute(select(func.min(DECISIONS.c.project))).scalar()
    while project is not None and left > 0:
        key = (DECISIONS.c.project, DECISIONS.c.decision_id)
        oldest = (
            select(*key)
            .where(DECISIONS.c.project == project, DECISIONS.c.create_time < before)
            .order_by(DECISIONS.c.create_time, DECISIONS.c.decision_id)
            .limit(left)
        )
        left -= conn.execute(delete(DECISIONS).where(tuple_(*key).in_(oldest))).rowcount
        project = conn.execute(select(func.min(DECISIONS.c.project)).where(DECISIONS.c.project > project)).scalar()
    return limit - left


def _one(project: str, decision_id: str) -> Any:  # noqa: ANN401 - an Update
    return update(DECISIONS).where(DECISIONS.c.project == project, DECISIONS.c.decision_id == decision_id)


def _read(row: Any) -> DecisionRecord:  # noqa: ANN401 - a Row of `_SELECTED`
    return DecisionRecord(*row)
