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
class StepPreview:
    """What a step would do to its target, and in which time. `before` and `after` are words."""

    step_id: str
    before: str
    after: str
    expected_duration: timedelta
    fencing: Fencing


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Findings, worst first; `steps` only of a dry run."""

    evaluate_time: datetime
    findings: tuple[Finding, ...]
    expected_rto: timedelta
    steps: tuple[StepPreview, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether a run would start."""
        return all(finding.severity is not Severity.ERROR for finding in self.findings)
