"""Failover plans as data, and the runs that carry them out (`trimtab.v1.FailoverService`)."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from trimtab_service.domain.offers import Cloud


class RunKind(StrEnum):
    """What a run does."""

    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    POST_RECOVERY = "post_recovery"
    DRILL = "drill"


class RunMode(StrEnum):
    """Whether the side that is left still answers."""

    GRACEFUL = "graceful"
    UNGRACEFUL = "ungraceful"


class RunState(StrEnum):
    """Where a run stands."""

    PENDING = "pending"
    RUNNING = "running"
    PENDING_APPROVAL = "pending_approval"
    PAUSED = "paused"
    ABORTING = "aborting"
    SUCCEEDED = "succeeded"
    COMPLETED_WITH_EXCEPTIONS = "completed_with_exceptions"
    FAILED = "failed"
    ABORTED = "aborted"
    INTERRUPTED = "interrupted"

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self in _OVER


_OVER = frozenset(
    {
        RunState.SUCCEEDED,
        RunState.COMPLETED_WITH_EXCEPTIONS,
        RunState.FAILED,
        RunState.ABORTED,
        RunState.INTERRUPTED,
    }
)


class StepState(StrEnum):
    """Where a step of a run stands."""

    WAITING = "waiting"
    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    PENDING_APPROVAL = "pending_approval"
    COMPENSATED = "compensated"


@dataclass(frozen=True, slots=True)
class Side:
    """One place where the service can run."""

    side_id: str
    cloud: Cloud
    region: str
    cidr_blocks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScaleCapacity:
    """Set the capacity of a group: `count` instances, or `percent_of_peak` of the last 24 hours' most.

    The peak is that of `peak_target`, the group of the side that is left; empty: of `target` itself.
    """

    target: str
    count: int | None = None
    percent_of_peak: float | None = None
    minimum_share: float = 1.0
    peak_target: str = ""


@dataclass(frozen=True, slots=True)
class AcquireCapacity:
    """Get `count` instances from the first of `targets` that gives at least the share."""

    targets: tuple[str, ...]
    count: int
    minimum_share: float = 1.0


@dataclass(frozen=True, slots=True)
class PromoteDataStore:
    """Make a data store the primary one."""

    target: str


@dataclass(frozen=True, slots=True)
class CheckWatermark:
    """Go on only when the replica's newest canary is at most this old; None: the plan's RPO target."""

    target: str
    max_age: timedelta | None = None


@dataclass(frozen=True, slots=True)
class SwitchTraffic:
    """Point a share of the traffic at the side, under the fence."""

    target: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class LowerTtl:
    """Lower a record's TTL ahead of a switch."""

    target: str
    ttl: timedelta


@dataclass(frozen=True, slots=True)
class RunHealthCheck:
    """Go on only after so many successes in a row of every probe."""

    probes: tuple[str, ...]
    successes: int = 3


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait."""

    duration: timedelta


@dataclass(frozen=True, slots=True)
class Approve:
    """Wait for a person; with `four_eyes` not for who started the run."""

    expire_after: timedelta = timedelta(hours=1)
    four_eyes: bool = False


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell somebody."""

    channel: str
    text: str


@dataclass(frozen=True, slots=True)
class ChildPlan:
    """Run another plan of the project, one level deep."""

    failover_plan: str


Action = (
    ScaleCapacity
    | AcquireCapacity
    | PromoteDataStore
    | CheckWatermark
    | SwitchTraffic
    | LowerTtl
    | RunHealthCheck
    | Wait
    | Approve
    | Notify
    | ChildPlan
)
"""The closed set of what a step can do. No user code."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, idempotent under its run and id."""

    step_id: str
    action: Action
    description: str = ""
    timeout: timedelta = timedelta(minutes=10)
    expected_duration: timedelta | None = None
    graceful_only: bool = False


@dataclass(frozen=True, slots=True)
class Workflow:
    """Stages follow one another; the steps of a stage run together."""

    stages: tuple[tuple[Step, ...], ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in order."""
        return tuple(step for stage in self.stages for step in stage)


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """Half-open, aware UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class SafetyRules:
    """When a plan may run."""

    minimum_healthy_sides: int = 1
    disabled: bool = False
    cooldown: timedelta = timedelta(minutes=60)
    freeze_windows: tuple[TimeWindow, ...] = ()


@dataclass(frozen=True, slots=True)
class Observer:
    """One who observes, and where he stands. `reporter`: the one subject that may speak for him; empty: any caller."""

    observer_id: str
    cloud: Cloud
    reporter: str = ""


@dataclass(frozen=True, slots=True)
class Detection:
    """How an outage is noticed. `quorum` 0 is a majority."""

    observers: tuple[Observer, ...] = ()
    quorum: int = 0
    failures: int = 3
    successes: int = 10
    report_ttl: timedelta = timedelta(seconds=30)
    automatic: bool = False


@dataclass(frozen=True, slots=True)
class DrillSchedule:
    """When exercises run by themselves; `every` None: never."""

    every: timedelta | None = None
    allowed_windows: tuple[TimeWindow, ...] = ()
    blocked_windows: tuple[TimeWindow, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanDependencies:
    """The cloud of each thing that the service cannot do without; None: none, or not known."""

    state_store: Cloud | None = None
    secrets: Cloud | None = None
    images: Cloud | None = None
    identity: Cloud | None = None
    dns: Cloud | None = None


@dataclass(frozen=True, slots=True)
class FailoverPlan:
    """One version of a plan."""

    project: str
    plan_id: str
    service_id: str
    sides: tuple[Side, ...]
    activate: Workflow
    deactivate: Workflow = field(default_factory=Workflow)
    post_recovery: Workflow = field(default_factory=Workflow)
    rto_target: timedelta | None = None
    rpo_target: timedelta | None = None
    safety: SafetyRules = field(default_factory=SafetyRules)
    detection: Detection = field(default_factory=Detection)
    drills: DrillSchedule = field(default_factory=DrillSchedule)
    description: str = ""
    dependencies: PlanDependencies = field(default_factory=PlanDependencies)

    @property
    def name(self) -> str:
        """`projects/{project}/failoverPlans/{failover_plan}`."""
        return f"projects/{self.project}/failoverPlans/{self.plan_id}"
