"""What a caller of the real service waits for: a process of its own on either engine, asked over gRPC."""

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import grpc
from sqlalchemy import update

from tests.bench.figures import ms, p50, p99
from tests.support.failovers import asked, keep, no_request, plan, room, steps
from tests.support.replicas import launch
from trimtab.v1 import failover_service_pb2 as pb
from trimtab.v1.failover_service_pb2_grpc import FailoverServiceStub
from trimtab_service.domain.failover import Action, FailoverPlan, Wait, Workflow
from trimtab_service.rpc.failover_plan_encoder import plan_message
from trimtab_service.store.engines import open_database
from trimtab_service.store.failover_rows import NEVER
from trimtab_service.store.failover_tables import FAILOVER_RUNS
from trimtab_service.store.schema import migrate

PARENT: Final = "projects/shop"
RUNS: Final = 100
STEPS: Final = 8
_READ_EVERY_S: Final = 0.02
_PATIENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Served:
    """A running service, by its stub."""

    stub: Any

    def keep(self, kept: FailoverPlan) -> None:
        """Store a plan."""
        message = plan_message(kept)
        request = pb.CreateFailoverPlanRequest(parent=PARENT, failover_plan_id=kept.plan_id, failover_plan=message)
        self.stub.CreateFailoverPlan(request)

    def start(self, plan_id: str) -> pb.FailoverRun:
        """A run from west to north."""
        request = pb.StartFailoverRequest(
            name=f"{PARENT}/failoverPlans/{plan_id}", from_side="west", to_side="north", request_id=str(uuid.uuid4())
        )
        run: pb.FailoverRun = self.stub.StartFailover(request)
        return run

    def get(self, name: str) -> pb.FailoverRun:
        """As it stands."""
        run: pb.FailoverRun = self.stub.GetFailoverRun(pb.GetFailoverRunRequest(name=name))
        return run

    def over(self, name: str) -> pb.FailoverRun:
        """The run once it has succeeded. Raises RuntimeError when it has not."""
        give_up = time.monotonic() + _PATIENCE_S
        while not (run := self.get(name)).HasField("end_time"):
            if time.monotonic() > give_up:
                raise RuntimeError(f"it never ended: {run}")
            time.sleep(0.01)
        if run.state != pb.FailoverRun.STATE_SUCCEEDED:
            raise RuntimeError(f"the bench's own run did not succeed: {run.reason}")
        return run


@contextlib.contextmanager
def served(data_dir: Path, dsn: str, accounts: Path | None = None) -> Iterator[Served]:
    """`python -m trimtab_service`, as it is deployed."""
    settings = {} if accounts is None else {"cloud_accounts": str(accounts)}
    process = launch(data_dir, database_url=dsn, **settings)
    try:
        address = process.event("listening", 60)["address"]
        with grpc.insecure_channel(address) as channel:
            yield Served(FailoverServiceStub(channel))
    finally:
        process.close()


def no_ops(count: int) -> Workflow:
    """Steps one after another that have no effect and take no time."""
    stages: list[dict[str, Action]] = [{f"wait-{number}": Wait(timedelta())} for number in range(count)]
    return steps(*stages)


def held_back(dsn: str) -> list[str]:
    """Names of runs of `STEPS` steps that no process takes before `released`; no service may be there yet."""
    database = open_database(dsn)
    migrate(database)
    rooms = room(database, maximum=RUNS)
    plans = [plan(no_ops(STEPS), f"many-{number}", f"many-{number}") for number in range(RUNS)]
    keep(rooms, *plans)
    names = [rooms.runs.start(asked(one.plan_id), no_request()).name for one in plans]
    _leased_until(rooms.database, datetime.now(UTC) + timedelta(hours=1))
    rooms.writer.close()
    database.close()
    return names


def throughput(service: Served, dsn: str, names: list[str]) -> dict[str, float]:
    """Steps a second of all runs at once, and what a reader waits meanwhile."""
    database = open_database(dsn)
    reads: list[float] = []
    stop = threading.Event()
    reader = threading.Thread(target=_read, args=(service, names[-1], stop, reads))
    reader.start()
    _leased_until(database, NEVER)
    database.close()
    runs = [service.over(name) for name in names]
    stop.set()
    reader.join()
    every = [step for run in runs for step in run.steps]
    begun = min(_seconds(step.begin_time) for step in every)
    ended = max(_seconds(step.done_time) for step in every)
    return {"steps_per_s": round(len(every) / (ended - begun), 1), "read_p99_ms": ms(p99(reads)), "reads": len(reads)}


def accepts(service: Served, count: int) -> dict[str, float]:
    """`StartFailover`, durable, its request id remembered; each run is over before the next is asked for."""
    service.keep(plan(no_ops(1), "accept", "accept"))
    took = []
    for _ in range(count):
        begun = time.perf_counter()
        run = service.start("accept")
        took.append(time.perf_counter() - begun)
        service.over(run.name)
    return {"accept_p50_ms": ms(p50(took)), "accept_p99_ms": ms(p99(took))}


def overhead(service: Served, runs: int) -> dict[str, float]:
    """Time between the ends of steps that follow one another and have no effect: begin and end, both durable."""
    service.keep(plan(no_ops(20), "steps", "steps"))
    took: list[float] = []
    for _ in range(runs):
        run = service.over(service.start("steps").name)
        took += [_seconds(later.done_time) - _seconds(earlier.done_time) for earlier, later in pairwise(run.steps)]
    return {"step_p50_ms": ms(p50(took)), "step_p99_ms": ms(p99(took))}


def dry_runs(service: Served, plans: int) -> dict[str, float]:
    """A dry run of 50 steps, and the evaluation of one plan after another, scaled to 200."""
    service.keep(plan(no_ops(50), "dry", "dry"))
    begun = time.perf_counter()
    service.stub.EvaluateFailoverPlan(_evaluated("dry", from_side="west", to_side="north", dry_run=True))
    dry = time.perf_counter() - begun
    begun = time.perf_counter()
    for number in range(plans):
        service.stub.EvaluateFailoverPlan(_evaluated(f"many-{number}"))
    return {"dry_run_s": round(dry, 3), "evaluate_200_s": round((time.perf_counter() - begun) * 200 / plans, 2)}


def _evaluated(plan_id: str, **fields: Any) -> pb.EvaluateFailoverPlanRequest:  # noqa: ANN401 - fields of the request
    named = pb.FailoverPlan(name=f"{PARENT}/failoverPlans/{plan_id}")
    return pb.EvaluateFailoverPlanRequest(parent=PARENT, failover_plan=named, **fields)


def _read(service: Served, name: str, stop: threading.Event, took: list[float]) -> None:
    """A read every 20 ms, timed from when it was due: one that had to wait for its turn has waited."""
    due = time.perf_counter()
    while not stop.wait(max(0.0, due - time.perf_counter())):
        service.get(name)
        took.append(time.perf_counter() - due)
        due += _READ_EVERY_S


def _leased_until(database: Any, until: datetime) -> None:  # noqa: ANN401 - a Database
    with database.write() as conn:
        conn.execute(update(FAILOVER_RUNS).where(FAILOVER_RUNS.c.end_time.is_(None)).values(lease_until=until))


def _seconds(stamp: Any) -> float:  # noqa: ANN401 - a Timestamp
    return float(stamp.seconds + stamp.nanos / 1e9)
