"""`trimtab failover plan`: plans as files."""

from pathlib import Path
from typing import Annotated

import typer

from trimtab.cli import failover_view as view
from trimtab.cli import output as out
from trimtab.cli.connection import Connection, Output
from trimtab.cli.exits import Exit
from trimtab.cli.failover_words import run_kind, run_mode
from trimtab.cli.files import read_message
from trimtab.cli.flags import command
from trimtab.cli.values import parse
from trimtab.v1 import failover_service_pb2 as pb

PLAN = Annotated[str, typer.Argument(metavar="PLAN", help="Name or id.")]
FILE = Annotated[Path, typer.Argument(metavar="FILE", help="FailoverPlan as YAML or JSON; - is stdin.")]
REQUEST_ID = Annotated[str, typer.Option(metavar="UUID", help="Makes the change happen once.")]


def add_commands(group: typer.Typer) -> None:
    """Add the group within `failover`."""
    plan = typer.Typer(no_args_is_help=True, help="Keep plans.")
    for name, function in (
        ("list", list_plans),
        ("get", get),
        ("create", create),
        ("update", update),
        ("delete", delete),
        ("evaluate", evaluate),
    ):
        command(plan, name)(function)
    group.add_typer(plan, name="plan")


def list_plans(
    *,
    where: Annotated[str, typer.Option("--filter", help="""AIP-160, as 'service_id = "api"'.""")] = "",
    output: Output,
    connection: Connection,
) -> None:
    """List plans, oldest first."""
    with connection.client() as client:
        found = client.failover.list_failover_plans(where=where)
        if output.json:
            out.show_json_lines(found)
            return
        shown = view.plans(found)
    out.show(shown if shown.row_count else "no plans")


def get(plan: PLAN, *, output: Output, connection: Connection) -> None:
    """Read a plan with the findings of its latest evaluation."""
    with connection.client() as client:
        _show(client.failover.get_failover_plan(plan), as_json=output.json)


def create(
    file: FILE,
    *,
    plan_id: Annotated[str, typer.Option("--id", help="1 to 63 of a-z0-9-.")],
    request_id: REQUEST_ID = "",
    output: Output,
    connection: Connection,
) -> None:
    """Add a plan. One with errors is kept; a run of it needs --override."""
    message = read_message(file, pb.FailoverPlan, "FILE")
    with connection.client() as client:
        made = client.failover.create_failover_plan(plan_id, message, request_id=request_id)
    _show(made, as_json=output.json)


def update(  # noqa: PLR0913 - a command's options
    plan: PLAN,
    file: FILE,
    *,
    etag: Annotated[str, typer.Option(help="Only this revision; absent: as the file says.")] = "",
    request_id: REQUEST_ID = "",
    output: Output,
    connection: Connection,
) -> None:
    """Change a plan: a new version. Runs keep the one that they started with."""
    message = read_message(file, pb.FailoverPlan, "FILE")
    message.name = plan
    message.etag = etag or message.etag
    with connection.client() as client:
        made = client.failover.update_failover_plan(message, request_id=request_id)
    _show(made, as_json=output.json)


def delete(
    plan: PLAN,
    *,
    etag: Annotated[str, typer.Option(help="Only this revision.")] = "",
    request_id: REQUEST_ID = "",
    connection: Connection,
) -> None:
    """Delete a plan that no run uses."""
    with connection.client() as client:
        client.failover.delete_failover_plan(plan, etag=etag, request_id=request_id)
    out.show(f"deleted {plan}")


def evaluate(  # noqa: PLR0913 - a command's options
    *,
    plan: Annotated[str, typer.Argument(metavar="[PLAN]", help="Name or id; absent: --file.")] = "",
    file: Annotated[Path | None, typer.Option(metavar="FILE", help="One that is not stored, as YAML or JSON.")] = None,
    from_side: Annotated[str, typer.Option("--from", help="The side that would be left.")] = "",
    to_side: Annotated[str, typer.Option("--to", help="The side that would be made active.")] = "",
    kind: Annotated[str, typer.Option(help="activate, deactivate, post-recovery or drill.")] = "activate",
    mode: Annotated[str, typer.Option(help="graceful or ungraceful.")] = "graceful",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what every step would do.")] = False,
    output: Output,
    connection: Connection,
) -> None:
    """Evaluate a plan now. Exit code 7: it has errors."""
    if bool(plan) == (file is not None):
        raise typer.BadParameter("give either a plan or --file", param_hint="PLAN")
    what = plan if file is None else read_message(file, pb.FailoverPlan, "--file")
    run, how = parse("--kind", run_kind, kind), parse("--mode", run_mode, mode)
    with connection.client() as client:
        found = client.failover.evaluate_failover_plan(
            what, from_side=from_side, to_side=to_side, kind=run, mode=how, dry_run=dry_run
        )
    if output.json:
        out.show_json(found)
    else:
        view.show_evaluation(found)
    if not found.is_ready:
        raise typer.Exit(Exit.CONFLICT)


def _show(plan: pb.FailoverPlan, *, as_json: bool) -> None:
    if as_json:
        out.show_json(plan)
    else:
        view.show_plan(plan)
