"""Requests with every field of the contract filled, right in every field, for tests that break one field at a time.

They are right against the catalogue of `catalog_sources.good_source`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from tests.support.whole_failover import whole_failover_requests
from trimtab.v1 import (
    catalog_service_pb2,
    commitment_service_pb2,
    placement_service_pb2,
    policy_service_pb2,
    purchasing_service_pb2,
    recommendation_service_pb2,
    rightsizing_service_pb2,
)

UUID = "0d9f1c9e-2f0b-4b7e-9a55-6f4f0d1a2b3c"
_ANYWHERE = {"cloud": "CLOUD_AWS", "region": "us-east-1"}
_IRELAND = {"cloud": "CLOUD_AWS", "region": "eu-west-1"}
_USD = {"currencyCode": "USD", "units": 1, "nanos": 500_000_000}
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
    "regions": [_ANYWHERE, _IRELAND],
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
        "checkpointStore": _ANYWHERE,
        "checkpointGib": 10,
        "checkpointPricePerGibMonth": _USD,
        "maxExpectedInterruptions": 5,
    },
    "deadline": "2099-01-01T00:00:00Z",
    "dataSets": [
        {
            "location": _IRELAND,
            "gib": 500,
            "reads": 2,
            "privateRatePerGib": _USD,
            "privateRateClouds": ["CLOUD_AWS", "CLOUD_GCP"],
        }
    ],
    "users": {
        "groups": [
            {"region": _IRELAND, "share": 3},
            {"location": {"latitude": 40.5, "longitude": -74.5}, "share": 1},
        ],
        "maxLatencyMs": 500,
        "egressGib": 100,
    },
    "residency": _RESIDENCY,
    "services": [{"service": "S3", "preferenceValue": _USD}],
    "current": {
        "location": _IRELAND,
        "zone": "eu-west-1-a",
        "instanceType": "p3.2xlarge",
        "purchaseOption": "PURCHASE_OPTION_ON_DEMAND",
        "stateGib": 20,
        "changeover": "600s",
        "fixedCost": _USD,
        "minimumGain": _USD,
        "minimumGainFraction": 0.1,
    },
    "quotas": [
        {
            "location": _ANYWHERE,
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
            "location": _ANYWHERE,
            "instanceType": "ml.p3.2xlarge",
            "purchaseOption": "PURCHASE_OPTION_ON_DEMAND",
            "pricePerHour": _USD,
            "size": {**_SIZE, "instanceType": "ml.p3.2xlarge"},
            "zones": ["us-east-1-a", "us-east-1-b"],
        }
    ],
    "toleranceFraction": 0.05,
    "monthToDateEgress": [{"location": _IRELAND, "gib": 1000}],
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
    "pricePerHour": _USD,
}
_SAVINGS_PLAN = {
    **{key: value for key, value in _COMMITMENT.items() if key not in {"instances", "instanceType", "zone"}},
    "kind": "KIND_AWS_EC2_INSTANCE_SAVINGS_PLAN",
    "spendPerHour": _USD,
}
_CUD = {
    **{key: value for key, value in _COMMITMENT.items() if key not in {"instances", "instanceType", "zone"}},
    "kind": "KIND_GCP_RESOURCE_CUD",
    "cloud": "CLOUD_GCP",
    "region": "us-central1",
    "family": "n1",
    "resources": {"vcpus": 8, "memoryGib": 32, "gpuModel": "V100-16GB", "gpus": 1},
}
_PREFERENCES = {
    "profile": "balanced",
    "dimensions": [{"dimension": "DIMENSION_CPU", "percentile": 99, "headroomFraction": 0.2}],
    "lookback": "864000s",
    "minimumData": "108000s",
    "families": ["m5", "c5"],
    "maxRisk": 2,
    "neverShrink": False,
    "minimumSavingToDisruption": 0.5,
    "minimumMonthlySaving": _USD,
    "throttledHourCost": _USD,
    "allowArchitectureChange": True,
    "allowGpuModelChange": True,
    "allowGpuSharing": True,
    "allowStop": True,
    "regions": [_IRELAND],
    "maxOptions": 5,
    "allowMemoryBelowPeak": False,
    "allowBurstable": True,
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
        "maxCost": _USD,
        "requiredTags": ["team"],
        "approvalThreshold": _USD,
        "toleranceFraction": 0.1,
        "minimumGainFraction": 0.1,
        "rightsizing": _PREFERENCES,
        "applyApprovalThreshold": _USD,
    },
}


_RESOURCE = {
    "resourceId": "i-0abc",
    "kind": "KIND_INSTANCE_GROUP",
    "cloud": "CLOUD_AWS",
    "region": "us-east-1",
    "zone": "us-east-1-a",
    "account": "123456789012",
    "instanceType": "m5.large",
    "count": 2,
    "capacity": {
        "vcpus": 2,
        "memoryGib": 8,
        "gpuModel": "V100-16GB",
        "gpus": 1,
        "gpuMemoryGib": 16,
        "networkGbps": 10,
        "diskIops": 3000,
        "diskMibps": 125,
    },
    "pricePerHour": _USD,
    "purchaseOption": "PURCHASE_OPTION_ON_DEMAND",
    "runningHoursPerMonth": 300,
    "tags": {"team": "vision"},
    "autoscaling": {
        "minCount": 1,
        "maxCount": 4,
        "targetDimension": "DIMENSION_CPU",
        "targetUtilization": 0.5,
    },
    "workloadId": "web",
    "team": "search",
    "startTime": "2026-01-01T00:00:00Z",
    "armReady": True,
}
_SERIES = [
    {
        "metric": "METRIC_CPU",
        "unit": "UNIT_PERCENT",
        "statistic": "STATISTIC_AVERAGE",
        "startTime": "2026-01-01T00:00:00Z",
        "step": "3600s",
        "values": [10.0, 20.0, 30.0],
    },
    {
        "metric": "METRIC_GPU",
        "unit": "UNIT_PERCENT",
        "statistic": "STATISTIC_MAXIMUM",
        "device": "0",
        "epochSeconds": [1_767_225_600, 1_767_229_200],
        "values": [50.0, 60.0],
    },
]


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


def whole_rightsize(project: str = "vision") -> rightsizing_service_pb2.RightsizeRequest:
    """A request for advice with every field, over series on a grid and series with stamps."""
    document = {
        "parent": f"projects/{project}",
        "resource": _RESOURCE,
        "telemetry": {"series": _SERIES},
        "preferences": _PREFERENCES,
        "requestId": UUID,
    }
    return ParseDict(document, rightsizing_service_pb2.RightsizeRequest())


def _rightsizing_requests(project: str) -> dict[str, list[Message]]:
    r, parent = rightsizing_service_pb2, f"projects/{project}"
    whole = whole_rightsize(project)
    item, sourced = whole_rightsize(project), whole_rightsize(project)
    item.ClearField("request_id")
    sourced.telemetry_source = "prod"
    fleet: dict[str, Any] = {
        "parent": parent,
        "telemetrySources": ["prod"],
        "preferences": _PREFERENCES,
        "regions": [_ANYWHERE],
        "tags": {"team": "vision"},
        "maxReadCost": _USD,
        "requestId": UUID,
    }
    analysis = f"{parent}/fleetAnalyses/f"
    listing: dict[str, Any] = {"parent": parent, "page_size": 10}
    service = "/trimtab.v1.RightsizingService/"
    return {
        service + "Rightsize": [whole, sourced],
        service + "BatchRightsize": [r.BatchRightsizeRequest(parent=parent, requests=[item], request_id=UUID)],
        service + "StreamRightsize": [r.StreamRightsizeRequest(request=whole)],
        service + "StartFleetAnalysis": [ParseDict(fleet, r.StartFleetAnalysisRequest())],
        service + "GetFleetAnalysis": [r.GetFleetAnalysisRequest(name=analysis)],
        service + "ListFleetAnalyses": [r.ListFleetAnalysesRequest(filter='state = "running"', **listing)],
        service + "CancelFleetAnalysis": [r.CancelFleetAnalysisRequest(name=analysis, request_id=UUID)],
        service + "WatchFleetAnalysis": [r.WatchFleetAnalysisRequest(name=analysis, resume_token="after-1")],
        service + "ListTelemetrySources": [r.ListTelemetrySourcesRequest(filter='kind = "simulated"', **listing)],
    }


def _recommendation_requests(project: str) -> dict[str, list[Message]]:
    r, parent = recommendation_service_pb2, f"projects/{project}"
    one: dict[str, Any] = {"name": f"{parent}/recommendations/r", "request_id": UUID}
    guarded: dict[str, Any] = {**one, "etag": "0123456789abcdef"}
    said: dict[str, Any] = {**guarded, "comment": "because"}
    noted: dict[str, Any] = {**said, "state_metadata": {"ticket": "42"}}
    other, matching = r.TRANSITION_REASON_OTHER, 'state = "active" AND monthly_saving_micros > 1000'
    approval = r.ApproveRecommendationRequest(**said)
    approval.valid_for.seconds = 3_600
    measured = r.VerifyRecommendationRequest(**one, running_hours=12.5)
    ParseDict({"series": _SERIES}, measured.telemetry)
    service = "/trimtab.v1.RecommendationService/"
    totals = r.SummarizeRecommendationsRequest
    return {
        service + "GetRecommendation": [r.GetRecommendationRequest(name=one["name"])],
        service + "ListRecommendations": [
            r.ListRecommendationsRequest(parent=parent, filter=matching, order_by="priority desc", page_size=10)
        ],
        service + "WatchRecommendations": [
            r.WatchRecommendationsRequest(parent=parent, filter=matching, resume_token="after-1")
        ],
        service + "ClaimRecommendation": [r.ClaimRecommendationRequest(**noted)],
        service + "MarkRecommendationSucceeded": [
            r.MarkRecommendationSucceededRequest(**noted, reason=r.TRANSITION_REASON_DONE_ELSEWHERE)
        ],
        service + "MarkRecommendationFailed": [r.MarkRecommendationFailedRequest(**noted, reason=other)],
        service + "DismissRecommendation": [r.DismissRecommendationRequest(**said, reason=other)],
        service + "ReopenRecommendation": [
            r.ReopenRecommendationRequest(**said, reason=r.TRANSITION_REASON_JUDGED_ANEW)
        ],
        service + "ApproveRecommendation": [approval],
        service + "ApplyRecommendation": [r.ApplyRecommendationRequest(**guarded, execute=True)],
        service + "RollBackRecommendation": [r.RollBackRecommendationRequest(**guarded, execute=True)],
        service + "VerifyRecommendation": [
            measured,
            r.VerifyRecommendationRequest(**one, telemetry_source="prod"),
        ],
        service + "SummarizeRecommendations": [
            totals(parent=parent, filter=matching, group_by=[totals.GROUP_BY_TEAM, totals.GROUP_BY_STATE])
        ],
    }


def whole_purchase(project: str = "vision") -> purchasing_service_pb2.OptimizePurchasePlanRequest:
    """A plan with everything that may be said of one, of two days."""
    hours = [float(5 + hour % 24) for hour in range(48)]
    offer: dict[str, Any] = {
        "offerId": "m5-1y",
        "kind": "KIND_AWS_EC2_INSTANCE_SAVINGS_PLAN",
        "cloud": "CLOUD_AWS",
        "family": "m5",
        "region": "us-east-1",
        "term": "31536000s",
        "payment": "PAYMENT_OPTION_PARTIAL_UPFRONT",
        "upfrontFraction": 0.5,
        "rate": 0.6,
        "rates": {"m5.large": 0.61},
        "commitmentBasis": "COMMITMENT_BASIS_DISCOUNTED",
        "unitPricePerHour": {"currencyCode": "USD", "nanos": 10_000_000},
        "quote": {"usageType": "BoxUsage:m5.large", "rate": {"currencyCode": "USD", "nanos": 60_000_000}},
    }
    owned = {
        "commitmentId": "old",
        "offer": {**offer, "offerId": ""},
        "commitmentPerHour": {"currencyCode": "USD", "units": "1"},
        "startTime": "2026-01-01T00:00:00Z",
        "endTime": "2027-01-01T00:00:00Z",
        "account": "123456789012",
    }
    return ParseDict(
        {
            "parent": f"projects/{project}",
            "demand": {
                "currencyCode": "USD",
                "startTime": "2026-01-05T00:00:00Z",
                "series": [
                    {
                        "cloud": "CLOUD_AWS",
                        "family": "m5",
                        "region": "us-east-1",
                        "sku": "m5.large",
                        "account": "123456789012",
                        "hourlyUsage": hours,
                        "unitPrice": {"currencyCode": "USD", "nanos": 96_000_000},
                        "epochSeconds": [str(1_767_571_200 + 3_600 * hour) for hour in range(48)],
                    }
                ],
            },
            "offers": [offer],
            "onlyGivenOffers": True,
            "owned": [owned],
            "spot": [{"cloud": "CLOUD_AWS", "family": "c5", "region": "r", "share": 0.5, "onDemandFraction": 0.4}],
            "changes": [
                {
                    "kind": "KIND_MIGRATES",
                    "cloud": "CLOUD_AWS",
                    "family": "m5",
                    "region": "us-east-1",
                    "effectiveTime": "2030-01-01T00:00:00Z",
                    "factor": 0.9,
                    "toFamily": "m6i",
                }
            ],
            "scenarios": [{"scenarioId": "one", "probability": 1.0, "scale": 0.9, "familyScales": {"m5": 1.1}}],
            "limits": {
                "maxCommitmentPerHour": {"currencyCode": "USD", "units": "100"},
                "terms": ["31536000s"],
                "payments": ["PAYMENT_OPTION_PARTIAL_UPFRONT"],
            },
            "riskPreference": "RISK_PREFERENCE_CVAR",
            "riskTail": 0.1,
            "annualCapitalFraction": 0.05,
            "horizon": "172800s",
            "purchaseTimes": ["2030-01-01T00:00:00Z"],
            "notRenewed": True,
            "skipBacktest": True,
            "requestId": UUID,
            "maxEvidenceBytes": "1000",
        },
        purchasing_service_pb2.OptimizePurchasePlanRequest(),
    )


def _purchasing_requests(project: str) -> dict[str, list[Message]]:
    r, whole = purchasing_service_pb2, whole_purchase(project)
    named: dict[str, Any] = {"parent": whole.parent, "demand": whole.demand}
    backtest = r.BacktestPurchasePolicyRequest(**named, rate=0.6, family_locked=True, policy_ids=["drift"])
    backtest.term.seconds = 86_400
    ladder = r.PlanLadderRequest(**named, offer=whole.offers[0], owned=whole.owned, changes=whole.changes, steps=3)
    ladder.cadence.seconds = 2_628_000
    fetch = r.FetchProviderRecommendationRequest(
        parent=whole.parent,
        telemetry_source="prod",
        kind=commitment_service_pb2.Commitment.KIND_AWS_COMPUTE_SAVINGS_PLAN,
        payment=r.PAYMENT_OPTION_NO_UPFRONT,
    )
    fetch.term.seconds, fetch.lookback.seconds = 31_536_000, 2_592_000
    service = "/trimtab.v1.PurchasingService/"
    return {
        service + "OptimizePurchasePlan": [whole],
        service + "StreamOptimizePurchasePlan": [r.StreamOptimizePurchasePlanRequest(request=whole)],
        service + "EvaluatePurchasePlan": [
            r.EvaluatePurchasePlanRequest(**named, plans=whole.owned, include_project_commitments=True, hourly=True)
        ],
        service + "BacktestPurchasePolicy": [backtest],
        service + "PlanLadder": [ladder],
        service + "GetShadowPrices": [r.GetShadowPricesRequest(**named, plans=whole.owned)],
        service + "FetchProviderRecommendation": [fetch],
    }


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
        "/trimtab.v1.PlacementService/Place": [small, place, service],
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
        **_rightsizing_requests(project),
        **_recommendation_requests(project),
        **_purchasing_requests(project),
        **whole_failover_requests(project, UUID, workload()),
    }


@dataclass(frozen=True, slots=True)
class Spot:
    """One value of a message: the message that holds it, the field, the index, and its path as refusals say it."""

    holder: Any
    field: FieldDescriptor
    index: int | None
    path: str

    def put(self, value: Any) -> None:  # noqa: ANN401 - whatever the field takes
        """Replace the value."""
        if self.index is None:
            setattr(self.holder, self.field.name, value)
        else:
            getattr(self.holder, self.field.name)[self.index] = value

    @property
    def value(self) -> Any:  # noqa: ANN401 - whatever the field holds
        """The value, or message, there now."""
        held = getattr(self.holder, self.field.name)
        return held if self.index is None else held[self.index]


def spots(message: Message, above: str = "") -> Iterator[Spot]:
    """Every value and message that is set in a message, outermost first. Maps are left out."""
    for field, value in message.ListFields():
        path = f"{above}.{field.name}" if above else field.name
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue
        found = (
            [Spot(message, field, index, f"{path}[{index}]") for index in range(len(value))]
            if field.is_repeated
            else [Spot(message, field, None, path)]
        )
        for spot in found:
            yield spot
            if field.message_type is not None:
                yield from spots(spot.value, spot.path)
