"""Profiles of resources, per project and telemetry source: what a later run need not read again."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, delete, select, tuple_
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from trimtab_service.store.engines import Database
from trimtab_service.store.tables import PROFILES

_CHUNK: Final = 500
"""Keys of one statement: under both engines' limits of parameters."""


class ProfileStore:
    """Bytes per resource. Raises UnavailableError when the database does not answer."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self, project: str, source: str, keys: Sequence[str]) -> dict[str, bytes]:
        """The profiles that there are, by key of the resource."""
        found: dict[str, bytes] = {}
        with self._database.read() as conn:
            for begin in range(0, len(keys), _CHUNK):
                wanted = select(PROFILES.c.resource_key, PROFILES.c.body).where(
                    PROFILES.c.project == project,
                    PROFILES.c.source == source,
                    PROFILES.c.resource_key.in_(keys[begin : begin + _CHUNK]),
                )
                found.update((row.resource_key, bytes(row.body)) for row in conn.execute(wanted))
        return found

    def save(self, project: str, source: str, profiles: Mapping[str, bytes], now: datetime) -> None:
        """Replace the profiles of these resources, all or none."""
        rows = [
            {"project": project, "source": source, "resource_key": key, "update_time": now, "body": body}
            for key, body in sorted(profiles.items())
        ]
        if rows:
            with self._database.write() as conn:
                conn.execute(_upsert(conn.dialect.name), rows)


def prune(conn: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` profiles that no run has written since `before`."""
    key = tuple(PROFILES.primary_key.columns)
    oldest = select(*key).where(PROFILES.c.update_time < before).order_by(PROFILES.c.update_time).limit(limit)
    return conn.execute(delete(PROFILES).where(tuple_(*key).in_(oldest))).rowcount


def _upsert(dialect: str) -> Any:  # noqa: ANN401 - an Insert of either engine
    made = (postgresql_insert if dialect == "postgresql" else sqlite_insert)(PROFILES)
    return made.on_conflict_do_update(
        index_elements=["project", "source", "resource_key"],
        set_={"update_time": made.excluded.update_time, "body": made.excluded.body},
    )
