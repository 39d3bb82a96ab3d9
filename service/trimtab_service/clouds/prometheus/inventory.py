"""Nodes and containers of a cluster, as kube-state-metrics shows them."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.patience import source_failed
from trimtab_service.clouds.prometheus.client import PrometheusClient
from trimtab_service.clouds.prometheus.workloads import KIND_TAG, POD_SUFFIXES, ContainerRef
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.resources import NODE_TYPE_TAG, Autoscaling, Capacity, CloudResource, ResourceKind

_GIB: Final = 2**30
_PROVIDERS: Final = {"aws": Cloud.AWS, "gce": Cloud.GCP, "azure": Cloud.AZURE}
_TYPE: Final = "label_node_kubernetes_io_instance_type"
_REGION: Final = "label_topology_kubernetes_io_region"
_ZONE: Final = "label_topology_kubernetes_io_zone"
_GPU: Final = "nvidia_com_gpu"

_RUNNING: Final = 'kube_pod_status_phase{phase="Running"} == 1'
_REQUESTS: Final = f'kube_pod_container_resource_requests{{resource=~"cpu|memory|{_GPU}"}}'
_CPU_TARGET: Final = (
    'kube_horizontalpodautoscaler_spec_target_metric{metric_name="cpu",metric_target_type="utilization"}'
)


@dataclass(frozen=True, slots=True)
class Inventory:
    """Reads what runs now in one cluster."""

    client: PrometheusClient
    account: CloudAccount

    def resources(self, deadline: datetime) -> Iterator[CloudResource]:
        """Nodes, then containers of workloads, each in the order of ids.

        Raises UnavailableError (SOURCE_FAILED) when a query fails or came with warnings, and when neither the nodes nor
        the configuration tell on which cloud the cluster stands.
        """
        nodes = self._nodes(deadline)
        cloud, region = self._place(nodes)
        yield from (one for one in nodes if not self.account.regions or one.region in self.account.regions)
        types = {one.resource_id: one.instance_type for one in nodes}
        yield from self._containers(cloud, region, types, deadline)

    def _ask(self, query: str, deadline: datetime) -> list[tuple[dict[str, str], float]]:
        answer = self.client.instant(query, deadline)
        if answer.is_incomplete:
            raise source_failed("Prometheus could list only a part of the cluster")
        return [(dict(labels), points[-1][1]) for labels, points in sorted(answer.series.items()) if points]

    def _nodes(self, deadline: datetime) -> list[CloudResource]:
        labels = {one.get("node", ""): one for one, _ in self._ask("kube_node_labels", deadline)}
        found = []
        for info, _ in self._ask("kube_node_info", deadline):
            name, provider = info.get("node", ""), info.get("provider_id", "")
            own = labels.get(name, {})
            cloud = self.account.cloud or _PROVIDERS.get(provider.partition(":")[0])
            region = own.get(_REGION, "") or (self.account.regions[0] if len(self.account.regions) == 1 else "")
            if cloud is None or not name or not region:
                continue
            found.append(
                CloudResource(
                    resource_id=name,
                    cloud=cloud,
                    region=region,
                    kind=ResourceKind.INSTANCE,
                    zone=own.get(_ZONE, ""),
                    account=self.account.account,
                    instance_type=own.get(_TYPE, ""),
                    tags=(("kubernetes:provider-id", provider),) if provider else (),
                )
            )
        return sorted(found, key=lambda one: one.resource_id)

    def _place(self, nodes: list[CloudResource]) -> tuple[Cloud, str]:
        """Where most of the nodes are; of the configuration where it says so."""
        most = Counter((one.cloud, one.region) for one in nodes).most_common(1)
        cloud = self.account.cloud or (most[0][0][0] if most else None)
        region = self.account.regions[0] if len(self.account.regions) == 1 else (most[0][0][1] if most else "")
        if cloud is None or not region:
            raise source_failed("nothing tells the cloud and region of the cluster: configure `cloud` and `regions`")
        return cloud, region

    def _containers(
        self, cloud: Cloud, region: str, types: Mapping[str, str], deadline: datetime
    ) -> Iterator[CloudResource]:
        owners = self._owners(deadline)
        running = {(one.get("namespace", ""), one.get("pod", "")) for one, _ in self._ask(_RUNNING, deadline)}
        pods: dict[ContainerRef, set[str]] = defaultdict(set)
        for one, _ in self._ask("kube_pod_container_info", deadline):
            key = one.get("namespace", ""), one.get("pod", "")
            if key in running and key in owners:
                kind, workload = owners[key]
                pods[ContainerRef(key[0], kind, workload, one.get("container", ""))].add(key[1])
        requests: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
        for one, value in self._ask(_REQUESTS, deadline):
            requests[one.get("namespace", ""), one.get("pod", ""), one.get("container", "")][one["resource"]] = value
        scaled = self._autoscaling(deadline)
        standing = {
            (one.get("namespace", ""), one.get("pod", "")): types.get(one.get("node", ""), "")
            for one, _ in self._ask("kube_pod_info", deadline)
        }
        taken: set[str] = set()
        found = []
        for ref, names in sorted(pods.items(), key=lambda entry: _order(entry[0])):
            name = f"{ref.namespace}/{ref.workload}/{ref.container}"
            if name in taken:
                # A Deployment and a StatefulSet may share a name.
                name = f"{ref.namespace}/{ref.kind.lower()}:{ref.workload}/{ref.container}"
            taken.add(name)
            on = Counter(sorted(filter(None, (standing.get((ref.namespace, pod), "") for pod in names))))
            own = [requests[ref.namespace, pod, ref.container] for pod in names]
            found.append(
                CloudResource(
                    resource_id=name,
                    cloud=cloud,
                    region=region,
                    kind=ResourceKind.CONTAINER,
                    account=self.account.account,
                    count=len(names),
                    capacity=_capacity(own),
                    tags=(
                        ("kubernetes:container", ref.container),
                        (KIND_TAG, ref.kind),
                        *((NODE_TYPE_TAG, kind) for kind, _ in on.most_common(1)),
                        ("namespace", ref.namespace),
                    ),
                    autoscaling=scaled.get((ref.namespace, ref.kind, ref.workload)),
                    workload_id=ref.workload,
                )
            )
        yield from sorted(found, key=lambda one: one.resource_id)

    def _owners(self, deadline: datetime) -> dict[tuple[str, str], tuple[str, str]]:
        """Kind and name of the workload of each pod, through ReplicaSets and Jobs to what made them."""
        above: dict[tuple[str, str, str], tuple[str, str]] = {}
        for metric, label, kind in (
            ("kube_replicaset_owner", "replicaset", "ReplicaSet"),
            ("kube_job_owner", "job_name", "Job"),
        ):
            for one, _ in self._ask(metric, deadline):
                owner = one.get("owner_kind", ""), one.get("owner_name", "")
                if owner[0] in POD_SUFFIXES:
                    above[one.get("namespace", ""), kind, one.get(label, "")] = owner
        found = {}
        for one, _ in self._ask("kube_pod_owner", deadline):
            namespace = one.get("namespace", "")
            kind, name = one.get("owner_kind", ""), one.get("owner_name", "")
            kind, name = above.get((namespace, kind, name), (kind, name))
            if kind in POD_SUFFIXES:
                found[namespace, one.get("pod", "")] = (kind, name)
        return found

    def _autoscaling(self, deadline: datetime) -> dict[tuple[str, str, str], Autoscaling]:
        """By namespace, kind and name of what is scaled. Without a CPU target it is read as CPU at 80 %."""

        def by_name(query: str) -> dict[tuple[str, str], float]:
            return {_hpa(one): value for one, value in self._ask(query, deadline)}

        least = by_name("kube_horizontalpodautoscaler_spec_min_replicas")
        most = by_name("kube_horizontalpodautoscaler_spec_max_replicas")
        targets = by_name(_CPU_TARGET)
        found = {}
        for one, _ in self._ask("kube_horizontalpodautoscaler_info", deadline):
            key = _hpa(one)
            target = targets.get(key, 80.0) / 100
            found[key[0], one.get("scaletargetref_kind", ""), one.get("scaletargetref_name", "")] = Autoscaling(
                int(least.get(key, 1)), int(most.get(key, 1)), Dimension.CPU, min(1.0, max(0.01, target))
            )
        return found


def _hpa(labels: dict[str, str]) -> tuple[str, str]:
    return labels.get("namespace", ""), labels.get("horizontalpodautoscaler", "")


def _order(ref: ContainerRef) -> tuple[str, ...]:
    return ref.namespace, ref.workload, ref.container, ref.kind


def _capacity(requests: list[dict[str, float]]) -> Capacity:
    """What each pod requests: the largest where they differ in the middle of a roll-out. None: no request."""

    def largest(resource: str) -> float | None:
        return max((one[resource] for one in requests if resource in one), default=None)

    memory = largest("memory")
    return Capacity(
        vcpus=largest("cpu"), memory_gib=None if memory is None else memory / _GIB, gpus=largest(_GPU) or 0.0
    )
