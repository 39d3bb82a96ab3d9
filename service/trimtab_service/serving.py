"""Runs one serving process from settings to exit: compose, listen, wait for a signal, drain, close.

What is served is the composition root's business: it is passed in as a function, so that a test or a bench serves
its own services through the very same frame.
"""

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType

import structlog
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest

from trimtab_service import compiled
from trimtab_service.config import EXIT_BAD_CONFIG, EXIT_CANNOT_START, EXIT_PORT_TAKEN, ConfigError, Settings
from trimtab_service.domain.errors import TrimtabError
from trimtab_service.identity.assembly import authenticator_of
from trimtab_service.observability.admin import AdminServer
from trimtab_service.observability.logging import configure_logging, logger
from trimtab_service.observability.tracing import open_tracing
from trimtab_service.rpc.health import Health, Probe
from trimtab_service.rpc.server import Parts, RpcServer
from trimtab_service.rpc.service import Service
from trimtab_service.rpc.transport import PortTakenError, reserve
from trimtab_service.settings_values import Address

_REPORT_S = 0.5
_COLLECT_EVERY = 20_000
"""Containers made since the last collection of the youngest generation that set off the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What the composition root hands over. `close` runs in order after the last call has ended."""

    services: Sequence[Service]
    probes: Sequence[Probe] = ()
    close: Sequence[Callable[[], None]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What the composition root gets: the registry of this process, and which worker of how many it is."""

    registry: CollectorRegistry
    log: structlog.typing.FilteringBoundLogger
    worker: int = 0
    workers: int = 1


Compose = Callable[[Settings, Runtime], Application]
"""Builds the application. With several workers it must be importable by name, because each worker calls it anew."""


@dataclass(frozen=True, slots=True)
class Signals:
    """Set by SIGTERM or SIGINT; a second one means hurry."""

    stop: threading.Event
    hurry: threading.Event

    def install(self) -> None:
        """Take over both signals; only in the main thread of a process that is ours."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        (self.hurry if self.stop.is_set() else self.stop).set()


def serve(settings: Settings, compose: Compose) -> int:
    """Serve until SIGTERM or SIGINT and return the exit code; never returns when a handler outstays the grace."""
    configure_logging(settings.log_level)
    log = logger("serving")
    signals = Signals(threading.Event(), threading.Event())
    signals.install()
    try:
        if settings.workers > 1:
            from trimtab_service.supervisor import supervise  # noqa: PLC0415 - one process needs none of it

            return supervise(settings, compose, signals)
        reserve(settings.listen, hold=False)
        finished = _serve_alone(settings, compose, signals)
    except ConfigError as error:
        log.error("configuration refused", violations=list(error.violations))  # noqa: TRY400 - a typing mistake has no traceback
        return EXIT_BAD_CONFIG
    except PortTakenError as error:
        log.error("cannot listen", address=str(error.address), cause=str(error))  # noqa: TRY400 - the cause says it all
        return EXIT_PORT_TAKEN
    except TrimtabError as error:
        log_cannot_start(log, error)
        return EXIT_CANNOT_START
    if not finished:
        leave_now(0)
    return 0


def log_cannot_start(log: structlog.typing.FilteringBoundLogger, error: TrimtabError) -> None:
    """Say which part of the start failed and why; a traceback would say less."""
    log.error("cannot start", reason=error.reason.name, cause=error.message, details=error.metadata)


def leave_now(code: int) -> None:
    """End the process without waiting for threads: a handler that outstayed the grace would hold it for ever."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _serve_alone(settings: Settings, compose: Compose, signals: Signals) -> bool:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)

    def open_admin(state: Callable[[], Health]) -> AdminServer:
        return admin_server(settings.admin_listen, lambda: generate_latest(registry), state)

    runtime = Runtime(registry=registry, log=logger("application"))
    return run(settings, compose, runtime, signals, Place(settings.listen, open_admin=open_admin))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process serves: its address, whether it shares the port, its admin port or whom it reports to."""

    address: Address
    share_port: bool = False
    open_admin: Callable[[Callable[[], Health]], AdminServer] | None = None
    report: Callable[[Health], None] | None = None


def run(settings: Settings, compose: Compose, runtime: Runtime, signals: Signals, place: Place) -> bool:
    """Serve until a signal, drain, and close everything; return whether every call finished.

    Raises:
        PortTakenError: an address cannot be bound.
        ConfigError: the application refuses the settings.
        TrimtabError: the application cannot start.

    """
    log = logger("serving").bind(worker=runtime.worker)
    started = time.monotonic()
    application = compose(settings, runtime)
    tracing = open_tracing(enabled=settings.tracing, ratio=settings.trace_ratio)
    if settings.tracing and tracing is None:
        log.warning("tracing is off", cause="the OpenTelemetry SDK and its OTLP exporter are not installed")
    closing = [*application.close, *([tracing.close] if tracing else [])]
    try:
        parts = Parts(
            authenticator=authenticator_of(settings, time.time, time.monotonic),
            registry=runtime.registry,
            clock=time.time,
            monotonic=time.monotonic,
            open_span=tracing.open if tracing else None,
        )
        server = RpcServer(settings, application.services, application.probes, parts, share_port=place.share_port)
        admin = place.open_admin(server.report) if place.open_admin else None
        try:
            bound = server.start(place.address)
            if admin is not None:
                admin.start()
            settle_memory()
            log.info(
                "listening" if runtime.workers == 1 else "worker listening",
                address=str(bound),
                port=bound.port,
                admin_port=admin.port if admin is not None else None,
                pid=os.getpid(),
                tls=settings.tls,
                anonymous=settings.anonymous,
                hot_path=compiled.form(),
                start_seconds=round(time.monotonic() - started, 3),
            )
            while True:
                if place.report is not None:
                    place.report(server.report())
                if signals.stop.wait(_REPORT_S):
                    break
            log.info("draining")
            finished = server.drain(signals.hurry)
        finally:
            if admin is not None:
                admin.close()
    finally:
        for close in closing:
            _close(close, log)
    log.info("stopped", all_calls_finished=finished)
    return finished


def settle_memory() -> None:
    """Leave what was loaded out of garbage collection from now on, and look for garbage less often.

    Decisions make no cycles, but enough short-lived tuples for a collection every few calls.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY, 20, 20)


def admin_server(address: Address, metrics: Callable[[], bytes], state: Callable[[], Health]) -> AdminServer:
    """Bind the admin port.

    Raises:
        PortTakenError: the address cannot be bound.

    """
    try:
        return AdminServer(address.host, address.port, metrics, state)
    except OSError as error:
        raise PortTakenError(address, error.strerror or type(error).__name__) from error


def _close(close: Callable[[], None], log: structlog.typing.FilteringBoundLogger) -> None:
    """One part that cannot close must not keep the others open."""
    try:
        close()
    except Exception:
        log.exception("a part did not close")
