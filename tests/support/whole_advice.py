"""Whole requests of rightsizing and of the lifecycle of recommendations."""

from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from tests.support.whole_values import ANYWHERE, IRELAND, USD, UUID
from trimtab.v1 import recommendation_service_pb2, rightsizing_service_pb2

PREFERENCES = {
    "profile": "balanced",
    "dimensions": [{"dimension": "DIMENSION_CPU", "percentile": 99, "headroomFraction": 0.2}],
    "lookback": "864000s",
    "minimumData": "108000s",
    "families": ["m5", "c5"],
    "maxRisk": 2,
    "neverShrink": False,
    "minimumSavingToDisruption": 0.5,
    "minimumMonthlySaving": USD,
    "throttledHourCost": USD,
    "allowArchitectureChange": True,
    "allowGpuModelChange": True,
    "allowGpuSharing": True,
    "allowStop": True,
    "regions": [IRELAND],
    "maxOptions": 5,
    "allowMemoryBelowPeak": False,
    "allowBurstable": True,
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
    "pricePerHour": USD,
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


def whole_rightsize(project: str = "vision") -> rightsizing_service_pb2.RightsizeRequest:
    """A request for advice with every field, over series on a grid and series with stamps."""
    document = {
        "parent": f"projects/{project}",
        "resource": _RESOURCE,
        "telemetry": {"series": _SERIES},
        "preferences": PREFERENCES,
        "requestId": UUID,
        "ownPrices": [{"instanceType": "m5.large", "pricePerHour": {"currencyCode": "USD", "nanos": 80_000_000}}],
    }
    return ParseDict(document, rightsizing_service_pb2.RightsizeRequest())


def whole_rightsizing_requests(project: str) -> dict[str, list[Message]]:
    """Requests of every RPC of `RightsizingService`."""
    r, parent = rightsizing_service_pb2, f"projects/{project}"
    whole = whole_rightsize(project)
    item, sourced = whole_rightsize(project), whole_rightsize(project)
    item.ClearField("request_id")
    sourced.telemetry_source = "prod"
    fleet: dict[str, Any] = {
        "parent": parent,
        "telemetrySources": ["prod"],
        "preferences": PREFERENCES,
        "regions": [ANYWHERE],
        "tags": {"team": "vision"},
        "maxReadCost": USD,
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


def whole_recommendation_requests(project: str) -> dict[str, list[Message]]:
    """Requests of every RPC of `RecommendationService`."""
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
