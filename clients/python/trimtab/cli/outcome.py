"""`trimtab outcome`: tell trimtab what happened after a decision."""

from typing import Annotated

import typer

from trimtab.cli import output as out
from trimtab.cli.connection import Connection, Output
from trimtab.cli.flags import command
from trimtab.cli.values import instant, parse, pattern
from trimtab.v1 import placement_service_pb2 as pb


def add_commands(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Tell what happened after a decision.")
    command(group)(report)
    app.add_typer(group, name="outcome")


def report(  # noqa: PLR0913 - a command's arguments and options
    offer: Annotated[
        str, typer.Argument(metavar="OFFER", help="CLOUD:REGION:TYPE:OPTION, or the id of the decision that chose it.")
    ],
    *,
    decision: Annotated[str, typer.Option(help="Decision it belongs to.")] = "",
    zone: Annotated[
        str, typer.Option(help="Zone; absent: that of the decision, or the whole region of an OFFER.")
    ] = "",
    at: Annotated[str, typer.Option(metavar="INSTANT", help="When; absent: now.")] = "",
    no_capacity: Annotated[
        bool, typer.Option("--no-capacity", help="None was to be had: blocks the offer, with decay.")
    ] = False,
    got_capacity: Annotated[bool, typer.Option("--got-capacity", help="It was had: ends a block.")] = False,
    interruptions: Annotated[int, typer.Option(help="Interruptions since the last report.")] = 0,
    hours_run: Annotated[float, typer.Option(help="Instance hours run since the last report.")] = 0.0,
    request_id: Annotated[str, typer.Option(metavar="UUID", help="Makes the report count once.")] = "",
    output: Output,
    connection: Connection,
) -> None:
    """Report a capacity failure, interruptions or hours run. In force for the next decision."""
    if not (no_capacity or got_capacity or interruptions or hours_run):
        raise typer.BadParameter("say what happened", param_hint="--no-capacity, --interruptions, --hours-run, ...")
    outcome = pb.Outcome(
        capacity_failure=no_capacity,
        capacity_success=got_capacity,
        interruptions=interruptions,
        hours_run=hours_run,
    )
    if at:
        outcome.event_time.FromDatetime(parse("--at", instant, at))
    with connection.client() as client:
        if ":" in offer:
            outcome.offer.CopyFrom(parse("OFFER", pattern, offer))
        else:
            logged = client.placement.get_decision(offer)
            chosen = logged.chosen.offer
            if not logged.HasField("chosen"):
                raise typer.BadParameter(f"{logged.name} chose no offer", param_hint="OFFER")
            decision = decision or logged.name
            outcome.offer.CopyFrom(
                pb.OfferPattern(
                    cloud=chosen.cloud,
                    region=chosen.region,
                    zone=chosen.zone,
                    instance_type=chosen.instance_type,
                    purchase_option=chosen.purchase_option,
                )
            )
        if zone:
            outcome.offer.zone = zone
        revision = client.placement.report_outcome([outcome], decision=decision, request_id=request_id)
    if output.json:
        out.show_json(pb.ReportOutcomeResponse(learned_revision=revision))
    else:
        out.show(f"reported; learned revision {revision}")
