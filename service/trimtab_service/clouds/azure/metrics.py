"""Which platform metrics of Azure Monitor are read, and what they become."""

from dataclasses import dataclass
from typing import Final

from trimtab_service.domain.dimensions import Metric, Statistic, Unit
from trimtab_service.domain.resources import ResourceKind

NAMESPACES: Final = {
    ResourceKind.INSTANCE: "Microsoft.Compute/virtualMachines",
    ResourceKind.INSTANCE_GROUP: "Microsoft.Compute/virtualMachineScaleSets",
}

AVAILABLE_MEMORY: Final = "Available Memory Bytes"


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric by its name in Azure Monitor, and the aggregation of it that is read (`average`, `total`, ...)."""

    name: str
    aggregation: str
    metric: Metric
    unit: Unit
    statistic: Statistic


SPECS: Final = (
    MetricSpec("Percentage CPU", "average", Metric.CPU, Unit.PERCENT, Statistic.AVERAGE),
    MetricSpec("Percentage CPU", "maximum", Metric.CPU, Unit.PERCENT, Statistic.MAXIMUM),
    # What is least available is what was most in use: turned by the size of the machine.
    MetricSpec(AVAILABLE_MEMORY, "minimum", Metric.MEMORY, Unit.BYTES, Statistic.MAXIMUM),
    MetricSpec("Network In Total", "total", Metric.NETWORK_IN, Unit.BYTES, Statistic.SUM),
    MetricSpec("Network Out Total", "total", Metric.NETWORK_OUT, Unit.BYTES, Statistic.SUM),
    MetricSpec("Disk Read Operations/Sec", "average", Metric.DISK_READ_OPS, Unit.COUNT_PER_SECOND, Statistic.AVERAGE),
    MetricSpec("Disk Write Operations/Sec", "average", Metric.DISK_WRITE_OPS, Unit.COUNT_PER_SECOND, Statistic.AVERAGE),
    MetricSpec("Disk Read Bytes", "total", Metric.DISK_READ_BYTES, Unit.BYTES, Statistic.SUM),
    MetricSpec("Disk Write Bytes", "total", Metric.DISK_WRITE_BYTES, Unit.BYTES, Statistic.SUM),
)
"""Of virtual machines and scale sets alike. The host measures them, so no agent is needed; it does not see GPUs."""

NAMES: Final = tuple(dict.fromkeys(spec.name for spec in SPECS))
AGGREGATIONS: Final = tuple(sorted({spec.aggregation for spec in SPECS}))

GPU_MISSING: Final = "gpu: Azure Monitor does not measure GPUs; read them from a Prometheus with the DCGM exporter"
