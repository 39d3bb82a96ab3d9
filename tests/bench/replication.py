"""Copies between two buckets, by the engine and by a plain loop of boto3, against one S3 (moto, a process of its own).

    python -m tests.bench.replication [--quick]

`loop` is what a script does: list, get, put, one object after another, whole objects in memory, nothing verified. The
engine lists both sides, pins versions, counts and compares checksums, writes conditionally and journals to SQLite.
moto answers a few hundred requests a second, so wall time is mostly its; `cpu_ms` is what the copying process itself
spends an object. `unchanged_per_s` is a pass in which nothing is to be done, over buckets in memory.

The last line is one JSON object.
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

import psutil

from tests.support.object_stores import CRC32C, fresh_name, s3_bucket, s3_client
from trimtab_service.clouds.simulated.objects import SimulatedBucket
from trimtab_service.replication.bandwidth import Bandwidth
from trimtab_service.replication.copying import Around
from trimtab_service.replication.definition import MIB, Replication
from trimtab_service.replication.passing import Pass
from trimtab_service.replication.ports import ObjectStore
from trimtab_service.store.engines import open_database
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.replications import ReplicationStore
from trimtab_service.store.schema import migrate
from trimtab_service.store.writer import GroupCommitWriter

_SMALL: Final = 4_096
_PART: Final = 8 * MIB


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class Engine:
    """Runs passes between stores, journaled in a database of its own."""

    def __init__(self, directory: Path) -> None:
        database = open_database(f"sqlite:///{directory / 'bench.sqlite'}")
        migrate(database)
        self._journal = ReplicationStore(database, GroupCommitWriter(database), clock=now)
        self._count = 0

    def copy(self, source: ObjectStore, destination: ObjectStore, concurrency: int) -> Callable[[], None]:
        """A pass; call it as often as wanted."""
        self._count += 1
        definition = Replication(
            name=f"bench-{self._count}",
            projects=frozenset({"*"}),
            source=source.uri,
            destination=destination.uri,
            part_size=_PART,
            concurrency=concurrency,
        )
        self._journal.start(definition.name, definition.identity, RequestKey("p", "start", "", b""))

        def run() -> None:
            held = self._journal.claim({definition.name: definition.identity}, "bench", timedelta(minutes=10))
            assert held is not None
            around = Around(
                source=source,
                destination=destination,
                journal=self._journal,
                held=held,
                bandwidth=Bandwidth(None, time.monotonic, time.sleep),
                part_size=_PART,
                crc32c=CRC32C,
                check=lambda: None,
                clock=now,
                call_time=timedelta(seconds=60),
            )
            over = Pass(definition, around, held.progress).run()
            if over.fault:
                raise RuntimeError(over.fault)
            self._journal.finish(held, over, timedelta())

        return run


class Watched:
    """Wall and CPU seconds of this process within the block, and how far its memory rose (MiB)."""

    wall = cpu = rise = 0.0

    def __enter__(self) -> Self:
        self._process = psutil.Process()
        self._before = self._peak = self._process.memory_info().rss
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        self._started, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self._started, time.process_time() - self._cpu
        self._done.set()
        self._sampler.join()
        self.rise = (self._peak - self._before) / MIB

    def _sample(self) -> None:
        while not self._done.wait(0.01):
            self._peak = max(self._peak, self._process.memory_info().rss)


def main() -> int:
    """Measure, print, and end with the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="200 small objects and 64 MiB instead of 2,000 and 512")
    quick = parser.parse_args().quick
    small, big, unchanged = (200, 64, 20_000) if quick else (2_000, 512, 200_000)
    with tempfile.TemporaryDirectory() as directory, _moto() as url:
        engine = Engine(Path(directory))
        figures = {
            **_of_small(engine, url, small),
            **_of_big(engine, url, big),
            "unchanged_per_s": _unchanged(engine, unchanged),
        }
    for name, value in figures.items():
        sys.stdout.write(f"{name:32} {value:12,.1f}\n")
    told = {name: round(value, 2) for name, value in figures.items()}
    sys.stdout.write(json.dumps({"bench": "replication", "small": small, "big_mib": big, **told}) + "\n")
    return 0


def _of_small(engine: Engine, url: str, count: int) -> dict[str, float]:
    client: Any = s3_client(url)
    source = _filled(client, {f"{number:06}": bytes([number % 251]) * _SMALL for number in range(count)})
    found = {}
    with Watched() as loop:
        _loop(client, source, _empty(client))
    found["loop_objects_per_s"] = count / loop.wall
    found["loop_cpu_ms"] = 1e3 * loop.cpu / count
    for concurrency in (1, 8):
        run = engine.copy(s3_bucket(url, source), s3_bucket(url, _empty(client)), concurrency)
        with Watched() as ours:
            run()
        found[f"engine_{concurrency}_objects_per_s"] = count / ours.wall
        found[f"engine_{concurrency}_cpu_ms"] = 1e3 * ours.cpu / count
    return found


def _of_big(engine: Engine, url: str, mib: int) -> dict[str, float]:
    client: Any = s3_client(url)
    source = _filled(client, {"big": b"\7" * (mib * MIB)})
    run = engine.copy(s3_bucket(url, source), s3_bucket(url, _empty(client)), 1)
    with Watched() as ours:
        run()
    with Watched() as loop:
        _loop(client, source, _empty(client))
    return {
        "loop_mib_per_s": mib / loop.wall,
        "engine_mib_per_s": mib / ours.wall,
        "loop_memory_rise_mib": loop.rise,
        "engine_memory_rise_mib": ours.rise,
    }


def _unchanged(engine: Engine, count: int) -> float:
    source, destination = (SimulatedBucket(name, now) for name in ("here", "there"))
    for number in range(count):
        for bucket in (source, destination):
            bucket.write(f"{number:08}", b"x")
    run = engine.copy(source, destination, 8)
    with Watched() as ours:
        run()
    return count / ours.wall


def _loop(client: Any, source: str, destination: str) -> None:  # noqa: ANN401 - made from data at run time
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=source):
        for one in page["Contents"]:
            body = client.get_object(Bucket=source, Key=one["Key"])["Body"].read()
            client.put_object(Bucket=destination, Key=one["Key"], Body=body)


def _empty(client: Any) -> str:  # noqa: ANN401 - as above
    name = fresh_name()
    client.create_bucket(Bucket=name)
    return name


def _filled(client: Any, objects: dict[str, bytes]) -> str:  # noqa: ANN401 - as above
    name = _empty(client)
    for key, data in objects.items():
        client.put_object(Bucket=name, Key=key, Body=data)
    return name


@contextmanager
def _moto() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        give_up = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    raise SystemExit(main())
