"""An exercise against the one before it."""

from dataclasses import dataclass
from datetime import timedelta

from trimtab_service.failover.run import Run
from trimtab_service.failover.schedule import Measured


@dataclass(frozen=True, slots=True)
class StepComparison:
    """How long a step took in both. None: it was not done there."""

    step_id: str
    took: timedelta | None
    took_before: timedelta | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """`last` is the name of the earlier exercise; `same_plan` whether both carried out one version of the plan."""

    last: str
    same_plan: bool
    rto: timedelta | None
    rto_before: timedelta | None
    steps: tuple[StepComparison, ...]


def compared(run: Run, took: Measured, last: Run, took_before: Measured) -> Comparison:
    """Both, step by step in the order of the later one; a step that only the earlier one had comes last."""
    names = dict.fromkeys((*(step.step_id for step in run.steps), *took_before))
    return Comparison(
        last.name,
        last.plan_hash == run.plan_hash,
        run.actual_rto,
        last.actual_rto,
        tuple(StepComparison(name, took.get(name), took_before.get(name)) for name in names),
    )
