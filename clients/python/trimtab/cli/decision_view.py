"""A decision as people read it: the place, what it costs and why, where else to go, and why not elsewhere."""

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from trimtab import vocabulary
from trimtab.cli import output as out
from trimtab.v1 import placement_service_pb2 as pb
from trimtab.v1 import types_pb2

_STYLES = {
    pb.Decision.VERDICT_PLACED: "bold green",
    pb.Decision.VERDICT_STAY: "bold green",
    pb.Decision.VERDICT_INFEASIBLE: "bold red",
    pb.Decision.VERDICT_UNSUPPORTED: "bold yellow",
}
_STALE_DAYS = 90
_RISKS = ("not interruptible", "very low", "low", "medium", "high", "very high")

Part = Table | Text | str


def decision_parts(decision: pb.Decision) -> list[Part]:
    """Everything worth printing of a decision, in reading order."""
    parts: list[Part] = [_headline(decision)]
    if decision.HasField("chosen"):
        parts += _chosen(decision.chosen)
    if decision.HasField("start_advice"):
        parts += [out.heading("Best start"), _start(decision.start_advice)]
    if decision.fallbacks:
        parts += [out.heading("Fallbacks"), _fallbacks(decision)]
    if decision.relaxations:
        parts += [out.heading("What would make it feasible"), _relaxations(decision.relaxations)]
    if decision.rejected_regions:
        parts += [out.heading("Rejected regions"), _rejections(decision.rejected_regions)]
    if decision.HasField("explanation"):
        parts += explanation_parts(decision.explanation)
    if decision.notes:
        parts += [out.heading("Notes"), out.listed(decision.notes)]
    parts += [out.heading("Decision"), _provenance(decision)]
    return parts


def explanation_parts(explanation: pb.Explanation) -> list[Part]:
    """Why everything else was not chosen."""
    parts: list[Part] = [
        out.heading("Explanation"),
        f"  {explanation.offers:,} offers looked at, {explanation.feasible_offers:,} feasible",
    ]
    if explanation.rejected_offers:
        parts += [out.heading("Rejected offers"), _rejections(explanation.rejected_offers)]
    if explanation.candidates:
        made = out.table("  best rejected", "type", "bought", "cost", "reason", "would win", right=["cost"])
        for candidate in explanation.candidates:
            made.add_row(
                f"  {out.place(candidate.offer)}",
                candidate.offer.instance_type,
                out.option(candidate.offer.purchase_option),
                out.dollars(candidate.expected_cost) if candidate.HasField("expected_cost") else "-",
                candidate.reason,
                candidate.would_win,
            )
        parts += ["", made]
    return parts


def decision_row(decision: pb.Decision) -> list[str]:
    """A decision in one row: verdict, place, type, bought, cost, risk."""
    verdict = vocabulary.word(pb.Decision.Verdict.DESCRIPTOR, decision.verdict)
    if not decision.HasField("chosen"):
        return [verdict, "-", "-", "-", "-", "-"]
    chosen = decision.chosen
    return [
        verdict,
        f"{out.cloud(chosen.offer.cloud)} {chosen.offer.region}",
        chosen.offer.instance_type,
        out.option(chosen.offer.purchase_option),
        out.dollars(chosen.expected_cost),
        str(chosen.risk),
    ]


def _headline(decision: pb.Decision) -> Text:
    verdict = vocabulary.word(pb.Decision.Verdict.DESCRIPTOR, decision.verdict).upper()
    line = Text(verdict, style=_STYLES.get(decision.verdict, "bold"))
    if decision.HasField("chosen"):
        offer = decision.chosen.offer
        facts = (out.place(offer), offer.instance_type, out.option(offer.purchase_option))
        line.append("  " + "  ".join(facts), style="bold")
        line.append(f"  {out.dollars(decision.chosen.expected_cost)}", style="bold cyan")
    return line


def _chosen(chosen: pb.Placement) -> list[Part]:
    offer = chosen.offer
    price = f"{out.per_hour(offer.price_per_hour)}  {out.basis(offer)}, of {out.day(offer.price_as_of)}"
    price += f" ({chosen.price_age_days} days old)"
    estimated = offer.price_basis == types_pb2.PRICE_BASIS_ESTIMATED or chosen.price_age_days > _STALE_DAYS
    rows: list[tuple[str, str | Text]] = [("price", Text(price, style="yellow" if estimated else ""))]
    rows.append(("billed", f"{out.count(chosen.billed_hours)} h an instance"))
    if chosen.zones:
        rows.append(("zones", ", ".join(f"{share.zone} x{share.count}" for share in chosen.zones)))
    rows.append(("interruptions", f"{out.count(chosen.expected_interruptions)} expected"))
    if chosen.HasField("checkpoint_interval"):
        rows.append(("checkpoints", f"every {out.length(chosen.checkpoint_interval)}"))
    rows.append(("risk", _risk(chosen.risk)))
    if chosen.latency_ms:
        rows.append(("latency", f"{out.count(chosen.latency_ms)} ms to the users (estimate)"))
    if chosen.commitments:
        names = ", ".join(out.short(name) for name in chosen.commitments)
        rows.append(("commitments", f"{names} cover {out.count(chosen.covered_instances)} of the instances"))
    return [out.pairs(rows), out.heading("Expected cost"), _terms(chosen)]


def _terms(chosen: pb.Placement) -> Table:
    """The terms with the precision of their sum, so that they visibly add up."""
    places = out.places_for(chosen.expected_cost)
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column()
    made.add_column(justify="right")
    for term in chosen.terms:
        made.add_row(f"  {vocabulary.word(types_pb2.CostKind.DESCRIPTOR, term.kind)}", out.dollars(term.amount, places))
    made.add_row(Text("  total", style="bold"), Text(out.dollars(chosen.expected_cost, places), style="bold cyan"))
    return made


def _start(advice: pb.StartAdvice) -> Table:
    cost = out.dollars(advice.expected_cost)
    if advice.saving.units or advice.saving.nanos:
        cost += f", {out.dollars(advice.saving)} less than now"
    elif not advice.HasField("cost_now"):
        cost += ", and not to be had now"
    rows: list[tuple[str, str | Text]] = [
        ("start", Text(out.moment(advice.start_time), style="bold cyan")),
        ("where", f"{out.place(advice.offer)}, {advice.offer.instance_type}"),
        ("cost", cost),
    ]
    if advice.commitments:
        names = ", ".join(out.short(name) for name in advice.commitments)
        covered = f"{out.count(advice.covered_instance_hours)} of {out.count(advice.instance_hours)} instance-hours"
        rows.append(("commitments", f"{names} cover {covered}"))
    rows.append(("compared", f"{advice.starts} starts"))
    return out.pairs(rows)


def _fallbacks(decision: pb.Decision) -> Table:
    made = out.table("  place", "type", "bought", "cost", "more", "risk", "other", right=["cost", "more", "risk"])
    chosen = vocabulary.amount_of(decision.chosen.expected_cost)
    for fallback in decision.fallbacks:
        more = (vocabulary.amount_of(fallback.expected_cost) - chosen) / chosen if chosen else None
        made.add_row(
            f"  {out.place(fallback.offer)}",
            fallback.offer.instance_type,
            out.option(fallback.offer.purchase_option),
            out.dollars(fallback.expected_cost),
            "-" if more is None else f"{more:+.1%}",
            str(fallback.risk),
            vocabulary.word(pb.FailureDomain.DESCRIPTOR, fallback.differs_by),
        )
    return made


def _relaxations(relaxations: Iterable[pb.Relaxation]) -> Table:
    made = out.table("  field", "change", "then", "cost", right=["cost"])
    for relaxation in relaxations:
        offer = relaxation.place.offer
        then = f"{out.place(offer)} {offer.instance_type} {out.option(offer.purchase_option)}"
        shown = relaxation.HasField("place")
        made.add_row(
            f"  {relaxation.field}",
            relaxation.change,
            then if shown else "-",
            out.dollars(relaxation.place.expected_cost) if shown else "-",
        )
    return made


def _rejections(rejections: Iterable[types_pb2.RejectionCount]) -> Table:
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column()
    made.add_column(justify="right")
    for rejection in sorted(rejections, key=lambda one: (-one.count, one.reason)):
        made.add_row(f"  {rejection.reason}", f"{rejection.count:,}")
    return made


def _provenance(decision: pb.Decision) -> Table:
    revisions = decision.revisions
    rows: list[tuple[str, str | Text]] = [
        ("name", decision.name or "-"),
        ("made", f"{out.moment(decision.create_time)}, valid until {out.moment(decision.valid_until)}"),
    ]
    if decision.workload_id:
        rows.append(("workload", decision.workload_id))
    if decision.HasField("release_time"):
        rows.append(("reserved", f"given back {out.moment(decision.release_time)}"))
    elif decision.reserved:
        rows.append(("reserved", "room is held until then"))
    if decision.approval_required_by:
        rows.append(("approval", Text(f"needed first, by {decision.approval_required_by}", style="yellow")))
    rows.append(
        (
            "made with",
            (
                f"catalogue {out.version(revisions.catalog_version)}, policies {revisions.policy_revision}, "
                f"learned {revisions.learned_revision}, commitments {revisions.commitment_revision}"
            ),
        )
    )
    if revisions.hours_per_month:
        rows.append(
            (
                "counted as",
                f"{out.count(revisions.hours_per_month)} h a month, {out.count(revisions.hours_per_year)} h a year",
            )
        )
    return out.pairs(rows)


def _risk(risk: int) -> str:
    return f"{risk} of 5, {_RISKS[risk]}" if 0 <= risk < len(_RISKS) else str(risk)
