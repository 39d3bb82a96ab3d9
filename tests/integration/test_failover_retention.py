"""Failovers are forgotten whole or not at all, in short batches, and never while they are under way."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Table, func, insert, select, update

from tests.support.failovers import NOW, PROJECT, FailoverRoom, asked, keep, no_request, notes, plan, room
from trimtab_service.domain.errors import NotFoundError
from trimtab_service.domain.failover import Detection, Observer
from trimtab_service.domain.offers import Cloud
from trimtab_service.failover.chain import first_broken
from trimtab_service.failover.detection import Report
from trimtab_service.failover.run import Command, Steering
from trimtab_service.store.engines import Database
from trimtab_service.store.failover_reports import FailoverReportStore
from trimtab_service.store.failover_sweeps import prune_reports, prune_runs, prune_versions
from trimtab_service.store.failover_tables import (
    FAILOVER_APPROVALS,
    FAILOVER_EVALUATIONS,
    FAILOVER_EVENTS,
    FAILOVER_PLAN_VERSIONS,
    FAILOVER_REPORTS,
    FAILOVER_RUNS,
    FAILOVER_STEPS,
)
from trimtab_service.store.maintenance import Maintenance, Retention

DAY = timedelta(days=1)


@pytest.fixture
def rooms(database: Database) -> Iterator[FailoverRoom]:
    """The stores."""
    made = room(database)
    yield made
    made.writer.close()


def _count(database: Database, table: Table) -> int:
    with database.read() as conn:
        return conn.execute(select(func.count()).select_from(table)).scalar_one()


def _ended(rooms: FailoverRoom, number: int, age: timedelta) -> str:
    """A run that ended so long ago."""
    own = plan(notes(3), plan_id=f"plan-{number}", service_id=f"service-{number}")
    keep(rooms, own)
    run = rooms.runs.start(asked(own.plan_id), no_request())
    abort = Steering(Command.ABORT, "ann", reason="test")
    rooms.runs.steer(PROJECT, run.run_id, abort, no_request())
    with rooms.database.write() as conn:
        conn.execute(update(FAILOVER_RUNS).where(FAILOVER_RUNS.c.run_id == run.run_id).values(end_time=NOW - age))
    return run.run_id


def test_runs_go_whole_or_stay_whole(rooms: FailoverRoom) -> None:
    """Of each age; the chains that are left are sound, and of the others nothing is left."""
    names = {number: _ended(rooms, number, timedelta(days=number)) for number in (1, 5, 20, 30)}
    with rooms.database.write() as conn:
        assert prune_runs(conn, NOW - 10 * DAY, 100) == 2
    for number, run_id in names.items():
        if number > 10:
            with pytest.raises(NotFoundError):
                rooms.runs.get(PROJECT, run_id)
            assert rooms.runs.events(PROJECT, run_id) == ()
        else:
            chain = rooms.runs.events(PROJECT, run_id)
            assert len(chain) == rooms.runs.get(PROJECT, run_id).event_sequence
            assert first_broken((link.body, link.hash) for link in chain) is None
    assert _count(rooms.database, FAILOVER_STEPS) == 6
    assert _count(rooms.database, FAILOVER_APPROVALS) == 0


def test_what_is_under_way_is_never_touched_nor_its_children(rooms: FailoverRoom) -> None:
    """However old it is: a run that waits for a person, and a child of it that ended long ago."""
    keep(rooms, plan())
    parent = rooms.runs.start(asked(), no_request())
    child = _ended(rooms, 1, 1_000 * DAY)
    with rooms.database.write() as conn:
        conn.execute(
            update(FAILOVER_RUNS).where(FAILOVER_RUNS.c.run_id == parent.run_id).values(create_time=NOW - 1_000 * DAY)
        )
        conn.execute(update(FAILOVER_RUNS).where(FAILOVER_RUNS.c.run_id == child).values(parent_run=parent.run_id))
        assert prune_runs(conn, NOW, 100) == 0


def test_batches_are_short_and_a_long_run_is_one_of_its_own(rooms: FailoverRoom) -> None:
    """By the links of the chains; what is left is told by the whole limit."""
    for number in range(4):
        _ended(rooms, number, (20 + number) * DAY)
    with rooms.database.write() as conn:
        conn.execute(update(FAILOVER_RUNS).values(event_sequence=1_000))
    for left in (3, 2, 1, 0):
        with rooms.database.write() as conn:
            assert prune_runs(conn, NOW, 10) == (10 if left else 1)
        assert _count(rooms.database, FAILOVER_RUNS) == left
    assert _count(rooms.database, FAILOVER_EVENTS) == 0


def test_versions_stay_as_long_as_a_run_that_carried_them_out(rooms: FailoverRoom) -> None:
    """And the current one always; what was deleted long ago goes."""
    old = plan(notes(1))
    keep(rooms, old)
    run = rooms.runs.start(asked(), no_request())
    for count in (2, 3):
        rooms.plans.update(plan(notes(count)), "", NOW, no_request())
    with rooms.database.write() as conn:
        assert prune_versions(conn, NOW, 100) == 0
        assert prune_versions(conn, NOW + DAY, 100) == 1
    assert rooms.plans.version(PROJECT, "serving", run.plan_revision).plan.activate == old.activate
    assert len(rooms.plans.get(PROJECT, "serving").plan.activate.stages) == 3
    assert _count(rooms.database, FAILOVER_PLAN_VERSIONS) == 2


def test_words_of_the_silent_go(rooms: FailoverRoom) -> None:
    """An observer that was taken away leaves no row for ever."""
    observed = replace(plan(), detection=Detection((Observer("a", Cloud.AWS), Observer("b", Cloud.GCP))))
    reports = FailoverReportStore(rooms.database, rooms.writer, clock=lambda: NOW)
    for observer, age in (("a", 30 * DAY), ("b", DAY)):
        reports.take(observed, Report(observer, NOW - age, (("west", True),)), no_request())
    with rooms.database.write() as conn:
        assert prune_reports(conn, NOW - 7 * DAY, 100) == 1
    assert _count(rooms.database, FAILOVER_REPORTS) == 1


def test_maintenance_prunes_failovers_by_the_settings(rooms: FailoverRoom) -> None:
    """Each kind by its own keep; a reading of a plan that is gone goes at once."""
    _ended(rooms, 1, 20 * DAY)
    with rooms.database.write() as conn:
        gone = {"parent": "projects/gone", "plan_id": "p", "etag": "e", "read_time": NOW, "errors": 0, "warnings": 0}
        conn.execute(insert(FAILOVER_EVALUATIONS), {**gone, "findings": "[]", "survey": b"{}"})
    pruned = Maintenance(rooms.database, Retention(failover_runs=10 * DAY), pause_s=0).run_once(NOW)
    assert (pruned.failover_runs, pruned.failover_evaluations) == (1, 1)
