"""Which time series of Cloud Monitoring are read, and how they are aligned."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from trimtab_service.domain.dimensions import Metric, Statistic, Unit

_COMPUTE: Final = "compute.googleapis.com/instance"
_AGENT: Final = "agent.googleapis.com"


class Subject(StrEnum):
    """What series are asked for by: the label that names a resource."""

    INSTANCE = "resource.labels.instance_id"
    GROUP = "metadata.system_labels.instance_group"
    GROUP_SIZE = "resource.labels.instance_group_name"
    NODE = "resource.labels.node_name"
    NODE_OF_CONTAINER = "metadata.system_labels.node_name"
    TPU = "resource.labels.node_id"
    ENDPOINT = "resource.labels.endpoint_id"

    @property
    def resource_type(self) -> str:
        """The monitored resource."""
        return _RESOURCE_TYPES.get(self, "gce_instance")

    @property
    def part_label(self) -> str:
        """The metric label that with `value` names the resource, where it is a part of what `value` names."""
        return "deployed_model_id" if self is Subject.ENDPOINT else ""

    @property
    def is_metadata(self) -> bool:
        """Whether Cloud Monitoring keeps the label beside the monitored resource's own."""
        return self.value.startswith("metadata.")


_RESOURCE_TYPES: Final = {
    Subject.GROUP_SIZE: "instance_group",
    Subject.NODE: "k8s_node",
    Subject.NODE_OF_CONTAINER: "k8s_container",
    Subject.TPU: "tpu_worker",
    Subject.ENDPOINT: "aiplatform.googleapis.com/Endpoint",
}


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One query. `aligner` and reducers are of google.monitoring.v3.Aggregation.

    `device_label` is a metric label that tells the devices of one resource apart. `is_total`: an amount, of which an
    instance has several series (one a disk, one a load balancer path); they are summed, over a group
    too. `condition` narrows by metric labels. `agent` names what writes it, where that may be absent.
    """

    metric_type: str
    metric: Metric
    unit: Unit
    statistic: Statistic
    aligner: str
    condition: str = ""
    device_label: str = ""
    is_total: bool = False
    agent: str = ""

    @property
    def reducer(self) -> str:
        """How the series of one subject become one: amounts are summed, peaks are the highest, averages the mean."""
        if self.is_total:
            return "REDUCE_SUM"
        return "REDUCE_MAX" if self.statistic is Statistic.MAXIMUM else "REDUCE_MEAN"


def _rate(path: str, metric: Metric, unit: Unit) -> MetricSpec:
    return MetricSpec(f"{_COMPUTE}/{path}", metric, unit, Statistic.AVERAGE, "ALIGN_RATE", is_total=True)


_OPS_AGENT: Final = "Ops Agent"
_UTILIZATION: Final = f"{_COMPUTE}/cpu/utilization"
_USED: Final = 'metric.labels.state = "used"'
_GPU_USED: Final = 'metric.labels.memory_state = "used"'

MACHINE: Final = (
    MetricSpec(_UTILIZATION, Metric.CPU, Unit.RATIO, Statistic.AVERAGE, "ALIGN_MEAN"),
    MetricSpec(_UTILIZATION, Metric.CPU, Unit.RATIO, Statistic.MAXIMUM, "ALIGN_MAX"),
    MetricSpec(
        f"{_AGENT}/memory/percent_used",
        Metric.MEMORY,
        Unit.PERCENT,
        Statistic.MAXIMUM,
        "ALIGN_MAX",
        condition=_USED,
        agent=_OPS_AGENT,
    ),
    _rate("network/received_bytes_count", Metric.NETWORK_IN, Unit.BYTES_PER_SECOND),
    _rate("network/sent_bytes_count", Metric.NETWORK_OUT, Unit.BYTES_PER_SECOND),
    _rate("disk/read_ops_count", Metric.DISK_READ_OPS, Unit.COUNT_PER_SECOND),
    _rate("disk/write_ops_count", Metric.DISK_WRITE_OPS, Unit.COUNT_PER_SECOND),
    _rate("disk/read_bytes_count", Metric.DISK_READ_BYTES, Unit.BYTES_PER_SECOND),
    _rate("disk/write_bytes_count", Metric.DISK_WRITE_BYTES, Unit.BYTES_PER_SECOND),
)
"""Of every instance and group. CPU comes as a ratio of the vCPUs, twice: means hide the peaks within an interval."""

GPU: Final = (
    MetricSpec(
        f"{_AGENT}/gpu/utilization",
        Metric.GPU,
        Unit.PERCENT,
        Statistic.AVERAGE,
        "ALIGN_MEAN",
        device_label="gpu_number",
        agent=_OPS_AGENT,
    ),
    MetricSpec(
        f"{_AGENT}/gpu/memory/bytes_used",
        Metric.GPU_MEMORY,
        Unit.BYTES,
        Statistic.MAXIMUM,
        "ALIGN_MAX",
        condition=_GPU_USED,
        device_label="gpu_number",
        agent=_OPS_AGENT,
    ),
)
"""Of machines with GPUs that run the Ops Agent with GPU metrics on."""


def _gke(of: str) -> tuple[MetricSpec, ...]:
    duty, used = f"kubernetes.io/{of}/accelerator/duty_cycle", f"kubernetes.io/{of}/accelerator/memory_used"
    return (
        MetricSpec(
            duty,
            Metric.GPU,
            Unit.PERCENT,
            Statistic.AVERAGE,
            "ALIGN_MEAN",
            device_label="accelerator_id",
            agent="GKE accelerator metrics",
        ),
        MetricSpec(
            used,
            Metric.GPU_MEMORY,
            Unit.BYTES,
            Statistic.MAXIMUM,
            "ALIGN_MAX",
            device_label="accelerator_id",
            agent="GKE accelerator metrics",
        ),
    )


NODE_ACCELERATORS: Final = _gke("node")
"""Of GKE nodes, GPUs and TPUs alike: GKE measures them itself, without the Ops Agent."""

CONTAINER_ACCELERATORS: Final = _gke("container")
"""The same by container, for nodes whose GKE version does not measure by node. A node that runs none has no series."""

GROUP_SIZE: Final = MetricSpec(
    "compute.googleapis.com/instance_group/size", Metric.INSTANCES, Unit.COUNT, Statistic.AVERAGE, "ALIGN_MEAN"
)
"""Instances of a managed group."""


def _of_tpu(path: str, metric: Metric, unit: Unit, aligner: str, *, is_total: bool) -> MetricSpec:
    statistic = Statistic.MAXIMUM if aligner == "ALIGN_MAX" else Statistic.AVERAGE
    return MetricSpec(
        f"tpu.googleapis.com/{path}", metric, unit, statistic, aligner, is_total=is_total, agent="TPU VM's workers"
    )


TPU_HOSTS: Final = (
    _of_tpu("cpu/utilization", Metric.CPU, Unit.PERCENT, "ALIGN_MEAN", is_total=False),
    _of_tpu("memory/usage", Metric.MEMORY, Unit.BYTES, "ALIGN_MAX", is_total=True),
    _of_tpu("network/received_bytes_count", Metric.NETWORK_IN, Unit.BYTES_PER_SECOND, "ALIGN_RATE", is_total=True),
    _of_tpu("network/sent_bytes_count", Metric.NETWORK_OUT, Unit.BYTES_PER_SECOND, "ALIGN_RATE", is_total=True),
)
"""Of the hosts of a TPU VM, all workers together (`tpu_worker`). CPU comes by core: its peak would be of a core."""

TPU_UNREAD: Final = (
    "gpu: tpu.googleapis.com/accelerator/duty_cycle names a worker, and nothing says of which TPU VM it is",
    "gpu_memory: tpu.googleapis.com/accelerator/memory_used names a worker, and nothing says of which TPU VM it is",
)
"""What is missing of every TPU VM: its accelerators are measured as `tpu.googleapis.com/GceTpuWorker`, whose labels are
project, location and `worker_id`, and the Cloud TPU API tells no node's worker ids."""


def _online(path: str, metric: Metric, unit: Unit, aligner: str = "ALIGN_MEAN", *, is_total: bool = True) -> MetricSpec:
    statistic = Statistic.MAXIMUM if aligner == "ALIGN_MAX" else Statistic.AVERAGE
    name = f"aiplatform.googleapis.com/prediction/online/{path}"
    return MetricSpec(name, metric, unit, statistic, aligner, is_total=is_total, agent="deployed model")


DEPLOYED_MODEL: Final = (
    _online("cpu/utilization", Metric.CPU, Unit.VCPUS),
    _online("memory/bytes_used", Metric.MEMORY, Unit.BYTES, "ALIGN_MAX"),
    _online("network/received_bytes_count", Metric.NETWORK_IN, Unit.BYTES_PER_SECOND, "ALIGN_RATE"),
    _online("network/sent_bytes_count", Metric.NETWORK_OUT, Unit.BYTES_PER_SECOND, "ALIGN_RATE"),
    _online("replicas", Metric.INSTANCES, Unit.COUNT),
)
"""Of a model on Vertex AI, its replicas together. CPU is 1 for each vCPU in use: with several it exceeds 100 %."""

DEPLOYED_MODEL_ACCELERATORS: Final = (
    _online("accelerator/duty_cycle", Metric.GPU, Unit.RATIO, is_total=False),
    _online("accelerator/memory/bytes_used", Metric.GPU_MEMORY, Unit.BYTES, "ALIGN_MAX"),
)
"""Of one on machines with accelerators: the mean share of time that they worked, and what they hold together."""
