"""`trimtab failover demo`: an outage on simulated clouds, from the first failed probe to the evidence."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from trimtab import errors
from trimtab.cli import failover_view as view
from trimtab.cli import output as out
from trimtab.cli.exits import Exit
from trimtab.cli.failover_demo_plan import PLAN, plan
from trimtab.cli.failover_demo_server import DemoServer
from trimtab.evidence import verify_evidence
from trimtab.v1 import failover_service_pb2 as pb

_PATIENCE_S: Final = 90.0
_LOOK_S: Final = 0.25
_RUN = pb.FailoverRun
_SETTLED: Final = frozenset({pb.ServiceHealth.VERDICT_WELL, pb.ServiceHealth.VERDICT_FAIL_OVER})


def demo(
    *,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Keeps everything there; the same again goes on where it was. Absent: a temporary one."),
    ] = None,
    crash: Annotated[bool, typer.Option("--crash", help="Kill the server (-9) while the standby boots.")] = False,
) -> None:
    """Show an outage: detection, approval, scale-up, fenced switch, failback, evidence. Needs the extra `service`."""
    with contextlib.ExitStack() as stack:
        root = data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trimtab-demo-")))
        root.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        out.show(out.heading("a server with simulated clouds starts"))
        server = stack.enter_context(DemoServer(root))
        run = _fail_over(server, crash=crash)
        _show_fence(server, run)
        back = _fail_back(server)
        _show_evidence(server, run, root)
        out.show(f"\nall of it took {time.monotonic() - began:.0f} s")
        if not all(one.state == _RUN.STATE_SUCCEEDED for one in (run, back)):
            raise typer.Exit(Exit.FAILED)


def _fail_over(server: DemoServer, *, crash: bool) -> pb.FailoverRun:
    client = server.client
    try:
        kept = client.failover.create_failover_plan(PLAN, plan())
    except errors.AlreadyExistsError:
        kept = client.failover.get_failover_plan(PLAN)
    run = _newest(server, _RUN.KIND_ACTIVATE)
    if run is None:
        view.show_plan(kept)
        out.show(out.heading("three observers watch both sides"))
        # One that was killed after the outage began finds it as it was.
        health = _until(server, lambda seen: seen.verdict in _SETTLED)
        if health.verdict != pb.ServiceHealth.VERDICT_FAIL_OVER:
            out.show(out.heading("AWS fails: no probe succeeds, its control plane does not answer"))
            server.say("fail aws")
            health = _until(server, lambda seen: seen.verdict == pb.ServiceHealth.VERDICT_FAIL_OVER)
        view.show_health(health)
        out.show(out.heading("by default a person starts what is recommended"))
        run = client.failover.start_failover(PLAN, "virginia", "iowa", mode=_RUN.MODE_UNGRACEFUL)
    else:
        out.show(f"going on with {run.name}")
    return _follow(server, run, crash_at="scale" if crash else "")


def _fail_back(server: DemoServer) -> pb.FailoverRun:
    run = _newest(server, _RUN.KIND_POST_RECOVERY)
    if run is None:
        out.show(out.heading("AWS comes back; the way back is never automatic"))
        server.say("recover aws")
        _until(server, lambda health: all(side.well_votes > side.down_votes for side in health.sides))
        run = server.client.failover.start_failover(PLAN, "iowa", "virginia", kind=_RUN.KIND_POST_RECOVERY)
    return _follow(server, run)


def _show_fence(server: DemoServer, run: pb.FailoverRun) -> None:
    out.show(out.heading("a controller that was asleep wakes up with an older token and switches traffic back"))
    out.show(f"  the name answers: {server.ask(f'stale {run.token - 1}')}")


def _show_evidence(server: DemoServer, run: pb.FailoverRun, root: Path) -> None:
    out.show(out.heading("evidence, checked without the server"))
    evidence = server.client.failover.export_failover_evidence(run.name)
    (root / "evidence.json").write_bytes(evidence.evidence_json)
    (root / "evidence.html").write_text(evidence.report_html, encoding="utf-8")
    view.show_verification(verify_evidence(evidence.evidence_json))
    forged = evidence.evidence_json.replace(b"virginia", b"Virginia", 1)
    out.show(out.heading("one letter of it changed"))
    view.show_verification(verify_evidence(forged))


def _follow(server: DemoServer, run: pb.FailoverRun, crash_at: str = "") -> pb.FailoverRun:
    """Print every event once; approve what waits; start the server again when it is gone."""
    token, give_up = "", time.monotonic() + _PATIENCE_S
    while True:
        with contextlib.suppress(errors.UnavailableError, errors.CancelledError, errors.UnknownError):
            for event in server.client.failover.watch_failover_run(run.name, resume_token=token):
                token = event.resume_token
                out.show(f"  {view.event_line(event)}")
                if event.kind == "APPROVAL_ASKED":
                    _approve(server, run.name, event.step_id)
                if crash_at and event.kind == "STEP_BEGUN" and event.step_id == crash_at:
                    crash_at = ""
                    out.show(out.heading("kill -9: the server is gone in the middle of a step"))
                    server.kill()
        if not server.is_running:
            out.show(out.heading("it is started again, and goes on"))
            server.start()
        stands = server.client.failover.get_failover_run(run.name)
        if stands.HasField("end_time"):
            view.show_run(stands)
            return stands
        if stands.state == _RUN.STATE_PAUSED or time.monotonic() > give_up:
            out.show(f"it is {view.state_of(stands)}: {stands.reason}")
            raise typer.Exit(Exit.FAILED)


def _approve(server: DemoServer, name: str, step_id: str) -> None:
    run = server.client.failover.get_failover_run(name)
    waits = any(one.step_id == step_id and one.state == pb.StepRun.STATE_PENDING_APPROVAL for one in run.steps)
    if waits:
        out.show(f"  an approver has seen plan {run.plan_hash[:12]} and approves")
        server.client.failover.decide_failover_step(name, step_id, run.plan_hash, approved=True, comment="go")


def _until(server: DemoServer, holds: Callable[[pb.ServiceHealth], bool]) -> pb.ServiceHealth:
    last = ""
    for health in _healths(server):
        votes = ", ".join(f"{side.side_id} {side.well_votes} well {side.down_votes} down" for side in health.sides)
        line = f"  {view.word(pb.ServiceHealth.Verdict.DESCRIPTOR, health.verdict):<10} {votes}"
        if line != last:
            out.show(line)
            last = line
        if holds(health):
            return health
    out.show("the observers do not agree in time")
    raise typer.Exit(Exit.FAILED)


def _healths(server: DemoServer) -> Iterator[pb.ServiceHealth]:
    give_up = time.monotonic() + _PATIENCE_S
    while time.monotonic() < give_up:
        yield server.client.failover.check_service_health(PLAN)
        time.sleep(_LOOK_S)


def _newest(server: DemoServer, kind: "pb.FailoverRun.Kind.ValueType") -> pb.FailoverRun | None:
    return next((run for run in server.client.failover.list_failover_runs() if run.kind == kind), None)
