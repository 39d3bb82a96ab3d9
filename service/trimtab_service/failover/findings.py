"""What an evaluation of a plan says."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from trimtab_service.domain.reasons import PlanReason
from trimtab_service.failover.ports import Fencing


class Severity(StrEnum):
    """How bad; with an ERROR no run starts without a recorded override."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a plan. `subject` is a step, side or plan; empty: the plan itself."""

    severity: Severity
    reason: PlanReason
    subject: str = ""
    detail: str = ""

    @property
    def description(self) -> str:
        """In words."""
        return f"{self.reason.meaning} {self.detail}".strip()


@dataclass(frozen=True, slots=True)
class Machines:
    """Capacity that a step would add: so many of a type, where (all empty: not known of what)."""

    count: int
    cloud: str = ""
    region: str = ""
    instance_type: str = ""


@dataclass(frozen=True, slots=True)
class StepPreview:
    """What a step would do to its target, and in which time. `before` and `after` are words.

    `changes` are targets that it changes, `share` the part of a name's traffic that it moves; `is_final`: no abort can
    undo it by itself. `services`: those of its child plan.
    """

    step_id: str
    before: str
    after: str
    expected_duration: timedelta
    fencing: Fencing
    adds: Machines | None = None
    changes: tuple[str, ...] = ()
    share: float = 0.0
    is_final: bool = False
    services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """What a run would touch; `final_steps` are those that no abort can undo by itself."""

    services: tuple[str, ...]
    changed_targets: tuple[str, ...]
    traffic_share: float
    added_instances: int
    final_steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Findings, worst first; of a dry run also `steps`, and `run_time` for the whole run."""

    evaluate_time: datetime
    findings: tuple[Finding, ...]
    expected_rto: timedelta
    steps: tuple[StepPreview, ...] = ()
    service_id: str = ""
    run_time: timedelta = timedelta()

    @property
    def is_ready(self) -> bool:
        """Whether a run would start."""
        return all(finding.severity is not Severity.ERROR for finding in self.findings)

    @property
    def errors(self) -> tuple[str, ...]:
        """What forbids a run without a recorded override, by the names of their reasons."""
        return tuple(one.reason.name for one in self.findings if one.severity is Severity.ERROR)

    @property
    def record(self) -> tuple[tuple[str, str, str], ...]:
        """Errors and warnings as a run's chain keeps them: severity, reason, subject."""
        return tuple(
            (one.severity.value, one.reason.name, one.subject)
            for one in self.findings
            if one.severity is not Severity.INFO
        )

    @property
    def blast_radius(self) -> BlastRadius:
        """Of the steps of a dry run."""
        services = (self.service_id, *(name for step in self.steps for name in step.services))
        return BlastRadius(
            services=tuple(dict.fromkeys(services)),
            changed_targets=tuple(dict.fromkeys(name for step in self.steps for name in step.changes)),
            traffic_share=max((step.share for step in self.steps), default=0.0),
            added_instances=sum(step.adds.count for step in self.steps if step.adds is not None),
            final_steps=tuple(step.step_id for step in self.steps if step.is_final),
        )
