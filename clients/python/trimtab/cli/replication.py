"""`trimtab replication`: copies of buckets in other clouds."""

from collections.abc import Iterable
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from rich.table import Table

from trimtab import vocabulary
from trimtab.cli import output as out
from trimtab.cli.connection import Connection, Output
from trimtab.cli.exits import Exit
from trimtab.cli.flags import command
from trimtab.v1 import replication_service_pb2 as pb

NAME = Annotated[str, typer.Argument(metavar="REPLICATION", help="Name or id of a replication.")]
REQUEST_ID = Annotated[str, typer.Option(metavar="UUID", help="Makes the change happen once.")]
_STATES = pb.Replication.State.DESCRIPTOR
_KINDS = pb.ReplicationDifference.Kind.DESCRIPTOR


def add_commands(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Copy buckets to other clouds, and know how old the copies are.")
    for name, function in (
        ("list", list_replications),
        ("status", status),
        ("start", start),
        ("pause", pause),
        ("reverse", reverse),
        ("diff", diff),
    ):
        command(group, name)(function)
    app.add_typer(group, name="replication")


def list_replications(
    *,
    where: Annotated[str, typer.Option("--filter", help="""AIP-160, as 'source = "s3://models"'.""")] = "",
    output: Output,
    connection: Connection,
) -> None:
    """List replications, by name."""
    with connection.client() as client:
        found = client.replications.list_replications(where=where)
        if output.json:
            out.show_json_lines(found)
            return
        shown = _table(found)
    out.show(shown if shown.row_count else "no replications")


def status(name: NAME, *, output: Output, connection: Connection) -> None:
    """Read a replication: progress, and the age of the copy. Exit code 7: the copy is not within its target."""
    with connection.client() as client:
        found = client.replications.get_replication(name)
    _show(found, as_json=output.json)
    if not found.within_target:
        raise typer.Exit(Exit.CONFLICT)


def start(name: NAME, *, request_id: REQUEST_ID = "", output: Output, connection: Connection) -> None:
    """Have it copied from now on, pass after pass."""
    with connection.client() as client:
        _show(client.replications.start_replication(name, request_id=request_id), as_json=output.json)


def pause(name: NAME, *, request_id: REQUEST_ID = "", output: Output, connection: Connection) -> None:
    """Have it copied no more; what is under way is kept."""
    with connection.client() as client:
        _show(client.replications.pause_replication(name, request_id=request_id), as_json=output.json)


def reverse(
    name: NAME,
    *,
    override: Annotated[str, typer.Option(metavar="REASON", help="Although the copy is too old; recorded.")] = "",
    request_id: REQUEST_ID = "",
    output: Output,
    connection: Connection,
) -> None:
    """Swap source and destination of one that is paused, as after a failover."""
    with connection.client() as client:
        made = client.replications.reverse_replication(name, override_reason=override, request_id=request_id)
    _show(made, as_json=output.json)


def diff(name: NAME, *, output: Output, connection: Connection) -> None:
    """Compare both sides by their inventories. Exit code 7: they differ."""
    total, differences = pb.CompareReplicationResponse(), 0
    with connection.client() as client:
        for part in client.replications.compare_replication(name):
            differences += len(part.differences)
            for field in ("source_objects", "source_bytes", "destination_objects", "destination_bytes"):
                setattr(total, field, getattr(total, field) + getattr(part, field))
            if output.json:
                out.show_json_lines(part.differences)
            elif part.differences:
                out.show(_differences(part.differences))
    if not output.json:
        out.show(
            f"{differences} differences; source {total.source_objects:,} objects, {total.source_bytes:,} bytes;"
            f" destination {total.destination_objects:,} objects, {total.destination_bytes:,} bytes"
        )
    if differences:
        raise typer.Exit(Exit.CONFLICT)


def _table(found: Iterable[pb.Replication]) -> Table:
    shown = out.table("replication", "from", "to", "state", "age of the copy", "fault")
    for one in found:
        age = out.length(one.age) if one.HasField("age") else "-"
        state = vocabulary.word(_STATES, one.state)
        shown.add_row(out.short(one.name), one.source, one.destination, state, age, one.fault)
    return shown


def _show(one: pb.Replication, *, as_json: bool) -> None:
    if as_json:
        out.show_json(one)
        return
    age = out.length(one.age) if one.HasField("age") else "not known"
    target = out.length(one.rpo_target) if one.HasField("rpo_target") else "none"
    rows = [
        ("from", one.source),
        ("to", one.destination),
        ("state", vocabulary.word(_STATES, one.state) + (", reversed" if one.reversed else "")),
        ("age of the copy", f"{age} (target: {target})"),
    ]
    if one.HasField("current_pass"):
        rows.append(("under way", _pass(one.current_pass)))
    if one.HasField("last_pass"):
        rows.append(("last pass", _pass(one.last_pass)))
    if one.fault:
        rows.append(("fault", one.fault))
    rows += [(f"failed: {each.key}", each.cause) for each in one.last_pass.failures]
    out.show(out.heading(one.name), out.pairs(rows))


def _pass(done: pb.ReplicationPass) -> str:
    counts = MessageToDict(done, preserving_proto_field_name=True)
    told = ("copied", "same", "newer_at_destination", "extra", "deleted", "marked", "vanished", "failed")
    parts = [f"{counts[name]} {name.replace('_', ' ')}" for name in told if name in counts]
    return f"{done.source_objects:,} objects: {', '.join(parts) or 'none'}; {done.sent_bytes:,} bytes sent"


def _differences(found: Iterable[pb.ReplicationDifference]) -> Table:
    shown = out.table(
        "key", "how", "at the source", "at the destination", right=["at the source", "at the destination"]
    )
    for one in found:
        sizes = (
            (one.source_bytes, one.HasField("source_bytes")),
            (one.destination_bytes, one.HasField("destination_bytes")),
        )
        told = (f"{size:,}" if is_there else "-" for size, is_there in sizes)
        shown.add_row(one.key, vocabulary.word(_KINDS, one.kind), *told)
    return shown
