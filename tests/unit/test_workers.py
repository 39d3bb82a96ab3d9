"""The pool runs work elsewhere, says what became of it, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from trimtab_service.domain.errors import DeadlineExceededError, UnavailableError
from trimtab_service.workers import WorkerPool


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _fail() -> None:
    raise ValueError("no")


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    """Two workers."""
    made = WorkerPool(2)
    yield made
    made.close()


def test_work_runs_in_another_process(pool: WorkerPool) -> None:
    """The serving process's GIL is not taken."""
    assert pool.run(30, os.getpid) != os.getpid()


def test_what_a_task_raises_is_raised_here(pool: WorkerPool) -> None:
    """Errors of the task pass as they are."""
    with pytest.raises(ValueError, match="no"):
        pool.run(30, _fail)


def test_a_task_that_takes_too_long_is_given_up(pool: WorkerPool) -> None:
    """The caller is told, and the pool goes on."""
    with pytest.raises(DeadlineExceededError):
        pool.run(0.2, time.sleep, 1.0)
    assert pool.run(30, abs, -1) == 1


def test_a_worker_that_dies_takes_nothing_else_with_it(pool: WorkerPool) -> None:
    """Its caller hears of it; the next task has a new worker."""
    with pytest.raises(UnavailableError):
        pool.run(30, _die)
    assert pool.run(30, abs, -2) == 2


def test_a_closed_pool_refuses() -> None:
    """Nothing is started while the service drains."""
    pool = WorkerPool(1)
    assert pool.run(30, abs, -3) == 3
    pool.close()
    with pytest.raises(UnavailableError):
        pool.submit(abs, -4)


_PARENT = """
import os, time
from trimtab_service.workers import WorkerPool
if __name__ == "__main__":
    pool = WorkerPool(1)
    print(pool.run(30, os.getpid), flush=True)
    time.sleep(60)
"""


def test_workers_do_not_outlive_a_service_that_is_killed(tmp_path: Path) -> None:
    """No orphan is left when the parent gets no chance to close."""
    script = tmp_path / "parent.py"
    script.write_text(_PARENT, encoding="utf-8")
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
    gone_by = time.monotonic() + 60
    while psutil.pid_exists(worker) and time.monotonic() < gone_by:
        time.sleep(0.05)
    assert not psutil.pid_exists(worker)
