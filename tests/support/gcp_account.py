"""An account of Google Cloud behind its fakes, and what tests do with it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.clocks import StoppedClock
from tests.support.cloud_assets import CloudAssetFake
from tests.support.cloud_monitoring import CloudMonitoringFake
from tests.support.compute_engine import ComputeEngineFake
from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.kinds import Connection
from trimtab_service.domain.dimensions import Metric, Statistic
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.recommendations import FieldChange, Operation, OperationKind
from trimtab_service.domain.resources import CloudResource, ResourceKind
from trimtab_service.rightsizing.ports import Reading, Scope, SourceKind, Window
from trimtab_service.rightsizing.telemetry import RawSeries

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = Window(NOW - timedelta(hours=1), NOW)
END = int(NOW.timestamp())
CPU = "compute.googleapis.com/instance/cpu/utilization"
ZONE = "zones/us-central1-a"
ROLES = Path(__file__).parents[2] / "deploy" / "iam"


def account(monitoring: CloudMonitoringFake, compute: ComputeEngineFake, assets: CloudAssetFake) -> CloudAccount:
    """The project `p` behind the fakes."""
    return CloudAccount(
        name="gcp",
        kind=SourceKind.CLOUD_MONITORING,
        account="p",
        projects=frozenset({"*"}),
        cloud=Cloud.GCP,
        changes=True,
        endpoints=(
            ("asset", assets.server.url),
            ("compute", compute.server.url),
            ("monitoring", f"http://{monitoring.target}"),
        ),
    )


def instance(number: int = 1, **fields: object) -> CloudResource:
    """An instance of the project."""
    base = CloudResource(
        resource_id=str(7_000 + number),
        cloud=Cloud.GCP,
        region="us-central1",
        zone="us-central1-a",
        account="p",
        instance_type="n2-standard-8",
    )
    return replace(base, **fields)  # type: ignore[arg-type] # fields of CloudResource, by name


GROUP = instance(
    resource_id="web",
    kind=ResourceKind.INSTANCE_GROUP,
    zone="",
    count=3,
    autoscaling=None,
    instance_type="n2-standard-4",
)


def soon(clock: StoppedClock, seconds: float = 600) -> datetime:
    """A deadline by the source's clock."""
    return clock() + timedelta(seconds=seconds)


def read(connection: Connection, clock: StoppedClock, *resources: CloudResource) -> dict[str, Reading]:
    """Readings of the last hour by id."""
    readings = list(connection.source.read(resources, HOUR, soon(clock)))
    assert sorted(one.resource.key for one in readings) == sorted(one.key for one in resources)
    return {one.resource.resource_id: one for one in readings}


def series(reading: Reading, metric: Metric, statistic: Statistic | None = None) -> list[RawSeries]:
    """Its series of one metric."""
    assert reading.telemetry is not None, reading.failure
    return [s for s in reading.telemetry.series if s.metric is metric and statistic in {None, s.statistic}]


def populate(compute: ComputeEngineFake) -> None:
    """Two single machines in two zones, a stopped one, and two managed groups."""
    compute.put(
        "instances",
        ZONE,
        "vm-a",
        id="7001",
        status="RUNNING",
        machineType="https://x/zones/us-central1-a/machineTypes/n2-custom-4-16384",
        labels={"team": "search", "env": "prod"},
        lastStartTimestamp="2026-11-01T03:00:00.000-08:00",
        scheduling={"provisioningModel": "SPOT"},
    )
    compute.put(
        "instances",
        "zones/europe-west4-b",
        "vm-b",
        id="7002",
        status="RUNNING",
        machineType="https://x/zones/europe-west4-b/machineTypes/n1-standard-8",
        guestAccelerators=[{"acceleratorType": "https://x/acceleratorTypes/nvidia-tesla-t4", "acceleratorCount": 2}],
    )
    compute.put("instances", ZONE, "vm-c", id="7003", status="TERMINATED", machineType="x/n2-standard-2")
    compute.put(
        "instances",
        ZONE,
        "web-1",
        id="7004",
        status="RUNNING",
        machineType="x/n2-standard-4",
        metadata={
            "items": [{"key": "created-by", "value": "projects/1/regions/us-central1/instanceGroupManagers/web"}]
        },
    )
    template = compute.put(
        "instanceTemplates", "global", "web-v1", properties={"machineType": "n2-standard-4", "labels": {"team": "web"}}
    )
    group = compute.put(
        "instanceGroupManagers",
        "regions/us-central1",
        "web",
        targetSize=3,
        instanceTemplate=template["selfLink"],
        status={"isStable": True},
        updatePolicy={"type": "PROACTIVE"},
    )
    scaler = compute.put(
        "autoscalers",
        "regions/us-central1",
        "web-scaler",
        target=group["selfLink"],
        autoscalingPolicy={
            "mode": "ON",
            "minNumReplicas": 2,
            "maxNumReplicas": 9,
            "cpuUtilization": {"utilizationTarget": 0.75},
        },
    )
    group["status"]["autoscaler"] = scaler["selfLink"]
    compute.put(
        "instanceGroupManagers",
        ZONE,
        "fixed",
        targetSize=2,
        instanceTemplate=template["selfLink"],
        status={"isStable": True},
        updatePolicy={"type": "OPPORTUNISTIC"},
    )


def inventory(connection: Connection, clock: StoppedClock, scope: Scope | None = None) -> dict[str, CloudResource]:
    """The listing by id."""
    return {one.resource_id: one for one in connection.source.inventory(scope or Scope(), soon(clock))}


def change(kind: OperationKind, resource: CloudResource, **fields: tuple[str, str]) -> Operation:
    """An operation of named changes (before, after)."""
    changes = tuple(FieldChange(name, before, after) for name, (before, after) in fields.items())
    return Operation(kind, resource.resource_id, changes)


def carry_out(connection: Connection, clock: StoppedClock, resource: CloudResource, operation: Operation) -> bool:
    """Whether it changed anything."""
    assert connection.actuator is not None
    assert connection.actuator.handles(resource, operation)
    return connection.actuator.carry_out(resource, operation, "token-1", soon(clock)).is_changed
