"""Probes of the service's own notice an outage and start the failover; replicas share them out."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.failover_plans import OBSERVERS, failover_plan
from tests.support.failover_service import PARENT, PLAN, PROBED, FailoverHouse, failover_house, watches
from trimtab.v1 import failover_service_pb2 as pb
from trimtab_service.bootstrap import Overrides, utc_now
from trimtab_service.clouds.simulated.failover import SimulatedClouds
from trimtab_service.domain.failover import Detection
from trimtab_service.domain.offers import Cloud
from trimtab_service.store.engines import open_database
from trimtab_service.store.failover_duties import FailoverDutyStore

OWN = Overrides(watches=watches())
UNSPOKEN_FOR = tuple(replace(one, reporter=f"nobody-{one.cloud}") for one in OBSERVERS)
"""Callers cannot report for them, which is nothing to the service's own probes."""

AUTOMATIC = Detection(UNSPOKEN_FOR, automatic=True, report_ttl=timedelta(seconds=5))


def _until(wanted: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60
    while not wanted():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def _health(house: FailoverHouse) -> pb.ServiceHealth:
    found: pb.ServiceHealth = house.stub.CheckServiceHealth(pb.CheckServiceHealthRequest(name=PLAN))
    return found


def _runs(house: FailoverHouse) -> list[pb.FailoverRun]:
    return list(house.stub.ListFailoverRuns(pb.ListFailoverRunsRequest(parent=PARENT)).failover_runs)


def test_an_outage_is_noticed_by_own_probes_and_moved_from_once(dsn: str, tmp_path: Path) -> None:
    """No report comes from outside: three observers see it, one run starts, and traffic is at the other side."""
    with failover_house(tmp_path, PROBED, overrides=OWN, database_url=dsn) as house:
        house.keep(failover_plan(detection=AUTOMATIC))
        _until(lambda: _health(house).verdict == pb.ServiceHealth.VERDICT_WELL)
        house.world.fail("aws")
        _until(lambda: bool(_runs(house)))
        run = house.over(_runs(house)[0])
        assert (run.state, run.started_by) == (pb.FailoverRun.STATE_SUCCEEDED, "detection")
        assert house.world.traffic("shop", "dns/api.example.com").observe(utc_now()).weights[0][0] == "iowa"  # type: ignore[union-attr] # the layout has it
        assert len(_runs(house)) == 1


def test_a_probe_that_stands_elsewhere_than_the_plan_says_is_no_observer(tmp_path: Path) -> None:
    """Its word would count for a cloud that it is not in."""
    moved = tuple(replace(watch, cloud=Cloud.AZURE) for watch in watches() if watch.cloud is Cloud.GCP)
    with failover_house(tmp_path, PROBED, overrides=replace(OWN, watches=moved)) as house:
        house.keep(failover_plan(detection=AUTOMATIC))
        time.sleep(0.5)
        assert list(_health(house).reasons) == ["TOO_FEW_OBSERVERS"]


def test_a_plan_that_is_not_automatic_is_only_told(tmp_path: Path) -> None:
    """Recommend and ask: the verdict says what should be done, and nothing is begun."""
    with failover_house(tmp_path, PROBED, overrides=OWN) as house:
        house.keep(failover_plan(detection=replace(AUTOMATIC, automatic=False)))
        _until(lambda: _health(house).verdict == pb.ServiceHealth.VERDICT_WELL)
        house.world.fail("aws")
        _until(lambda: _health(house).verdict == pb.ServiceHealth.VERDICT_FAIL_OVER)
        assert _runs(house) == []


def test_replicas_share_the_probes_and_one_goes_on_for_the_other(dsn: str, tmp_path: Path) -> None:
    """Two processes over one database: the second takes over at once when the first ends in order."""
    world = SimulatedClouds(PROBED, clock=utc_now)
    shared = {"database_url": dsn, "overrides": OWN, "world": world}
    with failover_house(tmp_path / "two", **shared) as second:  # type: ignore[arg-type] # mixed keywords
        with failover_house(tmp_path / "one", **shared) as first:  # type: ignore[arg-type]
            first.keep(failover_plan(detection=AUTOMATIC))
            _until(lambda: _health(first).verdict == pb.ServiceHealth.VERDICT_WELL)
        world.fail("aws")
        _until(lambda: bool(_runs(second)))
        assert second.over(_runs(second)[0]).state == pb.FailoverRun.STATE_SUCCEEDED


@pytest.mark.usefixtures("database")
def test_a_duty_is_one_processs_until_its_lease_is_over_or_given_back(dsn: str) -> None:
    """The other one gets what is free, and nothing else; keeping it is taking it again."""
    database = open_database(dsn)
    now = [utc_now()]
    one = FailoverDutyStore(database, "one", lambda: now[0])
    two = FailoverDutyStore(database, "two", lambda: now[0])
    minute = timedelta(minutes=1)
    assert one.hold(["a", "b"], minute) == {"a", "b"}
    assert two.hold(["a", "b", "c"], minute) == {"c"}
    assert one.hold(["a", "b", "c"], minute) == {"a", "b"}
    one.give_back()
    assert two.hold(["a", "b", "c"], timedelta(milliseconds=50)) == {"a", "b", "c"}
    now[0] += timedelta(seconds=1)
    _until(lambda: one.hold(["a"], minute) == {"a"})
    assert one.hold([], minute) == frozenset()
