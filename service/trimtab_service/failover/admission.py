"""Whether a run may start now: one a service, in order of precedence, and the plan's safety rules.

A person goes before detection, detection before drills; only a drill gives way. The switch, readiness, the limit of
concurrent runs and the count of healthy sides hold for everyone; freeze windows and the cooldown hold for what starts
by itself. Detection never goes back to a side that was left: that is decided by a person.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from trimtab_service.domain.failover import (
    Approve,
    ChildPlan,
    FailoverPlan,
    RunKind,
    RunMode,
    Step,
    TimeWindow,
    Workflow,
)
from trimtab_service.domain.reasons import RunEventKind, RunRefusal
from trimtab_service.failover.documents import action_name
from trimtab_service.failover.refusals import refused
from trimtab_service.failover.run import Change, NewEvent, Run, StepRun, Trigger

_MOST_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class StartRequest:
    """What is asked for.

    `errors`: findings of the latest evaluation that forbid a run without `override_reason`; `findings`: all of them but
    mere information (severity, reason, subject), for the record. `healthy_sides`: as the observers see it, None where
    nothing observes. `active_side`: where traffic was seen, for a service of which no run has confirmed it; empty: not
    known. `etag`: the plan's, when the caller insists on it.
    """

    project: str
    plan_id: str
    from_side: str
    to_side: str
    started_by: str
    kind: RunKind = RunKind.ACTIVATE
    mode: RunMode = RunMode.GRACEFUL
    trigger: Trigger = Trigger.MANUAL
    etag: str = ""
    errors: tuple[str, ...] = ()
    findings: tuple[tuple[str, str, str], ...] = ()
    override_reason: str = ""
    healthy_sides: frozenset[str] | None = None
    parent_run: str = ""
    active_side: str = ""


@dataclass(frozen=True, slots=True)
class LiveRun:
    """The run that is under way for the service."""

    run_id: str
    trigger: Trigger


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """What is known of a service across its runs.

    `active_side`: where traffic was last confirmed; `left_side`: the one that the last real run left. `token`: the
    last fencing token given out. `end_time`: of the last run that was no drill.
    """

    project: str
    service_id: str
    token: int = 0
    live: LiveRun | None = None
    active_side: str = ""
    left_side: str = ""
    end_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """Runs under way in the deployment, and how many may be."""

    live_runs: int
    maximum: int


def admit(asked: StartRequest, plan: FailoverPlan, service: ServiceRecord, load: Load, now: datetime) -> LiveRun | None:
    """Raise FailedPreconditionError with a `RunRefusal`, or tell which drill gives way; None: nothing has to.

    A manual override reason lets a plan with errors run; nothing lets one run that is switched off.
    """
    sides = {side.side_id for side in plan.sides}
    if asked.from_side == asked.to_side or not {asked.from_side, asked.to_side} <= sides:
        raise refused(RunRefusal.UNKNOWN_SIDE, from_side=asked.from_side, to_side=asked.to_side)
    if not workflow_of(plan, asked.kind).steps:
        raise refused(RunRefusal.NOTHING_TO_RUN, kind=asked.kind.value)
    if plan.safety.disabled:
        raise refused(RunRefusal.SWITCHED_OFF)
    if asked.errors and not asked.override_reason:
        raise refused(RunRefusal.PLAN_NOT_READY, _against(asked), errors=str(len(asked.errors)))
    active_side = service.active_side or asked.active_side
    if asked.kind is RunKind.DEACTIVATE and asked.from_side == active_side and not asked.override_reason:
        raise refused(RunRefusal.SIDE_IS_ACTIVE, from_side=asked.from_side)
    _healthy_enough(asked, plan)
    if asked.trigger is not Trigger.MANUAL:
        _in_season(asked, plan, service, now)
    gives_way = service.live
    if gives_way is not None and (gives_way.trigger is not Trigger.DRILL or asked.trigger is Trigger.DRILL):
        name = f"projects/{asked.project}/failoverRuns/{gives_way.run_id}"
        raise refused(RunRefusal.RUN_UNDER_WAY, name, failover_run=name)
    if not asked.parent_run and load.live_runs - (gives_way is not None) >= load.maximum:
        raise refused(RunRefusal.TOO_MANY_RUNS, maximum=str(load.maximum))
    return gives_way


def workflow_of(plan: FailoverPlan, kind: RunKind) -> Workflow:
    """The steps of a kind of run. A drill rehearses the activation."""
    if kind is RunKind.DEACTIVATE:
        return plan.deactivate
    return plan.post_recovery if kind is RunKind.POST_RECOVERY else plan.activate


@dataclass(frozen=True, slots=True)
class PinnedPlan:
    """One version of a plan: what a run carries out whatever becomes of the plan."""

    plan: FailoverPlan
    version: int
    revision: int
    plan_hash: str


def started(asked: StartRequest, pinned: PinnedPlan, run_id: str, now: datetime) -> Change:
    """The run as it is taken in, and the first link of its chain."""
    stages = workflow_of(pinned.plan, asked.kind).stages
    run = Run(
        project=asked.project,
        run_id=run_id,
        plan_id=asked.plan_id,
        plan_version=pinned.version,
        plan_revision=pinned.revision,
        plan_hash=pinned.plan_hash,
        service_id=pinned.plan.service_id,
        kind=asked.kind,
        mode=asked.mode,
        trigger=asked.trigger,
        from_side=asked.from_side,
        to_side=asked.to_side,
        started_by=asked.started_by,
        create_time=now,
        update_time=now,
        parent_run=asked.parent_run,
        override_reason=asked.override_reason,
        steps=tuple(_step(step, number) for number, stage in enumerate(stages) for step in stage),
    )
    data: dict[str, object] = {
        "plan": run.plan_name,
        "plan_version": run.plan_version,
        "plan_hash": run.plan_hash,
        "kind": run.kind.value,
        "mode": run.mode.value,
        "trigger": run.trigger.value,
        "from_side": run.from_side,
        "to_side": run.to_side,
        "override_reason": run.override_reason,
        "errors": list(asked.errors),
        "findings": [list(one) for one in asked.findings],
    }
    return Change(run, (NewEvent(RunEventKind.RUN_STARTED, actor=asked.started_by, data=data),))


def nests_too_deep(asked: StartRequest, plan: FailoverPlan, parent: Run | None) -> bool:
    """Whether a child plan has children itself, or moves its parent's service."""
    if not asked.parent_run:
        return False
    inner = any(isinstance(step.action, ChildPlan) for step in workflow_of(plan, asked.kind).steps)
    return inner or parent is None or bool(parent.parent_run) or parent.service_id == plan.service_id


def _against(asked: StartRequest) -> str:
    """Each error once, with the steps or sides that it is of: whoever overrides must have seen them all."""
    of: dict[str, list[str]] = {reason: [] for reason in asked.errors}
    for _, reason, subject in asked.findings:
        if reason in of and subject and subject not in of[reason]:
            of[reason].append(subject)
    return ", ".join(f"{reason} ({_few(subjects)})" if subjects else reason for reason, subjects in of.items())


def _few(subjects: list[str]) -> str:
    more = len(subjects) - _MOST_SHOWN
    return ", ".join(subjects[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _healthy_enough(asked: StartRequest, plan: FailoverPlan) -> None:
    if asked.healthy_sides is None or asked.kind is RunKind.DRILL:
        return
    left = asked.healthy_sides - {asked.from_side} if asked.kind is RunKind.DEACTIVATE else asked.healthy_sides
    if len(left) < max(1, plan.safety.minimum_healthy_sides) and not asked.override_reason:
        raise refused(RunRefusal.TOO_FEW_HEALTHY_SIDES, healthy=", ".join(sorted(left)))


def _in_season(asked: StartRequest, plan: FailoverPlan, service: ServiceRecord, now: datetime) -> None:
    if _within(plan.safety.freeze_windows, now):
        raise refused(RunRefusal.FROZEN)
    if asked.trigger is Trigger.DRILL:
        allowed = plan.drills.allowed_windows
        if _within(plan.drills.blocked_windows, now) or (allowed and not _within(allowed, now)):
            raise refused(RunRefusal.OUTSIDE_DRILL_WINDOW)
        return
    if asked.to_side == service.left_side:
        raise refused(RunRefusal.FAILBACK_NOT_AUTOMATIC, to_side=asked.to_side)
    if service.end_time is not None and now < service.end_time + plan.safety.cooldown:
        raise refused(RunRefusal.COOLDOWN, until=(service.end_time + plan.safety.cooldown).isoformat())


def _within(windows: Iterable[TimeWindow], now: datetime) -> bool:
    return any(window.start <= now < window.end for window in windows)


def _step(step: Step, stage: int) -> StepRun:
    asks = step.action if isinstance(step.action, Approve) else None
    return StepRun(
        step_id=step.step_id,
        stage=stage,
        kind=action_name(step.action),
        graceful_only=step.graceful_only,
        four_eyes=asks is not None and asks.four_eyes,
        approval_for=None if asks is None else asks.expire_after,
    )
