"""Room that decisions draw: once, until released or expired, and never twice, through the real service."""

import copy
import threading
import uuid
from datetime import timedelta
from typing import Any, Final

import grpc
import pytest

from tests.support.contract import PLACEMENT, Refusal, answered, call, refused
from tests.support.placement_house import (
    ONLY_IRELAND,
    OWNED,
    PLACE,
    PLACED,
    House,
    own,
    place,
    reserved_fraction,
    reserving,
)
from tests.support.whole_requests import place_request
from trimtab.v1 import placement_service_pb2 as pb

BATCH: Final = PLACEMENT + "BatchPlace"


EXPLAIN: Final = PLACEMENT + "ExplainPlacement"


RELEASE: Final = PLACEMENT + "ReleaseDecision"


def test_reservation_draws_until_it_is_released(house: House, project: str) -> None:
    """Owned room is free until drawn, drawn once for one request id, and free again when it is given back."""
    own(house, project)
    look = place_request(project, residency=ONLY_IRELAND, count=2)
    assert place(house, look).chosen.offer.purchase_option == OWNED
    assert reserved_fraction(house, project) == 0.0
    request = reserving(project, count=2)
    decision = place(house, request)
    assert (decision.reserved, decision.chosen.offer.purchase_option) == (True, OWNED)
    assert decision.chosen.commitments == [f"projects/{project}/commitments/ri"]
    assert reserved_fraction(house, project) == 1.0
    again = place(house, request)
    assert again.SerializeToString(deterministic=True) == decision.SerializeToString(deterministic=True)
    assert place(house, look).chosen.offer.purchase_option != OWNED
    released = answered(house.channel, RELEASE, pb.ReleaseDecisionRequest(name=decision.name))
    assert (released.reserved, released.HasField("release_time")) == (False, True)
    assert reserved_fraction(house, project) == 0.0
    assert place(house, look).chosen.offer.purchase_option == OWNED
    twice = answered(house.channel, RELEASE, pb.ReleaseDecisionRequest(name=decision.name))
    assert twice == released
    # The id is still taken, and its answer is the first one.
    assert place(house, request).name == decision.name


def test_reservation_expires(house: House, project: str) -> None:
    """At `valid_until`, which is the duration asked for, or a quarter of an hour."""
    own(house, project)
    request = reserving(project, count=2)
    request.reserve_duration.seconds = 60
    decision = place(house, request)
    held = decision.valid_until.ToDatetime() - decision.create_time.ToDatetime()
    assert held == timedelta(seconds=60)
    look = place_request(project, residency=ONLY_IRELAND, count=2)
    house.clock.ahead += timedelta(seconds=59)
    assert place(house, look).chosen.offer.purchase_option != OWNED
    house.clock.ahead += timedelta(seconds=2)
    assert place(house, look).chosen.offer.purchase_option == OWNED
    by_default = place(house, reserving(project, count=2))
    assert by_default.valid_until.ToDatetime() - by_default.create_time.ToDatetime() == timedelta(minutes=15)


def test_answer_of_a_reservation_outlives_its_deadline(house: House, project: str) -> None:
    """A caller that asks again after the workload's deadline still learns what it holds; a new one is refused."""
    own(house, project)
    request = reserving(project)
    request.workload.duration.FromSeconds(60)
    request.workload.deadline.FromDatetime(house.clock() + timedelta(hours=1))
    decision = place(house, request)
    house.clock.ahead += timedelta(hours=2)
    assert place(house, request) == decision
    late = copy.deepcopy(request)
    late.request_id = str(uuid.uuid4())
    assert refused(house.channel, PLACE, late).fields == {"workload.deadline": "OUT_OF_RANGE"}
    other = copy.deepcopy(request)
    other.workload.size.vcpus = 1
    assert refused(house.channel, PLACE, other).reason == "REQUEST_ID_REUSED"


def test_release_of_what_holds_nothing_is_refused(house: House, project: str) -> None:
    """A decision that reserved nothing has nothing to give back."""
    decision = place(house, place_request(project))
    answer = refused(house.channel, RELEASE, pb.ReleaseDecisionRequest(name=decision.name))
    assert (answer.code, answer.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "STATE_CONFLICT")


def test_last_unit_of_room_is_drawn_once(house: House, project: str) -> None:
    """Of sixteen schedulers at once on three instances and a quota of five, three own and five are placed."""
    own(house, project, instances=3)
    quota = {"location": {"cloud": "CLOUD_AWS", "region": "eu-west-1"}, "unit": "UNIT_INSTANCES", "left": 5}
    requests = [reserving(project, quotas=[quota]) for _ in range(16)]
    decisions: list[Any] = [None] * len(requests)
    together = threading.Barrier(len(requests))

    def ask(number: int) -> None:
        together.wait()
        decisions[number] = call(house.channel, PLACE, requests[number])
        while isinstance(decisions[number], Refusal):
            assert decisions[number].reason == "ROOM_CONFLICT"
            decisions[number] = call(house.channel, PLACE, requests[number])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    placed = [decision for decision in decisions if decision.verdict == PLACED]
    assert len(placed) == 5
    assert sum(decision.chosen.offer.purchase_option == OWNED for decision in placed) == 3
    assert all(decision.verdict == pb.Decision.VERDICT_INFEASIBLE for decision in decisions if decision not in placed)
    assert reserved_fraction(house, project) == 1.0


@pytest.mark.parametrize("joint", [True, False])
def test_plain_items_of_a_joint_batch_give_no_room_twice(house: House, project: str, joint: bool) -> None:
    """The same of requests that need nothing but a place, which each could be answered from its bytes alone."""
    own(house, project)
    item = place_request(project, residency=ONLY_IRELAND)
    place(house, item)
    batch = pb.BatchPlaceRequest(parent=f"projects/{project}", requests=[item] * 4, joint=joint)
    decisions = [result.decision for result in answered(house.channel, BATCH, batch).results]
    owned = [decision.chosen.offer.purchase_option == OWNED for decision in decisions]
    assert owned == ([True, True, False, False] if joint else [True] * 4)


@pytest.mark.parametrize("joint", [True, False])
def test_joint_batch_gives_no_room_twice(house: House, project: str, joint: bool) -> None:
    """Items compete in order for commitments and quotas when joint; each sees all of it when not; nothing is drawn."""
    own(house, project)
    quota = {"location": {"cloud": "CLOUD_AWS", "region": "eu-west-1"}, "unit": "UNIT_INSTANCES", "left": 3}
    item = place_request(project, residency=ONLY_IRELAND, quotas=[quota])
    batch = pb.BatchPlaceRequest(parent=f"projects/{project}", requests=[item] * 5, joint=joint)
    decisions = [result.decision for result in answered(house.channel, BATCH, batch).results]
    owned = [decision.chosen.offer.purchase_option == OWNED for decision in decisions]
    placed = [decision.verdict == PLACED for decision in decisions]
    if joint:
        assert owned == [True, True, False, False, False]
        assert placed == [True, True, True, False, False]
    else:
        assert owned == placed == [True] * 5
    assert reserved_fraction(house, project) == 0.0
    for decision in decisions:
        asked = pb.ExplainPlacementRequest(parent=f"projects/{project}", decision=decision.name)
        assert answered(house.channel, EXPLAIN, asked).replay_identical


def test_joint_batch_that_reserves_draws_in_order(house: House, project: str) -> None:
    """Reserved items take room from the store, and items that only look leave alone what those before them drew."""
    own(house, project, instances=3)
    look = place_request(project, residency=ONLY_IRELAND)
    requests = [reserving(project), look, reserving(project), look]
    batch = pb.BatchPlaceRequest(parent=f"projects/{project}", requests=requests, joint=True)
    decisions = [result.decision for result in answered(house.channel, BATCH, batch).results]
    assert [decision.chosen.offer.purchase_option == OWNED for decision in decisions] == [True, True, True, False]
    assert [decision.reserved for decision in decisions] == [True, False, True, False]
    assert reserved_fraction(house, project) == pytest.approx(2 / 3)
    repeated = [result.decision for result in answered(house.channel, BATCH, batch).results]
    assert [repeated[0], repeated[2]] == [decisions[0], decisions[2]]
    assert reserved_fraction(house, project) == pytest.approx(2 / 3)
