"""Requests with every field of the contract filled, right in every field, for tests that break one field at a time.

They are right against the catalogue of `catalog_sources.good_source`.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from tests.support.whole_advice import PREFERENCES, whole_recommendation_requests, whole_rightsizing_requests
from tests.support.whole_failover import whole_failover_requests
from tests.support.whole_purchase import whole_purchasing_requests
from tests.support.whole_replication import whole_replication_requests
from tests.support.whole_values import ANYWHERE, IRELAND, USD, UUID
from trimtab.v1 import (
    catalog_service_pb2,
    commitment_service_pb2,
    placement_service_pb2,
    policy_service_pb2,
)

_SIZE = {
    "vcpus": 2,
    "memoryGib": 4,
    "gpus": [{"model": "V100", "count": 1, "memoryGib": 16}],
    "architecture": "ARCHITECTURE_X86_64",
    "localDiskGb": 1,
    "networkGbps": 1,
    "instanceType": "p3.2xlarge",
}
_RESIDENCY = {
    "countries": ["US"],
    "blocs": ["EU"],
    "deniedCountries": ["GB"],
    "clouds": ["CLOUD_AWS"],
    "deniedClouds": ["CLOUD_AZURE"],
    "regions": [ANYWHERE, IRELAND],
    "deniedRegions": [{"cloud": "CLOUD_GCP", "region": "us-central1"}],
    "families": ["p3", "m5"],
    "deniedFamilies": ["c5"],
    "instanceTypes": ["p3.2xlarge", "m5.large"],
    "deniedInstanceTypes": ["c5.xlarge"],
}
_WORKLOAD = {
    "workloadId": "train-1",
    "tags": {"team": "vision"},
    "size": _SIZE,
    "duration": "36000s",
    "count": 2,
    "spreadZones": 2,
    "purchaseOptions": ["PURCHASE_OPTION_ON_DEMAND", "PURCHASE_OPTION_SPOT", "PURCHASE_OPTION_OWNED_COMMITMENT"],
    "interruption": {
        "checkpointWriteTime": "60s",
        "restartTime": "300s",
        "checkpointInterval": "3600s",
        "checkpointStore": ANYWHERE,
        "checkpointGib": 10,
        "checkpointPricePerGibMonth": USD,
        "maxExpectedInterruptions": 5,
    },
    "deadline": "2099-01-01T00:00:00Z",
    "dataSets": [
        {
            "location": IRELAND,
            "gib": 500,
            "reads": 2,
            "privateRatePerGib": USD,
            "privateRateClouds": ["CLOUD_AWS", "CLOUD_GCP"],
        }
    ],
    "users": {
        "groups": [
            {"region": IRELAND, "share": 3},
            {"location": {"latitude": 40.5, "longitude": -74.5}, "share": 1},
        ],
        "maxLatencyMs": 500,
        "egressGib": 100,
    },
    "residency": _RESIDENCY,
    "services": [{"service": "S3", "preferenceValue": USD}],
    "current": {
        "location": IRELAND,
        "zone": "eu-west-1-a",
        "instanceType": "p3.2xlarge",
        "purchaseOption": "PURCHASE_OPTION_ON_DEMAND",
        "stateGib": 20,
        "changeover": "600s",
        "fixedCost": USD,
        "minimumGain": USD,
        "minimumGainFraction": 0.1,
    },
    "quotas": [
        {
            "location": ANYWHERE,
            "family": "p3",
            "gpuModel": "V100-16GB",
            "purchaseOptions": ["PURCHASE_OPTION_SPOT"],
            "unit": "UNIT_VCPUS",
            "left": 64,
        }
    ],
    "blockedOffers": [
        {
            "cloud": "CLOUD_AWS",
            "region": "us-east-1",
            "zone": "us-east-1-a",
            "instanceType": "p3.2xlarge",
            "purchaseOption": "PURCHASE_OPTION_SPOT",
        }
    ],
    "callerOffers": [
        {
            "location": ANYWHERE,
            "instanceType": "ml.p3.2xlarge",
            "purchaseOption": "PURCHASE_OPTION_ON_DEMAND",
            "pricePerHour": USD,
            "size": {**_SIZE, "instanceType": "ml.p3.2xlarge"},
            "zones": ["us-east-1-a", "us-east-1-b"],
        }
    ],
    "toleranceFraction": 0.05,
    "monthToDateEgress": [{"location": IRELAND, "gib": 1000}],
    "hoursPerMonth": 720,
    "hoursPerYear": 8760,
    "partitions": ["public"],
    "allowEstimatedPrices": True,
}
_COMMITMENT = {
    "kind": "KIND_AWS_RESERVED_INSTANCE_STANDARD",
    "cloud": "CLOUD_AWS",
    "region": "us-east-1",
    "zone": "us-east-1-a",
    "instanceType": "p3.2xlarge",
    "family": "p3",
    "startTime": "2026-01-01T00:00:00Z",
    "endTime": "2099-01-01T00:00:00Z",
    "instances": 2,
    "inUseFraction": 0.1,
    "discountFraction": 0.3,
    "sizeFlexible": True,
    "pricePerHour": USD,
}
_SAVINGS_PLAN = {
    **{key: value for key, value in _COMMITMENT.items() if key not in {"instances", "instanceType", "zone"}},
    "kind": "KIND_AWS_EC2_INSTANCE_SAVINGS_PLAN",
    "spendPerHour": USD,
}
_CUD = {
    **{key: value for key, value in _COMMITMENT.items() if key not in {"instances", "instanceType", "zone"}},
    "kind": "KIND_GCP_RESOURCE_CUD",
    "cloud": "CLOUD_GCP",
    "region": "us-central1",
    "family": "n1",
    "resources": {"vcpus": 8, "memoryGib": 32, "gpuModel": "V100-16GB", "gpus": 1},
}
_POLICY = {
    "description": "stays where it may be",
    "condition": "request.gpu_count >= 0",
    "rules": {
        "residency": _RESIDENCY,
        "purchaseOptions": ["PURCHASE_OPTION_ON_DEMAND", "PURCHASE_OPTION_SPOT"],
        "priceBases": ["PRICE_BASIS_LIST"],
        "maxPriceAge": "8640000s",
        "maxExpectedInterruptions": 3,
        "maxCost": USD,
        "requiredTags": ["team"],
        "approvalThreshold": USD,
        "toleranceFraction": 0.1,
        "minimumGainFraction": 0.1,
        "rightsizing": PREFERENCES,
        "applyApprovalThreshold": USD,
    },
}


def workload(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """A small workload as JSON, placed on demand; `changes` by the JSON names of fields."""
    return {"size": {"vcpus": 2, "memoryGib": 4}, "duration": "36000s", **changes}


def place_request(project: str = "vision", **changes: Any) -> placement_service_pb2.PlaceRequest:  # noqa: ANN401 - JSON
    """A small request to place; `changes` are of the workload, by JSON names."""
    document = {"parent": f"projects/{project}", "workload": workload(**changes)}
    return ParseDict(document, placement_service_pb2.PlaceRequest())


def whole_place(project: str = "vision") -> placement_service_pb2.PlaceRequest:
    """A request to place with every field of the contract in it."""
    document = {
        "parent": f"projects/{project}",
        "workload": _WORKLOAD,
        "reserve": True,
        "reserveDuration": "600s",
        "requestId": UUID,
        "maxFallbacks": 3,
        "explain": True,
    }
    return ParseDict(document, placement_service_pb2.PlaceRequest())


def whole_service(project: str = "vision") -> placement_service_pb2.PlaceRequest:
    """The same as a service, which has no deadline."""
    request = whole_place(project)
    request.workload.service_hours_per_month = 100.0
    request.workload.ClearField("deadline")
    return request


def whole_waiting(project: str = "vision") -> placement_service_pb2.PlaceRequest:
    """The same as work that may wait, which runs nowhere yet and holds nothing."""
    request = whole_place(project)
    for field in ("reserve", "reserve_duration", "request_id"):
        request.ClearField(field)
    request.workload.ClearField("current")
    request.workload.latest_start_time.FromDatetime(datetime.now(UTC) + timedelta(days=1))
    return request


def whole_outcomes(project: str = "vision", decision: str = "") -> placement_service_pb2.ReportOutcomeRequest:
    """Outcomes with every field."""
    offer = {**_WORKLOAD["blockedOffers"][0]}  # type: ignore[index] # JSON
    document = {
        "parent": f"projects/{project}",
        "decision": decision,
        "requestId": UUID,
        "outcomes": [
            {"offer": offer, "eventTime": "2026-01-01T00:00:00Z", "capacityFailure": True, "interruptions": 1},
            {"offer": offer, "capacitySuccess": True, "hoursRun": 2.5},
        ],
    }
    return ParseDict(document, placement_service_pb2.ReportOutcomeRequest())


def whole_commitments(project: str = "vision") -> commitment_service_pb2.ImportCommitmentsRequest:
    """One commitment of each way to commit, with every field."""
    listed = [
        {**commitment, "name": f"projects/{project}/commitments/c{number}"}
        for number, commitment in enumerate((_COMMITMENT, _SAVINGS_PLAN, _CUD))
    ]
    document = {"parent": f"projects/{project}", "commitments": listed, "requestId": UUID}
    return ParseDict(document, commitment_service_pb2.ImportCommitmentsRequest())


def whole_policy(project: str = "vision", policy: str = "p") -> policy_service_pb2.CreatePolicyRequest:
    """A policy with every rule."""
    document = {"parent": f"projects/{project}", "policyId": policy, "policy": _POLICY, "requestId": UUID}
    return ParseDict(document, policy_service_pb2.CreatePolicyRequest())


def whole_requests(project: str = "vision", decision: str = "d") -> dict[str, list[Message]]:
    """Requests of every RPC by full method name, filled as far as the contract goes."""
    p, c, a, q = placement_service_pb2, commitment_service_pb2, catalog_service_pb2, policy_service_pb2
    parent, named = f"projects/{project}", f"projects/{project}/decisions/{decision}"
    single = {key: value for key, value in _COMMITMENT.items() if key != "name"}
    place, service = whole_place(project), whole_service(project)
    small = place_request(project)
    policy = whole_policy(project)
    updated = q.UpdatePolicyRequest(policy=policy.policy, request_id=UUID)
    updated.policy.name = f"{parent}/policies/p"
    updated.policy.etag = "0123456789abcdef"
    listing: dict[str, Any] = {"page_size": 10}
    return {
        "/trimtab.v1.PlacementService/Place": [small, place, service, whole_waiting(project)],
        "/trimtab.v1.PlacementService/BatchPlace": [
            p.BatchPlaceRequest(parent=parent, requests=[small, place, service], joint=True)
        ],
        "/trimtab.v1.PlacementService/ExplainPlacement": [
            p.ExplainPlacementRequest(parent=parent, request=place),
            p.ExplainPlacementRequest(parent=parent, decision=named),
        ],
        "/trimtab.v1.PlacementService/ReportOutcome": [whole_outcomes(project, named), whole_outcomes(project)],
        "/trimtab.v1.PlacementService/GetDecision": [p.GetDecisionRequest(name=named)],
        "/trimtab.v1.PlacementService/ListDecisions": [
            p.ListDecisionsRequest(parent=parent, filter='cloud = "aws" AND reserved = true', **listing)
        ],
        "/trimtab.v1.PlacementService/ReleaseDecision": [p.ReleaseDecisionRequest(name=named, request_id=UUID)],
        "/trimtab.v1.CatalogService/GetCatalog": [a.GetCatalogRequest(name="catalogs/current")],
        "/trimtab.v1.CatalogService/ListCatalogs": [a.ListCatalogsRequest(filter="current = true", **listing)],
        "/trimtab.v1.CatalogService/ListOffers": [
            a.ListOffersRequest(parent="catalogs/current", filter='cloud = "aws" AND vcpus > 2', **listing)
        ],
        "/trimtab.v1.CatalogService/RefreshCatalog": [a.RefreshCatalogRequest(request_id=UUID)],
        "/trimtab.v1.PolicyService/CreatePolicy": [policy],
        "/trimtab.v1.PolicyService/GetPolicy": [q.GetPolicyRequest(name=f"{parent}/policies/p")],
        "/trimtab.v1.PolicyService/ListPolicies": [
            q.ListPoliciesRequest(parent=parent, filter="disabled = false", **listing)
        ],
        "/trimtab.v1.PolicyService/UpdatePolicy": [updated],
        "/trimtab.v1.PolicyService/DeletePolicy": [
            q.DeletePolicyRequest(name=f"{parent}/policies/p", etag="0123456789abcdef", request_id=UUID)
        ],
        "/trimtab.v1.PolicyService/GetEffectivePolicy": [
            q.GetEffectivePolicyRequest(parent=parent, workload=place.workload)
        ],
        "/trimtab.v1.PolicyService/DryRunPolicy": [
            q.DryRunPolicyRequest(parent=parent, policy=updated.policy, max_decisions=10)
        ],
        "/trimtab.v1.CommitmentService/CreateCommitment": [
            c.CreateCommitmentRequest(
                parent=parent, commitment_id="c", commitment=ParseDict(single, c.Commitment()), request_id=UUID
            )
        ],
        "/trimtab.v1.CommitmentService/ImportCommitments": [whole_commitments(project)],
        "/trimtab.v1.CommitmentService/GetCommitment": [c.GetCommitmentRequest(name=f"{parent}/commitments/c")],
        "/trimtab.v1.CommitmentService/ListCommitments": [
            c.ListCommitmentsRequest(parent=parent, filter='cloud = "aws"', **listing)
        ],
        "/trimtab.v1.CommitmentService/EndCommitment": [
            c.EndCommitmentRequest(name=f"{parent}/commitments/c", etag="0123456789abcdef", request_id=UUID)
        ],
        **whole_rightsizing_requests(project),
        **whole_recommendation_requests(project),
        **whole_purchasing_requests(project),
        **whole_failover_requests(project, UUID, workload()),
        **whole_replication_requests(project, UUID),
    }
