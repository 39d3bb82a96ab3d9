"""`trimtab purchase`: how capacity should be bought, with a proof that anyone can check."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from trimtab import plan_files
from trimtab.cli import exits
from trimtab.cli import output as out
from trimtab.cli import purchase_view as view
from trimtab.cli.connection import Connection, Output
from trimtab.cli.demand_files import pooled
from trimtab.cli.files import read_messages
from trimtab.cli.flags import command
from trimtab.cli.purchase_flags import DemandFlags, commitment_kind, read_offers, read_plans
from trimtab.cli.purchase_plot import draw_ladder, draw_plan
from trimtab.cli.values import duration, parse
from trimtab.purchasing import MOST_MESSAGE_BYTES, keep_use
from trimtab.v1 import purchasing_service_pb2 as pb

OWNED = Annotated[
    Path | None,
    typer.Option("--owned", metavar="FILE", help="OwnedPlan list as YAML or JSON, beside the project's own."),
]
PLANS = Annotated[Path | None, typer.Option("--plans", metavar="FILE", help="OwnedPlan list as YAML or JSON.")]
_YEAR: Final = timedelta(hours=8_760)
_EVIDENCE_BYTES: Final = 48 * 2**20
_DAYS: Final = (7, 30, 60)


def add_commands(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Plan purchases of commitments, with a proof.")
    for name, function in (
        ("optimize", optimize),
        ("verify", verify),
        ("evaluate", evaluate),
        ("backtest", backtest),
        ("ladder", ladder),
        ("shadow", shadow),
        ("provider", provider),
    ):
        command(group, name)(function)
    app.add_typer(group, name="purchase")


def optimize(  # noqa: PLR0913 - a command's options
    *,
    offers: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="PurchaseOffer list as YAML or JSON; family '*' is each that is used."),
    ] = None,
    with_catalog: Annotated[
        bool, typer.Option("--with-catalog", help="Also what the catalogue prices; without --offers always.")
    ] = False,
    owned: OWNED = None,
    horizon: Annotated[str, typer.Option(metavar="DURATION", help="Absent: as long as the usage.")] = "",
    capital: Annotated[float, typer.Option(min=0.0, max=1.0, help="Cost of capital a year, as 0.08.")] = 0.0,
    store: Annotated[bool, typer.Option("--store", help="Keep the plan as a recommendation.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="PREFIX", help="Draw PREFIX-curve.png, -usage.png, -coverage.png, ...")
    ] = None,
    file: Annotated[Path | None, typer.Option("--out", metavar="PLAN.json", help="Write plan and proof.")] = None,
    demand: DemandFlags,
    output: Output,
    connection: Connection,
) -> None:
    """Find the cheapest portfolio for the usage, and prove it.

    trimtab purchase optimize --demand usage.parquet --offers offers.yaml --out plan.json

    Exit code 3: no offer covers the usage, or there is none.
    """
    request = pb.OptimizePurchasePlanRequest(
        demand=demand.message(),
        owned=read_plans(owned, "--owned"),
        annual_capital_fraction=capital,
        validate_only=not store,
        max_evidence_bytes=_EVIDENCE_BYTES,
    )
    if offers is not None:
        request.offers.extend(read_offers(offers, request.demand))
        request.only_given_offers = not with_catalog
    if horizon:
        request.horizon.FromTimedelta(parse("--horizon", duration, horizon))
    with connection.client() as client:
        if request.ByteSize() > MOST_MESSAGE_BYTES:
            plan = client.purchasing.stream_optimize_purchase_plan(request)
        else:
            plan = client.purchasing.optimize_purchase_plan(request)
    if file is not None:
        _write(file, plan_files.to_text(plan))
    if output.json:
        out.show_json(plan)
    else:
        out.show(*view.plan_parts(plan))
    if plot is not None:
        _drawn(lambda: draw_plan(plan, plot))
    none = {pb.PurchasePlan.VERDICT_UNSUPPORTED, pb.PurchasePlan.VERDICT_NO_USAGE}
    raise typer.Exit(exits.Exit.NO_PLACE if plan.verdict in none else exits.Exit.OK)


def verify(
    file: Annotated[Path, typer.Argument(metavar="PLAN.json", help="As `optimize --out` wrote it.")],
    *,
    output: Output,
) -> None:
    """Recompute a plan's proof from its evidence, without a server and with code of its own.

    Exit code 1: it does not hold, or a number was changed.
    """
    try:
        plan, changed = plan_files.from_text(file.read_text(encoding="utf-8"))
        checked = plan_files.check(plan)
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror or error}", param_hint="PLAN.json") from None
    except ValueError as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="PLAN.json") from None
    found = plan_files.Checked(
        checked.cost, checked.bound, checked.gap, checked.stated_gap, (*changed, *checked.faults)
    )
    if output.json:
        out.show_document(
            {
                "holds": not found.faults,
                "cost": found.cost,
                "lowerBound": found.bound,
                "gap": found.gap,
                "statedGap": found.stated_gap,
                "faults": list(found.faults),
            }
        )
    else:
        out.show(*view.checked_parts(found))
    raise typer.Exit(exits.Exit.FAILED if found.faults else exits.Exit.OK)


def evaluate(
    *,
    plans: PLANS = None,
    with_project: Annotated[bool, typer.Option("--with-project", help="Bill the project's own as well.")] = False,
    demand: DemandFlags,
    output: Output,
    connection: Connection,
) -> None:
    """Bill usage under a portfolio, in the provider's order and to the last digit."""
    request = pb.EvaluatePurchasePlanRequest(
        demand=demand.message(), plans=read_plans(plans, "--plans"), include_project_commitments=with_project
    )
    with connection.client() as client:
        large = request.ByteSize() > MOST_MESSAGE_BYTES
        method = client.purchasing.stream_evaluate_purchase_plan if large else client.purchasing.evaluate_purchase_plan
        bill = method(request)
    if output.json:
        out.show_json(bill)
    else:
        out.show(*view.bill_parts(bill))


def backtest(  # noqa: PLR0913 - a command's options
    *,
    rate: Annotated[float, typer.Option(help="Plan money per on-demand money: 0.6 is a discount of 40 %.")],
    term: Annotated[str, typer.Option(metavar="DURATION", help="Absent: a year of 8,760 hours.")] = "",
    family_locked: Annotated[
        bool, typer.Option("--family-locked", help="A plan for each series, instead of one for all.")
    ] = False,
    demand: DemandFlags,
    output: Output,
    connection: Connection,
) -> None:
    """What each policy of buying would have cost on this history, against hindsight."""
    usage = demand.message()
    request = pb.BacktestPurchasePolicyRequest(
        demand=usage if family_locked or demand.inventory else pooled(usage), rate=rate, family_locked=family_locked
    )
    if term:
        request.term.FromTimedelta(parse("--term", duration, term))
    with connection.client() as client:
        answer = client.purchasing.backtest_purchase_policy(request)
    if output.json:
        out.show_json(answer)
        return
    if answer.decisions:
        out.show(out.heading("One decision, then pay for the term"), view.policies(answer.decisions))
    if answer.ladders:
        out.show(out.heading("Repeated purchases"), view.policies(answer.ladders))
    if not (answer.decisions or answer.ladders):
        out.show(f"too short: {answer.months} months, and {answer.months_needed} are needed")
        raise typer.Exit(exits.Exit.NO_PLACE)


def ladder(  # noqa: PLR0913 - a command's options
    *,
    offers: Annotated[Path, typer.Option(metavar="FILE", help="The one PurchaseOffer that is bought step by step.")],
    owned: OWNED = None,
    steps: Annotated[int, typer.Option(min=1, max=60, help="Steps to plan.")] = 12,
    cadence: Annotated[str, typer.Option(metavar="DURATION", help="Between purchases; absent: a month.")] = "",
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the calendar.")] = None,
    demand: DemandFlags,
    output: Output,
    connection: Connection,
) -> None:
    """Plan purchases over the coming months. Only the first step is to be made now."""
    found = read_messages(offers, pb.PurchaseOffer, "offers", "--offers")
    if len(found) != 1:
        raise typer.BadParameter("a ladder is of one offer", param_hint="--offers")
    request = pb.PlanLadderRequest(
        demand=demand.message(), offer=found[0], owned=read_plans(owned, "--owned"), steps=steps
    )
    if cadence:
        request.cadence.FromTimedelta(parse("--cadence", duration, cadence))
    with connection.client() as client:
        answer = client.purchasing.plan_ladder(request)
    if output.json:
        out.show_json(answer)
    else:
        out.show(*view.ladder_parts(answer))
    if plot is not None:
        _drawn(lambda: draw_ladder(answer, plot))


def shadow(
    *,
    plans: PLANS = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Tell placement: keep the use by the hour with the project's commitments.")
    ] = False,
    demand: DemandFlags,
    output: Output,
    connection: Connection,
) -> None:
    """Say when a committed dollar is idle: deferrable work belongs there."""
    request = pb.GetShadowPricesRequest(demand=demand.message(), plans=read_plans(plans, "--plans"))
    with connection.client() as client:
        large = request.ByteSize() > MOST_MESSAGE_BYTES
        method = client.purchasing.stream_get_shadow_prices if large else client.purchasing.get_shadow_prices
        prices = method(request)
        kept = keep_use(client, prices) if keep else None
    if output.json:
        out.show_json(prices)
    else:
        out.show(*view.shadow_parts(prices))
    if kept is not None:
        out.console(stderr=True).print(Text(f"kept with {kept} commitments", style="dim"))


def provider(  # noqa: PLR0913 - a command's options
    telemetry_source: Annotated[str, typer.Argument(metavar="SOURCE", help="A configured account.")],
    *,
    kind: Annotated[str, typer.Option(help="As aws-compute-savings-plan.")] = "aws-compute-savings-plan",
    years: Annotated[int, typer.Option(min=1, max=3, help="1 or 3.")] = 1,
    lookback_days: Annotated[int, typer.Option(help="7, 30 or 60.")] = 30,
    output: Output,
    connection: Connection,
) -> None:
    """Fetch what the provider itself recommends, to compare."""
    if lookback_days not in _DAYS:
        raise typer.BadParameter("7, 30 or 60", param_hint="--lookback-days")
    request = pb.FetchProviderRecommendationRequest(
        telemetry_source=telemetry_source, kind=parse("--kind", commitment_kind, kind)
    )
    request.term.FromTimedelta(years * _YEAR)
    request.lookback.FromTimedelta(timedelta(days=lookback_days))
    with connection.client() as client:
        found = client.purchasing.fetch_provider_recommendation(request)
    if output.json:
        out.show_json(found)
    else:
        out.show(*view.provider_parts(found))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror or error}", param_hint="--out") from None
    out.console(stderr=True).print(Text(f"written: {path}", style="dim"))


def _drawn(draw: Callable[[], list[Path]]) -> None:
    try:
        paths = draw()
    except ImportError:
        raise typer.BadParameter("needs the extra `plot`: pip install 'trimtab[plot]'", param_hint="--plot") from None
    except OSError as error:
        raise typer.BadParameter(error.strerror or str(error), param_hint="--plot") from None
    for path in paths:
        out.console(stderr=True).print(Text(f"drawn: {path}", style="dim"))
