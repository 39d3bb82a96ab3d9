"""The run engine of failover: how long it takes to take a run in, a step's overhead, takeover, and steps a second.

    python -m tests.bench.failover [--quick] [--dsn DSN]

On SQLite and on PostgreSQL (a server of the bench's own unless `--dsn` names an empty database):

- accept: `StartFailover` as the store does it, durable, request id remembered; one after another.
- step: the whole of a step that does nothing, of a plan of steps one after another: begin and end durable, by the run's
  own chain of events.
- takeover: a process is killed (SIGKILL) in the middle of a step; the time from its death to the begin of that step by
  another process that was running all the while, with a lease of 1 s.
- steps_per_s: runs of 8 steps each, all at once, in one process; meanwhile one thread reads runs, `read_p99_ms`.
- raw_commit: the same number of rows written in commits of their own and nothing else: what the disk costs.

The last line is one JSON object.
"""

import argparse
import json
import logging
import math
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import text

from tests.support.databases import PostgresServer
from tests.support.failover_worker import Fate, Worker, spawn, wait_for, worker
from tests.support.failovers import NOW, PROJECT, asked, no_request, notes, plan, steps
from trimtab_service.domain.failover import Action, Notify, RunState, Wait, Workflow
from trimtab_service.domain.reasons import RunEventKind
from trimtab_service.failover.execution import Conduct
from trimtab_service.failover.run import Command, Run, Steering
from trimtab_service.store.engines import open_database
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.schema import migrate

_CONDUCT: Final = Conduct(
    lease=timedelta(seconds=10), heartbeat=timedelta(seconds=3), poll=timedelta(milliseconds=50), capacity=100
)
_TAKEOVER: Final = Conduct(
    lease=timedelta(seconds=1), heartbeat=timedelta(milliseconds=300), poll=timedelta(milliseconds=50)
)


def main() -> int:
    """Measure, print, and end with the JSON line."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 50 s")
    parser.add_argument("--dsn", default="", help="an empty PostgreSQL database to use")
    options = parser.parse_args()
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as directory:
        figures["sqlite"] = _engine(f"sqlite:///{Path(directory) / 'bench.sqlite'}", quick=options.quick)
    with _postgresql(options.dsn) as dsn:
        figures["postgresql"] = _engine(dsn, quick=options.quick)
    figures |= {"cores": os.cpu_count(), "quick": options.quick}
    print(json.dumps(figures))
    return 0


def _engine(dsn: str, *, quick: bool) -> dict[str, float]:
    database = open_database(dsn)
    migrate(database)
    figures = {"raw_commit_p50_ms": _raw_commit(dsn)}
    database.close()
    with tempfile.TemporaryDirectory() as directory:
        record = Path(directory) / "record.sqlite"
        made = worker(dsn, record, "bench", conduct=_CONDUCT)
        try:
            figures |= _accepts(made, 100 if quick else 500)
            figures |= _throughput(made, 100)
            figures |= _steps(made, 100 if quick else 400)
        finally:
            made.close()
        figures |= _takeovers(dsn, record, 3 if quick else 10)
    print(f"{open_database(dsn).dialect}: {json.dumps(figures)}")
    return figures


def _raw_commit(dsn: str) -> float:
    """Median milliseconds of a commit of one small row, as the store opens the database."""
    database = open_database(dsn)
    with database.write() as conn:
        conn.execute(text("CREATE TABLE raw_commits (n INTEGER)"))
    took = []
    for number in range(100):
        begun = time.perf_counter()
        with database.write() as conn:
            conn.execute(text("INSERT INTO raw_commits VALUES (:n)"), {"n": number})
        took.append(time.perf_counter() - begun)
    database.close()
    return _ms(statistics.median(took))


def _accepts(made: Worker, count: int) -> dict[str, float]:
    """Runs that nobody carries out: each of a service of its own."""
    for number in range(count):
        made.plans.create(plan(notes(8), f"accept-{number}", f"accept-{number}"), NOW, no_request())
    took = []
    for number in range(count):
        key = RequestKey(PROJECT, "StartFailover", str(uuid.uuid4()), b"body")
        begun = time.perf_counter()
        run = made.runs.start(asked(f"accept-{number}"), key)
        took.append(time.perf_counter() - begun)
        _forget(made, run)
    return {"accept_p50_ms": _ms(statistics.median(took)), "accept_p99_ms": _ms(_p99(took))}


def _forget(made: Worker, run: Run) -> None:
    """End it at once, so that it is not in the way of what is measured next."""
    made.runs.steer(run.project, run.run_id, Steering(Command.ABORT, "bench", reason="measured"), no_request())


def _steps(made: Worker, count: int) -> dict[str, float]:
    """Time between the ends of steps that follow one another, which have no effect of their own."""
    no_ops = _no_ops(count)
    made.plans.create(plan(no_ops, "steps", "steps"), NOW, no_request())
    run = made.runs.start(asked("steps"), no_request())
    made.runner.wake()
    _over(made, run)
    ended = [
        link.time
        for link in made.runs.events(run.project, run.run_id, limit=10 * count)
        if link.kind == RunEventKind.STEP_DONE.name
    ]
    took = [(later - earlier).total_seconds() for earlier, later in pairwise(ended)]
    return {"step_p50_ms": _ms(statistics.median(took)), "step_p99_ms": _ms(_p99(took))}


def _throughput(made: Worker, count: int) -> dict[str, float]:
    """All runs have been taken in before the first is begun: the runner starts here."""
    no_ops = _no_ops(8)
    for number in range(count):
        made.plans.create(plan(no_ops, f"many-{number}", f"many-{number}"), NOW, no_request())
    runs = [made.runs.start(asked(f"many-{number}"), no_request()) for number in range(count)]
    reads: list[float] = []
    stop = threading.Event()
    reader = threading.Thread(target=_read, args=(made, runs[-1], stop, reads))
    reader.start()
    made.runner.start()
    for run in runs:
        _over(made, run)
    stop.set()
    reader.join()
    steps_of = [step for run in runs for step in made.runs.get(run.project, run.run_id).steps]
    begun = min(step.begin_time for step in steps_of if step.begin_time is not None)
    ended = max(step.done_time for step in steps_of if step.done_time is not None)
    return {
        "steps_per_s": round(8 * count / (ended - begun).total_seconds(), 1),
        "read_p99_ms": _ms(_p99(reads)),
        "reads": len(reads),
    }


def _read(made: Worker, run: Run, stop: threading.Event, took: list[float]) -> None:
    """A read every 20 ms, timed from when it was due: one that had to wait for its turn has waited."""
    due = time.perf_counter()
    while not stop.wait(max(0.0, due - time.perf_counter())):
        made.runs.get(run.project, run.run_id)
        took.append(time.perf_counter() - due)
        due += 0.02


def _no_ops(count: int) -> Workflow:
    """Steps one after another that have no effect and take no time."""
    stages: list[dict[str, Action]] = [{f"wait-{number}": Wait(timedelta())} for number in range(count)]
    return steps(*stages)


def _takeovers(dsn: str, record: Path, count: int) -> dict[str, float]:
    """The second process is this one, and looks for work from the moment at which the first has the run."""
    took = []
    for number in range(count):
        second = worker(dsn, record, "second", conduct=_TAKEOVER)
        try:
            name = f"takeover-{number}"
            second.plans.create(plan(steps({"say": Notify("ops", "x")}), name, name), NOW, no_request())
            run = second.runs.start(asked(name), no_request())
            first = spawn(dsn, record, Fate("say", "after_begin"), run.project, run.run_id, _TAKEOVER)
            begun = wait_for(second.runs, run.project, run.run_id, lambda run: run.token > 0)
            second.runner.start()
            first.join(30)
            if first.exitcode != -signal.SIGKILL:
                raise RuntimeError("the process was to be killed")
            taken = _over(second, run).steps[0].attempt_time
            if taken is None:
                raise RuntimeError("the step was never begun")
            # It was killed right after this commit, which renewed its lease.
            took.append((taken - begun.update_time).total_seconds())
        finally:
            second.close()
    return {"takeover_s": round(max(took), 3)}


def _over(made: Worker, run: Run) -> Run:
    over = wait_for(made.runs, run.project, run.run_id, lambda run: run.state.is_over, 120)
    if over.state is not RunState.SUCCEEDED:
        raise RuntimeError(f"the bench's own run ended as {over.state}: {over.reason}")
    return over


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 3)


@contextmanager
def _postgresql(dsn: str) -> Iterator[str]:
    if dsn:
        yield dsn
        return
    server = PostgresServer()
    try:
        yield server.create_database()
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(main())
