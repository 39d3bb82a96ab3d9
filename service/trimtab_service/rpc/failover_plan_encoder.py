"""Plans, evaluations and standing of services as messages."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, Final

from trimtab.v1 import failover_service_pb2 as pb
from trimtab_service.domain.failover import (
    AcquireCapacity,
    Approve,
    CheckWatermark,
    ChildPlan,
    FailoverPlan,
    LowerTtl,
    Notify,
    PromoteDataStore,
    RunHealthCheck,
    ScaleCapacity,
    Step,
    SwitchTraffic,
    TimeWindow,
    Wait,
    Workflow,
)
from trimtab_service.failover.findings import Evaluation, Machines
from trimtab_service.rpc.failover_vocabulary import FENCING_CODE, SEVERITY_CODE, duration_of
from trimtab_service.rpc.vocabulary import CLOUD_CODE, set_nanos, set_timestamp
from trimtab_service.store.failover_plans import StoredPlan


def encode_plan(stored: StoredPlan, evaluation: Evaluation | None = None) -> pb.FailoverPlan:
    """The message of a stored plan, with its latest evaluation."""
    plan = stored.plan
    message = plan_message(plan)
    message.name = plan.name
    message.etag = stored.etag
    message.version = stored.version
    set_timestamp(message.create_time, stored.create_time)
    set_timestamp(message.update_time, stored.update_time)
    if evaluation is not None:
        message.evaluation.CopyFrom(encode_evaluation(evaluation))
    return message


def plan_message(plan: FailoverPlan) -> pb.FailoverPlan:
    """The content alone."""
    message = pb.FailoverPlan(description=plan.description, service_id=plan.service_id)
    for side in plan.sides:
        message.sides.add(
            side_id=side.side_id, cloud=CLOUD_CODE[side.cloud], region=side.region, cidr_blocks=side.cidr_blocks
        )
    for workflow, shown in (
        (plan.activate, message.activate),
        (plan.deactivate, message.deactivate),
        (plan.post_recovery, message.post_recovery),
    ):
        if workflow.stages:
            shown.CopyFrom(_workflow(workflow))
    if plan.rto_target is not None:
        message.rto_target.CopyFrom(duration_of(plan.rto_target))
    if plan.rpo_target is not None:
        message.rpo_target.CopyFrom(duration_of(plan.rpo_target))
    message.safety.minimum_healthy_sides = plan.safety.minimum_healthy_sides
    message.safety.disabled = plan.safety.disabled
    message.safety.cooldown.CopyFrom(duration_of(plan.safety.cooldown))
    _windows(plan.safety.freeze_windows, message.safety.freeze_windows)
    detection = plan.detection
    message.detection.quorum = detection.quorum
    message.detection.failures = detection.failures
    message.detection.successes = detection.successes
    message.detection.automatic = detection.automatic
    message.detection.report_ttl.CopyFrom(duration_of(detection.report_ttl))
    for one in detection.observers:
        message.detection.observers.add(observer_id=one.observer_id, cloud=CLOUD_CODE[one.cloud], reporter=one.reporter)
    if plan.drills.every is not None:
        message.drills.every.CopyFrom(duration_of(plan.drills.every))
    _windows(plan.drills.allowed_windows, message.drills.allowed_windows)
    _windows(plan.drills.blocked_windows, message.drills.blocked_windows)
    for field in fields(plan.dependencies):
        cloud = getattr(plan.dependencies, field.name)
        if cloud is not None:
            setattr(message.dependencies, field.name, CLOUD_CODE[cloud])
    return message


PriceOf = Callable[[Machines], int | None]
"""Nano-USD an hour of one machine; None: not known."""


def encode_evaluation(evaluation: Evaluation, price_of: PriceOf | None = None) -> pb.PlanEvaluation:
    """Findings, and the steps of a dry run: what they add is priced where it can be, and told apart where it cannot."""
    message = pb.PlanEvaluation(is_ready=evaluation.is_ready)
    set_timestamp(message.evaluate_time, evaluation.evaluate_time)
    message.expected_rto.CopyFrom(duration_of(evaluation.expected_rto))
    for finding in evaluation.findings:
        message.findings.add(
            severity=SEVERITY_CODE[finding.severity],
            reason=finding.reason.name,
            subject=finding.subject,
            description=finding.description,
        )
    if evaluation.steps:
        _dry_run(evaluation, message, price_of)
    return message


def _dry_run(evaluation: Evaluation, message: pb.PlanEvaluation, price_of: PriceOf | None) -> None:
    added: list[int] = []
    for step in evaluation.steps:
        shown = message.steps.add(
            step_id=step.step_id,
            before=step.before,
            after=step.after,
            expected_duration=duration_of(step.expected_duration),
            fencing=FENCING_CODE[step.fencing],
        )
        if step.adds is None:
            continue
        shown.added_instances = step.adds.count
        price = None if price_of is None else price_of(step.adds)
        if price is None:
            message.unpriced_steps.append(step.step_id)
        else:
            added.append(price * step.adds.count)
            set_nanos(shown.added_cost_per_hour, added[-1])
    if added or not message.unpriced_steps:
        set_nanos(message.added_cost_per_hour, sum(added))
    message.expected_duration.CopyFrom(duration_of(evaluation.run_time))
    touched = evaluation.blast_radius
    message.blast_radius.services.extend(touched.services)
    message.blast_radius.changed_targets.extend(touched.changed_targets)
    message.blast_radius.final_steps.extend(touched.final_steps)
    message.blast_radius.traffic_share = touched.traffic_share
    message.blast_radius.added_instances = touched.added_instances


def _workflow(workflow: Workflow) -> pb.Workflow:
    return pb.Workflow(stages=[pb.Stage(steps=[_step(step) for step in stage]) for stage in workflow.stages])


def _step(step: Step) -> pb.Step:
    message = pb.Step(
        step_id=step.step_id,
        description=step.description,
        timeout=duration_of(step.timeout),
        graceful_only=step.graceful_only,
    )
    if step.expected_duration is not None:
        message.expected_duration.CopyFrom(duration_of(step.expected_duration))
    field, encode = _ACTIONS[type(step.action)]
    getattr(message, field).CopyFrom(encode(step.action))
    return message


def _scale(action: ScaleCapacity) -> pb.ScaleCapacity:
    message = pb.ScaleCapacity(target=action.target, minimum_share=action.minimum_share)
    if action.count is not None:
        message.count = action.count
    elif action.percent_of_peak is not None:
        message.percent_of_peak = action.percent_of_peak
    message.peak_target = action.peak_target
    return message


def _watermark(action: CheckWatermark) -> pb.CheckWatermark:
    message = pb.CheckWatermark(target=action.target)
    if action.max_age is not None:
        message.max_age.CopyFrom(duration_of(action.max_age))
    return message


def _windows(windows: Iterable[TimeWindow], messages: Any) -> None:  # noqa: ANN401 - a repeated field
    for window in windows:
        message = messages.add()
        set_timestamp(message.start_time, window.start)
        set_timestamp(message.end_time, window.end)


_ACTIONS: Final[Mapping[type, tuple[str, Callable[[Any], Any]]]] = {
    ScaleCapacity: ("scale_capacity", _scale),
    AcquireCapacity: (
        "acquire_capacity",
        lambda one: pb.AcquireCapacity(targets=one.targets, count=one.count, minimum_share=one.minimum_share),
    ),
    PromoteDataStore: ("promote_data_store", lambda one: pb.PromoteDataStore(target=one.target)),
    CheckWatermark: ("check_watermark", _watermark),
    SwitchTraffic: ("switch_traffic", lambda one: pb.SwitchTraffic(target=one.target, weight=one.weight)),
    LowerTtl: ("lower_ttl", lambda one: pb.LowerTtl(target=one.target, ttl=duration_of(one.ttl))),
    RunHealthCheck: ("run_health_check", lambda one: pb.RunHealthCheck(probes=one.probes, successes=one.successes)),
    Wait: ("wait", lambda one: pb.WaitStep(duration=duration_of(one.duration))),
    Approve: (
        "approve",
        lambda one: pb.ApproveStep(expire_after=duration_of(one.expire_after), four_eyes=one.four_eyes),
    ),
    Notify: ("notify", lambda one: pb.NotifyStep(channel=one.channel, text=one.text)),
    ChildPlan: ("child_plan", lambda one: pb.ChildPlan(failover_plan=one.failover_plan)),
}
