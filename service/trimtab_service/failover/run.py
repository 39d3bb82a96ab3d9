"""A run as it stands, and a change of it: what the rules take and give, and what the store keeps.

Instants are aware UTC, of one clock (the database's). `token` is the fencing token in force: 0 before the first
process has taken the run, and greater with every process that takes it, over all runs of a service.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from trimtab_service.domain.failover import RunKind, RunMode, RunState, StepState
from trimtab_service.domain.reasons import RunEventKind


class Trigger(StrEnum):
    """What started a run, in order of precedence."""

    MANUAL = "manual"
    AUTOMATIC = "automatic"
    DRILL = "drill"

    @property
    def rank(self) -> int:
        """Lower goes first."""
        return list(Trigger).index(self)


@dataclass(frozen=True, slots=True)
class StepRun:
    """One step of a run. `stage` counts from 0; steps of one stage run together.

    `kind` names the action (`domain.failover`, in snake case). `memo` is what the step noted before its effect, so that
    a repetition does the same. `expire_time`: an approval is good until then. `needs_person`: it could not be undone.
    """

    step_id: str
    stage: int
    kind: str
    graceful_only: bool = False
    four_eyes: bool = False
    approval_for: timedelta | None = None
    state: StepState = StepState.WAITING
    attempts: int = 0
    begin_time: datetime | None = None
    attempt_time: datetime | None = None
    done_time: datetime | None = None
    expire_time: datetime | None = None
    detail: str = ""
    actor: str = ""
    is_exception: bool = False
    is_undoing: bool = False
    needs_person: bool = False
    memo: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether the next stage need not wait for it."""
        return self.state in {StepState.DONE, StepState.SKIPPED}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one version of a plan. `version` counts its changes: it is the etag."""

    project: str
    run_id: str
    plan_id: str
    plan_version: int
    plan_revision: int
    plan_hash: str
    service_id: str
    kind: RunKind
    mode: RunMode
    trigger: Trigger
    from_side: str
    to_side: str
    started_by: str
    create_time: datetime
    update_time: datetime
    steps: tuple[StepRun, ...]
    state: RunState = RunState.PENDING
    parent_run: str = ""
    override_reason: str = ""
    reason: str = ""
    end_time: datetime | None = None
    version: int = 1
    token: int = 0
    event_sequence: int = 0
    chain_hash: str = ""
    actual_rto: timedelta | None = None
    actual_rpo: timedelta | None = None

    @property
    def name(self) -> str:
        """`projects/{project}/failoverRuns/{failover_run}`."""
        return f"projects/{self.project}/failoverRuns/{self.run_id}"

    @property
    def plan_name(self) -> str:
        """`projects/{project}/failoverPlans/{failover_plan}`."""
        return f"projects/{self.project}/failoverPlans/{self.plan_id}"

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return f"{self.version}-{self.chain_hash[:12]}"

    @property
    def is_drill(self) -> bool:
        """Whether it is an exercise."""
        return self.kind is RunKind.DRILL

    def step(self, step_id: str) -> StepRun | None:
        """By id; None: there is none."""
        return next((step for step in self.steps if step.step_id == step_id), None)

    def with_step(self, step: StepRun) -> "Run":
        """The same with one step replaced by its id."""
        return replace(self, steps=tuple(step if old.step_id == step.step_id else old for old in self.steps))

    @property
    def begun(self) -> tuple[StepRun, ...]:
        """Steps whose effect, or whose undoing, is under way or has to be made again."""
        return tuple(step for step in self.steps if step.state is StepState.BEGUN or step.is_undoing)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something that happened. `data` is JSON: what figures are recomputed from."""

    kind: RunEventKind
    step_id: str = ""
    actor: str = ""
    detail: str = ""
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """A run after a transition, and what is added to its chain. No events: nothing changed.

    `active_side`: traffic was confirmed there.
    """

    run: Run
    events: tuple[NewEvent, ...] = ()
    active_side: str = ""

    def __bool__(self) -> bool:
        """Whether anything changed."""
        return bool(self.events)


class Verdict(StrEnum):
    """How a step's effect, or its undoing, came out."""

    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    """Given up on purpose, because the run is being aborted."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step came to.

    `switched`: traffic was seen at the run's side, or a drill saw that it could be moved. `watermark_age`: age of the
    replica that was accepted. `is_exception`: it is done, and fell short. `is_undo`: it was the undoing.
    """

    step_id: str
    verdict: Verdict
    detail: str = ""
    is_undo: bool = False
    is_exception: bool = False
    switched: bool = False
    watermark_age: timedelta | None = None
    data: Mapping[str, object] = field(default_factory=dict)


class Command(StrEnum):
    """What a person decides about a run."""

    PAUSE = "pause"
    RESUME = "resume"
    RETRY_STEP = "retry_step"
    SKIP_STEP = "skip_step"
    SWITCH_MODE = "switch_mode"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Steering:
    """A command, and who gives it."""

    command: Command
    actor: str
    step_id: str = ""
    mode: RunMode | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person says about a step that waits for it. `plan_hash`: of what the person has seen."""

    step_id: str
    plan_hash: str
    approved: bool
    actor: str
    comment: str = ""
