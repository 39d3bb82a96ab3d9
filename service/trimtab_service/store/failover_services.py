"""What is known of a service across its runs: the row that makes runs exclusive and tokens strictly increasing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, insert, select, tuple_, update

from trimtab_service.domain.failover import RunKind, RunState
from trimtab_service.failover.admission import LiveRun, ServiceRecord
from trimtab_service.failover.run import Change, Run, Trigger
from trimtab_service.store.failover_tables import FAILOVER_SERVICES

SERVED: Final = frozenset({RunState.SUCCEEDED, RunState.COMPLETED_WITH_EXCEPTIONS})
"""States in which a run has done what it was for."""
_C: Final = FAILOVER_SERVICES.c


def read(conn: Connection, project: str, service_id: str, *, lock: bool = False) -> ServiceRecord | None:
    """What is stored; None before the first run."""
    query = select(_C.token, _C.live_run, _C.live_trigger, _C.active_side, _C.left_side, _C.end_time)
    query = query.where(_is(project, service_id))
    row = conn.execute(query.with_for_update() if lock else query).first()
    if row is None:
        return None
    live = LiveRun(row.live_run, Trigger(row.live_trigger)) if row.live_run else None
    return ServiceRecord(project, service_id, row.token, live, row.active_side, row.left_side, row.end_time)


def create(conn: Connection, project: str, service_id: str) -> ServiceRecord:
    """Add the row of a service that has never run. The caller has the turn."""
    empty = {"token": 0, "live_run": "", "live_trigger": "", "active_side": "", "left_side": "", "end_time": None}
    conn.execute(insert(FAILOVER_SERVICES), {"project": project, "service_id": service_id, **empty})
    return ServiceRecord(project, service_id)


def occupy(conn: Connection, run: Run) -> None:
    """From now on this run is the one under way."""
    values = {"live_run": run.run_id, "live_trigger": run.trigger.value}
    conn.execute(update(FAILOVER_SERVICES).where(_is(run.project, run.service_id)).values(values))


def next_tokens(conn: Connection, runs: Sequence[Run]) -> list[int]:
    """For each run, of a service of its own, a fencing token greater than any that was given out for the service."""
    theirs = [(run.project, run.service_id) for run in runs]
    grown = update(FAILOVER_SERVICES).where(tuple_(_C.project, _C.service_id).in_(theirs)).values(token=_C.token + 1)
    tokens = {
        (project, service_id): token
        for project, service_id, token in conn.execute(grown.returning(_C.project, _C.service_id, _C.token))
    }
    return [tokens[one] for one in theirs]


def tell(conn: Connection, change: Change, now: datetime) -> None:
    """Keep what a change of a run means for its service: where traffic is, and that nothing is under way any more."""
    run = change.run
    values: dict[str, object] = {}
    if change.active_side:
        values["active_side"] = change.active_side
    if run.state.is_over and not run.is_drill:
        values["end_time"] = now
        if run.kind is RunKind.ACTIVATE and run.state in SERVED and run.actual_rto is not None:
            record = read(conn, run.project, run.service_id, lock=True)
            is_back = record is not None and record.left_side == run.to_side
            values["left_side"] = "" if is_back else run.from_side
    if values:
        conn.execute(update(FAILOVER_SERVICES).where(_is(run.project, run.service_id)).values(values))
    if run.state.is_over:
        ours = and_(_is(run.project, run.service_id), _C.live_run == run.run_id)
        conn.execute(update(FAILOVER_SERVICES).where(ours).values(live_run="", live_trigger=""))


def _is(project: str, service_id: str) -> ColumnElement[bool]:
    return and_(_C.project == project, _C.service_id == service_id)
