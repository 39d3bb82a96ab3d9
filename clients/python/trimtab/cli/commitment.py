"""`trimtab commitment`: what the project has committed to pay for."""

from pathlib import Path
from typing import Annotated

import typer

from trimtab import vocabulary
from trimtab.cli import output as out
from trimtab.cli.connection import Connection, Output
from trimtab.cli.files import read_message, read_messages
from trimtab.cli.flags import command
from trimtab.v1 import commitment_service_pb2 as pb

NAME = Annotated[str, typer.Argument(metavar="COMMITMENT", help="Name or id.")]
REQUEST_ID = Annotated[str, typer.Option(metavar="UUID", help="Makes the change happen once.")]


def add_commands(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Keep owned commitments.")
    for name, function in (
        ("list", list_commitments),
        ("get", get),
        ("create", create),
        ("import", import_commitments),
        ("end", end),
    ):
        command(group, name)(function)
    app.add_typer(group, name="commitment")


def list_commitments(
    *,
    where: Annotated[str, typer.Option("--filter", help="""AIP-160, as 'cloud = "aws"'.""")] = "",
    output: Output,
    connection: Connection,
) -> None:
    """List commitments by name."""
    with connection.client() as client:
        found = client.commitments.list_commitments(where=where)
        if output.json:
            out.show_json_lines(found)
            return
        shown = out.table("commitment", "kind", "where", "what", "amount", "free", "until", right=["amount", "free"])
        for one in found:
            shown.add_row(*_row(one))
    out.show(shown if shown.row_count else "no commitments")


def get(commitment: NAME, *, output: Output, connection: Connection) -> None:
    """Read a commitment."""
    with connection.client() as client:
        _show_commitment(client.commitments.get_commitment(commitment), as_json=output.json)


def create(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Commitment as YAML or JSON; - is stdin.")],
    *,
    commitment_id: Annotated[str, typer.Option("--id", help="1 to 63 of a-z0-9-; absent: the server makes one.")] = "",
    request_id: REQUEST_ID = "",
    output: Output,
    connection: Connection,
) -> None:
    """Add one commitment."""
    commitment = read_message(file, pb.Commitment, "FILE")
    with connection.client() as client:
        made = client.commitments.create_commitment(commitment, commitment_id=commitment_id, request_id=request_id)
    _show_commitment(made, as_json=output.json)


def import_commitments(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A list, as YAML, JSON or JSON lines, each with its name; - is stdin."),
    ],
    *,
    check: Annotated[bool, typer.Option("--check", help="Only check.")] = False,
    request_id: REQUEST_ID = "",
    output: Output,
    connection: Connection,
) -> None:
    """Add or replace many commitments, all or none."""
    commitments = read_messages(file, pb.Commitment, "commitments", "FILE")
    with connection.client() as client:
        stand = client.commitments.import_commitments(commitments, validate_only=check, request_id=request_id)
    if output.json:
        out.show_json_lines(stand)
    else:
        out.show(f"{'checked' if check else 'imported'} {len(commitments)} commitments")


def end(
    commitment: NAME,
    *,
    etag: Annotated[str, typer.Option(help="Only this revision.")] = "",
    request_id: REQUEST_ID = "",
    output: Output,
    connection: Connection,
) -> None:
    """End a commitment before its time: sold, returned, exchanged, entered by mistake."""
    with connection.client() as client:
        ended = client.commitments.end_commitment(commitment, etag=etag, request_id=request_id)
    _show_commitment(ended, as_json=output.json)


def _row(one: pb.Commitment) -> list[str]:
    free = max(0.0, 1 - one.in_use_fraction - one.reserved_fraction)
    ended = one.HasField("ended_time")
    return [
        out.short(one.name),
        vocabulary.word(pb.Commitment.Kind.DESCRIPTOR, one.kind),
        f"{out.cloud(one.cloud)} {one.zone or one.region or 'anywhere'}",
        one.instance_type or one.family or "any type",
        _amount(one),
        "ended" if ended else f"{free:.0%}",
        out.day_of(one.ended_time if ended else one.end_time),
    ]


def _amount(one: pb.Commitment) -> str:
    which = one.WhichOneof("amount")
    if which == "instances":
        return f"{out.count(one.instances)} instances"
    if which == "spend_per_hour":
        return f"{out.dollars(one.spend_per_hour)}/h"
    resources = one.resources
    parts = [f"{out.count(resources.vcpus)} vCPU"] if resources.vcpus else []
    parts += [f"{out.count(resources.memory_gib)} GiB"] if resources.memory_gib else []
    parts += [f"{out.count(resources.gpus)} x {resources.gpu_model}"] if resources.gpus else []
    return ", ".join(parts) or "-"


def _show_commitment(one: pb.Commitment, *, as_json: bool) -> None:
    if as_json:
        out.show_json(one)
        return
    labels = ("kind", "where", "what", "amount", "free", "until")
    rows = [("commitment", one.name), *zip(labels, _row(one)[1:], strict=True)]
    rows += [("from", out.moment(one.start_time)), ("etag", one.etag or "-")]
    if one.HasField("price_per_hour"):
        rows.append(("price", out.per_hour(one.price_per_hour)))
    out.show(out.pairs(rows))
