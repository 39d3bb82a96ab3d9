"""Capacity that a step asks for: what it does when a cloud falls silent, or when somebody else asks too."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from tests.support.failovers import plan, run_of, steps
from trimtab_service.clouds.simulated.failover import Group, Layout, SimulatedClouds
from trimtab_service.domain.failover import AcquireCapacity, Action, RunMode, ScaleCapacity
from trimtab_service.failover.reach import ProductionReach
from trimtab_service.failover.steps.acquire_capacity import AcquireCapacityStep
from trimtab_service.failover.steps.call import Call, never_read
from trimtab_service.failover.steps.scale_capacity import ScaleCapacityStep

START: Final = datetime.fromisoformat("2026-11-23T12:00:00+00:00")
HERE, THERE = "aws/asg/here", "gcp/mig/there"


@dataclass(slots=True)
class World:
    """Two groups of two machines; `there` boots at once. Time goes on by a second a wait, when things may happen."""

    here: Group
    now: datetime = START
    memo: dict[str, object] = field(default_factory=dict)
    clouds: SimulatedClouds = field(init=False)
    meanwhile: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        """At first nothing was asked for."""
        groups = {HERE: self.here, THERE: Group("gcp", "north", ready=2, peak=10)}
        self.clouds = SimulatedClouds(Layout(groups=groups), clock=lambda: self.now)

    def call(self, action: Action) -> Call:
        """The one step of a run that has a minute."""
        of = plan(steps({"get": action}))
        run = run_of(of)
        return Call(
            run=replace(run, token=7),
            plan=of,
            step=replace(run.steps[0], memo=self.memo),
            step_deadline=START + timedelta(minutes=1),
            pace_s=1.0,
            clock=lambda: self.now,
            hold=_Going(self, run.mode),
            note=self._note,
            children=None,  # type: ignore[arg-type] # it starts no child
            healthy_sides=lambda _: None,
            known_peak=never_read,
        )

    def _note(self, memo: dict[str, object]) -> dict[str, object]:
        self.memo = self.memo or memo
        return self.memo

    @property
    def reach(self) -> ProductionReach:
        """Of a run that is meant."""
        return ProductionReach(self.clouds, "shop")


@dataclass(frozen=True, slots=True)
class _Going:
    """A hold that lasts, under which time goes on."""

    world: World
    mode: RunMode

    def check(self) -> None:
        """It is held."""

    def remaining_s(self) -> float:
        """As long as a lease."""
        return 10.0

    def wait(self, seconds: float) -> None:
        """At once, by this world's clock."""
        self.world.now += timedelta(seconds=seconds)
        self.world.meanwhile()


def test_what_somebody_else_takes_back_is_asked_for_again() -> None:
    """An exercise that gave way may still put its number into the group's books: the run that is meant has its way."""
    world = World(Group("aws", "west", ready=2, peak=10, boot=timedelta(seconds=20)))
    group = world.clouds.capacity("shop", HERE)
    assert group is not None

    def comes_late() -> None:
        world.meanwhile = lambda: None
        group.scale(2, 6, "shop/drill/get/undo", world.now)

    world.meanwhile = comes_late
    action = ScaleCapacity(HERE, count=10)
    effect = ScaleCapacityStep(action).run(world.call(action), world.reach)
    assert effect.detail == f"{HERE}: 10 of 10 are ready"


def test_a_group_that_falls_silent_after_it_was_asked_is_given_back_with_the_rest() -> None:
    """The next one is taken; what was asked of the first is not left running without anybody's knowing."""
    action = AcquireCapacity((HERE, THERE), 8)
    world = World(Group("aws", "west", ready=2, peak=10, boot=timedelta(seconds=20)))

    def falls_silent() -> None:
        world.clouds.fail("aws")
        world.meanwhile = lambda: None

    world.meanwhile = falls_silent
    effect = AcquireCapacityStep(action).run(world.call(action), world.reach)
    assert effect.detail == f"{THERE}: 8 of 8 are ready; {HERE} did not answer, and may keep what was asked of it"
    assert effect.is_exception


def test_a_group_that_answers_again_is_given_back_before_the_next_is_asked() -> None:
    """Nobody pays for two."""
    action = AcquireCapacity((HERE, THERE), 8)
    world = World(Group("aws", "west", ready=2, peak=10, stock=3))
    effect = AcquireCapacityStep(action).run(world.call(action), world.reach)
    assert (effect.detail, effect.is_exception) == (f"{THERE}: 8 of 8 are ready", False)
    changes = [(one.target, one.change) for one in world.clouds.effects()]
    assert changes == [(HERE, "scale 8"), (HERE, "scale 2"), (THERE, "scale 8")]
