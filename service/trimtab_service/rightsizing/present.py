"""The resource as it is: what one instance has and costs, from the catalogue or from the caller."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import numpy as np

from trimtab_service.catalog.snapshot import CatalogSnapshot, day_of
from trimtab_service.domain.accelerators import Reading, read_model
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.offers import PLACEMENT_OPTIONS, PRICE_BASES, Cloud, PriceBasis, PurchaseOption
from trimtab_service.domain.resources import Capacity, CloudResource, ResourceKind
from trimtab_service.rightsizing.node_share import NodeShare, node_type, split_of_type

SERVICE_PREFIXES: Final = ("ml.", "db.", "cache.", "vertex.")
"""Types of managed services (SageMaker, RDS, ElastiCache, Vertex AI): machines under a prefix, at their own prices."""

GROUPS: Final = frozenset({ResourceKind.INSTANCE_GROUP, ResourceKind.ENDPOINT})
"""Kinds whose number of instances can be changed."""

_MANAGED: Final = frozenset({ResourceKind.CONTAINER})


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Why the resource cannot be sized, in words, one entry a thing."""

    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Present:
    """The resource with what one instance has and costs.

    `type_index` is None for a type that the catalogue does not hold; `arch` is empty where it is not known. `option` is
    the position in `PLACEMENT_OPTIONS` that other sizes are priced by. A price of 0 is not known (containers only);
    `node_share` prices what a container requests, where its node's type is known.
    """

    resource: CloudResource
    capacity: Capacity
    type_index: int | None
    family: str
    arch: str
    burstable: bool
    option: int
    price_nanos: int
    price_basis: PriceBasis
    price_as_of: date
    node_share: NodeShare | None = None

    @property
    def count(self) -> int:
        """Instances now, at least 1."""
        return max(1, self.resource.count)

    @property
    def is_group(self) -> bool:
        """Whether the number of instances may be changed."""
        return self.resource.kind in GROUPS or self.resource.autoscaling is not None or self.count > 1

    @property
    def service_prefix(self) -> str:
        """The managed service that the type belongs to; empty for plain machines."""
        name = self.resource.instance_type
        return next((prefix for prefix in SERVICE_PREFIXES if name.startswith(prefix)), "")

    @property
    def gpus(self) -> float:
        """GPUs of one instance."""
        return self.capacity.gpus

    def has(self, dimension: Dimension) -> float | None:  # noqa: PLR0911 - one a dimension
        """What one instance has of a dimension; None is not known. GPU memory is of all its GPUs together."""
        capacity = self.capacity
        match dimension:
            case Dimension.CPU:
                return capacity.vcpus
            case Dimension.MEMORY:
                return capacity.memory_gib
            case Dimension.NETWORK:
                return capacity.network_gbps
            case Dimension.DISK_IOPS:
                return capacity.disk_iops
            case Dimension.DISK_THROUGHPUT:
                return capacity.disk_mibps
            case Dimension.GPU:
                return capacity.gpus
            case Dimension.GPU_MEMORY:
                return None if capacity.gpu_memory_gib is None else capacity.gpu_memory_gib * max(capacity.gpus, 1.0)


def present_of(resource: CloudResource, snapshot: CatalogSnapshot, today: date) -> Present | Unsupported:
    """The resource, completed from the catalogue; what the caller says of its capacity and price goes before it."""
    region = snapshot.region_index.get((resource.cloud, resource.region))
    if region is None and resource.kind not in _MANAGED:
        return Unsupported((f"region {resource.cloud.value}:{resource.region} is not in the catalogue",))
    known = snapshot.type_index.get((resource.cloud, resource.instance_type))
    machine = machine_of(resource.cloud, resource.instance_type, snapshot)
    capacity = _capacity(resource.capacity, snapshot, machine)
    if capacity.vcpus is None and capacity.memory_gib is None:
        name = resource.instance_type or "the resource"
        return Unsupported((f"capacity of {name}: the catalogue does not hold it",))
    option = _option(resource.option)
    price, basis, as_of = resource.price_nanos_per_hour, PriceBasis.CALLER, today
    if price is None and known is not None and region is not None:
        offer = snapshot.find_offer(option, region, known)
        if offer is None and option != 0:
            option, offer = 0, snapshot.find_offer(0, region, known)
        if offer is not None:
            price = int(snapshot.offers.price_nanos[offer])
            basis = PRICE_BASES[int(snapshot.offers.basis[offer])]
            as_of = day_of(int(snapshot.offers.as_of[offer]))
    share = None
    if price is None and resource.kind is ResourceKind.CONTAINER and region is not None:
        node = snapshot.type_index.get((resource.cloud, node_type(resource)))
        offer = None if node is None else snapshot.find_offer(option, region, node)
        if node is not None and offer is not None:
            share = split_of_type(snapshot, node, int(snapshot.offers.price_nanos[offer]))
            price, basis = share.price_nanos(capacity), PriceBasis.ESTIMATED_NODE_SHARE
            as_of = day_of(int(snapshot.offers.as_of[offer]))
    if price is None:
        if resource.kind not in _MANAGED:
            return Unsupported(
                (f"price_per_hour of {resource.instance_type}: the catalogue holds none for its region",)
            )
        price = 0
    return Present(
        resource=resource,
        capacity=capacity,
        type_index=known,
        family="" if machine is None else snapshot.families[int(snapshot.types.family[machine])],
        arch="" if machine is None else snapshot.arches[int(snapshot.types.arch[machine])],
        burstable=machine is not None and bool(snapshot.types.burstable[machine]),
        option=option,
        price_nanos=price,
        price_basis=basis,
        price_as_of=as_of,
        node_share=share,
    )


def machine_of(cloud: Cloud, instance_type: str, snapshot: CatalogSnapshot) -> int | None:
    """The type itself, or the plain machine beneath a managed service's: `ml.g5.xlarge` is a g5.xlarge."""
    known = snapshot.type_index.get((cloud, instance_type))
    if known is not None:
        return known
    for prefix in SERVICE_PREFIXES:
        if instance_type.startswith(prefix):
            return snapshot.type_index.get((cloud, instance_type.removeprefix(prefix)))
    return None


def _option(option: PurchaseOption) -> int:
    """How alternatives are priced: as the resource is bought, where the catalogue lists that; else on demand."""
    placed = option.placement_option
    return PLACEMENT_OPTIONS.index(placed) if placed is not None else 0


def _capacity(given: Capacity | None, snapshot: CatalogSnapshot, machine: int | None) -> Capacity:
    said = given or Capacity()
    if said.gpu_model:
        read = read_model(said.gpu_model, memory_gb=said.gpu_memory_gib, also_known=snapshot.gpu_models)
        if isinstance(read, Reading) and read.models:
            said = replace(said, gpu_model=read.models[0])
    if machine is None:
        return said
    types = snapshot.types
    model = int(types.gpu_model[machine])
    network = float(types.network_gbps[machine])
    return Capacity(
        vcpus=float(types.vcpus[machine]) if said.vcpus is None else said.vcpus,
        memory_gib=float(types.memory_gib[machine]) if said.memory_gib is None else said.memory_gib,
        gpu_model=said.gpu_model or (snapshot.gpu_models[model] if model >= 0 else ""),
        gpus=said.gpus or float(types.gpu_count[machine]),
        gpu_memory_gib=said.gpu_memory_gib or (float(types.gpu_memory_gib[machine]) if model >= 0 else None),
        network_gbps=said.network_gbps or (None if np.isnan(network) else network),
        disk_iops=said.disk_iops,
        disk_mibps=said.disk_mibps,
    )
