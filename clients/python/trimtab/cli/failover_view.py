"""Failover plans, runs, health and advice as tables."""

from collections.abc import Iterable

from google.protobuf.descriptor import EnumDescriptor
from rich.table import Table
from rich.text import Text

from trimtab import vocabulary
from trimtab.cli import output as out
from trimtab.evidence import Verification
from trimtab.v1 import failover_service_pb2 as pb

_STYLES = {
    pb.StepRun.STATE_DONE: "green",
    pb.StepRun.STATE_FAILED: "red",
    pb.StepRun.STATE_BEGUN: "yellow",
    pb.StepRun.STATE_PENDING_APPROVAL: "yellow",
}
_SEVERITY_STYLES = {
    pb.PlanFinding.SEVERITY_ERROR: "red",
    pb.PlanFinding.SEVERITY_WARNING: "yellow",
    pb.PlanFinding.SEVERITY_INFO: "dim",
}


def word(descriptor: EnumDescriptor, number: int) -> str:
    """An enum's value as people write it."""
    return vocabulary.word(descriptor, number)


def show_plan(plan: pb.FailoverPlan) -> None:
    """A plan with its findings."""
    sides = ", ".join(f"{one.side_id} ({out.cloud(one.cloud)} {one.region})" for one in plan.sides)
    steps = sum(len(stage.steps) for stage in plan.activate.stages)
    rows = [
        ("service", plan.service_id),
        ("version", f"{plan.version} (etag {plan.etag})"),
        ("sides", sides),
        ("activation", f"{steps} steps in {len(plan.activate.stages)} stages"),
        ("recovery time", out.length(plan.rto_target) if plan.HasField("rto_target") else "-"),
        ("age of data", out.length(plan.rpo_target) if plan.HasField("rpo_target") else "-"),
    ]
    out.show(out.heading(plan.name), out.pairs(rows))
    show_evaluation(plan.evaluation)


def plans(found: Iterable[pb.FailoverPlan]) -> Table:
    """A line a plan."""
    shown = out.table("plan", "service", "sides", "version", "changed", right=["version"])
    for one in found:
        sides = ", ".join(side.side_id for side in one.sides)
        shown.add_row(out.short(one.name), one.service_id, sides, str(one.version), out.minute(one.update_time))
    return shown


def show_evaluation(evaluation: pb.PlanEvaluation) -> None:
    """Findings, worst first, and the steps of a dry run."""
    if evaluation.findings:
        shown = out.table("severity", "reason", "of", "what")
        for one in evaluation.findings:
            severity = word(pb.PlanFinding.Severity.DESCRIPTOR, one.severity)
            style = _SEVERITY_STYLES.get(one.severity, "")
            shown.add_row(Text(severity, style=style), one.reason, one.subject or "plan", one.description)
        out.show(out.heading("findings"), shown)
    if evaluation.steps:
        shown = out.table("step", "now", "after", "takes", "fence", right=["takes"])
        for step in evaluation.steps:
            fence = word(pb.Fencing.DESCRIPTOR, step.fencing) if step.fencing else "-"
            shown.add_row(step.step_id, step.before or "-", step.after, out.length(step.expected_duration), fence)
        out.show(out.heading("what would be done"), shown)
        _show_reach(evaluation)
    ready = "ready" if evaluation.is_ready else "not ready: a run needs --override"
    out.show(f"\n{ready}; expected recovery time {out.length(evaluation.expected_rto)}")


def _show_reach(evaluation: pb.PlanEvaluation) -> None:
    """What a run would touch and add."""
    reach = evaluation.blast_radius
    cost = (
        f"{out.dollars(evaluation.added_cost_per_hour, 2)} an hour"
        if evaluation.HasField("added_cost_per_hour")
        else ""
    )
    unpriced = f"unpriced: {', '.join(evaluation.unpriced_steps)}" if evaluation.unpriced_steps else ""
    rows = [
        ("services", ", ".join(reach.services)),
        ("changes", ", ".join(reach.changed_targets) or "nothing"),
        ("traffic", f"{reach.traffic_share:.0%} is moved"),
        (
            "adds",
            f"{reach.added_instances} instances"
            + (f"; {cost}" if cost else "")
            + (f"; {unpriced}" if unpriced else ""),
        ),
        ("cannot be undone", ", ".join(reach.final_steps) or "nothing"),
        ("takes", out.length(evaluation.expected_duration)),
    ]
    out.show(out.heading("what it touches"), out.pairs(rows))


def runs(found: Iterable[pb.FailoverRun]) -> Table:
    """A line a run."""
    shown = out.table("run", "plan", "kind", "from", "to", "state", "recovery", "started by", "at", right=["recovery"])
    for one in found:
        shown.add_row(
            out.short(one.name),
            out.short(one.failover_plan),
            word(pb.FailoverRun.Kind.DESCRIPTOR, one.kind),
            one.from_side,
            one.to_side,
            state_of(one),
            out.length(one.actual_rto) if one.HasField("actual_rto") else "-",
            one.started_by,
            out.minute(one.create_time),
        )
    return shown


def state_of(run: pb.FailoverRun) -> str:
    """Where a run stands, in words."""
    return word(pb.FailoverRun.State.DESCRIPTOR, run.state)


def show_run(run: pb.FailoverRun) -> None:
    """A run with its steps."""
    rows = [
        ("state", state_of(run) + (f": {run.reason}" if run.reason else "")),
        ("plan", f"{run.failover_plan}, version {run.plan_version}"),
        ("plan hash", run.plan_hash),
        ("from, to", f"{run.from_side} -> {run.to_side}"),
        ("mode", word(pb.FailoverRun.Mode.DESCRIPTOR, run.mode)),
        ("started by", run.started_by),
        ("fencing token", str(run.token)),
        ("recovery time", out.length(run.actual_rto) if run.HasField("actual_rto") else "-"),
        ("age of data", out.length(run.actual_rpo) if run.HasField("actual_rpo") else "-"),
    ]
    steps = out.table("step", "state", "tries", "what it came to", "by", right=["tries"])
    for one in run.steps:
        state = Text(word(pb.StepRun.State.DESCRIPTOR, one.state), style=_STYLES.get(one.state, ""))
        steps.add_row(one.step_id, state, str(one.attempts), one.detail or "-", one.actor or "-")
    out.show(out.heading(run.name), out.pairs(rows), out.heading("steps"), steps)
    if run.HasField("last_drill"):
        _show_comparison(run.last_drill)


def _show_comparison(drill: pb.DrillComparison) -> None:
    """A drill against the one before it."""
    shown = out.table("step", "took", "before", right=["took", "before"])
    for step in drill.steps:
        took = out.length(step.took) if step.HasField("took") else "-"
        shown.add_row(step.step_id, took, out.length(step.took_before) if step.HasField("took_before") else "-")
    same = "" if drill.same_plan else ", of another version of the plan"
    out.show(out.heading(f"against {out.short(drill.failover_run)}{same}"), shown)
    if drill.HasField("rto_change"):
        change = drill.rto_change.ToTimedelta().total_seconds()
        out.show(f"\nrecovery {abs(change):.3f} s {'slower' if change > 0 else 'faster'} than then")


def event_line(event: pb.FailoverRunEvent) -> str:
    """An event as one line."""
    what = event.kind.lower().replace("_", " ")
    by = f" by {event.actor}" if event.actor else ""
    detail = f": {event.detail}" if event.detail else ""
    return f"{out.moment(event.time)}  {what:<18} {event.step_id}{by}{detail}"


def show_health(health: pb.ServiceHealth) -> None:
    """How a service stands."""
    shown = out.table("side", "see it well", "see it down", "stands", right=["see it well", "see it down"])
    for side in health.sides:
        active = " (active)" if side.side_id == health.active_side else ""
        stands = "down" if side.is_down else "-"
        shown.add_row(side.side_id + active, str(side.well_votes), str(side.down_votes), stands)
    verdict = word(pb.ServiceHealth.Verdict.DESCRIPTOR, health.verdict)
    out.show(shown, f"\n{verdict}: {', '.join(health.reasons)}")
    if health.failover_run:
        out.show(f"run: {health.failover_run}")
    if health.refusal:
        out.show(f"no run starts by itself: {health.refusal}")


def show_advice(advice: pb.DrAdvice) -> None:
    """The four strategies: what each brings, what it costs, and what that was counted from."""
    facts = ("runs", "recovery", "data age")
    brings = out.table("strategy", *facts, "basis", "meets", "capacity there", "frontier", right=facts)
    money = ("capacity", "storage", "transfer", "a month", "loss a year", "in all a year")
    costs = out.table("strategy", *money, right=money)
    for one in advice.options:
        name = word(pb.DrStrategy.DESCRIPTOR, one.strategy)
        brings.add_row(
            name,
            str(one.running_instances),
            out.length(one.expected_rto),
            out.length(one.expected_rpo),
            one.basis,
            "yes" if one.meets_targets else "no",
            f"{one.capacity_probability:.0%}",
            "yes" if one.on_frontier else "-",
        )
        amounts = (
            one.capacity_cost,
            one.storage_cost,
            one.transfer_cost,
            one.monthly_cost,
            one.expected_loss_per_year,
            one.total_cost_per_year,
        )
        shown = [out.dollars(amount, 2) for amount in amounts]
        if not advice.HasField("loss_per_hour"):
            shown[4] = "-"
        costs.add_row(name, *shown)
    targets = f"recovery within {out.length(advice.rto_target)}, data no older than {out.length(advice.rpo_target)}"
    where = f"{out.cloud(advice.standby.cloud)} {advice.standby.region}"
    counted = [
        ("standby", f"{advice.instance_type} in {where}, {out.per_hour(advice.instance_price_per_hour)} each"),
        ("a month", f"{advice.hours_per_month:g} hours"),
        ("storage", f"{out.dollars(advice.storage_price_per_gib_month)} a GiB and month"),
        ("outages", f"{advice.outages_per_year:g} a year"),
        ("loss", f"{out.dollars(advice.loss_per_hour, 2)} an hour" if advice.HasField("loss_per_hour") else "not said"),
    ]
    advised = word(pb.DrStrategy.DESCRIPTOR, advice.advised) if advice.advised else "none of them"
    out.show(out.heading(f"asked for: {targets}"), brings, out.heading("what it costs"), costs)
    out.show(out.heading("counted with"), out.pairs(counted))
    out.show(f"\nadvised: {advised}, with a standby in {where}")


def show_verification(found: Verification) -> None:
    """What a check of evidence found."""
    rows = [
        ("run", found.run),
        ("events", f"{found.events:,}"),
        ("last link", found.chain_hash),
        ("recovery time", "-" if found.rto is None else out.length(found.rto)),
        ("age of data", "-" if found.rpo is None else out.length(found.rpo)),
    ]
    out.show(out.pairs(rows))
    if found.is_sound:
        out.show("\nsound: every byte is as it was written, and the times follow from the events")
    else:
        out.show(out.heading("NOT SOUND"), out.listed(found.faults))
