"""What a run found unchanged: noted in narrow rows beside those of the recommendations."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, literal, or_, select, update
from sqlalchemy.dialects import postgresql

from trimtab_service.store.columns import to_micros
from trimtab_service.store.recommendation_tables import RECOMMENDATION_CONFIRMATIONS, RECOMMENDATIONS
from trimtab_service.store.recommendation_writes import among, keys_of

_R: Final = RECOMMENDATIONS.c
_SQLITE_CONFIRM: Final = (
    "INSERT INTO recommendation_confirmations (project, recommendation_id, refresh_time, expire_time)"
    " VALUES (?, ?, ?, ?) ON CONFLICT (project, recommendation_id)"
    " DO UPDATE SET refresh_time = excluded.refresh_time, expire_time = excluded.expire_time"
)


def confirm(conn: Connection, project: str, ids: Sequence[str], now: datetime, expire_time: datetime) -> None:
    """Note that a run found the same again. That is no change: etags stay, and watchers are not told.

    The rows themselves are written only where they would expire in less than half the time, or later than they should:
    an earlier version, which serves beside this one for a while, goes by them alone.
    """
    if not ids:
        return
    _add_confirmations(conn, project, sorted(ids), now, expire_time)
    stale = or_(_R.expire_time < now + (expire_time - now) / 2, _R.expire_time > expire_time)
    mine = update(RECOMMENDATIONS).where(among(conn, project, ids), stale)
    conn.execute(mine.values(refresh_time=now, expire_time=expire_time))


def _add_confirmations(
    conn: Connection, project: str, ids: Sequence[str], now: datetime, expire_time: datetime
) -> None:
    if conn.dialect.name == "sqlite":
        times = to_micros(now), to_micros(expire_time)
        conn.exec_driver_sql(_SQLITE_CONFIRM, [(project, own, *times) for own in ids])
        return
    confirmed = RECOMMENDATION_CONFIRMATIONS.c
    keys = keys_of(ids)
    given = select(
        literal(project),
        keys.c.key,
        literal(now, confirmed.refresh_time.type),
        literal(expire_time, confirmed.expire_time.type),
    )
    added = postgresql.insert(RECOMMENDATION_CONFIRMATIONS).from_select([one.name for one in confirmed], given)
    conn.execute(
        added.on_conflict_do_update(
            index_elements=[confirmed.project, confirmed.recommendation_id],
            set_={"refresh_time": added.excluded.refresh_time, "expire_time": added.excluded.expire_time},
        )
    )
