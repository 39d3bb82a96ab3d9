"""An account of Azure behind its fakes, and what tests do with it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.azure_cloud import SUBSCRIPTION, AzureFake
from tests.support.clocks import StoppedClock
from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.kinds import Connection
from trimtab_service.domain.dimensions import Metric, Statistic
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.recommendations import FieldChange, Operation, OperationKind
from trimtab_service.domain.resources import CloudResource
from trimtab_service.rightsizing.ports import Reading, Scope, SourceKind, Window
from trimtab_service.rightsizing.telemetry import RawSeries

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = Window(NOW - timedelta(hours=1), NOW)
BEGIN = NOW - timedelta(minutes=30)
ROLES = Path(__file__).parents[2] / "deploy" / "iam"
GIB = 2**30
CPU = "Percentage CPU"
FREE = "Available Memory Bytes"


def account(azure: AzureFake) -> CloudAccount:
    """The subscription behind the fake."""
    return CloudAccount(
        name="azure",
        kind=SourceKind.AZURE_MONITOR,
        account=SUBSCRIPTION,
        projects=frozenset({"*"}),
        cloud=Cloud.AZURE,
        changes=True,
        endpoint_url=azure.server.url,
    )


def machine(resource_id: str, **fields: object) -> CloudResource:
    """A machine of the subscription."""
    base = CloudResource(
        resource_id=resource_id,
        cloud=Cloud.AZURE,
        region="eastus",
        account=SUBSCRIPTION,
        instance_type="Standard_D8s_v5",
    )
    return replace(base, **fields)  # type: ignore[arg-type] # fields of CloudResource, by name


def soon(clock: StoppedClock, seconds: float = 600) -> datetime:
    """A deadline by the source's clock."""
    return clock() + timedelta(seconds=seconds)


def read(
    connection: Connection, clock: StoppedClock, *resources: CloudResource, window: Window = HOUR
) -> dict[str, Reading]:
    """Readings by name of the resource."""
    readings = list(connection.source.read(resources, window, soon(clock)))
    assert sorted(one.resource.key for one in readings) == sorted(one.key for one in resources)
    return {one.resource.resource_id.rpartition("/")[2]: one for one in readings}


def series(reading: Reading, metric: Metric, statistic: Statistic | None = None) -> list[RawSeries]:
    """Its series of one metric."""
    assert reading.telemetry is not None, reading.failure
    return [s for s in reading.telemetry.series if s.metric is metric and statistic in {None, s.statistic}]


def populate(azure: AzureFake) -> None:
    """Running, stopped and grouped machines, and two scale sets of which one scales by itself."""
    azure.machine("api", "Standard_D8s_v5", tags={"team": "search"}, zones=["2"])
    azure.machine("spot", "Standard_D4s_v5", location="westeurope", properties={"priority": "Spot"})
    azure.machine("off", "Standard_D4s_v5", "deallocated")
    web = azure.put(
        "virtualMachineScaleSets",
        "web",
        sku={"name": "Standard_D4s_v5", "tier": "Standard", "capacity": 3},
        properties={"upgradePolicy": {"mode": "Manual"}},
    )
    azure.put(
        "virtualMachineScaleSets",
        "jobs",
        group="other",
        sku={"name": "Standard_D2s_v5", "tier": "Standard", "capacity": 2},
    )
    azure.machine("member", "Standard_D4s_v5", properties={"virtualMachineScaleSet": {"id": web}})
    azure.autoscale.append(
        {
            "id": "a",
            "location": "eastus",
            "properties": {
                "enabled": True,
                # Azure writes the ids of targets in other cases than the resources' own.
                "targetResourceUri": web.upper(),
                "profiles": [
                    {
                        "name": "default",
                        "capacity": {"minimum": "2", "maximum": "8", "default": "2"},
                        "rules": [
                            {
                                "metricTrigger": {
                                    "metricName": CPU,
                                    "metricResourceUri": web,
                                    "timeGrain": "PT1M",
                                    "statistic": "Average",
                                    "timeWindow": "PT5M",
                                    "timeAggregation": "Average",
                                    "operator": "GreaterThan",
                                    "threshold": 65,
                                },
                                "scaleAction": {"direction": "Increase", "type": "ChangeCount", "cooldown": "PT5M"},
                            }
                        ],
                    }
                ],
            },
        }
    )


def inventory(connection: Connection, clock: StoppedClock, scope: Scope | None = None) -> dict[str, CloudResource]:
    """The listing by name."""
    found = connection.source.inventory(scope or Scope(), soon(clock))
    return {one.resource_id.rpartition("/")[2]: one for one in found}


def change(kind: OperationKind, resource: CloudResource, **fields: str) -> Operation:
    """An operation whose fields shall have these values; `_` stands for a dot."""
    changes = tuple(FieldChange(name.replace("_", "."), "", value) for name, value in fields.items())
    return Operation(kind, resource.resource_id, changes)


def carry_out(connection: Connection, clock: StoppedClock, resource: CloudResource, operation: Operation) -> bool:
    """Whether it changed anything."""
    assert connection.actuator is not None
    assert connection.actuator.handles(resource, operation)
    return connection.actuator.carry_out(resource, operation, "token", soon(clock)).is_changed
