"""Plans, worlds and a clock for failover."""

from datetime import UTC, datetime, timedelta
from typing import Final

from trimtab_service.clouds.simulated.failover import Copy, Group, Layout, Name, ProbeOf, Store
from trimtab_service.domain.failover import (
    Approve,
    CheckWatermark,
    Detection,
    FailoverPlan,
    Notify,
    Observer,
    PromoteDataStore,
    RunHealthCheck,
    ScaleCapacity,
    Side,
    Step,
    SwitchTraffic,
    Workflow,
)
from trimtab_service.domain.offers import Cloud

NOW: Final = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BOOT: Final = timedelta(seconds=40)

LAYOUT: Final = Layout(
    groups={
        "aws/asg/serving": Group("aws", "virginia", ready=10, peak=10),
        "gcp/mig/serving": Group("gcp", "iowa", ready=2, peak=2, boot=BOOT, quota=20, is_reserved=True),
    },
    names={"dns/api.example.com": Name("virginia", ttl=timedelta(seconds=30))},
    copies={"replication/models": Copy("aws", "gcp")},
    stores={"gcp/sql/orders": Store("gcp")},
    probes={"probe/virginia": ProbeOf("aws/asg/serving"), "probe/iowa": ProbeOf("gcp/mig/serving", 10)},
    channels=("chat/on-call",),
)
"""Ten machines serve in AWS, two stand by in Google Cloud; DNS stands outside of both."""

OBSERVERS: Final = (
    Observer("observer-aws", Cloud.AWS),
    Observer("observer-gcp", Cloud.GCP),
    Observer("observer-azure", Cloud.AZURE),
)


def step(step_id: str, action: object, **fields: object) -> Step:
    """A step, for short."""
    return Step(step_id, action, **fields)  # type: ignore[arg-type] # the caller's own values


def failover_plan(*, approve: bool = False, **fields: object) -> FailoverPlan:
    """Check the data, scale the standby, promote, prove it well, (ask,) switch, tell."""
    stages = [
        (step("fresh", CheckWatermark("replication/models")),),
        (
            step("scale", ScaleCapacity("gcp/mig/serving", count=10), expected_duration=timedelta(seconds=60)),
            step("promote", PromoteDataStore("gcp/sql/orders"), expected_duration=timedelta(seconds=20)),
        ),
        (step("healthy", RunHealthCheck(("probe/iowa",), successes=1)),),
        *([(step("approve", Approve()),)] if approve else []),
        (step("switch", SwitchTraffic("dns/api.example.com"), expected_duration=timedelta(seconds=10)),),
        (step("tell", Notify("chat/on-call", "moved")),),
    ]
    given: dict[str, object] = {
        "project": "shop",
        "plan_id": "serving",
        "service_id": "serving",
        "sides": (
            Side("virginia", Cloud.AWS, "us-east-1", ("10.0.0.0/16",)),
            Side("iowa", Cloud.GCP, "us-central1", ("10.1.0.0/16",)),
        ),
        "activate": Workflow(tuple(stages)),
        "rto_target": timedelta(minutes=15),
        "rpo_target": timedelta(minutes=5),
        "detection": Detection(observers=OBSERVERS),
    }
    return FailoverPlan(**{**given, **fields})  # type: ignore[arg-type] # the caller's own values
