"""How rows of recommendations are written: many at once by what each engine has for it, and numbered per project."""

from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    TableValuedAlias,
    Text,
    bindparam,
    delete,
    func,
    insert,
    literal,
    literal_column,
    select,
    true,
    update,
)

from trimtab_service.domain.recommendations import Recommendation, State, Transition, TransitionReason
from trimtab_service.store.columns import to_micros
from trimtab_service.store.copying import copy_rows
from trimtab_service.store.recommendation_rows import COLUMNS, Live, StoredRecommendation
from trimtab_service.store.recommendation_tables import (
    RECOMMENDATION_CHANGES,
    RECOMMENDATION_TRANSITIONS,
    RECOMMENDATIONS,
)
from trimtab_service.store.serial import take_turn

_R: Final = RECOMMENDATIONS.c
_T: Final = RECOMMENDATION_TRANSITIONS.c
_TIMES: Final = tuple(index for index, name in enumerate(COLUMNS) if name.endswith("_time"))
_FEW: Final = 16
"""Up to this many rows a plain INSERT costs less than setting up a COPY."""

_SETTLED: Final = ("state", "kind", "priority", "cloud", "team", "resource_id", "exclusive_group", "verify_time")
"""What hardly ever changes when a finding is made again: what most indexes are over."""

_SETTLED_OF: Final = attrgetter(*_SETTLED)
_SUMMED: Final = ("account", "monthly_saving_micros", "realized_monthly_saving_micros")
"""What of the others the index of the savings and that of the totals are over: the same saving leaves them alone."""

_SUMMED_OF: Final = attrgetter(*_SUMMED)
_KEPT: Final = ("project", "recommendation_id", "identity", "is_live", "create_time", *_SETTLED)
_LIVELY: Final = tuple(name for name in COLUMNS if name not in _KEPT)
_LIVELIEST: Final = tuple(name for name in _LIVELY if name not in _SUMMED)

_CHUNKS: Final = (1_000, 256, 32, 4, 1)
"""Rows of one statement on SQLite, within its 32,766 values. Few sizes, so that the driver keeps each prepared; large
ones, because around each the interpreter is given up and waited for."""


def take_numbers(conn: Connection, project: str, count: int) -> int:
    """Take `count` numbers of the project's sequence of changes; returns the first of them.

    Takes the turn, so numbers become visible in ascending order: a watcher that has seen one never finds a smaller
    one later.
    """
    take_turn(conn)
    changes = RECOMMENDATION_CHANGES
    ours = changes.c.project == project
    last = conn.execute(select(changes.c.last).where(ours)).scalar()
    if last is None:
        conn.execute(insert(changes), {"project": project, "last": count})
        return 1
    conn.execute(update(changes).where(ours).values(last=last + count))
    return int(last) + 1


def last_number(conn: Connection, project: str) -> int:
    """The number of the project's last change, 0 before the first."""
    changes = RECOMMENDATION_CHANGES
    return int(conn.execute(select(changes.c.last).where(changes.c.project == project)).scalar() or 0)


def insert_rows(conn: Connection, rows: Sequence[StoredRecommendation]) -> None:
    """Add rows whose keys are free."""
    if not rows:
        return
    if conn.dialect.name == "sqlite":
        _sqlite_rows(conn, rows)
    elif len(rows) <= _FEW:
        conn.execute(insert(RECOMMENDATIONS), [row._asdict() for row in rows])
    else:
        copy_rows(conn, RECOMMENDATIONS, COLUMNS, rows)


def replace_rows(conn: Connection, rows: Sequence[StoredRecommendation]) -> None:
    """Put whole rows in the place of those of the same key."""
    if not rows:
        return
    for project in {row.project for row in rows}:
        own = [row.recommendation_id for row in rows if row.project == project]
        conn.execute(delete(RECOMMENDATIONS).where(among(conn, project, own)))
    insert_rows(conn, rows)


def update_rows(conn: Connection, project: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Write these columns of rows that are there; the others stay. Of each row its id, then a value for each column."""
    if not rows:
        return
    if conn.dialect.name == "sqlite":
        # By the driver's own loop, in the types of `UtcTimestamp`.
        times = tuple(place for place, name in enumerate(columns, 1) if name.endswith("_time"))
        conn.exec_driver_sql(
            _sqlite_update(tuple(columns)), [(*_with_micros(row, times)[1:], project, row[0]) for row in rows]
        )
        return
    statement = update(RECOMMENDATIONS).where(BY_KEY).values({name: bindparam(f"new_{name}") for name in columns})
    names = ("of_id", *(f"new_{name}" for name in columns))
    conn.execute(statement, [{"of_project": project} | dict(zip(names, row, strict=True)) for row in rows])


def refresh_rows(conn: Connection, pairs: Sequence[tuple[Live, StoredRecommendation]]) -> None:
    """Put the second of each pair in the place of the first, which has its key, identity and time of making.

    Where what most indexes are over stays, SQLite leaves those alone; PostgreSQL writes a new row to all of them.
    """
    if conn.dialect.name != "sqlite":
        replace_rows(conn, [new for _, new in pairs])
        return
    settled = [(old, new) for old, new in pairs if _SETTLED_OF(old) == _SETTLED_OF(new)]
    same = [new for old, new in settled if _SUMMED_OF(old) == _SUMMED_OF(new)]
    other = [new for old, new in settled if _SUMMED_OF(old) != _SUMMED_OF(new)]
    _sqlite_rows(conn, same, _LIVELIEST)
    _sqlite_rows(conn, other, _LIVELY)
    replace_rows(conn, [new for old, new in pairs if _SETTLED_OF(old) != _SETTLED_OF(new)])


def _sqlite_rows(conn: Connection, rows: Sequence[StoredRecommendation], updated: tuple[str, ...] = ()) -> None:
    """Insert rows; of those that are there, these columns are written.

    Many in one statement: the driver gives up the interpreter's lock around each, and waits for it as often.
    """
    plain = [_with_micros(row, _TIMES) for row in rows]
    begin = 0
    for size in _CHUNKS:
        while len(plain) - begin >= size:
            part = tuple(chain.from_iterable(plain[begin : begin + size]))
            conn.exec_driver_sql(_sqlite_insert(size, updated), part)
            begin += size


def add_transitions(conn: Connection, project: str, made: Sequence[tuple[str, Transition]]) -> None:
    """Append transitions, each to the recommendation of its id; at most one an id."""
    if not made:
        return
    ids = [own for own, _ in made]
    counted = (
        select(_T.recommendation_id, func.max(_T.number))
        .where(_T.project == project, _T.recommendation_id.in_(ids))
        .group_by(_T.recommendation_id)
    )
    last = {own: int(number) for own, number in conn.execute(counted)}
    conn.execute(
        insert(RECOMMENDATION_TRANSITIONS),
        [
            {
                "project": project,
                "recommendation_id": own,
                "number": last.get(own, 0) + 1,
                "time": transition.time,
                "from_state": "" if transition.from_state is None else transition.from_state.value,
                "to_state": transition.to_state.value,
                "actor": transition.actor,
                "reason": transition.reason.value,
                "comment": transition.comment,
            }
            for own, transition in made
        ],
    )


def transitions_of(conn: Connection, project: str, ids: Sequence[str]) -> dict[str, list[Transition]]:
    """The transitions after the first, oldest first, by recommendation."""
    found: dict[str, list[Transition]] = {}
    wanted = (
        select(_T.recommendation_id, _T.time, _T.from_state, _T.to_state, _T.actor, _T.reason, _T.comment)
        .where(_T.project == project, _T.recommendation_id.in_(ids))
        .order_by(_T.recommendation_id, _T.number)
    )
    for own, time, before, after, actor, reason, comment in conn.execute(wanted):
        made = Transition(
            time, State(before) if before else None, State(after), actor, TransitionReason(reason), comment
        )
        found.setdefault(own, []).append(made)
    return found


def new_transition(before: Recommendation, after: Recommendation) -> Transition | None:
    """The transition that one step added, if it added one."""
    return after.history[-1] if len(after.history) > len(before.history) else None


def expect_many(conn: Connection) -> None:
    """Prepare a connection for many rows: SQLite's own cache is smaller than the indexes that they fall into."""
    if conn.dialect.name == "sqlite":
        conn.exec_driver_sql("PRAGMA cache_size=-65536")
        conn.exec_driver_sql("PRAGMA wal_autocheckpoint=8192")


def keys_of(ids: Sequence[str]) -> TableValuedAlias:
    """A table of ids on PostgreSQL, with the one column `key`."""
    return func.unnest(literal(list(ids), ARRAY(Text))).table_valued("key", name="wanted").render_derived()


def among(conn: Connection, project: str, ids: Sequence[str]) -> ColumnElement[bool]:
    """These rows, which nobody else changes meanwhile.

    PostgreSQL looks for each in the primary key and goes where it lies. Left to itself it reads the whole table for a
    list of ids while it has no statistics, which is in the middle of the first run: every part takes longer then.
    """
    if conn.dialect.name != "postgresql":
        return (_R.project == project) & _R.recommendation_id.in_(ids)
    keys = keys_of(ids)
    one = RECOMMENDATIONS.alias("one")
    found = (
        select(literal_column("one.ctid").label("place"))
        .select_from(one)
        .where(one.c.project == project, one.c.recommendation_id == keys.c.key)
        .offset(0)
        .lateral("found")
    )
    places = select(found.c.place).select_from(keys).join(found, true()).scalar_subquery()
    return literal_column("recommendations.ctid") == func.any(func.array(places))


@cache
def _sqlite_insert(rows: int, updated: tuple[str, ...]) -> str:
    marks = "(" + ", ".join("?" for _ in COLUMNS) + ")"
    insert_all = f"INSERT INTO recommendations ({', '.join(COLUMNS)}) VALUES {', '.join([marks] * rows)}"  # noqa: S608 - names of columns
    if not updated:
        return insert_all
    given = ", ".join(f"{name} = excluded.{name}" for name in updated)
    return f"{insert_all} ON CONFLICT (project, recommendation_id) DO UPDATE SET {given}"


@cache
def _sqlite_update(columns: tuple[str, ...]) -> str:
    given = ", ".join(f"{name} = ?" for name in columns)
    return f"UPDATE recommendations SET {given} WHERE project = ? AND recommendation_id = ?"  # noqa: S608 - names of columns


_micros_of: Final = lru_cache(64)(to_micros)
"""Rows of one run share their times."""


def _with_micros(row: Sequence[Any], times: Sequence[int]) -> list[Any]:
    """The row with what `UtcTimestamp` binds on SQLite in the places of its times."""
    values = list(row)
    for place in times:
        if values[place] is not None:
            values[place] = _micros_of(values[place])
    return values


BY_KEY: Final = (_R.project == bindparam("of_project")) & (_R.recommendation_id == bindparam("of_id"))
"""One recommendation."""
