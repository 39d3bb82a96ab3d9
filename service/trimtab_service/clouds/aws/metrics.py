"""What CloudWatch measures of each kind of resource, and in which units."""

from dataclasses import dataclass
from typing import Final

from trimtab_service.domain.dimensions import Metric, Statistic, Unit

LEVEL: Final = (Statistic.AVERAGE, Statistic.MAXIMUM)
TOTAL: Final = (Statistic.SUM,)
"""Percentiles are not asked for: they are computed here, from these, and alike for all sources."""

AGENT: Final = "CWAgent"
_MIB: Final = 2.0**20


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric of CloudWatch: a value times `scale` is in `unit`.

    `per_instance`: the value is of one instance, so the resource has it `count` times.
    """

    namespace: str
    name: str
    metric: Metric
    unit: Unit
    statistics: tuple[Statistic, ...] = LEVEL
    scale: float = 1.0
    per_instance: bool = False


def _ec2(name: str, metric: Metric, unit: Unit) -> Measure:
    return Measure("AWS/EC2", name, metric, unit, TOTAL)


MACHINES: Final = (
    Measure("AWS/EC2", "CPUUtilization", Metric.CPU, Unit.PERCENT),
    _ec2("NetworkIn", Metric.NETWORK_IN, Unit.BYTES),
    _ec2("NetworkOut", Metric.NETWORK_OUT, Unit.BYTES),
    _ec2("EBSReadOps", Metric.DISK_READ_OPS, Unit.COUNT),
    _ec2("EBSWriteOps", Metric.DISK_WRITE_OPS, Unit.COUNT),
    _ec2("EBSReadBytes", Metric.DISK_READ_BYTES, Unit.BYTES),
    _ec2("EBSWriteBytes", Metric.DISK_WRITE_BYTES, Unit.BYTES),
)
"""Of instances and, summed or averaged over their instances by CloudWatch, of Auto Scaling groups."""

GROUP_SIZE: Final = Measure(
    "AWS/AutoScaling", "GroupInServiceInstances", Metric.INSTANCES, Unit.COUNT, (Statistic.AVERAGE,)
)
"""Only where the group's own metrics are switched on."""

AGENT_MEASURES: Final = (
    Measure(AGENT, "mem_used_percent", Metric.MEMORY, Unit.PERCENT),
    Measure(AGENT, "Memory % Committed Bytes In Use", Metric.MEMORY, Unit.PERCENT),
    Measure(AGENT, "nvidia_smi_utilization_gpu", Metric.GPU, Unit.PERCENT),
    Measure(AGENT, "nvidia_smi_memory_used", Metric.GPU_MEMORY, Unit.BYTES, scale=_MIB),
)
"""What the CloudWatch agent reports on Linux and Windows, and of NVIDIA GPUs; memory_used comes in MiB.

`nvidia_smi_utilization_memory` is not read: it is the share of time in which GPU memory was accessed, not how much of
it is in use (CloudWatch user guide, Collect NVIDIA GPU metrics).
"""


def _sagemaker(namespace: str) -> tuple[Measure, ...]:
    """CPU and GPU come as sums over cores and GPUs: 100 is one of them."""
    hundredth = 0.01
    return (
        Measure(namespace, "CPUUtilization", Metric.CPU, Unit.VCPUS, scale=hundredth, per_instance=True),
        Measure(namespace, "MemoryUtilization", Metric.MEMORY, Unit.PERCENT),
        Measure(namespace, "GPUUtilization", Metric.GPU, Unit.GPUS, scale=hundredth, per_instance=True),
        Measure(namespace, "GPUMemoryUtilization", Metric.GPU_MEMORY, Unit.PERCENT),
    )


ENDPOINT_MEASURES: Final = _sagemaker("/aws/sagemaker/Endpoints")
TRAINING_MEASURES: Final = _sagemaker("/aws/sagemaker/TrainingJobs")
"""Amazon SageMaker developer guide, Monitor SageMaker with CloudWatch. GPUMemoryUtilization is a sum over GPUs too; it
is divided by the GPUs of the type (`gpus_of`)."""

_SMALL_ONES: Final = {"xlarge": 1, "2xlarge": 1, "4xlarge": 1, "8xlarge": 1, "16xlarge": 1}
_G5: Final = _SMALL_ONES | {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8}
_GPUS_BY_SIZE: Final[dict[str, dict[str, int]]] = {
    "p2": {"xlarge": 1, "8xlarge": 8, "16xlarge": 16},
    "p3": {"2xlarge": 1, "8xlarge": 4, "16xlarge": 8},
    "p3dn": {"24xlarge": 8},
    "p4d": {"24xlarge": 8},
    "p4de": {"24xlarge": 8},
    "p5": {"4xlarge": 1, "48xlarge": 8},
    "p5e": {"48xlarge": 8},
    "p5en": {"48xlarge": 8},
    "p6-b200": {"48xlarge": 8},
    "g4dn": _SMALL_ONES | {"12xlarge": 4},
    "g5": _G5,
    "g6": _G5,
    "g6e": _G5,
}


def gpus_of(instance_type: str) -> int | None:
    """GPUs of an EC2 or SageMaker (`ml.`) type; 0 where its family has none, None where the size is not known here."""
    family, _, size = instance_type.removeprefix("ml.").partition(".")
    sizes = _GPUS_BY_SIZE.get(family)
    if sizes is not None:
        return sizes.get(size)
    return None if family[:1] in {"g", "p"} and family[1:2].isdigit() else 0
