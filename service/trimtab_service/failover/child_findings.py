"""What would stop the run of a child plan, and so break its parent's in the middle."""

from collections.abc import Iterator, Mapping

from trimtab_service.domain.failover import ChildPlan, FailoverPlan, RunKind, Step
from trimtab_service.domain.reasons import PlanReason
from trimtab_service.failover.admission import workflow_of
from trimtab_service.failover.findings import Evaluation, Finding, Severity

_KINDS = (RunKind.ACTIVATE, RunKind.DEACTIVATE, RunKind.POST_RECOVERY)


def child_findings(
    plan: FailoverPlan,
    children: Mapping[str, FailoverPlan],
    of_children: Mapping[str, Evaluation],
    between: frozenset[str],
) -> Iterator[Finding]:
    """Every finding of the steps that run another plan; `children` and `of_children` go by the name in the step.

    `between`: the sides of the run; empty where they are not said.
    """
    own = {plan.name, plan.plan_id}
    for kind, step, name in _child_steps(plan):
        child = children.get(name)
        if name in own:
            yield Finding(Severity.ERROR, PlanReason.PLAN_CYCLE, step.step_id)
            continue
        if child is None:
            yield Finding(Severity.ERROR, PlanReason.UNKNOWN_CHILD, step.step_id, name)
            continue
        grandchildren = {grand for _, _, grand in _child_steps(child)}
        if grandchildren & own:
            yield Finding(Severity.ERROR, PlanReason.PLAN_CYCLE, step.step_id, f"By way of {name}.")
        elif grandchildren:
            yield Finding(Severity.ERROR, PlanReason.CHILD_TOO_DEEP, step.step_id, name)
        for why in _refusals(plan, child, kind):
            yield Finding(Severity.ERROR, PlanReason.CHILD_REFUSED, step.step_id, f"{name} {why}.")
        yield from _missing_sides(plan, child, step, between)
        yield from _errors(step, name, of_children)


def _refusals(plan: FailoverPlan, child: FailoverPlan, kind: RunKind) -> Iterator[str]:
    """What a start would say, whatever the sides: a child's run is of its parent's kind."""
    if child.service_id == plan.service_id:
        yield "moves the same service"
    if not workflow_of(child, kind).steps:
        yield f"has no steps to {kind.value}"
    if child.safety.disabled:
        yield "is switched off"


def _missing_sides(plan: FailoverPlan, child: FailoverPlan, step: Step, between: frozenset[str]) -> Iterator[Finding]:
    """A child's run is between its parent's sides."""
    known = {side.side_id for side in child.sides}
    missing = (between or {side.side_id for side in plan.sides}) - known
    if missing:
        severity = Severity.ERROR if between else Severity.WARNING
        detail = f"{child.name} has no side {', '.join(sorted(missing))}."
        yield Finding(severity, PlanReason.CHILD_REFUSED, step.step_id, detail)


def _errors(step: Step, name: str, of_children: Mapping[str, Evaluation]) -> Iterator[Finding]:
    for one in of_children[name].findings if name in of_children else ():
        if one.severity is Severity.ERROR:
            where = f"{name}, {one.subject}" if one.subject else name
            yield Finding(one.severity, one.reason, step.step_id, f"In {where}. {one.detail}".strip())


def _child_steps(plan: FailoverPlan) -> Iterator[tuple[RunKind, Step, str]]:
    for kind in _KINDS:
        for step in workflow_of(plan, kind).steps:
            if isinstance(step.action, ChildPlan):
                yield kind, step, step.action.failover_plan
