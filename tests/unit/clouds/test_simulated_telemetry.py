"""The simulated fleet: the same every time, and with every case of a real one in it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.support.clocks import StoppedClock
from trimtab_service.clouds.simulated.fleet import MODELS, simulated_world
from trimtab_service.clouds.simulated.telemetry import SimulatedTelemetry
from trimtab_service.clouds.simulated.world import SimulatedWorld
from trimtab_service.domain.dimensions import Metric
from trimtab_service.domain.offers import Cloud
from trimtab_service.rightsizing.ports import Reading, Scope, Window

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
FORTNIGHT = Window(NOW - timedelta(days=14), NOW)
DEADLINE = NOW + timedelta(minutes=1)


@pytest.fixture
def clock() -> StoppedClock:
    """Noon."""
    return StoppedClock(NOW)


@pytest.fixture
def world(clock: StoppedClock) -> SimulatedWorld:
    """The default fleet."""
    return simulated_world(7, clock)


def readings(world: SimulatedWorld, window: Window = FORTNIGHT) -> dict[str, Reading]:
    """What the source tells of its whole inventory."""
    source = SimulatedTelemetry(world)
    inventory = list(source.inventory(Scope(), DEADLINE))
    return {one.resource.resource_id: one for one in source.read(inventory, window, DEADLINE)}


def values(reading: Reading, metric: Metric) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The values of the first series of a metric."""
    assert reading.telemetry is not None
    return next(one.values for one in reading.telemetry.series if one.metric is metric)


def test_the_same_seed_and_clock_give_the_same_fleet_bit_by_bit(world: SimulatedWorld, clock: StoppedClock) -> None:
    """Determinism over processes: nothing hangs on hash seeds or on the order of reading."""
    again = simulated_world(7, StoppedClock(NOW))
    assert [one.resource for one in world.instances()] == [one.resource for one in again.instances()]
    left, right = readings(world), readings(again)
    for name in left:
        assert (left[name].telemetry is None) == (right[name].telemetry is None)
        for a, b in zip(
            left[name].telemetry.series if left[name].telemetry else (),  # type: ignore[union-attr] # checked in the condition
            right[name].telemetry.series if right[name].telemetry else (),  # type: ignore[union-attr] # checked in the condition
            strict=True,
        ):
            np.testing.assert_array_equal(a.values, b.values)


def test_a_part_of_the_window_reads_as_that_part_of_the_whole(world: SimulatedWorld) -> None:
    """An incremental read sees the values a full read saw."""
    day = Window(NOW - timedelta(days=3), NOW - timedelta(days=2))
    whole, part = values(readings(world)["api-0000"], Metric.CPU), values(readings(world, day)["api-0000"], Metric.CPU)
    np.testing.assert_array_equal(whole[11 * 288 : 12 * 288], part)


def test_other_seeds_are_other_fleets(clock: StoppedClock) -> None:
    """The seed is used."""
    left = values(readings(simulated_world(1, clock))["api-0000"], Metric.CPU)
    right = values(readings(simulated_world(2, clock))["api-0000"], Metric.CPU)
    assert not np.array_equal(left, right)


def test_the_fleet_is_of_three_clouds_and_holds_every_case(world: SimulatedWorld) -> None:
    """One fails, one without agent lacks memory and says so, a new one has hours only, the others a fortnight."""
    found = readings(world)
    assert {one.resource.cloud for one in found.values()} == set(Cloud)
    assert len(found) == len(world.instances()) >= 2 * len(MODELS)
    failing = {name for name, one in found.items() if one.telemetry is None}
    assert {name.split("-")[0] for name in failing} == {"silent"}
    assert all(found[name].failure for name in failing)
    blind = found["noagent-0007"]
    assert blind.missing
    assert blind.telemetry is not None
    assert Metric.MEMORY not in {series.metric for series in blind.telemetry.series}
    assert values(found["new-0012"], Metric.CPU).size == 120
    assert values(found["api-0000"], Metric.CPU).size == 14 * 288


def test_four_gpus_at_thirty_per_cent_are_in_it(world: SimulatedWorld) -> None:
    """The common case of the training box: 1.2 GPUs of load on four."""
    reading = readings(world)["train-0001"]
    assert reading.telemetry is not None
    busy = [one.values for one in reading.telemetry.series if one.metric is Metric.GPU]
    assert len(busy) == 4
    assert sum(float(one.mean()) for one in busy) / 100 == pytest.approx(1.2, abs=0.02)


def test_weekends_are_quiet_in_the_office(world: SimulatedWorld) -> None:
    """Loads follow the week."""
    cpu = values(readings(world)["office-0003"], Metric.CPU)
    begin = int(FORTNIGHT.start.timestamp())
    weekday = ((begin + np.arange(cpu.size) * 300) // 86_400 + 3) % 7
    assert cpu[weekday >= 5].max() < 0.5 * cpu[weekday < 5].max()


def test_what_is_done_to_the_world_is_seen_in_its_telemetry(world: SimulatedWorld, clock: StoppedClock) -> None:
    """A resize keeps the load; a stop ends it; what is gone fails and is not listed."""
    before = values(readings(world)["api-0000"], Metric.CPU)
    resource = readings(world)["api-0000"].resource
    assert world.set_type("api-0000", "m5.large")
    assert not world.set_type("api-0000", "m5.large")
    np.testing.assert_array_equal(before, values(readings(world)["api-0000"], Metric.CPU))
    assert readings(world)["api-0000"].resource.instance_type == "m5.large"
    assert world.stop("api-0000")
    assert not world.stop("api-0000")
    assert "api-0000" not in readings(world)
    clock.sleep(3_600)
    source = SimulatedTelemetry(world)
    (stopped,) = source.read([resource], Window(NOW, clock.now), DEADLINE)
    assert stopped.telemetry is not None
    assert stopped.telemetry.series == ()
    world.remove("api-0000")
    (gone,) = source.read([resource], FORTNIGHT, DEADLINE)
    assert gone.telemetry is None
    assert "exist" in gone.failure


def test_a_smaller_group_carries_the_same_total(world: SimulatedWorld) -> None:
    """Amounts are of all instances together: halving the instances leaves them as they are."""
    before = values(readings(world)["web-0005"], Metric.CPU)
    world.set_count("web-0005", 3)
    after = readings(world)["web-0005"]
    np.testing.assert_array_equal(values(after, Metric.CPU), before)
    assert set(values(after, Metric.INSTANCES).tolist()) == {3.0}


def test_a_scope_is_kept_to(world: SimulatedWorld) -> None:
    """Regions and tags both narrow the listing."""
    source = SimulatedTelemetry(world)
    scope = Scope(frozenset({(Cloud.GCP, "us-central1")}), (("team", "search"),))
    found = list(source.inventory(scope, DEADLINE))
    assert found
    assert {(one.cloud, one.region, one.team) for one in found} == {(Cloud.GCP, "us-central1", "search")}
