"""Container resources through the real Kubernetes client, against a server of its API."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from tests.support.clocks import StoppedClock
from tests.support.http_fake import Answer
from tests.support.kubernetes_api import KubernetesFake
from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.kubernetes import KubernetesActuator
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.prometheus.connection import connect
from trimtab_service.domain.errors import FailedPreconditionError, UnavailableError
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.recommendations import FieldChange, Operation, OperationKind
from trimtab_service.domain.resources import CloudResource, ResourceKind
from trimtab_service.rightsizing.ports import SourceKind

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
WEB = CloudResource(
    resource_id="shop/web/app",
    cloud=Cloud.AWS,
    region="us-east-1",
    kind=ResourceKind.CONTAINER,
    account="prod",
    count=3,
)
HALF = (("resources.requests.cpu", "1", "500m"), ("resources.requests.memory", "2048Mi", "1024Mi"))
PRESENT = {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "1500m", "memory": "2Gi"}}


@pytest.fixture
def cluster() -> Iterator[KubernetesFake]:
    """A cluster with one Deployment."""
    fake = KubernetesFake()
    fake.put("Deployment", "shop", "web", app=dict(PRESENT), sidecar={"requests": {"cpu": "100m"}})
    with fake.server:
        yield fake


@pytest.fixture
def clock() -> StoppedClock:
    """Noon."""
    return StoppedClock(NOW)


@pytest.fixture
def actuator(cluster: KubernetesFake, clock: StoppedClock) -> KubernetesActuator:
    """Connected as an account with changes connects."""
    account = CloudAccount(
        name="cluster",
        kind=SourceKind.PROMETHEUS,
        account="prod",
        projects=frozenset({"*"}),
        changes=True,
        endpoint_url="http://127.0.0.1:1",
        endpoints=(("kubernetes", cluster.server.url),),
    )
    made = connect(account, Patience(clock, clock.sleep, spread=lambda: 1.0)).actuator
    assert isinstance(made, KubernetesActuator)
    return made


def patch(*changes: tuple[str, str, str]) -> Operation:
    """A patch of (field, before, after)."""
    fields = tuple(FieldChange(*change) for change in changes)
    return Operation(OperationKind.PATCH_CONTAINER_RESOURCES, WEB.resource_id, fields)


def soon(clock: StoppedClock, seconds: float = 600) -> datetime:
    """A deadline by the stopped clock."""
    return clock() + timedelta(seconds=seconds)


def test_requests_are_applied_after_a_dry_run_and_limits_keep_their_proportion(
    cluster: KubernetesFake, actuator: KubernetesActuator, clock: StoppedClock
) -> None:
    """Half the CPU request is half the CPU limit; a memory limit that equals its request goes on doing so."""
    effect = actuator.carry_out(WEB, patch(*HALF), "token", soon(clock))
    assert effect.is_changed
    assert cluster.applies() == [True, False]
    assert cluster.resources("Deployment", "shop", "web", "app") == {
        "requests": {"cpu": "500m", "memory": "1024Mi"},
        "limits": {"cpu": "750m", "memory": "1024Mi"},
    }
    assert cluster.resources("Deployment", "shop", "web", "sidecar") == {"requests": {"cpu": "100m"}}


def test_a_repetition_applies_nothing(
    cluster: KubernetesFake, actuator: KubernetesActuator, clock: StoppedClock
) -> None:
    """Quantities are compared as amounts: 0.5 is 500m."""
    actuator.carry_out(WEB, patch(*HALF), "token", soon(clock))
    again = patch(("resources.requests.cpu", "1000m", "0.5"))
    assert actuator.carry_out(WEB, again, "token", soon(clock)).is_changed is False
    assert len(cluster.applies()) == 2


def test_a_later_patch_of_one_field_leaves_the_others(
    cluster: KubernetesFake, actuator: KubernetesActuator, clock: StoppedClock
) -> None:
    """Server-side apply removes what its manager leaves out, so nothing is left out."""
    actuator.carry_out(WEB, patch(*HALF), "one", soon(clock))
    actuator.carry_out(WEB, patch(("resources.requests.cpu", "500m", "250m")), "two", soon(clock))
    assert cluster.resources("Deployment", "shop", "web", "app")["requests"] == {"cpu": "250m", "memory": "1024Mi"}


def test_the_preview_is_the_servers_and_changes_nothing(
    cluster: KubernetesFake, actuator: KubernetesActuator, clock: StoppedClock
) -> None:
    """The diff of a dry run, limits included."""
    diff = actuator.preview(WEB, patch(HALF[0]), soon(clock))
    assert {(one.field, one.before, one.after) for one in diff} == {
        ("resources.requests.cpu", "1", "500m"),
        ("resources.limits.cpu", "1500m", "750m"),
    }
    assert cluster.applies() == [True]
    assert cluster.resources("Deployment", "shop", "web", "app") == PRESENT


def test_what_admission_refuses_is_refused_before_anything_changes(
    cluster: KubernetesFake, actuator: KubernetesActuator, clock: StoppedClock
) -> None:
    """A quota answers the dry run; its text is not quoted."""
    cluster.cpu_quota_m = 100
    with pytest.raises(FailedPreconditionError, match="403") as caught:
        actuator.carry_out(WEB, patch(*HALF), "token", soon(clock))
    assert "secret" not in caught.value.message
    assert cluster.applies() == [True]


def test_it_returns_when_the_roll_out_is_complete(
    cluster: KubernetesFake, actuator: KubernetesActuator, clock: StoppedClock
) -> None:
    """Polled until the newest template serves; a deadline before that is a failure."""
    cluster.rolls_out_after = 3
    actuator.carry_out(WEB, patch(*HALF), "token", soon(clock))
    assert clock.slept == [5.0, 5.0, 5.0]
    cluster.rolls_out_after = 3
    with pytest.raises(UnavailableError, match="roll-out"):
        actuator.carry_out(WEB, patch(("resources.requests.cpu", "", "2")), "token", soon(clock, 8))


def test_quantities_are_observed_in_the_operations_spelling(
    cluster: KubernetesFake, actuator: KubernetesActuator, clock: StoppedClock
) -> None:
    """2Gi is the 2048Mi that the recommendation was made from; another amount is told as it stands."""
    observed = actuator.observe(WEB, patch(*HALF), soon(clock))
    assert observed.fields == (("resources.requests.cpu", "1"), ("resources.requests.memory", "2048Mi"))
    assert (observed.exists, observed.is_protected, observed.state) == (True, False, "Ready")
    cluster.resources("Deployment", "shop", "web", "app")["requests"]["cpu"] = "3"
    assert actuator.observe(WEB, patch(HALF[0]), soon(clock)).fields == (("resources.requests.cpu", "3"),)


def test_protection_and_absence_are_observed(
    cluster: KubernetesFake, actuator: KubernetesActuator, clock: StoppedClock
) -> None:
    """An annotation protects; a workload or container that is gone does not exist."""
    workload = cluster.workloads["Deployment", "shop", "web"]
    workload["metadata"]["annotations"] = {"trimtab.dev/protected": "true"}
    assert actuator.observe(WEB, patch(*HALF), soon(clock)).is_protected
    assert not actuator.observe(replace(WEB, resource_id="shop/web/none"), patch(*HALF), soon(clock)).exists
    cluster.workloads.clear()
    assert not actuator.observe(WEB, patch(*HALF), soon(clock)).exists
    with pytest.raises(FailedPreconditionError, match="exist"):
        actuator.carry_out(WEB, patch(*HALF), "token", soon(clock))


def test_an_expired_credential_fails_and_a_busy_server_is_asked_again(
    cluster: KubernetesFake, actuator: KubernetesActuator, clock: StoppedClock
) -> None:
    """401 is a source that failed; 429 with Retry-After passes."""
    cluster.server.faults.append(Answer({"message": "secret"}, 401))
    with pytest.raises(UnavailableError, match="expired"):
        actuator.observe(WEB, patch(*HALF), soon(clock))
    cluster.server.faults.append(Answer({}, 429, {"Retry-After": "4"}))
    assert actuator.observe(WEB, patch(*HALF), soon(clock)).exists
    assert clock.slept == [4.0]


def test_it_handles_containers_of_its_cluster_only(actuator: KubernetesActuator) -> None:
    """Neither another cluster's, nor CronJobs, nor instances."""
    assert actuator.handles(WEB, patch(*HALF))
    assert not actuator.handles(replace(WEB, account="other"), patch(*HALF))
    assert not actuator.handles(replace(WEB, tags=(("kubernetes:kind", "CronJob"),)), patch(*HALF))
    assert not actuator.handles(replace(WEB, kind=ResourceKind.INSTANCE), patch(*HALF))


def test_the_role_allows_what_is_called_and_nothing_else(
    cluster: KubernetesFake, actuator: KubernetesActuator, clock: StoppedClock
) -> None:
    """Of the three kinds of workloads."""
    for kind in ("Deployment", "StatefulSet", "DaemonSet"):
        cluster.put(kind, "shop", "all", app=dict(PRESENT))
        resource = replace(WEB, resource_id="shop/all/app", tags=(("kubernetes:kind", kind),))
        assert actuator.carry_out(resource, patch(*HALF), "token", soon(clock)).is_changed
    role = yaml.safe_load((Path(__file__).parents[2] / "deploy" / "iam" / "kubernetes-changes.yaml").read_text())
    allowed = {(verb, name) for rule in role["rules"] for verb in rule["verbs"] for name in rule["resources"]}
    assert allowed == cluster.rules
