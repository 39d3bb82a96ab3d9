"""The evidence of a run for people: one HTML page without anything from elsewhere."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any, Final

from trimtab_service.domain.failover import FailoverPlan
from trimtab_service.failover.audit import AuditFinding
from trimtab_service.failover.run import Run

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}"
    "th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}"
    ".ok{color:#0a6b2d}.bad{color:#a3160f}code{font-size:.85em;word-break:break-all}"
    "@page{size:A4;margin:16mm}@media print{body{margin:0;max-width:none;font-size:10pt}"
    "tr,h2{break-inside:avoid}h2{break-after:avoid}}"
)
_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class StepTimes:
    """A step by the chain alone, in microseconds since 1970. `done_us` None: it was not done."""

    step_id: str
    begin_us: int
    done_us: int | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Report:
    """What the page shows."""

    run: Run
    plan: FailoverPlan
    rto: timedelta | None
    rpo: timedelta | None
    steps: tuple[StepTimes, ...]
    findings: tuple[AuditFinding, ...]
    events: tuple[dict[str, Any], ...]
    chain_hash: str


def html_of(report: Report) -> str:
    """The page."""
    run = report.run
    title = f"Failover of {run.service_id}: {run.from_side} to {run.to_side}"
    facts = [
        ("Run", run.name),
        ("Plan", f"{run.plan_name}, version {run.plan_version}"),
        ("Kind, mode", f"{run.kind.value}, {run.mode.value}"),
        ("State", run.state.value),
        ("Started by", run.started_by),
        *([("Started in spite of errors", run.override_reason)] if run.override_reason else []),
        *([("Reason", run.reason)] if run.reason else []),
    ]
    figures = [
        _figure("Recovery time", report.plan.rto_target, report.rto),
        _figure("Age of data", report.plan.rpo_target, report.rpo),
    ]
    body = [
        f"<h1>{escape(title)}</h1>",
        _table((), ([escape(name), escape(value)] for name, value in facts)),
        "<h2>Targets against actuals</h2>",
        _table(("", "target", "actual", "met"), figures),
        "<h2>Findings</h2>",
        _table(("of", "what"), ([escape(one.step_id or "run"), escape(one.text)] for one in report.findings))
        if report.findings
        else "<p>None.</p>",
        "<h2>Steps</h2>",
        _table(("step", "begun", "took", "attempts"), (_step(one) for one in report.steps)),
        "<h2>Decisions by people</h2>",
        _table(("time", "who", "what", "step", "words"), _decisions(report.events)),
        "<h2>Timeline</h2>",
        _table(("time", "event", "step", "who", "token", "detail"), (_event(one) for one in report.events)),
        f"<p>Hash of the last link: <code>{escape(report.chain_hash)}</code></p>",
    ]
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    return f"{head}<style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"


def _table(headings: tuple[str, ...], rows: Iterable[list[str]]) -> str:
    head = "".join(f"<th>{escape(one)}</th>" for one in headings)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{f'<tr>{head}</tr>' if headings else ''}{lines}</table>"


def _figure(name: str, target: timedelta | None, actual: timedelta | None) -> list[str]:
    met = ""
    if target is not None and actual is not None:
        met = '<span class="ok">yes</span>' if actual <= target else '<span class="bad">no</span>'
    return [escape(name), _length(target), _length(actual), met]


def _step(one: StepTimes) -> list[str]:
    took = "not done" if one.done_us is None else f"{(one.done_us - one.begin_us) / _SECOND_US:.3f} s"
    return [escape(one.step_id), _moment(one.begin_us), took, str(one.attempts)]


_BY_PEOPLE: Final = frozenset(
    {
        "STEP_APPROVED",
        "STEP_REJECTED",
        "STEP_RETRIED",
        "STEP_SKIPPED",
        "RUN_PAUSED",
        "RUN_RESUMED",
        "RUN_ABORTING",
        "MODE_SWITCHED",
    }
)


def _decisions(events: Iterable[dict[str, Any]]) -> Iterable[list[str]]:
    for event in events:
        if event["kind"] in _BY_PEOPLE:
            told = (event["actor"], event["kind"], event["step_id"], event["detail"])
            yield [_moment(event["time_us"]), *(escape(one) for one in told)]


def _event(event: dict[str, Any]) -> list[str]:
    told = (event["kind"], event["step_id"], event["actor"], str(event["token"]), event["detail"])
    return [_moment(event["time_us"]), *(escape(one) for one in told)]


def _length(value: timedelta | None) -> str:
    return "not known" if value is None else f"{value.total_seconds():,.3f} s"


def _moment(micros: int) -> str:
    stamp = datetime.fromtimestamp(micros // _SECOND_US, UTC)
    return f"{stamp:%Y-%m-%d %H:%M:%S}.{micros % _SECOND_US // 1000:03d}Z"
