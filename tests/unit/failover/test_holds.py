"""How long a call to the outside may take: no longer than the hold that it is made under."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.failovers import NOW, plan, run_of
from trimtab_service.domain.failover import RunMode, RunState
from trimtab_service.failover.journal import Standing
from trimtab_service.failover.leases import Lease, LeaseView
from trimtab_service.failover.steps.call import Call, StoppedError, never_read


def call(lease: Lease, timeout: timedelta) -> Call:
    """The first step of a run, begun now."""
    kept = plan()
    run = run_of(kept)
    return Call(
        run=run,
        plan=kept,
        step=run.steps[0],
        step_deadline=NOW + timeout,
        pace_s=0.01,
        clock=lambda: NOW,
        hold=LeaseView(lease, is_undoing=False, graceful_only=False),
        note=lambda memo: memo,
        children=None,  # type: ignore[arg-type] # it starts no child
        healthy_sides=lambda _: None,
        known_peak=never_read,
    )


def test_a_call_ends_with_its_hold_and_a_step_with_its_time() -> None:
    """A renewed hold gives the next call more; a lost one gives it nothing, though the step's time is not over."""
    elapsed = [0.0]
    lease = Lease(run_of(plan()), 10.0, 0.0, lambda: elapsed[0])
    made = call(lease, timedelta(minutes=10))
    assert made.deadline == NOW + timedelta(seconds=10)
    elapsed[0] = 4.0
    assert made.deadline == NOW + timedelta(seconds=6)
    lease.extend(4.0)
    assert made.deadline == NOW + timedelta(seconds=10)
    assert replace(made, step_deadline=NOW + timedelta(seconds=2)).deadline == NOW + timedelta(seconds=2)
    lease.lose()
    assert made.deadline == NOW
    assert not made.is_late()


def test_a_step_is_given_up_when_the_run_aborts_or_leaves_it_out() -> None:
    """What undoes is not: an abort is what it serves, and an undoing is for either mode."""
    lease = Lease(run_of(plan()), 10.0, 0.0, lambda: 0.0)
    graceful, either, undoing = (
        LeaseView(lease, is_undoing=is_undoing, graceful_only=graceful_only)
        for is_undoing, graceful_only in ((False, True), (False, False), (True, True))
    )
    for view in (graceful, either, undoing):
        view.check()
    lease.standing = Standing(RunState.RUNNING, RunMode.UNGRACEFUL)
    assert either.mode is RunMode.UNGRACEFUL
    either.check()
    with pytest.raises(StoppedError, match="leaves it out"):
        graceful.check()
    lease.standing = Standing(RunState.ABORTING, RunMode.GRACEFUL)
    for view in (graceful, either):
        with pytest.raises(StoppedError, match="aborted"):
            view.check()
    undoing.check()
