"""Decisions a second beside a pandas filter-and-sort over the same catalogue, in the same run.

    python -m tests.bench.placement_peer [--quick] [--catalog DIR]

The peer is what a platform team writes first: one frame of all offers joined with sizes and regions; filter by size,
GPU, country and option, add egress by a map from the region, sort, take the first. It knows neither interruption nor
fallbacks, and so does less. Both answer the same plain requests, and where spot is left out (its interruption is what
the peer lacks) both must choose at the same cost, which is checked. The last line is one JSON object.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pandas as pd

from tests.support.requests import Case, Requests
from tests.support.shared_data import catalog_directory
from tests.support.snapshots import snapshot_of
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.offers import PLACEMENT_OPTIONS, PurchaseOption
from trimtab_service.placement.engine import decide


def frame_of(snapshot: CatalogSnapshot) -> pd.DataFrame:
    """Every offer as a row."""
    offers, types = snapshot.offers, snapshot.types
    cell = np.repeat(np.arange(len(offers.cell_start) - 1), np.diff(offers.cell_start))
    region, t = cell % len(snapshot.regions), offers.type_index
    model = np.array([*snapshot.gpu_models, ""])[types.gpu_model[t]]
    return pd.DataFrame(
        {
            "option": np.array([str(option) for option in PLACEMENT_OPTIONS])[cell // len(snapshot.regions)],
            "region": region,
            "country": np.array([r.country for r in snapshot.regions])[region],
            "partition": np.array([r.partition for r in snapshot.regions])[region],
            "type": np.array(snapshot.type_names)[t],
            "vcpus": types.vcpus[t],
            "memory": types.memory_gib[t],
            "gpu": model,
            "gpus": types.gpu_count[t],
            "gpu_memory": types.gpu_memory_gib[t],
            "price": offers.price_nanos.astype(np.float64),
        }
    )


def by_pandas(frame: pd.DataFrame, snapshot: CatalogSnapshot, case: Case) -> int | None:
    """Micros of the cheapest offer, found by filter and sort; None where there is none."""
    work = case.query.workload
    size = work.size
    options = [str(option) for option in work.options]
    rows = frame[frame["option"].isin(options) & (frame["partition"] == "public")]
    if work.residency is not None and work.residency.countries:
        rows = rows[rows["country"].isin(work.residency.countries)]
    rows = rows[(rows["vcpus"] >= size.vcpus) & (rows["memory"] >= size.memory_gib)]
    if size.gpus:
        enough = np.zeros(len(rows), dtype=bool)
        for need in size.gpus:
            has = rows["gpu"].isin(need.models) & (rows["gpus"] >= need.count) & (rows["gpu_memory"] >= need.memory_gib)
            enough |= has.to_numpy()
        rows = rows[enough]
    else:
        rows = rows[rows["gpu"] == ""]
    if rows.empty:
        return None
    cost = np.rint(rows["price"] * (work.hours / 1000.0))
    for data in work.data_sets:
        source = snapshot.region_index[data.location.cloud, data.location.region]
        rates = pd.Series(snapshot.egress.pair_nanos[source])
        cost = cost + np.rint(rows["region"].map(rates) * (data.gib * data.reads / 1000.0))
    best = rows.assign(cost=cost).sort_values(["cost", "price", "region", "type"]).iloc[0]
    return int(best["cost"])


def first_tier(case: Case) -> bool:
    """Whether the peer's flat egress is right for it: no tier is crossed, each source once, no private rate."""
    data = case.query.workload.data_sets
    return all(d.gib * d.reads <= 1_000.0 and d.private_nanos_per_gib is None for d in data) and len(
        {d.location for d in data}
    ) == len(data)


def main() -> None:
    """Measures, prints, ends on the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under 50 seconds")
    parser.add_argument("--catalog", type=Path, default=None, help="a catalogue directory")
    options = parser.parse_args()
    seconds = 8.0 if options.quick else 60.0
    with tempfile.TemporaryDirectory() as root:
        snapshot = snapshot_of(options.catalog or catalog_directory(), Path(root))
        frame = frame_of(snapshot)
        requests = Requests(snapshot, 5)
        cases = [case for case in (requests.plain() for _ in range(4_000)) if first_tier(case)]
        wrong = checked = 0
        for case in cases[:60]:
            work = replace(case.query.workload, options=(PurchaseOption.ON_DEMAND,))
            alone = replace(case, query=replace(case.query, workload=work))
            chosen = decide(alone.query, snapshot, alone.policy, alone.state, alone.instant).chosen
            checked += 1
            wrong += (None if chosen is None else chosen.terms.total) != by_pandas(frame, snapshot, alone)
        cases = [c for c in cases if decide(c.query, snapshot, c.policy, c.state, c.instant).chosen is not None]
        ours = rate(cases, seconds, lambda c: decide(c.query, snapshot, c.policy, c.state, c.instant))
        peer = rate(cases, seconds, lambda c: by_pandas(frame, snapshot, c))
    print(f"trimtab {ours:,.0f} decisions/s with fallbacks and reasons; pandas {peer:,.1f}/s ({pd.__version__})")
    report = {
        "offers": len(frame),
        "decisions_per_s": round(ours, 1),
        "pandas_per_s": round(peer, 2),
        "ratio": round(ours / peer, 1),
        "costs_compared": checked,
        "costs_differ": int(wrong),
    }
    print(orjson.dumps(report).decode())


def rate(cases: list[Case], seconds: float, answer: Callable[[Case], object]) -> float:
    """Answers a second over ever new requests, round after round."""
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        for case in cases[done % len(cases) : done % len(cases) + 20]:
            answer(case)
            done += 1
    return done / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
