"""What must not be asked, asked of the real service: each fault has its code, its reason and its field."""

import copy
import re
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support import whole_requests as whole
from tests.support.bad_input import INVALID, LEAKS, MEGABYTE, PLACE, fault
from tests.support.contract import (
    CATALOG,
    METHODS,
    PLACEMENT,
    Refusal,
    answered,
    call,
    refusal,
    refused,
)
from tests.support.service import RunningService
from tests.support.whole_requests import place_request
from trimtab.v1 import catalog_service_pb2, types_pb2
from trimtab.v1 import placement_service_pb2 as pb


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


def test_page_tokens_belong_to_their_list(attacked: RunningService, channel: grpc.Channel, project: str) -> None:
    """Another filter, another parent, another list and garbage are all refused."""
    parent = f"projects/{project}"
    for _ in range(3):
        answered(channel, PLACE, place_request(project))
    list_decisions, list_offers = PLACEMENT + "ListDecisions", CATALOG + "ListOffers"
    attacked.placement.GetDecision(
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


def test_catalogue_path_of_no_caller_is_read(channel: grpc.Channel, tmp_path: Path) -> None:
    """A name is a name: no file of the server is reached through one."""
    for name in ("catalogs/../../etc/passwd", f"catalogs/{tmp_path}", "catalogs/..", "file:///etc/passwd"):
        answer = refused(channel, CATALOG + "GetCatalog", catalog_service_pb2.GetCatalogRequest(name=name))
        assert answer.fields == {"name": "BAD_FORMAT"}
