"""A host's clock is set while it carries a run out: nothing is done twice, nothing goes back, and the run ends.

On PostgreSQL leases last by the database's clock, so that nobody even takes the run over. On SQLite they last by the
machine's, which all processes share; there the token alone keeps order, and is enough.

The lease that must not move is far longer than a busy machine ever stands still, and far shorter than the clock's jump.
"""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.failover_process import STEADY, skewed
from tests.support.failover_stage import ACTIVATE, Stage, finished, is_whole
from tests.support.failover_worker import Worker, wait_for, worker
from tests.support.failovers import NOW, asked, no_request, plan
from trimtab_service.domain.failover import Step, Wait, Workflow
from trimtab_service.failover.run import Run

HALF = timedelta(seconds=1.5)
"""Longer than a few heartbeats: the lease is renewed by a clock that was set."""

JUMPS = (timedelta(hours=2), timedelta(hours=-2))


@pytest.fixture
def stage(dsn: str, tmp_path: Path) -> Stage:
    """On each engine in turn."""
    return Stage(dsn, tmp_path)


def waiting_first(stage: Stage, to: Worker, number: int) -> Run:
    """A run that waits for a while, and then does everything."""
    project = f"clock{number}"
    stages = ((Step("wait", Wait(HALF)),), *ACTIVATE.stages)
    to.plans.create(replace(plan(Workflow(stages)), project=project), NOW, no_request())
    return to.runs.start(replace(asked(), project=project), no_request())


def test_a_clock_that_is_set_forward_or_back_moves_no_lease(stage: Stage, tmp_path: Path) -> None:
    """Another process looks for work all the while; on PostgreSQL it gets none."""
    second = worker(stage.dsn, stage.path, "second")
    try:
        for number, ahead in enumerate(JUMPS):
            run = waiting_first(stage, second, number)
            with skewed(tmp_path, stage.dsn, stage.path, (run.project, run.run_id), STEADY) as process:
                wait_for(second.runs, run.project, run.run_id, lambda run: bool(run.begun))
                process.set_clock(ahead)
                over = finished(second, run)
                process.join()
            is_whole(second.runs.get(over.project, over.run_id), stage, second)
            assert stage.dsn.startswith("sqlite") or over.token == 1
    finally:
        second.close()


def test_a_process_whose_clock_was_set_is_overtaken_when_it_dies(stage: Stage, tmp_path: Path) -> None:
    """Its lease ends when it should, though its clock said that it began two hours from now."""
    second = worker(stage.dsn, stage.path, "second")
    try:
        run = waiting_first(stage, second, 0)
        with skewed(tmp_path, stage.dsn, stage.path, (run.project, run.run_id)) as process:
            wait_for(second.runs, run.project, run.run_id, lambda run: bool(run.begun))
            process.set_clock(JUMPS[0] if stage.dsn.startswith("postgresql") else JUMPS[1])
        is_whole(finished(second, run), stage, second)
    finally:
        second.close()
