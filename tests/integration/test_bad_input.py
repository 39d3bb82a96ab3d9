# ruff: noqa: ANN401 - messages of every method
"""What must not be asked, asked of the real service: each fault has its code, reason and field, and changes nothing."""

import copy
import random
import re
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from tests.support import whole_requests as whole
from tests.support.catalog_sources import good_source
from tests.support.contract import (
    CATALOG,
    COMMITMENT,
    METHODS,
    PLACEMENT,
    POLICY,
    Refusal,
    answered,
    call,
    refusal,
    refused,
)
from tests.support.server import ROOT
from tests.support.service import RunningService, running_service
from tests.support.whole_requests import Spot, place_request, spots
from trimtab.v1 import catalog_service_pb2, commitment_service_pb2, policy_service_pb2, types_pb2
from trimtab.v1 import placement_service_pb2 as pb

INVALID: Final = grpc.StatusCode.INVALID_ARGUMENT
PLACE: Final = PLACEMENT + "Place"
MEGABYTE: Final = "x" * 2**20
LEAKS: Final = re.compile(
    rf"Traceback|\.py\b|{re.escape(str(ROOT))}|{re.escape(tempfile.gettempdir())}/|site-packages|sqlalchemy|psycopg"
    r"|sqlite|SELECT |INSERT |UPDATE |numpy|KeyError|ValueError|TypeError"
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service over a small catalogue."""
    root = tmp_path_factory.mktemp("bad-input")
    with running_service(root / "data", catalog_dir=good_source().write(root / "catalog")) as started:
        yield started


@pytest.fixture
def channel(service: RunningService) -> grpc.Channel:
    """A channel to it."""
    return service.channel


@pytest.fixture
def project() -> str:
    """A project that no other test uses."""
    return f"p{uuid.uuid4().hex[:12]}"


def fault(channel: grpc.Channel, request: Message) -> Refusal:
    """The refusal of a request to place, which is always the caller's fault and leaks nothing."""
    answer = refused(channel, PLACE, request)
    assert answer.code is INVALID, answer
    assert not LEAKS.search(answer.text), answer.text
    return answer


def state_of(service: RunningService, project: str) -> tuple[int, ...]:
    """Everything of a project that calls can change, by count."""
    parent = f"projects/{project}"
    return (
        len(service.placement.ListDecisions(pb.ListDecisionsRequest(parent=parent)).decisions),
        len(service.policy.ListPolicies(policy_service_pb2.ListPoliciesRequest(parent=parent)).policies),
        len(
            service.commitment.ListCommitments(commitment_service_pb2.ListCommitmentsRequest(parent=parent)).commitments
        ),
    )


def leaves(message: Message, *kinds: int) -> list[Spot]:
    """Every value of these field types."""
    return [spot for spot in spots(message) if spot.field.type in kinds]


def of_type(message: Message, name: str) -> list[Spot]:
    """Every message of this full name."""
    return [spot for spot in spots(message) if getattr(spot.field.message_type, "full_name", "") == name]


PLACES: Final = {"with a duration": whole.whole_place(), "as a service": whole.whole_service()}


def test_the_whole_requests_are_whole_and_right(channel: grpc.Channel, project: str) -> None:
    """Every field of a workload is filled in one of the two, and both are accepted: what follows breaks one."""
    reached = {spot.path for request in PLACES.values() for spot in spots(request)}
    for field in pb.Workload.DESCRIPTOR.fields:
        if field.name != "tags":
            assert any(path.startswith(f"workload.{field.name}") for path in reached), field.name
    for request in (whole.whole_place(project), whole.whole_service(project)):
        request.request_id = str(uuid.uuid4())
        assert answered(channel, PLACE, request).verdict


@pytest.mark.parametrize("path", METHODS)
def test_empty_request_is_answered_or_named(channel: grpc.Channel, path: str) -> None:
    """No RPC falls over an empty message; one that needs something says which field is missing."""
    answer = call(channel, path, b"")
    if isinstance(answer, Refusal):
        assert answer.code is INVALID
        assert "FIELD_REQUIRED" in answer.fields.values()
    else:
        # What needs nothing, or lists the deployment's policies.
        assert path.rpartition("/")[2] in {"ListCatalogs", "RefreshCatalog", "ListPolicies"}


def test_empty_workload_names_what_is_missing(channel: grpc.Channel, project: str) -> None:
    """A size and a duration."""
    answer = fault(channel, pb.PlaceRequest(parent=f"projects/{project}"))
    assert answer.fields == {"workload.size": "FIELD_REQUIRED", "workload.duration": "FIELD_REQUIRED"}
    assert answer.reason == "INVALID_REQUEST"


@pytest.mark.parametrize("path", METHODS)
@pytest.mark.parametrize("data", [b"\x0a\x50abc", b"\xff\xff\xff\xff", b"\x12", b"\x0b"])
def test_truncated_or_random_bytes_are_the_callers_fault(channel: grpc.Channel, path: str, data: bytes) -> None:
    """Of every RPC."""
    answer = refused(channel, path, data)
    assert (answer.code, answer.reason) == (INVALID, "BAD_FORMAT")
    assert not LEAKS.search(answer.text)


def test_every_cut_of_a_whole_request_is_no_fault_of_ours(channel: grpc.Channel) -> None:
    """A message cut at any byte is refused or, where the cut makes another message, answered."""
    data = whole.whole_place().SerializeToString()
    for end in range(0, len(data), 7):
        answer = call(channel, PLACE, data[:end])
        assert not isinstance(answer, Refusal) or answer.code is INVALID


@pytest.mark.parametrize("parent", ["projects/{}/decisions/d", "projects/{}/", "projects/-", "projects/A", "{}"])
@pytest.mark.parametrize(
    "path",
    [
        path
        for path, method in METHODS.items()
        if "parent" in method.input_type.fields_by_name and not path.startswith(CATALOG)
    ],
)
def test_parent_that_is_no_project_is_refused(channel: grpc.Channel, project: str, path: str, parent: str) -> None:
    """Nothing is decided or kept under a name that is longer than a project's, or is none."""
    request: Any = copy.deepcopy(whole.whole_requests(project)[path][0])
    request.parent = parent.format(project)
    answer = refused(channel, path, request)
    assert (answer.code, answer.says("parent")) == (INVALID, "BAD_FORMAT")


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
    requests: list[tuple[str, Message]] = [
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
    requests: list[tuple[str, Message]] = [
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
    requests: list[tuple[str, Message]] = [
        (PLACE, whole.whole_place()),
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


def test_unknown_names_come_with_the_nearest(channel: grpc.Channel, project: str) -> None:
    """A GPU model, a region, a country, a family, a type and a service that are misspelt."""
    request = place_request(project)
    request.workload.size.gpus.add(model="V10")
    request.workload.data_sets.add(location=types_pb2.RegionRef(cloud=types_pb2.CLOUD_AWS, region="eu-west-11"), gib=1)
    request.workload.residency.countries.append("IRLAND")
    request.workload.residency.families.append("p33")
    request.workload.residency.instance_types.append("m5.larg")
    request.workload.services.add(service="BigQerry")
    answer = fault(channel, request)
    assert answer.fields == dict.fromkeys(
        [
            "workload.size.gpus[0].model",
            "workload.data_sets[0].location.region",
            "workload.residency.countries[0]",
            "workload.residency.families[0]",
            "workload.residency.instance_types[0]",
            "workload.services[0].service",
        ],
        "UNKNOWN_VALUE",
    )
    for near in ("V100", "eu-west-1", "p3", "m5.large", "bigquery"):
        assert re.search(rf"nearest: [^\"]*{re.escape(near)}", answer.text), near


def test_region_of_another_cloud_is_unknown(channel: grpc.Channel, project: str) -> None:
    """`us-east-1` is no region of Azure."""
    request = place_request(project)
    request.workload.current.location.cloud = types_pb2.CLOUD_AZURE
    request.workload.current.location.region = "us-east-1"
    assert fault(channel, request).fields == {"workload.current.location.region": "UNKNOWN_VALUE"}


@pytest.mark.parametrize(
    ("residency", "field"),
    [
        ({"countries": ["IE"], "deniedCountries": ["IE"]}, "denied_countries"),
        ({"blocs": ["EU"], "deniedCountries": ["EU"]}, "denied_countries"),
        ({"clouds": ["CLOUD_AWS"], "deniedClouds": ["CLOUD_AWS"]}, "denied_clouds"),
        ({"deniedClouds": ["CLOUD_AWS", "CLOUD_GCP", "CLOUD_AZURE"]}, "denied_clouds"),
        (
            {"countries": ["IE"], "regions": [{"cloud": "CLOUD_AWS", "region": "us-east-1"}]},
            "regions",
        ),
        ({"families": ["p3"], "deniedFamilies": ["p3"]}, "denied_families"),
        ({"instanceTypes": ["m5.large"], "deniedInstanceTypes": ["m5.large"]}, "denied_instance_types"),
    ],
)
def test_residency_that_contradicts_itself_is_refused(
    channel: grpc.Channel, project: str, residency: dict[str, Any], field: str
) -> None:
    """It could match nothing, which is a mistake and not an infeasible request."""
    answer = fault(channel, place_request(project, residency=residency))
    assert answer.fields == {f"workload.residency.{field}": "CONTRADICTION"}


@pytest.mark.parametrize(
    ("field", "entry", "most"),
    [
        ("data_sets", {"location": {"cloud": "CLOUD_AWS", "region": "eu-west-1"}, "gib": 1}, 64),
        ("services", {"service": "S3"}, 32),
        ("quotas", {"location": {"cloud": "CLOUD_AWS", "region": "eu-west-1"}, "unit": "UNIT_VCPUS", "left": 1}, 256),
        ("blocked_offers", {"cloud": "CLOUD_GCP"}, 256),
    ],
)
def test_lists_have_their_caps_and_one_refusal(
    channel: grpc.Channel, project: str, field: str, entry: dict[str, Any], most: int
) -> None:
    """As many as the contract says are taken; ten thousand are one fault, told with both numbers."""
    key = "".join(part.title() if at else part for at, part in enumerate(field.split("_")))
    assert answered(channel, PLACE, place_request(project, **{key: [entry] * most})).verdict
    for length in (most + 1, 10_000):
        answer = fault(channel, place_request(project, **{key: [entry] * length}))
        assert answer.fields == {f"workload.{field}": "TOO_LARGE"}
        assert str(length) in answer.text
        assert str(most) in answer.text


def test_batches_have_a_least_and_a_most(channel: grpc.Channel, project: str) -> None:
    """None, 257, and items of another parent."""
    path, parent = PLACEMENT + "BatchPlace", f"projects/{project}"
    item = place_request(project)
    assert refused(channel, path, pb.BatchPlaceRequest(parent=parent)).fields == {"requests": "FIELD_REQUIRED"}
    assert refused(channel, path, pb.BatchPlaceRequest(parent=parent, requests=[item] * 257)).fields == {
        "requests": "TOO_LARGE"
    }
    assert len(answered(channel, path, pb.BatchPlaceRequest(parent=parent, requests=[item] * 256)).results) == 256
    stranger = place_request(f"{project}-other")
    answer = refused(channel, path, pb.BatchPlaceRequest(parent=parent, requests=[item, stranger]))
    assert answer.fields == {"requests[1].parent": "CONTRADICTION"}


def test_items_of_a_batch_fail_alone_and_say_where(channel: grpc.Channel, project: str) -> None:
    """Order is kept, and paths begin with the item."""
    bad = place_request(project)
    bad.workload.size.vcpus = float("nan")
    batch = pb.BatchPlaceRequest(
        parent=f"projects/{project}", requests=[place_request(project), bad, pb.PlaceRequest()]
    )
    results = answered(channel, PLACEMENT + "BatchPlace", batch).results
    assert [result.WhichOneof("result") for result in results] == ["decision", "error", "error"]
    nan = refusal(results[1].error, INVALID)
    assert (nan.reason, nan.fields) == ("OUT_OF_RANGE", {"requests[1].workload.size.vcpus": "OUT_OF_RANGE"})
    assert set(refusal(results[2].error, INVALID).fields) == {
        "requests[2].workload.size",
        "requests[2].workload.duration",
    }


def test_explanation_of_a_request_with_another_parent_is_refused(channel: grpc.Channel, project: str) -> None:
    """The request within is of the project that is asked, or says nothing of it."""
    asked = pb.ExplainPlacementRequest(parent=f"projects/{project}", request=place_request(f"{project}-other"))
    answer = refused(channel, PLACEMENT + "ExplainPlacement", asked)
    assert answer.fields == {"request.parent": "CONTRADICTION"}


def test_page_tokens_belong_to_their_list(service: RunningService, channel: grpc.Channel, project: str) -> None:
    """Another filter, another parent, another list and garbage are all refused."""
    parent = f"projects/{project}"
    for _ in range(3):
        answered(channel, PLACE, place_request(project))
    list_decisions, list_offers = PLACEMENT + "ListDecisions", CATALOG + "ListOffers"
    service.placement.GetDecision(
        pb.GetDecisionRequest(name=answered(channel, PLACE, place_request(project)).name)
    )  # what was logged before is flushed now
    page = answered(channel, list_decisions, pb.ListDecisionsRequest(parent=parent, page_size=1))
    assert page.next_page_token
    offers = answered(
        channel, list_offers, catalog_service_pb2.ListOffersRequest(parent="catalogs/current", page_size=1)
    )
    assert offers.next_page_token
    decisions_tokens = [
        (pb.ListDecisionsRequest(parent=parent, filter='cloud = "aws"'), page.next_page_token),
        (pb.ListDecisionsRequest(parent=f"{parent}x"), page.next_page_token),
        *[
            (pb.ListDecisionsRequest(parent=parent), token)
            for token in ("garbage", "AAAA", "\x00", "é", MEGABYTE, page.next_page_token[:-2], offers.next_page_token)
        ],
    ]
    for request, token in decisions_tokens:
        request.page_token = token
        answer = refused(channel, list_decisions, request)
        assert answer.fields == {"page_token": "PAGE_TOKEN_INVALID"}
    seal, position = offers.next_page_token[:12], offers.next_page_token[12:]
    forged = (f"{seal}-{position}", f"{seal}{'f' * 400}", f"{seal}0x1", f"{seal} 1", f"{seal}1_0", seal)
    for token in (*forged, page.next_page_token, MEGABYTE, "x"):
        stale = catalog_service_pb2.ListOffersRequest(parent="catalogs/current", page_token=token)
        assert refused(channel, list_offers, stale).fields == {"page_token": "PAGE_TOKEN_INVALID"}
    other = catalog_service_pb2.ListOffersRequest(
        parent="catalogs/current", filter="vcpus > 2", page_token=offers.next_page_token
    )
    assert refused(channel, list_offers, other).fields == {"page_token": "PAGE_TOKEN_INVALID"}


@pytest.mark.parametrize("path", [path for path in METHODS if path.rpartition("/")[2].startswith("List")])
def test_lists_refuse_bad_sizes_and_filters(channel: grpc.Channel, project: str, path: str) -> None:
    """A negative size, an unknown field, a filter that does not parse, and one of a megabyte."""
    base: Any = copy.deepcopy(whole.whole_requests(project)[path][0])
    for filter_text in ("nonsense = 1", "cloud = ", "((((", MEGABYTE, "\x00", "cloud = 'a' OR OR"):
        request = copy.deepcopy(base)
        request.filter = filter_text
        answer = refused(channel, path, request)
        assert (answer.reason, answer.fields) == ("FILTER_INVALID", {"filter": "FILTER_INVALID"})
        assert not LEAKS.search(answer.text)
    base.ClearField("filter")
    base.page_size = -1
    assert refused(channel, path, base).fields == {"page_size": "OUT_OF_RANGE"}


def changes(project: str) -> dict[str, tuple[str, Any]]:
    """Calls that change something once for a request id, with their paths."""
    reserved = place_request(project)
    reserved.reserve, reserved.request_id = True, whole.UUID
    committed = whole.whole_requests(project)[COMMITMENT + "CreateCommitment"][0]
    return {
        "reserve": (PLACE, reserved),
        "outcomes": (PLACEMENT + "ReportOutcome", whole.whole_outcomes(project)),
        "policy": (POLICY + "CreatePolicy", whole.whole_policy(project)),
        "commitment": (COMMITMENT + "CreateCommitment", committed),
        "import": (COMMITMENT + "ImportCommitments", whole.whole_commitments(project)),
    }


@pytest.mark.parametrize("what", ["reserve", "outcomes", "policy", "commitment", "import"])
def test_request_id_is_taken_once(service: RunningService, channel: grpc.Channel, project: str, what: str) -> None:
    """The same body again has the same bytes for an answer and changes nothing; another body is refused."""
    path, request = changes(project)[what]
    first = answered(channel, path, request)
    before = state_of(service, project)
    for _ in range(2):
        again = answered(channel, path, request)
        assert again.SerializeToString(deterministic=True) == first.SerializeToString(deterministic=True)
    other = copy.deepcopy(request)
    _change(other)
    answer = refused(channel, path, other)
    assert (answer.code, answer.reason, answer.fields) == (
        INVALID,
        "REQUEST_ID_REUSED",
        {"request_id": "REQUEST_ID_REUSED"},
    )
    assert state_of(service, project) == before


def _change(request: Any) -> None:
    """Make another body of a request, still right."""
    if isinstance(request, pb.PlaceRequest):
        request.workload.size.vcpus = 1
    elif isinstance(request, pb.ReportOutcomeRequest):
        request.outcomes[0].interruptions = 7
    elif isinstance(request, policy_service_pb2.CreatePolicyRequest):
        request.policy.description = "another"
    elif isinstance(request, commitment_service_pb2.CreateCommitmentRequest):
        request.commitment.instances = 9
    else:
        request.commitments[0].instances = 9


@pytest.mark.parametrize("request_id", ["", "not-a-uuid", MEGABYTE, "\x00" * 36, f"{whole.UUID}\n"])
def test_request_id_that_is_none_is_named(channel: grpc.Channel, project: str, request_id: str) -> None:
    """Where one is needed, an empty one too."""
    for what in ("reserve", "outcomes", "policy", "commitment", "import"):
        path, named = changes(project)[what]
        named.request_id = request_id
        if request_id or what in {"reserve", "outcomes"}:
            expected = "BAD_FORMAT" if request_id else "FIELD_REQUIRED"
            assert refused(channel, path, named).fields == {"request_id": expected}


def test_request_id_is_checked_where_it_is_not_needed(channel: grpc.Channel, project: str) -> None:
    """Also when the same workload was answered a moment ago."""
    request = place_request(project)
    for _ in range(2):
        answered(channel, PLACE, request)
    request.request_id = "not-a-uuid"
    assert fault(channel, request).fields == {"request_id": "BAD_FORMAT"}


def test_wrong_etag_is_aborted_and_changes_nothing(channel: grpc.Channel, project: str) -> None:
    """Of a policy to update or delete, and of a commitment to end."""
    requests = whole.whole_requests(project)
    for path in (POLICY + "CreatePolicy", COMMITMENT + "CreateCommitment"):
        answered(channel, path, requests[path][0])
    readers = {
        POLICY + "UpdatePolicy": POLICY + "GetPolicy",
        POLICY + "DeletePolicy": POLICY + "GetPolicy",
        COMMITMENT + "EndCommitment": COMMITMENT + "GetCommitment",
    }
    for path, reader in readers.items():
        before = answered(channel, reader, requests[reader][0])
        answer = refused(channel, path, requests[path][0])
        assert (answer.code, answer.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
        assert answered(channel, reader, requests[reader][0]) == before


def test_names_of_nothing_are_not_found(channel: grpc.Channel, project: str) -> None:
    """A decision, policy, commitment and catalogue that do not exist."""
    for path in (
        PLACEMENT + "GetDecision",
        PLACEMENT + "ReleaseDecision",
        POLICY + "GetPolicy",
        POLICY + "DeletePolicy",
        COMMITMENT + "GetCommitment",
        COMMITMENT + "EndCommitment",
    ):
        answer = refused(channel, path, whole.whole_requests(project)[path][0])
        assert (answer.code, answer.reason) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    for name in ("catalogs/0123456789abcdef", "catalogs/none"):
        answer = refused(channel, CATALOG + "GetCatalog", catalog_service_pb2.GetCatalogRequest(name=name))
        assert answer.code is grpc.StatusCode.NOT_FOUND


def test_a_megabyte_in_every_text_field_is_the_callers_fault(channel: grpc.Channel, project: str) -> None:
    """Of every RPC: refused with the field's path, and the refusal itself is small."""
    unread = {(POLICY + "DryRunPolicy", "policy.etag")}
    for path, request in _whole(project):
        for spot in leaves(request, FieldDescriptor.TYPE_STRING):
            if (path, spot.path) in unread:
                continue
            right = spot.value
            spot.put(MEGABYTE)
            answer = call(channel, path, request)
            spot.put(right)
            if isinstance(answer, pb.BatchPlaceResponse):
                answer = next(refusal(r.error, INVALID) for r in answer.results if r.HasField("error"))
            assert isinstance(answer, Refusal), (path, spot.path)
            assert answer.code in {INVALID, grpc.StatusCode.ABORTED, grpc.StatusCode.NOT_FOUND}, (path, spot.path)
            assert len(answer.text) < 40_000, (path, spot.path)
            assert not LEAKS.search(answer.text), (path, spot.path)


def test_nul_and_control_characters_are_the_callers_fault_or_kept(channel: grpc.Channel, project: str) -> None:
    """No text ends in a fault of ours, whatever the database can keep."""
    for path, request in _whole(project):
        for spot in leaves(request, FieldDescriptor.TYPE_STRING):
            right = spot.value
            for text in ("\x00", "a\x00b", "\x1b[31m", "\u202e", "\ufeff", "'; DROP TABLE decisions; --", "../../x"):
                spot.put(text)
                _fresh(request)
                answer = call(channel, path, request)
                assert not _ours(answer), (path, spot.path, text, answer)
            spot.put(right)


def test_several_faults_are_all_named_at_once(channel: grpc.Channel, project: str) -> None:
    """A caller mends a request in one go: of placements, outcomes, commitments and policies."""
    request = place_request(project)
    request.reserve = True
    request.workload.size.vcpus = -1
    request.workload.count = -1
    request.workload.workload_id = "Not An Id"
    request.workload.tolerance_fraction = 2
    request.max_fallbacks = 9
    assert set(fault(channel, request).fields) == {
        "request_id",
        "max_fallbacks",
        "workload.size.vcpus",
        "workload.count",
        "workload.workload_id",
        "workload.tolerance_fraction",
    }
    outcomes = whole.whole_outcomes(project)
    outcomes.request_id = "x"
    outcomes.outcomes[0].interruptions = -1
    outcomes.outcomes[1].offer.ClearField("region")
    answer = refused(channel, PLACEMENT + "ReportOutcome", outcomes)
    assert set(answer.fields) == {"request_id", "outcomes[0].interruptions", "outcomes[1].offer.region"}
    imported = whole.whole_commitments(project)
    imported.request_id = "x"
    imported.commitments[0].name = "nonsense"
    imported.commitments[1].start_time.nanos = -1
    imported.commitments[1].in_use_fraction = 2
    imported.commitments[2].region = "nowhere"
    answer = refused(channel, COMMITMENT + "ImportCommitments", imported)
    assert set(answer.fields) == {
        "request_id",
        "commitments[0].name",
        "commitments[1].start_time",
        "commitments[1].in_use_fraction",
        "commitments[2].region",
    }
    policy = whole.whole_policy(project)
    policy.request_id, policy.policy_id = "x", "Not An Id"
    policy.policy.condition = "request.nonsense > 1"
    policy.policy.rules.max_cost.units = -1
    policy.policy.rules.residency.countries[0] = "nowhere"
    answer = refused(channel, POLICY + "CreatePolicy", policy)
    assert set(answer.fields) == {
        "request_id",
        "policy_id",
        "policy.condition",
        "policy.rules.max_cost",
        "policy.rules.residency.countries[0]",
    }


def test_nothing_of_a_failed_change_is_left(service: RunningService, channel: grpc.Channel, project: str) -> None:
    """A fault in the last of many undoes all: commitments, outcomes, a reservation that is refused."""
    before = state_of(service, project)
    imported = whole.whole_commitments(project)
    imported.commitments[2].end_time.CopyFrom(imported.commitments[2].start_time)
    assert refused(channel, COMMITMENT + "ImportCommitments", imported).says("commitments[2].end_time")
    outcomes = whole.whole_outcomes(project)
    outcomes.outcomes[1].hours_run = float("nan")
    learned = answered(channel, PLACE, place_request(project)).revisions.learned_revision
    refused(channel, PLACEMENT + "ReportOutcome", outcomes)
    assert answered(channel, PLACE, place_request(project)).revisions.learned_revision == learned
    # The request ids are free: what was refused is mended and sent again.
    imported.commitments[2].end_time.FromJsonString("2099-01-01T00:00:00Z")
    outcomes.outcomes[1].hours_run = 1.0
    assert len(answered(channel, COMMITMENT + "ImportCommitments", imported).commitments) == 3
    assert answered(channel, PLACEMENT + "ReportOutcome", outcomes).learned_revision
    assert state_of(service, project)[1:] == (before[1], 3)


def test_quota_of_gpus_may_be_reserved_for_what_has_none(channel: grpc.Channel, project: str) -> None:
    """A quota that the chosen type takes nothing of is not drawn."""
    request = place_request(project, quotas=[_quota("CLOUD_AZURE", "eastus", "UNIT_GPUS")])
    request.reserve, request.request_id = True, str(uuid.uuid4())
    assert answered(channel, PLACE, request).verdict == pb.Decision.VERDICT_PLACED


def _quota(cloud: str, region: str, unit: str) -> dict[str, Any]:
    return {"location": {"cloud": cloud, "region": region}, "unit": unit, "left": 100}


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


SEEDS: Final = range(3)
_TEXTS: Final = ("", "x", "\x00", "*", "-", "projects/vision", "projects/-/decisions/x", "é" * 300, "x" * 5_000)
_NUMBERS: Final = (float("nan"), float("inf"), -1.0, 0.0, -0.0, 5e-324, 1e-9, 1e9, 1e12, 1e308)
_WHOLES: Final = {
    FieldDescriptor.TYPE_INT32: (-(2**31), -1, 0, 1, 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), -1, 0, 1, 2**63 - 1),
}


@pytest.mark.parametrize("seed", SEEDS)
def test_no_mutation_of_a_right_request_is_our_fault(
    service: RunningService, channel: grpc.Channel, project: str, seed: int
) -> None:
    """Seeded mutations of right requests of every RPC: whatever comes back, it is never INTERNAL or UNKNOWN."""
    dice = random.Random(seed)
    requests = _whole(project)
    codes: Counter[str] = Counter()
    for number in range(600):
        path, right = requests[number % len(requests)]
        request = copy.deepcopy(right)
        done = [_mutate(request, dice) for _ in range(dice.randint(1, 4))]
        if dice.random() < 0.8:
            _fresh(request)
        answer = call(channel, path, request)
        assert not _ours(answer), (path, done, answer)
        codes[answer.code.name if isinstance(answer, Refusal) else "OK"] += 1
        if isinstance(answer, Refusal):
            assert not LEAKS.search(answer.text), (path, done, answer.text)
        elif isinstance(answer, pb.BatchPlaceResponse):
            assert all(result.error.code not in {2, 13} for result in answer.results), (path, done)
    # A mutation may have lost its project, and a policy of the deployment would hold for the other tests too.
    for policy in service.policy.ListPolicies(policy_service_pb2.ListPoliciesRequest()).policies:
        service.policy.DeletePolicy(policy_service_pb2.DeletePolicyRequest(name=policy.name))
    assert codes["OK"] >= 60, codes
    assert codes["INVALID_ARGUMENT"] >= 60, codes


def _whole(project: str) -> list[tuple[str, Message]]:
    """Copies of right requests of every RPC."""
    return [
        (path, copy.deepcopy(request))
        for path, requests in whole.whole_requests(project).items()
        for request in requests
    ]


def _mutate(request: Message, dice: random.Random) -> str:
    """Change one value, or clear or double one entry; says what was done."""
    found = list(spots(request))
    if not found:
        return "nothing is left"
    spot = dice.choice(found)
    kind = spot.field.type
    if dice.random() < 0.3:
        spot.holder.ClearField(spot.field.name)
        return f"{spot.path} cleared"
    if spot.field.message_type is not None:
        if spot.index is not None:
            getattr(spot.holder, spot.field.name).add().CopyFrom(spot.value)
        return f"{spot.path} doubled"
    value: Any = not spot.value
    if kind in {FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT}:
        value = dice.choice(_NUMBERS)
    elif kind == FieldDescriptor.TYPE_STRING:
        value = dice.choice(_TEXTS)
    elif kind == FieldDescriptor.TYPE_ENUM:
        value = dice.choice((-1, 0, 1, 2, 3, 4, 5, 99))
    elif kind in _WHOLES:
        value = dice.choice(_WHOLES[kind])
    spot.put(value)
    return f"{spot.path} = {str(value)[:40]!r}"


def _fresh(request: Any) -> None:
    """Give a change an id of its own, and drop an etag that is none, so that it is not refused for these alone."""
    if getattr(request, "request_id", "") == whole.UUID:
        request.request_id = str(uuid.uuid4())
    for field, short in (("policy_id", "p"), ("commitment_id", "c")):
        if getattr(request, field, "") == short:
            setattr(request, field, f"{short}{uuid.uuid4().hex[:8]}")
    if getattr(request, "etag", ""):
        request.etag = ""
    if isinstance(request, policy_service_pb2.UpdatePolicyRequest):
        request.policy.etag = ""


def _ours(answer: object) -> bool:
    """Whether an answer is a fault of the service."""
    return isinstance(answer, Refusal) and answer.code in {
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_extreme_requests_that_are_allowed_are_decided(channel: grpc.Channel, project: str, seed: int) -> None:
    """At the edges of what is allowed: terms are not negative and add up, and no figure is infinite."""
    dice = random.Random(seed)
    decided = 0
    for _ in range(150):
        answer = call(channel, PLACE, _extreme(project, dice))
        assert not _ours(answer), answer
        if isinstance(answer, Refusal) or not answer.HasField("chosen"):
            continue
        decided += 1
        terms = [term.amount.units * 10**9 + term.amount.nanos for term in answer.chosen.terms]
        total = answer.chosen.expected_cost
        assert min(terms) >= 0
        assert sum(terms) == total.units * 10**9 + total.nanos
        figures = (answer.chosen.billed_hours, answer.chosen.expected_interruptions, answer.chosen.latency_ms)
        assert all(0.0 <= figure < float("inf") for figure in figures)
    assert decided >= 30


_REGIONS: Final = [
    {"cloud": "CLOUD_AWS", "region": "us-east-1"},
    {"cloud": "CLOUD_AWS", "region": "eu-west-1"},
    {"cloud": "CLOUD_GCP", "region": "us-central1"},
    {"cloud": "CLOUD_AZURE", "region": "eastus"},
]


def _extreme(project: str, dice: random.Random) -> pb.PlaceRequest:
    """A request of values that are least, most or in between, each section there or not."""

    def gib() -> float:
        return dice.choice([0.0, 5e-324, 1e-9, 1.0, 1e6, 1e9])

    def usd(most: int) -> dict[str, int]:
        return dice.choice([{"units": most}, {"nanos": 1}, {"units": 5}, {}])

    def lasting(most: int) -> str:
        return dice.choice(["0.000000001s", "1s", "3600s", f"{most}s"])

    def maybe(**fields: Any) -> dict[str, Any]:
        return {key: value for key, value in fields.items() if dice.random() < 0.6}

    def where() -> dict[str, str]:
        return dice.choice(_REGIONS)

    options = [f"PURCHASE_OPTION_{name}" for name in ("ON_DEMAND", "SPOT", "RESERVED_1Y", "RESERVED_3Y")]
    sections = maybe(
        count=dice.choice([1, 2, 10_000]),
        purchaseOptions=dice.sample(options, dice.randint(1, 4)),
        interruption=maybe(
            checkpointWriteTime=lasting(744 * 3_600),
            restartTime=lasting(744 * 3_600),
            checkpointInterval=lasting(87_840 * 3_600),
            checkpointStore=where(),
            checkpointGib=gib(),
            checkpointPricePerGibMonth=usd(10_000),
        ),
        dataSets=[
            {"location": where(), "gib": gib(), **maybe(privateRatePerGib=usd(10_000))}
            for _ in range(dice.randint(1, 3))
        ],
        users={
            "groups": [
                {
                    "location": {"latitude": dice.choice([90, -90, 0]), "longitude": dice.choice([180, -180])},
                    "share": share,
                }
                for share in (1e9, 1e-9)
            ],
            "egressGib": gib(),
        },
        current={
            "location": where(),
            **maybe(
                instanceType=dice.choice(["m5.large", "nope"]),
                purchaseOption=dice.choice(options),
                stateGib=gib(),
                changeover=lasting(87_840 * 3_600),
                fixedCost=usd(10**9),
                minimumGain=usd(10**9),
                minimumGainFraction=dice.choice([0.0, 5e-324, 1.0]),
            ),
        },
        quotas=[{**_quota("CLOUD_AWS", "us-east-1", unit), "left": gib()} for unit in ("UNIT_VCPUS", "UNIT_GPUS")],
        services=[{"service": "S3", "preferenceValue": usd(10**9)}],
        toleranceFraction=dice.choice([5e-324, 1.0]),
        monthToDateEgress=[{"location": where(), "gib": gib()}],
        hoursPerMonth=dice.choice([1.0, 744.0]),
        hoursPerYear=dice.choice([1.0, 8_784.0]),
    )
    request = place_request(project, **sections, duration=lasting(87_840 * 3_600))
    if dice.random() < 0.5:
        month = request.workload.hours_per_month or 730.0
        request.workload.service_hours_per_month = dice.choice([1e-9, month / 2, month])
    elif dice.random() < 0.5:
        request.workload.deadline.FromJsonString("9999-12-31T23:59:59.999999999Z")
    if dice.random() < 0.3:
        request.reserve, request.request_id = True, str(uuid.uuid4())
    request.explain = dice.random() < 0.2
    return request


def test_catalogue_path_of_no_caller_is_read(channel: grpc.Channel, tmp_path: Path) -> None:
    """A name is a name: no file of the server is reached through one."""
    for name in ("catalogs/../../etc/passwd", f"catalogs/{tmp_path}", "catalogs/..", "file:///etc/passwd"):
        answer = refused(channel, CATALOG + "GetCatalog", catalog_service_pb2.GetCatalogRequest(name=name))
        assert answer.fields == {"name": "BAD_FORMAT"}
