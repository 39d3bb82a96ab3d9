"""One run in one process: what it knows of its hold."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.failovers import NOW, plan, run_of, steps
from tests.support.recording_targets import Record, RecordedTargets
from trimtab_service.domain.failover import RunState, Wait
from trimtab_service.failover.execution import Conduct, Execution, Surroundings
from trimtab_service.failover.journal import Held, Standing, Transition
from trimtab_service.failover.leases import Lease
from trimtab_service.failover.run import Run


class OneRun:
    """A journal that writes what a rule changes and nothing else, as the store does."""

    def claim(self, owner: str, lease: timedelta, most: int, *, children_only: bool) -> tuple[Held, ...]:
        """Nothing waits."""
        del owner, lease, most, children_only
        return ()

    def renew(self, held: Sequence[Run], lease: timedelta) -> Mapping[str, Standing]:
        """Nobody asks."""
        del held, lease
        return {}

    def change(self, run: Run, owner: str, lease: timedelta, transition: Transition) -> Run:
        """By the rule."""
        del owner, lease
        change = transition(run, NOW)
        return change.run if change else run

    def release(self, run: Run) -> bool:
        """Given back."""
        del run
        return True


@pytest.mark.parametrize(("state", "is_renewed"), [(RunState.PAUSED, False), (RunState.RUNNING, True)])
def test_a_hold_is_renewed_by_what_is_written(tmp_path: Path, state: RunState, is_renewed: bool) -> None:
    """A rule that leaves the run as it is writes nothing, so the lease in the database ends when it would have."""
    kept = plan(steps({"wait": Wait(timedelta())}))
    run = replace(run_of(kept), state=state, token=1)
    around = Surroundings(
        journal=OneRun(),
        targets=RecordedTargets(Record(tmp_path / "record.sqlite")),
        children=None,  # type: ignore[arg-type] # it starts no child
        healthy_sides=lambda _: None,
        owner="one",
        clock=lambda: NOW,
        conduct=Conduct(),
    )
    lease = Lease(run, 60.0, time.monotonic() - 61.0, time.monotonic)
    ended = Execution(around, Held(run, kept), lease).carry_out()
    assert ended.state is (RunState.SUCCEEDED if is_renewed else RunState.PAUSED)
    assert lease.is_held == is_renewed
