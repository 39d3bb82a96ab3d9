# ruff: noqa: ANN401 - messages of every method
"""Changes that must not be made, or not twice: refused in full, and nothing of them is left."""

import copy
from typing import Any

import grpc
import pytest

from tests.support import whole_requests as whole
from tests.support.bad_input import INVALID, MEGABYTE, PLACE, fault
from tests.support.contract import (
    CATALOG,
    COMMITMENT,
    PLACEMENT,
    POLICY,
    answered,
    refused,
)
from tests.support.service import RunningService
from tests.support.whole_requests import place_request
from tests.support.whole_values import UUID
from trimtab.v1 import catalog_service_pb2, commitment_service_pb2, policy_service_pb2
from trimtab.v1 import placement_service_pb2 as pb


def state_of(attacked: RunningService, project: str) -> tuple[int, ...]:
    """Everything of a project that calls can change, by count."""
    parent = f"projects/{project}"
    return (
        len(attacked.placement.ListDecisions(pb.ListDecisionsRequest(parent=parent)).decisions),
        len(attacked.policy.ListPolicies(policy_service_pb2.ListPoliciesRequest(parent=parent)).policies),
        len(
            attacked.commitment.ListCommitments(
                commitment_service_pb2.ListCommitmentsRequest(parent=parent)
            ).commitments
        ),
    )


def changes(project: str) -> dict[str, tuple[str, Any]]:
    """Calls that change something once for a request id, with their paths."""
    reserved = place_request(project)
    reserved.reserve, reserved.request_id = True, UUID
    committed = whole.whole_requests(project)[COMMITMENT + "CreateCommitment"][0]
    return {
        "reserve": (PLACE, reserved),
        "outcomes": (PLACEMENT + "ReportOutcome", whole.whole_outcomes(project)),
        "policy": (POLICY + "CreatePolicy", whole.whole_policy(project)),
        "commitment": (COMMITMENT + "CreateCommitment", committed),
        "import": (COMMITMENT + "ImportCommitments", whole.whole_commitments(project)),
    }


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


@pytest.mark.parametrize("what", ["reserve", "outcomes", "policy", "commitment", "import"])
def test_request_id_is_taken_once(attacked: RunningService, channel: grpc.Channel, project: str, what: str) -> None:
    """The same body again has the same bytes for an answer and changes nothing; another body is refused."""
    path, request = changes(project)[what]
    first = answered(channel, path, request)
    before = state_of(attacked, project)
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
    assert state_of(attacked, project) == before


@pytest.mark.parametrize("request_id", ["", "not-a-uuid", MEGABYTE, "\x00" * 36, f"{UUID}\n"])
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


def test_nothing_of_a_failed_change_is_left(attacked: RunningService, channel: grpc.Channel, project: str) -> None:
    """A fault in the last of many undoes all: commitments, outcomes, a reservation that is refused."""
    before = state_of(attacked, project)
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
    assert state_of(attacked, project)[1:] == (before[1], 3)
