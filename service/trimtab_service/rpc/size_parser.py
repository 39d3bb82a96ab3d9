"""Parses sizes and the references to regions that many fields hold."""

from trimtab.v1 import placement_service_pb2 as pb
from trimtab.v1 import types_pb2
from trimtab_service.domain.accelerators import UnknownAccelerator, read_model
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.workloads import GpuNeed, RegionKey, Size
from trimtab_service.rpc import bounds
from trimtab_service.rpc.fields import FieldPath, Violations
from trimtab_service.rpc.vocabulary import ARCHITECTURE_OF, CLOUD_OF, Vocabulary

MAX_GPU_NEEDS = 8


def parse_size(  # noqa: PLR0913 - where it stands and what is learned on the way
    message: pb.Size, vocabulary: Vocabulary, found: Violations, at: FieldPath, readings: list[str], *, required: bool
) -> Size:
    """A size; `required` when it must ask for something. How open names were read is added to `readings`."""
    gpus: list[GpuNeed] = []
    if message.gpus and bounds.few(found, (at, "gpus"), len(message.gpus), MAX_GPU_NEEDS):
        gpus = [
            need
            for index, gpu in enumerate(message.gpus)
            if (need := _gpu(gpu, vocabulary, found, (at, f"gpus[{index}]"), readings)) is not None
        ]
    if required and not (message.vcpus or message.memory_gib or message.gpus or message.instance_type):
        found.add(at, ErrorReason.FIELD_REQUIRED, "ask for vcpus, memory_gib, gpus or an instance_type")
    return Size(
        vcpus=bounds.number(found, (at, "vcpus"), message.vcpus, bounds.MAX_VCPUS),
        memory_gib=bounds.number(found, (at, "memory_gib"), message.memory_gib, bounds.MAX_MEMORY_GIB),
        gpus=tuple(gpus),
        architecture=_architecture(message.architecture, found, at) if message.architecture else None,
        local_disk_gb=bounds.number(found, (at, "local_disk_gb"), message.local_disk_gb, bounds.MAX_GIB),
        network_gbps=bounds.number(found, (at, "network_gbps"), message.network_gbps, 1e5),
        instance_type=bounds.text(found, (at, "instance_type"), message.instance_type) or None,
    )


def _architecture(value: int, found: Violations, at: FieldPath) -> str | None:
    name = ARCHITECTURE_OF.get(value)
    if name is None:
        found.add((at, "architecture"), ErrorReason.UNKNOWN_VALUE, "not an architecture")
    return name


def _gpu(
    message: pb.GpuNeed, vocabulary: Vocabulary, found: Violations, at: FieldPath, readings: list[str]
) -> GpuNeed | None:
    key = (message.model, message.count, message.memory_gib)
    kept = vocabulary.gpu_needs.get(key)
    if kept is None:
        kept = _read_gpu(message, vocabulary, found, at)
        if kept is None:
            return None
        if not found:
            vocabulary.gpu_needs.keep(key, kept)
    need, note = kept
    if note:
        readings.append(note)
    return need


def _read_gpu(
    message: pb.GpuNeed, vocabulary: Vocabulary, found: Violations, at: FieldPath
) -> tuple[GpuNeed, str] | None:
    """The need, and how an open name was read."""
    count = int(bounds.number(found, (at, "count"), message.count or 1, bounds.MAX_GPUS, least=1))
    memory = bounds.number(found, (at, "memory_gib"), message.memory_gib, 1e5)
    if not message.model:
        found.add((at, "model"), ErrorReason.FIELD_REQUIRED, "name a GPU model")
        return None
    if not bounds.text(found, (at, "model"), message.model, 64):
        return None
    reading = read_model(message.model, memory_gb=memory or None, also_known=vocabulary.gpu_models)
    if isinstance(reading, UnknownAccelerator):
        near = f"; nearest: {', '.join(reading.nearest)}" if reading.nearest else ""
        found.add((at, "model"), ErrorReason.UNKNOWN_VALUE, f"no such GPU model: {message.model!r}{near}")
        return None
    return GpuNeed(reading.models, count, memory), reading.note


def region_key(
    message: types_pb2.RegionRef, vocabulary: Vocabulary, found: Violations, at: FieldPath
) -> RegionKey | None:
    """The region that a reference names; noted when it is missing or not in the catalogue."""
    key = vocabulary.region(message.cloud, message.region)
    if key is not None:
        return key
    if message.cloud not in CLOUD_OF:
        found.add((at, "cloud"), ErrorReason.FIELD_REQUIRED, "name a cloud: aws, gcp or azure")
    if not message.region:
        found.add((at, "region"), ErrorReason.FIELD_REQUIRED, "name a region")
    elif bounds.text(found, (at, "region"), message.region, 64) and message.cloud in CLOUD_OF:
        near = vocabulary.nearest_regions(message.cloud, message.region)
        cloud = CLOUD_OF[message.cloud]
        found.add((at, "region"), ErrorReason.UNKNOWN_VALUE, f"{cloud} has no region {message.region!r}{near}")
    return None
