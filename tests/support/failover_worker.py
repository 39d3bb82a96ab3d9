"""A process that carries runs out, and that can be made to die, or to stand still, at a chosen point of a step.

Points: `before_begin` (the step is about to be begun durably), `after_begin`, `before_effect` (at the target's door),
`after_effect` (the target has acted, the journal does not know), `after_done`.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.support.recording_targets import Record, RecordedTargets
from trimtab_service.domain.failover import StepState
from trimtab_service.failover.execution import Conduct, Surroundings
from trimtab_service.failover.journal import Held, RunJournal, Standing, Transition
from trimtab_service.failover.ports import Targets
from trimtab_service.failover.run import Run
from trimtab_service.failover.runner import Runner
from trimtab_service.rpc.ids import new_ulid
from trimtab_service.store.engines import open_database
from trimtab_service.store.failover_leases import StoredChildRuns, StoredRunJournal
from trimtab_service.store.failover_plans import FailoverPlanStore
from trimtab_service.store.failover_runs import FailoverRunStore
from trimtab_service.store.writer import GroupCommitWriter

POINTS = ("before_begin", "after_begin", "after_effect", "after_done")
SHORT = Conduct(
    lease=timedelta(seconds=0.6),
    heartbeat=timedelta(seconds=0.2),
    poll=timedelta(seconds=0.02),
    pace=timedelta(seconds=0.02),
)


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of the process, and where. Without a step nothing does."""

    step_id: str = ""
    point: str = ""
    signal: int = signal.SIGKILL


@dataclass(slots=True)
class _Doom:
    """Ends or stops this process while its other threads are between transactions (`quiet`).

    A process that is stopped within one on SQLite stops everyone who writes until it goes on: the file has one lock,
    and the kernel keeps it for the owner.
    """

    fate: Fate
    also: Callable[[str, str], None] = lambda point, step_id: None
    came: set[str] = field(default_factory=set)
    quiet: threading.Lock = field(default_factory=threading.Lock)

    def at(self, point: str, step_id: str) -> None:
        """Here it ends, or stands still, once; and here a test may do what it likes."""
        self.also(point, step_id)
        if (step_id, point) == (self.fate.step_id, self.fate.point) and not self.came:
            self.came.add(point)
            with self.quiet:
                os.kill(os.getpid(), self.fate.signal)
                time.sleep(0.1)  # the kernel may stop another thread first, and let this one go on for a moment


class _DoomedJournal:
    """Looks at what a change would do, and does the fate's bidding around it."""

    def __init__(self, journal: RunJournal, doom: _Doom) -> None:
        self._journal = journal
        self._doom = doom

    def claim(self, owner: str, lease: timedelta, most: int, *, children_only: bool) -> tuple[Held, ...]:
        with self._doom.quiet:
            return self._journal.claim(owner, lease, most, children_only=children_only)

    def renew(self, held: Sequence[Run], lease: timedelta) -> Mapping[str, Standing]:
        with self._doom.quiet:
            return self._journal.renew(held, lease)

    def release(self, run: Run) -> bool:
        return self._journal.release(run)

    def change(self, run: Run, owner: str, lease: timedelta, transition: Transition) -> Run:
        expected = transition(run, utc_now()).run
        for step, then in zip(run.steps, expected.steps, strict=True):
            if step.state is StepState.WAITING and then.state is StepState.BEGUN:
                self._doom.at("before_begin", step.step_id)
        changed = self._journal.change(run, owner, lease, transition)
        for step, now_stands in zip(run.steps, changed.steps, strict=True):
            if step.state is StepState.BEGUN and now_stands.state is StepState.DONE:
                self._doom.at("after_done", step.step_id)
            if step.state is StepState.WAITING and now_stands.state is StepState.BEGUN:
                self._doom.at("after_begin", step.step_id)
        return changed


@dataclass(frozen=True, slots=True)
class Worker:
    """A runner over a database and a record."""

    runner: Runner
    runs: FailoverRunStore
    plans: FailoverPlanStore
    children: StoredChildRuns
    close: Callable[[], None]


def worker(
    dsn: str,
    record: Path,
    owner: str,
    fate: Fate | None = None,
    conduct: Conduct = SHORT,
    *,
    at: Callable[[str, str], None] = lambda point, step_id: None,
    clock: Callable[[], datetime] = utc_now,
    targets: Targets | None = None,
) -> Worker:
    """Put one together. Call `close`. `at` is called at every point with it and the step; `clock` is its host's."""
    doom = _Doom(fate or Fate(), at)
    database = open_database(dsn)
    writer = GroupCommitWriter(database)
    plans = FailoverPlanStore(database, writer)
    runs = FailoverRunStore(database, writer, clock=clock, new_id=new_ulid, maximum=10_000)
    journal = StoredRunJournal(database, writer, plans, clock)
    recorded = RecordedTargets(
        Record(
            record,
            before=lambda key: doom.at("before_effect", key.rsplit("/", 1)[-1]),
            after=lambda key: doom.at("after_effect", key.rsplit("/", 1)[-1]),
        )
    )
    children = StoredChildRuns(database, runs)
    runner = Runner(
        Surroundings(
            journal=_DoomedJournal(journal, doom),
            targets=targets or recorded,
            children=children,
            healthy_sides=lambda _: None,
            owner=owner,
            clock=clock,
            conduct=conduct,
        )
    )

    def close() -> None:
        runner.close()
        writer.close()
        database.close()

    return Worker(runner, runs, plans, children, close)


def run_until_over(dsn: str, record: Path, fate: Fate, project: str, run_id: str, conduct: Conduct) -> None:
    """The body of a worker process: carries out until that run is over."""
    made = worker(dsn, record, f"doomed-{os.getpid()}", fate, conduct)
    made.runner.start()
    try:
        wait_for(made.runs, project, run_id, lambda run: run.state.is_over)
    finally:
        made.close()


def wait_for(
    runs: FailoverRunStore, project: str, run_id: str, wanted: Callable[[Run], bool], patience_s: float = 60.0
) -> Run:
    """The run once it is as wanted. Raises TimeoutError."""
    give_up = time.monotonic() + patience_s
    while time.monotonic() < give_up:
        run = runs.get(project, run_id)
        if wanted(run):
            return run
        time.sleep(0.01)
    raise TimeoutError(f"{runs.get(project, run_id)}")


_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.support.failover_worker"])


def spawn(dsn: str, record: Path, fate: Fate, project: str, run_id: str, conduct: Conduct = SHORT) -> BaseProcess:
    """A worker process. It was forked from one that has everything imported and nothing open."""
    process = _PROCESSES.Process(target=run_until_over, args=(dsn, record, fate, project, run_id, conduct), daemon=True)
    process.start()
    return process
