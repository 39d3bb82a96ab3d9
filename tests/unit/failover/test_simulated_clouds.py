"""The simulated clouds behave as the ports say that clouds do."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.support.failover_plans import BOOT, LAYOUT, NOW
from trimtab_service.clouds.simulated.failover import SimulatedClouds
from trimtab_service.domain.errors import FailedPreconditionError, UnavailableError
from trimtab_service.domain.failover import Side
from trimtab_service.domain.offers import Cloud
from trimtab_service.failover.ports import CapacityTarget, StaleTokenError, TrafficTarget

IOWA = Side("iowa", Cloud.GCP, "us-central1")
VIRGINIA = Side("virginia", Cloud.AWS, "us-east-1")


class _Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def _traffic(world: SimulatedClouds) -> TrafficTarget:
    found = world.traffic("shop", "dns/api.example.com")
    assert found is not None
    return found


def _standby(world: SimulatedClouds) -> CapacityTarget:
    found = world.capacity("shop", "gcp/mig/serving")
    assert found is not None
    return found


def test_an_older_token_switches_nothing() -> None:
    """The fence is the target's: whoever comes late is refused, and leaves no effect."""
    world = SimulatedClouds(LAYOUT, clock=_Clock())
    name = _traffic(world)
    assert name.switch(IOWA, 1.0, 7, "run/switch", NOW).weights == (("iowa", 1.0),)
    with pytest.raises(StaleTokenError):
        name.switch(VIRGINIA, 1.0, 6, "old/switch", NOW)
    assert name.observe(NOW).weights == (("iowa", 1.0),)
    assert [(one.change, one.token) for one in world.effects()] == [("switch iowa 1", 7)]


def test_twice_is_as_once() -> None:
    """Repeating switch, scale, promotion and message changes nothing more."""
    world = SimulatedClouds(LAYOUT, clock=_Clock())
    store, channel = world.data_store("shop", "gcp/sql/orders"), world.notifier("shop", "chat/on-call")
    assert store is not None
    assert channel is not None
    for _ in range(2):
        _traffic(world).switch(IOWA, 1.0, 7, "run/switch", NOW)
        _standby(world).scale(10, 7, "run/scale", NOW)
        store.promote(7, "run/promote", NOW)
        channel.tell("moved", "run/tell", NOW)
    assert [one.target for one in world.effects()] == ["dns/api.example.com", "gcp/mig/serving", "gcp/sql/orders"]
    assert world.told() == ("chat/on-call: moved",)


def test_machines_boot() -> None:
    """Two run, eight more are asked for: all are there after the slowest boot, and a probe says so."""
    clock = _Clock()
    world = SimulatedClouds(LAYOUT, clock=clock, seed=3)
    assert _standby(world).scale(10, 1, "k", NOW).ready == 2
    assert not world.is_well("iowa")
    clock.now += BOOT * 1.2
    assert _standby(world).observe(clock.now).ready == 10
    assert world.is_well("iowa")


def test_the_same_seed_is_the_same_world() -> None:
    """Boots at equal instants; another seed has others."""

    def ready(seed: int) -> list[int]:
        clock = _Clock()
        world = SimulatedClouds(LAYOUT, clock=clock, seed=seed)
        _standby(world).scale(10, 1, "k", NOW)
        seen = []
        for _ in range(50):
            clock.now += timedelta(seconds=1)
            seen.append(_standby(world).observe(clock.now).ready)
        return seen

    assert ready(1) == ready(1)
    assert ready(1) != ready(2)


def test_capacity_runs_out() -> None:
    """A cloud with six machines gives six, and a quota refuses."""
    group = replace(LAYOUT.groups["gcp/mig/serving"], stock=6, boot=timedelta(), quota=20)
    layout = replace(LAYOUT, groups={**LAYOUT.groups, "gcp/mig/serving": group})
    world = SimulatedClouds(layout, clock=_Clock())
    state = _standby(world).scale(10, 1, "k", NOW)
    assert (state.desired, state.ready) == (10, 6)
    with pytest.raises(FailedPreconditionError):
        _standby(world).scale(21, 1, "k", NOW)


def test_a_cloud_that_is_down_does_not_answer_and_comes_back() -> None:
    """Its control plane and its probes; DNS outside of it goes on."""
    world = SimulatedClouds(LAYOUT, clock=_Clock())
    world.fail("aws")
    group = world.capacity("shop", "aws/asg/serving")
    assert group is not None
    with pytest.raises(UnavailableError):
        group.observe(NOW)
    assert not world.is_well("virginia")
    assert _traffic(world).observe(NOW).weights == (("virginia", 1.0),)
    world.recover("aws")
    assert world.is_well("virginia")


def test_replication_stops_with_its_source() -> None:
    """A canary a minute, five seconds late; none is newer than the outage."""
    clock = _Clock()
    world = SimulatedClouds(LAYOUT, clock=clock)
    replica = world.replication("shop", "replication/models")
    assert replica is not None
    clock.now = NOW + timedelta(seconds=64)
    assert replica.watermark(clock.now) == NOW
    clock.now = NOW + timedelta(seconds=66)
    assert replica.watermark(clock.now) == NOW + timedelta(seconds=60)
    world.fail("aws")
    clock.now += timedelta(hours=1)
    assert replica.watermark(clock.now) == NOW + timedelta(seconds=60)


def test_a_world_in_a_file_outlives_its_process(tmp_path: Path) -> None:
    """A second one over the same file sees what the first did."""
    path = tmp_path / "world.json"
    first = SimulatedClouds(LAYOUT, clock=_Clock(), path=path)
    _traffic(first).switch(IOWA, 1.0, 7, "run/switch", NOW)
    first.fail("aws")
    second = SimulatedClouds(LAYOUT, clock=_Clock(), path=path)
    assert _traffic(second).observe(NOW).token == 7
    assert not second.is_well("virginia")
    assert second.effects() == first.effects()
