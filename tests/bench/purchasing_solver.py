"""How fast the purchase optimiser is beside HiGHS, and whether both find the same.

    python -m tests.bench.purchasing_solver [--quick] [--large] [--limit SECONDS]

Cases: continuous usage of K families over a year (the shared series scaled to a random mean with 3 % jitter, or
synthetic waves where the project was cloned alone), and small tied counts as they are. Ours is the whole of `optimise`:
start, solve, kinks, certificate; the median of five. The reference is HiGHS's interior point on the compact program,
one thread, its solve call alone, limited to 300 s: past that `finished` is false and the ratio a lower bound. Both run
in this process on one thread. `--large` adds 500 families over three years, ours alone. `--quick` is three cases with
the reference limited to 24 s. The last line is one JSON object.
"""

import argparse
import math
import os
import resource
import statistics
import sys
import time
from dataclasses import asdict, dataclass

import numpy as np
import orjson

from tests.support.demand import Demand, read_demand
from tests.support.highs_reference import solve_with_highs
from tests.support.purchase_programs import HOURS_YEAR, published_rates, synthetic_usage
from tests.support.shared_data import demand_file
from trimtab_service.purchasing.optimiser import Solution, optimise
from trimtab_service.purchasing.program import Floats, Program, single_period

_LARGE_DEADLINE = 100.0
_ONE_THREAD = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Measured:
    """One case. `objective_gap` is ours over HiGHS's less one, None where HiGHS did not finish."""

    families: int
    hours: int
    kind: str
    ours_s: float
    reference_s: float | None
    reference_finished: bool
    speedup: float | None
    objective_gap: float | None
    certified_gap: float
    iterations: int
    ending: str


def continuous(demand: Demand | None, families: int, seed: int) -> Program:
    """K families over a year at random rates; series are recycled with a shift past their number."""
    rng = np.random.default_rng(seed)
    if demand is None:
        usage = synthetic_usage(families, HOURS_YEAR, seed)
    else:
        rows: list[Floats] = [row for region in demand.counts for row in demand.last_year(region)]
        usage = np.empty((families, HOURS_YEAR))
        for k in range(families):
            row = np.roll(rows[k % len(rows)], 1009 * (k // len(rows)))
            scaled = row * (rng.uniform(20.0, 150.0) / row.mean())
            usage[k] = scaled * (1.0 + rng.uniform(-0.03, 0.03, HOURS_YEAR))
    locked = rng.uniform(0.38, 0.68, families)
    return single_period(usage, locked, locked + rng.uniform(0.04, 0.16, families))


def tied(demand: Demand | None, region: int) -> Program:
    """Small counts as they were, or rounded waves, at the fixed rates of the published instance."""
    usage = synthetic_usage(10, HOURS_YEAR, region, integer=True) if demand is None else demand.last_year(region)
    return single_period(usage, *published_rates(usage.shape[0]))


def measured(
    program: Program, kind: str, limit: float | None, repeats: int = 5, deadline: float = math.inf
) -> Measured:
    """Ours `repeats` times, each until `deadline` seconds; the reference once where `limit` says how long."""
    times: list[float] = []
    solution: Solution | None = None
    for _ in range(repeats):
        started = time.perf_counter()
        end = started + deadline
        solution = optimise(program, stop=lambda end=end: time.perf_counter() > end)  # type: ignore[misc] # bound now
        times.append(time.perf_counter() - started)
    assert solution is not None
    ours = statistics.median(times)
    reference = None if limit is None else solve_with_highs(program, "ipm", limit)
    case = Measured(
        families=program.classes,
        hours=program.usage.shape[1],
        kind=kind,
        ours_s=round(ours, 4),
        reference_s=None if reference is None else round(reference.seconds, 3),
        reference_finished=reference is not None and reference.finished,
        speedup=None if reference is None else round(reference.seconds / ours, 1),
        objective_gap=None if reference is None or not reference.finished else solution.cost / reference.cost - 1.0,
        certified_gap=solution.gap,
        iterations=solution.iterations,
        ending=solution.ending.value,
    )
    print(orjson.dumps(asdict(case)).decode(), flush=True)
    return case


def large() -> Measured:
    """500 families over three years, with a deadline under two minutes: the answer says its gap."""
    usage = synthetic_usage(500, 3 * HOURS_YEAR, 500)
    locked = np.random.default_rng(500).uniform(0.38, 0.68, 500)
    return measured(single_period(usage, locked, locked + 0.1), "continuous", None, repeats=1, deadline=_LARGE_DEADLINE)


def main() -> None:
    """Prints a line a case and the JSON object."""
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        # Read when numpy is loaded: start again with one thread for both.
        os.execve(sys.executable, [sys.executable, "-m", "tests.bench.purchasing_solver", *sys.argv[1:]], _ONE_THREAD)
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--limit", type=float, default=None)
    arguments = parser.parse_args()
    path = demand_file()
    demand = None if path is None else read_demand(path)
    if demand is None:
        print("the shared demand is not there: measuring synthetic waves instead")
    limit = arguments.limit or (24.0 if arguments.quick else 300.0)
    cases = [measured(tied(demand, 1), "tied", limit)]
    sizes = (4, 16) if arguments.quick else (4, 8, 16, 32, 50)
    cases += [measured(continuous(demand, size, size), "continuous", limit) for size in sizes]
    if not arguments.quick:
        cases.insert(1, measured(tied(demand, 2), "tied", limit))
    if arguments.large:
        cases.append(large())
    report = {
        "cases": [asdict(case) for case in cases],
        "max_certified_gap": max(case.certified_gap for case in cases),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(orjson.dumps(report).decode())


if __name__ == "__main__":
    main()
