"""Whether a plan would work: every finding at once, from the plan and a survey of its targets."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import ip_network
from itertools import combinations
from types import MappingProxyType
from typing import Final

from trimtab_service.domain.failover import (
    Approve,
    ChildPlan,
    Detection,
    FailoverPlan,
    RunKind,
    RunMode,
    Side,
    Step,
    Wait,
)
from trimtab_service.domain.reasons import PlanReason
from trimtab_service.failover.admission import workflow_of
from trimtab_service.failover.child_findings import child_findings
from trimtab_service.failover.detection import quorum_of
from trimtab_service.failover.findings import Evaluation, Finding, Severity, StepPreview
from trimtab_service.failover.preview import Look, preview
from trimtab_service.failover.schedule import Measured, duration_of, expected_rto, is_left_out, run_time
from trimtab_service.failover.step_findings import Leaving, guard_findings, step_findings
from trimtab_service.failover.survey import Survey

MOST_STEPS: Final = 500
LEAST_OBSERVERS: Final = 3
LEAST_OBSERVER_CLOUDS: Final = 2

_RANK: Final = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The cloud that each part of the deployment stands in; empty: none, or not known."""

    state_store: str = ""
    secrets: str = ""
    images: str = ""
    identity: str = ""
    dns: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a plan is held against.

    `children` are the plans that it and its children name, by the name in the step; `from_side` and `to_side` may be
    empty: then the first side is taken as the one that is left, and findings that hang on that say so.
    """

    plan: FailoverPlan
    survey: Survey
    now: datetime
    children: Mapping[str, FailoverPlan] = field(default_factory=dict)
    dependencies: Dependencies = Dependencies()
    measured: Measured = field(default_factory=dict)
    mode: RunMode = RunMode.UNGRACEFUL
    kind: RunKind = RunKind.ACTIVATE
    from_side: str = ""
    to_side: str = ""


def steps_of(plan: FailoverPlan) -> tuple[Step, ...]:
    """The steps of all its workflows."""
    return (*plan.activate.steps, *plan.deactivate.steps, *plan.post_recovery.steps)


def evaluate(
    question: Question, *, dry_run: bool = False, of_children: Mapping[str, Evaluation] = MappingProxyType({})
) -> Evaluation:
    """Every finding, worst first, and with `dry_run` what each step of the run would do.

    `of_children`: what stands against the child plans by themselves, and with `dry_run` their steps, by the name in
    the step. What forbids a child's run forbids its parent's, which would otherwise break in the middle.
    """
    plan = question.plan
    rto = expected_rto(plan, question.measured, question.children, question.mode)
    findings = [
        *_shape(plan),
        *_sides(plan),
        *child_findings(plan, question.children, of_children, frozenset({question.from_side, question.to_side} - {""})),
        *_detection(plan),
        *_dependencies(question),
        *_times(question, rto),
        *_timeouts(question),
        *guard_findings(plan),
    ]
    leaving = _leaving(question)
    for step in steps_of(plan):
        findings.extend(step_findings(step, plan, question.survey, leaving, question.now))
    # Of a plan that names one target in many steps, the same is said once a step.
    ordered = sorted(dict.fromkeys(findings), key=lambda one: (_RANK[one.severity], one.subject, one.reason.name))
    said = Evaluation(question.now, tuple(ordered), rto, service_id=plan.service_id)
    if not dry_run:
        return said
    takes = run_time(plan, question.measured, question.children, question.mode, question.kind)
    return replace(said, steps=_previews(question, of_children), run_time=takes)


def _previews(question: Question, of_children: Mapping[str, Evaluation]) -> tuple[StepPreview, ...]:
    """Of the workflow that would run, each child plan's own steps after the step that runs it."""
    plan = question.plan
    to_side = question.to_side or plan.sides[-1].side_id
    shown: list[StepPreview] = []
    asked: dict[str, int] = {}
    for step in workflow_of(plan, question.kind).steps:
        if is_left_out(step, question.mode):
            continue
        takes = duration_of(step, question.measured, question.children, question.mode, question.kind)
        one = preview(step, Look(question.survey, to_side, question.kind, asked, question.children), takes)
        shown.append(one)
        if one.adds is not None:
            asked[one.changes[0]] = asked.get(one.changes[0], 0) + one.adds.count
        if isinstance(step.action, ChildPlan) and step.action.failover_plan in of_children:
            inner = of_children[step.action.failover_plan].steps
            shown.extend(replace(its, step_id=f"{step.step_id}/{its.step_id}") for its in inner)
    return tuple(shown)


def _leaving(question: Question) -> Leaving:
    """The cloud that is left, if any: not by moving between two regions of it, nor on the way back, while it works."""
    if question.kind in {RunKind.DEACTIVATE, RunKind.POST_RECOVERY}:
        return Leaving(frozenset())
    sides = {side.side_id: side for side in question.plan.sides}
    # The first side of a plan is where the service is at home: what forbids leaving it must not wait for the outage.
    left = sides.get(question.from_side) or question.plan.sides[0]
    kept = sides.get(question.to_side)
    others = [kept] if kept is not None else [side for side in question.plan.sides if side is not left]
    stays = any(side.cloud == left.cloud for side in others)
    return Leaving(frozenset() if stays else frozenset({left.cloud.value}), "" if question.from_side else left.side_id)


def _shape(plan: FailoverPlan) -> Iterator[Finding]:
    steps = steps_of(plan)
    if len(steps) > MOST_STEPS:
        yield Finding(Severity.ERROR, PlanReason.TOO_MANY_STEPS, detail=f"It has {len(steps)}.")
    for step_id, count in Counter(step.step_id for step in steps).items():
        if count > 1:
            yield Finding(Severity.ERROR, PlanReason.DUPLICATE_STEP, step_id)


def _sides(plan: FailoverPlan) -> Iterator[Finding]:
    for one, other in combinations(plan.sides, 2):
        for mine, theirs in _overlaps(one, other):
            yield Finding(
                Severity.ERROR,
                PlanReason.CIDR_OVERLAP,
                f"{one.side_id},{other.side_id}",
                f"{mine} and {theirs}.",
            )


def _overlaps(one: Side, other: Side) -> Iterator[tuple[str, str]]:
    for mine in one.cidr_blocks:
        for theirs in other.cidr_blocks:
            first, second = ip_network(mine, strict=False), ip_network(theirs, strict=False)
            if first.version == second.version and first.overlaps(second):
                yield mine, theirs


def _detection(plan: FailoverPlan) -> Iterator[Finding]:
    detection = plan.detection
    observers = len({one.observer_id for one in detection.observers})
    if detection.observers and detection.quorum > observers:
        yield Finding(
            Severity.ERROR, PlanReason.QUORUM_OUT_OF_REACH, detail=f"{detection.quorum} of {observers} must agree."
        )
    clouds = len({one.cloud for one in detection.observers})
    if detection.automatic and (observers < LEAST_OBSERVERS or clouds < LEAST_OBSERVER_CLOUDS):
        yield Finding(
            Severity.ERROR, PlanReason.AUTOMATIC_NEEDS_OBSERVERS, detail=f"It has {observers} in {clouds} clouds."
        )
    most = _voices(detection)
    if detection.automatic and most >= quorum_of(detection):
        yield Finding(
            Severity.WARNING,
            PlanReason.ONE_CREDENTIAL_DECIDES,
            detail=f"One may speak for {most} of {observers}, and {quorum_of(detection)} decide: name their reporters.",
        )


def _voices(detection: Detection) -> int:
    """For how many observers one credential can report at most: those that name it, and those that name none."""
    named = Counter(one.reporter for one in detection.observers)
    unnamed = named.pop("", 0)
    return unnamed + max(named.values(), default=0)


def _dependencies(question: Question) -> Iterator[Finding]:
    left = _leaving(question)
    for whose, where in (("trimtab's own", question.dependencies), ("The service's", question.plan.dependencies)):
        for cloud, reason in (
            (where.state_store, PlanReason.STATE_STORE_IN_LEFT_CLOUD),
            (where.secrets, PlanReason.SECRETS_IN_LEFT_CLOUD),
            (where.images, PlanReason.IMAGES_IN_LEFT_CLOUD),
            (where.identity, PlanReason.IDENTITY_IN_LEFT_CLOUD),
            (where.dns, PlanReason.DNS_IN_LEFT_CLOUD),
        ):
            if cloud and cloud in left.clouds:
                yield Finding(Severity.ERROR, reason, detail=f"{whose} stands in {cloud}.{left.hint}")


def _times(question: Question, rto: timedelta) -> Iterator[Finding]:
    target = question.plan.rto_target
    if target is None:
        yield Finding(Severity.INFO, PlanReason.NO_RTO_TARGET)
    # A warning: in an outage a slow plan is better than none.
    elif rto > target:
        yield Finding(Severity.WARNING, PlanReason.SLOWER_THAN_RTO, detail=f"{rto} against {target}.")


def _timeouts(question: Question) -> Iterator[Finding]:
    for kind in (RunKind.ACTIVATE, RunKind.DEACTIVATE, RunKind.POST_RECOVERY):
        for step in workflow_of(question.plan, kind).steps:
            # A wait and an approval end by times of their own.
            takes = duration_of(step, question.measured, question.children, question.mode, kind)
            if takes > step.timeout and not isinstance(step.action, Wait | Approve):
                detail = f"{takes} against {step.timeout}."
                yield Finding(Severity.WARNING, PlanReason.GIVEN_UP_EARLY, step.step_id, detail)
