"""Metrics of what the server holds: the catalogue in force, the decision log, the journal of the other replicas.

Set by whoever refreshes the state, not computed when scraped: with several worker processes the values travel through
files. The alerts in `deploy/prometheus` and the dashboard ask for these names.
"""

from collections.abc import Mapping
from datetime import timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge


class StateMetrics:
    """The metric families of the server's state, on one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._catalog_age = Gauge(
            "trimtab_catalog_age_seconds",
            "Age of the catalogue in force, since its newest price was observed.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._catalog_rows = Gauge(
            "trimtab_catalog_rows",
            "Price rows of the catalogue in force, by basis.",
            ["basis"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._queue_depth = Gauge(
            "trimtab_decision_log_queue_depth",
            "Decisions that wait to be written to the log.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._dropped = Counter(
            "trimtab_decision_log_dropped",
            "Decisions that the log does not hold, because its queue was full.",
            registry=registry,
        )
        self._journal_lag = Gauge(
            "trimtab_journal_lag_seconds",
            "Time since the changes of other processes were last read completely.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._bases: set[str] = set()

    def set_catalog(self, age: timedelta, rows_by_basis: Mapping[str, int]) -> None:
        """Record the catalogue in force; a basis that it no longer holds goes to zero."""
        self._catalog_age.set(age.total_seconds())
        self._bases |= rows_by_basis.keys()
        for basis in self._bases:
            self._catalog_rows.labels(basis).set(rows_by_basis.get(basis, 0))

    def set_decision_log(self, queue_depth: int) -> None:
        """Record how many decisions wait."""
        self._queue_depth.set(queue_depth)

    def add_dropped_decisions(self, count: int) -> None:
        """Count decisions that were not written and never will be."""
        self._dropped.inc(count)

    def set_journal_lag(self, lag: timedelta) -> None:
        """Record how far behind the other processes this one is."""
        self._journal_lag.set(lag.total_seconds())
