"""How long one decision takes in process, and whether it is the right one.

    python -m tests.bench.placement_core [--quick] [--catalog DIR] [--requests N] [--checked N]

Latency is of `decide` alone, from the parsed request to the decision with its fallbacks, each request new and made
just before it is timed, as a codec would. `plain`: a size, on demand and spot, a residency, one or two data sets,
three fallbacks. `full`: besides, deny lists, blocked offers, learned interruption and reported failures. Requests
that cannot be met are timed apart, since they are decided again for each relaxation. The garbage collector runs as
in the server, by the server's own function. A scan of all offers by numpy and one in plain Python stand beside.
`kept_share` is the share of plain requests whose set of allowed regions and row of the size table were both seen
before. The last line is one JSON object.

Beside each figure stands what it is made of: `cpu` is the same request by the thread's own clock, without the time
that the machine gave to others; `again` the least of a few times that the same request was decided, when its code and
data are in the processor's cache; `clock` is what reading the clock takes. What lies between `again` and `cpu` is
waiting for memory.
"""

import argparse
import gc
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import orjson

from tests.support.brute_force import BruteForce
from tests.support.comparison import compare
from tests.support.requests import Case, Requests
from tests.support.shared_data import catalog_directory
from tests.support.snapshots import snapshot_of
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.catalog.storage import open_snapshot
from trimtab_service.placement.engine import decide
from trimtab_service.placement.index import index_of
from trimtab_service.placement.question import Question
from trimtab_service.placement.scan import Scan
from trimtab_service.serving import settle_memory

if TYPE_CHECKING:
    from collections.abc import Callable

_KINDS = ("plain", "guarded", "full")


class Took(NamedTuple):
    """Microseconds of each request: by the wall, and by the thread's own clock."""

    wall: list[float]
    cpu: list[float]


def timed(snapshot: CatalogSnapshot, kind: str, count: int, seed: int) -> tuple[Took, Took]:
    """Times of `count` new requests: of those that were met, and of those that were not."""
    requests = Requests(snapshot, seed)
    make: Callable[[], Case] = getattr(requests, kind)
    met, unmet = Took([], []), Took([], [])
    for _ in range(count):
        case = make()
        spent = time.thread_time_ns()
        started = time.perf_counter_ns()
        decision = decide(case.query, snapshot, case.policy, case.state, case.instant)
        wall = time.perf_counter_ns() - started
        spent = time.thread_time_ns() - spent
        found = unmet if decision.chosen is None else met
        found.wall.append(wall / 1e3)
        found.cpu.append(spent / 1e3)
    return met, unmet


def again(snapshot: CatalogSnapshot, kind: str, count: int, seed: int) -> float:
    """Median over requests of the least microseconds of eight decisions on each."""
    requests = Requests(snapshot, seed)
    make: Callable[[], Case] = getattr(requests, kind)
    best = []
    for _ in range(count):
        case, least, decision = make(), float("inf"), None
        for _ in range(8):
            started = time.perf_counter_ns()
            decision = decide(case.query, snapshot, case.policy, case.state, case.instant)
            least = min(least, time.perf_counter_ns() - started)
        if decision is not None and decision.chosen is not None:
            best.append(least / 1e3)
    return float(np.median(best))


def clock() -> float:
    """Median microseconds between two readings of the clock."""
    took = []
    for _ in range(1_000):
        started = time.perf_counter_ns()
        took.append(time.perf_counter_ns() - started)
    return float(np.median(took)) / 1e3


def kept_share(snapshot: CatalogSnapshot, count: int, seed: int) -> float:
    """Share of plain requests that find what was kept of earlier ones."""
    requests, index, seen, hits = Requests(snapshot, seed), index_of(snapshot), set(), 0
    for _ in range(count):
        case = requests.plain()
        question = Question(case.query, index, case.policy, case.state, case.instant)
        key = (question.allowed, id(question.cheapest))
        hits += key in seen
        seen.add(key)
    return hits / count


def numpy_scan(snapshot: CatalogSnapshot, count: int, seed: int) -> list[float]:
    """Microseconds of looking at every offer with arrays."""
    requests, index, took = Requests(snapshot, seed), index_of(snapshot), []
    for _ in range(count):
        case = requests.plain()
        started = time.perf_counter_ns()
        found = Scan(Question(case.query, index, case.policy, case.state, case.instant)).found
        np.where(found.reason < 0, found.cost, np.inf).argmin()
        took.append((time.perf_counter_ns() - started) / 1e3)
    return took


def python_scan(snapshot: CatalogSnapshot, count: int, seed: int) -> list[float]:
    """Microseconds of looking at every offer that could do, one by one."""
    requests, scorer, took = Requests(snapshot, seed), BruteForce(snapshot), []
    for _ in range(count):
        case = requests.plain()
        started = time.perf_counter_ns()
        scorer.decide(case.query, case.policy, case.state, case.instant)
        took.append((time.perf_counter_ns() - started) / 1e3)
    return took


def check(directory: str, seed: int, until: float, count: int) -> tuple[int, list[str]]:
    """Requests of all kinds against the brute-force scorer, until the time or the count is over."""
    snapshot = open_snapshot(Path(directory))
    requests, scorer = Requests(snapshot, seed), BruteForce(snapshot)
    checked, wrong = 0, []
    while checked < count and time.time() < until:
        # Two of three are of full variety; the others check what is timed.
        kind = ("full", "plain", "full", "guarded", "full", "full")[checked % 6]
        case: Case = getattr(requests, kind)()
        _, difference = compare(snapshot, scorer, case)
        checked += 1
        if difference:
            wrong.append(f"{kind} {seed}/{checked}: {difference}")
    return checked, wrong


def main() -> None:
    """Measures, prints, ends on the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under 50 seconds; fewer requests, and fewer checked")
    parser.add_argument("--catalog", type=Path, default=None, help="a catalogue directory")
    parser.add_argument("--requests", type=int, default=None, help="requests timed of each kind")
    parser.add_argument("--checked", type=int, default=None, help="requests checked against brute force (10,000)")
    options = parser.parse_args()
    count = options.requests or (3_000 if options.quick else 20_000)
    to_check = options.checked or 10_000
    with tempfile.TemporaryDirectory() as root:
        snapshot = snapshot_of(options.catalog or catalog_directory(), Path(root))
        report = measure(snapshot, count)
        seconds = 22.0 if options.quick and options.checked is None else 3.0e4
        print(f"checking up to {to_check} requests against brute force, at most {seconds:g} s")
        workers = os.cpu_count() or 1
        directory = str(Path(root) / snapshot.version)
        share = -(-to_check // workers)
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            until = time.time() + seconds
            results = list(
                pool.map(check, *zip(*((directory, 900 + w, until, share) for w in range(workers)), strict=True))
            )
    wrong = [line for _, lines in results for line in lines]
    for line in wrong[:5]:
        print(line)
    report["requests_checked"] = sum(checked for checked, _ in results)
    report["mismatches"] = len(wrong)
    print(orjson.dumps(report).decode())


def measure(snapshot: CatalogSnapshot, count: int) -> dict[str, float]:
    """Latencies, after a warm-up on other requests."""
    report: dict[str, float] = {"offers": int(snapshot.offers.type_index.size)}
    for kind in ("plain", "guarded"):
        timed(snapshot, kind, count // 4, 1)
    settle_memory()
    report["clock_us"] = round(clock(), 2)
    for kind, name in (("plain", "plain"), ("guarded", "full")):
        met, unmet = timed(snapshot, kind, count, 2)
        report[f"{name}_again_p50_us"] = round(again(snapshot, kind, min(count, 1_000), 2), 1)
        p50, p99 = np.percentile(met.wall, [50, 99])
        cpu_p50, cpu_p99 = np.percentile(met.cpu, [50, 99])
        report |= {f"{name}_p50_us": round(float(p50), 1), f"{name}_p99_us": round(float(p99), 1)}
        report |= {f"{name}_cpu_p50_us": round(float(cpu_p50), 1), f"{name}_cpu_p99_us": round(float(cpu_p99), 1)}
        print(
            f"{name}: p50 {p50:.1f} us, p99 {p99:.1f} us over {len(met.wall)} requests that can be met"
            f" (cpu {cpu_p50:.1f}, {cpu_p99:.1f}; again {report[f'{name}_again_p50_us']:.1f})"
        )
        if unmet.wall:
            median = float(np.median(unmet.wall))
            print(f"{name}: {len(unmet.wall)} that cannot be met, with relaxations: p50 {median:.0f} us")
            report[f"{name}_infeasible_p50_us"] = round(median, 1)
    met, _ = timed(snapshot, "full", count // 4, 2)
    print(f"every field mixed: p50 {np.median(met.wall):.1f} us, p99 {np.percentile(met.wall, 99):.1f} us")
    report["mixed_p50_us"] = round(float(np.median(met.wall)), 1)
    report["kept_share"] = round(kept_share(snapshot, min(count, 3_000), 2), 3)
    report["numpy_scan_p50_us"] = round(float(np.median(numpy_scan(snapshot, 40, 3))), 1)
    report["python_scan_p50_us"] = round(float(np.median(python_scan(snapshot, 10, 3))), 1)
    gc.unfreeze()
    return report


if __name__ == "__main__":
    main()
