"""Gauges of how ready the failover plans are, as every process reads it from the store."""

import contextlib
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Gauge

from trimtab_service.domain.errors import TrimtabError

EVERY: Final = timedelta(seconds=15)


class Standing(Protocol):
    """How many plans there are in which standing; `oldest` is the age of the oldest reading, None without one."""

    @property
    def ready(self) -> int: ...  # noqa: D102 - as said
    @property
    def not_ready(self) -> int: ...  # noqa: D102
    @property
    def not_evaluated(self) -> int: ...  # noqa: D102
    @property
    def warnings(self) -> int: ...  # noqa: D102
    @property
    def oldest(self) -> timedelta | None: ...  # noqa: D102


class FailoverMetrics:
    """Samples in the background until closed. A look that fails is skipped: the next one tells."""

    def __init__(self, registry: CollectorRegistry, look: Callable[[], Standing], every: timedelta = EVERY) -> None:
        self._look = look
        self._every_s = every.total_seconds()
        self._stop = threading.Event()

        def gauge(name: str, meaning: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(name, meaning, labels, registry=registry, multiprocess_mode="livemax")

        self._plans = gauge(
            "trimtab_failover_plans", "Failover plans: ready, not_ready (with errors), not_evaluated.", ("standing",)
        )
        self._warnings = gauge("trimtab_failover_plan_warnings", "Warnings of all failover plans.")
        self._age = gauge("trimtab_failover_evaluation_age_seconds", "Age of the oldest reading of a plan's targets.")
        self._thread = threading.Thread(target=self._run, name="trimtab-failover-metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop sampling."""
        self._stop.set()
        self._thread.join(1.0)

    def sample(self) -> None:
        """Look once. Raises UnavailableError when the database does not answer."""
        now = self._look()
        for standing, count in (
            ("ready", now.ready),
            ("not_ready", now.not_ready),
            ("not_evaluated", now.not_evaluated),
        ):
            self._plans.labels(standing).set(count)
        self._warnings.set(now.warnings)
        self._age.set(0.0 if now.oldest is None else max(0.0, now.oldest.total_seconds()))

    def _run(self) -> None:
        while True:
            with contextlib.suppress(TrimtabError):  # trimtab_store_up says so
                self.sample()
            if self._stop.wait(self._every_s):
                return
