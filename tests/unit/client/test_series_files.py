"""Series in csv files: what is a resource, what is a metric, and what is no such file."""

import math
import os
from pathlib import Path

import pytest

from trimtab.cli.series_files import Told, csv_files, metric_of, read_csv
from trimtab.v1 import rightsizing_pb2 as pb

NOTHING = Told()


def written(path: Path, text: str, name: str = "cpu_web.csv") -> Path:
    """A file of that text."""
    file = path / name
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("ec2_cpu_utilization_24ae8d", pb.METRIC_CPU),
        ("ec2_network_in_257a54", pb.METRIC_NETWORK_IN),
        ("network-out", pb.METRIC_NETWORK_OUT),
        ("ec2_disk_write_bytes_c0d644", pb.METRIC_DISK_WRITE_BYTES),
        ("DiskReadOps", pb.METRIC_UNSPECIFIED),
        ("disk.read.ops", pb.METRIC_DISK_READ_OPS),
        ("mem_used_percent", pb.METRIC_MEMORY),
        ("gpu_0", pb.METRIC_GPU),
        ("gpu_memory", pb.METRIC_GPU_MEMORY),
        ("cpu_throttled", pb.METRIC_CPU_THROTTLED),
        ("oom_kills", pb.METRIC_OOM_KILLS),
        ("elb_request_count_8c0756", pb.METRIC_UNSPECIFIED),
    ],
)
def test_names_tell_metrics(name: str, metric: pb.Metric.ValueType) -> None:
    """What monitoring calls its files is understood; what no size goes by is not guessed at."""
    assert metric_of(name) == metric


def test_a_file_is_one_resource_of_its_name(tmp_path: Path) -> None:
    """Two columns are enough; stamps without a zone are UTC, and an empty value is a gap."""
    file = written(tmp_path, "timestamp,value\n2014-02-14 14:30:00,0.5\n2014-02-14 14:35:00\n1392388800,1e2\n")
    (one,) = read_csv(file, NOTHING)
    assert (one.resource_id, one.untold) == ("cpu_web", [])
    (series,) = one.series
    assert series.metric == pb.METRIC_CPU
    assert list(series.epoch_seconds) == [1392388200, 1392388500, 1392388800]
    assert series.values[0] == 0.5
    assert math.isnan(series.values[1])
    assert series.values[2] == 100.0


def test_columns_may_name_metrics(tmp_path: Path) -> None:
    """One series a column; a column that is no metric is told and left."""
    file = written(tmp_path, "Time,CPU,mem_used,requests\n2026-01-01T00:00:00+01:00,1,2,3\n", "host.csv")
    (one,) = read_csv(file, NOTHING)
    assert [series.metric for series in one.series] == [pb.METRIC_CPU, pb.METRIC_MEMORY]
    assert one.series[0].epoch_seconds[0] == 1767222000
    assert one.untold == ["requests"]


def test_columns_may_name_resources(tmp_path: Path) -> None:
    """Long format: a file of several resources, with metric, unit, statistic and device of each."""
    file = written(
        tmp_path,
        "timestamp,resource,metric,unit,statistic,device,value\n"
        "1700000000,a,gpu,percent,average,0,10\n"
        "1700000000,a,gpu,percent,average,1,20\n"
        "1700000060,a,gpu,percent,average,0,30\n"
        "1700000000000,b,memory,gib,maximum,,4\n",
    )
    first, second = read_csv(file, NOTHING)
    assert [(one.device, list(one.values)) for one in first.series] == [("0", [10.0, 30.0]), ("1", [20.0])]
    assert (second.resource_id, second.series[0].unit, second.series[0].statistic) == (
        "b",
        pb.UNIT_GIB,
        pb.STATISTIC_MAXIMUM,
    )
    assert list(second.series[0].epoch_seconds) == [1_700_000_000]


def test_what_flags_tell_goes_before_names(tmp_path: Path) -> None:
    """A file may be called anything."""
    file = written(tmp_path, "timestamp,value\n1700000000,1\n", "requests.csv")
    (one,) = read_csv(file, Told("memory", "gib", "maximum"))
    (series,) = one.series
    assert (series.metric, series.unit, series.statistic) == (pb.METRIC_MEMORY, pb.UNIT_GIB, pb.STATISTIC_MAXIMUM)


def test_amounts_of_an_interval_are_sums(tmp_path: Path) -> None:
    """Monitoring gives bytes and operations as what was moved within an interval."""
    file = written(tmp_path, "timestamp,value\n1700000000,1\n", "network_in.csv")
    (one,) = read_csv(file, NOTHING)
    assert one.series[0].statistic == pb.STATISTIC_SUM


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column timestamp"),
        ("when,value\n1,2\n", "no column timestamp"),
        ("timestamp\n1\n", "no column value"),
        ("timestamp,value\nyesterday,2\n", "line 2: expected a timestamp"),
        ("timestamp,value\n1700000000,2\n1700000060,many\n", "line 3: expected a number"),
    ],
)
def test_what_is_no_such_file_is_told_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    """A person can mend it."""
    file = written(tmp_path, text)
    with pytest.raises(ValueError, match=words):
        read_csv(file, NOTHING)


def test_a_binary_file_is_no_csv(tmp_path: Path) -> None:
    """It is refused as a whole."""
    file = tmp_path / "cpu.csv"
    file.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ValueError, match="cannot be read"):
        read_csv(file, NOTHING)


def test_a_file_without_a_row_is_a_resource_without_a_point(tmp_path: Path) -> None:
    """Its columns still say what was to be measured; a name that says nothing is told."""
    (one,) = read_csv(written(tmp_path, "timestamp,cpu,memory\n", "web.csv"), NOTHING)
    assert one.resource_id == "web"
    assert [(series.metric, len(series.values)) for series in one.series] == [(pb.METRIC_CPU, 0), (pb.METRIC_MEMORY, 0)]
    (other,) = read_csv(written(tmp_path, "timestamp,value\n", "web.csv"), NOTHING)
    assert (other.series, other.untold) == ([], ["web"])


def test_pipes_and_devices_are_files_too(tmp_path: Path) -> None:
    """A device without a line has no column, which is not that it is missing."""
    pipe = tmp_path / "cpu"
    os.mkfifo(pipe)
    assert csv_files([pipe, Path(os.devnull)]) == [pipe, Path(os.devnull)]
    with pytest.raises(ValueError, match="no column timestamp; there are none"):
        read_csv(Path(os.devnull), NOTHING)


def test_a_directory_is_its_csv_files(tmp_path: Path) -> None:
    """By name, others left out; an empty one and a missing one are said."""
    written(tmp_path, "", "b.csv")
    written(tmp_path, "", "a.csv")
    written(tmp_path, "", "readme.md")
    assert [file.name for file in csv_files([tmp_path])] == ["a.csv", "b.csv"]
    empty = tmp_path / "empty"
    empty.mkdir()
    for paths, words in (([empty], "no csv file"), ([tmp_path / "gone"], "no such file"), ([], "name csv files")):
        with pytest.raises(ValueError, match=words):
            csv_files(paths)
