"""What a resource can run out of, and the units that demand and capacity are counted in."""

from enum import StrEnum
from typing import Final


class Dimension(StrEnum):
    """A resource dimension. Demand and capacity of one are in the same unit (`UNITS`)."""

    CPU = "cpu"
    MEMORY = "memory"
    NETWORK = "network"
    DISK_IOPS = "disk_iops"
    DISK_THROUGHPUT = "disk_throughput"
    GPU = "gpu"
    GPU_MEMORY = "gpu_memory"


DIMENSIONS: Final[tuple[Dimension, ...]] = tuple(Dimension)

UNITS: Final[dict[Dimension, str]] = {
    Dimension.CPU: "vCPU",
    Dimension.MEMORY: "GiB",
    Dimension.NETWORK: "Gbit/s",
    Dimension.DISK_IOPS: "IOPS",
    Dimension.DISK_THROUGHPUT: "MiB/s",
    Dimension.GPU: "GPU",
    Dimension.GPU_MEMORY: "GiB",
}
"""vCPUs in use; GiB (2^30 bytes) held; Gbit/s in and out together; GPU is the sum of duty cycles over the GPUs."""

INCOMPRESSIBLE: Final = frozenset({Dimension.MEMORY, Dimension.GPU_MEMORY})
"""Too little of these kills instead of slowing down, so peaks count."""


class Metric(StrEnum):
    """What a series measures (`trimtab.v1.Metric`)."""

    CPU = "cpu"
    MEMORY = "memory"
    NETWORK_IN = "network_in"
    NETWORK_OUT = "network_out"
    DISK_READ_OPS = "disk_read_ops"
    DISK_WRITE_OPS = "disk_write_ops"
    DISK_READ_BYTES = "disk_read_bytes"
    DISK_WRITE_BYTES = "disk_write_bytes"
    GPU = "gpu"
    GPU_MEMORY = "gpu_memory"
    INSTANCES = "instances"
    OOM_KILLS = "oom_kills"
    CPU_THROTTLED = "cpu_throttled"


class Unit(StrEnum):
    """The unit of a series' values (`trimtab.v1.Unit`)."""

    PERCENT = "percent"
    RATIO = "ratio"
    VCPUS = "vcpus"
    BYTES = "bytes"
    GIB = "gib"
    BYTES_PER_SECOND = "bytes_per_second"
    BITS_PER_SECOND = "bits_per_second"
    COUNT = "count"
    COUNT_PER_SECOND = "count_per_second"
    GPUS = "gpus"


class Statistic(StrEnum):
    """How an interval became one value."""

    AVERAGE = "average"
    MAXIMUM = "maximum"
    SUM = "sum"
    COUNTER = "counter"
