"""A fleet's sizes from its metrics, in one core's second: our reduction against a plain numpy sort of the same array.

    python -m tests.bench.rightsizing_fleet [--quick] [--resources N] [--points N] [--catalog DIR] [--repeat N]
        [--metrics cpu,memory,network,disk_throughput]

Metrics are hourly, float32, on disk, one file each, and are read in chunks: they never are in memory as a whole. One
in ten resources is younger than the window, one in a hundred points is missing, one in a thousand resources has none.

- `simple_s`: one core; read CPU and memory, P95 of CPU, maximum of memory, and for each resource the cheapest type of
  its own cloud and region (12 regions of three clouds, on demand) with at least so many vCPUs and GiB.
- `full_s`: two processes, already started; read four metrics; 4 percentiles, maximum and mean of each; what `safe`,
  `balanced` and `economy` advise, each by its own rule for the metric, and their walk forward (each day after the
  first seven is tested; sizes are advised anew every week, not daily); and the choice of types for all three. CPU,
  network and disk throughput are sized by least regret, memory by its peak, which is about a quarter of the work.
  `--metrics` takes others: `cpu,memory,gpu,gpu_memory` are two of either kind.
- `numpy_sort_s`: `np.sort` of the CPU array, whole and in memory, one core. `numpy_sort_ratio` is `simple_s` over it;
  `full_numpy_sort_ratio` is `full_s` over four of it.
- `full_cpu_s`: CPU seconds of both workers in the full run, which a busy machine changes less than the wall time.
- `rss_mib`: the highest sum of resident sizes of all processes while the full run lasted.

Times are the best of `--repeat` runs, taken in turn: whatever else the machine does only makes them longer. All runs
are printed. The last line is one JSON object.
"""

import argparse
import multiprocessing
import os
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeAlias

import numpy as np
import orjson
import psutil

from tests.support.shared_data import catalog_directory
from tests.support.snapshots import snapshot_of
from trimtab_service.catalog.arrays import F64, I32
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.rightsizing.arrays import F32
from trimtab_service.rightsizing.fleet import FleetWalk, MetricChunk, Reduction, reduce_chunk, walk_chunk
from trimtab_service.rightsizing.loads import Loads
from trimtab_service.rightsizing.profiles import BALANCED, ECONOMY, SAFE
from trimtab_service.rightsizing.sizes import SizeTable, cheapest_types, size_table

METRICS: Final = (Dimension.CPU, Dimension.MEMORY, Dimension.NETWORK, Dimension.DISK_THROUGHPUT)
"""CPU and memory come first: they choose the type."""
PERCENTS: Final = (50.0, 90.0, 95.0, 99.5)
OURS: Final = (SAFE, BALANCED, ECONOMY)
CHUNK: Final = 2_048
Reduced: TypeAlias = list[tuple[Reduction, list[FleetWalk]]]
"""By metric: the reduction, and the walk of each profile."""
END_S: Final = 1_700_438_400 + 30 * 86_400
WORKERS: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """Where the metrics lie, and what each resource is now: present vCPUs and GiB [r], and its cell's table [r]."""

    directory: Path
    resources: int
    points: int
    vcpus: F32
    memory_gib: F32
    table_of: I32
    metrics: tuple[Dimension, ...] = METRICS

    def chunk(self, metric: Dimension, begin: int) -> F32:
        """Rows from `begin`, at most `CHUNK`: a share of the present size, in percent."""
        rows = min(CHUNK, self.resources - begin)
        at = begin * self.points * 4
        path = self.directory / f"{metric}.f32"
        return np.fromfile(path, np.float32, rows * self.points, offset=at).reshape(rows, self.points)


def write_metrics(directory: Path, resources: int, points: int, metrics: tuple[Dimension, ...] = METRICS) -> None:
    """Writes loads of cycles, noise and bursts, in percent, with gaps."""
    hours = np.arange(points)
    for number, metric in enumerate(metrics):
        random = np.random.default_rng(number)
        with (directory / f"{metric}.f32").open("wb") as file:
            for begin in range(0, resources, CHUNK):
                rows = min(CHUNK, resources - begin)
                base = random.lognormal(2.5, 0.8, (rows, 1)).astype(np.float32)
                swing = random.uniform(0, 0.8, (rows, 1)).astype(np.float32)
                phase = random.uniform(0, 24, (rows, 1)).astype(np.float32)
                load = base * (1 + swing * np.sin((hours[None, :] - phase) * np.float32(np.pi / 12), dtype=np.float32))
                load *= random.gamma(8, 1 / 8, (rows, points)).astype(np.float32)
                load[random.random((rows, points), dtype=np.float32) < 0.004] *= 4
                load[random.random((rows, points), dtype=np.float32) < 0.01] = np.nan
                for row in np.flatnonzero(random.random(rows) < 0.1):
                    load[row, : random.integers(points)] = np.nan
                load[random.random(rows) < 0.001] = np.nan
                np.minimum(load, np.float32(100)).astype(np.float32).tofile(file)


def tables_of(snapshot: CatalogSnapshot) -> list[SizeTable]:
    """Tables of twelve regions, those with most on-demand types of each cloud."""
    tables = [size_table(snapshot, 0, region) for region in range(snapshot.region_count)]
    chosen: list[SizeTable] = []
    for cloud in range(3):
        own = [tables[r] for r in np.flatnonzero(snapshot.region_cloud == cloud)]
        chosen += sorted(own, key=lambda table: -table.vcpus.size)[:4]
    return [table for table in chosen if table.vcpus.size]


def simple(fleet: Fleet, tables: list[SizeTable]) -> tuple[I32, F64]:
    """P95 of CPU and the highest memory of every resource, and the cheapest type with as much."""
    begins = range(0, fleet.resources, CHUNK)
    cpu = np.concatenate([reduce_chunk(fleet.chunk(Dimension.CPU, b), (95.0,)).percentiles[:, 0] for b in begins])
    memory = np.concatenate([np.fmax.reduce(fleet.chunk(Dimension.MEMORY, b), axis=1) for b in begins])
    return cheapest_types(tables, fleet.table_of, cpu * fleet.vcpus / 100, memory * fleet.memory_gib / 100)


def full_chunk(fleet: Fleet, begin: int) -> tuple[Reduced, float]:
    """Everything about some resources, by metric, and the CPU seconds that it took."""
    started = time.process_time()
    answer = []
    for metric in fleet.metrics:
        values = fleet.chunk(metric, begin)
        walks = walk_chunk(
            MetricChunk(metric, Loads.of(values, END_S, 3_600)), [profile.estimator(metric) for profile in OURS]
        )
        answer.append((reduce_chunk(values, PERCENTS), walks))
    return answer, time.process_time() - started


def full(fleet: Fleet, tables: list[SizeTable], pool: ProcessPoolExecutor) -> tuple[list[Reduced], float]:
    """The whole fleet in worker processes, the types for what each profile advises, and the workers' CPU seconds."""
    begins = range(0, fleet.resources, CHUNK)
    parts, seconds = zip(*pool.map(full_chunk, [fleet] * len(begins), begins), strict=True)
    for number in range(len(OURS)):
        cpu, memory = (np.concatenate([part[metric][1][number].advised for part in parts]) for metric in (0, 1))
        cheapest_types(tables, fleet.table_of, cpu * fleet.vcpus / 100, memory * fleet.memory_gib / 100)
    return list(parts), sum(seconds)


class ResidentWatch:
    """Highest sum of resident sizes of this process and its children, in MiB, looked at fifty times a second."""

    def __init__(self) -> None:
        self.highest = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._stop.wait(0.02):
            sizes = [process.memory_info().rss for process in (own, *own.children(recursive=True))]
            self.highest = max(self.highest, sum(sizes) / 2**20)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def timed_sort(fleet: Fleet) -> float:
    """Seconds of `np.sort` of the CPU array in one piece."""
    begins = range(0, fleet.resources, CHUNK)
    array = np.concatenate([fleet.chunk(Dimension.CPU, begin) for begin in begins])
    started = time.perf_counter()
    np.sort(array, axis=1)
    return time.perf_counter() - started


def main() -> None:
    """Measures, prints, ends on the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under 50 seconds: two runs of the full part")
    parser.add_argument("--resources", type=int, default=100_000)
    parser.add_argument("--points", type=int, default=720, help="hours; whole days")
    parser.add_argument("--catalog", type=Path, default=None, help="a catalogue directory")
    parser.add_argument("--repeat", type=int, default=None, help="runs of each (5, with --quick 2 and 3)")
    parser.add_argument("--metrics", default=",".join(METRICS), help="four, of which the first are cpu and memory")
    options = parser.parse_args()
    metrics = tuple(Dimension(name) for name in options.metrics.split(","))
    if metrics[:2] != METRICS[:2]:
        parser.error("the first two metrics are cpu and memory")
    # Workers are processes; a BLAS that starts threads of its own in each would only get in its own way.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    times: dict[str, list[float]] = {"simple": [], "sort": [], "full": [], "cpu": []}
    with tempfile.TemporaryDirectory(prefix="trimtab-fleet-") as root:
        tables = tables_of(snapshot_of(options.catalog or catalog_directory(), Path(root)))
        random = np.random.default_rng(99)
        fleet = Fleet(
            directory=Path(root),
            resources=options.resources,
            points=options.points,
            vcpus=random.choice([2, 4, 8, 16, 32, 64], options.resources).astype(np.float32),
            memory_gib=random.choice([8, 16, 32, 64, 128], options.resources).astype(np.float32),
            table_of=random.integers(0, len(tables), options.resources).astype(np.int32),
            metrics=metrics,
        )
        write_metrics(fleet.directory, fleet.resources, fleet.points, fleet.metrics)
        with ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn")) as pool:
            list(pool.map(full_chunk, [fleet] * WORKERS, [0] * WORKERS))
            with ResidentWatch() as watch:
                parts: list[Reduced] = []
                for run in range(options.repeat or (2 if options.quick else 5)):
                    started = time.perf_counter()
                    parts, seconds = full(fleet, tables, pool)
                    times["cpu"].append(seconds)
                    times["full"].append(time.perf_counter() - started)
                    print(f"full, run {run + 1}: {times['full'][-1]:.2f} s, {seconds:.2f} s of CPU in the workers")
        describe(parts, metrics)
        types = np.empty(0, dtype=np.int32)
        for _ in range(options.repeat or (3 if options.quick else 5)):
            started = time.perf_counter()
            types, _ = simple(fleet, tables)
            times["simple"].append(time.perf_counter() - started)
            times["sort"].append(timed_sort(fleet))
    simple_s, sort_s, full_s, cpu_s = (min(times[name]) for name in ("simple", "sort", "full", "cpu"))
    print(
        f"simple: {simple_s:.3f} s, a type for {(types >= 0).mean():.2%}; plain sort of the CPU array: {sort_s:.3f} s"
    )
    print(f"full: {full_s:.2f} s ({cpu_s:.2f} s of CPU in {WORKERS} workers), highest resident {watch.highest:.0f} MiB")
    figures = {
        "resources": options.resources,
        "points": options.points,
        "simple_s": round(simple_s, 3),
        "full_s": round(full_s, 3),
        "numpy_sort_ratio": round(simple_s / sort_s, 2),
        "rss_mib": round(watch.highest, 1),
        "numpy_sort_s": round(sort_s, 3),
        "full_numpy_sort_ratio": round(full_s / (len(metrics) * sort_s), 2),
        "full_cpu_s": round(cpu_s, 3),
        "workers": WORKERS,
    }
    print(orjson.dumps(figures).decode())


def describe(parts: list[Reduced], metrics: tuple[Dimension, ...]) -> None:
    """Prints what the walk forward found, so that it is seen to have been done."""
    for number, metric in enumerate(metrics):
        for which, profile in enumerate(OURS):
            walks = [part[number][1][which] for part in parts]
            exceedance, slack = (
                float(np.nanmean(np.concatenate([getattr(walk, name) for walk in walks])))
                for name in ("exceedance", "slack")
            )
            print(f"{metric:10} {profile.name:10} exceedance {exceedance:7.3%}, slack {slack:6.1%}")


if __name__ == "__main__":
    main()
