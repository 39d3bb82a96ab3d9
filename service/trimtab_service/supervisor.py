"""Several serving processes on one port, and one admin port for all of them.

Workers are spawned, never forked: grpc does not survive a fork. Each binds the same port with SO_REUSEPORT and
the kernel spreads connections over them. The supervisor itself opens no grpc object; it holds the port
with a socket that never listens, restarts workers that die, passes on the signal to stop, and adds up the metrics.
"""

import contextlib
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from trimtab_service.config import EXIT_BAD_CONFIG, EXIT_CANNOT_START, EXIT_PORT_TAKEN, ConfigError, Settings
from trimtab_service.domain.errors import TrimtabError
from trimtab_service.observability.logging import configure_logging, logger
from trimtab_service.rpc.health import Health
from trimtab_service.rpc.transport import PortTakenError, reserve
from trimtab_service.serving import Compose, Place, Runtime, Signals, admin_server, leave_now, log_cannot_start, run
from trimtab_service.settings_values import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import structlog

METRICS_DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_HOPELESS = frozenset({EXIT_BAD_CONFIG, EXIT_PORT_TAKEN})
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_STEADY_S = 60.0
_TICK_S = 0.25
_KILL_SLACK_S = 10.0


@dataclass(slots=True)
class Slot:
    """One worker's place: the process in it, what it said last, and when a dead one may be started again."""

    number: int
    process: SpawnProcess | None = None
    reports: Connection | None = None
    health: Health = field(default_factory=lambda: Health(ready=False, problems={"start": "not started"}))
    listening: bool = False
    started: float = 0.0
    pause_s: float = _FIRST_PAUSE_S
    due: float = 0.0


def supervise(settings: Settings, compose: Compose, signals: Signals) -> int:
    """Serve with `settings.workers` processes until a signal, and return the exit code.

    Raises:
        PortTakenError: an address cannot be bound.

    """
    address, held = reserve(settings.listen, hold=True)
    directory = tempfile.mkdtemp(prefix="trimtab-metrics-")
    # Spawned interpreters inherit the environment, and prometheus-client reads this at import.
    os.environ[METRICS_DIRECTORY_VARIABLE] = directory
    try:
        return _Crew(settings, compose, signals, address, directory).serve()
    finally:
        if held is not None:
            held.close()
        os.environ.pop(METRICS_DIRECTORY_VARIABLE, None)
        shutil.rmtree(directory, ignore_errors=True)


class _Crew:
    """The workers of one supervisor."""

    def __init__(
        self, settings: Settings, compose: Compose, signals: Signals, address: Address, directory: str
    ) -> None:
        self._settings = settings
        self._compose = compose
        self._signals = signals
        self._address = address
        self._directory = directory
        self._spawn: SpawnContext = multiprocessing.get_context("spawn")
        self._slots: Sequence[Slot] = [Slot(number) for number in range(settings.workers)]
        self._log: structlog.typing.FilteringBoundLogger = logger("supervisor")
        self._own = CollectorRegistry()
        self._alive = Gauge("trimtab_workers", "Worker processes that are ready.", registry=self._own)
        self._restarts = Counter("trimtab_worker_restarts", "Workers started anew after a death.", registry=self._own)

    def serve(self) -> int:
        admin = admin_server(self._settings.admin_listen, self._metrics, self._state)
        admin.start()
        try:
            announced = False
            while not self._signals.stop.is_set():
                code = self._tend()
                if not announced and all(slot.listening for slot in self._slots):
                    announced = True
                    self._announce(admin.port)
                if code is not None:
                    self._signals.stop.set()
                    self._stop()
                    return code
            self._log.info("draining")
            return self._stop()
        finally:
            admin.close()

    def _announce(self, admin_port: int) -> None:
        """Say once that all workers listen, with the ports that were chosen."""
        self._log.info(
            "listening",
            address=str(self._address),
            port=self._address.port,
            admin_port=admin_port,
            pid=os.getpid(),
            workers=len(self._slots),
        )

    def _tend(self) -> int | None:
        """Start what is due, listen to reports, bury the dead; an exit code when going on is hopeless."""
        for slot in self._slots:
            if slot.process is None and time.monotonic() >= slot.due:
                self._start(slot)
        open_ends = [end for slot in self._slots for end in (slot.reports,) if end is not None]
        for end in wait(open_ends, timeout=_TICK_S):
            slot = next(slot for slot in self._slots if slot.reports is end)
            try:
                slot.health = slot.reports.recv() if slot.reports is not None else slot.health
                slot.listening = True
            except (EOFError, OSError):
                code = self._bury(slot)
                if code in _HOPELESS:
                    return code
        self._alive.set(sum(slot.health.ready for slot in self._slots))
        return None

    def _start(self, slot: Slot) -> None:
        ours, theirs = self._spawn.Pipe()
        arguments = (self._settings, self._compose, self._address, slot.number, theirs)
        slot.process = self._spawn.Process(target=work, args=arguments, name=f"trimtab-worker-{slot.number}")
        slot.process.start()
        theirs.close()
        slot.reports = ours
        slot.started = time.monotonic()

    def _bury(self, slot: Slot) -> int:
        """Note a death and when to try again: at once the first time, then ever later while it keeps dying."""
        process, slot.process = slot.process, None
        if slot.reports is not None:
            slot.reports.close()
            slot.reports = None
        slot.listening = False
        slot.health = Health(ready=False, problems={"process": "dead"})
        if process is None:
            return 0
        process.join(timeout=5)
        lived = time.monotonic() - slot.started
        slot.pause_s = _FIRST_PAUSE_S if lived >= _STEADY_S else min(_LONGEST_PAUSE_S, slot.pause_s * 2)
        slot.due = time.monotonic() + slot.pause_s
        code = process.exitcode if process.exitcode is not None else -1
        if process.pid is not None:
            mark_process_dead(process.pid, self._directory)  # type: ignore[no-untyped-call] # untyped upstream
        if code not in _HOPELESS and not self._signals.stop.is_set():
            self._restarts.inc()
            self._log.error("worker died", worker=slot.number, exit_code=code, restart_in_seconds=slot.pause_s)
        return code

    def _stop(self) -> int:
        """Pass the signal on and wait; a worker that overstays its own grace is killed."""
        for slot in self._slots:
            if slot.process is not None and slot.process.is_alive():
                slot.process.terminate()
        allowed = self._settings.drain_interval + self._settings.drain_grace
        ends = time.monotonic() + allowed.total_seconds() + _KILL_SLACK_S
        code = 0
        for slot in self._slots:
            if slot.process is None:
                continue
            slot.process.join(timeout=max(0.1, ends - time.monotonic()))
            if slot.process.is_alive():
                self._log.error("worker killed", worker=slot.number)
                slot.process.kill()
                slot.process.join(timeout=5)
                code = 1
        self._log.info("stopped")
        return code

    def _metrics(self) -> bytes:
        added_up = CollectorRegistry()
        MultiProcessCollector(added_up, path=self._directory)  # type: ignore[no-untyped-call] # untyped upstream
        return generate_latest(added_up) + generate_latest(self._own)

    def _state(self) -> Health:
        """Ready while one worker is: the kernel sends connections only to those that listen."""
        if self._signals.stop.is_set():
            return Health(ready=False, problems={"drain": "the server is draining"})
        problems = {
            f"worker {slot.number}: {name}": wrong
            for slot in self._slots
            for name, wrong in slot.health.problems.items()
        }
        return Health(ready=any(slot.health.ready for slot in self._slots), problems=problems)


def work(settings: Settings, compose: Compose, address: Address, number: int, reports: Connection) -> None:
    """Be one worker, in a process of its own: serve, report health, and stop when the supervisor is gone."""
    configure_logging(settings.log_level)
    log = logger("worker").bind(worker=number)
    signals = Signals(threading.Event(), threading.Event())
    signals.install()
    threading.Thread(target=_follow, args=(reports, signals), name="supervisor-watch", daemon=True).start()
    runtime = Runtime(registry=CollectorRegistry(), log=logger("application"), worker=number, workers=settings.workers)
    try:
        finished = run(settings, compose, runtime, signals, Place(address, share_port=True, report=_reporter(reports)))
    except ConfigError as error:
        log.error("configuration refused", violations=list(error.violations))  # noqa: TRY400 - no traceback for a typing mistake
        sys.exit(EXIT_BAD_CONFIG)
    except PortTakenError as error:
        log.error("cannot listen", address=str(error.address), cause=str(error))  # noqa: TRY400 - the cause says it all
        sys.exit(EXIT_PORT_TAKEN)
    except TrimtabError as error:
        log_cannot_start(log, error)
        sys.exit(EXIT_CANNOT_START)
    if not finished:
        leave_now(0)


def _reporter(reports: Connection) -> "Callable[[Health], None]":
    def report(health: Health) -> None:
        # Without a supervisor there is nobody to tell; `_follow` has seen it too and drains.
        with contextlib.suppress(OSError):
            reports.send(health)

    return report


def _follow(reports: Connection, signals: Signals) -> None:
    """Drain when the supervisor's end of the pipe closes: an orphan must not keep the port."""
    try:
        reports.recv()
    except (EOFError, OSError):
        signals.stop.set()
