"""How long a catalogue takes to load, to swap, and what it costs in memory and in the latency of decisions.

    python -m tests.bench.catalog_load [--quick] [--catalog DIR]

`load_s` is the wall time of a whole load in its own process, start of the process included, as at the start of a
server; `reload_s` the same beside decisions, to which it leaves the processors. `swap_ms` is the median of
many swaps (`swap_max_ms` the longest), letting go of the old catalogue included. `rss_mib` is what the server holds
after the run; with `--no-server`, what a fresh process holds that has read every page. The ratio
`place_p99_during_reload_ratio` is the p99 of unary `Place` calls that overlap reloads over the p99 of the others, from
one client over a real port. The last line is one JSON object.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import psutil

from tests.support.server import ServerProcess
from trimtab_service.catalog.library import CatalogLibrary, LoadedCatalog
from trimtab_service.catalog.source_layout import find_table
from trimtab_service.catalog.starter_source import STARTER_DIRECTORY
from trimtab_service.catalog.storage import open_snapshot

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "catalog"


def change_content(source: Path, number: int) -> None:
    """Gives a source directory another version: the place name of its regions."""
    path = find_table(source, "regions")
    if path is None:
        raise FileNotFoundError(f"{source} has no regions")
    frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema=False)
    path.unlink()
    frame.with_columns(location=pl.lit(f"Somewhere {number}")).write_csv(source / "regions.csv")


def _now() -> datetime:
    return datetime.now(UTC)


def measure_load(source: Path, root: Path, times: int) -> tuple[list[float], LoadedCatalog]:
    """Wall seconds of loads of changed content, each in a process of its own; and the last catalogue."""
    library = CatalogLibrary(root, source, clock=_now)
    seconds = []
    for number in range(times):
        change_content(source, number)
        started = time.perf_counter()
        library.refresh(paced=False)
        seconds.append(time.perf_counter() - started)
    return seconds, library.current


def measure_swap(root: Path, source: Path, times: int) -> tuple[float, float, float]:
    """Median and longest swap in ms (bring into force, read back), and median ms to open off the read path."""
    library = CatalogLibrary(root, source, clock=_now)
    library.follow()
    versions = [load.version for _, load in library.history()]
    load, opened, swaps = library.current.load, [], []
    for number in range(times):
        started = time.perf_counter()
        snapshot = open_snapshot(root / versions[number % len(versions)])
        opened.append(time.perf_counter() - started)
        waiting = LoadedCatalog(snapshot, load, number)
        started = time.perf_counter()
        library._current = waiting
        seen = library.current
        swaps.append(time.perf_counter() - started)
        if seen is not waiting:
            raise AssertionError("the swap was not seen")
    return statistics.median(swaps) * 1_000, max(swaps) * 1_000, statistics.median(opened) * 1_000


def resident_mib_of_reader(directory: Path) -> float:
    """Resident MiB of a fresh process after every page of every array and table was read."""
    snapshot = open_snapshot(directory)
    total = sum(
        float(np.isfinite(table.price_nanos).sum()) + int(table.rank.sum()) for table in snapshot.tables.values()
    )
    total += int(snapshot.rows.price_nanos.sum()) + int(snapshot.offers.row.sum())
    if total <= 0:
        raise AssertionError("an empty catalogue measures nothing")
    return float(psutil.Process().memory_info().rss) / 2**20


@contextmanager
def served(source: Path, data: Path) -> Iterator[tuple[ServerProcess, str]]:
    """A real server on a free port; yields it and its address."""
    server = ServerProcess(
        {
            "TRIMTAB_LISTEN": "127.0.0.1:0",
            "TRIMTAB_ADMIN_LISTEN": "127.0.0.1:0",
            "TRIMTAB_DATA_DIR": str(data),
            "TRIMTAB_CATALOG_DIR": str(source),
        },
        module="trimtab_service",
    )
    try:
        yield server, str(server.event("listening")["address"])
    finally:
        server.close()


def measure_place(source: Path, data: Path, seconds: float) -> tuple[float, float, float, float]:
    """p99 in ms of `Place` without and with a reload under way, its median s, and the server's MiB at the end."""
    import trimtab  # noqa: PLC0415 - generated stubs; the other figures do not need them

    with served(source, data) as (server, address), trimtab.Client(address) as client:
        workload = trimtab.workload(vcpus=8, memory_gib=32, hours=8, residency=["EU"])
        for _ in range(300):
            client.place(workload)
        reloading = threading.Event()
        stop = threading.Event()
        calm: list[float] = []
        busy: list[float] = []
        reloads: list[float] = []

        def reload() -> None:
            number = 1_000
            while not stop.wait(1.0):
                change_content(source, number)
                reloading.set()
                began = time.perf_counter()
                client.catalog.refresh_catalog(timeout=60)
                reloads.append(time.perf_counter() - began)
                reloading.clear()
                number += 1

        thread = threading.Thread(target=reload, daemon=True)
        thread.start()
        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends:
            overlaps = reloading.is_set()
            started = time.perf_counter()
            client.place(workload)
            took = time.perf_counter() - started
            (busy if overlaps or reloading.is_set() else calm).append(took)
        stop.set()
        thread.join()
        resident = float(psutil.Process(server.process.pid).memory_info().rss) / 2**20
    print(f"Place calls: {len(calm):,} calm, {len(busy):,} during reloads")
    for name, times in (("calm", calm), ("during reloads", busy)):
        p50, p95, p999 = (np.percentile(times, [50, 95, 99.9]) * 1_000).tolist()
        print(f"Place {name}: p50 {p50:.2f} ms, p95 {p95:.2f} ms, p99.9 {p999:.2f} ms")
    calm_ms, busy_ms = (float(np.percentile(times, 99)) * 1_000 for times in (calm, busy))
    return calm_ms, busy_ms, statistics.median(reloads), resident


def main() -> int:
    """Measures and prints; returns an exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions; under 50 s")
    parser.add_argument("--catalog", type=Path, help="source directory (the shared one, else the packaged starter)")
    parser.add_argument("--no-server", action="store_true", help="leave out what needs a running server")
    options = parser.parse_args()
    given: Path = options.catalog or (SHARED if SHARED.is_dir() else STARTER_DIRECTORY)
    with tempfile.TemporaryDirectory(prefix="trimtab-bench-") as scratch:
        source, root = Path(scratch) / "source", Path(scratch) / "catalogs"
        shutil.copytree(given, source, copy_function=shutil.copyfile)
        source.chmod(0o755)
        loads, current = measure_load(source, root, 3 if options.quick else 10)
        print(f"{given.name}: {current.load.source_rows:,} rows in, {current.load.price_rows:,} out")
        print(f"load, process start included: median {statistics.median(loads):.2f} s, longest {max(loads):.2f} s")
        swap_ms, swap_max_ms, open_ms = measure_swap(root, source, 20 if options.quick else 100)
        print(f"swap: median {swap_ms:.4f} ms, longest {swap_max_ms:.4f} ms")
        print(f"opening a version, off the read path: median {open_ms:.1f} ms")
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
            resident = fresh.submit(resident_mib_of_reader, root / current.load.version).result()
        print(f"resident, every page touched: {resident:.0f} MiB")
        ratio: float | None = None
        reload_s: float | None = None
        if not options.no_server:
            calm, busy, reload_s, resident = measure_place(source, Path(scratch) / "data", 15 if options.quick else 60)
            ratio = busy / calm
            print(f"load beside decisions: median {reload_s:.2f} s")
            print(f"Place p99: {calm:.2f} ms calm, {busy:.2f} ms during reloads; server resident {resident:.0f} MiB")
    figures = {
        "rows": current.load.source_rows,
        "load_s": round(statistics.median(loads), 3),
        "load_max_s": round(max(loads), 3),
        "swap_ms": round(swap_ms, 4),
        "swap_max_ms": round(swap_max_ms, 4),
        "open_ms": round(open_ms, 1),
        "reload_s": None if reload_s is None else round(reload_s, 3),
        "rss_mib": round(resident, 1),
        "place_p99_during_reload_ratio": None if ratio is None else round(ratio, 2),
    }
    print(orjson.dumps(figures).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
