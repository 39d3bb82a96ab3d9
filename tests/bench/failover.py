"""Failover, T1 to T14 of its targets in one run: the real service on both engines, real BIND, real kills.

    python -m tests.bench.failover [--quick]

On SQLite and on PostgreSQL, each with a service in a process of its own that is asked over gRPC:

- accept (T1): `StartFailover`, durable, its request id remembered.
- step (T2): time between the ends of steps that follow one another and do nothing: begin and end, both durable.
- decision, first_step (T3): from the report that decides to its answer, and to the begin of the first step.
- probe_to_dns (T4): from the last failed probe of the quorum to the changed answer of BIND: an automatic plan that
  scales a warm standby from 20 to 100 %, proves it well and switches. warm_standby (T9) is the same to the run's end.
- takeover (T7): a process is killed (SIGKILL) in the middle of a step; the time from its last renewal to the begin of
  that step by a process that was running all the while, with a lease of 1 s; `double_effects` (T6) counts what a target
  was made to do twice.
- dry_run, evaluate_200 (T11): 50 steps; one plan after another, scaled to 200.
- steps_per_s (T12): 100 runs of 8 steps, all at once; `read_p99_ms` is `GetFailoverRun` every 20 ms meanwhile.
- raw_commit: a commit of one small row and nothing else: what the disk costs at that moment, in each figure above.

Without an engine: dns_commit (T4: the fenced update of BIND alone), detection_s and false_failovers (T5: the rules with
probes every 5 s), verify_10k (T13), models (T14: searched whole; without their guards they must fail). What is proved
and not measured is in tests/chaos (T6, T8) and tests/integration/failover_targets (T10).

`missed` names the figures that are over their target. The last line is one JSON object.
"""

import argparse
import json
import logging
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import text

from tests.bench import dns_commit, failover_outage, failover_proof, failover_service
from tests.bench.figures import ms, p50
from tests.support.databases import ENGINES, PostgresServer
from tests.support.failover_worker import Fate, spawn, wait_for, worker
from tests.support.failovers import NOW, asked, no_request, plan, steps
from tests.support.name_servers import name_server
from tests.support.recording_targets import Record
from trimtab_service.domain.failover import Notify, RunState
from trimtab_service.failover.execution import Conduct
from trimtab_service.store.engines import open_database
from trimtab_service.store.schema import migrate

_TAKEOVER: Final = Conduct(
    lease=timedelta(seconds=1), heartbeat=timedelta(milliseconds=300), poll=timedelta(milliseconds=50)
)
_AFTER_BEGIN: Final = ("after_begin", "after_effect")
"""Where the first process is killed, in turn: its last commit renewed its lease."""

_SETTLE_S: Final = 2.0
"""What a service does once at its start is over by then."""

_LEAST: Final = {"steps_per_s": {"sqlite": 200.0, "postgresql": 300.0}}
_MOST: Final = {
    "accept_p99_ms": 25.0,
    "step_p50_ms": 3.0,
    "step_p99_ms": 15.0,
    "decision_ms": 250.0,
    "first_step_ms": 500.0,
    "probe_to_dns_p99_s": 2.0,
    "warm_standby_s": 60.0,
    "takeover_s": 2.0,
    "double_effects": 0.0,
    "read_p99_ms": 30.0,
    "dry_run_s": 1.0,
    "evaluate_200_s": 60.0,
    "dns_commit_p99_ms": 60.0,
    "detection_s": 20.0,
    "false_failovers": 0.0,
    "verify_10k_s": 2.0,
}
"""The targets. Takeover is the lease of 1 s and a second."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One engine with a service over it, and with runs that wait to be released. `spare` is an empty database."""

    dsn: str
    spare: str
    directory: Path
    service: failover_service.Served
    around: failover_outage.Outside
    names: list[str]


def main() -> int:
    """Measure, print, and end with the JSON line."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under 50 s")
    options = parser.parse_args()
    figures: dict[str, object] = {}
    with ExitStack() as stack:
        server = PostgresServer()
        stack.callback(server.close)
        # Both services start at once and then stand idle; what is measured is measured alone.
        with ThreadPoolExecutor(len(ENGINES)) as starting:
            samples = 6 if options.quick else 40
            stages = list(starting.map(lambda engine: _stage(stack, engine, server, samples), ENGINES))
        time.sleep(_SETTLE_S)
        for engine, stage in zip(ENGINES, stages, strict=True):
            figures[engine] = _told(engine, _engine(stage, quick=options.quick))
    rest = _without_engine(quick=options.quick)
    figures |= _told("apart", rest)
    figures["missed"] = _missed(figures)
    figures |= {"cores": os.cpu_count(), "quick": options.quick}
    print(json.dumps(figures))
    return 0


def _stage(stack: ExitStack, engine: str, server: PostgresServer, samples: int) -> Stage:
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trimtab-bench-")))
    files = (f"sqlite:///{directory / name}.sqlite" for name in ("bench", "spare"))
    dsn, spare = files if engine == "sqlite" else (server.create_database(), server.create_database())
    names = failover_service.held_back(dsn)
    around = stack.enter_context(failover_outage.outside(directory, samples))
    service = stack.enter_context(failover_service.served(directory / "data", dsn, around.accounts))
    return Stage(dsn, spare, directory, service, around, names)


def _engine(stage: Stage, *, quick: bool) -> dict[str, float]:
    service = stage.service
    figures = {"raw_commit_p50_ms": _raw_commit(stage.dsn)}
    figures |= failover_service.throughput(service, stage.dsn, stage.names)
    figures |= failover_service.accepts(service, 100 if quick else 500)
    figures |= failover_service.overhead(service, 6 if quick else 40)
    figures |= failover_outage.outages(service, stage.around)
    figures |= failover_service.dry_runs(service, 20 if quick else 100)
    return figures | _takeovers(stage.directory, stage.spare, 2 if quick else 12)


def _without_engine(*, quick: bool) -> dict[str, float]:
    with name_server("bind") as server:
        figures = dns_commit.measured(server, 150 if quick else 1_000)
    figures |= failover_proof.evidence()
    figures |= failover_proof.detection(10_000)
    return figures | failover_proof.models(quick=quick)


def _missed(figures: dict[str, object]) -> list[str]:
    missed = []
    for where in (*ENGINES, ""):
        found = figures[where] if where else figures
        assert isinstance(found, dict)
        missed += [f"{where} {name}".strip() for name, most in _MOST.items() if found.get(name, 0.0) > most]
        missed += [f"{where} {name}" for name, least in _LEAST.items() if where and found[name] < least[where]]
    return missed


def _told(name: str, figures: dict[str, float]) -> dict[str, float]:
    print(f"{name}: {json.dumps(figures)}", flush=True)
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
    return ms(p50(took))


def _takeovers(directory: Path, dsn: str, count: int) -> dict[str, float]:
    """On a database of its own, so that no service takes the run; the second process is this one."""
    database = open_database(dsn)
    migrate(database)
    database.close()
    record = directory / "record.sqlite"
    took = []
    for number in range(count):
        second = worker(dsn, record, "second", conduct=_TAKEOVER)
        try:
            name = f"takeover-{number}"
            second.plans.create(plan(steps({"say": Notify("ops", "x")}), name, name), NOW, no_request())
            run = second.runs.start(asked(name), no_request())
            fate = Fate("say", _AFTER_BEGIN[number % len(_AFTER_BEGIN)])
            first = spawn(dsn, record, fate, run.project, run.run_id, _TAKEOVER)
            begun = wait_for(second.runs, run.project, run.run_id, lambda run: run.token > 0)
            second.runner.start()
            first.join(30)
            if first.exitcode != -signal.SIGKILL:
                raise RuntimeError("the process was to be killed")
            over = wait_for(second.runs, run.project, run.run_id, lambda run: run.state.is_over, 60)
            again = over.steps[0].attempt_time
            if over.state is not RunState.SUCCEEDED or again is None:
                raise RuntimeError(f"the bench's own run ended as {over.state}: {over.reason}")
            # It was killed right after this commit, which renewed its lease.
            took.append((again - begun.update_time).total_seconds())
        finally:
            second.close()
    done = Counter(effect.key for effect in Record(record).effects() if effect.outcome == "done")
    return {"takeover_s": round(max(took), 3), "double_effects": sum(times - 1 for times in done.values())}


if __name__ == "__main__":
    sys.exit(main())
