"""`trimtab failover`: what happens when a cloud or region fails."""

from pathlib import Path
from typing import Annotated

import typer

from trimtab.cli import failover_plans
from trimtab.cli import failover_view as view
from trimtab.cli import output as out
from trimtab.cli.connection import Connection, Output
from trimtab.cli.exits import Exit
from trimtab.cli.failover_advise import advise
from trimtab.cli.failover_demo import demo
from trimtab.cli.failover_report import write_pdf
from trimtab.cli.failover_words import run_kind, run_mode, steering_command
from trimtab.cli.flags import command
from trimtab.cli.values import parse
from trimtab.client import Client
from trimtab.evidence import verify_evidence
from trimtab.v1 import failover_service_pb2 as pb

PLAN = Annotated[str, typer.Argument(metavar="PLAN", help="Name or id of a plan.")]
RUN = Annotated[str, typer.Argument(metavar="RUN", help="Name or id of a run.")]
STEP = Annotated[str, typer.Argument(metavar="STEP", help="Id of the step that waits.")]
HASH = Annotated[str, typer.Option(help="Hash of the plan that you have seen (`trimtab failover get RUN`).")]
COMMENT = Annotated[str, typer.Option(help="Why, in your words.")]
REQUEST_ID = Annotated[str, typer.Option(metavar="UUID", help="Makes the change happen once.")]
_BAD = {pb.FailoverRun.STATE_FAILED, pb.FailoverRun.STATE_ABORTED, pb.FailoverRun.STATE_INTERRUPTED}


def add_commands(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Fail over between clouds: plans, runs, evidence.")
    failover_plans.add_commands(group)
    for name, function in (
        ("start", start),
        ("runs", runs),
        ("get", get),
        ("watch", watch),
        ("steer", steer),
        ("approve", approve),
        ("reject", reject),
        ("health", health),
        ("evidence", evidence),
        ("verify", verify),
        ("runbook", runbook),
        ("advise", advise),
        ("demo", demo),
    ):
        command(group, name)(function)
    app.add_typer(group, name="failover")


def start(  # noqa: PLR0913 - a command's options
    plan: PLAN,
    *,
    from_side: Annotated[str, typer.Option("--from", help="The side that is left.")],
    to_side: Annotated[str, typer.Option("--to", help="The side that is made active.")],
    kind: Annotated[str, typer.Option(help="activate, deactivate, post-recovery or drill.")] = "activate",
    mode: Annotated[str, typer.Option(help="graceful or ungraceful.")] = "graceful",
    override: Annotated[str, typer.Option(metavar="REASON", help="Start in spite of errors; recorded.")] = "",
    etag: Annotated[str, typer.Option(help="Only this revision of the plan.")] = "",
    request_id: REQUEST_ID = "",
    follow: Annotated[bool, typer.Option("--follow", help="Follow it to its end.")] = False,
    output: Output,
    connection: Connection,
) -> None:
    """Start a run. With --follow exit code 7 says that it did not do what it was for."""
    what = parse("--kind", run_kind, kind)
    how = parse("--mode", run_mode, mode)
    with connection.client() as client:
        run = client.failover.start_failover(
            plan, from_side, to_side, kind=what, mode=how, etag=etag, override_reason=override, request_id=request_id
        )
        if follow:
            _follow(client, run.name, "", as_json=output.json)
            return
    _show(run, as_json=output.json)


def runs(
    *,
    where: Annotated[str, typer.Option("--filter", help="""AIP-160, as 'state = "paused"'.""")] = "",
    output: Output,
    connection: Connection,
) -> None:
    """List runs, newest first."""
    with connection.client() as client:
        found = client.failover.list_failover_runs(where=where)
        if output.json:
            out.show_json_lines(found)
            return
        shown = view.runs(found)
    out.show(shown if shown.row_count else "no runs")


def get(run: RUN, *, output: Output, connection: Connection) -> None:
    """Read a run with its steps."""
    with connection.client() as client:
        _show(client.failover.get_failover_run(run), as_json=output.json)


def watch(
    run: RUN,
    *,
    resume: Annotated[str, typer.Option(metavar="TOKEN", help="Go on after the event of this token.")] = "",
    output: Output,
    connection: Connection,
) -> None:
    """Follow a run to its end. Exit code 7: it did not do what it was for."""
    with connection.client() as client:
        _follow(client, run, resume, as_json=output.json)


def steer(  # noqa: PLR0913 - a command's options
    run: RUN,
    what: Annotated[
        str, typer.Argument(metavar="COMMAND", help="pause, resume, retry-step, skip-step, switch-mode or abort.")
    ],
    *,
    step: Annotated[str, typer.Option(help="With retry-step and skip-step: which.")] = "",
    mode: Annotated[str, typer.Option(help="With switch-mode: graceful or ungraceful.")] = "",
    reason: Annotated[str, typer.Option(help="Why; needed with skip-step and abort.")] = "",
    request_id: REQUEST_ID = "",
    output: Output,
    connection: Connection,
) -> None:
    """Pause, resume, retry or skip a step, switch the mode, abort."""
    said = parse("COMMAND", steering_command, what)
    how = parse("--mode", run_mode, mode) if mode else pb.FailoverRun.MODE_UNSPECIFIED
    with connection.client() as client:
        made = client.failover.steer_failover_run(
            run, said, step_id=step, mode=how, reason=reason, request_id=request_id
        )
    _show(made, as_json=output.json)


def approve(  # noqa: PLR0913 - a command's options
    run: RUN,
    step: STEP,
    *,
    plan_hash: HASH,
    comment: COMMENT = "",
    request_id: REQUEST_ID = "",
    output: Output,
    connection: Connection,
) -> None:
    """Approve a step that waits."""
    with connection.client() as client:
        made = client.failover.decide_failover_step(
            run, step, plan_hash, approved=True, comment=comment, request_id=request_id
        )
    _show(made, as_json=output.json)


def reject(  # noqa: PLR0913 - a command's options
    run: RUN,
    step: STEP,
    *,
    plan_hash: HASH,
    comment: COMMENT = "",
    request_id: REQUEST_ID = "",
    output: Output,
    connection: Connection,
) -> None:
    """Reject a step that waits: the run pauses."""
    with connection.client() as client:
        made = client.failover.decide_failover_step(
            run, step, plan_hash, approved=False, comment=comment, request_id=request_id
        )
    _show(made, as_json=output.json)


def health(plan: PLAN, *, output: Output, connection: Connection) -> None:
    """Say how a service stands by its observers."""
    with connection.client() as client:
        found = client.failover.check_service_health(plan)
    if output.json:
        out.show_json(found)
    else:
        view.show_health(found)


def evidence(
    run: RUN,
    *,
    to: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The evidence, for `verify`.")],
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="The same for people.")] = None,
    pdf: Annotated[Path | None, typer.Option(metavar="FILE", help="The same to print (extra `plot`).")] = None,
    connection: Connection,
) -> None:
    """Export the hash-chained events of a run with its recovery times."""
    with connection.client() as client:
        found = client.failover.export_failover_evidence(run)
    to.write_bytes(found.evidence_json)
    if html is not None:
        html.write_text(found.report_html, encoding="utf-8")
    if pdf is not None:
        _write_pdf(found.evidence_json, pdf)
    out.show(f"{to}: {len(found.evidence_json):,} bytes, last link {found.chain_hash}")


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Evidence of a run.")],
    *,
    pdf: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report to print (extra `plot`).")] = None,
) -> None:
    """Check evidence without a server. Exit code 1: it is not sound, 2: it is no evidence."""
    try:
        data = file.read_bytes()
        found = verify_evidence(data)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="FILE") from None
    view.show_verification(found)
    if pdf is not None and found.is_sound:
        _write_pdf(data, pdf)
    if not found.is_sound:
        raise typer.Exit(Exit.FAILED)


def runbook(plan: PLAN, *, connection: Connection) -> None:
    """Print a plan as Markdown with the present fencing tokens, for the hour when the database is gone."""
    with connection.client() as client:
        typer.echo(client.failover.export_runbook(plan), nl=False)


def _write_pdf(evidence: bytes, path: Path) -> None:
    try:
        write_pdf(evidence, path)
    except ImportError:
        raise typer.BadParameter("needs the extra `plot`: pip install 'trimtab[plot]'", param_hint="--pdf") from None


def _follow(client: Client, run: str, resume: str, *, as_json: bool) -> None:
    last = pb.FailoverRun()
    for event in client.failover.watch_failover_run(run, resume_token=resume):
        if as_json:
            out.show_json_lines([event])
        else:
            out.show(view.event_line(event))
        if event.HasField("failover_run"):
            last = event.failover_run
    if not as_json and last.name:
        view.show_run(last)
    if last.state in _BAD:
        raise typer.Exit(Exit.CONFLICT)


def _show(run: pb.FailoverRun, *, as_json: bool) -> None:
    if as_json:
        out.show_json(run)
    else:
        view.show_run(run)
