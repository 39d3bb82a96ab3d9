"""What runs in a project: machines and groups of Compute Engine, TPU VMs, and models on Vertex AI."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.gcp import tpu_nodes, vertex_endpoints
from trimtab_service.clouds.gcp.assets import Assets
from trimtab_service.clouds.gcp.compute import Compute, last_part
from trimtab_service.clouds.gcp.machine_types import Attached, custom_capacity, type_name
from trimtab_service.clouds.gcp.names import NAME_TAG, instant_of, region_of
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.offers import Cloud, PurchaseOption
from trimtab_service.domain.resources import Autoscaling, CloudResource, ResourceKind

if TYPE_CHECKING:
    from google.cloud import compute_v1

GKE_LABEL: Final = "goog-gke-node"
"""Label that GKE puts on its nodes."""

_MANAGER: Final = "created-by"
"""Metadata key that names the managed group of an instance."""

_RUNNING: Final = "RUNNING"


@dataclass(frozen=True, slots=True)
class Inventory:
    """Reads all running resources of one project."""

    compute: Compute
    assets: Assets
    account: CloudAccount

    def resources(self, deadline: datetime) -> Iterator[CloudResource]:
        """Groups first, then the instances that are of none: what a group holds is advised on as the group.

        TPU VMs and deployed models come last. Each kind is ordered by id. Raises UnavailableError (SOURCE_FAILED) when
        any list cannot be completed.
        """
        scalers = {_path(one.target): one for one in self.compute.list_all("autoscalers", deadline)}
        templates = {one.name: one for one in self.compute.list_all("instance_templates", deadline)}
        groups: list[CloudResource] = []
        taken: set[tuple[str, str]] = set()
        managers = sorted(self.compute.list_all("instance_group_managers", deadline), key=lambda one: one.self_link)
        for manager in managers:
            resource = self._group(manager, templates.get(last_part(template_url(manager))), scalers)
            if (resource.region, resource.resource_id) in taken:
                # Names of zonal groups may repeat in the zones of one region.
                resource = replace(resource, resource_id=f"{resource.zone}/{resource.resource_id}")
            taken.add((resource.region, resource.resource_id))
            groups.append(resource)
        yield from sorted((one for one in groups if self._is_read(one) and one.count), key=_by_id)
        machines = (one for one in self.compute.list_all("instances", deadline) if one.status == _RUNNING)
        single = (self._instance(one) for one in machines if not _is_managed(one))
        yield from sorted((one for one in single if self._is_read(one)), key=_by_id)
        nodes = (tpu_nodes.tpu_node(one, self.account) for one in self.assets.all_of(tpu_nodes.ASSET_TYPE, deadline))
        yield from sorted((one for one in nodes if one is not None and self._is_read(one)), key=_by_id)
        endpoints = self.assets.all_of(vertex_endpoints.ASSET_TYPE, deadline)
        models = (model for one in endpoints for model in vertex_endpoints.deployed_models(one, self.account))
        yield from sorted((one for one in models if self._is_read(one)), key=_by_id)

    def _is_read(self, resource: CloudResource) -> bool:
        return not self.account.regions or resource.region in self.account.regions

    def _instance(self, one: "compute_v1.Instance") -> CloudResource:
        zone, labels = last_part(one.zone), dict(one.labels)
        machine_type = last_part(one.machine_type)
        return CloudResource(
            resource_id=str(one.id),
            cloud=Cloud.GCP,
            region=region_of(zone),
            kind=ResourceKind.INSTANCE,
            zone=zone,
            account=self.account.account,
            instance_type=type_name(machine_type, attached_of(one.guest_accelerators)),
            capacity=custom_capacity(machine_type),
            option=_option(one.scheduling),
            tags=tuple(sorted({**labels, NAME_TAG: one.name}.items())),
            workload_id=labels.get(self.account.workload_tag, ""),
            team=labels.get(self.account.team_tag, ""),
            start_time=instant_of(one.last_start_timestamp),
        )

    def _group(
        self,
        one: "compute_v1.InstanceGroupManager",
        template: "compute_v1.InstanceTemplate | None",
        scalers: "dict[str, compute_v1.Autoscaler]",
    ) -> CloudResource:
        zone = last_part(one.zone)
        properties = template.properties if template is not None else None
        machine_type = properties.machine_type if properties is not None else ""
        labels = dict(properties.labels) if properties is not None else {}
        return CloudResource(
            resource_id=one.name,
            cloud=Cloud.GCP,
            region=region_of(zone) if zone else last_part(one.region),
            kind=ResourceKind.INSTANCE_GROUP,
            zone=zone,
            account=self.account.account,
            instance_type=type_name(machine_type, attached_of(properties.guest_accelerators) if properties else None),
            count=one.target_size,
            capacity=custom_capacity(machine_type),
            option=_option(properties.scheduling) if properties is not None else PurchaseOption.ON_DEMAND,
            tags=tuple(sorted(labels.items())),
            autoscaling=_autoscaling(scalers.get(_path(one.self_link))),
            workload_id=labels.get(self.account.workload_tag, ""),
            team=labels.get(self.account.team_tag, ""),
            start_time=instant_of(one.creation_timestamp),
        )


def group_name(resource: CloudResource) -> str:
    """The name of a managed group: its id less the zone that may stand before it."""
    return resource.resource_id.rpartition("/")[2]


def template_url(manager: "compute_v1.InstanceGroupManager") -> str:
    """The template of a group; of one that is in a canary update, that of its first version."""
    return manager.instance_template or next((one.instance_template for one in manager.versions), "")


def _path(url: str) -> str:
    """Place and name of a managed group, without host and API version: `zones/z/instanceGroupManagers/g`."""
    return "/".join(url.split("/")[-4:])


def _autoscaling(scaler: "compute_v1.Autoscaler | None") -> Autoscaling | None:
    """Of a group that scales by itself. Without a CPU target it is read as CPU at 60 %, Compute Engine's default."""
    if scaler is None or scaler.autoscaling_policy.mode == "OFF":
        return None
    policy = scaler.autoscaling_policy
    target = policy.cpu_utilization.utilization_target or 0.6
    return Autoscaling(policy.min_num_replicas, policy.max_num_replicas, Dimension.CPU, min(1.0, target))


def attached_of(accelerators: "Iterable[compute_v1.AcceleratorConfig]") -> Attached | None:
    """Guest accelerators; Compute Engine allows one kind a machine."""
    for one in accelerators:
        return Attached(last_part(one.accelerator_type), one.accelerator_count)
    return None


def _option(scheduling: "compute_v1.Scheduling") -> PurchaseOption:
    is_spot = scheduling.provisioning_model == "SPOT" or scheduling.preemptible
    return PurchaseOption.SPOT if is_spot else PurchaseOption.ON_DEMAND


def _is_managed(one: "compute_v1.Instance") -> bool:
    """Of a managed group, but not a GKE node: those are sized node by node, since their group is GKE's to change."""
    return any(item.key == _MANAGER for item in one.metadata.items) and GKE_LABEL not in one.labels


def _by_id(resource: CloudResource) -> str:
    return resource.resource_id
