"""Every field of every request with a value that it must not have: named, or at least no fault of ours."""

import copy
import uuid
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from tests.support import whole_requests as whole
from tests.support.bad_input import (
    INVALID,
    LEAKS,
    MEGABYTE,
    PLACE,
    PLACES,
    every_request,
    fault,
    is_ours,
    leaves,
    make_fresh,
    of_type,
    quota,
)
from tests.support.contract import (
    COMMITMENT,
    PLACEMENT,
    POLICY,
    Refusal,
    answered,
    call,
    refusal,
    refused,
)
from tests.support.spots import spots
from tests.support.whole_requests import place_request
from trimtab.v1 import placement_service_pb2 as pb
from trimtab.v1.rightsizing_service_pb2 import BatchRightsizeResponse


def test_the_whole_requests_are_whole_and_right(channel: grpc.Channel, project: str) -> None:
    """Every field of a workload is filled in one of them, and all are accepted: what follows breaks one."""
    reached = {spot.path for request in PLACES.values() for spot in spots(request)}
    for field in pb.Workload.DESCRIPTOR.fields:
        if field.name != "tags":
            assert any(path.startswith(f"workload.{field.name}") for path in reached), field.name
    for request in (whole.whole_place(project), whole.whole_service(project), whole.whole_waiting(project)):
        request.request_id = str(uuid.uuid4())
        assert answered(channel, PLACE, request).verdict


@pytest.mark.parametrize("kind", PLACES)
def test_nan_and_infinity_in_every_float_field_are_named(channel: grpc.Channel, kind: str) -> None:
    """Nothing that is not finite passes anywhere in a request to place."""
    request = copy.deepcopy(PLACES[kind])
    found = leaves(request, FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)
    assert len(found) >= 20
    for spot in found:
        right = spot.value
        for value in (float("nan"), float("inf"), float("-inf"), -1e9, 1e300):
            spot.put(value)
            assert fault(channel, request).says(spot.path) == "OUT_OF_RANGE", (spot.path, value)
        spot.put(right)


@pytest.mark.parametrize("kind", PLACES)
def test_negative_and_absurd_numbers_in_every_whole_field_are_named(channel: grpc.Channel, kind: str) -> None:
    """Counts have a least and a most."""
    request = copy.deepcopy(PLACES[kind])
    for spot in leaves(request, FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64):
        if getattr(spot.field.containing_type, "full_name", "").startswith("google."):
            continue
        right = spot.value
        for value in (-1, 2**31 - 1):
            spot.put(value)
            assert fault(channel, request).says(spot.path) == "OUT_OF_RANGE", (spot.path, value)
        spot.put(right)


def test_enum_numbers_that_the_contract_does_not_know_are_named(channel: grpc.Channel) -> None:
    """A value of a later version is refused, not taken for another."""
    request = whole.whole_place()
    for spot in leaves(request, FieldDescriptor.TYPE_ENUM):
        right = spot.value
        spot.put(99)
        answer = fault(channel, request)
        assert any(spot.path.startswith(field) for field in answer.fields), (spot.path, answer.fields)
        spot.put(right)


@pytest.mark.parametrize(
    "money",
    [
        Money(currency_code="EUR", units=1),
        Money(currency_code="usd", units=1),
        Money(units=1, nanos=-1),
        Money(units=-1, nanos=1),
        Money(units=-1),
        Money(nanos=-1),
        Money(units=1, nanos=1_000_000_000),
        Money(nanos=-(2**31)),
        Money(units=2**63 - 1),
        Money(units=-(2**63), nanos=-999_999_999),
    ],
    ids=str,
)
def test_money_of_another_currency_or_with_bad_signs_is_named_everywhere(channel: grpc.Channel, money: Money) -> None:
    """In each field of money of requests to place, of commitments and of policies."""
    requests: list[tuple[str, Any]] = [
        (PLACE, whole.whole_place()),
        (COMMITMENT + "ImportCommitments", whole.whole_commitments()),
        (POLICY + "CreatePolicy", whole.whole_policy()),
    ]
    for path, request in requests:
        found = of_type(request, "google.type.Money")
        assert found
        for spot in found:
            right = copy.deepcopy(spot.value)
            spot.value.CopyFrom(money)
            answer = refused(channel, path, request)
            assert answer.code is INVALID
            assert answer.says(spot.path) in {"OUT_OF_RANGE", "BAD_FORMAT", "UNKNOWN_VALUE"}, (spot.path, answer.fields)
            spot.value.CopyFrom(right)


@pytest.mark.parametrize(
    "duration",
    [
        Duration(seconds=-1),
        Duration(nanos=-1),
        Duration(seconds=2**63 - 1),
        Duration(seconds=-(2**63)),
        Duration(seconds=1, nanos=-1),
        Duration(seconds=1, nanos=2**31 - 1),
    ],
    ids=str,
)
def test_durations_that_are_negative_overflow_or_are_malformed_are_named(
    channel: grpc.Channel, duration: Duration
) -> None:
    """In each duration of a request to place and of a policy."""
    requests: list[tuple[str, Any]] = [
        (PLACE, whole.whole_place()),
        (POLICY + "CreatePolicy", whole.whole_policy()),
    ]
    for path, request in requests:
        for spot in of_type(request, "google.protobuf.Duration"):
            right = copy.deepcopy(spot.value)
            spot.value.CopyFrom(duration)
            answer = refused(channel, path, request)
            assert answer.says(spot.path) in {"OUT_OF_RANGE", "BAD_FORMAT"}, (spot.path, answer.fields)
            spot.value.CopyFrom(right)


@pytest.mark.parametrize(
    "stamp",
    [Timestamp(seconds=2**63 - 1), Timestamp(seconds=-(2**63)), Timestamp(nanos=-1), Timestamp(nanos=2**31 - 1)],
    ids=str,
)
def test_times_out_of_range_are_named(channel: grpc.Channel, stamp: Timestamp) -> None:
    """Before year 1, after 9999, or with nanos that are none: in requests to place, outcomes and commitments."""
    requests: list[tuple[str, Any]] = [
        (PLACE, whole.whole_place()),
        (PLACE, whole.whole_waiting()),
        (PLACEMENT + "ReportOutcome", whole.whole_outcomes()),
        (COMMITMENT + "ImportCommitments", whole.whole_commitments()),
    ]
    for path, request in requests:
        found = of_type(request, "google.protobuf.Timestamp")
        assert found
        for spot in found:
            right = copy.deepcopy(spot.value)
            spot.value.CopyFrom(stamp)
            answer = refused(channel, path, request)
            assert answer.says(spot.path) in {"OUT_OF_RANGE", "BAD_FORMAT"}, (spot.path, answer.fields)
            spot.value.CopyFrom(right)


def test_deadline_in_the_past_is_named(channel: grpc.Channel, project: str) -> None:
    """Also by a second, and of a service, which has none."""
    now = datetime.now(UTC).timestamp()
    for seconds in (0, int(now) - 1):
        request = place_request(project)
        request.workload.deadline.seconds = seconds
        assert fault(channel, request).fields == {"workload.deadline": "OUT_OF_RANGE"}
    request = place_request(project)
    request.workload.service_hours_per_month = 10
    request.workload.deadline.seconds = int(now) + 3_600
    assert fault(channel, request).fields == {"workload.deadline": "CONTRADICTION"}


def test_last_instant_of_the_calendar_is_a_deadline(channel: grpc.Channel, project: str) -> None:
    """Sums of times do not run over the end of year 9999."""
    request = place_request(project)
    request.workload.duration.CopyFrom(Duration(nanos=1))
    request.workload.deadline.FromJsonString("9999-12-31T23:59:59.999999999Z")
    assert answered(channel, PLACE, request).verdict == pb.Decision.VERDICT_PLACED


def test_a_megabyte_in_every_text_field_is_the_callers_fault(channel: grpc.Channel, project: str) -> None:
    """Of every RPC: refused with the field's path, and the refusal itself is small."""
    unread = {(POLICY + "DryRunPolicy", "policy.etag")}
    for path, request in every_request(project):
        for spot in leaves(request, FieldDescriptor.TYPE_STRING):
            if (path, spot.path) in unread:
                continue
            right = spot.value
            spot.put(MEGABYTE)
            answer = call(channel, path, request)
            spot.put(right)
            if isinstance(answer, pb.BatchPlaceResponse | BatchRightsizeResponse):
                answer = next(refusal(r.error, INVALID) for r in answer.results if r.HasField("error"))
            assert isinstance(answer, Refusal), (path, spot.path)
            assert answer.code in {INVALID, grpc.StatusCode.ABORTED, grpc.StatusCode.NOT_FOUND}, (path, spot.path)
            assert len(answer.text) < 40_000, (path, spot.path)
            assert not LEAKS.search(answer.text), (path, spot.path)


def test_nul_and_control_characters_are_the_callers_fault_or_kept(channel: grpc.Channel, project: str) -> None:
    """No text ends in a fault of ours, whatever the database can keep."""
    for path, request in every_request(project):
        for spot in leaves(request, FieldDescriptor.TYPE_STRING):
            right = spot.value
            for text in ("\x00", "a\x00b", "\x1b[31m\u202e\ufeff", "'; DROP TABLE decisions; -- ../../x"):
                spot.put(text)
                make_fresh(request)
                answer = call(channel, path, request)
                assert not is_ours(answer), (path, spot.path, text, answer)
            spot.put(right)


def test_quota_of_gpus_may_be_reserved_for_what_has_none(channel: grpc.Channel, project: str) -> None:
    """A quota that the chosen type takes nothing of is not drawn."""
    request = place_request(project, quotas=[quota("CLOUD_AZURE", "eastus", "UNIT_GPUS")])
    request.reserve, request.request_id = True, str(uuid.uuid4())
    assert answered(channel, PLACE, request).verdict == pb.Decision.VERDICT_PLACED


def test_largest_request_of_the_contract_is_counted_exactly(channel: grpc.Channel, project: str) -> None:
    """At all caps together the terms still add up, the answer can be sent, and the decision is in the log."""
    ireland = {"cloud": "CLOUD_AWS", "region": "eu-west-1"}
    priciest = {"units": 10_000}
    request = place_request(
        project,
        count=10_000,
        duration=f"{10 * 8_784 * 3_600}s",
        size={"vcpus": 1, "instanceType": "ml.x"},
        callerOffers=[
            {
                "location": {"cloud": "CLOUD_AWS", "region": "us-east-1"},
                "instanceType": "ml.x",
                "purchaseOption": "PURCHASE_OPTION_ON_DEMAND",
                "pricePerHour": priciest,
            }
        ],
        dataSets=[{"location": ireland, "gib": 1e9, "reads": 10, "privateRatePerGib": priciest}] * 64,
        users={"groups": [{"region": ireland, "share": 1}], "egressGib": 1e9},
    )
    request.reserve, request.request_id = True, str(uuid.uuid4())
    decision = answered(channel, PLACE, request)
    assert decision.verdict == pb.Decision.VERDICT_PLACED
    terms = sum(term.amount.units * 10**9 + term.amount.nanos for term in decision.chosen.terms)
    total = decision.chosen.expected_cost
    assert terms == total.units * 10**9 + total.nanos > 10**24
    assert answered(channel, PLACEMENT + "GetDecision", pb.GetDecisionRequest(name=decision.name)) == decision
