"""What a condition can ask of a request: `request.<name>`, each with its CEL type."""

from collections.abc import Mapping
from math import ceil
from typing import Final

from cel_expr_python import cel

from trimtab_service.domain.resources import Capacity, CloudResource, ResourceKind
from trimtab_service.domain.workloads import HOURS_PER_MONTH, PlaceQuery

ATTRIBUTES: Final[Mapping[str, cel.Type]] = {
    "workload_id": cel.Type.STRING,
    "project": cel.Type.STRING,
    "tags": cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
    "vcpus": cel.Type.DOUBLE,
    "memory_gib": cel.Type.DOUBLE,
    "gpu_models": cel.Type.List(cel.Type.STRING),
    "gpu_count": cel.Type.INT,
    "count": cel.Type.INT,
    "hours": cel.Type.DOUBLE,
    "purchase_options": cel.Type.List(cel.Type.STRING),
    "is_service": cel.Type.BOOL,
}


def attributes_of(query: PlaceQuery) -> dict[str, object]:
    """The attributes of a request, by name.

    Sizes are as asked for, per instance. `gpu_models` are all that are acceptable, by canonical name; `gpu_count`
    is the most that any of the acceptable kinds needs. `hours` is the uninterrupted duration, or of a service the
    hours of a month. `purchase_options` are the domain's names: `on_demand`, `spot`, `reserved_1y`, ...
    """
    workload = query.workload
    size = workload.size
    return {
        "workload_id": workload.workload_id,
        "project": query.project,
        "tags": dict(workload.tags),
        "vcpus": float(size.vcpus),
        "memory_gib": float(size.memory_gib),
        "gpu_models": [model for need in size.gpus for model in need.models],
        "gpu_count": max((need.count for need in size.gpus), default=0),
        "count": workload.count,
        "hours": float(workload.hours),
        "purchase_options": [option.value for option in workload.options],
        "is_service": workload.is_service,
    }


def attributes_of_resource(project: str, resource: CloudResource, capacity: Capacity) -> dict[str, object]:
    """The same attributes of a resource that advice is asked for; `capacity` is what one instance of it has.

    What is not known is 0. `hours` are those of a month. All but a training job serve without an end.
    """
    hours = resource.running_hours_per_month
    return {
        "workload_id": resource.workload_id,
        "project": project,
        "tags": dict(resource.tags),
        "vcpus": float(capacity.vcpus or 0.0),
        "memory_gib": float(capacity.memory_gib or 0.0),
        "gpu_models": [capacity.gpu_model] if capacity.gpu_model else [],
        "gpu_count": ceil(capacity.gpus),
        "count": resource.count,
        "hours": HOURS_PER_MONTH if hours is None else hours,
        "purchase_options": [resource.option.value],
        "is_service": resource.kind is not ResourceKind.TRAINING_JOB,
    }
