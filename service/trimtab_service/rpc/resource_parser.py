"""Parses the resources that advice is asked for."""

import re
from typing import Final

from google.protobuf.message import Message

from trimtab.v1 import rightsizing_pb2 as pb
from trimtab.v1 import types_pb2
from trimtab_service.domain.accelerators import UnknownAccelerator, read_model
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.offers import PurchaseOption
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.resources import Autoscaling, Capacity, CloudResource, ResourceKind
from trimtab_service.rpc import bounds
from trimtab_service.rpc.fields import FieldPath, Violations
from trimtab_service.rpc.size_parser import region_key
from trimtab_service.rpc.sizing_vocabulary import DIMENSION_OF, RESOURCE_KIND_OF
from trimtab_service.rpc.vocabulary import OPTION_OF, Vocabulary
from trimtab_service.rpc.workload_parser import MAX_TAG_KEY, MAX_TAGS

MAX_RESOURCE_ID: Final = 512
MAX_ACCOUNT: Final = 128
MAX_RATE: Final = 1e9
"""Disk operations, and MiB, a second."""

MAX_GBPS: Final = 1e5
MAX_GPU_MEMORY_GIB: Final = 1e5
_LONGEST_MONTH_H: Final = 744.0
_LEAST_TARGET: Final = 0.01
_WORKLOAD_ID: Final = re.compile(r"[a-z0-9-]{0,128}\Z")


def parse_resource(
    message: pb.CloudResource, vocabulary: Vocabulary, found: Violations, at: FieldPath
) -> CloudResource | None:
    """The resource; None when it does not say where it is. A type that the catalogue lacks is no fault here."""
    if not message.resource_id:
        found.add((at, "resource_id"), ErrorReason.FIELD_REQUIRED, "name the resource by the cloud's own id")
    kind = RESOURCE_KIND_OF.get(message.kind)
    if message.kind and kind is None:
        found.add((at, "kind"), ErrorReason.UNKNOWN_VALUE, "not a kind of resource")
    option = OPTION_OF.get(message.purchase_option)
    if message.purchase_option and option is None:
        found.add((at, "purchase_option"), ErrorReason.UNKNOWN_VALUE, "not a purchase option")
    if not _WORKLOAD_ID.match(message.workload_id):
        found.add((at, "workload_id"), ErrorReason.BAD_FORMAT, "must be at most 128 characters of a-z, 0-9 and -")
    where = region_key(types_pb2.RegionRef(cloud=message.cloud, region=message.region), vocabulary, found, at)
    hours = bounds.number(found, (at, "running_hours_per_month"), message.running_hours_per_month, _LONGEST_MONTH_H)
    started = bounds.instant(found, (at, "start_time"), message.start_time) if message.HasField("start_time") else None
    capacity = (
        parse_capacity(message.capacity, vocabulary, found, (at, "capacity")) if _given(message, "capacity") else None
    )
    price = None
    if message.HasField("price_per_hour"):
        field = (at, "price_per_hour")
        price = bounds.nanos(found, field, message.price_per_hour, positive=True, most=bounds.MAX_UNIT_USD)
    text = {
        "resource_id": bounds.text(found, (at, "resource_id"), message.resource_id, MAX_RESOURCE_ID),
        "zone": bounds.text(found, (at, "zone"), message.zone, 64),
        "account": bounds.text(found, (at, "account"), message.account, MAX_ACCOUNT),
        "instance_type": bounds.text(found, (at, "instance_type"), message.instance_type),
        "team": bounds.text(found, (at, "team"), message.team),
    }
    count = int(bounds.number(found, (at, "count"), message.count, bounds.MAX_COUNT)) or 1
    tags = _tags(message, found, (at, "tags"))
    autoscaling = None
    if message.HasField("autoscaling"):
        autoscaling = _autoscaling(message.autoscaling, found, (at, "autoscaling"))
    if where is None:
        return None
    return CloudResource(
        **text,
        cloud=where.cloud,
        region=where.region,
        kind=kind or ResourceKind.INSTANCE,
        count=count,
        capacity=capacity,
        price_nanos_per_hour=price,
        option=option or PurchaseOption.ON_DEMAND,
        running_hours_per_month=hours or None,
        tags=tags,
        autoscaling=autoscaling,
        workload_id=message.workload_id,
        start_time=started,
        arm_ready=message.arm_ready,
    )


def parse_capacity(message: pb.Capacity, vocabulary: Vocabulary, found: Violations, at: FieldPath) -> Capacity:
    """What one instance has; 0 is not known."""

    def amount(field: str, most: float) -> float | None:
        return bounds.number(found, (at, field), getattr(message, field), most) or None

    return Capacity(
        vcpus=amount("vcpus", bounds.MAX_VCPUS),
        memory_gib=amount("memory_gib", bounds.MAX_MEMORY_GIB),
        gpu_model=_gpu_model(message, vocabulary, found, at),
        gpus=bounds.number(found, (at, "gpus"), message.gpus, bounds.MAX_GPUS),
        gpu_memory_gib=amount("gpu_memory_gib", MAX_GPU_MEMORY_GIB),
        network_gbps=amount("network_gbps", MAX_GBPS),
        disk_iops=amount("disk_iops", MAX_RATE),
        disk_mibps=amount("disk_mibps", MAX_RATE),
    )


def _gpu_model(message: pb.Capacity, vocabulary: Vocabulary, found: Violations, at: FieldPath) -> str:
    if not message.gpu_model:
        return ""
    field = (at, "gpu_model")
    memory = message.gpu_memory_gib if 0 < message.gpu_memory_gib <= MAX_GPU_MEMORY_GIB else None
    reading = read_model(message.gpu_model[:64], memory_gb=memory, also_known=vocabulary.gpu_models)
    if isinstance(reading, UnknownAccelerator):
        near = f"; nearest: {', '.join(reading.nearest)}" if reading.nearest else ""
        found.add(field, ErrorReason.UNKNOWN_VALUE, f"no such GPU model: {message.gpu_model[:64]!r}{near}")
        return ""
    if reading.is_ambiguous:
        found.add(field, ErrorReason.UNKNOWN_VALUE, f"must name one of {', '.join(reading.models)}")
        return ""
    return reading.models[0]


def _tags(message: pb.CloudResource, found: Violations, field: FieldPath) -> tuple[tuple[str, str], ...]:
    if not message.tags or not bounds.few(found, field, len(message.tags), MAX_TAGS):
        return ()
    for key, value in message.tags.items():
        if not key or len(key) > MAX_TAG_KEY or len(value) > bounds.MAX_TEXT:
            found.add(field, ErrorReason.TOO_LARGE, f"key {key[:32]!r}: 1 to 128 characters, value up to 256")
        elif "\x00" in key or "\x00" in value:
            found.add(field, ErrorReason.BAD_FORMAT, "holds a NUL character")
    return tuple(sorted(message.tags.items()))


def _autoscaling(message: pb.Autoscaling, found: Violations, at: FieldPath) -> Autoscaling:
    least = int(bounds.number(found, (at, "min_count"), message.min_count, bounds.MAX_COUNT))
    most = int(bounds.number(found, (at, "max_count"), message.max_count, bounds.MAX_COUNT, least=1))
    if least > most:
        found.add((at, "min_count"), ErrorReason.CONTRADICTION, "is above max_count")
    target = message.target_utilization
    dimension = DIMENSION_OF.get(message.target_dimension)
    if message.target_dimension and dimension is None:
        found.add((at, "target_dimension"), ErrorReason.UNKNOWN_VALUE, "not a dimension")
    return Autoscaling(
        min_count=least,
        max_count=most,
        target_dimension=dimension or Dimension.CPU,
        target_utilization=bounds.number(found, (at, "target_utilization"), target, 1.0, least=_LEAST_TARGET),
    )


def _given(message: Message, field: str) -> bool:
    """Whether a message field is set and says anything."""
    return message.HasField(field) and bool(getattr(message, field).ByteSize())
