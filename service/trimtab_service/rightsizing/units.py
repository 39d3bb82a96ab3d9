"""From what a series counts to the unit of its dimension.

| metric | dimension, unit | how |
| --- | --- | --- |
| CPU | vCPU | percent and ratio of the present vCPUs; a counter of vCPU seconds as its rate |
| memory | GiB | percent and ratio of the present memory |
| network in and out | Gbit/s | bytes within an interval divided by it |
| disk operations, bytes | IOPS, MiB/s | likewise, reads and writes added |
| GPU | GPU | percent and ratio of one GPU (`device`) or, as the mean of all, of their number |
| GPU memory | GiB | likewise, of one GPU's or all GPUs' memory |
"""

from typing import Final, NamedTuple

from trimtab_service.domain.dimensions import Dimension, Metric, Statistic, Unit
from trimtab_service.rightsizing.present import Present
from trimtab_service.rightsizing.telemetry import RawSeries

GIB: Final = float(2**30)
_MIB: Final = float(2**20)
_GIGA_BITS: Final = 8e-9

DIMENSION_OF: Final[dict[Metric, Dimension]] = {
    Metric.CPU: Dimension.CPU,
    Metric.MEMORY: Dimension.MEMORY,
    Metric.NETWORK_IN: Dimension.NETWORK,
    Metric.NETWORK_OUT: Dimension.NETWORK,
    Metric.DISK_READ_OPS: Dimension.DISK_IOPS,
    Metric.DISK_WRITE_OPS: Dimension.DISK_IOPS,
    Metric.DISK_READ_BYTES: Dimension.DISK_THROUGHPUT,
    Metric.DISK_WRITE_BYTES: Dimension.DISK_THROUGHPUT,
    Metric.GPU: Dimension.GPU,
    Metric.GPU_MEMORY: Dimension.GPU_MEMORY,
}
"""Metrics that are loads; the others are events and counts of instances."""

_FLOWS: Final = frozenset({Dimension.NETWORK, Dimension.DISK_IOPS, Dimension.DISK_THROUGHPUT})

_FACTORS: Final[dict[Dimension, dict[Unit, float]]] = {
    Dimension.CPU: {Unit.VCPUS: 1.0},
    Dimension.MEMORY: {Unit.BYTES: 1 / GIB, Unit.GIB: 1.0},
    Dimension.NETWORK: {
        Unit.BYTES: _GIGA_BITS,
        Unit.GIB: _GIGA_BITS * GIB,
        Unit.BYTES_PER_SECOND: _GIGA_BITS,
        Unit.BITS_PER_SECOND: 1e-9,
    },
    Dimension.DISK_IOPS: {Unit.COUNT: 1.0, Unit.COUNT_PER_SECOND: 1.0},
    Dimension.DISK_THROUGHPUT: {Unit.BYTES: 1 / _MIB, Unit.GIB: 1_024.0, Unit.BYTES_PER_SECOND: 1 / _MIB},
    Dimension.GPU: {Unit.GPUS: 1.0},
    Dimension.GPU_MEMORY: {Unit.BYTES: 1 / GIB, Unit.GIB: 1.0},
}
_AMOUNTS: Final = frozenset({Unit.BYTES, Unit.GIB, Unit.COUNT})


class Scale(NamedTuple):
    """What a value is multiplied by.

    `of_share`: the value was a share of one instance, so that a group's load is it times the instances of the moment.
    `whole` is the most there can be, in the series' own unit (infinite where there is no such bound).
    `statistic` is how the grid is to read the values once `factor` is applied.
    """

    factor: float
    of_share: bool
    whole: float
    statistic: Statistic


def scale_of(series: RawSeries, dimension: Dimension, present: Present, *, bounded: bool) -> Scale | None:
    """The scale of a series, None where its unit says nothing of the dimension or the whole is not known.

    `bounded`: use cannot be above what there is. It can for a container, which may burst over its requests.
    """
    shared = {Unit.PERCENT: 100.0, Unit.RATIO: 1.0}.get(series.unit)
    if shared is not None:
        whole = _whole(series, dimension, present)
        if whole is None:
            return None
        return Scale(
            whole / shared, of_share=True, whole=shared if bounded else float("inf"), statistic=series.statistic
        )
    factor = _FACTORS[dimension].get(series.unit)
    if factor is None:
        return None
    statistic = series.statistic
    if dimension in _FLOWS and series.unit in _AMOUNTS and statistic is not Statistic.COUNTER:
        # Amounts within an interval: with the interval known a rate at once, else by the distance of the points.
        if series.step_seconds > 0:
            return Scale(factor / series.step_seconds, of_share=False, whole=float("inf"), statistic=Statistic.AVERAGE)
        statistic = Statistic.SUM
    limit = float("inf")
    if bounded and dimension not in _FLOWS and statistic in {Statistic.AVERAGE, Statistic.MAXIMUM}:
        own = _whole(series, dimension, present)
        limit = float("inf") if own is None or present.is_group else own / factor
    return Scale(factor, of_share=False, whole=limit, statistic=statistic)


def _whole(series: RawSeries, dimension: Dimension, present: Present) -> float | None:
    """What a share is of, in the dimension's unit: of one instance, or of one of its GPUs."""
    if series.device and dimension is Dimension.GPU:
        return min(present.gpus, 1.0) or 1.0
    if series.device and dimension is Dimension.GPU_MEMORY:
        return present.capacity.gpu_memory_gib
    whole = present.has(dimension)
    return whole or None
