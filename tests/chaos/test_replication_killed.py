"""Processes that copy are killed and stopped in the middle: what is done is not done again, nothing older wins."""

import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.object_stores import content, fresh_name, gcs_bucket, s3_client, s3_server
from tests.support.replication_worker import CONCURRENCY, NAME, PART, Job, key, now, spawn
from tests.support.strict_gcs import StrictGcs
from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.replication.canary import read_canary
from trimtab_service.replication.journal import LeaseLostError
from trimtab_service.replication.progress import UNBEGUN
from trimtab_service.store.engines import Database
from trimtab_service.store.replications import ReplicationStore
from trimtab_service.store.writer import GroupCommitWriter

SMALL = 40
BIG = 2
BIG_SIZE = 3 * PART + 1_000
KILLS = (4, 7, 20)
"""Requests to the destination after which the process is killed."""


class Scene:
    """A bucket of S3 with objects, an empty one of Cloud Storage, and the journal."""

    def __init__(self, dsn: str, database: Database, s3_url: str, gcs: StrictGcs) -> None:
        self.gcs = gcs
        self.database = database
        self.processes: list[subprocess.Popen[bytes]] = []
        self.job = Job(dsn, s3_url, gcs.url, fresh_name())
        self.store = ReplicationStore(database, GroupCommitWriter(database), clock=now)
        self.s3: Any = s3_client(s3_url)
        self.s3.create_bucket(Bucket=self.job.bucket)
        gcs.create_bucket(self.job.bucket)
        self.target = gcs_bucket(gcs.url, self.job.bucket)
        rng = random.Random(5)
        self.objects = {f"small/{number:03}": rng.randbytes(100 + number) for number in range(SMALL)}
        self.objects |= {f"big/{number}": rng.randbytes(BIG_SIZE) for number in range(BIG)}
        for name, data in self.objects.items():
            self.s3.put_object(Bucket=self.job.bucket, Key=name, Body=data, Metadata={"n": name})
        self.store.start(NAME, self.job.definition.identity, key("start"))

    def spawn(self) -> subprocess.Popen[bytes]:
        """A process that copies; it ends with the test at the latest."""
        self.processes.append(spawn(self.job))
        return self.processes[-1]

    def read(self, name: str) -> bytes:
        """An object as it is at the destination."""
        head = self.target.head(name, _soon())
        return b"".join(self.target.read(name, head.version, 0, None, _soon()).pieces)

    def after(self, requests: int, process: subprocess.Popen[bytes]) -> None:
        """Wait until the process has sent the destination so many requests."""
        begun, give_up = len(self.gcs.sent), time.monotonic() + 60
        while len(self.gcs.sent) - begun < requests and process.poll() is None:
            assert time.monotonic() < give_up
            time.sleep(0.001)


def _soon() -> datetime:
    return now() + timedelta(seconds=120)


@pytest.fixture
def scene(dsn: str, database: Database) -> Iterator[Scene]:
    """On each engine in turn."""
    with s3_server() as s3_url, StrictGcs() as gcs:
        found = Scene(dsn, database, s3_url, gcs)
        yield found
        for process in found.processes:
            process.kill()
            process.wait()


def test_a_killed_copy_goes_on_and_sends_nothing_twice_but_what_was_on_its_way(scene: Scene) -> None:
    """SIGKILL three times, in parts and between objects; in the end every object is whole, and the journal clear."""
    for requests in KILLS:
        process = scene.spawn()
        scene.after(requests, process)
        assert process.poll() is None
        process.kill()
        process.wait()
    last = scene.spawn()
    assert last.wait(60) == 0
    for name, data in scene.objects.items():
        assert scene.read(name) == data
        head = scene.target.head(name, _soon())
        assert head.attributes is not None
        assert head.attributes.metadata["n"] == name
    total = sum(map(len, scene.objects.values()))
    standing = scene.store.standing(NAME)
    # Each process has a token, and one more whenever the machine stood still for longer than its lease.
    assert standing.token > len(KILLS)
    # Of each that ended, at most one part of each object in hand is sent again; the rest are headers and listings.
    assert scene.gcs.received < total + (standing.token - 1) * CONCURRENCY * PART + (1 << 20)
    assert standing.progress.fault == ""
    found = read_canary(scene.target, scene.job.definition.canary, _soon())
    assert found is not None
    assert found.time == standing.progress.watermark
    assert not scene.store.uploads(NAME)


def test_a_process_that_slept_past_its_lease_overwrites_nothing(scene: Scene) -> None:
    """Stopped in the middle, overtaken, the direction turned, new objects written there; then it wakes."""
    zombie = scene.spawn()
    scene.after(8, zombie)
    _stop(zombie, scene.database)
    try:
        other = scene.spawn()
        assert other.wait(60) == 0
        stale = scene.store.standing(NAME)
        scene.store.pause(NAME, key("pause"))
        _turned(scene)
        for name in scene.objects:
            there = scene.target.head(name, _soon())
            scene.target.put(name, content(b"written after the failover"), there.version, _soon())
    finally:
        os.kill(zombie.pid, signal.SIGCONT)
    assert zombie.wait(60) == 0
    assert {scene.read(name) for name in scene.objects} == {b"written after the failover"}
    turned = scene.store.standing(NAME)
    assert (turned.is_reversed, turned.progress) == (True, UNBEGUN)
    assert turned.token > stale.token


def _stop(process: subprocess.Popen[bytes], database: Database) -> None:
    """Between two of its transactions: within one, on SQLite, the kernel keeps the file's lock for it."""
    while True:
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(0.02)
        if database.dialect == "postgresql" or _is_writable(database):
            return
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.02)


def _is_writable(database: Database) -> bool:
    with database.read() as conn:
        path = conn.exec_driver_sql("PRAGMA database_list").first()
    assert path is not None
    own = sqlite3.connect(path[2], timeout=0.2, isolation_level=None)
    try:
        own.execute("BEGIN IMMEDIATE")
        own.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    else:
        return True
    finally:
        own.close()


def _turned(scene: Scene) -> None:
    """As an operator does it, who waits for the lease."""
    give_up = time.monotonic() + 60
    while True:
        try:
            scene.store.reverse(NAME, scene.job.definition.identity, key("reverse"), lambda _: None, None)
        except FailedPreconditionError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)
        else:
            return


def test_two_processes_never_work_on_one_replication(scene: Scene) -> None:
    """The second gets nothing; when the first one's lease is taken over, its token is worth nothing any more."""
    mine = {NAME: scene.job.definition.identity}
    first = scene.store.claim(mine, "one", timedelta(seconds=120))
    assert first is not None
    assert scene.store.claim(mine, "two", timedelta(seconds=30)) is None
    assert scene.store.claim({NAME: "configured otherwise"}, "two", timedelta(seconds=30)) is None
    assert scene.store.renew([first], timedelta(seconds=0.1)) == {NAME}
    time.sleep(0.2)
    second = scene.store.claim(mine, "two", timedelta(seconds=30))
    assert second is not None
    assert second.token > first.token
    with pytest.raises(LeaseLostError):
        scene.store.save(first, UNBEGUN)
    with pytest.raises(LeaseLostError):
        scene.store.drop_uploads(first, ["a"])
    assert scene.store.renew([first, second], timedelta(seconds=30)) == {NAME}
    assert scene.store.renew([first], timedelta(seconds=30)) == frozenset()
