"""One order of all changes, seen alike by everyone who follows."""

import multiprocessing
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from trimtab_service.domain.errors import UnavailableError
from trimtab_service.store import journal
from trimtab_service.store.engines import Database, open_database
from trimtab_service.store.follower import JournalFollower
from trimtab_service.store.journal import Journal, JournalEntry, JournalKind, Snapshot
from trimtab_service.store.writer import GroupCommitWriter

NOW = datetime(2026, 3, 4, 5, 6, 7, 123457, tzinfo=UTC)


def enter(database: Database, number: int = 0, now: datetime = NOW) -> int:
    """Enter one change; returns its revision."""
    with database.change() as conn:
        return journal.append(conn, "p", JournalKind.OUTCOME, {"n": number}, now)


def entry_of(number: int) -> Callable[[Connection], int]:
    """A unit that enters one change."""
    return lambda conn: journal.append(conn, "p", JournalKind.OUTCOME, {"n": number}, NOW)


def _write_many(dsn: str, writer_number: int, count: int, barrier: threading.Barrier) -> None:
    database = open_database(dsn)
    barrier.wait(60)
    if writer_number % 2:
        for number in range(count):
            enter(database, writer_number * 1_000 + number)
    else:
        writer = GroupCommitWriter(database)
        futures = [writer.submit(entry_of(writer_number * 1_000 + number)) for number in range(count)]
        for future in futures:
            future.result(60)
        writer.close()
    database.close()


def test_an_entry_comes_back_exactly(database: Database) -> None:
    """Revision, instant to the microsecond in UTC, and payload are what was written."""
    local = NOW.astimezone(tz=datetime.now().astimezone().tzinfo)
    revision = enter(database, 7, local)
    (entry,) = Journal(database).read_after(0)
    assert entry == JournalEntry(revision, "p", "outcome", NOW, b'{"n":7}')
    assert entry.create_time.utcoffset() == timedelta(0)
    assert entry.document() == {"n": 7}


def test_revisions_become_visible_in_order_under_eight_processes(dsn: str, database: Database) -> None:
    """A reader that polls all the while never finds an entry behind one that it has seen."""
    count = 40
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(9)
    children = [spawn.Process(target=_write_many, args=(dsn, number, count, barrier)) for number in range(8)]
    for child in children:
        child.start()
    barrier.wait(60)
    reader, seen = Journal(database), list[int]()
    while any(child.is_alive() for child in children):
        seen += [entry.revision for entry in reader.read_after(seen[-1] if seen else 0, limit=7)]
    while page := reader.read_after(seen[-1] if seen else 0):
        seen += [entry.revision for entry in page]
    assert [child.exitcode for child in children] == [0] * 8
    assert seen == sorted(set(seen))
    assert seen == [entry.revision for entry in reader.read_after(0)], "an entry became visible late"
    assert len(seen) == 8 * count


def test_a_change_that_is_undone_leaves_no_entry(database: Database) -> None:
    """Entry and change are one transaction."""
    first = enter(database)

    def fail() -> None:
        with database.change() as conn:
            journal.append(conn, "p", JournalKind.POLICY, {}, NOW)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    second = enter(database)
    assert [entry.revision for entry in Journal(database).read_after(0)] == [first, second]
    assert Journal(database).last_revision() == second


def test_the_turn_is_not_taken_inside_a_savepoint(database: Database) -> None:
    """Undoing the savepoint would let others in between two entries of one transaction."""
    with database.write() as conn, conn.begin_nested(), pytest.raises(RuntimeError, match="savepoint"):
        journal.append(conn, "p", JournalKind.OUTCOME, {}, NOW)


def test_reading_is_bounded_on_both_sides(database: Database) -> None:
    """A replay reads up to the revision of its decision."""
    revisions = [enter(database, number) for number in range(10)]
    reader = Journal(database)
    assert [e.revision for e in reader.read_after(revisions[2], limit=3)] == revisions[3:6]
    assert [e.revision for e in reader.read_after(0, up_to=revisions[4])] == revisions[:5]


def test_pruning_keeps_what_no_snapshot_covers(database: Database) -> None:
    """A fold can always be made again: from a snapshot and what follows it."""
    revisions = [enter(database, number) for number in range(10)]
    later = NOW + timedelta(days=1)
    with database.write() as conn:
        assert journal.prune(conn, later, 100) == 0
    for covered in (2, 5, 5):
        with database.change() as conn:
            journal.save_snapshot(conn, Snapshot(revisions[covered], NOW, b"folded"))
    with database.write() as conn:
        assert journal.prune(conn, later, 4) == 4
        assert journal.prune(conn, later, 4) == 2
        assert journal.prune(conn, later, 4) == 0
    reader = Journal(database)
    assert [(e.revision, e.kind) for e in reader.read_after(0)] == [
        (revisions[5], journal.PRUNED),
        *((revision, JournalKind.OUTCOME) for revision in revisions[6:]),
    ], "who reads from before is told that entries are missing"
    assert reader.snapshot() == Snapshot(revisions[5], NOW, b"folded")
    assert reader.snapshot(up_to=revisions[4]) is None
    assert enter(database) > revisions[-1], "numbers of pruned entries are not given again"


class Fold:
    """A handler that keeps what it was handed."""

    def __init__(self) -> None:
        self.revisions: list[int] = []
        self.fail = False

    def __call__(self, entries: Sequence[JournalEntry]) -> None:
        """Take a page, or fail."""
        if self.fail:
            raise RuntimeError("poison")
        self.revisions += [entry.revision for entry in entries]


def test_a_follower_takes_each_entry_once_while_many_sync(database: Database) -> None:
    """Its own polling and callers that follow their commits do not hand an entry over twice."""
    fold = Fold()
    follower = JournalFollower(Journal(database), fold, poll_s=0.001)
    follower.start()
    writer = GroupCommitWriter(database)

    def change() -> None:
        for number in range(25):
            revision = writer.run(entry_of(number))
            follower.sync_to(revision)
            assert follower.revision >= revision

    threads = [threading.Thread(target=change) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    follower.close()
    writer.close()
    assert fold.revisions == [entry.revision for entry in Journal(database).read_after(0)]
    assert len(fold.revisions) == 150


def test_a_follower_learns_what_another_process_changed(dsn: str, database: Database) -> None:
    """Polling alone is enough."""
    seen = threading.Event()
    follower = JournalFollower(Journal(database), lambda entries: seen.set(), poll_s=0.01)
    follower.start()
    elsewhere = open_database(dsn)
    enter(elsewhere)
    assert seen.wait(60)
    follower.close()
    elsewhere.close()


def test_entries_come_again_after_a_handler_failed(database: Database) -> None:
    """Nothing is skipped: replicas that skip would disagree for ever."""
    fold = Fold()
    follower = JournalFollower(Journal(database), fold)
    revision = enter(database)
    fold.fail = True
    with pytest.raises(RuntimeError):
        follower.sync_to(revision)
    assert follower.revision == 0
    fold.fail = False
    follower.sync_to(revision)
    assert fold.revisions == [revision]


def test_a_revision_that_does_not_exist_is_not_waited_for(database: Database) -> None:
    """Syncing to the future fails instead of hanging."""
    with pytest.raises(UnavailableError):
        JournalFollower(Journal(database), Fold()).sync_to(99)


def test_lag_is_the_age_of_the_last_complete_look(database: Database) -> None:
    """It grows until a poll finds the end of the journal."""
    clock = [100.0]
    follower = JournalFollower(Journal(database), Fold(), clock=lambda: clock[0])
    clock[0] = 103.0
    assert follower.lag_s() == 3.0
    follower.catch_up()
    assert follower.lag_s() == 0.0
