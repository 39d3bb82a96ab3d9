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

Points = dict[int, float]
"""Values by the beginning of their interval, in epoch seconds; of two points of one interval the higher one."""


@dataclass(slots=True)
class Collected:
    """Points of one resource by spec and machine (empty for the resource itself), put together over windows."""

    points: dict[tuple[MetricSpec, str], Points] = field(default_factory=dict)

    def add(self, metric: Mapping[str, Any]) -> None:
        """Take in one metric of the batch API's JSON. Intervals without a value are gaps, not zeros."""
        specs = _SPECS.get(str(metric["name"]["value"]).lower(), ())
        for element in metric.get("timeseries", ()):
            machine, data = _machine(element.get("metadatavalues", ())), element.get("data", ())
            stamps = _stamps([str(value["timeStamp"]) for value in data])
            for spec in specs:
                points = self.points.setdefault((spec, machine), {})
                for stamp, value in zip(stamps, data, strict=True):
                    amount = value.get(spec.aggregation)
                    if amount is not None:
                        points[stamp] = max(float(amount), points.get(stamp, float("-inf")))

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
                machines = [{at: memory_gib * _GIB - free for at, free in points.items()} for points in machines]
            if not machines:
                continue
            if is_group:
                yield from _of_group(spec, machines, memory_gib, step_s)
            else:
                yield _series(spec, machines[0], step_s)


def _of_group(spec: MetricSpec, machines: list[Points], memory_gib: float | None, step_s: int) -> Iterator[RawSeries]:
    at: dict[int, list[float]] = defaultdict(list)
    for points in machines:
        for stamp, value in points.items():
            at[stamp].append(value)
    if spec.name == AVAILABLE_MEMORY and memory_gib:
        whole = memory_gib * _GIB
        peaks = {stamp: 100 * max(values) / whole for stamp, values in at.items()}
        yield _series(replace(spec, unit=Unit.PERCENT), peaks, step_s)
        return
    fold = max if spec.statistic is Statistic.MAXIMUM else _mean if spec.unit is Unit.PERCENT else sum
    yield _series(spec, {stamp: fold(values) for stamp, values in at.items()}, step_s)
    if (spec.metric, spec.statistic) == (Metric.CPU, Statistic.AVERAGE):
        yield _series(_SIZE, {stamp: float(len(values)) for stamp, values in at.items()}, step_s)


_SPECS: Final = {spec.name.lower(): tuple(one for one in SPECS if one.name == spec.name) for spec in SPECS}
_SIZE: Final = MetricSpec("", "", Metric.INSTANCES, Unit.COUNT, Statistic.AVERAGE)


def _series(spec: MetricSpec, points: Points, step_s: int) -> RawSeries:
    stamps = np.fromiter(points, dtype=np.int64, count=len(points))
    values = np.fromiter(points.values(), dtype=np.float64, count=len(points))
    order = np.argsort(stamps, kind="stable")
    return RawSeries(spec.metric, spec.unit, spec.statistic, stamps[order], values[order], step_seconds=step_s)


def _stamps(texts: list[str]) -> list[int]:
    """Epoch seconds of `2026-11-23T12:00:00Z`. Azure writes UTC; numpy reads a list of them at once."""
    stamps: list[int] = np.array([text[:19] for text in texts], dtype="datetime64[s]").astype(np.int64).tolist()
    return stamps


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _machine(labels: Iterable[Mapping[str, Any]]) -> str:
    """The value of the dimension VMName, whose spelling differs from answer to answer."""
    return next((str(one.get("value", "")) for one in labels if one["name"]["value"].lower() == "vmname"), "")
