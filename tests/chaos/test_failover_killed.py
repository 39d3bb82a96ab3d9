"""Processes that carry failover runs out are killed and stopped at every point: each run is completed, nothing twice.

The matrix is every step of a plan of all kinds with an effect, at four points, on both engines. `make test` runs a
diagonal of it, `make test-long` all.
"""

import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.failover_stage import STEPS, Stage, finished, is_whole
from tests.support.failover_worker import POINTS, Fate, Worker, spawn, worker
from trimtab_service.domain.failover import RunState

CELLS = tuple(itertools.product(STEPS, POINTS))
DIAGONAL = tuple((step, POINTS[place % len(POINTS)]) for place, step in enumerate(STEPS))
STOPS = tuple(itertools.product(STEPS, ("after_begin", "before_effect", "after_effect")))


@pytest.fixture
def stage(dsn: str, tmp_path: Path) -> Stage:
    """On each engine in turn."""
    return Stage(dsn, tmp_path)


@pytest.fixture
def second(stage: Stage) -> Iterator[Worker]:
    """Another process's runner, in this one; not started."""
    made = worker(stage.dsn, stage.path, "second")
    yield made
    made.close()


def killed_and_finished(stage: Stage, second: Worker, step_id: str, point: str) -> None:
    """One cell."""
    run = stage.taken_in(second)
    process = spawn(stage.dsn, stage.path, Fate(step_id, point), run.project, run.run_id)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    left = second.runs.get(run.project, run.run_id)
    is_last_done = (step_id, point) == (STEPS[-1], "after_done")
    assert left.state is (RunState.SUCCEEDED if is_last_done else RunState.RUNNING)
    over = finished(second, run)
    is_whole(over, stage, second)
    assert (over.token == left.token) is is_last_done


def test_a_killed_run_is_completed_and_nothing_done_twice(stage: Stage, second: Worker) -> None:
    """SIGKILL once at each step, the point in turn."""
    for step_id, point in DIAGONAL:
        killed_and_finished(stage, second, step_id, point)


@pytest.mark.long
def test_killed_anywhere_every_run_is_completed_and_nothing_done_twice(stage: Stage, second: Worker) -> None:
    """The whole matrix: 8 steps x 4 points."""
    for step_id, point in CELLS:
        killed_and_finished(stage, second, step_id, point)


def stopped_and_overtaken(stage: Stage, second: Worker, step_id: str, point: str) -> None:
    """One schedule: stopped past its lease, overtaken, woken."""
    run = stage.taken_in(second)
    zombie = spawn(stage.dsn, stage.path, Fate(step_id, point, signal.SIGSTOP), run.project, run.run_id)
    assert zombie.pid is not None
    _, status = waited_stopped(zombie.pid)
    assert status == "T"
    over = finished(second, run)
    os.kill(zombie.pid, signal.SIGCONT)
    zombie.join(60)
    assert zombie.exitcode == 0
    is_whole(second.runs.get(run.project, run.run_id), stage, second)
    assert second.runs.get(run.project, run.run_id) == over


def waited_stopped(pid: int) -> tuple[int, str]:
    """Wait until the kernel says that the process stands still."""
    give_up = time.monotonic() + 60
    state = ""
    while time.monotonic() < give_up:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        if state == "T":
            break
        time.sleep(0.005)
    return pid, state


def test_a_stopped_process_that_wakes_up_changes_nothing(stage: Stage, second: Worker) -> None:
    """SIGSTOP at the target's door of the switch, and after the effect of the scaling."""
    stopped_and_overtaken(stage, second, "switch", "before_effect")
    stopped_and_overtaken(stage, second, "scale", "after_effect")


@pytest.mark.long
def test_stopped_anywhere_a_process_that_wakes_up_changes_nothing(stage: Stage, second: Worker) -> None:
    """8 steps x 3 points on each engine: no stale write at any target, none in the journal."""
    for step_id, point in STOPS:
        stopped_and_overtaken(stage, second, step_id, point)
