"""What time does to recommendations: those not confirmed expire, and closed ones are forgotten after their keep."""

from collections import defaultdict
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, func, select

from trimtab_service.domain.recommendations import State, Transition, TransitionReason
from trimtab_service.recommendations.lifecycle import OPEN, SERVICE
from trimtab_service.store.recommendation_intake import sizing_of
from trimtab_service.store.recommendation_rows import WITH_CONFIRMATIONS, later_of
from trimtab_service.store.recommendation_tables import (
    RECOMMENDATION_CONFIRMATIONS,
    RECOMMENDATION_OPERATIONS,
    RECOMMENDATION_RUNS,
    RECOMMENDATION_TRANSITIONS,
    RECOMMENDATIONS,
    RESOURCE_LEASES,
)
from trimtab_service.store.recommendation_writes import add_transitions, take_numbers, update_rows
from trimtab_service.store.serial import take_turn

_R: Final = RECOMMENDATIONS.c
_OPEN: Final = tuple(sorted(state.value for state in OPEN))


def expire(conn: Connection, now: datetime, limit: int) -> int:
    """Expire up to `limit` ACTIVE recommendations whose time is over; returns how many."""
    take_turn(conn)
    confirmed_until = later_of("expire_time")
    due = select(_R.project, _R.recommendation_id).select_from(WITH_CONFIRMATIONS)
    due = due.where(_R.expire_time < now, confirmed_until < now)
    by_project: dict[str, list[str]] = defaultdict(list)
    for project, own in conn.execute(due.order_by(_R.expire_time).limit(limit)):
        by_project[project].append(own)
    for project, ids in sorted(by_project.items()):
        _close(conn, project, ids, now, TransitionReason.NOT_CONFIRMED)
    return sum(map(len, by_project.values()))


def retire(conn: Connection, project: str, groups: list[str], now: datetime, reason: TransitionReason) -> int:
    """Expire the ACTIVE sizing advice of these exclusive groups; returns how many."""
    take_turn(conn)
    ids = [row.recommendation_id for row in sizing_of(conn, project, groups)]
    _close(conn, project, ids, now, reason)
    return len(ids)


def prune(conn: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` closed recommendations not changed since `before`, with all that hangs on them."""
    left = limit
    project = conn.execute(select(func.min(_R.project))).scalar()
    while project is not None and left > 0:
        ids = (
            conn.execute(
                select(_R.recommendation_id)
                .where(_R.project == project, _R.update_time < before, _R.state.not_in(_OPEN))
                .order_by(_R.update_time, _R.recommendation_id)
                .limit(left)
            )
            .scalars()
            .all()
        )
        if ids:
            for table in (
                RECOMMENDATION_TRANSITIONS,
                RECOMMENDATION_OPERATIONS,
                RECOMMENDATION_RUNS,
                RECOMMENDATION_CONFIRMATIONS,
                RECOMMENDATIONS,
            ):
                conn.execute(delete(table).where(table.c.project == project, table.c.recommendation_id.in_(ids)))
        left -= len(ids)
        project = conn.execute(select(func.min(_R.project)).where(_R.project > project)).scalar()
    return limit - left


def prune_leases(conn: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` leases that ended before `before`: so long ago that nobody holds their token."""
    leases = RESOURCE_LEASES.c
    old = select(leases.project, leases.resource_key).where(leases.expire_time < before).limit(limit)
    gone = 0
    for project, key in conn.execute(old).all():
        wanted = delete(RESOURCE_LEASES).where(
            leases.project == project, leases.resource_key == key, leases.expire_time < before
        )
        gone += conn.execute(wanted).rowcount
    return gone


def _close(conn: Connection, project: str, ids: list[str], now: datetime, reason: TransitionReason) -> None:
    if not ids:
        return
    number = take_numbers(conn, project, len(ids))
    update_rows(
        conn,
        project,
        ("state", "update_time", "expire_time", "change"),
        [(own, State.EXPIRED.value, now, None, number + index) for index, own in enumerate(ids)],
    )
    step = Transition(now, State.ACTIVE, State.EXPIRED, SERVICE, reason)
    add_transitions(conn, project, [(own, step) for own in ids])
