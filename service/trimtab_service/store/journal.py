"""The journal: every change of state, in one order that all processes and every replay agree on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select, update

from trimtab_service.store.engines import Database
from trimtab_service.store.serial import take_turn
from trimtab_service.store.tables import JOURNAL, SNAPSHOTS

_APPEND: Final = insert(JOURNAL).returning(JOURNAL.c.revision)
_AFTER: Final = (
    select(JOURNAL)
    .where(JOURNAL.c.revision > bindparam("after"), JOURNAL.c.revision <= bindparam("up_to"))
    .order_by(JOURNAL.c.revision)
    .limit(bindparam("page"))
)
_END: Final = 2**63 - 1

PRUNED: Final = "pruned"
"""Kind of the entry that stands where older ones were deleted: who reads it from before has missed them."""


class JournalKind(StrEnum):
    """What an entry changes. A reader passes over kinds it does not know: they are of a newer version."""

    OUTCOME = "outcome"
    POLICY = "policy"
    COMMITMENT = "commitment"
    RESERVATION = "reservation"
    CATALOG = "catalog"
    FAILOVER_PLAN = "failover_plan"


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One change. `kind` is text, for it may be newer than this code; `payload` is a JSON object."""

    revision: int
    project: str
    kind: str
    create_time: datetime
    payload: bytes

    def document(self) -> Mapping[str, Any]:
        """The payload, parsed."""
        parsed: Mapping[str, Any] = orjson.loads(self.payload)
        return parsed


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The journal up to and including `revision`, folded into `body` by whoever folds it."""

    revision: int
    create_time: datetime
    body: bytes


def append(conn: Connection, project: str, kind: JournalKind, payload: Mapping[str, Any] | bytes, now: datetime) -> int:
    """Add an entry in the caller's transaction and return its revision.

    Takes the turn, so revisions become visible in ascending order and a reader that has seen one will
    never find a smaller one later; numbers may be left out. Call it outside of savepoints, or on a
    connection that has the turn (`Database.change`, a writer's unit).
    """
    take_turn(conn)
    body = payload if isinstance(payload, bytes) else orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)
    added = conn.execute(
        _APPEND,
        {"project": project, "kind": str(kind), "create_time": now, "payload": body},
    )
    return int(added.scalar_one())


def last_revision(conn: Connection) -> int:
    """The newest revision, 0 when there is none."""
    return int(conn.execute(select(func.max(JOURNAL.c.revision))).scalar() or 0)


class Journal:
    """Reads the journal. Raises UnavailableError when the database does not answer."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    def read_after(self, revision: int, limit: int = 1_000, up_to: int | None = None) -> list[JournalEntry]:
        """Up to `limit` entries later than `revision` (and not later than `up_to`), in order."""
        wanted = {"after": revision, "up_to": _END if up_to is None else up_to, "page": limit}
        with self._database.read() as conn:
            rows = conn.execute(_AFTER, wanted).all()
        return [JournalEntry(*row) for row in rows]

    def last_revision(self) -> int:
        """The newest revision, 0 when there is none."""
        with self._database.read() as conn:
            return last_revision(conn)

    def snapshot(self, up_to: int | None = None) -> Snapshot | None:
        """The newest snapshot (that is not later than `up_to`): where a fold starts instead of at 0."""
        wanted = select(SNAPSHOTS).order_by(SNAPSHOTS.c.revision.desc())
        return self._snapshot(wanted if up_to is None else wanted.where(SNAPSHOTS.c.revision <= up_to))

    def oldest_snapshot(self) -> Snapshot | None:
        """The one that every pruned entry is in."""
        return self._snapshot(select(SNAPSHOTS).order_by(SNAPSHOTS.c.revision))

    def snapshot_revision(self) -> int:
        """The revision of the newest snapshot, 0 when there is none; its body is not read."""
        with self._database.read() as conn:
            return int(conn.execute(select(func.max(SNAPSHOTS.c.revision))).scalar() or 0)

    def _snapshot(self, wanted: Select[Any]) -> Snapshot | None:
        with self._database.read() as conn:
            row = conn.execute(wanted.limit(1)).first()
        return None if row is None else Snapshot(*row)


def save_snapshot(conn: Connection, snapshot: Snapshot) -> None:
    """Keep a fold, in the place of earlier ones of the same day: a body holds the state of every project.

    A second one of the same revision is the same and is ignored.
    """
    take_turn(conn)
    kept = select(SNAPSHOTS.c.revision).where(SNAPSHOTS.c.revision == snapshot.revision)
    if conn.execute(kept).first() is not None:
        return
    day = snapshot.create_time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    earlier = (SNAPSHOTS.c.revision < snapshot.revision) & (SNAPSHOTS.c.create_time >= day)
    conn.execute(delete(SNAPSHOTS).where(earlier))
    conn.execute(
        insert(SNAPSHOTS),
        {"revision": snapshot.revision, "create_time": snapshot.create_time, "body": snapshot.body},
    )


def prune(conn: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` of the oldest entries that the newest snapshot made before `before` covers.

    The last one deleted leaves an entry of the kind `PRUNED` in its place. Decisions made at an older revision
    can no longer be replayed. Without snapshots nothing is deleted.
    """
    covered = select(func.max(SNAPSHOTS.c.revision)).where(SNAPSHOTS.c.create_time < before)
    revision = conn.execute(covered).scalar()
    if revision is None:
        return 0
    conn.execute(delete(SNAPSHOTS).where(SNAPSHOTS.c.revision < revision))
    oldest: Sequence[int] = (
        conn.execute(
            select(JOURNAL.c.revision)
            .where(JOURNAL.c.revision <= revision, JOURNAL.c.kind != PRUNED)
            .order_by(JOURNAL.c.revision)
            .limit(limit)
        )
        .scalars()
        .all()
    )
    if oldest:
        conn.execute(delete(JOURNAL).where(JOURNAL.c.revision < oldest[-1]))
        conn.execute(
            update(JOURNAL).where(JOURNAL.c.revision == oldest[-1]).values(project="", kind=PRUNED, payload=b"{}")
        )
    return len(oldest)
