"""What a condition can ask of a request: `request.<name>`, each with its CEL type."""

from collections.abc import Mapping
from typing import Final

from cel_expr_python import cel

from trimtab_service.domain.workloads import PlaceQuery

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
