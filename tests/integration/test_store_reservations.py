"""Room is never given twice."""

import multiprocessing
import threading
from datetime import UTC, datetime, timedelta

import pytest

from trimtab_service.domain.commitments import Draw
from trimtab_service.domain.errors import AbortedError, AlreadyExistsError, NotFoundError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.store.engines import Database, open_database
from trimtab_service.store.journal import Journal
from trimtab_service.store.reservations import Reservation, drawn_milli, release, reserve

NOW = datetime(2026, 3, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
BIG = 10**13


def draw(database: Database, decision: str, *draws: Draw, now: datetime = NOW) -> int:
    """Reserve for an hour; returns the revision."""
    with database.change() as conn:
        return reserve(conn, Reservation("p", decision, draws, now + HOUR), now)


def drawn(database: Database, *rooms: str, now: datetime = NOW) -> dict[str, int]:
    """What is drawn from the rooms."""
    with database.read() as conn:
        return drawn_milli(conn, rooms, now)


def _race(dsn: str, number: int, barrier: threading.Barrier, answers: "multiprocessing.Queue[str]") -> None:
    database = open_database(dsn)
    for turn in range(10):
        barrier.wait(60)
        try:
            draw(database, f"d{turn}-{number}", Draw(f"room{turn}", 1_000, 1_000))
            answers.put(f"won {turn}")
        except AbortedError as error:
            answers.put(error.reason.name)
    database.close()


def test_of_processes_that_draw_the_last_unit_one_wins(dsn: str, database: Database) -> None:
    """Schedulers on several replicas, ten times: one gets it, the others are told to ask again."""
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(3), spawn.Queue()
    children = [spawn.Process(target=_race, args=(dsn, number, barrier, answers)) for number in range(3)]
    for child in children:
        child.start()
    told = sorted(answers.get(timeout=60) for _ in range(30))
    for child in children:
        child.join(60)
    assert told == ["ROOM_CONFLICT"] * 20 + [f"won {turn}" for turn in range(10)]
    assert drawn(database, *(f"room{turn}" for turn in range(10))) == {f"room{turn}": 1_000 for turn in range(10)}


def test_all_rooms_or_none(database: Database) -> None:
    """A draw that is short in its second room leaves the first untouched, and names the second."""
    draw(database, "d1", Draw("b", 600, 1_000))
    with pytest.raises(AbortedError) as refused:
        draw(database, "d2", Draw("a", 1, 1_000), Draw("b", 401, 1_000))
    assert refused.value.reason is ErrorReason.ROOM_CONFLICT
    assert refused.value.metadata == {
        "room_key": "b",
        "requested_milli": "401",
        "room_milli": "400",
        "capacity_milli": "1000",
    }
    assert drawn(database, "a", "b") == {"b": 600}
    draw(database, "d2", Draw("a", 1, 1_000), Draw("b", 400, 1_000))
    assert drawn(database, "a", "b") == {"a": 1, "b": 1_000}


def test_a_room_named_twice_counts_twice(database: Database) -> None:
    """Two draws of one decision from one room are added before they are compared."""
    with pytest.raises(AbortedError):
        draw(database, "d1", Draw("a", 600, 1_000), Draw("a", 600, 1_000))
    draw(database, "d1", Draw("a", 500, 1_000), Draw("a", 500, 1_000))
    assert drawn(database, "a") == {"a": 1_000}


def test_amounts_beyond_32_bits_add_up(database: Database) -> None:
    """Spend in milli-units of nanos is large."""
    draw(database, "d1", Draw("a", BIG, 3 * BIG))
    draw(database, "d2", Draw("a", BIG, 3 * BIG))
    assert drawn(database, "a") == {"a": 2 * BIG}


def test_a_released_draw_is_room_again(database: Database) -> None:
    """Releasing twice is harmless, and not a second change."""
    draw(database, "d1", Draw("a", 1_000, 1_000))
    with database.change() as conn:
        first = release(conn, "p", "d1", NOW)
        assert release(conn, "p", "d1", NOW) is None
    draw(database, "d2", Draw("a", 1_000, 1_000))
    entries = Journal(database).read_after(0)
    assert [entry.document()["action"] for entry in entries] == ["draw", "release", "draw"]
    assert entries[1].revision == first


def test_an_expired_draw_is_room_again_by_time_alone(database: Database) -> None:
    """Nobody has to clean up before the room counts; at its expiry it no longer holds."""
    draw(database, "d1", Draw("a", 1_000, 1_000))
    with pytest.raises(AbortedError):
        draw(database, "d2", Draw("a", 1, 1_000), now=NOW + HOUR - timedelta(microseconds=1))
    draw(database, "d2", Draw("a", 1_000, 1_000), now=NOW + HOUR)
    assert drawn(database, "a", now=NOW + HOUR) == {"a": 1_000}


def test_a_decision_draws_once(database: Database) -> None:
    """A second draw for the same decision is refused, not added."""
    draw(database, "d1", Draw("a", 1, 1_000))
    with pytest.raises(AlreadyExistsError):
        draw(database, "d1", Draw("b", 1, 1_000))


def test_only_what_was_drawn_can_be_released(database: Database) -> None:
    """Not by another project, and not what never was."""
    draw(database, "d1", Draw("a", 1, 1_000))
    for project, decision in (("q", "d1"), ("p", "d2")):
        with pytest.raises(NotFoundError), database.change() as conn:
            release(conn, project, decision, NOW)
    assert drawn(database, "a") == {"a": 1}


def test_the_journal_says_what_was_drawn(database: Database) -> None:
    """Every process can fold the rooms from the journal."""
    revision = draw(database, "d1", Draw("b", 2, 10), Draw("a", 1, 10))
    (entry,) = Journal(database).read_after(0)
    assert (entry.revision, entry.kind) == (revision, "reservation")
    expiry = int((NOW + HOUR).timestamp() * 1_000_000)
    assert entry.document() == {
        "action": "draw",
        "decision_id": "d1",
        "draws": [["a", 1], ["b", 2]],
        "expire_time_us": expiry,
    }
