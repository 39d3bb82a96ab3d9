"""What is wrong with one step, given how its targets stand."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from trimtab_service.domain.failover import (
    AcquireCapacity,
    CheckWatermark,
    FailoverPlan,
    LowerTtl,
    PromoteDataStore,
    RunHealthCheck,
    ScaleCapacity,
    Step,
    SwitchTraffic,
    Workflow,
)
from trimtab_service.domain.reasons import PlanReason
from trimtab_service.failover.findings import Finding, Severity
from trimtab_service.failover.ports import CapacityState, Fencing, Traffic
from trimtab_service.failover.shares import share_of_peak
from trimtab_service.failover.survey import Reading, Survey, TargetKind, TargetRef, targets_of

TTL_SHARE: Final = 4
"""A record's TTL may be this part of the recovery time: resolvers keep the old answer for that long."""

_READ_ONLY: Final = (CheckWatermark, RunHealthCheck)


@dataclass(frozen=True, slots=True)
class Leaving:
    """The clouds that are left. `assumed`: the side that was taken for it, because none was said."""

    clouds: frozenset[str]
    assumed: str = ""

    @property
    def hint(self) -> str:
        """What a finding that hangs on it says of the assumption."""
        return f" The side that is left was taken to be {self.assumed}." if self.assumed else ""


def count_of(action: ScaleCapacity, state: CapacityState, survey: Survey) -> int:
    """Instances that a step asks for: rounded up, and never fewer than are there already."""
    if action.count is not None:
        return action.count
    peak = state.peak
    if action.peak_target:
        reading = survey.get(TargetRef(TargetKind.CAPACITY, action.peak_target))
        left = None if reading is None else reading.standing
        peak = left.peak if isinstance(left, CapacityState) else peak
    return share_of_peak(peak, action.percent_of_peak or 0.0, state.desired)


def step_findings(step: Step, plan: FailoverPlan, survey: Survey, leaving: Leaving, now: datetime) -> Iterator[Finding]:
    """Every finding of a step."""
    for ref in targets_of(step.action):
        reading = survey.get(ref)
        if reading is None or not reading.is_known:
            yield Finding(Severity.ERROR, PlanReason.UNKNOWN_TARGET, step.step_id, f"{ref.name}.")
            continue
        leaves = reading.cloud in leaving.clouds
        is_changed = not isinstance(step.action, _READ_ONLY) and ref.name != getattr(step.action, "peak_target", "")
        if reading.fault:
            # What is left need not answer: that is why it is left.
            severity = Severity.WARNING if leaves else Severity.ERROR
            reason = PlanReason.PERMISSION_MISSING if reading.is_denied else PlanReason.TARGET_NOT_READABLE
            yield Finding(severity, reason, step.step_id, f"{ref.name}: {reading.fault}.")
        if leaves and _matters(step, plan):
            if is_changed:
                detail = f"{ref.name} is changed through {reading.cloud}.{leaving.hint}"
                yield Finding(Severity.ERROR, PlanReason.CONTROL_PLANE_OF_LEFT_CLOUD, step.step_id, detail)
            elif isinstance(step.action, CheckWatermark):
                # A warning: what serves objects often outlives what machines are made by.
                detail = f"{ref.name} stands in {reading.cloud}.{leaving.hint}"
                yield Finding(Severity.WARNING, PlanReason.REPLICA_IN_LEFT_CLOUD, step.step_id, detail)
        if not reading.fault and (is_changed or isinstance(step.action, _READ_ONLY)):
            yield from _standing_findings(step, plan, reading, survey, now)


def guard_findings(plan: FailoverPlan) -> Iterator[Finding]:
    """Whether a promotion is guarded by a watermark, and a switch by a check of health, in an earlier stage."""
    steps = plan.activate.steps
    if steps and not any(isinstance(step.action, SwitchTraffic) for step in steps):
        yield Finding(Severity.INFO, PlanReason.NO_TRAFFIC_SWITCH)
    yield from _unguarded(plan.activate, PromoteDataStore, CheckWatermark, PlanReason.PROMOTION_UNGUARDED)
    yield from _unguarded(plan.activate, SwitchTraffic, RunHealthCheck, PlanReason.NO_HEALTH_CHECK)


def _unguarded(
    workflow: Workflow,
    guarded: type[PromoteDataStore | SwitchTraffic],
    guard: type[CheckWatermark | RunHealthCheck],
    reason: PlanReason,
) -> Iterator[Finding]:
    seen = False
    for stage in workflow.stages:
        for step in stage:
            if isinstance(step.action, guarded) and not seen:
                yield Finding(Severity.WARNING, reason, step.step_id)
        seen = seen or any(isinstance(step.action, guard) for step in stage)


def _matters(step: Step, plan: FailoverPlan) -> bool:
    """Taking out the side that failed may wait until its cloud answers again; activating another one may not."""
    return step in plan.activate.steps and not step.graceful_only


def _standing_findings(
    step: Step, plan: FailoverPlan, reading: Reading, survey: Survey, now: datetime
) -> Iterator[Finding]:
    standing = reading.standing
    if isinstance(standing, CapacityState):
        yield from _capacity_findings(step, standing, survey)
    elif isinstance(standing, Traffic):
        yield from _traffic_findings(step, plan, standing, reading.fencing)
    elif isinstance(step.action, CheckWatermark):
        limit = step.action.max_age if step.action.max_age is not None else plan.rpo_target
        if limit is None:
            yield Finding(Severity.WARNING, PlanReason.NO_AGE_LIMIT, step.step_id)
        # Warnings: a replica falls behind in the very outage that the plan is for. The run's own gate decides.
        if not isinstance(standing, datetime):
            yield Finding(Severity.WARNING, PlanReason.NO_WATERMARK, step.step_id)
        elif limit is not None and now - standing > limit:
            detail = f"{now - standing} against {limit}."
            yield Finding(Severity.WARNING, PlanReason.REPLICA_STALE, step.step_id, detail)


def _capacity_findings(step: Step, state: CapacityState, survey: Survey) -> Iterator[Finding]:
    match step.action:
        case ScaleCapacity() as action:
            wanted = count_of(action, state, survey)
        case AcquireCapacity(count=count):
            wanted = count
        case _:
            return
    if state.quota is None:
        yield Finding(Severity.INFO, PlanReason.QUOTA_UNKNOWN, step.step_id)
    elif wanted > state.quota:
        # The first fallback that has room suffices, so a small quota of one is not the end.
        severity = Severity.WARNING if isinstance(step.action, AcquireCapacity) else Severity.ERROR
        detail = f"{wanted} asked for, {state.quota} allowed."
        yield Finding(severity, PlanReason.QUOTA_BELOW_TARGET, step.step_id, detail)
    if wanted > state.ready and not state.is_reserved:
        yield Finding(Severity.WARNING, PlanReason.CAPACITY_NOT_RESERVED, step.step_id, f"{wanted - state.ready} more.")


def _traffic_findings(step: Step, plan: FailoverPlan, traffic: Traffic, fencing: Fencing) -> Iterator[Finding]:
    if fencing is not Fencing.STRONG:
        yield Finding(Severity.WARNING, PlanReason.WEAK_FENCE, step.step_id)
    if isinstance(step.action, LowerTtl) or plan.rto_target is None:
        return
    lowered = [
        one.action.ttl
        for one in plan.activate.steps
        if isinstance(one.action, LowerTtl) and targets_of(one.action) == targets_of(step.action)
    ]
    # Lowering it in the run itself helps only those who ask after the old one has run out, so both count.
    ttl = traffic.ttl
    if ttl * TTL_SHARE > plan.rto_target:
        detail = f"{ttl} against {plan.rto_target}."
        if lowered:
            detail += " Lower it ahead of time: lowered in the run, the old one runs out first."
        yield Finding(Severity.WARNING, PlanReason.TTL_TOO_LONG, step.step_id, detail)
