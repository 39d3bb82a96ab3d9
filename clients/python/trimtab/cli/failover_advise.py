"""`trimtab failover advise`: the four strategies, priced; the frontier as a picture."""

from pathlib import Path
from typing import Annotated

import typer

from trimtab import vocabulary
from trimtab.cli import failover_view as view
from trimtab.cli import output as out
from trimtab.cli.connection import Connection, Output
from trimtab.cli.exits import Exit
from trimtab.cli.failover_words import criticality_of
from trimtab.cli.values import duration, gib, parse
from trimtab.cli.workload_flags import WorkloadFlags
from trimtab.cli.workload_parse import workload_of
from trimtab.v1 import failover_service_pb2 as pb


def advise(  # noqa: PLR0913 - a command's options
    *,
    primary: Annotated[str, typer.Option(metavar="CLOUD:REGION", help="Where it runs, as aws:us-east-1.")],
    rto: Annotated[str, typer.Option(metavar="DURATION", help="Time that a recovery may take, as 30m.")] = "",
    rpo: Annotated[str, typer.Option(metavar="DURATION", help="Age that data may have after it, as 5m.")] = "",
    criticality: Annotated[
        str,
        typer.Option(
            metavar="WORD",
            help="Targets that are not given: low (24h, 24h), medium (4h, 10m), high (15m, 30s), mission (1m, 1s).",
        ),
    ] = "",
    standby: Annotated[str, typer.Option(metavar="CLOUD:REGION", help="Absent: the cheapest other region.")] = "",
    data_held: Annotated[str, typer.Option(metavar="SIZE", help="Data that is replicated, as 2TiB.")] = "",
    changed: Annotated[str, typer.Option(metavar="SIZE", help="Data that changes a day.")] = "",
    storage_price: Annotated[
        str, typer.Option(metavar="USD", help="Of a GiB of the copy and month; absent: 0.023.")
    ] = "",
    loss: Annotated[str, typer.Option(metavar="USD", help="Loss for every hour that the service is down.")] = "",
    outages: Annotated[float, typer.Option(help="Outages of the primary a year; 0: 0.2.")] = 0.0,
    capacity_probability: Annotated[
        float, typer.Option(help="That capacity is there when asked for; 0: 0.9 for GPUs, else 0.99.")
    ] = 0.0,
    plan: Annotated[str, typer.Option(metavar="PLAN", help="Drills of this plan measure times.")] = "",
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw cost against recovery time (PNG).")] = None,
    workload: WorkloadFlags,
    output: Output,
    connection: Connection,
) -> None:
    """Say which strategies meet the targets and what each costs.

    Advised is the one that meets them at the least cost a year, expected loss included. Exit code 3: none meets them.
    """
    request = pb.AdviseDrStrategyRequest(
        workload=workload_of(workload),
        primary=parse("--primary", vocabulary.region, primary),
        data_gib=parse("--data-held", gib, data_held) if data_held else 0.0,
        changed_gib_per_day=parse("--changed", gib, changed) if changed else 0.0,
        outages_per_year=outages,
        capacity_probability=capacity_probability,
    )
    _say_targets(request, rto, rpo, criticality)
    if storage_price:
        request.storage_price_per_gib_month.CopyFrom(parse("--storage-price", vocabulary.money, storage_price))
    if standby:
        request.standby.CopyFrom(parse("--standby", vocabulary.region, standby))
    if loss:
        request.loss_per_hour.CopyFrom(parse("--loss", vocabulary.money, loss))
    with connection.client() as client:
        if plan:
            request.failover_plan = client.failover.get_failover_plan(plan).name
        advice = client.failover.advise_dr_strategy(request)
    if output.json:
        out.show_json(advice)
    else:
        view.show_advice(advice)
    if plot is not None:
        draw(advice, plot)
    if not advice.advised:
        raise typer.Exit(Exit.NO_PLACE)


def _say_targets(request: pb.AdviseDrStrategyRequest, rto: str, rpo: str, criticality: str) -> None:
    if rto:
        request.rto_target.FromTimedelta(parse("--rto", duration, rto))
    if rpo:
        request.rpo_target.FromTimedelta(parse("--rpo", duration, rpo))
    if criticality:
        request.criticality = parse("--criticality", criticality_of, criticality)


def draw(advice: pb.DrAdvice, path: Path) -> None:
    """Cost against recovery time as a PNG. Raises typer.BadParameter without the extra `plot`, or without the place."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra of its own
    except ImportError:
        raise typer.BadParameter("needs the extra `plot`: pip install 'trimtab[plot]'", param_hint="--plot") from None
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(8, 5))
    ordered = sorted(advice.options, key=lambda one: one.expected_rto.ToTimedelta())
    minutes = [one.expected_rto.ToTimedelta().total_seconds() / 60.0 for one in ordered]
    costs = [float(vocabulary.amount_of(one.monthly_cost)) for one in ordered]
    frontier = [(at, cost) for one, at, cost in zip(ordered, minutes, costs, strict=True) if one.on_frontier]
    axes.step(*zip(*frontier, strict=True), where="post", color="0.7", zorder=1, label="frontier")
    for one, at, cost in zip(ordered, minutes, costs, strict=True):
        axes.scatter([at], [cost], color="tab:green" if one.meets_targets else "tab:red", zorder=2)
        name = view.word(pb.DrStrategy.DESCRIPTOR, one.strategy)
        axes.annotate(name, (at, cost), xytext=(6, 6), textcoords="offset points")
    target = advice.rto_target.ToTimedelta().total_seconds() / 60.0
    if target > 0:
        axes.axvline(target, color="0.5", linestyle=":", zorder=0, label="recovery time asked for")
    axes.set_xscale("log")
    axes.set_xlabel("expected recovery time, minutes")
    axes.set_ylabel("standby, USD a month")
    axes.set_title("cost of a standby against its recovery time (green meets the targets)")
    axes.legend()
    try:
        figure.savefig(path, format="png", dpi=120, bbox_inches="tight")
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}", param_hint="--plot") from None
    finally:
        plt.close(figure)
