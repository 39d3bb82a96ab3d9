"""`trimtab decision`: the log of decisions."""

from itertools import islice
from typing import Annotated

import typer

from trimtab.cli import output as out
from trimtab.cli.connection import Connection, Output
from trimtab.cli.decision_view import decision_parts, decision_row
from trimtab.cli.flags import command

NAME = Annotated[str, typer.Argument(metavar="DECISION", help="Name or id.")]


def add_commands(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Read the log of decisions.")
    command(group, "list")(list_decisions)
    command(group)(get)
    command(group)(release)
    app.add_typer(group, name="decision")


def list_decisions(
    *,
    where: Annotated[
        str, typer.Option("--filter", help="""AIP-160, as 'cloud = "aws" AND verdict = "placed"'.""")
    ] = "",
    limit: Annotated[int, typer.Option(min=0, help="At most this many; 0: all.")] = 50,
    output: Output,
    connection: Connection,
) -> None:
    """List decisions, newest first."""
    with connection.client() as client:
        decisions = islice(client.placement.list_decisions(where=where, page_size=limit), limit or None)
        if output.json:
            out.show_json_lines(decisions)
            return
        shown = out.table("decision", "made", "verdict", "chosen", "cost", "workload", right=["cost"])
        for one in decisions:
            verdict, *place, cost, _ = decision_row(one)
            chosen = " ".join(place) if one.HasField("chosen") else "-"
            shown.add_row(
                out.short(one.name), out.minute(one.create_time), verdict, chosen, cost, one.workload_id or "-"
            )
    out.show(shown if shown.row_count else "no decisions")


def get(decision: NAME, *, output: Output, connection: Connection) -> None:
    """Read a decision."""
    with connection.client() as client:
        found = client.placement.get_decision(decision)
    if output.json:
        out.show_json(found)
    else:
        out.show(*decision_parts(found))


def release(
    decision: NAME,
    *,
    request_id: Annotated[str, typer.Option(metavar="UUID", help="Makes the release happen once.")] = "",
    output: Output,
    connection: Connection,
) -> None:
    """Give back what a decision reserved."""
    with connection.client() as client:
        released = client.placement.release_decision(decision, request_id=request_id)
    if output.json:
        out.show_json(released)
    else:
        out.show(f"released {released.name}")
