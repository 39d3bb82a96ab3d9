"""Group commit: shared, isolated, bounded, and durable on both engines."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from trimtab_service.domain.errors import (
    AbortedError,
    DeadlineExceededError,
    ResourceExhaustedError,
    UnavailableError,
)
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.store.engines import Database, open_database
from trimtab_service.store.writer import GroupCommitWriter, WriterLimits


class WordSink:
    """Writes words; one word is poison to the database."""

    def write(self, conn: Connection, records: Sequence[str]) -> None:
        """Insert them."""
        conn.execute(
            text("INSERT INTO words VALUES (:word) ON CONFLICT DO NOTHING"), [{"word": word} for word in records]
        )


SINK = WordSink()


@pytest.fixture
def words(database: Database) -> Database:
    """A database with a table that refuses `bad` and duplicates."""
    with database.write() as conn:
        conn.execute(text("CREATE TABLE words (word TEXT PRIMARY KEY CHECK (word <> 'bad'))"))
    return database


@pytest.fixture
def writer(words: Database) -> Iterator[GroupCommitWriter]:
    """A writer on `words`."""
    made = GroupCommitWriter(words)
    yield made
    made.close()


class Gate:
    """A unit that keeps the writer's thread until it is opened, so that a group gathers behind it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, conn: Connection) -> None:
        """Wait to be opened."""
        self.entered.set()
        assert self.opened.wait(60)


def add(word: str, conn: Connection) -> str:
    """A unit that writes one word."""
    conn.execute(text("INSERT INTO words VALUES (:word)"), {"word": word})
    return word.upper()


def stored(database: Database) -> list[str]:
    """All words, as another connection sees them."""
    with database.read() as conn:
        return sorted(conn.execute(text("SELECT word FROM words")).scalars())


def test_a_unit_is_durable_when_its_future_is_done(words: Database, writer: GroupCommitWriter) -> None:
    """Another connection sees it at once."""
    assert writer.run(lambda conn: add("one", conn)) == "ONE"
    assert stored(words) == ["one"]


def test_a_unit_that_fails_alone_is_undone(words: Database, writer: GroupCommitWriter) -> None:
    """Without a group around it, too; its error is its own, and the writer goes on."""

    def abort(conn: Connection) -> None:
        add("undone", conn)
        raise UnavailableError(ErrorReason.SOURCE_FAILED, "the unit's own fault")

    with pytest.raises(UnavailableError, match="the unit's own fault"):
        writer.run(abort)
    with pytest.raises(IntegrityError):
        writer.run(lambda conn: add("bad", conn))
    assert writer.stats().last_error is None
    writer.run(lambda conn: add("next", conn))
    assert stored(words) == ["next"]


def test_one_failing_unit_does_not_take_its_group_down(words: Database, writer: GroupCommitWriter) -> None:
    """Each unit is undone alone; its error, of the domain or the database, is its caller's."""
    gate = Gate()
    writer.submit(gate)
    assert gate.entered.wait(60)

    def abort(conn: Connection) -> None:
        add("undone", conn)
        raise AbortedError(ErrorReason.ROOM_CONFLICT, "no room")

    futures: list[Future[Any]] = [
        writer.submit(lambda conn: add("a", conn)),
        writer.submit(abort),
        writer.submit(lambda conn: add("bad", conn)),
        writer.submit(lambda conn: add("a", conn)),
        writer.submit(lambda conn: add("z", conn)),
    ]
    before = writer.stats().commits_total
    gate.opened.set()
    assert futures[0].result(10) == "A"
    assert isinstance(futures[1].exception(10), AbortedError)
    assert isinstance(futures[2].exception(10), IntegrityError)
    assert isinstance(futures[3].exception(10), IntegrityError)
    assert futures[4].result(10) == "Z"
    assert writer.stats().commits_total == before + 2  # the gate's group and the one behind it
    assert stored(words) == ["a", "z"]


def test_many_callers_share_few_commits(words: Database, writer: GroupCommitWriter) -> None:
    """Groups form by themselves, and nobody's write is lost."""
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: writer.run(lambda conn: add(f"w{n:03}", conn)), range(200)))
    assert stored(words) == [f"w{n:03}" for n in range(200)]
    assert writer.stats().units_total == 200
    assert writer.stats().commits_total < 200


def test_a_faulty_record_is_refused_alone(words: Database, writer: GroupCommitWriter) -> None:
    """The log goes on around a record that the database does not take."""
    for word in ["a", "b", "bad", "c", "a"]:
        assert writer.append(SINK, word)
    assert writer.flush(10)
    assert stored(words) == ["a", "b", "c"]
    stats = writer.stats()
    assert (stats.records_total, stats.refused_total, stats.dropped_total) == (4, 1, 0)


def test_records_and_units_of_one_group_do_not_disturb_each_other(words: Database, writer: GroupCommitWriter) -> None:
    """A faulty record and a faulty unit in one transaction leave the rest."""
    gate = Gate()
    writer.submit(gate)
    assert gate.entered.wait(60)
    writer.append(SINK, "bad")
    writer.append(SINK, "record")
    failing = writer.submit(lambda conn: add("bad", conn))
    working = writer.submit(lambda conn: add("unit", conn))
    gate.opened.set()
    assert isinstance(failing.exception(10), IntegrityError)
    assert working.result(10) == "UNIT"
    assert writer.flush(10)
    assert stored(words) == ["record", "unit"]


def test_what_waits_is_bounded(words: Database) -> None:
    """Over the bound a record is dropped and counted, a unit refused with the time to come back."""
    writer = GroupCommitWriter(words, WriterLimits(units=1, records=3, record_bytes=100))
    gate = Gate()
    writer.submit(gate)
    assert gate.entered.wait(60)
    waiting = writer.submit(lambda conn: add("unit", conn))
    with pytest.raises(ResourceExhaustedError) as refused:
        writer.submit(lambda conn: add("late", conn))
    assert refused.value.reason is ErrorReason.STORE_BUSY
    assert refused.value.retry_after is not None
    assert [writer.append(SINK, word, 40) for word in ("a", "b", "c")] == [True, True, False]  # bytes
    assert [writer.append(SINK, word, 1) for word in ("d", "e")] == [True, False]  # number
    assert writer.stats().dropped_total == 2
    gate.opened.set()
    assert waiting.result(10) == "UNIT"
    assert writer.close() == 0
    assert stored(words) == ["a", "b", "d", "unit"]


def test_a_caller_whose_time_is_up_knows_whether_it_was_made(words: Database, writer: GroupCommitWriter) -> None:
    """A unit that had not begun is taken back and never runs."""
    gate = Gate()
    writer.submit(gate)
    assert gate.entered.wait(60)
    with pytest.raises(DeadlineExceededError, match="it was not made"):
        writer.run(lambda conn: add("late", conn), timeout_s=0.01)
    gate.opened.set()
    assert writer.flush(10)
    assert stored(words) == []


def test_closing_makes_durable_what_was_handed_in(words: Database) -> None:
    """Drain loses nothing, and a closed writer says so."""
    writer = GroupCommitWriter(words)
    for n in range(1_000):
        writer.append(SINK, f"w{n}")
    assert writer.close() == 0
    assert len(stored(words)) == 1_000
    with pytest.raises(UnavailableError) as refused:
        writer.submit(lambda conn: add("late", conn))
    assert refused.value.reason is ErrorReason.SHUTTING_DOWN
    assert writer.append(SINK, "late") is False


def test_a_flush_ends_while_others_keep_writing(words: Database, writer: GroupCommitWriter) -> None:
    """It waits for what came before it, not for a pause in the traffic."""
    stop = threading.Event()

    def keep_writing() -> None:
        number = 0
        while not stop.is_set():
            writer.append(SINK, f"w{number}")
            number += 1
            stop.wait(0.0005)

    thread = threading.Thread(target=keep_writing)
    thread.start()
    flushed = [writer.flush(10) for _ in range(5)]
    stop.set()
    thread.join(60)
    assert flushed == [True] * 5


def test_two_processes_worth_of_writers_share_one_database(words: Database, dsn: str) -> None:
    """Writers on engines of their own, as in two processes, wait for each other and lose nothing."""
    other = open_database(dsn)
    writers = [GroupCommitWriter(words), GroupCommitWriter(other)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: writers[n % 2].run(lambda conn: add(f"w{n:03}", conn)), range(120)))
    for writer in writers:
        writer.close()
    other.close()
    assert len(stored(words)) == 120
