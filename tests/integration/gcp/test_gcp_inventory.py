"""Compute Engine's lists through Google's own clients, against an HTTP server of its API."""

from datetime import UTC, datetime

import pytest

from tests.support.clocks import StoppedClock
from tests.support.compute_engine import ComputeEngineFake
from tests.support.gcp_account import inventory, populate
from tests.support.http_fake import Answer
from trimtab_service.clouds.kinds import Connection
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.offers import Cloud, PurchaseOption
from trimtab_service.domain.resources import ResourceKind
from trimtab_service.rightsizing.ports import Scope


def test_the_inventory_is_groups_and_the_machines_of_none(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """Over several pages; what is stopped or belongs to a group is not listed by itself."""
    populate(compute)
    found = inventory(connection, clock)
    assert set(found) == {"7001", "7002", "web", "fixed"}
    vm = found["7001"]
    assert (vm.region, vm.zone, vm.instance_type) == ("us-central1", "us-central1-a", "n2-custom-4-16384")
    assert vm.capacity is not None
    assert (vm.capacity.vcpus, vm.capacity.memory_gib) == (4, 16)
    assert (vm.team, vm.option) == ("search", PurchaseOption.SPOT)
    assert dict(vm.tags)["gcp:name"] == "vm-a"
    assert vm.start_time == datetime(2026, 11, 1, 11, tzinfo=UTC)
    assert found["7002"].instance_type == "n1-standard-8+nvidia-tesla-t4x2"
    web = found["web"]
    assert (web.kind, web.count, web.instance_type, web.zone) == (ResourceKind.INSTANCE_GROUP, 3, "n2-standard-4", "")
    assert web.autoscaling is not None
    assert (web.autoscaling.min_count, web.autoscaling.max_count, web.autoscaling.target_utilization) == (2, 9, 0.75)
    assert found["fixed"].autoscaling is None


def test_the_inventory_keeps_to_its_scope(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """Regions and labels."""
    populate(compute)
    assert set(inventory(connection, clock, Scope(frozenset({(Cloud.GCP, "europe-west4")})))) == {"7002"}
    assert set(inventory(connection, clock, Scope(tags=(("team", "search"),)))) == {"7001"}


@pytest.mark.parametrize("fault", [Answer({"error": {"code": 403}}, 403), Answer({"error": {"code": 401}}, 401)])
def test_a_listing_that_fails_raises(
    fault: Answer, compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """No part of a list is given as all of it."""
    populate(compute)
    compute.server.faults.append(fault)
    with pytest.raises(UnavailableError):
        inventory(connection, clock)


def test_a_zone_that_does_not_answer_fails_the_listing(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """A place among the unreachable ones is not a place without instances."""
    populate(compute)
    compute.unreachable = ["zones/us-east1-b"]
    with pytest.raises(UnavailableError, match="did not answer"):
        inventory(connection, clock)


def test_a_listing_is_asked_again_when_throttled(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """Retry-After is kept to."""
    populate(compute)
    compute.server.faults.append(Answer({"error": {"code": 429}}, 429, {"Retry-After": "9"}))
    assert inventory(connection, clock)
    assert clock.slept == [9.0]
