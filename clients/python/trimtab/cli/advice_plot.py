"""Advice as a picture: what was used, the present size, the proposed one, and where that would not have been enough."""

from __future__ import annotations  # matplotlib is an extra of its own, imported when a picture is asked for

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from trimtab import vocabulary
from trimtab.cli.advice_view import option_name
from trimtab.v1 import rightsizing_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from trimtab.v1.rightsizing_service_pb2 import RightsizingAdvice

_DIMENSION_OF: Final[Mapping[int, pb.Dimension.ValueType]] = {
    pb.METRIC_CPU: pb.DIMENSION_CPU,
    pb.METRIC_MEMORY: pb.DIMENSION_MEMORY,
    pb.METRIC_NETWORK_IN: pb.DIMENSION_NETWORK,
    pb.METRIC_NETWORK_OUT: pb.DIMENSION_NETWORK,
    pb.METRIC_DISK_READ_OPS: pb.DIMENSION_DISK_IOPS,
    pb.METRIC_DISK_WRITE_OPS: pb.DIMENSION_DISK_IOPS,
    pb.METRIC_DISK_READ_BYTES: pb.DIMENSION_DISK_THROUGHPUT,
    pb.METRIC_DISK_WRITE_BYTES: pb.DIMENSION_DISK_THROUGHPUT,
    pb.METRIC_GPU: pb.DIMENSION_GPU,
    pb.METRIC_GPU_MEMORY: pb.DIMENSION_GPU_MEMORY,
}
_GIB: Final = 2.0**30
_MIB: Final = 2.0**20
_GBIT: Final = 1e9
_DAY_S: Final = 86_400.0
"""matplotlib counts dates in days since 1970."""

_MOST_PANELS: Final = 8


def plot(advice: RightsizingAdvice, series: Sequence[pb.MetricSeries], path: Path) -> None:
    """Write a picture with a panel for each series. Raises ValueError where there is nothing to show.

    Raises ImportError without the extra `plot`.
    """
    import matplotlib as mpl  # noqa: PLC0415 - an extra of its own

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    shown = [one for one in series if len(one.values) and one.metric in _DIMENSION_OF][:_MOST_PANELS]
    if not shown:
        raise ValueError("no series with points to draw")
    figure, panels = plt.subplots(len(shown), 1, figsize=(11, 3.2 * len(shown)), squeeze=False, sharex=True)
    for panel, one in zip(panels[:, 0], shown, strict=True):
        _draw(panel, advice, one)
    proposed = option_name(advice.options[0]) if advice.options else "as it is"
    figure.suptitle(f"{advice.resource.resource_id}: {advice.resource.instance_type or 'now'} -> {proposed}")
    figure.autofmt_xdate()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw(panel: Axes, advice: RightsizingAdvice, series: pb.MetricSeries) -> None:
    dimension = _DIMENSION_OF[series.metric]
    now = _projection(advice.current, dimension)
    then = _projection(advice.options[0], dimension) if advice.options else None
    stamps, values = _points(series)
    factor = _factor(series, stamps, now)
    times = [stamp / _DAY_S for stamp in stamps]
    used = [value * factor for value in values]
    panel.plot(times, used, color="tab:blue", linewidth=0.7, label="used")
    unit = now.unit if now is not None else ""
    if now is not None:
        panel.axhline(now.capacity, color="tab:gray", linestyle="--", label=f"now: {now.capacity:.4g} {unit}")
    if then is not None:
        panel.axhline(then.capacity, color="tab:green", label=f"proposed: {then.capacity:.4g} {unit}")
        over = [index for index, value in enumerate(used) if value > then.capacity]
        if over:
            at, above = [times[index] for index in over], [used[index] for index in over]
            panel.scatter(at, above, color="tab:red", s=9, zorder=3, label=f"{len(over)} exceed it")
    panel.xaxis_date()
    panel.set_ylabel(f"{vocabulary.word(pb.Metric.DESCRIPTOR, series.metric)} [{unit}]")
    panel.set_ylim(bottom=0)
    panel.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize="small", frameon=False)


def _projection(option: pb.RightsizingOption, dimension: int) -> pb.DimensionProjection | None:
    return next((one for one in option.dimensions if one.dimension == dimension), None)


def _points(series: pb.MetricSeries) -> tuple[list[float], list[float]]:
    """Stamps in order, with their values; gaps stay, so that the line breaks there."""
    if series.epoch_seconds:
        pairs = sorted(zip(series.epoch_seconds, series.values, strict=True), key=lambda pair: pair[0])
        return [float(stamp) for stamp, _ in pairs], [value for _, value in pairs]
    start, step = series.start_time.seconds, series.step.seconds
    return [float(start + index * step) for index in range(len(series.values))], list(series.values)


def _factor(series: pb.MetricSeries, stamps: Sequence[float], now: pb.DimensionProjection | None) -> float:
    """What a value is multiplied by to be in the unit of its dimension."""
    whole = now.capacity if now is not None else math.nan
    held = series.metric in {pb.METRIC_MEMORY, pb.METRIC_GPU_MEMORY}
    network = series.metric in {pb.METRIC_NETWORK_IN, pb.METRIC_NETWORK_OUT}
    share = series.metric in {pb.METRIC_CPU, pb.METRIC_GPU} or held
    apart = series.step.seconds or _spacing(stamps)
    rate = 8.0 / _GBIT if network else 1.0 / _MIB
    factors: dict[int, float] = {
        pb.UNIT_UNSPECIFIED: whole / 100 if share else rate / apart,
        pb.UNIT_PERCENT: whole / 100,
        pb.UNIT_RATIO: whole,
        pb.UNIT_BYTES: 1.0 / _GIB if held else rate / apart,
        pb.UNIT_GIB: 1.0 if held else rate * _GIB / apart,
        pb.UNIT_BYTES_PER_SECOND: rate,
        pb.UNIT_BITS_PER_SECOND: rate / 8.0,
        pb.UNIT_COUNT: 1.0 / apart,
    }
    if series.metric in {pb.METRIC_DISK_READ_OPS, pb.METRIC_DISK_WRITE_OPS}:
        factors[pb.UNIT_UNSPECIFIED] = 1.0 / apart
    return factors.get(series.unit, 1.0)


def _spacing(stamps: Sequence[float]) -> float:
    """The commonest distance between stamps, in seconds."""
    apart = sorted(later - earlier for earlier, later in pairwise(stamps) if later > earlier)
    return apart[len(apart) // 2] if apart else 1.0
