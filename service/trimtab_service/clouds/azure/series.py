"""Answers of Azure Monitor as raw series."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from trimtab_service.clouds.azure.metrics import AVAILABLE_MEMORY, SPECS, MetricSpec
from trimtab_service.domain.dimensions import Metric, Statistic, Unit
from trimtab_service.rightsizing.telemetry import RawSeries

_GIB: Final = 2**30

Points = list[tuple[int, float]]


@dataclass(slots=True)
class Collected:
    """Points of one resource by spec and machine (empty for the resource itself), put together over windows."""

    points: dict[tuple[MetricSpec, str], Points] = field(default_factory=lambda: defaultdict(list))

    def add(self, metrics: Iterable[Any]) -> None:
        """Take in `MetricsQueryResult.metrics`. Intervals without a value are gaps, not zeros."""
        specs = defaultdict(list)
        for spec in SPECS:
            specs[spec.name.lower()].append(spec)
        for metric in metrics:
            for spec in specs.get(str(metric.name).lower(), ()):
                for element in metric.timeseries:
                    machine = _machine(element.metadata_values)
                    points = self.points[spec, machine]
                    for value in element.data:
                        amount = getattr(value, spec.aggregation)
                        if amount is not None:
                            points.append((int(value.timestamp.timestamp()), float(amount)))

    def raw_series(self, memory_gib: float | None, step_s: int, *, is_group: bool) -> Iterator[RawSeries]:
        """The series of one machine. Memory is left out where the size of the machine is not known.

        Of a group its machines are put together instant by instant: shares become the mean or the highest of any,
        amounts are summed; and how many machines were measured is a series too. Memory of a group is the fullest
        machine's, in per cent: a sum would hide it.
        """
        for spec in SPECS:
            machines = [points for (of, _), points in self.points.items() if of is spec and points]
            if spec.name == AVAILABLE_MEMORY:
                if memory_gib is None:
                    continue
                machines = [[(at, memory_gib * _GIB - free) for at, free in points] for points in machines]
            if not machines:
                continue
            if is_group:
                yield from _of_group(spec, machines, memory_gib, step_s)
            else:
                yield _series(spec, [point for points in machines for point in points], step_s)


def _of_group(spec: MetricSpec, machines: list[Points], memory_gib: float | None, step_s: int) -> Iterator[RawSeries]:
    at: dict[int, list[float]] = defaultdict(list)
    for points in machines:
        for stamp, value in dict(points).items():
            at[stamp].append(value)
    if spec.name == AVAILABLE_MEMORY and memory_gib:
        whole = memory_gib * _GIB
        peaks = [(stamp, 100 * max(values) / whole) for stamp, values in at.items()]
        yield _series(replace(spec, unit=Unit.PERCENT), peaks, step_s)
        return
    fold = max if spec.statistic is Statistic.MAXIMUM else _mean if spec.unit is Unit.PERCENT else sum
    yield _series(spec, [(stamp, fold(values)) for stamp, values in at.items()], step_s)
    if (spec.metric, spec.statistic) == (Metric.CPU, Statistic.AVERAGE):
        yield _series(_SIZE, [(stamp, float(len(values))) for stamp, values in at.items()], step_s)


_SIZE: Final = MetricSpec("", "", Metric.INSTANCES, Unit.COUNT, Statistic.AVERAGE)


def _series(spec: MetricSpec, points: Points, step_s: int) -> RawSeries:
    ordered = sorted(points, key=lambda point: point[0])
    return RawSeries(
        spec.metric,
        spec.unit,
        spec.statistic,
        np.asarray([stamp for stamp, _ in ordered], dtype=np.int64),
        np.asarray([value for _, value in ordered], dtype=np.float64),
        step_seconds=step_s,
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _machine(metadata: Mapping[str, str]) -> str:
    """The value of the dimension VMName, whose spelling differs from answer to answer."""
    return next((str(value) for key, value in metadata.items() if key.lower() == "vmname"), "")
