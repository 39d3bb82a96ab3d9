"""The gRPC server of one process: registration, start, and a drain that loses no call."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

import grpc
from prometheus_client import CollectorRegistry

from trimtab_service.config import Settings
from trimtab_service.identity.authenticator import Authenticator
from trimtab_service.observability.logging import logger
from trimtab_service.observability.metrics import ProbeMetrics, RpcMetrics
from trimtab_service.observability.tracing import OpenSpan
from trimtab_service.rpc import transport
from trimtab_service.rpc.health import Health, HealthMonitor, Probe
from trimtab_service.rpc.limits import Limiter, StreamBudget
from trimtab_service.rpc.pipeline import Pipeline
from trimtab_service.rpc.reflection import register_reflection
from trimtab_service.rpc.service import Service
from trimtab_service.settings_values import Address, MethodLimit

_HEALTH_INTERVAL = timedelta(seconds=1)
_STOP_SLACK_S = 2.0
_QUIET_LOOK_S = 0.02
_QUIET_LOOKS = 5
_REFLECTION_THREADS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the server is given: everything that a test may want to replace."""

    authenticator: Authenticator
    registry: CollectorRegistry
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    open_span: OpenSpan | None = None


class RpcServer:
    """Services behind one pipeline on one port."""

    def __init__(
        self,
        settings: Settings,
        services: Sequence[Service],
        probes: Sequence[Probe],
        parts: Parts,
        *,
        share_port: bool = False,
    ) -> None:
        """Compose all handlers; nothing is bound yet.

        Raises:
            ValueError: a method has no access rule or no implementation.

        """
        self._settings = settings
        self._log = logger("server")
        self._streams = StreamBudget(settings.stream_budget)
        self._stream_pool = ThreadPoolExecutor(settings.stream_budget + 2, thread_name_prefix="stream")
        self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="rpc")
        self._limiters: list[Limiter] = []
        self._monotonic = parts.monotonic
        probe_metrics = ProbeMetrics(parts.registry, [probe.name for probe in probes])
        names = [service.descriptor.full_name for service in services]
        self.health = HealthMonitor(
            names, probes, _HEALTH_INTERVAL, lambda name, well: probe_metrics.set(name, well=well), self._sample
        )
        self._metrics = RpcMetrics(parts.registry)
        pipeline = Pipeline(
            authenticator=parts.authenticator,
            limiter=self._limiter_of(settings, parts.monotonic),
            streams=self._streams,
            stream_pool=self._stream_pool,
            metrics=self._metrics,
            log=logger("rpc"),
            default_deadline=settings.default_deadline,
            upload_deadline=settings.upload_deadline,
            slow_call=settings.slow_call,
            max_message_bytes=settings.max_message_bytes,
            open_span=parts.open_span,
            clock=parts.clock,
        )
        self._server = grpc.server(
            self._pool,
            options=transport.channel_options(settings, share_port=share_port),
            maximum_concurrent_rpcs=settings.max_concurrent_calls,
        )
        for service in services:
            handlers = pipeline.handlers(service)
            name = service.descriptor.full_name
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
            self._server.add_registered_method_handlers(name, handlers)
        self.health.register(self._server)
        self._reflection_pool = ThreadPoolExecutor(_REFLECTION_THREADS, thread_name_prefix="reflection")
        if settings.reflection:
            register_reflection(self._server, [*names, "grpc.health.v1.Health"], self._reflection_pool)

    def start(self, address: Address) -> Address:
        """Bind, serve, and return the address with its real port.

        Raises:
            PortTakenError: the address cannot be bound.

        """
        bound = transport.bind(self._server, self._settings, address)
        self._server.start()
        self.health.start()
        return bound

    def report(self) -> Health:
        """What the probes found last."""
        return self.health.last

    def drain(self, hurry: threading.Event) -> bool:
        """Stop without losing a call; return whether all calls in flight finished within the grace.

        Health says NOT_SERVING first and new calls are still answered for an interval, so that load balancers, and
        clients that watch health, move on before the port closes. A caller who does not may see CANCELLED: what
        arrives in the moment of closing is turned away by grpc's core, before anything here has seen it.
        `hurry` (a second signal) ends the waiting.
        """
        self.health.drain()
        hurry.wait(self._settings.drain_interval.total_seconds())
        self._streams.drain()
        grace = 0.0 if hurry.is_set() else self._settings.drain_grace.total_seconds()
        self._wait_until_quiet(self._server.stop(grace), hurry, grace)
        # What is left overstayed, or is a stream of health or reflection that only its client would end.
        self._server.stop(0).wait(_STOP_SLACK_S)
        self.health.close()
        self._reflection_pool.shutdown(wait=False)
        self._stream_pool.shutdown(wait=False)
        self._pool.shutdown(wait=False)
        return not self._busy()

    def _sample(self) -> None:
        for limiter in self._limiters:
            self._metrics.in_flight(limiter.method, limiter.in_flight)

    def _wait_until_quiet(self, stopped: threading.Event, hurry: threading.Event, grace: float) -> None:
        """Wait until no call of ours is in flight, several looks in a row: a queued call begins between two looks."""
        quiet = 0
        ends = self._monotonic() + grace
        while quiet < _QUIET_LOOKS and self._monotonic() < ends and not hurry.is_set():
            if stopped.wait(_QUIET_LOOK_S):
                return
            quiet = 0 if any(limiter.in_flight for limiter in self._limiters) else quiet + 1

    def _limiter_of(self, settings: Settings, monotonic: Callable[[], float]) -> Callable[[str], Limiter]:
        own = {limit.method: limit for limit in settings.limits}

        def of(method: str) -> Limiter:
            limit = own.get(method) or MethodLimit(method, settings.rate, settings.burst, settings.concurrency)
            limiter = Limiter(method, limit.rate, limit.burst, limit.concurrency, monotonic)
            self._limiters.append(limiter)
            return limiter

        return of

    def _busy(self) -> bool:
        """Whether a handler still runs although its call was given up: sync handlers cannot be cancelled."""
        idle = threading.Event()

        def wait_for_idle() -> None:
            self._pool.shutdown(wait=True)
            self._stream_pool.shutdown(wait=True)
            idle.set()

        threading.Thread(target=wait_for_idle, daemon=True).start()
        return not idle.wait(_STOP_SLACK_S)
