"""Series in csv files: a column `timestamp`, and `value` or one column a metric. Each file is one resource.

    timestamp,value                          the metric is told by a flag, or by the file's name
    timestamp,cpu,memory                     one series a column
    timestamp,resource,metric,value          several resources in one file; also unit, statistic, device

Stamps are ISO 8601 (UTC where no zone is said) or seconds since 1970. An empty value is a gap.
"""

import csv
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO

from trimtab import vocabulary
from trimtab.cli.files import STDIN
from trimtab.v1 import rightsizing_pb2 as pb

_STAMPS: Final = ("timestamp", "time", "date", "datetime", "ts")
_VALUES: Final = ("value", "values")
_RESOURCES: Final = ("resource", "resource_id", "instance", "instance_id")
_FACTS: Final = ("metric", "unit", "statistic", "device")
_SHOWN_STDIN: Final = Path("stdin")
_MILLISECONDS_FROM: Final = 1e11
"""More seconds than this since 1970 are milliseconds: the year 5138 is not measured yet."""

_SUMS: Final = frozenset(
    {
        pb.METRIC_NETWORK_IN,
        pb.METRIC_NETWORK_OUT,
        pb.METRIC_DISK_READ_BYTES,
        pb.METRIC_DISK_WRITE_BYTES,
        pb.METRIC_DISK_READ_OPS,
        pb.METRIC_DISK_WRITE_OPS,
        pb.METRIC_OOM_KILLS,
    }
)
"""What monitoring gives as an amount of each interval."""

_NAMES: Final[tuple[tuple[tuple[str, ...], pb.Metric.ValueType], ...]] = (
    (("throttl",), pb.METRIC_CPU_THROTTLED),
    (("gpu", "mem"), pb.METRIC_GPU_MEMORY),
    (("gpu",), pb.METRIC_GPU),
    (("cpu",), pb.METRIC_CPU),
    (("oom",), pb.METRIC_OOM_KILLS),
    (("mem",), pb.METRIC_MEMORY),
    (("network", "in"), pb.METRIC_NETWORK_IN),
    (("network", "out"), pb.METRIC_NETWORK_OUT),
    (("disk", "read", "byte"), pb.METRIC_DISK_READ_BYTES),
    (("disk", "write", "byte"), pb.METRIC_DISK_WRITE_BYTES),
    (("disk", "read", "op"), pb.METRIC_DISK_READ_OPS),
    (("disk", "write", "op"), pb.METRIC_DISK_WRITE_OPS),
)
"""Words of which all begin a word of a file's name, and what it then measures; the first that fits."""


@dataclass(frozen=True, slots=True)
class Told:
    """What flags say of all series: empty is not said."""

    metric: str = ""
    unit: str = ""
    statistic: str = ""


@dataclass(slots=True)
class Measured:
    """One resource of the files. `untold` are names that say no metric that sizes go by."""

    resource_id: str
    series: list[pb.MetricSeries] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)


def csv_files(paths: Iterable[Path]) -> list[Path]:
    """The files (`-`, pipes and devices among them), and those of directories by name. Raises ValueError for none."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(entry for entry in path.iterdir() if entry.suffix.lower() == ".csv")
            if not inside:
                raise ValueError(f"{path}: no csv file in it")
            found += inside
        elif path == STDIN or path.exists():
            found.append(path)
        else:
            raise ValueError(f"{path}: no such file or directory")
    if not found:
        raise ValueError("name csv files, or a directory of them")
    return found


def read_csv(path: Path, told: Told) -> list[Measured]:
    """The resources of a file: one named like the file, or as its column says.

    Raises ValueError, naming the line, for what is no such file.
    """
    try:
        with _opened(path) as lines:
            rows = csv.DictReader(lines)
            columns = {(name or "").strip().lower(): name for name in rows.fieldnames or ()}
            shown = _SHOWN_STDIN if path == STDIN else path
            return list(_resources(shown, columns, _numbered(shown, rows), told))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: cannot be read as csv ({error})") from None


def metric_of(name: str) -> pb.Metric.ValueType:
    """The metric that a name tells (`ec2_cpu_utilization_24ae8d`), or METRIC_UNSPECIFIED."""
    words = name.lower().replace("-", "_").replace(".", "_").replace(" ", "_").split("_")
    for beginnings, metric in _NAMES:
        if all(any(word.startswith(beginning) for word in words) for beginning in beginnings):
            return metric
    return pb.METRIC_UNSPECIFIED


def _opened(path: Path) -> AbstractContextManager[TextIO]:
    return nullcontext(sys.stdin) if path == STDIN else path.open(encoding="utf-8-sig", newline="")


def _numbered(path: Path, rows: "csv.DictReader[str]") -> Iterator[tuple[str, Mapping[str, str]]]:
    for row in rows:
        yield f"{path}, line {rows.line_num}", row


def _resources(
    path: Path, columns: Mapping[str, str], rows: Iterable[tuple[str, Mapping[str, str]]], told: Told
) -> Iterator[Measured]:
    stamp = _column(columns, _STAMPS)
    if stamp is None:
        raise ValueError(f"{path}: no column {_STAMPS[0]}; there are {', '.join(columns) or 'none'}")
    value, resource = _column(columns, _VALUES), _column(columns, _RESOURCES)
    facts = {fact: columns[fact] for fact in _FACTS if fact in columns}
    known = {stamp, value, resource, *facts.values()}
    measures = (
        [(value, "")] if value is not None else [(name, word) for word, name in columns.items() if name not in known]
    )
    if not measures:
        raise ValueError(f"{path}: no column {_VALUES[0]}, and none named after a metric")
    read: dict[str, dict[tuple[str, ...], tuple[list[int], list[float]]]] = {}
    for where, row in rows:
        at = _stamp(row[stamp] or "", where)
        of = (row[resource] or "").strip() if resource else ""
        said = {fact: (row[name] or "").strip() for fact, name in facts.items()}
        for name, word in measures:
            key = (said.get("metric", "") or word, *(said.get(fact, "") for fact in _FACTS[1:]))
            stamps, values = read.setdefault(of or path.stem, {}).setdefault(key, ([], []))
            stamps.append(at)
            values.append(_value(row[name] or "", where))
    if not read:
        # A resource without a point is a resource still: the service says what is missing of it.
        read[path.stem] = {(word, "", "", ""): ([], []) for _, word in measures}
    for resource_id, series in read.items():
        yield _measured(resource_id, path, series, told)


def _measured(
    resource_id: str, path: Path, read: Mapping[tuple[str, ...], tuple[list[int], list[float]]], told: Told
) -> Measured:
    measured = Measured(resource_id)
    for (named, unit, statistic, device), (stamps, values) in read.items():
        told_by = told.metric or named or path.stem
        metric = vocabulary.metric(told.metric) if told.metric else metric_of(told_by)
        if metric == pb.METRIC_UNSPECIFIED:
            measured.untold.append(told_by)
            continue
        series = pb.MetricSeries(metric=metric, device=device, epoch_seconds=stamps, values=values)
        if told.unit or unit:
            series.unit = vocabulary.unit(told.unit or unit)
        if told.statistic or statistic:
            series.statistic = vocabulary.statistic(told.statistic or statistic)
        elif metric in _SUMS and not series.unit:
            series.statistic = pb.STATISTIC_SUM
        measured.series.append(series)
    return measured


def _column(columns: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((columns[name] for name in names if name in columns), None)


def _stamp(text: str, where: str) -> int:
    shown = text.strip()
    try:
        seconds = float(shown)
    except ValueError:
        pass
    else:
        if math.isfinite(seconds):
            return int(seconds / 1000 if abs(seconds) >= _MILLISECONDS_FROM else seconds)
    try:
        moment = datetime.fromisoformat(shown)
    except ValueError:
        raise ValueError(f"{where}: expected a timestamp such as 2026-11-24 08:00:00, not {shown[:40]!r}") from None
    return int((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp())


def _value(text: str, where: str) -> float:
    shown = text.strip()
    try:
        return float(shown) if shown else math.nan
    except ValueError:
        raise ValueError(f"{where}: expected a number, not {shown[:40]!r}") from None
