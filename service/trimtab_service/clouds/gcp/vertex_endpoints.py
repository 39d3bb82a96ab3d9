"""Models deployed to endpoints of Vertex AI: one resource a deployed model, as SageMaker's are one a variant."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.gcp.machine_types import Attached, has_own_accelerators, type_name
from trimtab_service.clouds.gcp.names import NAME_TAG, instant_of
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.offers import Cloud, PurchaseOption
from trimtab_service.domain.resources import Autoscaling, CloudResource, ResourceKind

ASSET_TYPE: Final = "aiplatform.googleapis.com/Endpoint"

TYPE_PREFIX: Final = "vertex."
"""Before a machine type: Vertex AI has prices of its own for Compute Engine's machines."""

_ONLINE: Final = "aiplatform.googleapis.com/prediction/online"
_TARGETS: Final = {f"{_ONLINE}/accelerator/duty_cycle": Dimension.GPU, f"{_ONLINE}/cpu/utilization": Dimension.CPU}
_USUAL_TARGET: Final = 60
"""Per cent that Vertex AI holds where the model names no other (AutoscalingMetricSpec)."""


def deployed_models(endpoint: Mapping[str, Any], account: CloudAccount) -> Iterator[CloudResource]:
    """Of an endpoint (`google.cloud.aiplatform.v1.Endpoint` as JSON), by id `endpoint/deployed model`.

    A model without machines of its own (a shared pool, automatic resources) has no type: it is listed, and nothing is
    concluded about its size. An endpoint without models costs nothing.
    """
    _, _, _, region, _, number = endpoint["name"].split("/")
    labels = dict(endpoint.get("labels", {}))
    for model in endpoint.get("deployedModels", []):
        own = model.get("dedicatedResources", {})
        least = int(own.get("minReplicaCount", 1))
        now = model.get("status", {}).get("availableReplicaCount", least)
        name = model.get("displayName") or endpoint.get("displayName", "")
        yield CloudResource(
            resource_id=f"{number}/{model['id']}",
            cloud=Cloud.GCP,
            region=region,
            kind=ResourceKind.ENDPOINT,
            account=account.account,
            instance_type=_type_of(own.get("machineSpec", {})),
            count=max(1, int(now)),
            option=PurchaseOption.SPOT if own.get("spot") else PurchaseOption.ON_DEMAND,
            tags=tuple(sorted({**labels, NAME_TAG: name}.items())),
            autoscaling=_autoscaling(own, least),
            workload_id=labels.get(account.workload_tag, ""),
            team=labels.get(account.team_tag, ""),
            start_time=instant_of(model.get("createTime", "")),
        )


def endpoint_and_model(resource_id: str) -> tuple[str, str]:
    """The numbers of the endpoint and of the deployed model in a resource's id."""
    endpoint, _, model = resource_id.partition("/")
    return endpoint, model


def _type_of(machine: Mapping[str, Any]) -> str:
    if "machineType" not in machine:
        return ""
    # Vertex AI writes NVIDIA_TESLA_T4 for what Compute Engine calls nvidia-tesla-t4.
    count = int(machine.get("acceleratorCount", 0))
    accelerator = str(machine.get("acceleratorType", "")).lower().replace("_", "-")
    return TYPE_PREFIX + type_name(machine["machineType"], Attached(accelerator, count) if count else None)


def _autoscaling(own: Mapping[str, Any], least: int) -> Autoscaling | None:
    """Bounds and the target that is held: of the accelerators where there are some, else of the CPU."""
    most = int(own.get("maxReplicaCount", least))
    if most <= least:
        return None
    machine = own.get("machineSpec", {})
    accelerated = int(machine.get("acceleratorCount", 0)) or has_own_accelerators(machine.get("machineType", ""))
    usual = Dimension.GPU if accelerated else Dimension.CPU
    given = {
        _TARGETS[one["metricName"]]: int(one.get("target", _USUAL_TARGET))
        for one in own.get("autoscalingMetricSpecs", [])
        if one.get("metricName") in _TARGETS
    }
    held = usual if usual in given or not given else next(iter(given))
    return Autoscaling(least, most, held, min(1.0, given.get(held, _USUAL_TARGET) / 100))
