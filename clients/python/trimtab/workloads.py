"""Workloads in the units that people think in."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from trimtab import vocabulary
from trimtab.v1.placement_service_pb2 import DataSet, GpuNeed, Workload


def workload(  # noqa: PLR0913 - the fields that most workloads use, each optional
    *,
    gpu: str | Sequence[str] = (),
    gpus: int = 0,
    gpu_memory_gib: float = 0.0,
    vcpus: float = 0.0,
    memory_gib: float = 0.0,
    architecture: str = "",
    instance_type: str = "",
    hours: float | None = None,
    service_hours: float | None = None,
    count: int = 0,
    spread_zones: int = 0,
    purchase: Iterable[str] = (),
    residency: Iterable[str] = (),
    data: Iterable[DataSet] = (),
    deadline: datetime | None = None,
    workload_id: str = "",
    tags: Mapping[str, str] | None = None,
) -> Workload:
    """A `Workload` message of the commonest fields; set the others on the result.

    Args:
        gpu: GPU model, or several any of which will do.
        gpus: GPUs per instance; 0 means 1 where a model is given.
        gpu_memory_gib: least memory of each GPU.
        vcpus: least virtual CPUs.
        memory_gib: least memory.
        architecture: `x86_64` or `arm64`; empty for any.
        instance_type: only this type.
        hours: work to be done once, in hours of one uninterrupted instance (or gang).
        service_hours: hours of every month that a service runs; excludes `hours`.
        count: instances, all or nothing; 0 means 1.
        spread_zones: zones to spread them over.
        purchase: `on-demand`, `spot`, `reserved-1y`, `reserved-3y`, `owned-commitment`.
        residency: countries and blocs allowed.
        data: data sets that it reads; see `data_set`.
        deadline: aware instant by which the work must be done.
        workload_id: the caller's id of it.
        tags: what policies may ask for.

    Raises:
        ValueError: a word that is not of the vocabulary, both or neither of the durations, a naive deadline.

    """
    if (hours is None) == (service_hours is None):
        raise ValueError("give either hours (work done once) or service_hours (of every month)")
    made = Workload(
        workload_id=workload_id,
        tags=tags,
        count=count,
        spread_zones=spread_zones,
        purchase_options=[vocabulary.purchase_option(option) for option in purchase],
        data_sets=data,
    )
    made.size.vcpus = vcpus
    made.size.memory_gib = memory_gib
    made.size.instance_type = instance_type
    if architecture:
        made.size.architecture = vocabulary.architecture(architecture)
    for model in [gpu] if isinstance(gpu, str) else gpu:
        made.size.gpus.append(GpuNeed(model=model, count=gpus, memory_gib=gpu_memory_gib))
    allowed = vocabulary.residency(residency)
    if allowed.ByteSize():
        made.residency.CopyFrom(allowed)
    if service_hours is not None:
        made.service_hours_per_month = service_hours
    elif hours is not None:
        if not math.isfinite(hours):
            raise ValueError(f"expected a number of hours, not {hours}")
        made.duration.FromTimedelta(timedelta(hours=hours))
    if deadline is not None:
        if deadline.tzinfo is None:
            raise ValueError("a deadline carries its time zone")
        made.deadline.FromDatetime(deadline)
    return made


def data_set(location: str, gib: float, *, reads: float = 0.0) -> DataSet:
    """Data at `cloud:region` of which `gib` GiB are read `reads` times; 0 means once."""
    return DataSet(location=vocabulary.region(location), gib=gib, reads=reads)
