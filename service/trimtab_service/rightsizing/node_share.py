"""What a container costs: its share of the node it stands on, by what it requests.

The node's price is split over its vCPUs, memory and GPUs in the proportion of three rates, so that all of the node
together costs what the node does (OpenCost's rule and its default rates; with a g5.2xlarge at USD 1.35296 an hour the
GPU gets 0.96028, as opencost#2657 has it). A share is an estimate: the node is paid whole, until fewer nodes do.
"""

from dataclasses import dataclass
from typing import Final

from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.resources import NODE_TYPE_TAG, Capacity, CloudResource

VCPU_RATE: Final = 0.031611
GIB_RATE: Final = 0.004237
GPU_RATE: Final = 0.95
"""USD an hour; only their proportion counts."""


@dataclass(frozen=True, slots=True)
class NodeShare:
    """Nano-USD an hour of one vCPU, one GiB and one GPU of a node."""

    vcpu: float
    gib: float
    gpu: float

    def price_nanos(self, requests: Capacity) -> int:
        """Of one pod, rounded to a nano-USD. What is not requested costs nothing."""
        vcpus, memory_gib = requests.vcpus or 0.0, requests.memory_gib or 0.0
        return round(self.vcpu * vcpus + self.gib * memory_gib + self.gpu * requests.gpus)


def split(price_nanos: int, vcpus: float, memory_gib: float, gpus: float) -> NodeShare:
    """A node's price an hour over what it has."""
    whole = VCPU_RATE * vcpus + GIB_RATE * memory_gib + GPU_RATE * gpus
    scale = price_nanos / whole if whole > 0 else 0.0
    return NodeShare(VCPU_RATE * scale, GIB_RATE * scale, GPU_RATE * scale)


def node_type(resource: CloudResource) -> str:
    """The type of the node that a container stands on, by its tag; empty where nobody says."""
    return next((value for key, value in resource.tags if key == NODE_TYPE_TAG), "")


def split_of_type(snapshot: CatalogSnapshot, machine: int, price_nanos: int) -> NodeShare:
    """As `split`, of a type of the catalogue."""
    types = snapshot.types
    return split(
        price_nanos, float(types.vcpus[machine]), float(types.memory_gib[machine]), float(types.gpu_count[machine])
    )
