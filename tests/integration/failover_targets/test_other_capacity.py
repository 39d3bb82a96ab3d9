"""Managed groups of Compute Engine and workloads of Kubernetes as capacity."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml
from google.auth.credentials import AnonymousCredentials

from tests.support.compute_engine import ComputeEngineFake
from tests.support.kubernetes_api import KubernetesFake
from tests.support.switching import soon
from trimtab_service.clouds.gcp.compute import Compute
from trimtab_service.clouds.gcp.group_capacity import ManagedGroupCapacity
from trimtab_service.clouds.kubernetes_calls import api_client
from trimtab_service.clouds.kubernetes_capacity import ReplicaCapacity
from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.errors import FailedPreconditionError, UnavailableError

_IAM: Final = Path(__file__).parents[3] / "deploy" / "iam"
_PATIENCE: Final = Patience(sleep=lambda _: None)
_ZONE: Final = "europe-west1-b"


@pytest.fixture
def compute() -> Iterator[ComputeEngineFake]:
    """An empty project."""
    fake = ComputeEngineFake()
    with fake.server:
        yield fake


def _group(compute: ComputeEngineFake, *, zone: str = _ZONE) -> ManagedGroupCapacity:
    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call] # google-auth has no types there
    return ManagedGroupCapacity("web", "europe-west1", zone, Compute("p", credentials, compute.server.url, _PATIENCE))


def test_a_managed_group_is_resized_once(compute: ComputeEngineFake) -> None:
    """What it lacks of the size is not ready; again is as once."""
    actions = {"none": 2, "creating": 0}
    compute.put("instanceGroupManagers", f"zones/{_ZONE}", "web", targetSize=2, currentActions=actions, status={})
    target = _group(compute)
    state = target.scale(10, 1, "k", soon())
    assert (state.desired, state.ready, state.quota) == (10, 2, None)
    assert target.scale(10, 1, "k", soon()) == state
    assert compute.changes() == ["POST resize"]
    with pytest.raises(FailedPreconditionError, match="does not exist"):
        _group(compute, zone="").observe(soon())


def test_a_group_with_an_autoscaler_is_held_at_least(compute: ComputeEngineFake) -> None:
    """Its least follows, its most is the quota, in a region as in a zone."""
    link = "https://compute/projects/p/regions/europe-west1/autoscalers/web-as"
    place, actions = "regions/europe-west1", {"none": 2}
    compute.put(
        "instanceGroupManagers", place, "web", targetSize=2, currentActions=actions, status={"autoscaler": link}
    )
    policy = {"minNumReplicas": 2, "maxNumReplicas": 12}
    compute.put("autoscalers", place, "web-as", autoscalingPolicy=policy)
    target = _group(compute, zone="")
    assert target.scale(10, 1, "k", soon()).quota == 12
    assert compute.resources["autoscalers", place, "web-as"]["autoscalingPolicy"]["minNumReplicas"] == 10
    with pytest.raises(FailedPreconditionError, match="more than the 12"):
        target.scale(13, 1, "l", soon())


def test_a_quota_of_compute_engine_is_said(compute: ComputeEngineFake) -> None:
    """The operation ends in an error: the size is not what was asked for."""
    compute.put("instanceGroupManagers", f"zones/{_ZONE}", "web", targetSize=2, currentActions={}, status={})
    compute.refuse = "QUOTA_EXCEEDED"
    with pytest.raises(FailedPreconditionError, match="QUOTA_EXCEEDED"):
        _group(compute).scale(10, 1, "k", soon())


def test_the_role_of_failover_is_what_groups_call(compute: ComputeEngineFake) -> None:
    """Of Compute Engine's permissions nothing is missing and nothing in vain."""
    test_a_managed_group_is_resized_once(compute)
    test_a_group_with_an_autoscaler_is_held_at_least(compute)
    role = yaml.safe_load((_IAM / "gcp-failover.yaml").read_text(encoding="utf-8"))
    allowed = {one for one in role["includedPermissions"] if one.startswith("compute.")}
    assert allowed == compute.permissions


@pytest.fixture
def cluster() -> Iterator[KubernetesFake]:
    """A cluster with a Deployment and a StatefulSet."""
    fake = KubernetesFake()
    for kind in ("Deployment", "StatefulSet"):
        found = fake.put(kind, "ml", "ranker", main={})
        found["spec"]["replicas"] = 3
    with fake.server:
        yield fake


def _replicas(cluster: KubernetesFake, kind: str, name: str = "ranker") -> ReplicaCapacity:
    return ReplicaCapacity(kind, "ml", name, lambda: api_client(cluster.server.url), _PATIENCE, known_peak=9)


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_replicas_are_set_once(kind: str, cluster: KubernetesFake) -> None:
    """Through the subresource that changes nothing else; again is as once."""
    target = _replicas(cluster, kind)
    state = target.scale(8, 1, "k", soon())
    assert (state.desired, state.ready, state.peak) == (8, 3, 9)
    assert target.scale(8, 1, "k", soon()) == state
    assert [one.method for one in cluster.server.seen].count("PATCH") == 1
    with pytest.raises(FailedPreconditionError, match="does not exist"):
        _replicas(cluster, kind, "nobody").observe(soon())


def test_the_role_of_failover_is_what_workloads_call(cluster: KubernetesFake) -> None:
    """Verbs and resources, subresources included."""
    for kind in ("Deployment", "StatefulSet"):
        _replicas(cluster, kind).scale(8, 1, "k", soon())
    role = yaml.safe_load((_IAM / "kubernetes-failover.yaml").read_text(encoding="utf-8"))
    allowed = {(verb, name) for rule in role["rules"] for verb in rule["verbs"] for name in rule["resources"]}
    assert allowed == cluster.rules


def test_an_api_server_that_is_not_there_is_a_source_that_failed() -> None:
    """And not a workload without replicas."""
    target = ReplicaCapacity("Deployment", "ml", "ranker", lambda: api_client("http://127.0.0.1:9"), _PATIENCE)
    with pytest.raises(UnavailableError):
        target.observe(soon(0.3))
