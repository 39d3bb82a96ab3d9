"""The plan of `trimtab failover demo`, as a file of one's own would have it."""

from typing import Final

from google.protobuf.json_format import ParseDict

from trimtab.v1 import failover_service_pb2 as pb

PLAN: Final = "serving"

_CONTENT: Final[dict[str, object]] = {
    "description": "Model serving: AWS in Virginia, a warm standby of 20 % with Google in Iowa.",
    "service_id": "serving",
    "sides": [
        {"side_id": "virginia", "cloud": "CLOUD_AWS", "region": "us-east-1", "cidr_blocks": ["10.0.0.0/16"]},
        {"side_id": "iowa", "cloud": "CLOUD_GCP", "region": "us-central1", "cidr_blocks": ["10.1.0.0/16"]},
    ],
    "rto_target": "900s",
    "rpo_target": "60s",
    "detection": {
        "observers": [
            {"observer_id": "observer-aws", "cloud": "CLOUD_AWS"},
            {"observer_id": "observer-azure", "cloud": "CLOUD_AZURE"},
            {"observer_id": "observer-gcp", "cloud": "CLOUD_GCP"},
        ]
    },
    "activate": {
        "stages": [
            {"steps": [{"step_id": "fresh", "check_watermark": {"target": "replication/models"}}]},
            {
                "steps": [
                    {
                        "step_id": "scale",
                        "expected_duration": "8s",
                        "scale_capacity": {"target": "gcp/mig/serving", "count": 10},
                    }
                ]
            },
            {"steps": [{"step_id": "healthy", "run_health_check": {"probes": ["probe/iowa"], "successes": 2}}]},
            {"steps": [{"step_id": "approve", "expected_duration": "5s", "approve": {"expire_after": "600s"}}]},
            {"steps": [{"step_id": "switch", "switch_traffic": {"target": "dns/api.example.com"}}]},
            {"steps": [{"step_id": "tell", "notify": {"channel": "chat/on-call", "text": "serving runs in Iowa"}}]},
        ]
    },
    "post_recovery": {
        "stages": [
            {"steps": [{"step_id": "home", "run_health_check": {"probes": ["probe/virginia"], "successes": 2}}]},
            {"steps": [{"step_id": "approve-back", "approve": {"expire_after": "600s"}}]},
            {"steps": [{"step_id": "switch-back", "switch_traffic": {"target": "dns/api.example.com"}}]},
            {"steps": [{"step_id": "shrink", "scale_capacity": {"target": "gcp/mig/serving", "count": 2}}]},
        ]
    },
}


def plan() -> pb.FailoverPlan:
    """The message."""
    return ParseDict(_CONTENT, pb.FailoverPlan())
