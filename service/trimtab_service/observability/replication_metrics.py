"""Gauges of replications that were started, as every process reads them from the store."""

import contextlib
import threading
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Gauge

from trimtab_service.domain.errors import TrimtabError

EVERY: Final = timedelta(seconds=15)


class ReplicationSample(NamedTuple):
    """One that is active. `age` is None before the first canary arrived, `target` where there is none."""

    name: str
    age: timedelta | None
    target: timedelta | None
    failed_objects: int


class ReplicationMetrics:
    """Samples in the background until closed. A look that fails is skipped: the next one tells."""

    def __init__(
        self,
        registry: CollectorRegistry,
        look: Callable[[], Iterable[ReplicationSample]],
        every: timedelta = EVERY,
    ) -> None:
        self._look = look
        self._every_s = every.total_seconds()
        self._stop = threading.Event()

        def gauge(name: str, meaning: str) -> Gauge:
            return Gauge(name, meaning, ("replication",), registry=registry, multiprocess_mode="livemax")

        self._age = gauge(
            "trimtab_replication_age_seconds", "Age of the copy of an active replication; +Inf before its first canary."
        )
        self._target = gauge("trimtab_replication_target_seconds", "The age that the copy may have; +Inf without one.")
        self._failed = gauge("trimtab_replication_failed_objects", "Objects that the last pass could not settle.")
        self._thread = threading.Thread(target=self._run, name="trimtab-replication-metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop sampling."""
        self._stop.set()
        self._thread.join(1.0)

    def sample(self) -> None:
        """Look once. Raises UnavailableError when the database does not answer."""
        found = list(self._look())
        for each in (self._age, self._target, self._failed):
            each.clear()
        for one in found:
            self._age.labels(one.name).set(_seconds(one.age))
            self._target.labels(one.name).set(_seconds(one.target))
            self._failed.labels(one.name).set(one.failed_objects)

    def _run(self) -> None:
        while True:
            with contextlib.suppress(TrimtabError):  # trimtab_store_up says so
                self.sample()
            if self._stop.wait(self._every_s):
                return


def _seconds(length: timedelta | None) -> float:
    return float("inf") if length is None else max(0.0, length.total_seconds())
