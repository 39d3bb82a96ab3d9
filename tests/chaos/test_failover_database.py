"""The database goes away under a run, at the worst of moments: every run is completed, and nothing is done twice.

PostgreSQL is stopped and started for real. SQLite has no server; there somebody else holds the file's lock, for longer
than a lease lasts.
"""

import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import make_url

from tests.support.databases import ENGINES, PostgresServer
from tests.support.failover_stage import ACTIVATE, STEPS, Stage, finished, is_whole
from tests.support.failover_worker import SHORT, Fate, Worker, spawn, worker
from tests.support.failovers import NOW, asked, no_request, plan
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.failover.execution import Conduct
from trimtab_service.failover.run import Run
from trimtab_service.store.idempotency import RequestKey

GONE_S: Final = 0.8
"""Longer than the lease of the tests' processes."""

PATIENT: Final = Conduct(
    lease=timedelta(minutes=2),
    heartbeat=timedelta(seconds=30),
    poll=timedelta(milliseconds=20),
    pace=timedelta(milliseconds=20),
)
"""A lease that outlasts the outage, and anything that holds up this machine meanwhile."""

MOMENTS: Final = {"begin": "before_begin", "effect": "before_effect", "done": "after_effect"}
"""Points of a step at which the database goes, by what it is then needed for."""


@dataclass(slots=True)
class Outage:
    """A database that can be made to go, and comes back by itself."""

    dsn: str
    begin: Callable[[], None]
    end: Callable[[], None]
    running: list[threading.Thread] = field(default_factory=list)

    def strike(self) -> None:
        """It is gone when this returns, and back after `GONE_S`."""
        self.begin()
        back = threading.Thread(target=self._come_back)
        self.running.append(back)
        back.start()

    def over(self) -> None:
        """Wait for the last one to end."""
        for thread in self.running:
            thread.join()

    def _come_back(self) -> None:
        time.sleep(GONE_S)
        self.end()


@contextmanager
def locked(dsn: str) -> Iterator[Outage]:
    """A SQLite file and its lock."""
    path = str(make_url(dsn).database)
    holder: list[sqlite3.Connection] = []

    def begin() -> None:
        conn = sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)
        conn.execute("BEGIN IMMEDIATE")
        holder.append(conn)

    def end() -> None:
        conn = holder.pop()
        conn.execute("ROLLBACK")
        conn.close()

    outage = Outage(dsn, begin, end)
    yield outage
    outage.over()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One that every test of this module stops and starts again."""
    made = PostgresServer()
    yield made
    made.close()


@pytest.fixture(params=ENGINES)
def outage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Outage]:
    """Of each engine in turn."""
    if request.param == "sqlite":
        with locked(f"sqlite:///{tmp_path / 'store.sqlite'}") as made:
            yield made
        return
    server: PostgresServer = request.getfixturevalue("server")
    made = Outage(server.create_database(), server.stop, server.start)
    yield made
    made.over()


@pytest.fixture
def stage(outage: Outage, tmp_path: Path) -> Stage:
    """Over the database that will go."""
    return Stage(outage.dsn, tmp_path)


def struck(stage: Stage, outage: Outage, step_id: str, point: str, conduct: Conduct) -> Run:
    """A run during which the database goes once, at that point of a step."""
    came: list[str] = []
    is_gone = threading.Event()

    def at(where: str, step: str) -> None:
        if (where, step) == (point, step_id) and not came:
            came.append(where)
            outage.strike()
            is_gone.set()

    made = worker(stage.dsn, stage.path, "only", conduct=conduct, at=at)
    try:
        over = finished(made, stage.taken_in(made))
    finally:
        # It goes slowly: a short lease may end, and the run with it under a new token, while it still answers.
        assert is_gone.wait(60)
        outage.over()
        made.close()
    assert came == [point]
    is_whole(made.runs.get(over.project, over.run_id), stage, made)
    return over


def test_a_database_that_goes_within_a_step_delays_the_run(stage: Stage, outage: Outage) -> None:
    """At its begin, in the middle of its effect and at its end; the lease is over before the database is back."""
    for point in MOMENTS.values():
        struck(stage, outage, "switch", point, SHORT)


def test_a_commit_is_made_again_under_the_same_token(stage: Stage, outage: Outage) -> None:
    """While the lease lasts the holder goes on itself: no new token is needed, and none is given out."""
    assert struck(stage, outage, "promote", "after_effect", PATIENT).token == 1


@pytest.mark.long
def test_a_database_that_goes_anywhere_delays_the_run(stage: Stage, outage: Outage) -> None:
    """Every step, each moment of it, with a lease that is over and one that lasts."""
    for step_id in STEPS:
        for point in MOMENTS.values():
            for conduct in (PATIENT, SHORT):
                struck(stage, outage, step_id, point, conduct)


def test_a_takeover_waits_for_the_database(stage: Stage, outage: Outage) -> None:
    """The holder is killed in the middle of an effect, and the database is gone when its lease ends."""
    second = worker(stage.dsn, stage.path, "second")
    try:
        run = stage.taken_in(second)
        process = spawn(stage.dsn, stage.path, Fate("promote", "after_effect"), run.project, run.run_id)
        process.join(60)
        outage.strike()
        over = finished(second, run)
        outage.over()
        is_whole(second.runs.get(over.project, over.run_id), stage, second)
        assert over.token > 1
    finally:
        second.close()


def test_a_start_whose_answer_is_lost_is_asked_for_again_and_starts_one_run(stage: Stage, outage: Outage) -> None:
    """The database goes as the run is taken in; the caller sends the same request until it is answered."""
    made = worker(stage.dsn, stage.path, "only", conduct=PATIENT)
    try:
        made.plans.create(plan(ACTIVATE), NOW, no_request())
        key = RequestKey(asked().project, "StartFailover", str(uuid.uuid4()), b"body")
        striking = threading.Thread(target=outage.strike)
        striking.start()
        runs = [started(made, key) for _ in range(3)]
        striking.join()
        outage.over()
        assert len({run.run_id for run in runs}) == 1
        assert started(made, key).run_id == runs[0].run_id
        assert finished(made, runs[0]).token == 1
    finally:
        outage.over()
        made.close()


def started(made: Worker, key: RequestKey) -> Run:
    """As a client with retries."""
    give_up = time.monotonic() + 60
    while True:
        try:
            return made.runs.start(asked(), key)
        except UnavailableError:
            assert time.monotonic() < give_up
            time.sleep(0.05)
