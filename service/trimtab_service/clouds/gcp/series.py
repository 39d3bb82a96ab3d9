"""Answers of ListTimeSeries as raw series."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from trimtab_service.clouds.gcp.metrics import MetricSpec, Subject
from trimtab_service.rightsizing.telemetry import RawSeries

if TYPE_CHECKING:
    from google.cloud.monitoring_v3.types import TimeSeries

_NUMBERS: Final = {"double_value", "int64_value"}


@dataclass(slots=True)
class Collected:
    """Points of one query by subject and device, put together over pages.

    `is_incomplete`: the service said that its answer may lack something. `unreadable` subjects had values that are no
    numbers (a distribution): they are named instead of being guessed at.
    """

    spec: MetricSpec
    subject: Subject
    period_s: int
    points: dict[tuple[str, str], list[tuple[int, float]]] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    is_incomplete: bool = False

    def add(self, series: "Iterable[TimeSeries]") -> int:
        """Take in the series of one page (raw protobuf messages, not proto-plus); answers how many there were."""
        number = 0
        for one in series:
            number += 1
            name = _label(one, self.subject)
            device = one.metric.labels.get(self.spec.device_label, "") if self.spec.device_label else ""
            points = self.points.setdefault((name, device), [])
            for point in one.points:
                kind = point.value.WhichOneof("value")
                if kind not in _NUMBERS:
                    self.unreadable.add(name)
                    continue
                value = getattr(point.value, kind)
                # An aligned point carries the end of its interval; ours begin there.
                points.append((point.interval.end_time.seconds - self.period_s, value))
        return number

    def raw_series(self) -> Iterator[tuple[str, RawSeries]]:
        """Each series with the subject it is of, in order of subject and device.

        Cloud Monitoring gives the newest point first; the order is turned, and nothing else is touched.
        """
        for (name, device), points in sorted(self.points.items()):
            if not points:
                continue
            stamps, values = zip(*sorted(points, key=lambda point: point[0]), strict=True)
            yield (
                name,
                RawSeries(
                    self.spec.metric,
                    self.spec.unit,
                    self.spec.statistic,
                    np.asarray(stamps, dtype=np.int64),
                    np.asarray(values, dtype=np.float64),
                    device,
                    self.period_s,
                    self.is_incomplete,
                ),
            )


def _label(series: "TimeSeries", subject: Subject) -> str:
    """The subject's label, wherever Cloud Monitoring keeps it."""
    key = subject.value.rpartition(".")[2]
    if subject.is_metadata:
        value = series.metadata.system_labels.fields[key]
        # The label is a list where an instance is of several groups.
        return str(value.string_value or next((one.string_value for one in value.list_value.values), ""))
    name = str(series.resource.labels.get(key, ""))
    return f"{name}/{series.metric.labels.get(subject.part_label, '')}" if subject.part_label else name
