"""How recommendations are shown to people."""

from collections.abc import Iterable
from typing import Final

from rich.table import Table
from rich.text import Text

from trimtab import vocabulary
from trimtab.cli import output as out
from trimtab.v1 import recommendation_service_pb2 as pb

_NOT_MEASURED: Final = "NOT_MEASURED_YET"


def state(one: pb.Recommendation) -> str:
    """`active`."""
    return vocabulary.word(pb.Recommendation.State.DESCRIPTOR, one.state)


def saving(one: pb.Recommendation) -> str:
    """What a month saves; negative costs more."""
    total = sum(vocabulary.amount_of(impact.cost) for impact in (one.primary_impact, *one.additional_impacts))
    return out.dollars(vocabulary.money(-total), 2)


def listing(found: Iterable[pb.Recommendation]) -> Table:
    """One row a recommendation."""
    shown = out.table(
        "recommendation", "priority", "state", "kind", "resource", "to", "saving/month", right=["saving/month"]
    )
    for one in found:
        shown.add_row(
            out.short(one.name),
            vocabulary.word(pb.Recommendation.Priority.DESCRIPTOR, one.priority).upper(),
            state(one) + (f" by {one.claimed_by}" if one.state == pb.Recommendation.STATE_CLAIMED else ""),
            vocabulary.word(pb.Recommendation.Kind.DESCRIPTOR, one.kind),
            one.resource.resource_id,
            target(one),
            saving(one),
        )
    return shown


def target(one: pb.Recommendation) -> str:
    """What it would become."""
    if one.kind == pb.Recommendation.KIND_STOP:
        return "stopped"
    option = one.rightsizing_option
    if not option.instance_type:
        return "-"
    return option.instance_type if option.count <= 1 else f"{option.count} x {option.instance_type}"


def show(one: pb.Recommendation) -> None:
    """All of one: what it says, what would be done, what became of it."""
    rows: list[tuple[str, str | Text]] = [
        ("recommendation", one.name),
        ("", one.summary),
        ("state", f"{state(one)}, etag {one.etag}, changed {out.moment(one.update_time)}"),
        ("priority", vocabulary.word(pb.Recommendation.Priority.DESCRIPTOR, one.priority).upper()),
        ("saving/month", saving(one)),
        ("confidence", f"{one.confidence:.0%}"),
        ("reasons", ", ".join(one.reasons) or "-"),
    ]
    if one.HasField("expire_time"):
        rows.append(("expires", out.moment(one.expire_time)))
    for label, value in (
        ("claimed by", one.claimed_by),
        ("approval asked by", one.approval_source),
        ("superseded by", one.superseded_by),
        ("rolls back", one.rolls_back),
    ):
        if value:
            rows.append((label, value))
    if one.HasField("approval"):
        rows.append(("approved by", f"{one.approval.approver} until {out.moment(one.approval.expire_time)}"))
    rows += [(key, value) for key, value in sorted(one.state_metadata.items())]
    out.show(out.pairs(rows))
    _show_operations(one)
    if one.HasField("realized_impact"):
        out.show(out.heading("Realised"), out.pairs(_realized(one.realized_impact)))
    steps = out.table("  when", "from", "to", "by", "reason", "comment")
    for step in one.history:
        steps.add_row(
            "  " + out.moment(step.time),
            vocabulary.word(pb.Recommendation.State.DESCRIPTOR, step.from_state) if step.from_state else "-",
            vocabulary.word(pb.Recommendation.State.DESCRIPTOR, step.to_state),
            step.actor,
            vocabulary.word(pb.TransitionReason.DESCRIPTOR, step.reason),
            step.comment,
        )
    if one.history:
        out.show(out.heading("History"), steps)


def show_application(answer: pb.ApplyRecommendationResponse) -> None:
    """A dry run, or what was done."""
    shown = out.table("operation", "field", "now" if not answer.executed else "before", "then", "outcome", "detail")
    for entry in answer.operations:
        _add_operation(shown, entry)
    if answer.operations:
        out.show(shown)
    if answer.executed:
        done = "undone" if any(entry.rollback for entry in answer.operations) else "carried out"
        out.show(f"\n{done}: the recommendation is {state(answer.recommendation)}")
    elif answer.obstacles:
        out.show("\nmay not be carried out now: " + ", ".join(answer.obstacles))
        for detail in answer.obstacle_details:
            out.show(f"  - {detail}")
    else:
        out.show("\nmay be carried out; nothing was changed (give --execute)")


def totals(answer: pb.SummarizeRecommendationsResponse) -> Table:
    """A row a group, and the total."""
    numbers = ("count", "left out", "promised", "applied", "realised")
    shown = out.table("group", *numbers, right=numbers)
    for row in answer.rows:
        shown.add_row(_group(row) or "-", *_figures(row))
    shown.add_row("total", *_figures(answer.total))
    return shown


def _figures(row: pb.RecommendationTotals) -> list[str]:
    money = (row.promised_monthly_saving, row.applied_monthly_saving, row.realized_monthly_saving)
    return [out.count(row.count), out.count(row.excluded_count), *(out.dollars(one, 2) for one in money)]


def _group(row: pb.RecommendationTotals) -> str:
    parts = [row.team, row.account]
    if row.kind:
        parts.append(vocabulary.word(pb.Recommendation.Kind.DESCRIPTOR, row.kind))
    if row.state:
        parts.append(vocabulary.word(pb.Recommendation.State.DESCRIPTOR, row.state))
    if row.cloud:
        parts.append(out.cloud(row.cloud))
    return " ".join(part for part in parts if part)


def _show_operations(one: pb.Recommendation) -> None:
    if one.applied_operations:
        shown = out.table("  operation", "field", "before", "then", "outcome", "detail")
        for entry in one.applied_operations:
            _add_operation(shown, entry, "  ")
        out.show(out.heading("Applied"), shown)
        return
    planned = out.table("  operation", "field", "now", "then")
    for group in one.operation_groups:
        for operation in group.operations:
            kind = vocabulary.word(pb.Operation.Kind.DESCRIPTOR, operation.kind)
            for change in operation.changes:
                planned.add_row(f"  {kind}", change.field, change.before or "-", change.after)
    if one.operation_groups:
        out.show(out.heading("Would be done"), planned)


def _add_operation(shown: Table, entry: pb.AppliedOperation, indent: str = "") -> None:
    kind = vocabulary.word(pb.Operation.Kind.DESCRIPTOR, entry.operation.kind)
    outcome = vocabulary.word(pb.AppliedOperation.Outcome.DESCRIPTOR, entry.outcome) if entry.outcome else "-"
    changes = entry.operation.changes
    # The journal's word for a change that went as planned says what the row says.
    is_plain = entry.detail == "; ".join(f"{one.field} {one.before} -> {one.after}" for one in changes)
    name, detail = f"{indent}{kind}" + (" (back)" if entry.rollback else ""), "" if is_plain else entry.detail
    for change in changes:
        shown.add_row(name, change.field, change.before or "-", change.after, outcome, detail)
        detail = ""


def _realized(impact: pb.RealizedImpact) -> list[tuple[str, str | Text]]:
    rows: list[tuple[str, str | Text]] = [
        ("saved", f"{out.dollars(impact.saving, 2)} in {impact.running_hours:,.1f} h"),
        ("promised by then", out.dollars(impact.promised_saving, 2)),
    ]
    promised = f"promised {impact.promised_exceedance:.2%}"
    if impact.reason == _NOT_MEASURED:
        # A month told from a minute, and none exceeded of no interval, would be figures of nothing.
        rows.append(("exceeded", f"not measured yet, {promised}"))
    else:
        rows.append(("a month", out.dollars(impact.monthly_saving, 2)))
        rows.append(("exceeded", f"{impact.exceedance:.2%} of intervals, {promised}"))
    if impact.reason:
        rows.append(("note", impact.reason))
    if impact.regression:
        rows.append(("regression", impact.rollback_recommendation or "yes"))
    return rows
