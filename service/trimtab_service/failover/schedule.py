"""How long a workflow takes: its critical path."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from trimtab_service.domain.failover import (
    AcquireCapacity,
    Approve,
    ChildPlan,
    FailoverPlan,
    PromoteDataStore,
    RunHealthCheck,
    RunMode,
    ScaleCapacity,
    Step,
    SwitchTraffic,
    Wait,
    Workflow,
)

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
    step: Step, measured: Measured, children: Mapping[str, FailoverPlan], mode: RunMode
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
            return OTHER_TIME if child is None else path_of(child.activate, lambda one: duration_of(one, {}, {}, mode))
        case _:
            return OTHER_TIME


def path_of(workflow: Workflow, duration: Callable[[Step], timedelta]) -> timedelta:
    """Stages follow one another, and each takes as long as its longest step."""
    return sum((max((duration(step) for step in stage), default=timedelta()) for stage in workflow.stages), timedelta())


def expected_rto(
    plan: FailoverPlan, measured: Measured, children: Mapping[str, FailoverPlan], mode: RunMode
) -> timedelta:
    """From the start of an activation to the end of its last switch of traffic (of all of it, where it has none)."""
    stages = plan.activate.stages
    switching = [at for at, stage in enumerate(stages) if any(isinstance(one.action, SwitchTraffic) for one in stage)]
    counted = Workflow(stages[: switching[-1] + 1] if switching else stages)

    def duration(step: Step) -> timedelta:
        return timedelta() if is_left_out(step, mode) else duration_of(step, measured, children, mode)

    return path_of(counted, duration)
