"""The database goes away under the service, and comes back."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from tests.integration.test_store_decisions import decision
from tests.support.databases import PostgresServer
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.store import journal
from trimtab_service.store.decisions import DECISION_SINK, DecisionLog
from trimtab_service.store.engines import Database, open_database
from trimtab_service.store.follower import JournalFollower
from trimtab_service.store.journal import Journal, JournalKind
from trimtab_service.store.pages import ListRequest
from trimtab_service.store.schema import migrate
from trimtab_service.store.writer import GroupCommitWriter, WriterLimits

NOW = datetime(2026, 3, 4, tzinfo=UTC)


@pytest.fixture
def mortal(mortal_postgres: PostgresServer) -> Iterator[Database]:
    """A migrated database on a server that the test may stop."""
    opened = open_database(mortal_postgres.create_database())
    migrate(opened)
    yield opened
    opened.close()


def enter(writer: GroupCommitWriter, number: int = 0) -> int:
    """Enter one change; returns its revision."""
    return writer.run(lambda conn: journal.append(conn, "p", JournalKind.OUTCOME, {"n": number}, NOW))


def eventually(attempt: Callable[[], int]) -> int:
    """Call until it no longer raises UnavailableError; the test's timeout bounds it."""
    while True:
        try:
            return attempt()
        except UnavailableError:
            time.sleep(0.02)


def test_a_restart_of_postgresql_loses_nothing_that_was_kept(mortal_postgres: PostgresServer, mortal: Database) -> None:
    """Units fail at once and say why, records wait, what is over the bound is counted, and all catches up."""
    writer = GroupCommitWriter(mortal, WriterLimits(records=100))
    log = DecisionLog(mortal, writer)
    taken: list[int] = []
    follower = JournalFollower(Journal(mortal), lambda entries: taken.extend(e.revision for e in entries), poll_s=0.01)
    follower.start()
    log.append(decision(0))
    first = enter(writer)
    assert writer.flush(10)

    mortal_postgres.stop()
    kept = [log.append(decision(number)) for number in range(1, 151)]
    with pytest.raises(UnavailableError) as failed:
        enter(writer)
    assert failed.value.reason is ErrorReason.STORE_UNAVAILABLE
    with pytest.raises(UnavailableError):
        log.get("p", decision(0).decision_id)
    assert not writer.flush(0.05)
    stats = writer.stats()
    assert stats.last_error is not None
    assert stats.queue_depth == sum(kept)
    assert stats.dropped_total == 150 - sum(kept) > 0
    assert kept == sorted(kept, reverse=True), "the oldest are kept"

    mortal_postgres.start()
    second = eventually(lambda: enter(writer))
    assert writer.flush(30)
    stats = writer.stats()
    assert (stats.last_error, stats.queue_depth, stats.refused_total) == (None, 0, 0)
    found = log.list("p", ListRequest("m", "p", page_size=1_000)).items
    assert len(found) == 1 + sum(kept)
    follower.sync_to(second)
    follower.close()
    assert taken == [entry.revision for entry in Journal(mortal).read_after(0)]
    assert taken[0] == first
    writer.close()


def test_connections_cut_under_load_neither_lose_nor_double(postgres_server: PostgresServer) -> None:
    """Backends are killed while callers commit: each answered change is there, each refused one at most once."""
    dsn = postgres_server.create_database()
    database = open_database(dsn)
    migrate(database)
    writer = GroupCommitWriter(database)
    answered: list[int] = []
    unanswered: list[int] = []
    stop = threading.Event()

    def work(worker: int) -> None:
        number = worker * 1_000_000
        while not stop.is_set():
            number += 1
            writer.append(DECISION_SINK, decision(number))
            try:
                enter(writer, number)
                answered.append(number)
            except UnavailableError:
                unanswered.append(number)
                time.sleep(0.01)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    killer = open_database(dsn)
    for _ in range(8):
        time.sleep(0.1)
        with killer.read() as conn:
            conn.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
    stop.set()
    for thread in threads:
        thread.join(60)
    assert writer.flush(30)
    entered = [entry.document()["n"] for entry in Journal(database).read_after(0, limit=10**6)]
    assert answered
    assert unanswered, "nothing was cut"
    assert len(entered) == len(set(entered))
    assert set(answered) <= set(entered) <= set(answered) | set(unanswered)
    with database.read() as conn:
        logged = conn.execute(text("SELECT count(*) FROM decisions")).scalar_one()
    assert logged == len(answered) + len(unanswered)
    assert writer.stats().refused_total == 0
    writer.close()
    killer.close()
    database.close()
    postgres_server.drop_database(dsn)


def test_a_replica_that_froze_with_the_turn_is_cut_off(postgres_server: PostgresServer) -> None:
    """Others go on after the server's patience; what the frozen one had not committed is undone, and it is told."""
    created = postgres_server.create_database()
    patience = {"options": "-c idle_in_transaction_session_timeout=200"}
    dsn = make_url(created).update_query_dict(patience).render_as_string(hide_password=False)
    frozen, database = open_database(dsn), open_database(dsn)
    migrate(database)
    writer = GroupCommitWriter(database)
    with pytest.raises(UnavailableError), frozen.change() as conn:  # noqa: PT012 - others act while it is inside
        lost = journal.append(conn, "p", JournalKind.OUTCOME, {}, NOW)
        assert enter(writer) > lost
    assert len(Journal(database).read_after(0)) == 1
    writer.close()
    frozen.close()
    database.close()
    postgres_server.drop_database(created)


def test_a_sqlite_file_that_another_process_holds_is_waited_for(tmp_path: Path) -> None:
    """A writer queues behind the holder of the lock, and readers are not disturbed."""
    dsn = f"sqlite:///{tmp_path / 'x.sqlite'}"
    database, holder = open_database(dsn), open_database(dsn)
    migrate(database)
    writer = GroupCommitWriter(database)
    with holder.change() as conn:
        held = journal.append(conn, "p", JournalKind.OUTCOME, {}, NOW)
        waiting = writer.submit(lambda conn: journal.append(conn, "p", JournalKind.OUTCOME, {}, NOW))
        assert Journal(database).last_revision() == 0
        assert not waiting.done()
    assert waiting.result(30) == held + 1
    writer.close()


def test_a_sqlite_directory_that_vanishes_is_an_unavailable_store(tmp_path: Path) -> None:
    """What cannot be opened says so, and comes back when it can."""
    home = tmp_path / "data"
    database = open_database(f"sqlite:///{home / 'x.sqlite'}")
    home.rmdir()
    with pytest.raises(UnavailableError) as failed:
        database.ping()
    assert failed.value.metadata["cause"] == "cannot open file"
    home.mkdir()
    database.ping()
