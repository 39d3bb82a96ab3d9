"""The real service with Echo beside it, in a process of its own that tells how long it worked on each call.

What is timed is the whole handler: from the bytes of the request to the bytes of the answer, with authentication,
limits, parsing, advice and encoding. grpc's own part is seen by the client only.
"""

import multiprocessing
import os
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry

from tests.support import echo
from trimtab_service.bootstrap import compose
from trimtab_service.config import Settings
from trimtab_service.identity.assembly import authenticator_of
from trimtab_service.observability.logging import logger
from trimtab_service.rpc.server import Parts, RpcServer
from trimtab_service.serving import Runtime, settle_memory
from trimtab_service.settings_values import Address

ANY_PORT = Address("127.0.0.1", 0)


class Timing:
    """Times one call, where a span would be."""

    def __init__(self, seconds: list[float]) -> None:
        self._seconds = seconds
        self._started = time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._seconds.append(time.perf_counter() - self._started)

    def outcome(self, code: str) -> None:
        """Calls that fail are told by the client."""


class Stopwatch:
    """Keeps seconds by method."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = defaultdict(list)

    def open(self, method: str, metadata: object) -> Timing:
        """Time one call."""
        del metadata
        return Timing(self._seconds[method])

    def take(self) -> dict[str, list[float]]:
        """What was timed since the last time it was asked."""
        taken, self._seconds = dict(self._seconds), defaultdict(list)
        return taken


class SizingServer:
    """The server as its parent sees it."""

    def __init__(self, catalog: Path, directory: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, catalog, directory), daemon=False)
        self._process.start()
        theirs.close()
        self.port: int = self._pipe.recv()
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1 and self._process.pid is not None:
            for task in Path(f"/proc/{self._process.pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), {cores[0]})
            os.sched_setaffinity(0, set(cores[1:]))

    def take(self) -> dict[str, list[float]]:
        """Seconds in the handler by method, of the calls since the last time."""
        self._pipe.send("take")
        seconds: dict[str, list[float]] = self._pipe.recv()
        return seconds

    def close(self) -> None:
        """Stop it."""
        self._pipe.send("stop")
        self._process.join(30)


@contextmanager
def sizing_server(catalog: Path) -> Iterator[SizingServer]:
    """A server on a core of its own, where there are two."""
    with tempfile.TemporaryDirectory() as directory:
        server = SizingServer(catalog, Path(directory))
        try:
            yield server
        finally:
            server.close()


def _serve(pipe: Connection, catalog: Path, directory: Path) -> None:
    settings = Settings(
        listen=ANY_PORT, admin_listen=ANY_PORT, data_dir=directory, catalog_dir=catalog, rate=1e6, burst=1_000_000
    )
    registry, watch = CollectorRegistry(), Stopwatch()
    application = compose(settings, Runtime(registry=registry, log=logger("bench")))
    parts = Parts(
        authenticator=authenticator_of(settings, time.time, time.monotonic),
        registry=registry,
        clock=time.time,
        monotonic=time.monotonic,
        open_span=watch.open,
    )
    server = RpcServer(settings, [*application.services, echo.service()], application.probes, parts)
    port = server.start(ANY_PORT).port
    settle_memory()  # as `trimtab serve` does
    pipe.send(port)
    while pipe.recv() == "take":
        pipe.send(watch.take())
    hurry = threading.Event()
    hurry.set()
    server.drain(hurry)
    for close in application.close:
        close()
