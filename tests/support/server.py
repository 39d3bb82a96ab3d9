# ruff: noqa: ANN401 - keywords of several types are passed through
"""Real servers of the frame: in the test's process, or in their own (`python -m tests.support.server`)."""

import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
from prometheus_client import CollectorRegistry

from tests.support import echo
from trimtab_service.config import EXIT_BAD_CONFIG, ConfigError, Settings
from trimtab_service.identity.assembly import authenticator_of
from trimtab_service.rpc.health import Probe
from trimtab_service.rpc.server import Parts, RpcServer
from trimtab_service.rpc.service import Service
from trimtab_service.serving import Application, Runtime, serve
from trimtab_service.settings_sources import load_settings
from trimtab_service.settings_values import Address

ROOT = Path(__file__).resolve().parents[2]
ANY_PORT = Address("127.0.0.1", 0)
PATIENT = "1m"
"""Default deadline of servers whose callers give none: the machine that tests run on may stand still for a while."""


@contextlib.contextmanager
def running(
    *,
    services: Sequence[Service] | None = None,
    probes: Sequence[Probe] = (),
    registry: CollectorRegistry | None = None,
    clock: Callable[[], float] = time.time,
    parts: Callable[[Parts], Parts] = lambda given: given,
    **settings: Any,
) -> Iterator[tuple[RpcServer, str]]:
    """A server in this process on a free port; yields it and its address."""
    chosen = Settings(listen=ANY_PORT, **{"default_deadline": timedelta(minutes=1), **settings})
    given = Parts(
        authenticator=authenticator_of(chosen, clock, time.monotonic),
        registry=registry or CollectorRegistry(),
        clock=time.time,
        monotonic=time.monotonic,
    )
    server = RpcServer(chosen, services or [echo.service()], probes, parts(given))
    address = server.start(ANY_PORT)
    try:
        yield server, str(address)
    finally:
        hurry = threading.Event()
        hurry.set()
        server.drain(hurry)


class ServerProcess:
    """A server process whose JSON log lines are read as they come."""

    def __init__(self, environment: Mapping[str, str], module: str = "tests.support.server") -> None:
        """Start `python -m module` with only these TRIMTAB_ variables."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("TRIMTAB_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env={**inherited, "PYTHONPATH": f"{ROOT / 'service'}:{ROOT / 'clients/python'}:{ROOT}", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.lines: list[bytes] = []
        self._new: queue.Queue[bytes] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def event(self, name: str, seconds: float = 60.0) -> dict[str, Any]:
        """Wait for the next log line with this event."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            try:
                line = self._new.get(timeout=0.1)
            except queue.Empty:
                if self.process.poll() is not None and self._new.empty():
                    break
                continue
            entry: dict[str, Any] = orjson.loads(line)
            if entry.get("event") == name:
                return entry
        raise AssertionError(f"no event {name!r}; log: {self.lines!r}; exit code {self.process.poll()}")

    def finish(self, seconds: float = 60.0) -> int:
        """Wait for the process to end and return its exit code."""
        code = self.process.wait(timeout=seconds)
        self._reader.join(timeout=60)
        return code

    def stop(self) -> int:
        """Send SIGTERM and wait."""
        self.process.terminate()
        return self.finish()

    def close(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=60)

    def _read(self) -> None:
        if self.process.stdout is not None:
            for line in self.process.stdout:
                self.lines.append(line)
                self._new.put(line)


@contextlib.contextmanager
def process(**environment: str) -> Iterator[ServerProcess]:
    """A server process on free ports with a short drain; keyword `workers="2"` means TRIMTAB_WORKERS=2."""
    chosen = {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "drain_interval": "0"}
    chosen |= {"default_deadline": PATIENT, **environment}
    server = ServerProcess({f"TRIMTAB_{key.upper()}": value for key, value in chosen.items()})
    try:
        yield server
    finally:
        server.close()


def compose(settings: Settings, runtime: Runtime) -> Application:
    """The application of the test process: Echo, and a line when it is closed."""
    return Application(services=[echo.service()], close=[lambda: runtime.log.info("closed", worker=runtime.worker)])


def main() -> int:
    """Serve Echo as the environment says."""
    try:
        settings = load_settings(os.environ)
    except ConfigError as error:
        sys.stderr.write("\n".join(error.violations) + "\n")
        return EXIT_BAD_CONFIG
    return serve(settings, compose)


if __name__ == "__main__":
    sys.exit(main())
