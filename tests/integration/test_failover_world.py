"""Everything together, in any order: detection, people, two processes that are killed and overtaken, clouds that fail.

The real engine over a real store and simulated clouds; after every move I1 to I12 are checked. Random schedules find
little of what a fence prevents, so the models' counter-example is a schedule of its own, here and without the fence.
"""

import contextlib
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.support.failover_plans import OBSERVERS
from tests.support.failover_world import SIDES, FailoverWorld
from tests.support.failovers import no_request
from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.domain.failover import RunKind, RunMode, RunState, StepState
from trimtab_service.failover.run import Command, Decision, Run, Steering, Trigger
from trimtab_service.store.engines import Database

WHO = st.integers(0, 1)
NAMES = st.sampled_from([one.observer_id for one in OBSERVERS])
MODES = st.sampled_from(RunMode)
PASSES = st.sampled_from([timedelta(seconds=1), timedelta(seconds=40), timedelta(minutes=11), timedelta(minutes=61)])
MOVES = 400
"""More than any run has doors."""


class Everything(RuleBasedStateMachine):
    """One deployment."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.world = FailoverWorld(self.database)

    @property
    def live(self) -> Run | None:
        """The run that is under way."""
        return next((run for run in self.world.runs() if not run.state.is_over), None)

    @rule(who=WHO)
    def take_or_move(self, who: int) -> None:
        """A process looks for work, or goes through its door."""
        puppet = self.world.puppets[who]
        if puppet.door:
            self.world.move(puppet)
        else:
            puppet.take()

    @rule(who=WHO, times=st.integers(2, 12))
    def move_on(self, who: int, times: int) -> None:
        """Through several doors in a row."""
        for _ in range(times):
            self.take_or_move(who)

    @rule()
    def expire(self) -> None:
        """Leases end at any moment."""
        self.world.expire_leases()

    @rule(who=WHO)
    def kill(self, who: int) -> None:
        """And so do processes."""
        self.world.puppets[who].kill()

    @rule()
    def restart(self) -> None:
        """All at once."""
        self.world.restart()

    @rule(mode=MODES, trigger=st.sampled_from([Trigger.MANUAL, Trigger.DRILL]))
    def start(self, mode: RunMode, trigger: Trigger) -> None:
        """Somebody asks for a run."""
        kind = RunKind.DRILL if trigger is Trigger.DRILL else RunKind.ACTIVATE
        if kind is RunKind.ACTIVATE and self.world.traffic_at() == SIDES[1]:
            kind = RunKind.POST_RECOVERY
        with contextlib.suppress(FailedPreconditionError):
            self.world.start(trigger, mode, kind)

    @rule(observer=NAMES, virginia=st.booleans(), iowa=st.booleans())
    def one_reports(self, observer: str, virginia: bool, iowa: bool) -> None:
        """An observer that may lie."""
        self._may_start(self.world.report(observer, dict(zip(SIDES, (virginia, iowa), strict=True))))

    @rule()
    def all_report(self) -> None:
        """What there is to see."""
        seen = {side: self.world.clouds.is_well(side) for side in SIDES}
        for one in OBSERVERS:
            self._may_start(self.world.report(one.observer_id, seen))

    def _may_start(self, may: bool) -> None:
        if may:
            with contextlib.suppress(FailedPreconditionError):
                self.world.start(Trigger.AUTOMATIC, RunMode.UNGRACEFUL)

    @rule(cloud=st.sampled_from(["aws", "gcp"]), fails=st.booleans())
    def cloud_changes(self, cloud: str, fails: bool) -> None:
        """An outage, or its end."""
        (self.world.clouds.fail if fails else self.world.clouds.recover)(cloud)

    @rule(passes=PASSES)
    def time_passes(self, passes: timedelta) -> None:
        """Approvals expire, cooldowns end."""
        self.world.clock.now += passes

    @precondition(lambda self: self.live is not None)
    @rule(approved=st.booleans(), actor=st.sampled_from(["ann", "bob"]), honest=st.booleans())
    def decide(self, approved: bool, actor: str, honest: bool) -> None:
        """By who asked for it or another, of the plan that runs or one that never was."""
        run = self.live
        assert run is not None
        said = Decision("approve", run.plan_hash if honest else "0" * 64, approved=approved, actor=actor)
        with contextlib.suppress(FailedPreconditionError):
            self.world.rooms.runs.decide(run.project, run.run_id, said, no_request())

    @precondition(lambda self: self.live is not None)
    @rule(command=st.sampled_from(Command), data=st.data())
    def steer(self, command: Command, data: st.DataObject) -> None:
        """Whatever a person may say of any step."""
        run = self.live
        assert run is not None
        one = data.draw(st.sampled_from(run.steps))
        mode = data.draw(MODES)
        said = Steering(command, "ann", one.step_id, mode, "because")
        with contextlib.suppress(FailedPreconditionError):
            self.world.rooms.runs.steer(run.project, run.run_id, said, no_request())

    @invariant()
    def holds(self) -> None:
        """I1 to I12."""
        self.world.check()

    def teardown(self) -> None:
        """Once everything is well, what is under way ends, or waits for a person."""
        try:
            for cloud in ("aws", "gcp"):
                self.world.clouds.recover(cloud)
            completed(self.world)
        finally:
            self.world.forget()


def completed(world: FailoverWorld) -> None:
    """Both processes go on until there is nothing more for them to do; every fact holds on the way."""
    for puppet in world.puppets:
        world.expire_leases()
        for _ in range(MOVES):
            if not puppet.door:
                puppet.take()
            if not puppet.door:
                break
            world.move(puppet)
        assert not puppet.door, "it never ends"
        world.check()
    resting = {RunState.PAUSED, RunState.PENDING_APPROVAL}
    assert all(run.state.is_over or run.state in resting for run in world.runs())


def searched(database: Database, examples: int) -> None:
    """So many schedules."""
    machine = type("Machine", (Everything,), {"database": database})
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=30, deadline=None, suppress_health_check=checks, database=None
        ),
    )


def test_whatever_happens_every_fact_holds(database: Database) -> None:
    """A few schedules, on each engine."""
    searched(database, 10)


@pytest.mark.long
def test_whatever_happens_every_fact_holds_in_many_schedules(database: Database) -> None:
    """As many as minutes allow."""
    searched(database, 250)


def carried(world: FailoverWorld, who: int, run: Run, door: str = "") -> Run:
    """A process carries a run to its end, or comes to a door with it; what waits is approved by another person."""
    puppet = world.puppets[who]
    for _ in range(MOVES):
        stands = world.rooms.runs.get(run.project, run.run_id)
        if stands.state.is_over or (door and puppet.door == door):
            return stands
        if any(one.state is StepState.PENDING_APPROVAL for one in stands.steps):
            said = Decision("approve", run.plan_hash, approved=True, actor="bob")
            world.rooms.runs.decide(run.project, run.run_id, said, no_request())
        (puppet.move if puppet.door else puppet.take)()
        world.check()
    raise AssertionError("it never ends")


def overslept(world: FailoverWorld) -> None:
    """The models' counter-example: A stands at the name's door; B takes over, switches, and goes back; A moves."""
    run = world.start(Trigger.MANUAL, RunMode.GRACEFUL)
    carried(world, 0, run, "switch")
    world.expire_leases()
    assert carried(world, 1, run).state is RunState.SUCCEEDED
    back = world.start(Trigger.MANUAL, RunMode.GRACEFUL, RunKind.POST_RECOVERY)
    assert carried(world, 1, back).state is RunState.SUCCEEDED
    while world.puppets[0].door:
        world.puppets[0].move()
        world.check()


def skipped(world: FailoverWorld) -> None:
    """A stands at the name's door; B takes over and may not switch, a person leaves the step out; A moves."""
    run = world.start(Trigger.MANUAL, RunMode.GRACEFUL)
    carried(world, 0, run, "switch")
    world.expire_leases()
    for one in OBSERVERS:
        world.report(one.observer_id, {"virginia": True, "iowa": False})
    while world.rooms.runs.get(run.project, run.run_id).state is not RunState.PAUSED:
        (world.puppets[1].move if world.puppets[1].door else world.puppets[1].take)()
        world.check()
    said = Steering(Command.SKIP_STEP, "ann", "switch", reason="the standby is not well")
    world.rooms.runs.steer(run.project, run.run_id, said, no_request())
    assert carried(world, 1, run).state is RunState.COMPLETED_WITH_EXCEPTIONS
    while world.puppets[0].door:
        world.puppets[0].move()
        world.check()


def test_who_switches_and_ends_between_two_checks_did_not_come_late(database: Database) -> None:
    """A run that was approved goes through all of its last doors in a row, and moves traffic in its own time."""
    world = FailoverWorld(database)
    try:
        run = world.start(Trigger.MANUAL, RunMode.GRACEFUL)
        carried(world, 0, run, "release")
        said = Decision("approve", run.plan_hash, approved=True, actor="bob")
        world.rooms.runs.decide(run.project, run.run_id, said, no_request())
        completed(world)
        assert world.runs()[0].state is RunState.SUCCEEDED
        assert world.traffic_at() == SIDES[1]
    finally:
        world.forget()


def test_a_process_that_overslept_everything_moves_nothing(database: Database) -> None:
    """Every fact holds, and traffic is where it was brought back to."""
    world = FailoverWorld(database)
    try:
        overslept(world)
        assert world.traffic_at() == SIDES[0]
    finally:
        world.forget()


def test_a_step_that_was_left_out_is_not_made_by_who_overslept_that(database: Database) -> None:
    """Whoever takes a switch over raises the fence before anything else, for the other may stand at its door."""
    world = FailoverWorld(database)
    try:
        skipped(world)
        assert world.traffic_at() == SIDES[0]
    finally:
        world.forget()


def test_without_the_fence_the_same_schedule_is_caught(database: Database) -> None:
    """Else the facts would say nothing of it."""
    world = FailoverWorld(database, unfenced=True)
    try:
        with pytest.raises(AssertionError, match="I2"):
            overslept(world)
    finally:
        world.forget()
