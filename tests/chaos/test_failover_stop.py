"""`trimtab serve` is told to stop while failovers are under way: it ends within its grace, and another one goes on."""

import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from tests.support.replicas import replica
from trimtab.v1 import failover_service_pb2 as pb
from trimtab.v1.failover_service_pb2_grpc import FailoverServiceStub

PARENT = "projects/shop"
RUN = pb.FailoverRun
GRACE = {"drain_interval": "100ms", "drain_grace": "5s"}


@contextmanager
def _silent() -> Iterator[int]:
    """A port that takes connections and says nothing: what an outage often looks like."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield listener.getsockname()[1]


def _accounts(path: Path, port: int) -> Path:
    """A probe that hangs, made from here for three observers of both sides; and people who cannot be reached."""
    text = f'[[targets]]\nname = "silent"\nkind = "http_probe"\nprojects = ["*"]\nurl = "http://127.0.0.1:{port}/"\n'
    text += f'[[targets]]\nname = "ops"\nkind = "webhook"\nprojects = ["*"]\nurl = "http://127.0.0.1:{port}/"\n'
    for cloud in ("aws", "gcp", "azure"):
        for side in ("west", "north"):
            text += (
                f'[[probes]]\nname = "{cloud}-{side}"\nproject = "shop"\nservice = "serving"\nside = "{side}"\n'
                f'observer = "{cloud}"\ncloud = "{cloud}"\ntarget = "silent"\ninterval = "1s"\ntimeout = "900ms"\n'
            )
    path.write_text(text)
    return path


def _plan(service: str, *steps: pb.Step) -> pb.FailoverPlan:
    plan = pb.FailoverPlan(service_id=service)
    plan.sides.add(side_id="west", cloud=1, region="eu-west-1")
    plan.sides.add(side_id="north", cloud=2, region="europe-north1")
    for number, cloud in enumerate(("aws", "gcp", "azure"), start=1):
        plan.detection.observers.add(observer_id=cloud, cloud=number)
    for one in steps:
        plan.activate.stages.add(steps=[one])
    return plan


def _started(stub: FailoverServiceStub, service: str, *steps: pb.Step) -> pb.FailoverRun:
    request = pb.CreateFailoverPlanRequest(
        parent=PARENT, failover_plan_id=service, failover_plan=_plan(service, *steps)
    )
    plan = stub.CreateFailoverPlan(request)
    return stub.StartFailover(
        pb.StartFailoverRequest(
            name=plan.name,
            from_side="west",
            to_side="north",
            override_reason="nobody observes here",
            request_id=str(uuid.uuid4()),
        )
    )


def _until(stub: FailoverServiceStub, name: str, wanted: Callable[[pb.FailoverRun], bool]) -> pb.FailoverRun:
    give_up = time.monotonic() + 60
    while not wanted(run := stub.GetFailoverRun(pb.GetFailoverRunRequest(name=name))):
        assert time.monotonic() < give_up, run
        time.sleep(0.05)
    return run


def _watched(stub: FailoverServiceStub, name: str) -> threading.Thread:
    """Somebody who follows a run to its end, or the server's."""

    def follow() -> None:
        try:
            for _ in stub.WatchFailoverRun(pb.WatchFailoverRunRequest(name=name)):
                pass
        except grpc.RpcError:
            return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    return thread


def _step(step_id: str, **action: object) -> pb.Step:
    step = pb.Step(step_id=step_id, **action)  # type: ignore[arg-type] # one action
    step.timeout.FromSeconds(3_600)
    return step


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_ends_within_the_grace_whatever_is_under_way(dsn: str, tmp_path: Path, workers: str) -> None:
    """A run that waits for a person, one in a long wait, one in a call that hangs; probes that hang; open watches."""
    wait = pb.WaitStep()
    wait.duration.FromSeconds(3_600)
    with _silent() as port:
        settings = {"database_url": dsn, "cloud_accounts": str(_accounts(tmp_path / "a.toml", port)), **GRACE}
        with (
            replica(tmp_path / "one", workers=workers, **settings) as running,
            grpc.insecure_channel(running.address) as channel,
        ):
            stub = FailoverServiceStub(channel)
            asks = _started(stub, "serving", _step("ask", approve=pb.ApproveStep()), _step("go", wait=wait))
            waits = _started(stub, "waits", _step("wait", wait=wait))
            hangs = _started(stub, "hangs", _step("tell", notify=pb.NotifyStep(channel="ops", text="x")))
            _until(stub, asks.name, lambda run: run.state == RUN.STATE_PENDING_APPROVAL)
            for run in (waits, hangs):
                _until(stub, run.name, lambda run: run.steps[0].attempts > 0)
            watches = [_watched(stub, run.name) for run in (asks, waits, hangs) for _ in range(2)]
            time.sleep(1.2)
            assert running.process.stop() == 0
            for thread in watches:
                thread.join(60)
                assert not thread.is_alive()
        _goes_on(tmp_path / "two", settings, asks, waits)


def _goes_on(data_dir: Path, settings: dict[str, str], asks: pb.FailoverRun, waits: pb.FailoverRun) -> None:
    """Another process takes what was given back, without waiting for a lease."""
    with replica(data_dir, **settings) as second, grpc.insecure_channel(second.address) as channel:
        stub = FailoverServiceStub(channel)
        assert _until(stub, waits.name, lambda run: run.token > 1).state == RUN.STATE_RUNNING
        request = pb.DecideFailoverStepRequest(name=asks.name, step_id="ask", plan_hash=asks.plan_hash, approved=True)
        stub.DecideFailoverStep(request)
        _until(stub, asks.name, lambda run: run.state == RUN.STATE_RUNNING)
        assert second.process.stop() == 0
