"""What an auditor would ask about a run: findings that follow from its events, its targets and its actual times."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from trimtab_service.domain.failover import FailoverPlan, RunState
from trimtab_service.failover.chain import Times
from trimtab_service.failover.run import Run

_SAID: Final[Mapping[str, str]] = {
    "STEP_FAILED": "failed: {detail}",
    "STEP_REJECTED": "was rejected by {actor}: {detail}",
    "STEP_SKIPPED": "was left out by {actor}: {detail}",
    "STEP_RETRIED": "was begun again by {actor}",
    "APPROVAL_EXPIRED": "was not decided in time",
}
_BY_MODE: Final = "mode"


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """Something to look into. `step_id` is empty where it is about the run."""

    step_id: str
    text: str


def audit_of(
    run: Run, plan: FailoverPlan, times: Times, events: Iterable[Mapping[str, Any]]
) -> tuple[AuditFinding, ...]:
    """Targets missed first, then what the plan was started in spite of, then what happened on the way, in order."""
    found = [*_missed("recovery time", plan.rto_target, times.rto), *_missed("age of data", plan.rpo_target, times.rpo)]
    happened: list[AuditFinding] = []
    claims = 0
    for event in events:
        kind, step_id = event["kind"], event["step_id"]
        if kind == "RUN_STARTED":
            found += _at_the_start(event["data"], run.override_reason)
        elif kind == "RUN_CLAIMED":
            claims += 1
        elif kind in _SAID and event["actor"] != _BY_MODE:
            happened.append(AuditFinding(step_id, _SAID[kind].format(detail=event["detail"], actor=event["actor"])))
    for step in run.steps:
        if step.is_exception:
            happened.append(AuditFinding(step.step_id, f"fell short: {step.detail}"))
        if step.needs_person:
            happened.append(AuditFinding(step.step_id, f"a person must put it right: {step.detail}"))
    if run.state in {RunState.ABORTED, RunState.FAILED, RunState.INTERRUPTED}:
        happened.append(AuditFinding("", f"the run ended as {run.state.value}: {run.reason or 'no reason was given'}"))
    if not run.state.is_over:
        happened.append(AuditFinding("", f"the run is not over: {run.state.value}"))
    return (*found, *happened)


def _missed(name: str, target: timedelta | None, actual: timedelta | None) -> list[AuditFinding]:
    if target is None:
        return [AuditFinding("", f"the plan names no {name}")]
    if actual is None:
        return [AuditFinding("", f"the {name} was not measured")]
    if actual > target:
        return [AuditFinding("", f"the {name} of {_seconds(actual)} is above its target of {_seconds(target)}")]
    return []


def _at_the_start(data: Mapping[str, Any], override: str) -> list[AuditFinding]:
    told = [
        AuditFinding(str(subject), f"{severity} at the start: {reason}")
        for severity, reason, subject in data.get("findings", [])
    ]
    if override:
        told.insert(0, AuditFinding("", f"it was started in spite of errors: {override}"))
    return told


def _seconds(value: timedelta) -> str:
    return f"{value.total_seconds():,.3f} s"
