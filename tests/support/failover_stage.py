"""A plan of every kind of step with an effect, run by processes that things happen to; and what must hold after it."""

import contextlib
import itertools
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tests.support.failover_worker import Worker
from tests.support.failovers import NOW, asked, no_request, plan, steps
from tests.support.recording_targets import Effect, Record
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.failover import (
    AcquireCapacity,
    LowerTtl,
    Notify,
    PromoteDataStore,
    RunState,
    ScaleCapacity,
    StepState,
    SwitchTraffic,
)
from trimtab_service.failover.chain import first_broken, times_of
from trimtab_service.failover.run import Run
from trimtab_service.store.engines import open_database
from trimtab_service.store.schema import migrate

ACTIVATE = steps(
    {"tell-first": Notify("ops", "begins")},
    {"lower-ttl": LowerTtl("dns/api", timedelta(seconds=30))},
    {"scale": ScaleCapacity("asg/serving", percent_of_peak=150)},
    {"acquire": AcquireCapacity(("mig/gpu", "mig/spot"), 4)},
    {"promote": PromoteDataStore("rds/orders")},
    {"switch": SwitchTraffic("dns/api")},
    {"grow": ScaleCapacity("asg/serving", count=20)},
    {"tell-last": Notify("ops", "done")},
)
STEPS = tuple(step.step_id for step in ACTIVATE.steps)


class Stage:
    """A database, a record and a process that takes over; each run has a project of its own."""

    def __init__(self, dsn: str, tmp_path: Path) -> None:
        opened = open_database(dsn)
        migrate(opened)
        opened.close()
        self.dsn = dsn
        self.path = tmp_path / "record.sqlite"
        self.record = Record(self.path)
        self._numbers = itertools.count(1)

    def taken_in(self, to: Worker) -> Run:
        """A run that nobody has taken yet."""
        project = f"p{next(self._numbers)}"
        to.plans.create(replace(plan(ACTIVATE), project=project), NOW, no_request())
        return to.runs.start(replace(asked(), project=project), no_request())

    def effects(self, run: Run) -> list[Effect]:
        """Those of one run."""
        return [effect for effect in self.record.effects() if effect.target.startswith(f"{run.project}/")]


def is_whole(run: Run, stage: Stage, second: Worker) -> None:
    """It succeeded, every effect was made once and in the order of the plan, tokens only grew, and the chain holds."""
    assert run.state is RunState.SUCCEEDED, run
    assert {step.state for step in run.steps} == {StepState.DONE}
    # Whoever takes a switch over raises the fence first, which moves nothing.
    done = [one for one in stage.effects(run) if one.outcome == "done" and not one.key.endswith("/fence")]
    assert [effect.key.rsplit("/", 1)[-1] for effect in done] == list(STEPS)
    assert Counter(effect.key for effect in done).most_common(1)[0][1] == 1
    links = second.runs.events(run.project, run.run_id)
    assert first_broken((link.body, link.hash) for link in links) is None
    assert links[-1].hash == run.chain_hash
    assert times_of(link.body for link in links).rto == run.actual_rto
    accepted = [effect for effect in stage.effects(run) if effect.outcome != "refused" and effect.token]
    for target in {effect.target for effect in accepted}:
        tokens = [effect.token for effect in accepted if effect.target == target]
        assert tokens == sorted(tokens)


def finished(second: Worker, run: Run) -> Run:
    """Let the other process take it and finish, whatever the database does meanwhile."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        with contextlib.suppress(UnavailableError):
            second.runner.take()
            current = second.runs.get(run.project, run.run_id)
            if current.state.is_over:
                return current
        time.sleep(0.01)
    raise TimeoutError(run.name)
