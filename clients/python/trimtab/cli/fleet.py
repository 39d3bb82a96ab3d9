"""`trimtab fleet`: size everything that a telemetry source sees."""

from collections.abc import Iterable
from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from trimtab import Client, vocabulary
from trimtab.cli import output as out
from trimtab.cli.advice_view import option_name
from trimtab.cli.connection import Connection, Output
from trimtab.cli.exits import Exit
from trimtab.cli.flags import command
from trimtab.cli.values import duration, parse
from trimtab.v1 import rightsizing_pb2
from trimtab.v1 import rightsizing_service_pb2 as pb

NAME = Annotated[str, typer.Argument(metavar="ANALYSIS", help="Name or id.")]
SOURCE = Annotated[
    list[str],
    typer.Option(
        "--source", "-s", help="A source of `trimtab fleet sources`; repeatable. Absent: the only one that there is."
    ),
]
PROFILE = Annotated[str, typer.Option(help="safe, balanced, economy, aws-compute-optimizer, vpa or krr.")]
LOOKBACK = Annotated[str, typer.Option(metavar="DURATION", help="How far back series are read, as 14d.")]
REGION = Annotated[list[str], typer.Option(metavar="CLOUD:REGION", help="Only these regions; repeatable.")]
TAG = Annotated[list[str], typer.Option(metavar="KEY=VALUE", help="Only with these tags; repeatable.")]
CAP = Annotated[str, typer.Option("--max-read-cost", metavar="USD", help="Refuse when reading would cost more.")]
REQUEST_ID = Annotated[str, typer.Option(metavar="UUID", help="Makes the change happen once.")]

_OVER = frozenset({pb.FleetAnalysis.STATE_SUCCEEDED, pb.FleetAnalysis.STATE_FAILED, pb.FleetAnalysis.STATE_CANCELLED})


def add_commands(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Size everything that a telemetry source sees.")
    for name, function in (
        ("start", start),
        ("estimate", estimate),
        ("list", list_analyses),
        ("get", get),
        ("watch", watch),
        ("cancel", cancel),
        ("sources", sources),
    ):
        command(group, name)(function)
    app.add_typer(group, name="fleet")


def start(  # noqa: PLR0913 - what a fleet is, each an option
    *,
    source: SOURCE = [],  # noqa: B006 - typer's way to say repeatable
    profile: PROFILE = "",
    lookback: LOOKBACK = "",
    region: REGION = [],  # noqa: B006
    tag: TAG = [],  # noqa: B006
    max_read_cost: CAP = "",
    follow: Annotated[bool, typer.Option("--watch/--no-watch", help="Follow it to its end.")] = True,
    request_id: REQUEST_ID = "",
    output: Output,
    connection: Connection,
) -> None:
    """Start an analysis, and follow it.

    trimtab fleet start -s vision-prod --region aws:eu-west-1 --max-read-cost 2

    What it advises is kept: trimtab recommendations list
    """
    request = _request(source, profile, lookback, region, tag, max_read_cost)
    with connection.client() as client:
        _choose_source(client, request)
        made = client.fleet_analyses.start_fleet_analysis(request, request_id=request_id)
        if follow:
            _follow(client, made.name, "", as_json=output.json)
        elif output.json:
            out.show_json(made)
        else:
            out.show(made.name)


def estimate(  # noqa: PLR0913 - as start
    *,
    source: SOURCE = [],  # noqa: B006 - typer's way to say repeatable
    profile: PROFILE = "",
    lookback: LOOKBACK = "",
    region: REGION = [],  # noqa: B006
    tag: TAG = [],  # noqa: B006
    max_read_cost: CAP = "",
    output: Output,
    connection: Connection,
) -> None:
    """Say what would be read, and what that costs. Reads the inventory, and no metrics."""
    request = _request(source, profile, lookback, region, tag, max_read_cost)
    request.validate_only = True
    with connection.client() as client:
        _choose_source(client, request)
        priced = client.fleet_analyses.start_fleet_analysis(request)
    if output.json:
        out.show_json(priced)
    else:
        out.show(f"{priced.resources:,} resources", _reads(priced.estimated_reads), *_faults(priced))
    if priced.errors:
        raise typer.Exit(Exit.FAILED)


def list_analyses(
    *,
    where: Annotated[str, typer.Option("--filter", help="""AIP-160, as 'state = "running"'.""")] = "",
    output: Output,
    connection: Connection,
) -> None:
    """List analyses, newest first."""
    with connection.client() as client:
        found = client.fleet_analyses.list_fleet_analyses(where=where)
        if output.json:
            out.show_json_lines(found)
            return
        shown = out.table(
            "analysis", "made", "state", "done", "of", "saves a month", right=["done", "of", "saves a month"]
        )
        for one in found:
            shown.add_row(
                out.short(one.name),
                out.minute(one.create_time),
                _state(one),
                f"{one.resources_done:,}",
                f"{one.resources:,}",
                out.dollars(one.monthly_saving, 2),
            )
    out.show(shown if shown.row_count else "no analyses")


def get(analysis: NAME, *, output: Output, connection: Connection) -> None:
    """Read an analysis."""
    with connection.client() as client:
        _show(client.fleet_analyses.get_fleet_analysis(analysis), as_json=output.json)


def watch(
    analysis: NAME,
    *,
    resume_token: Annotated[str, typer.Option("--resume", metavar="TOKEN", help="Go on after this event.")] = "",
    output: Output,
    connection: Connection,
) -> None:
    """Follow an analysis to its end."""
    with connection.client() as client:
        _follow(client, analysis, resume_token, as_json=output.json)


def cancel(analysis: NAME, *, request_id: REQUEST_ID = "", output: Output, connection: Connection) -> None:
    """Stop an analysis. What it has advised so far stays."""
    with connection.client() as client:
        _show(client.fleet_analyses.cancel_fleet_analysis(analysis, request_id=request_id), as_json=output.json)


def sources(*, output: Output, connection: Connection) -> None:
    """List the telemetry sources that the deployment has configured."""
    with connection.client() as client:
        found = client.rightsizing.list_telemetry_sources()
        if output.json:
            out.show_json_lines(found)
            return
        shown = out.table("source", "kind", "account")
        for one in found:
            shown.add_row(
                one.telemetry_source, vocabulary.word(pb.TelemetrySource.Kind.DESCRIPTOR, one.kind), one.account or "-"
            )
    out.show(shown if shown.row_count else "no sources are configured")


def _request(  # noqa: PLR0913, PLR0917 - the options of a command
    source: list[str], profile: str, lookback: str, region: list[str], tag: list[str], cap: str
) -> pb.StartFleetAnalysisRequest:
    request = pb.StartFleetAnalysisRequest(
        telemetry_sources=source,
        preferences=rightsizing_pb2.RightsizingPreferences(profile=profile),
        regions=[parse("--region", vocabulary.region, one) for one in region],
        tags=dict(parse("--tag", _pair, one) for one in tag),
    )
    if lookback:
        span = Duration()
        span.FromTimedelta(parse("--lookback", duration, lookback))
        request.preferences.lookback.CopyFrom(span)
    if cap:
        request.max_read_cost.CopyFrom(parse("--max-read-cost", vocabulary.money, cap))
    return request


def _choose_source(client: Client, request: pb.StartFleetAnalysisRequest) -> None:
    """Where no source was said, the one that there is; with several it is not guessed which."""
    if request.telemetry_sources:
        return
    names = [one.telemetry_source for one in client.rightsizing.list_telemetry_sources()]
    if len(names) != 1:
        raise typer.BadParameter(f"say which: {', '.join(names) or 'none is configured'}", param_hint="--source")
    request.telemetry_sources.extend(names)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ValueError(f"expected KEY=VALUE, not {text!r}")
    return key, value


def _follow(client: Client, name: str, resume_token: str, *, as_json: bool) -> None:
    events = client.fleet_analyses.watch_fleet_analysis(name, resume_token=resume_token)
    if as_json:
        out.show_json_lines(events)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    last = pb.FleetAnalysis()
    best: list[pb.RightsizingAdvice] = []
    unsized: list[pb.RightsizingAdvice] = []
    with Progress(*columns, console=out.console(stderr=True), transient=True) as progress:
        task = progress.add_task("waiting", total=None)
        for event in events:
            if event.HasField("fleet_analysis"):
                last = event.fleet_analysis
                progress.update(task, total=last.resources or None, description=_state(last))
                continue
            best = _best([*best, event.advice])
            if event.advice.finding in _UNSIZED and len(unsized) < _SHOWN:
                unsized.append(event.advice)
            progress.advance(task)
    if best:
        out.show(out.heading("what saves most"), _advised(best))
    if unsized:
        out.show(out.heading("what could not be sized"), _unsized(unsized))
    _show(last, as_json=False)
    if last.state not in _OVER or last.state == pb.FleetAnalysis.STATE_FAILED:
        raise typer.Exit(Exit.FAILED)


_SHOWN = 20
_UNSIZED = frozenset(
    {
        pb.RightsizingAdvice.FINDING_INSUFFICIENT_DATA,
        pb.RightsizingAdvice.FINDING_UNSUPPORTED,
        pb.RightsizingAdvice.FINDING_SOURCE_FAILED,
    }
)


def _best(advised: list[pb.RightsizingAdvice]) -> list[pb.RightsizingAdvice]:
    worth = [one for one in advised if one.options]
    return sorted(worth, key=lambda one: -vocabulary.amount_of(one.options[0].monthly_saving))[:_SHOWN]


def _advised(advised: Iterable[pb.RightsizingAdvice]) -> Table:
    shown = out.table(
        "resource", "finding", "now", "then", "saves a month", "risk", "over", right=["saves a month", "risk", "over"]
    )
    for one in advised:
        option = one.options[0]
        shown.add_row(
            one.resource.resource_id,
            _finding(one),
            _size(one.current),
            _size(option),
            out.dollars(option.monthly_saving, 2),
            f"{option.risk:.1f}",
            f"{option.back_test.exceedance:.2%}",
        )
    return shown


def _unsized(advised: Iterable[pb.RightsizingAdvice]) -> Table:
    shown = out.table("resource", "finding", "why")
    for one in advised:
        shown.add_row(one.resource.resource_id, _finding(one), "; ".join(one.missing))
    return shown


def _size(option: rightsizing_pb2.RightsizingOption) -> str:
    if option.action == rightsizing_pb2.RightsizingOption.ACTION_STOP:
        return "stopped"
    return option_name(option)


def _show(analysis: pb.FleetAnalysis, *, as_json: bool) -> None:
    if as_json:
        out.show_json(analysis)
        return
    counts = ", ".join(
        f"{one.count:,} {vocabulary.word(pb.RightsizingAdvice.Finding.DESCRIPTOR, one.finding)}"
        for one in analysis.findings
    )
    rows = [
        ("state", _state(analysis)),
        ("resources", f"{analysis.resources_done:,} of {analysis.resources:,}"),
        ("found", counts or "-"),
        ("saves a month", out.dollars(analysis.monthly_saving, 2)),
    ]
    out.show(out.heading(analysis.name), out.pairs(rows))
    if analysis.actual_reads:
        out.show(out.heading("what was read"), _reads(analysis.actual_reads))
    out.show(*_faults(analysis))


def _reads(reads: Iterable[pb.ReadCost]) -> Table:
    shown = out.table("source", "calls", "metrics", "cost", right=["calls", "metrics", "cost"])
    for one in reads:
        shown.add_row(one.telemetry_source, f"{one.api_calls:,}", f"{one.metrics:,}", out.dollars(one.cost, 4))
    return shown


def _faults(analysis: pb.FleetAnalysis) -> list[Table | Text]:
    if not analysis.errors:
        return []
    return [out.heading("what failed"), out.listed(error.message for error in analysis.errors)]


def _finding(advice: pb.RightsizingAdvice) -> str:
    return vocabulary.word(pb.RightsizingAdvice.Finding.DESCRIPTOR, advice.finding)


def _state(analysis: pb.FleetAnalysis) -> str:
    return vocabulary.word(pb.FleetAnalysis.State.DESCRIPTOR, analysis.state)
