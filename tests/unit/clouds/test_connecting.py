"""Accounts that cannot be connected to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.sources import open_clouds
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.recommendations import FieldChange, Operation, OperationKind
from trimtab_service.domain.resources import CloudResource, ResourceKind
from trimtab_service.rightsizing.ports import Scope, SourceKind, Window

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = Window(NOW - timedelta(days=1), NOW)


def account(kind: SourceKind, **fields: object) -> CloudAccount:
    """An account of a kind that every project may use."""
    base = CloudAccount(name="one", kind=kind, account="p", projects=frozenset({"*"}))
    return replace(base, **fields)  # type: ignore[arg-type] # fields of CloudAccount, by name


def resources(cloud: Cloud) -> list[CloudResource]:
    """Two instances, one of them given twice."""
    ids = ("a", "b", "a")
    return [CloudResource(resource_id=one, cloud=cloud, region="r", account="p", instance_type="t") for one in ids]


@pytest.mark.parametrize(
    ("kind", "cloud"), [(SourceKind.CLOUD_MONITORING, Cloud.GCP), (SourceKind.AZURE_MONITOR, Cloud.AZURE)]
)
def test_a_credential_that_is_no_good_fails_each_reading(kind: SourceKind, cloud: Cloud, tmp_path: Path) -> None:
    """Neither raises for a read nor reads as no data; a listing raises. The file is not quoted."""
    secret = tmp_path / "credential"
    secret.write_text('{"type": "secret-type"}')
    (source,) = open_clouds([account(kind, cloud=cloud, credentials_file=secret)], Patience()).sources.sources
    deadline = datetime.now(UTC) + timedelta(seconds=5)
    readings = list(source.read(resources(cloud), DAY, deadline))
    assert [one.resource.resource_id for one in readings] == ["a", "b"]
    assert all(one.telemetry is None and "credential" in one.failure for one in readings)
    assert not any("secret" in one.failure for one in readings)
    with pytest.raises(UnavailableError):
        list(source.inventory(Scope(), deadline))


def test_a_cluster_that_cannot_be_changed_from_here_can_be_read() -> None:
    """Only the change fails outside of the cluster, and says what to configure."""
    clouds = open_clouds([account(SourceKind.PROMETHEUS, endpoint_url="http://127.0.0.1:1", changes=True)], Patience())
    container = CloudResource(
        resource_id="shop/web/app", cloud=Cloud.AWS, region="r", account="p", kind=ResourceKind.CONTAINER
    )
    change = FieldChange("resources.requests.cpu", "1", "500m")
    operation = Operation(OperationKind.PATCH_CONTAINER_RESOURCES, container.resource_id, (change,))
    actuator = clouds.actuators.find("any", container, operation)
    assert actuator is not None
    assert clouds.sources.of_project("any")[0].estimate([container], DAY).api_calls > 0
    with pytest.raises(UnavailableError, match=r"endpoints\.kubernetes"):
        actuator.observe(container, operation, datetime.now(UTC) + timedelta(seconds=5))
