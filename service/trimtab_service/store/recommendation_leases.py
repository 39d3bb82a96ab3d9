"""Who may change a cloud resource now: one holder at a time, by the database's clock, fenced by a token.

A holder that was paused past its time finds at its next write that the token is another one's, and stops. The token
also goes into the journal's order: what an older holder still does to the cloud is undone or confirmed by the newer
one, which observes before it acts.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, text, update

from trimtab_service.domain.errors import AbortedError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.store.columns import from_micros
from trimtab_service.store.recommendation_tables import RESOURCE_LEASES
from trimtab_service.store.serial import take_turn

LEASE: Final = timedelta(seconds=60)
"""How long a holder may be silent; every operation begun or ended renews it, and so does its heartbeat."""

_L: Final = RESOURCE_LEASES.c
_SQLITE_NOW: Final = text("SELECT CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) * 1000")


def database_now(conn: Connection) -> datetime:
    """The database's clock: replicas need not agree on the time to agree on who holds what."""
    if conn.dialect.name == "postgresql":
        now = conn.execute(select(func.clock_timestamp())).scalar_one()
        return datetime.fromtimestamp(now.timestamp(), tz=now.tzinfo)
    return from_micros(int(conn.execute(_SQLITE_NOW).scalar_one()))


def acquire(conn: Connection, project: str, resource_key: str, holder: str, lease: timedelta = LEASE) -> int | None:
    """Take the resource for `holder`; returns the token, None while a lease on it is running (also one's own)."""
    take_turn(conn)
    now = database_now(conn)
    found = conn.execute(select(_L.token, _L.expire_time).where(_is(project, resource_key))).first()
    if found is None:
        values = {"project": project, "resource_key": resource_key, "token": 1, "holder": holder}
        conn.execute(insert(RESOURCE_LEASES), {**values, "expire_time": now + lease})
        return 1
    if found.expire_time > now:
        return None
    token = int(found.token) + 1
    taken = update(RESOURCE_LEASES).where(_is(project, resource_key))
    conn.execute(taken.values(token=token, holder=holder, expire_time=now + lease))
    return token


def renew(conn: Connection, project: str, resource_key: str, token: int, lease: timedelta = LEASE) -> None:
    """Keep it for another while. Raises AbortedError (STATE_CONFLICT) when another one has taken it since."""
    take_turn(conn)
    kept = update(RESOURCE_LEASES).where(_is(project, resource_key), _L.token == token)
    if not conn.execute(kept.values(expire_time=database_now(conn) + lease)).rowcount:
        raise AbortedError(
            ErrorReason.STATE_CONFLICT,
            "another process has taken over the change of this resource",
            metadata={"resource": resource_key},
        )


def release(conn: Connection, project: str, resource_key: str, token: int) -> None:
    """Give it back, if it is still held; the row stays, so that tokens go on growing."""
    take_turn(conn)
    ended = update(RESOURCE_LEASES).where(_is(project, resource_key), _L.token == token)
    conn.execute(ended.values(expire_time=database_now(conn)))


def is_held(conn: Connection, project: str, resource_key: str, holder: str) -> bool:
    """Whether `holder` is changing the resource now."""
    wanted = select(_L.expire_time).where(_is(project, resource_key), _L.holder == holder)
    until = conn.execute(wanted).scalar()
    return until is not None and until > database_now(conn)


def is_busy(conn: Connection, project: str, resource_key: str) -> bool:
    """Whether anybody is changing the resource now."""
    until = conn.execute(select(_L.expire_time).where(_is(project, resource_key))).scalar()
    return until is not None and until > database_now(conn)


def forget(conn: Connection, project: str, resource_key: str) -> None:
    """Delete the lease and its token. Only when nobody can hold it any more."""
    conn.execute(delete(RESOURCE_LEASES).where(_is(project, resource_key)))


def _is(project: str, resource_key: str) -> ColumnElement[bool]:
    return (_L.project == project) & (_L.resource_key == resource_key)
