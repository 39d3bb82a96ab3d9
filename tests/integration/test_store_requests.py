"""A request_id is executed once."""

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from trimtab_service.domain.errors import InvalidArgumentError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.store.engines import Database, open_database
from trimtab_service.store.idempotency import ANSWERS_KEPT, RequestKey, once
from trimtab_service.store.writer import GroupCommitWriter

NOW = datetime(2026, 3, 4, tzinfo=UTC)
KEY = RequestKey("p", "Place", "id-1", b"hash")


class Work:
    """Counts how often it was done."""

    def __init__(self) -> None:
        self.done = 0
        self._lock = threading.Lock()

    def __call__(self) -> bytes:
        """Do it once more."""
        with self._lock:
            self.done += 1
            return f"answer {self.done}".encode()


def ask(database: Database, key: RequestKey, work: Work, now: datetime = NOW) -> bytes:
    """One call."""
    with database.change() as conn:
        return once(conn, key, now, work)


def test_a_replay_gets_the_first_answer(database: Database) -> None:
    """The work is done once."""
    work = Work()
    assert [ask(database, KEY, work) for _ in range(3)] == [b"answer 1"] * 3
    assert work.done == 1


def test_another_body_is_refused(database: Database) -> None:
    """The same id with another body is a mistake of the caller's."""
    work = Work()
    ask(database, KEY, work)
    with pytest.raises(InvalidArgumentError) as refused:
        ask(database, RequestKey("p", "Place", "id-1", b"other"), work)
    assert refused.value.reason is ErrorReason.REQUEST_ID_REUSED
    assert work.done == 1


def test_ids_of_projects_and_methods_do_not_meet(database: Database) -> None:
    """One project cannot guess another's answers."""
    work = Work()
    keys = [KEY, RequestKey("q", "Place", "id-1", b"hash"), RequestKey("p", "Release", "id-1", b"hash")]
    assert len({ask(database, key, work) for key in keys}) == 3


def test_an_answer_is_forgotten_after_its_time(database: Database) -> None:
    """After a day the id is free, even for another body."""
    work = Work()
    ask(database, KEY, work)
    late = RequestKey("p", "Place", "id-1", b"other")
    assert ask(database, late, work, NOW + ANSWERS_KEPT) == b"answer 2"
    assert ask(database, late, work, NOW + ANSWERS_KEPT + timedelta(hours=1)) == b"answer 2"


def test_work_that_failed_may_be_tried_again(database: Database) -> None:
    """An error is not an answer."""

    def fail() -> bytes:
        raise KeyError

    with pytest.raises(KeyError), database.change() as conn:
        once(conn, KEY, NOW, fail)
    assert ask(database, KEY, Work()) == b"answer 1"


def test_no_id_means_no_memory(database: Database) -> None:
    """Calls without an id are all executed."""
    work = Work()
    nameless = RequestKey("p", "Place", "", b"hash")
    assert [ask(database, nameless, work) for _ in range(2)] == [b"answer 1", b"answer 2"]


def _race(dsn: str, barrier: threading.Barrier, answers: "multiprocessing.Queue[object]") -> None:
    database = open_database(dsn)
    work = Work()
    for turn in range(20):
        barrier.wait(60)
        try:
            ask(database, RequestKey("p", "m", f"id-{turn}", b""), work)
        except Exception as error:  # noqa: BLE001 - shown by the assertion of the test
            answers.put(repr(error))
    answers.put(work.done)
    database.close()


def test_of_processes_that_ask_at_once_one_executes(dsn: str, database: Database) -> None:
    """Twenty times: each id is executed by exactly one replica, and no replica sees an error."""
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(2), spawn.Queue()
    children = [spawn.Process(target=_race, args=(dsn, barrier, answers)) for _ in range(2)]
    for child in children:
        child.start()
    told = [answers.get(timeout=60) for _ in children]
    for child in children:
        child.join(60)
    assert sum(done for done in told if isinstance(done, int)) == 20, told


def test_of_concurrent_callers_one_executes(dsn: str, database: Database) -> None:
    """Callers on two replicas with the same id all get the one answer."""
    work, other = Work(), open_database(dsn)
    writers = [GroupCommitWriter(database), GroupCommitWriter(other)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: writers[n % 2].run(lambda conn: once(conn, KEY, NOW, work)), range(40)))
    for writer in writers:
        writer.close()
    other.close()
    assert set(answers) == {b"answer 1"}
    assert work.done == 1
