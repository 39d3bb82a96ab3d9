"""The health service: one status a service and one overall, set by probes.

Health answers from a pool of its own and passes no limiter, so that a busy server is never taken for a dead one.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

OVERALL = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """One part that the server depends on.

    `check` returns None when the part is well, else what is wrong in a few words; it must not block for long. While
    it is unwell the services named in `services` are NOT_SERVING; with `required`, so is the server as a whole.
    A probe with neither only shows on `/readyz` and in the metrics: decisions go on.
    """

    name: str
    check: Callable[[], str | None]
    services: tuple[str, ...] = ()
    required: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """What the last look found. `problems` maps a probe to what is wrong."""

    ready: bool
    problems: dict[str, str]


class HealthMonitor:
    """Looks at the probes at an interval and keeps the health service and `/readyz` current."""

    def __init__(
        self,
        services: Sequence[str],
        probes: Iterable[Probe],
        interval: timedelta,
        record: Callable[[str, bool], None],
        sample: Callable[[], None],
    ) -> None:
        """Start with everything NOT_SERVING.

        Args:
            services: full names, each with a status of its own.
            probes: parts to look at.
            interval: time between two looks.
            record: told (probe name, whether it is well) at every look.
            sample: called at every look, for gauges that are sampled.

        """
        self._services = tuple(services)
        self._probes = tuple(probes)
        self._interval_s = interval.total_seconds()
        self._record = record
        self._sample = sample
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="health")
        self._servicer = health.HealthServicer(experimental_non_blocking=True, experimental_thread_pool=self._pool)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="health-monitor", daemon=True)
        self._health = Health(ready=False, problems={"start": "not started"})
        for name in (OVERALL, *self._services):
            self._servicer.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)

    @property
    def last(self) -> Health:
        """What the last look found."""
        return self._health

    def register(self, server: grpc.Server) -> None:
        """Add the health service to a server that has not started."""
        check = self._servicer.Check

        def answer(
            request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
        ) -> health_pb2.HealthCheckResponse:
            reply: health_pb2.HealthCheckResponse = check(request, context)
            return reply

        vars(answer)["experimental_thread_pool"] = self._pool
        vars(self._servicer)["Check"] = answer
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    def start(self) -> None:
        """Look once, then keep looking in the background."""
        self.look()
        self._thread.start()

    def look(self) -> Health:
        """Look at all probes now."""
        if self._stop.is_set():
            return self._health
        self._sample()
        problems: dict[str, str] = {}
        down: set[str] = set()
        for probe in self._probes:
            wrong = _ask(probe)
            self._record(probe.name, wrong is None)
            if wrong is not None:
                problems[probe.name] = wrong
                down.update(self._services if probe.required else probe.services)
                if probe.required:
                    down.add(OVERALL)
        for name in (OVERALL, *self._services):
            serving = health_pb2.HealthCheckResponse.SERVING
            self._servicer.set(name, health_pb2.HealthCheckResponse.NOT_SERVING if name in down else serving)
        self._health = Health(ready=OVERALL not in down, problems=problems)
        return self._health

    def drain(self) -> None:
        """Say NOT_SERVING from now on, whatever the probes find."""
        self._stop.set()
        self._servicer.enter_graceful_shutdown()
        self._health = Health(ready=False, problems={"drain": "the server is draining"})

    def close(self) -> None:
        """End the threads."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._pool.shutdown(wait=False)

    def _watch(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.look()


def _ask(probe: Probe) -> str | None:
    try:
        return probe.check()
    except Exception as error:  # noqa: BLE001 - a probe that breaks is an unwell part, not a dead monitor
        return f"the probe failed: {type(error).__name__}"
