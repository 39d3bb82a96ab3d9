"""`trimtab policy`: who may place what where."""

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict, ParseDict
from google.type.money_pb2 import Money
from rich.text import Text

from trimtab.cli import output as out
from trimtab.cli.connection import Connection, Output
from trimtab.cli.files import read_message
from trimtab.cli.flags import command
from trimtab.cli.workload_flags import WorkloadFlags
from trimtab.cli.workload_parse import workload_of
from trimtab.v1 import placement_service_pb2
from trimtab.v1 import policy_service_pb2 as pb

NAME = Annotated[str, typer.Argument(metavar="POLICY", help="Name, or id of one of the project's own.")]
FILE = Annotated[Path, typer.Argument(metavar="FILE", help="Policy as YAML or JSON; - is stdin.")]
REQUEST_ID = Annotated[str, typer.Option(metavar="UUID", help="Makes the change happen once.")]
LEVEL = Annotated[
    str,
    typer.Option(metavar="LEVEL", help="project, deployment, or the id of a workload of the project."),
]


def add_commands(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Keep policies: conditions that select rules.")
    for name, function in (
        ("list", list_policies),
        ("get", get),
        ("create", create),
        ("update", update),
        ("delete", delete),
        ("effective", effective),
        ("dry-run", dry_run),
    ):
        command(group, name)(function)
    app.add_typer(group, name="policy")


def list_policies(*, level: LEVEL = "project", output: Output, connection: Connection) -> None:
    """List the policies of one level."""
    with connection.client() as client:
        found = client.policies.list_policies(parent=_parent(level, connection))
        if output.json:
            out.show_json_lines(found)
            return
        shown = out.table("policy", "revision", "changed", "condition", "description", right=["revision"])
        for one in found:
            condition = "disabled" if one.disabled else one.condition or "always"
            shown.add_row(one.name, str(one.revision), out.minute(one.update_time), condition, one.description)
    out.show(shown if shown.row_count else "no policies")


def get(policy: NAME, *, output: Output, connection: Connection) -> None:
    """Read a policy."""
    with connection.client() as client:
        _show_policy(client.policies.get_policy(policy), as_json=output.json)


def create(  # noqa: PLR0913 - a command's arguments and options
    policy_id: Annotated[str, typer.Argument(metavar="ID", help="1 to 63 of a-z0-9-.")],
    file: FILE,
    *,
    level: LEVEL = "project",
    request_id: REQUEST_ID = "",
    output: Output,
    connection: Connection,
) -> None:
    """Add a policy."""
    policy = read_message(file, pb.Policy, "FILE")
    with connection.client() as client:
        made = client.policies.create_policy(
            policy_id, policy, parent=_parent(level, connection), request_id=request_id
        )
    _show_policy(made, as_json=output.json)


def update(  # noqa: PLR0913 - a command's arguments and options
    policy: NAME,
    file: FILE,
    *,
    etag: Annotated[str, typer.Option(help="Only this revision; absent: the file's, if any.")] = "",
    request_id: REQUEST_ID = "",
    output: Output,
    connection: Connection,
) -> None:
    """Replace the content of a policy."""
    content = read_message(file, pb.Policy, "FILE")
    content.name = policy
    content.etag = etag or content.etag
    with connection.client() as client:
        _show_policy(client.policies.update_policy(content, request_id=request_id), as_json=output.json)


def delete(
    policy: NAME,
    *,
    etag: Annotated[str, typer.Option(help="Only this revision.")] = "",
    request_id: REQUEST_ID = "",
    connection: Connection,
) -> None:
    """Delete a policy. Its revisions are kept for replay."""
    with connection.client() as client:
        client.policies.delete_policy(policy, etag=etag, request_id=request_id)
    out.show(f"deleted {policy}")


def effective(
    *,
    request: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PlaceRequest as JSON or YAML; flags are laid over it.")
    ] = None,
    flags: WorkloadFlags,
    output: Output,
    connection: Connection,
) -> None:
    """Show what would hold for a workload: every rule with its source."""
    kind = placement_service_pb2.PlaceRequest
    workload = kind().workload if request is None else read_message(request, kind, "--request").workload
    workload.MergeFrom(workload_of(flags))
    with connection.client() as client:
        found = client.policies.get_effective_policy(workload)
    if output.json:
        out.show_json(found)
        return
    shown = out.table("rule", "value", "source")
    for rule in found.rules:
        shown.add_row(rule.field, rule.value, rule.source)
    out.show(shown if found.rules else "no rule holds", Text(f"\npolicy revision {found.policy_revision}", style="dim"))
    if found.not_applicable:
        out.show("does not apply: " + ", ".join(found.not_applicable))


def dry_run(
    file: FILE,
    *,
    policy_id: Annotated[str, typer.Option("--as", metavar="POLICY", help="In place of this one.")] = "",
    decisions: Annotated[int, typer.Option(min=0, help="Latest decisions to make anew; 0: 100.")] = 0,
    output: Output,
    connection: Connection,
) -> None:
    """Say which past decisions a policy would change. Changes nothing."""
    policy = read_message(file, pb.Policy, "FILE")
    policy.name = policy_id or policy.name
    with connection.client() as client:
        found = client.policies.dry_run_policy(policy, max_decisions=decisions)
    if output.json:
        out.show_json(found)
        return
    changed = len(found.changes)
    difference = out.dollars(found.cost_difference)
    out.show(
        f"{found.decisions} decisions made anew: {found.unchanged} the same, {changed} different, {difference} in cost"
    )
    if found.changes:
        shown = out.table("decision", "then", "cost", "under the policy", "cost", "reasons")
        for change in islice(found.changes, 200):
            shown.add_row(
                out.short(change.decision),
                *_place_and_cost(change, "before"),
                *_place_and_cost(change, "after"),
                ", ".join(change.reasons),
            )
        out.show("", shown)


def _place_and_cost(change: pb.DryRunChange, which: str) -> tuple[str, str]:
    if not change.HasField("before" if which == "before" else "after"):
        return ("infeasible", "-")
    place = change.before if which == "before" else change.after
    return (f"{out.place(place.offer)} {place.offer.instance_type}", out.dollars(place.expected_cost))


def _parent(level: str, connection: Connection) -> str | None:
    if level == "deployment":
        return ""
    return None if level == "project" else f"projects/{connection.project}/workloads/{level}"


def _show_policy(policy: pb.Policy, *, as_json: bool) -> None:
    if as_json:
        out.show_json(policy)
        return
    out.show(
        out.pairs(
            [
                ("policy", policy.name),
                ("revision", f"{policy.revision}, etag {policy.etag}, changed {out.moment(policy.update_time)}"),
                ("description", policy.description or "-"),
                ("condition", policy.condition or "always"),
                ("in force", "no, disabled" if policy.disabled else "yes"),
            ]
        )
    )
    shown = out.table("  rule", "value")
    for field, value in MessageToDict(policy.rules, preserving_proto_field_name=True).items():
        shown.add_row(f"  {field}", _plain(value))
    out.show(out.heading("Rules"), shown)


def _plain(value: object) -> str:
    if isinstance(value, dict) and "currency_code" in value:
        return out.dollars(ParseDict(value, Money()), 2)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain(entry)}" for key, entry in value.items())
    if isinstance(value, list):
        return " ".join(_plain(entry) for entry in value)
    return str(value)
