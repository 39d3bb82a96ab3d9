"""Retention deletes what is over age, and nothing else."""

import threading
from datetime import UTC, datetime, timedelta

from sqlalchemy import Table, func, select

from tests.integration.test_store_decisions import decision
from trimtab_service.domain.commitments import Draw
from trimtab_service.store.decisions import DECISION_SINK
from trimtab_service.store.engines import Database
from trimtab_service.store.idempotency import ANSWERS_KEPT, RequestKey, once
from trimtab_service.store.maintenance import Maintenance, Pruned, Retention
from trimtab_service.store.reservations import Reservation, drawn_milli, release, reserve
from trimtab_service.store.tables import DECISIONS, JOURNAL, REQUESTS, RESERVATIONS

NOW = datetime(2026, 3, 4, tzinfo=UTC)
DAY = timedelta(days=1)
KEPT = Retention(decisions=10 * DAY, journal=10 * DAY, reservations=10 * DAY)


def rows(database: Database, table: Table) -> int:
    """How many rows the table has."""
    with database.read() as conn:
        return conn.execute(select(func.count()).select_from(table)).scalar_one()


def fill(database: Database, age: timedelta) -> None:
    """Of each kind something whose time was up `age` ago."""
    at, tag = NOW - age, str(age.days)
    with database.change() as conn:
        DECISION_SINK.write(conn, [decision(age.days, create_time=at)])
        once(conn, RequestKey("p", "m", tag, b""), at - ANSWERS_KEPT, lambda: b"")
        reserve(conn, Reservation("p", f"expired{tag}", (Draw("a", 1, 99),), at), at - DAY)
        reserve(conn, Reservation("p", f"released{tag}", (Draw("a", 1, 99),), NOW + 99 * DAY), at)
        release(conn, "p", f"released{tag}", at)


def test_only_what_is_over_age_goes(database: Database) -> None:
    """Each kind by its own age; the journal stays whole without a snapshot that covers it."""
    for days in (1, 9, 11, 30):
        fill(database, days * DAY)
    entries = rows(database, JOURNAL)
    pruned = Maintenance(database, KEPT, batch=3, pause_s=0).run_once(NOW)
    assert pruned == Pruned(decisions=2, journal=0, reservations=4, answers=4)
    assert rows(database, DECISIONS) == 2
    assert rows(database, RESERVATIONS) == 4
    assert rows(database, REQUESTS) == 0
    assert rows(database, JOURNAL) == entries


def test_what_still_holds_room_is_never_pruned(database: Database) -> None:
    """However old the draw, while it is neither released nor expired."""
    with database.change() as conn:
        reserve(conn, Reservation("p", "d", (Draw("a", 7, 99),), NOW + DAY), NOW - 1_000 * DAY)
    assert Maintenance(database, KEPT).run_once(NOW).reservations == 0
    with database.read() as conn:
        assert drawn_milli(conn, ["a"], NOW) == {"a": 7}


def test_replicas_prune_side_by_side(database: Database) -> None:
    """Together they delete each row once."""
    with database.write() as conn:
        DECISION_SINK.write(conn, [decision(number, create_time=NOW - 20 * DAY) for number in range(300)])
    pruned: list[int] = []

    def run() -> None:
        pruned.append(Maintenance(database, KEPT, batch=10, pause_s=0.001).run_once(NOW).decisions)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(pruned) == 300 - rows(database, DECISIONS)
    assert Maintenance(database, KEPT).run_once(NOW).decisions == rows(database, DECISIONS) + 300 - sum(pruned)


def test_the_background_run_prunes_and_can_be_ended(database: Database) -> None:
    """It follows the clock it was given."""
    with database.write() as conn:
        DECISION_SINK.write(conn, [decision(0, create_time=NOW - 20 * DAY)])
    maintenance = Maintenance(database, KEPT)
    maintenance.start(lambda: NOW, every_s=0.01)
    done = threading.Event()
    for _ in range(1_000):
        if rows(database, DECISIONS) == 0 or done.wait(0.01):
            break
    maintenance.close()
    assert rows(database, DECISIONS) == 0
