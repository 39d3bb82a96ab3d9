"""What time does to failovers: runs that are over are forgotten after their keep, each whole, with what hangs on it.

A run's chain is evidence: it is there as a whole, or not at all. Nothing of a run that is under way is ever touched,
nor of one whose parent is, and a version of a plan stays as long as a run that carried it out.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, and_, delete, exists, literal, or_, select, tuple_

from trimtab_service.store.failover_tables import (
    FAILOVER_APPROVALS,
    FAILOVER_DUTIES,
    FAILOVER_EVENTS,
    FAILOVER_PLAN_VERSIONS,
    FAILOVER_PLANS,
    FAILOVER_REPORTS,
    FAILOVER_RUNS,
    FAILOVER_STEPS,
)

_R: Final = FAILOVER_RUNS.c
_V: Final = FAILOVER_PLAN_VERSIONS.c
_LINKS: Final = 10
"""Links of a chain that weigh as much as a row of anything else: they are deleted by one statement."""


def prune_runs(conn: Connection, before: datetime, limit: int) -> int:
    """Delete runs that ended before `before`, the oldest first; returns `limit` while there are more, else how many.

    As many as have about `limit` times ten links between them, at least one: a batch stays short whatever is in a run.
    """
    parents = FAILOVER_RUNS.alias()
    is_kept = exists().where(
        parents.c.project == _R.project,
        parents.c.run_id == _R.parent_run,
        or_(parents.c.end_time.is_(None), parents.c.end_time >= before),
    )
    old = (
        select(_R.project, _R.run_id, _R.event_sequence)
        .where(_R.end_time < before, ~is_kept)
        .order_by(_R.end_time, _R.project, _R.run_id)
        .limit(limit + 1)
    )
    found = conn.execute(old).all()
    chosen: list[tuple[str, str]] = []
    links = 0
    for row in found[:limit]:
        links += row.event_sequence
        if chosen and links > limit * _LINKS:
            break
        chosen.append((row.project, row.run_id))
    for table in (FAILOVER_EVENTS, FAILOVER_STEPS, FAILOVER_APPROVALS, FAILOVER_RUNS):
        if chosen:
            conn.execute(delete(table).where(tuple_(table.c.project, table.c.run_id).in_(chosen)))
    return limit if len(chosen) < len(found) else len(chosen)


def prune_versions(conn: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` versions of plans that were replaced before `before` and that no run carried out."""
    newer = FAILOVER_PLAN_VERSIONS.alias()
    is_replaced = exists().where(
        newer.c.parent == _V.parent, newer.c.id == _V.id, newer.c.revision > _V.revision, newer.c.update_time < before
    )
    is_gone = and_(_V.deleted, _V.update_time < before)
    is_used = exists().where(
        literal("projects/") + _R.project == _V.parent, _R.plan_id == _V.id, _R.plan_revision == _V.revision
    )
    is_current = exists().where(
        FAILOVER_PLANS.c.parent == _V.parent,
        FAILOVER_PLANS.c.id == _V.id,
        FAILOVER_PLANS.c.revision == _V.revision,
    )
    old = (
        select(_V.parent, _V.id, _V.revision)
        .where(or_(is_replaced, is_gone), ~is_used, ~is_current)
        .order_by(_V.revision)
        .limit(limit)
    )
    return conn.execute(delete(FAILOVER_PLAN_VERSIONS).where(tuple_(_V.parent, _V.id, _V.revision).in_(old))).rowcount


def prune_reports(conn: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` words of observers that said nothing since `before`, and duties nobody has had since."""
    reports, duties = FAILOVER_REPORTS.c, FAILOVER_DUTIES.c
    key = (reports.project, reports.plan_id, reports.observer_id)
    old = select(*key).where(reports.update_time < before).limit(limit)
    gone = conn.execute(delete(FAILOVER_REPORTS).where(tuple_(*key).in_(old))).rowcount
    left = select(duties.duty).where(duties.until < before).limit(limit)
    conn.execute(delete(FAILOVER_DUTIES).where(duties.duty.in_(left)))
    return gone
