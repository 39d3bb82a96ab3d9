"""TPU VMs of the Cloud TPU API; those of GKE are nodes of its clusters, which Compute Engine lists."""

from collections.abc import Mapping
from typing import Any, Final

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.gcp.names import NAME_TAG, instant_of, region_of
from trimtab_service.domain.offers import Cloud, PurchaseOption
from trimtab_service.domain.resources import CloudResource, ResourceKind

ASSET_TYPE: Final = "tpu.googleapis.com/Node"

_PAID_FOR: Final = "READY"
"""The one state that Google charges for (cloud.google.com/tpu/pricing)."""


def tpu_node(node: Mapping[str, Any], account: CloudAccount) -> CloudResource | None:
    """A node (`google.cloud.tpu.v2.Node` as JSON), however many workers it has; None where nothing is paid for it.

    Its id is `zone/name`, its type the accelerator's (`v5litepod-8`), of which the catalogue holds no size.
    """
    if node.get("state") != _PAID_FOR:
        return None
    _, _, _, zone, _, name = node["name"].split("/")
    labels, scheduling = dict(node.get("labels", {})), node.get("schedulingConfig", {})
    is_spot = bool(scheduling.get("spot") or scheduling.get("preemptible"))
    return CloudResource(
        resource_id=f"{zone}/{name}",
        cloud=Cloud.GCP,
        region=region_of(zone),
        kind=ResourceKind.INSTANCE,
        zone=zone,
        account=account.account,
        instance_type=_accelerator(node),
        option=PurchaseOption.SPOT if is_spot else PurchaseOption.ON_DEMAND,
        tags=tuple(sorted({**labels, NAME_TAG: name}.items())),
        workload_id=labels.get(account.workload_tag, ""),
        team=labels.get(account.team_tag, ""),
        start_time=instant_of(node.get("createTime", "")),
    )


def is_tpu_node(resource: CloudResource) -> bool:
    """Whether a resource is one of `tpu_node`: ids of Compute Engine's instances are numbers."""
    return resource.kind is ResourceKind.INSTANCE and "/" in resource.resource_id


def node_name(resource: CloudResource) -> str:
    """The name within its zone."""
    return resource.resource_id.rpartition("/")[2]


def _accelerator(node: Mapping[str, Any]) -> str:
    """`v5litepod-8`; of a node made with a version and a topology both of them, `v5p 2x2x1`."""
    config = node.get("acceleratorConfig", {})
    made_of = (config.get("type", "tpu").lower(), config.get("topology", ""))
    return str(node.get("acceleratorType") or " ".join(made_of).strip())
