"""A fleet reduced in chunks gives what each resource gives alone, and types are the cheapest that are large enough."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import sizing_reference as reference
from tests.support.snapshots import small_snapshot
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.rightsizing.arrays import F32
from trimtab_service.rightsizing.backtest import cuts_of, walk_forward
from trimtab_service.rightsizing.estimators import PEAK, Decayed, Estimator, LeastRegret, Percentile, Within
from trimtab_service.rightsizing.fleet import BLOCK, EVERY_DAYS, MetricChunk, reduce_chunk, walk_chunk
from trimtab_service.rightsizing.loads import Loads
from trimtab_service.rightsizing.profiles import PROFILES
from trimtab_service.rightsizing.samples import Samples
from trimtab_service.rightsizing.sizes import NO_TYPE, SizeTable, TypeFilter, cheapest_types, size_table
from trimtab_service.rightsizing.sketches import LADDER, DailySketch

END = 1_700_438_400 + 30 * 86_400
HOUR = 3_600


def fleet(seed: int, resources: int, days: int = 15, gaps: float = 0.05) -> F32:
    """Loads with gaps, young resources, one without a sample and one that is idle."""
    random = np.random.default_rng(seed)
    values = random.gamma(3.0, 5.0, (resources, days * 24)).astype(np.float32)
    values[random.random(values.shape) < gaps] = np.nan
    for row in range(0, resources, 5):
        values[row, : random.integers(days * 24)] = np.nan
    if resources > 3:
        values[1] = np.nan
        values[2] = 0.0
    return values


@given(st.integers(0, 200), st.sampled_from([0.0, 0.2, 1.0]))
def test_a_reduction_is_the_loop_s(seed: int, gaps: float) -> None:
    """Percentiles, maximum, mean and count of each row, gaps left out."""
    values = fleet(seed, 6, days=3, gaps=gaps)
    found = reduce_chunk(values, (50.0, 95.0, 99.5))
    for row in range(6):
        known = reference.known(values[row].tolist())
        assert found.samples[row] == len(known)
        expected = [reference.percentile(values[row].tolist(), [1.0] * 72, p) for p in (50.0, 95.0, 99.5)]
        assert found.percentiles[row].tolist() == pytest.approx(expected, nan_ok=True)
        assert found.maximum[row] == pytest.approx(max(known, default=np.nan), nan_ok=True)
        assert found.mean[row] == pytest.approx(sum(known) / len(known) if known else np.nan, nan_ok=True, rel=1e-5)


def test_chunks_give_what_the_whole_gives() -> None:
    """Any split, to the last bit: resources do not touch one another."""
    values = fleet(1, BLOCK + 37)
    estimators = [p.estimator(Dimension.CPU) for p in PROFILES.values()]
    whole = walk_chunk(MetricChunk(Dimension.CPU, Loads.of(values, END, HOUR)), estimators)
    reduced = reduce_chunk(values, (95.0,))
    for begin, end in ((0, 3), (3, 60), (60, BLOCK + 37)):
        part = values[begin:end]
        assert reduce_chunk(part, (95.0,)).percentiles.tobytes() == reduced.percentiles[begin:end].tobytes()
        parts = walk_chunk(MetricChunk(Dimension.CPU, Loads.of(part, END, HOUR)), estimators)
        for one, all_of_them in zip(parts, whole, strict=True):
            # Matrix products of other shapes may add in another order, which may move a level by one step at a tie.
            assert one.advised == pytest.approx(all_of_them.advised[begin:end], rel=0.05, nan_ok=True)
            assert one.exceedance == pytest.approx(all_of_them.exceedance[begin:end], abs=0.01, nan_ok=True)
            assert one.windows.tolist() == all_of_them.windows[begin:end].tolist()


@pytest.mark.parametrize(
    "estimator",
    [Percentile(90), Within(Percentile(99), 7), Decayed(Percentile(90), 1.0), LeastRegret(50), PEAK],
    ids=str,
)
def test_a_sketch_errs_by_less_than_a_step_and_on_the_safe_side(estimator: Estimator) -> None:
    """Against every sample: never lower, and at most the ladder's step higher (days weigh as wholes where decayed)."""
    values = fleet(2, 40)
    loads = Loads.of(values, END, HOUR)
    cuts = cuts_of(loads.days)
    sketch = DailySketch.of(loads, cuts)
    rough = estimator.levels(sketch) * sketch.scale[:, None].astype(np.float64)
    exact = estimator.levels(Samples.of(loads, cuts))
    known = np.isfinite(exact) & (exact > 0)
    assert (np.isfinite(rough) == np.isfinite(exact)).all()
    ratio = rough[known] / exact[known]
    if isinstance(estimator, Percentile | Within):
        assert ratio.min() > 1 - 1e-5
        assert ratio.max() < (1.0001 if estimator == PEAK else 1.12)
    assert np.median(ratio) < 1.05
    assert rough[2].tolist() == exact[2].tolist() == [0.0] * cuts.size


@pytest.mark.parametrize("name", sorted(PROFILES))
@pytest.mark.parametrize("dimension", [Dimension.CPU, Dimension.MEMORY])
def test_a_fleet_s_walk_is_about_that_of_each_alone(name: str, dimension: Dimension) -> None:
    """Exceedance within a point of the exact walk over the same cuts, level within a step, on average."""
    values = fleet(3, 60, days=21)
    loads = Loads.of(values, END, HOUR)
    estimator = PROFILES[name].estimator(dimension)
    found = walk_chunk(MetricChunk(dimension, loads), [estimator])[0]
    exact = walk_forward(estimator, Samples.of(loads, cuts_of(loads.days, every_days=EVERY_DAYS)))
    assert np.nanmean(found.exceedance) == pytest.approx(np.nanmean(exact.exceedance), abs=0.01)
    assert np.nanmean(found.slack) == pytest.approx(np.nanmean(exact.slack), abs=0.03)
    assert np.nanmean(found.advised) == pytest.approx(np.nanmean(exact.advised), rel=0.05)
    assert np.isnan(found.advised[1])
    assert found.windows[1] == 0


def test_the_ladder_ends_at_the_peak_and_has_no_gap() -> None:
    """Steps of 4 % near the peak, never more than 12 %."""
    steps = LADDER[1:] / LADDER[:-1]
    assert LADDER[-1] == 1.0
    assert steps.max() < 1.1201
    assert steps[LADDER[1:] > 0.34].max() < 1.0401


@given(st.integers(0, 200))
def test_a_size_table_is_the_scan_s(seed: int) -> None:
    """Of all offers with at least so much, the cheapest; of equal prices the one that comes first."""
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 40))
    vcpus = random.choice([1.0, 2, 4, 8, 16], count)
    memory = random.choice([1.0, 2, 4, 8, 16, 32], count)
    price = random.integers(1, 20, count).astype(np.float64)
    table = SizeTable.of(vcpus, memory, price, np.arange(count, dtype=np.int32) + 100)
    needs = random.uniform(0, 20, (50, 2))
    needs[0] = [np.nan, 1.0]
    types, prices = table.cheapest(needs[:, 0], needs[:, 1])
    for row, (cpu, gib) in enumerate(needs.tolist()):
        fitting = [i for i in range(count) if vcpus[i] >= cpu and memory[i] >= gib]
        best = min(fitting, key=lambda i: (price[i], i), default=None)
        assert types[row] == (NO_TYPE if best is None else best + 100)
        assert prices[row] == (np.inf if best is None else price[best])


def test_each_resource_is_sized_in_its_own_region(tmp_path: Path) -> None:
    """Against a scan of the catalogue's own offers: same cloud and region, on demand, no GPU, not burstable."""
    snapshot = small_snapshot(tmp_path)
    regions = [r for r in range(snapshot.region_count) if size_table(snapshot, 0, r).vcpus.size][:4]
    tables = [size_table(snapshot, 0, region) for region in regions]
    random = np.random.default_rng(4)
    table_of = random.integers(0, len(tables), 200).astype(np.int32)
    cpu, gib = random.uniform(0.1, 80, 200), random.uniform(0.5, 300, 200)
    types, prices = cheapest_types(tables, table_of, cpu, gib)
    columns = snapshot.types
    for row in range(200):
        cell = snapshot.cell(0, regions[table_of[row]])
        offers = range(int(snapshot.offers.cell_start[cell]), int(snapshot.offers.cell_start[cell + 1]))
        fitting = [
            (int(snapshot.offers.price_nanos[k]), k)
            for k in offers
            for t in (int(snapshot.offers.type_index[k]),)
            if columns.vcpus[t] >= cpu[row]
            and columns.memory_gib[t] >= gib[row]
            and columns.gpu_count[t] == 0
            and not columns.burstable[t]
            and snapshot.arches[columns.arch[t]] == "x86_64"
        ]
        if fitting:
            price, k = min(fitting)
            assert (types[row], prices[row]) == (snapshot.offers.type_index[k], price)
        else:
            assert types[row] == NO_TYPE


def test_a_table_of_given_families_holds_no_other(tmp_path: Path) -> None:
    """Preferences narrow what may be chosen."""
    snapshot = small_snapshot(tmp_path)
    region = next(r for r in range(snapshot.region_count) if size_table(snapshot, 0, r).vcpus.size)
    kind = int(size_table(snapshot, 0, region).type_index[0, 0])
    family = snapshot.families[snapshot.types.family[kind]]
    table = size_table(snapshot, 0, region, TypeFilter(families=frozenset({family})))
    chosen = table.type_index[table.type_index >= 0]
    assert {snapshot.families[f] for f in snapshot.types.family[chosen]} == {family}
    assert size_table(snapshot, 0, region, TypeFilter(families=frozenset())).vcpus.size == 0
