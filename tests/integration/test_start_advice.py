"""Work that may wait, through a real server: the advice is in the decision, logged with it, and comes out again."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.catalog_sources import good_source
from tests.support.contract import PLACEMENT, answered, refused
from tests.support.placement_house import ONLY_IRELAND, PLACE, Clock, House, own, place
from tests.support.purchase_requests import daily, demand
from tests.support.service import running_service
from tests.support.whole_requests import place_request
from trimtab.client import Client
from trimtab.purchasing import keep_use
from trimtab.v1 import placement_service_pb2 as pb
from trimtab.v1 import purchasing_service_pb2
from trimtab_service.bootstrap import Overrides

NOW = datetime(2026, 11, 23, 12, 20, tzinfo=UTC)
BY_DAY = [1.0 if 6 <= hour % 24 < 22 else 0.0 for hour in range(168)]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One service whose clock stands still."""
    root = tmp_path_factory.mktemp("waiting")
    directory = good_source().write(root / "catalog")
    with running_service(root / "data", overrides=Overrides(clock=lambda: NOW), catalog_dir=directory) as service:
        yield House(service, Clock(), directory)


@pytest.fixture
def project() -> str:
    """A project that no other test uses."""
    return f"w{uuid.uuid4().hex[:12]}"


def waiting(project: str, hours: float = 24, **fields: Any) -> pb.PlaceRequest:  # noqa: ANN401 - fields of a workload
    """Work of four hours that may wait so long."""
    request = place_request(project, residency=ONLY_IRELAND, duration="14400s", **fields)
    request.workload.latest_start_time.FromDatetime((NOW + timedelta(hours=hours)).replace(tzinfo=None))
    return request


def test_the_advice_is_part_of_the_decision_and_of_its_replay(house: House, project: str) -> None:
    """It runs at 22 o'clock for nothing; made again from the log, every byte is the same."""
    own(house, project, instances=2, usedByHourOfWeek=BY_DAY)
    decision = place(house, waiting(project))
    advice = decision.start_advice
    assert advice.start_time.ToDatetime(UTC) == NOW.replace(hour=22, minute=0)
    assert advice.expected_cost.units == advice.expected_cost.nanos == 0
    assert advice.saving == advice.cost_now == decision.chosen.expected_cost
    assert [name.rpartition("/")[2] for name in advice.commitments] == ["ri"]
    explained = pb.ExplainPlacementRequest(parent=f"projects/{project}", decision=decision.name)
    again = answered(house.channel, PLACEMENT + "ExplainPlacement", explained)
    assert again.replay_identical
    assert again.decision.start_advice == advice


def test_room_is_that_of_the_hour_for_every_request(house: House, project: str) -> None:
    """At noon others use the reservation, so what is placed now is bought; and the answer stands for this hour only."""
    own(house, project, instances=2, usedByHourOfWeek=BY_DAY)
    request = waiting(project)
    request.workload.ClearField("latest_start_time")
    busy = place(house, request)
    assert not busy.chosen.commitments
    assert not busy.HasField("start_advice")
    free = f"{project}f"
    own(house, free, instances=2, usedByHourOfWeek=[0.0] * 168)
    request.parent = f"projects/{free}"
    assert place(house, request).chosen.commitments


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"hours": 169}, "workload.latest_start_time"),
        ({"hours": -1}, "workload.latest_start_time"),
        ({"current": {"location": {"cloud": "CLOUD_AWS", "region": "eu-west-1"}}}, "workload.current"),
    ],
)
def test_what_cannot_wait_is_refused(house: House, project: str, changes: dict[str, Any], field: str) -> None:
    """Beyond a week, in the past, or running already."""
    assert field in refused(house.channel, PLACE, waiting(project, **changes)).fields


def test_a_service_and_a_reservation_do_not_wait(house: House, project: str) -> None:
    """A service runs always; room is held from now on."""
    service = waiting(project)
    service.workload.ClearField("duration")
    service.workload.service_hours_per_month = 100
    assert "workload.latest_start_time" in refused(house.channel, PLACE, service).fields
    holding = waiting(project)
    holding.reserve, holding.request_id = True, str(uuid.uuid4())
    assert "workload.latest_start_time" in refused(house.channel, PLACE, holding).fields


def test_shares_of_the_week_are_checked(house: House, project: str) -> None:
    """168 of them, each from 0 to 1."""
    for shares in ([0.5] * 167, [1.5] * 168):
        with pytest.raises(AssertionError, match="used_by_hour_of_week"):
            own(house, project, usedByHourOfWeek=shares)


def test_use_that_was_found_is_kept_for_placement(house: House, project: str) -> None:
    """From hourly usage to the commitment in one call; placement then knows the hour's room."""
    own(house, project, instances=2, pricePerHour={"currencyCode": "USD", "nanos": 50_000_000})
    with Client(house.service.target, project=project) as client:
        usage = demand(("m5", daily(60, 24 * 14)), region="eu-west-1")
        prices = client.purchasing.get_shadow_prices(purchasing_service_pb2.GetShadowPricesRequest(demand=usage))
        kept = keep_use(client, prices)
        (stands,) = client.commitments.list_commitments()
    assert kept == len(prices.commitments) == 1
    assert list(stands.used_by_hour_of_week) == [
        share for one in prices.commitments for share in one.used_by_hour_of_week
    ]


def test_what_was_ended_meanwhile_stays_ended(house: House, project: str) -> None:
    """Its use was read before it was ended, and is entered after: its room is not given again."""
    own(house, project, instances=2)
    with Client(house.service.target, project=project) as client:
        (stands,) = client.commitments.list_commitments()
        assert client.commitments.end_commitment(stands.name).HasField("ended_time")
        stands.used_by_hour_of_week.extend(BY_DAY)
        (entered,) = client.commitments.import_commitments([stands])
        assert list(entered.used_by_hour_of_week) == BY_DAY
        assert entered.HasField("ended_time")
    assert not place(house, waiting(project)).start_advice.commitments
