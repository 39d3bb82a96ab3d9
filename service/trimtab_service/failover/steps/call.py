"""What a step is called with, and what it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from trimtab_service.domain.failover import FailoverPlan, RunMode, Side
from trimtab_service.failover.detection import ServiceHealth
from trimtab_service.failover.journal import ChildRuns
from trimtab_service.failover.reach import DrillReach, ProductionReach, StepFailedError
from trimtab_service.failover.run import Run, StepRun

HealthySides = Callable[[FailoverPlan], frozenset[str] | None]
"""The sides that observers see well; None where nothing observes."""


KnownPeak = Callable[[FailoverPlan, str], int | None]
"""The peak of a capacity target of a plan as it was last read; None where it never was."""


def never_read(plan: FailoverPlan, name: str) -> int | None:
    """A `KnownPeak` where nothing is kept."""
    del plan, name
    return None


Judged = Callable[[FailoverPlan, str], ServiceHealth | None]
"""How the observers see a plan's service whose traffic is at the side; None where nothing judges."""


def never_judged(plan: FailoverPlan, side_id: str) -> ServiceHealth | None:
    """A `Judged` where nobody observes."""
    del plan, side_id
    return None


class Hold(Protocol):
    """A process's hold on a run."""

    @property
    def mode(self) -> RunMode:
        """How the run goes on by now."""
        ...

    def check(self) -> None:
        """Before every call to the outside. Raises LeaseLostError, and StoppedError when the step is to be given up."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait, then `check`. Ends early when the hold does."""
        ...

    def remaining_s(self) -> float:
        """Seconds that it certainly still lasts, never negative."""
        ...


class StoppedError(Exception):
    """Give the step up; the words say why.

    The run is being aborted, or has become ungraceful and leaves the step out.
    """


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt of one step. `step_deadline` is aware UTC; `note` keeps a memo durably before the effect.

    `note` returns the memo that counts: the first one that was ever noted for the step.
    """

    run: Run
    plan: FailoverPlan
    step: StepRun
    step_deadline: datetime
    pace_s: float
    clock: Callable[[], datetime]
    hold: Hold
    note: Callable[[dict[str, object]], Mapping[str, object]]
    children: ChildRuns
    healthy_sides: HealthySides
    known_peak: KnownPeak
    judged: Judged = never_judged

    @property
    def deadline(self) -> datetime:
        """Of one call to the outside: the step's, but never past the hold, so that who has lost it soon falls silent.

        A call that needs longer is made again under the same key, for the hold has been renewed by then.
        """
        return min(self.step_deadline, self.clock() + timedelta(seconds=self.hold.remaining_s()))

    @property
    def token(self) -> int:
        """The fencing token of this hold."""
        return self.run.token

    @property
    def key(self) -> str:
        """Equal for every repetition of this step."""
        return f"{self.run.project}/{self.run.run_id}/{self.step.step_id}"

    @property
    def undo_key(self) -> str:
        """Equal for every repetition of its undoing."""
        return f"{self.key}/undo"

    @property
    def is_ungraceful(self) -> bool:
        """Whether the side that is left is taken for gone, by now: the mode may be switched while a step goes on."""
        return self.hold.mode is RunMode.UNGRACEFUL

    def side(self, side_id: str) -> Side:
        """Of the plan."""
        for side in self.plan.sides:
            if side.side_id == side_id:
                return side
        raise StepFailedError(f"the plan has no side {side_id!r}")

    def next_look(self) -> None:
        """Wait for the next look, or raise StepFailedError when the step's time is over."""
        if self.is_late():
            raise StepFailedError("its time is over")
        self.hold.wait(self.pace_s)

    def is_late(self) -> bool:
        """Whether the step's time is over."""
        return self.clock() >= self.step_deadline


@dataclass(frozen=True, slots=True)
class Effect:
    """What a step did. As in `run.Outcome`."""

    detail: str = ""
    is_exception: bool = False
    switched: bool = False
    watermark_age: timedelta | None = None
    data: Mapping[str, object] = field(default_factory=dict)


class StepKind(Protocol):
    """A kind of step. Every method is idempotent under the call's key.

    Raises StepFailedError or a TrimtabError when it did not do it; UnavailableError is tried again until the deadline.
    """

    def run(self, call: Call, reach: ProductionReach) -> Effect:
        """Do it."""
        ...

    def rehearse(self, call: Call, reach: DrillReach) -> Effect:
        """Do what an exercise may do of it."""
        ...

    def undo(self, call: Call, reach: ProductionReach) -> Effect:
        """Undo what was done, or say why it stays. StepFailedError: a person must."""
        ...

    def undo_rehearsal(self, call: Call, reach: DrillReach) -> Effect:
        """The same after an exercise."""
        ...
