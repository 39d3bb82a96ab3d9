"""Prometheus metrics of the RPC surface. Children are resolved at registration, never per call.

With several worker processes prometheus-client keeps the values in files (`PROMETHEUS_MULTIPROC_DIR`, set before this
module is first imported) and the supervisor adds them up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0)
"""Few buckets on purpose: an observation walks them, and the hot path lives in the first five."""


@dataclass(frozen=True, slots=True)
class MethodMetrics:
    """The resolved children of one method."""

    handled: Counter
    ok: Counter
    seconds: Histogram
    method: str

    def failed(self, code: str) -> None:
        """Count one call that ended with a code other than OK."""
        self.handled.labels(self.method, code).inc()


class RpcMetrics:
    """The metric families of the RPC surface, on one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._handled = Counter(
            "trimtab_rpc_handled", "Calls that ended, by method and status code.", ["method", "code"], registry=registry
        )
        self._seconds = Histogram(
            "trimtab_rpc_seconds",
            "Time in the handler, from the parsed call to the serialised answer.",
            ["method"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._in_flight = Gauge(
            "trimtab_rpc_in_flight",
            "Calls being handled, sampled every second.",
            ["method"],
            registry=registry,
            multiprocess_mode="livesum",
        )

    def of(self, method: str) -> MethodMetrics:
        """Resolve the children of one method; its series exist from then on, with zero."""
        return MethodMetrics(self._handled, self._handled.labels(method, "OK"), self._seconds.labels(method), method)

    def in_flight(self, method: str, calls: int) -> None:
        """Record a sample of the calls in flight; the limiters count them anyway, so no call pays for a gauge."""
        self._in_flight.labels(method).set(calls)


class ProbeMetrics:
    """Whether each part that readiness looks at is well."""

    def __init__(self, registry: CollectorRegistry, names: Sequence[str]) -> None:
        meaning = "1 when the part is well, else 0."
        up = Gauge("trimtab_probe_up", meaning, ["probe"], registry=registry, multiprocess_mode="livemin")
        self._children = {name: up.labels(name) for name in names}

    def set(self, name: str, *, well: bool) -> None:
        """Record the last look at one part."""
        self._children[name].set(1 if well else 0)
