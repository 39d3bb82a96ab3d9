"""Gauges of the service's own state, set by looking every second: they are for alerts, not for accounting."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Gauge


@dataclass(frozen=True, slots=True)
class StateSample:
    """One look. `catalog_age_s` is the age of the newest price; None where no catalogue is loaded."""

    catalog_age_s: float | None
    catalog_rows: Mapping[str, int]
    log_queue_depth: int
    log_dropped_total: int
    store_up: bool
    journal_lag_s: float


class StateMetrics:
    """Samples in the background until closed. A look that fails is skipped: the next one tells."""

    def __init__(self, registry: CollectorRegistry, look: Callable[[], StateSample], every_s: float = 1.0) -> None:
        self._look = look
        self._every_s = every_s
        self._stop = threading.Event()

        def gauge(name: str, meaning: str, mode: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(name, meaning, labels, registry=registry, multiprocess_mode=mode)  # type: ignore[arg-type] # the modes are a Literal there

        self._age = gauge("trimtab_catalog_age_seconds", "Age of the newest price of the catalogue.", "livemax")
        self._rows = gauge("trimtab_catalog_rows", "Price rows of the catalogue in force.", "livemax", ("basis",))
        self._depth = gauge(
            "trimtab_decision_log_queue_depth", "Log entries and changes that wait to be written.", "livesum"
        )
        self._dropped = gauge("trimtab_decision_log_dropped_total", "Log entries dropped since start.", "livesum")
        self._up = gauge("trimtab_store_up", "1 while the database answers, else 0.", "livemin")
        self._lag = gauge("trimtab_journal_lag_seconds", "Time since the journal was last known to be read.", "livemax")
        self._thread = threading.Thread(target=self._run, name="trimtab-metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop sampling."""
        self._stop.set()
        self._thread.join(self._every_s + 1.0)

    def sample(self) -> None:
        """Look once."""
        now = self._look()
        if now.catalog_age_s is not None:
            self._age.set(now.catalog_age_s)
        for basis, rows in now.catalog_rows.items():
            self._rows.labels(basis).set(rows)
        self._depth.set(now.log_queue_depth)
        self._dropped.set(now.log_dropped_total)
        self._up.set(1 if now.store_up else 0)
        self._lag.set(now.journal_lag_s)

    def _run(self) -> None:
        while True:
            self.sample()
            if self._stop.wait(self._every_s):
                return
