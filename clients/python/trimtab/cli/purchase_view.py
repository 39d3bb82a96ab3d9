"""Purchase plans as tables: what to buy, the proof, the bill, what else there is."""

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from trimtab import vocabulary
from trimtab.cli import output as out
from trimtab.plan_files import Checked
from trimtab.v1 import purchasing_service_pb2 as pb

_MOST_ROWS = 40
_MOST_DROPPED = 10


def plan_parts(plan: pb.PurchasePlan) -> Iterable[Table | Text | str]:
    """A whole plan."""
    yield Text(_verdict(plan), style="bold")
    if plan.purchases:
        yield out.heading("Buy")
        yield _purchases(plan)
    yield out.heading("Proof")
    yield out.pairs(_proof(plan.certificate))
    yield out.heading(f"Bill over {plan.horizon.seconds / 86_400:,.0f} days")
    yield out.pairs(_bill(plan.bill))
    if plan.alternatives:
        yield out.heading("Alternatives")
        yield _alternatives(plan)
    if plan.scenarios:
        yield out.heading("When the future differs")
        yield _scenarios(plan)
    if plan.policies:
        yield out.heading("What policies would have cost on this usage, over hindsight")
        yield policies(plan.policies)
    if plan.dropped_offers:
        yield out.heading(f"Offers not considered: {len(plan.dropped_offers)}")
        yield out.listed(
            f"{one.offer_id}: {_words(one.reason)}{f' by {one.dominated_by}' if one.dominated_by else ''}"
            for one in plan.dropped_offers[:_MOST_DROPPED]
        )
    notes = [*(_words(note) for note in plan.demand_notes), *plan.omissions]
    if notes:
        yield out.heading("To know")
        yield out.listed(notes)
    if plan.recommendation:
        yield Text(f"\nstored as {plan.recommendation}", style="dim")


def bill_parts(bill: pb.PurchaseBill) -> Iterable[Table | Text | str]:
    """A bill, plan by plan."""
    yield out.pairs([*_bill(bill), ("to the last digit", bill.total_cost_exact)], indent=0)
    if bill.plans:
        shown = out.table("plan", "cost", "used", "covers", right=["cost", "used", "covers"])
        for use in bill.plans:
            shown.add_row(use.commitment_id, out.dollars(use.cost), f"{use.utilization:.1%}", out.dollars(use.covered))
        yield out.heading("Plans")
        yield shown


def policies(tested: Iterable[pb.PolicyBacktest]) -> Table:
    """What each policy would have cost."""
    shown = out.table(
        "policy", "decisions", "mean regret", "worst", "ratio", right=["decisions", "mean regret", "worst", "ratio"]
    )
    for one in tested:
        shown.add_row(
            one.policy_id,
            str(one.decisions or "-"),
            f"{one.mean_regret:.2%}",
            f"{one.worst_regret:.2%}" if one.decisions else "-",
            f"{one.ratio_to_hindsight:.4f}",
        )
    return shown


def ladder_parts(ladder: pb.PurchaseLadder) -> Iterable[Table | Text | str]:
    """The steps; only the first is to be made now."""
    if not ladder.steps:
        yield "nothing to buy: what is owned suffices, or the usage ends too soon"
    shown = out.table("when", "in force", "buy", "then", "return until", "ends", right=["in force", "buy", "then"])
    for step in ladder.steps:
        shown.add_row(
            out.day_of(step.purchase_time),
            out.per_hour(step.before_per_hour),
            out.per_hour(step.buy_per_hour),
            out.per_hour(step.target_per_hour),
            out.day_of(step.return_until),
            out.day_of(step.end_time),
        )
    if shown.row_count:
        yield shown
    if ladder.policy.policy_id:
        yield Text(
            f"\nThe policy behind it cost {ladder.policy.ratio_to_hindsight:.4f} x hindsight on this history.",
            style="dim",
        )


def shadow_parts(prices: pb.ShadowPrices) -> Iterable[Table | Text | str]:
    """Hours of the week with the most idle room."""
    yield f"a committed dollar is idle in {prices.idle_fraction:.1%} of the hours"
    ranked = sorted(enumerate(prices.idle_by_hour_of_week), key=lambda pair: (-pair[1], pair[0]))
    shown = out.table("hour of the week (UTC)", "idle", right=["idle"])
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    for hour, share in ranked[:24]:
        if share > 0.0:
            shown.add_row(f"{days[hour // 24]} {hour % 24:02}:00", f"{share:.0%}")
    if shown.row_count:
        yield out.heading("Deferrable work belongs here")
        yield shown


def provider_parts(found: pb.ProviderRecommendation) -> Iterable[Table | Text | str]:
    """What the provider says."""
    yield out.pairs(
        [
            ("commit", out.per_hour(found.commitment_per_hour)),
            ("saves a month", out.dollars(found.monthly_saving)),
            ("utilisation", f"{found.utilization:.1%}"),
            ("upfront", out.dollars(found.upfront_cost)),
            ("made", out.moment(found.as_of)),
        ],
        indent=0,
    )


def checked_parts(checked: Checked) -> Iterable[Table | Text | str]:
    """What recomputing the proof found."""
    rows = [
        ("cost", f"{checked.cost:,.6f}" if checked.cost is not None else "the provider's bill, as stated"),
        ("lower bound", f"{checked.bound:,.6f}"),
        ("gap", f"{checked.gap:.3e} (stated {checked.stated_gap:.3e})"),
    ]
    yield out.pairs(rows, indent=0)
    for fault in checked.faults:
        yield Text(f"does not hold: {fault}", style="red")
    if checked.is_optimal:
        yield Text("holds: no portfolio of these offers is cheaper by more than one part in 1e9", style="green")
    elif not checked.faults:
        yield Text(f"holds: no portfolio of these offers is cheaper by more than {checked.gap:.2%}", style="yellow")


def _verdict(plan: pb.PurchasePlan) -> str:
    saving = vocabulary.amount_of(plan.on_demand_cost) - vocabulary.amount_of(plan.total_cost)
    return {
        pb.PurchasePlan.VERDICT_BUY: f"buy: {plan.effective_savings_rate:.2%} of {out.dollars(plan.on_demand_cost)} "
        f"are saved ({saving:,.2f}); {plan.coverage:.1%} covered, {plan.utilization:.1%} of it used",
        pb.PurchasePlan.VERDICT_BUY_NOTHING: "buy nothing: what is owned suffices, or nothing is cheaper",
        pb.PurchasePlan.VERDICT_UNSUPPORTED: "no offer covers any of the usage",
        pb.PurchasePlan.VERDICT_NO_USAGE: "there is no usage",
    }.get(plan.verdict, "no verdict")


def _purchases(plan: pb.PurchasePlan) -> Table:
    numbers = ["per hour", "saves", "used", "pays from", "may fall"]
    shown = out.table("offer", *numbers, "return until", "ends", right=numbers)
    ordered = sorted(plan.purchases, key=lambda one: -vocabulary.amount_of(one.commitment_per_hour))
    for one in ordered[:_MOST_ROWS]:
        shown.add_row(
            one.offer.offer_id,
            out.per_hour(one.commitment_per_hour),
            out.dollars(one.saving, 2),
            f"{one.utilization:.1%}",
            f"{one.break_even_utilization:.0%}",
            f"{one.fall_tolerance:.0%}",
            out.day_of(one.return_until),
            out.day_of(one.end_time),
        )
    if len(ordered) > _MOST_ROWS:
        shown.add_row(f"and {len(ordered) - _MOST_ROWS} more")
    return shown


def _proof(proof: pb.OptimalityCertificate) -> list[tuple[str, str]]:
    ending = vocabulary.word(pb.OptimalityCertificate.Ending.DESCRIPTOR, proof.ending)
    rows = [
        ("cost", out.dollars(proof.cost, 6)),
        ("no plan costs less than", out.dollars(proof.lower_bound, 6)),
        ("gap", f"{proof.gap:.2e} ({ending}{', of a relaxation' if proof.is_relaxation else ''})"),
        ("found in", f"{proof.solve_seconds:.2f} s"),
    ]
    if proof.HasField("billed_cost"):
        rows.insert(2, ("as billed, rounded", f"{out.dollars(proof.billed_cost, 6)} (gap {proof.billed_gap:.2e})"))
    size = len(proof.evidence)
    rows.append(("evidence", f"{size:,} bytes; check it with: trimtab purchase verify" if size else "left out"))
    return rows


def _bill(bill: pb.PurchaseBill) -> list[tuple[str, str]]:
    return [
        ("on demand", out.dollars(bill.on_demand_equivalent)),
        ("commitments", f"{out.dollars(bill.commitment_cost)}, of which unused {out.dollars(bill.unused_cost)}"),
        ("not covered", out.dollars(bill.uncovered_cost)),
        ("total", out.dollars(bill.total_cost)),
        (
            "rates",
            (
                f"coverage {bill.coverage:.1%}, utilisation {bill.utilization:.1%}, "
                f"effective savings {bill.effective_savings_rate:.2%}"
            ),
        ),
    ]


def _alternatives(plan: pb.PurchasePlan) -> Table:
    numbers = ["cost", "saves", "commits", "dearer"]
    shown = out.table("plan", *numbers, right=numbers)
    best = vocabulary.amount_of(plan.total_cost)
    for one in plan.alternatives:
        cost = vocabulary.amount_of(one.cost)
        shown.add_row(
            one.alternative_id,
            out.dollars(one.cost),
            f"{one.effective_savings_rate:.2%}",
            out.per_hour(one.commitment_per_hour),
            f"{float(cost / best) - 1:.2%}" if best else "-",
        )
    return shown


def _scenarios(plan: pb.PurchasePlan) -> Table:
    shown = out.table("future", "cost", "best", "regret", right=["cost", "best", "regret"])
    for one in plan.scenarios:
        shown.add_row(one.scenario_id, out.dollars(one.cost), out.dollars(one.best_cost), f"{one.regret:.2%}")
    shown.add_row("mean of the worst 5 %", out.dollars(plan.cvar_95), "", "")
    return shown


def _words(constant: str) -> str:
    return constant.lower().replace("_", " ")
