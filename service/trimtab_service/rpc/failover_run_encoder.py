"""Runs and their events as messages."""

from trimtab.v1 import failover_service_pb2 as pb
from trimtab_service.failover.chain import Link
from trimtab_service.failover.comparison import Comparison
from trimtab_service.failover.run import Run, StepRun
from trimtab_service.rpc.failover_vocabulary import KIND_CODE, MODE_CODE, STATE_CODE, STEP_CODE, duration_of
from trimtab_service.rpc.vocabulary import set_timestamp


def encode_run(run: Run) -> pb.FailoverRun:
    """The message of a run."""
    message = pb.FailoverRun(
        name=run.name,
        etag=run.etag,
        failover_plan=run.plan_name,
        plan_version=run.plan_version,
        plan_hash=run.plan_hash,
        kind=KIND_CODE[run.kind],
        mode=MODE_CODE[run.mode],
        from_side=run.from_side,
        to_side=run.to_side,
        state=STATE_CODE[run.state],
        started_by=run.started_by,
        token=run.token,
        steps=[_step(step) for step in run.steps],
        reason=run.reason,
    )
    set_timestamp(message.create_time, run.create_time)
    set_timestamp(message.update_time, run.update_time)
    if run.end_time is not None:
        set_timestamp(message.end_time, run.end_time)
    if run.actual_rto is not None:
        message.actual_rto.CopyFrom(duration_of(run.actual_rto))
    if run.actual_rpo is not None:
        message.actual_rpo.CopyFrom(duration_of(run.actual_rpo))
    return message


def encode_comparison(comparison: Comparison) -> pb.DrillComparison:
    """The message of a drill against the one before it."""
    message = pb.DrillComparison(failover_run=comparison.last, same_plan=comparison.same_plan)
    if comparison.rto_before is not None:
        message.actual_rto.CopyFrom(duration_of(comparison.rto_before))
        if comparison.rto is not None:
            message.rto_change.CopyFrom(duration_of(comparison.rto - comparison.rto_before))
    for step in comparison.steps:
        shown = message.steps.add(step_id=step.step_id)
        if step.took is not None:
            shown.took.CopyFrom(duration_of(step.took))
        if step.took_before is not None:
            shown.took_before.CopyFrom(duration_of(step.took_before))
    return message


def encode_event(link: Link, token: str) -> pb.FailoverRunEvent:
    """The message of a link; `token` resumes after it."""
    message = pb.FailoverRunEvent(
        resume_token=token, kind=link.kind, step_id=link.step_id, actor=link.actor, detail=link.detail
    )
    set_timestamp(message.time, link.time)
    return message


def _step(step: StepRun) -> pb.StepRun:
    message = pb.StepRun(
        step_id=step.step_id,
        state=STEP_CODE[step.state],
        attempts=step.attempts,
        detail=step.detail,
        actor=step.actor,
    )
    if step.begin_time is not None:
        set_timestamp(message.begin_time, step.begin_time)
    if step.done_time is not None:
        set_timestamp(message.done_time, step.done_time)
    return message
