"""The journal of replications: `replication.journal.ReplicationJournal` on both engines, and what operators decide."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Row, and_, delete, insert, select, tuple_, update

from trimtab_service.domain.documents import from_document, to_document
from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.replication.journal import Held, LeaseLostError, Standing
from trimtab_service.replication.progress import UNBEGUN, KeptUpload, Progress
from trimtab_service.store.engines import Database
from trimtab_service.store.failover_rows import NEVER
from trimtab_service.store.failover_runs import instant_of
from trimtab_service.store.failover_tables import FAILOVER_RUNS
from trimtab_service.store.idempotency import RequestKey, once
from trimtab_service.store.replication_tables import REPLICATION_UPLOADS, REPLICATIONS
from trimtab_service.store.serial import take_turn
from trimtab_service.store.writer import GroupCommitWriter

_R: Final = REPLICATIONS.c
_U: Final = REPLICATION_UPLOADS.c
_F: Final = FAILOVER_RUNS.c
_TOGETHER: Final = 500
_NEW: Final[Mapping[str, Any]] = {
    "progress": orjson.dumps(to_document(UNBEGUN)),
    "lease_owner": "",
    "lease_until": NEVER,
}


class ReplicationStore:
    """All replications that were ever started. Raises UnavailableError when the database does not answer."""

    __slots__ = ("_clock", "_database", "_writer")

    def __init__(self, database: Database, writer: GroupCommitWriter, *, clock: Callable[[], datetime]) -> None:
        """`clock` times leases on SQLite, where all processes share a machine; PostgreSQL has its own."""
        self._database = database
        self._writer = writer
        self._clock = clock

    def standing(self, name: str) -> Standing:
        """As the port says."""
        with self._database.read() as conn:
            return _standing(conn, name)

    def start(self, name: str, definition: str, key: RequestKey, timeout_s: float | None = None) -> Standing:
        """Have it copied from now on. What it was started as before counts only when it is the same still."""

        def begin(conn: Connection) -> bytes:
            now = self._clock()
            row: dict[str, Any] = {"is_active": True, "definition": definition, "update_time": now, "wake_time": NEVER}
            known = _standing(conn, name)
            if known.update_time is None:
                conn.execute(insert(REPLICATIONS), {"id": name, "token": 0, "is_reversed": False, **row, **_NEW})
            elif known.definition != definition:
                # Whoever copies what it was before writes nothing more: the token is another.
                row |= {"token": known.token + 1, "is_reversed": False, **_NEW}
                conn.execute(update(REPLICATIONS).where(_R.id == name).values(row))
            elif not known.is_active:
                conn.execute(update(REPLICATIONS).where(_R.id == name).values(row))
            return b"{}"

        return self._change(name, key, begin, timeout_s)

    def pause(self, name: str, key: RequestKey, timeout_s: float | None = None) -> Standing:
        """Have it copied no more; who works on it hears of it with the next heartbeat, and keeps how far it was."""

        def end(conn: Connection) -> bytes:
            row = {"is_active": False, "update_time": self._clock()}
            conn.execute(update(REPLICATIONS).where(_R.id == name, _R.is_active).values(row))
            return b"{}"

        return self._change(name, key, end, timeout_s)

    def reverse(
        self, name: str, definition: str, key: RequestKey, check: Callable[[Standing], None], timeout_s: float | None
    ) -> Standing:
        """Swap source and destination of one that is paused; `check` may refuse. Progress begins anew, and pauses.

        Raises FailedPreconditionError (STATE_CONFLICT) while it is active, or somebody still works on it.
        """

        def turn(conn: Connection) -> bytes:
            known = _standing(conn, name)
            held = known.lease_until is not None and known.lease_until > instant_of(conn, self._clock)
            if known.is_active or held or known.definition != definition:
                why = "it is active; pause it first" if known.is_active else "a copy is still under way; try again"
                if known.definition != definition:
                    why = "it was never started as it is configured now"
                raise FailedPreconditionError(ErrorReason.STATE_CONFLICT, f"replication {name!r}: {why}")
            check(known)
            row = {
                "is_reversed": not known.is_reversed,
                "token": known.token + 1,
                "update_time": self._clock(),
                **_NEW,
            }
            conn.execute(update(REPLICATIONS).where(_R.id == name).values(row))
            return b"{}"

        return self._change(name, key, turn, timeout_s)

    def live_runs(self) -> tuple[tuple[str, str, str, int], ...]:
        """Failovers under way, of any project: project, run, plan, and the plan's revision."""
        query = select(_F.project, _F.run_id, _F.plan_id, _F.plan_revision).where(_F.end_time.is_(None))
        with self._database.read() as conn:
            return tuple((row[0], row[1], row[2], row[3]) for row in conn.execute(query))

    def claim(self, definitions: Mapping[str, str], owner: str, lease: timedelta) -> Held | None:
        """As the port says."""
        own = tuple_(_R.id, _R.definition).in_(list(definitions.items()))
        with self._database.read() as conn:
            # Mostly there is none, and nobody should have to wait for a lock to be told so.
            due = _due(instant_of(conn, self._clock))
            if conn.execute(select(_R.id).where(own, due).limit(1)).first() is None:
                return None
        with self._database.write() as conn:
            now = instant_of(conn, self._clock)
            query = select(_R.id, _R.token, _R.is_reversed, _R.progress).where(own, _due(now)).order_by(_R.wake_time)
            row = conn.execute(query.limit(1).with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            taken = {"token": row.token + 1, "lease_owner": owner, "lease_until": now + lease}
            conn.execute(update(REPLICATIONS).where(_R.id == row.id).values(taken))
            return Held(row.id, row.token + 1, row.is_reversed, _progress(row.progress))

    def renew(self, held: Sequence[Held], lease: timedelta) -> frozenset[str]:
        """As the port says; those that were paused are given back."""
        own = tuple_(_R.id, _R.token).in_([(one.name, one.token) for one in held])
        with self._database.write() as conn:
            until = instant_of(conn, self._clock) + lease
            kept = update(REPLICATIONS).where(own, _R.is_active).values(lease_until=until)
            return frozenset(conn.execute(kept.returning(_R.id)).scalars())

    def save(self, held: Held, progress: Progress) -> None:
        """As the port says."""
        self._commit(held, {"progress": _packed(progress), "update_time": self._clock()})

    def finish(self, held: Held, progress: Progress, again: timedelta) -> None:
        """As the port says."""

        def unit(conn: Connection) -> None:
            row = {
                "progress": _packed(progress),
                "update_time": self._clock(),
                "wake_time": instant_of(conn, self._clock) + again,
                "lease_until": NEVER,
            }
            _held(conn, held, row)

        self._writer.run(unit)

    def release(self, held: Held) -> None:
        """As the port says."""
        with self._database.write() as conn:
            ours = and_(_R.id == held.name, _R.token == held.token)
            conn.execute(update(REPLICATIONS).where(ours).values(lease_until=NEVER))

    def upload(self, name: str, key: str) -> KeptUpload | None:
        """As the port says."""
        query = select(_U.body).where(_U.replication == name, _U.key == key)
        with self._database.read() as conn:
            body = conn.execute(query).scalar()
        return None if body is None else from_document(KeptUpload, orjson.loads(body))

    def keep_upload(self, held: Held, key: str, upload: KeptUpload) -> None:
        """As the port says."""
        body = orjson.dumps(to_document(upload))
        mine = and_(_U.replication == held.name, _U.key == key)

        def unit(conn: Connection) -> None:
            _held(conn, held, {"update_time": self._clock()})
            if not conn.execute(update(REPLICATION_UPLOADS).where(mine).values(body=body)).rowcount:
                conn.execute(insert(REPLICATION_UPLOADS), {"replication": held.name, "key": key, "body": body})

        self._writer.run(unit)

    def drop_uploads(self, held: Held, keys: Iterable[str]) -> None:
        """As the port says."""
        gone = list(keys)

        def unit(conn: Connection) -> None:
            _held(conn, held, {"update_time": self._clock()})
            for at in range(0, len(gone), _TOGETHER):
                these = and_(_U.replication == held.name, _U.key.in_(gone[at : at + _TOGETHER]))
                conn.execute(delete(REPLICATION_UPLOADS).where(these))

        self._writer.run(unit)

    def uploads(self, name: str) -> Mapping[str, KeptUpload]:
        """As the port says."""
        query = select(_U.key, _U.body).where(_U.replication == name)
        with self._database.read() as conn:
            return {key: from_document(KeptUpload, orjson.loads(body)) for key, body in conn.execute(query)}

    def _commit(self, held: Held, values: Mapping[str, Any]) -> None:
        self._writer.run(lambda conn: _held(conn, held, values))

    def _change(
        self, name: str, key: RequestKey, make: Callable[[Connection], bytes], timeout_s: float | None
    ) -> Standing:
        def unit(conn: Connection) -> Standing:
            take_turn(conn)
            once(conn, key, self._clock(), lambda: make(conn))
            return _standing(conn, name)

        return self._writer.run(unit, timeout_s)


def _held(conn: Connection, held: Held, values: Mapping[str, Any]) -> None:
    """Change the row of one that is ours: the comparison of the token and the change are one statement."""
    ours = and_(_R.id == held.name, _R.token == held.token)
    if not conn.execute(update(REPLICATIONS).where(ours).values(**values)).rowcount:
        raise LeaseLostError


def _due(now: datetime) -> Any:  # noqa: ANN401 - a clause of SQLAlchemy
    return and_(_R.is_active, _R.lease_until <= now, _R.wake_time <= now)


def _standing(conn: Connection, name: str) -> Standing:
    row: Row[Any] | None = conn.execute(select(REPLICATIONS).where(_R.id == name)).first()
    if row is None:
        return Standing(name)
    return Standing(
        name,
        row.definition,
        row.is_active,
        row.is_reversed,
        row.token,
        row.lease_until,
        row.update_time,
        _progress(row.progress),
    )


def _progress(body: bytes) -> Progress:
    return from_document(Progress, orjson.loads(body))


def _packed(progress: Progress) -> bytes:
    return orjson.dumps(to_document(progress))
