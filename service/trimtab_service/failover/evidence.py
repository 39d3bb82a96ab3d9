"""What an auditor is given of a run: its chain as stored, the plan as run, and the figures that follow from both.

The file is canonical JSON (sorted keys, no spaces, no floats) of `evidence` and its SHA-256, so a changed byte anywhere
is found; within it every event carries the hash of its chain, so a changed, left out or moved event is found even by
one who knows nothing but the last hash. `trimtab failover verify FILE` needs neither this package nor a server.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import orjson

from trimtab_service.domain.failover import FailoverPlan
from trimtab_service.failover.audit import audit_of
from trimtab_service.failover.chain import Link, times_of
from trimtab_service.failover.report import Report, StepTimes, html_of
from trimtab_service.failover.run import Run

FORM: Final = "trimtab-failover-evidence/1"
_MICROSECOND: Final = timedelta(microseconds=1)
_DECIDED: Final = {"STEP_APPROVED": True, "STEP_REJECTED": False}


@dataclass(frozen=True, slots=True)
class Evidence:
    """The file, a report for people, and the hash of the last link."""

    document: bytes
    report_html: str
    chain_hash: str


def evidence_of(run: Run, plan: FailoverPlan, plan_document: bytes, chain: Sequence[Link]) -> Evidence:
    """The evidence of a run so far. `plan_document` is what `plan_hash` is the hash of."""
    events = [orjson.loads(link.body) for link in chain]
    times = times_of(link.body for link in chain)
    steps = step_times(events)
    findings = audit_of(run, plan, times, events)
    head = chain[-1].hash if chain else ""
    content: dict[str, Any] = {
        "form": FORM,
        "run": run.name,
        "plan": run.plan_name,
        "plan_document": plan_document.decode(),
        "plan_hash": run.plan_hash,
        "plan_version": run.plan_version,
        "state": run.state.value,
        "started_by": run.started_by,
        "override_reason": run.override_reason,
        "targets": {"rto_us": _micros(plan.rto_target), "rpo_us": _micros(plan.rpo_target)},
        "actuals": {"rto_us": _micros(times.rto), "rpo_us": _micros(times.rpo)},
        "steps": [
            {"step_id": one.step_id, "begin_us": one.begin_us, "done_us": one.done_us, "attempts": one.attempts}
            for one in steps
        ],
        "decisions": [
            {
                "step_id": event["step_id"],
                "actor": event["actor"],
                "approved": _DECIDED[event["kind"]],
                "time_us": event["time_us"],
                "comment": event["detail"],
            }
            for event in events
            if event["kind"] in _DECIDED
        ],
        "findings": [{"step_id": one.step_id, "text": one.text} for one in findings],
        "events": [{"body": link.body.decode(), "hash": link.hash} for link in chain],
        "chain_hash": head,
    }
    packed = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    document = b'{"evidence":%b,"sha256":"%b"}\n' % (packed, hashlib.sha256(packed).hexdigest().encode())
    report = Report(run, plan, times.rto, times.rpo, steps, findings, tuple(events), head)
    return Evidence(document, html_of(report), head)


def step_times(events: Iterable[dict[str, Any]]) -> tuple[StepTimes, ...]:
    """When each step was begun first and done last, from the events alone, in the order of their beginnings."""
    steps: dict[str, StepTimes] = {}
    for event in events:
        step_id, at = event["step_id"], event["time_us"]
        known = steps.get(step_id)
        if event["kind"] in {"STEP_BEGUN", "APPROVAL_ASKED"}:
            begin = at if known is None else known.begin_us
            steps[step_id] = StepTimes(step_id, begin, None, 1 if known is None else known.attempts + 1)
        elif event["kind"] in {"STEP_DONE", "STEP_APPROVED"} and known is not None:
            steps[step_id] = StepTimes(step_id, known.begin_us, at, known.attempts)
    return tuple(steps.values())


def _micros(value: timedelta | None) -> int | None:
    return None if value is None else value // _MICROSECOND
