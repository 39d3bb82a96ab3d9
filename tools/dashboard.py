"""The Grafana dashboard of the service's own metrics; `make docs` writes it to `deploy/grafana/`.

A dashboard's JSON is mostly repetition; what differs from panel to panel is the table below.
"""

import json
from dataclasses import dataclass

WIDTH, HEIGHT, ACROSS = 8, 8, 3
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph: `queries` maps the legend of a series to its PromQL; `unit` is Grafana's name of it."""

    title: str
    unit: str
    queries: dict[str, str]


PANELS = (
    Panel("Calls", "reqps", {"{{method}}": "sum by (method) (rate(trimtab_rpc_handled_total[$__rate_interval]))"}),
    Panel(
        "Calls that failed",
        "reqps",
        {
            "{{method}} {{code}}": "sum by (method, code) "
            '(rate(trimtab_rpc_handled_total{code!="OK"}[$__rate_interval]))'
        },
    ),
    Panel("Calls in flight", "short", {"{{method}}": "sum by (method) (trimtab_rpc_in_flight)"}),
    Panel(
        "Time in the handler, p50",
        "s",
        {
            "{{method}}": "histogram_quantile(0.5, sum by (le, method) "
            "(rate(trimtab_rpc_seconds_bucket[$__rate_interval])))"
        },
    ),
    Panel(
        "Time in the handler, p99",
        "s",
        {
            "{{method}}": "histogram_quantile(0.99, sum by (le, method) "
            "(rate(trimtab_rpc_seconds_bucket[$__rate_interval])))"
        },
    ),
    Panel("Age of the catalogue", "s", {"{{instance}}": "trimtab_catalog_age_seconds"}),
    Panel("Catalogue rows by basis", "short", {"{{basis}}": "max by (basis) (trimtab_catalog_rows)"}),
    Panel("Database answers", "bool_yes_no", {"{{instance}}": "trimtab_store_up"}),
    Panel("Behind the other replicas", "s", {"{{instance}}": "trimtab_journal_lag_seconds"}),
    Panel("Decisions waiting to be logged", "short", {"{{instance}}": "trimtab_decision_log_queue_depth"}),
    Panel(
        "Decisions dropped from the log",
        "short",
        {"{{instance}}": "increase(trimtab_decision_log_dropped_total[$__rate_interval])"},
    ),
    Panel("Workers started anew", "short", {"{{instance}}": "increase(trimtab_worker_restarts_total[1h])"}),
)


def dashboard() -> dict[str, object]:
    """The dashboard as Grafana imports it."""
    return {
        "uid": "trimtab",
        "title": "trimtab",
        "tags": ["trimtab"],
        "schemaVersion": 41,
        "editable": True,
        "timezone": "utc",
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
        "panels": [_panel(at, panel) for at, panel in enumerate(PANELS)],
    }


def dashboard_page() -> str:
    """The file's text."""
    return json.dumps(dashboard(), indent=1) + "\n"


def _panel(at: int, panel: Panel) -> dict[str, object]:
    return {
        "id": at + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": DATASOURCE,
        "gridPos": {"x": at % ACROSS * WIDTH, "y": at // ACROSS * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": DATASOURCE, "expr": expr, "legendFormat": legend}
            for n, (legend, expr) in enumerate(panel.queries.items())
        ],
    }
