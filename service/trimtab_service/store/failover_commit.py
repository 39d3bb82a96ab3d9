"""A change of a run in one statement, on PostgreSQL: guard, lease, steps and links, in one round trip and one commit.

Between two effects of a run there is nothing but this, so its round trips are the engine's overhead. The UPDATE that
compares version and token comes first, and the rest is written for the row that it found: none, and nothing is.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from sqlalchemy import Column, Connection, Interval, Table, Text, bindparam, cast, func, insert, select, true, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.selectable import TableValuedAlias

from trimtab_service.failover.run import Change, Run
from trimtab_service.store.failover_rows import STEP_MOVING, WRITTEN, RunMovedError, writing
from trimtab_service.store.failover_tables import FAILOVER_EVENTS, FAILOVER_RUNS, FAILOVER_STEPS

_KEYS: Final = ("project", "run_id")


def _rows_of(table: Table, names: Sequence[str], parameter: str) -> TableValuedAlias:
    """The rows of a parameter, a JSON list of objects, with the columns of a table."""
    columns = [Column(name, table.c[name].type) for name in names]
    given = func.jsonb_to_recordset(cast(bindparam(parameter, type_=Text), JSONB))
    return given.table_valued(*columns).render_derived(name=f"given_{parameter}", with_types=True)


_EVENT_COLUMNS: Final = tuple(name for name in FAILOVER_EVENTS.c.keys() if name not in _KEYS)  # noqa: SIM118 - not a dict
_GIVEN_STEPS: Final = _rows_of(FAILOVER_STEPS, ("position", *STEP_MOVING), "steps")
_GIVEN_EVENTS: Final = _rows_of(FAILOVER_EVENTS, _EVENT_COLUMNS, "events")

_MOVED: Final = (
    WRITTEN.values(
        lease_owner=bindparam("new_lease_owner"),
        lease_until=func.clock_timestamp() + bindparam("lease", type_=Interval),
    )
    .returning(FAILOVER_RUNS.c.project, FAILOVER_RUNS.c.run_id)
    .cte("moved")
)
_STEPPED: Final = (
    update(FAILOVER_STEPS)
    .where(
        FAILOVER_STEPS.c.project == _MOVED.c.project,
        FAILOVER_STEPS.c.run_id == _MOVED.c.run_id,
        FAILOVER_STEPS.c.position == _GIVEN_STEPS.c.position,
    )
    .values({name: _GIVEN_STEPS.c[name] for name in STEP_MOVING})
    .cte("stepped")
)
_TOLD: Final = (
    insert(FAILOVER_EVENTS)
    .from_select(
        [*_KEYS, *_EVENT_COLUMNS],
        select(*(_MOVED.c[name] for name in _KEYS), *(_GIVEN_EVENTS.c[name] for name in _EVENT_COLUMNS)).select_from(
            _MOVED.join(_GIVEN_EVENTS, true())
        ),
    )
    .cte("told")
)
_ALL: Final = select(func.count()).select_from(_MOVED).add_cte(_STEPPED, _TOLD)


def save_at_once(conn: Connection, before: Run, change: Change, now: datetime, lease: tuple[str, timedelta]) -> Run:
    """Write a change of `before` and renew its lease (owner, for how long), durably when this returns.

    `conn` commits each statement. Raises RunMovedError as `failover_rows.save`.
    """
    made = writing(before, change, now)
    steps = [
        {"position": row["of_position"], **{name: row[f"new_{name}"] for name in STEP_MOVING}} for row in made.steps
    ]
    values = {
        **made.guarded,
        "new_lease_owner": lease[0],
        "lease": lease[1],
        "steps": _json(steps),
        "events": _json(made.events),
    }
    if conn.execute(_ALL, values).scalar_one() != 1:
        raise RunMovedError
    return made.run


def _json(rows: Sequence[Mapping[str, object]]) -> str:
    return orjson.dumps(rows, default=_hexadecimal).decode()


def _hexadecimal(value: Any) -> str:  # noqa: ANN401 - whatever JSON has no word for
    """Bytes, as PostgreSQL reads them."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    raise TypeError(type(value).__name__)
