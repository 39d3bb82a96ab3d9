"""How long a workflow takes: its critical path."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from trimtab_service.domain.failover import (
    AcquireCapacity,
    Approve,
    ChildPlan,
    FailoverPlan,
    PromoteDataStore,
    RunHealthCheck,
    RunKind,
    RunMode,
    ScaleCapacity,
    Step,
    SwitchTraffic,
    Wait,
)
from trimtab_service.failover.admission import workflow_of

CAPACITY_TIME: Final = timedelta(minutes=5)
"""Boot of a GPU instance with its image, where neither the plan nor a drill says otherwise."""
PROMOTION_TIME: Final = timedelta(minutes=2)
APPROVAL_TIME: Final = timedelta(minutes=5)
PROBE_TIME: Final = timedelta(seconds=5)
OTHER_TIME: Final = timedelta(seconds=5)

Measured = Mapping[str, timedelta]
"""Durations by step id, from drills."""


def is_left_out(step: Step, mode: RunMode) -> bool:
    """Whether a run of this mode leaves the step out."""
    return step.graceful_only and mode is RunMode.UNGRACEFUL


def duration_of(  # noqa: PLR0911 - one a kind of action
    step: Step,
    measured: Measured,
    children: Mapping[str, FailoverPlan],
    mode: RunMode,
    kind: RunKind = RunKind.ACTIVATE,
) -> timedelta:
    """What a step takes: as drills measured, else as the plan says, else as is usual for its kind."""
    known = measured.get(step.step_id) or step.expected_duration
    if known is not None:
        return known
    match step.action:
        case ScaleCapacity() | AcquireCapacity():
            return CAPACITY_TIME
        case PromoteDataStore():
            return PROMOTION_TIME
        case RunHealthCheck(successes=successes):
            return PROBE_TIME * max(1, successes)
        case Wait(duration=duration):
            return duration
        case Approve():
            return APPROVAL_TIME
        case ChildPlan(failover_plan=name):
            child = children.get(name)
            # One level deep: a child of the child is a finding of its own and takes no time here.
            return OTHER_TIME if child is None else run_time(child, {}, {}, mode, kind)
        case _:
            return OTHER_TIME


def run_time(
    plan: FailoverPlan, measured: Measured, children: Mapping[str, FailoverPlan], mode: RunMode, kind: RunKind
) -> timedelta:
    """A run from its start to its end, without the steps that its mode leaves out."""
    return _path(workflow_of(plan, kind).stages, measured, children, mode, kind)


def expected_rto(
    plan: FailoverPlan, measured: Measured, children: Mapping[str, FailoverPlan], mode: RunMode
) -> timedelta:
    """From the start of an activation to the end of its last switch of traffic (of all of it, where it has none)."""
    stages = plan.activate.stages
    switching = [at for at, stage in enumerate(stages) if any(isinstance(one.action, SwitchTraffic) for one in stage)]
    counted = stages[: switching[-1] + 1] if switching else stages
    return _path(counted, measured, children, mode, RunKind.ACTIVATE)


def _path(
    stages: Sequence[Sequence[Step]],
    measured: Measured,
    children: Mapping[str, FailoverPlan],
    mode: RunMode,
    kind: RunKind,
) -> timedelta:
    """Stages follow one another, and each takes as long as its longest step."""
    done = ([step for step in stage if not is_left_out(step, mode)] for stage in stages)
    longest = (
        max((duration_of(step, measured, children, mode, kind) for step in stage), default=timedelta())
        for stage in done
    )
    return sum(longest, timedelta())
