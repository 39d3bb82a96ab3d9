"""Requests of the failover service with every field filled, as `whole_requests` has them of the others."""

from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from trimtab.v1 import failover_service_pb2 as pb
from trimtab.v1 import placement_service_pb2

_WINDOW = {"startTime": "2030-01-01T00:00:00Z", "endTime": "2030-01-02T00:00:00Z"}


def _step(step_id: str, **action: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "stepId": step_id,
        "description": "what for",
        "timeout": "60s",
        "expectedDuration": "5s",
        "gracefulOnly": True,
        **action,
    }


def whole_plan(project: str = "vision") -> pb.FailoverPlan:
    """A plan with a step of every kind."""
    child = f"projects/{project}/failoverPlans/child"
    steps = [
        _step("scale", scaleCapacity={"target": "simulated/capacity/gcp", "count": 3, "minimumShare": 0.5}),
        _step("get", acquireCapacity={"targets": ["simulated/capacity/gcp"], "count": 3, "minimumShare": 0.5}),
        _step("promote", promoteDataStore={"target": "simulated/data/orders"}),
        _step("fresh", checkWatermark={"target": "simulated/replication/models", "maxAge": "60s"}),
        _step("ttl", lowerTtl={"target": "simulated/dns/api", "ttl": "30s"}),
        _step("switch", switchTraffic={"target": "simulated/dns/api", "weight": 1.0}),
        _step("check", runHealthCheck={"probes": ["simulated/probe/gcp"], "successes": 2}),
        _step("wait", wait={"duration": "1s"}),
        _step("ask", approve={"expireAfter": "600s", "fourEyes": True}),
        _step("tell", notify={"channel": "simulated/chat", "text": "moved"}),
        _step("other", childPlan={"failoverPlan": child}),
    ]
    workflow = {"stages": [{"steps": [step]} for step in steps]}
    document = {
        "name": f"projects/{project}/failoverPlans/p",
        "description": "what for",
        "serviceId": "api",
        "sides": [
            {"sideId": "aws", "cloud": "CLOUD_AWS", "region": "us-east-1", "cidrBlocks": ["10.0.0.0/16"]},
            {"sideId": "gcp", "cloud": "CLOUD_GCP", "region": "us-central1", "cidrBlocks": ["10.1.0.0/16"]},
        ],
        "activate": workflow,
        "rtoTarget": "900s",
        "rpoTarget": "60s",
        "safety": {
            "minimumHealthySides": 1,
            "disabled": True,
            "cooldown": "3600s",
            "freezeWindows": [_WINDOW],
        },
        "detection": {
            "observers": [{"observerId": "one", "cloud": "CLOUD_AWS", "reporter": "agent"}],
            "quorum": 1,
            "failures": 3,
            "successes": 10,
            "reportTtl": "30s",
        },
        "drills": {"every": "86400s", "allowedWindows": [_WINDOW], "blockedWindows": [_WINDOW]},
    }
    return ParseDict(document, pb.FailoverPlan())


def whole_failover_requests(project: str, uuid: str, workload: dict[str, Any]) -> dict[str, list[Message]]:
    """Requests of every RPC of the service, by full method name."""
    parent = f"projects/{project}"
    plan, run = f"{parent}/failoverPlans/p", f"{parent}/failoverRuns/r"
    whole = whole_plan(project)
    nameless = pb.FailoverPlan()
    nameless.CopyFrom(whole)
    nameless.ClearField("name")
    updated = pb.UpdateFailoverPlanRequest(failover_plan=whole, request_id=uuid)
    updated.failover_plan.etag = "0123456789abcdef"
    listing: dict[str, Any] = {"parent": parent, "page_size": 10}
    start = pb.StartFailoverRequest(
        name=plan,
        kind=pb.FailoverRun.KIND_DRILL,
        mode=pb.FailoverRun.MODE_UNGRACEFUL,
        from_side="aws",
        to_side="gcp",
        etag="0123456789abcdef",
        override_reason="because",
        request_id=uuid,
    )
    steer = pb.SteerFailoverRunRequest(
        name=run,
        command=pb.SteerFailoverRunRequest.COMMAND_SKIP_STEP,
        step_id="scale",
        reason="because",
        request_id=uuid,
    )
    report = ParseDict(
        {
            "name": plan,
            "observerId": "one",
            "sides": [{"sideId": "aws", "isHealthy": True, "detail": "200"}],
            "requestId": uuid,
        },
        pb.ReportHealthRequest(),
    )
    advise = ParseDict(
        {
            "parent": parent,
            "primary": {"cloud": "CLOUD_AWS", "region": "us-east-1"},
            "standby": {"cloud": "CLOUD_AWS", "region": "eu-west-1"},
            "rtoTarget": "900s",
            "rpoTarget": "60s",
            "dataGib": 100,
            "changedGibPerDay": 1,
            "storagePricePerGibMonth": {"currencyCode": "USD", "nanos": 23_000_000},
            "lossPerHour": {"currencyCode": "USD", "units": "1000"},
            "outagesPerYear": 0.5,
            "capacityProbability": 0.9,
            "criticality": "CRITICALITY_HIGH",
            "failoverPlan": plan,
        },
        pb.AdviseDrStrategyRequest(),
    )
    advise.workload.CopyFrom(ParseDict(workload, placement_service_pb2.Workload()))
    service = "/trimtab.v1.FailoverService/"
    return {
        service + "CreateFailoverPlan": [
            pb.CreateFailoverPlanRequest(parent=parent, failover_plan_id="p", failover_plan=nameless, request_id=uuid)
        ],
        service + "GetFailoverPlan": [pb.GetFailoverPlanRequest(name=plan)],
        service + "ListFailoverPlans": [pb.ListFailoverPlansRequest(**listing, filter='service_id = "api"')],
        service + "UpdateFailoverPlan": [updated],
        service + "DeleteFailoverPlan": [
            pb.DeleteFailoverPlanRequest(name=plan, etag="0123456789abcdef", request_id=uuid)
        ],
        service + "EvaluateFailoverPlan": [
            pb.EvaluateFailoverPlanRequest(
                parent=parent,
                failover_plan=whole,
                from_side="aws",
                to_side="gcp",
                dry_run=True,
                kind=pb.FailoverRun.KIND_DEACTIVATE,
                mode=pb.FailoverRun.MODE_UNGRACEFUL,
            )
        ],
        service + "StartFailover": [start],
        service + "GetFailoverRun": [pb.GetFailoverRunRequest(name=run)],
        service + "ListFailoverRuns": [pb.ListFailoverRunsRequest(**listing, filter='state = "running"')],
        service + "WatchFailoverRun": [pb.WatchFailoverRunRequest(name=run)],
        service + "SteerFailoverRun": [steer],
        service + "DecideFailoverStep": [
            pb.DecideFailoverStepRequest(
                name=run, step_id="ask", plan_hash="0" * 64, approved=True, comment="go", request_id=uuid
            )
        ],
        service + "ReportHealth": [report],
        service + "CheckServiceHealth": [pb.CheckServiceHealthRequest(name=plan)],
        service + "ExportFailoverEvidence": [pb.ExportFailoverEvidenceRequest(name=run)],
        service + "ExportRunbook": [pb.ExportRunbookRequest(name=plan)],
        service + "AdviseDrStrategy": [advise],
    }
