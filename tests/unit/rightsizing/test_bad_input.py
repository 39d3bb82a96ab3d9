"""Series as they should not be: none raises, and each has a sensible answer."""

import time
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import ArrayLike

from tests.support.shared_data import shared_catalog
from tests.support.sizing import CPU, GPU, NOW, TWO_WEEKS, case, flat, instance, peaks, series
from tests.support.snapshots import snapshot_of
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.dimensions import Metric, Statistic, Unit
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.preferences import RightsizingPreferences
from trimtab_service.domain.reasons import SeriesNote
from trimtab_service.domain.resources import Capacity, CloudResource
from trimtab_service.domain.rightsizing import Advice, Finding
from trimtab_service.rightsizing.advisor import advise
from trimtab_service.rightsizing.telemetry import RawSeries

MEMORY = flat(Metric.MEMORY, 20)
NOW_S = int(NOW.timestamp())
M5 = instance("m5.4xlarge")


def raw(stamps: ArrayLike, values: ArrayLike, unit: Unit = Unit.PERCENT) -> RawSeries:
    """CPU at any stamps."""
    return RawSeries(
        Metric.CPU, unit, Statistic.AVERAGE, np.asarray(stamps, dtype=np.int64), np.asarray(values, dtype=np.float64)
    )


HOURLY = NOW_S - np.arange(TWO_WEEKS, 0, -1) * 3_600.0


@pytest.mark.parametrize(
    ("cpu", "finding", "note"),
    [
        (raw(np.empty(0), np.empty(0)), Finding.INSUFFICIENT_DATA, SeriesNote.EMPTY),
        (raw(HOURLY[:1], np.array([50.0])), Finding.INSUFFICIENT_DATA, None),
        (raw(HOURLY, np.full(TWO_WEEKS, 10.0)), Finding.OVER_PROVISIONED, SeriesNote.CONSTANT),
        (raw(HOURLY, np.full(TWO_WEEKS, np.nan)), Finding.INSUFFICIENT_DATA, SeriesNote.NOT_FINITE),
        (raw(HOURLY, np.full(TWO_WEEKS, -5.0)), Finding.INSUFFICIENT_DATA, SeriesNote.NEGATIVE),
        (raw(HOURLY, np.full(TWO_WEEKS, 1e9)), Finding.INSUFFICIENT_DATA, SeriesNote.ABSURD),
        (raw(HOURLY + 30 * 86_400, np.full(TWO_WEEKS, 10.0)), Finding.INSUFFICIENT_DATA, SeriesNote.FUTURE_POINTS),
        (raw(HOURLY - 900 * 86_400, np.full(TWO_WEEKS, 10.0)), Finding.INSUFFICIENT_DATA, SeriesNote.OUTSIDE_LOOKBACK),
        (
            raw(np.repeat(HOURLY, 2), np.full(2 * TWO_WEEKS, 10.0)),
            Finding.OVER_PROVISIONED,
            SeriesNote.DUPLICATE_POINTS,
        ),
        (raw(HOURLY[::-1], np.full(TWO_WEEKS, 10.0)), Finding.OVER_PROVISIONED, SeriesNote.OUT_OF_ORDER),
        (raw(HOURLY, np.full(TWO_WEEKS, 10.0), Unit.GIB), Finding.INSUFFICIENT_DATA, SeriesNote.UNKNOWN_CAPACITY),
        (
            raw(HOURLY, np.cumsum(np.random.default_rng(0).uniform(1_000, 9_000, TWO_WEEKS)), Unit.VCPUS),
            Finding.OVER_PROVISIONED,
            SeriesNote.LOOKS_LIKE_A_COUNTER,
        ),
    ],
)
def test_a_bad_series_is_answered_and_noted(
    starter: CatalogSnapshot, cpu: RawSeries, finding: Finding, note: SeriesNote | None
) -> None:
    """What could not be used never reads as a saving, and the summary says what had to be done."""
    found = advise(case(M5, [cpu, MEMORY]), starter, (), NOW)
    assert found.finding is finding
    summary = next(one for one in found.telemetry.series if one.metric is Metric.CPU)
    assert note is None or note in summary.notes


def test_nothing_is_stopped_on_a_guess_at_what_a_series_means(starter: CatalogSnapshot) -> None:
    """A gauge that only rises is read as a counter; what then looks idle may be another counter than was thought."""
    rising = raw(HOURLY, np.arange(TWO_WEEKS) * 100.0)
    found = advise(case(M5, [rising, MEMORY], peaks()), starter, (), NOW)
    assert SeriesNote.LOOKS_LIKE_A_COUNTER in found.telemetry.series[0].notes
    assert found.finding is not Finding.IDLE


def test_points_that_were_no_use_are_told_with_the_cause(starter: CatalogSnapshot) -> None:
    """What is missing is not that nobody measured."""
    absurd = raw(HOURLY, np.full(TWO_WEEKS, 1e9))
    found = advise(case(M5, [absurd], peaks()), starter, (), NOW)
    assert found.missing == (f"cpu: no usable series ({TWO_WEEKS} points: ABSURD)",)


def test_an_unknown_type_is_not_moved_to_arm(starter: CatalogSnapshot) -> None:
    """Nobody said that a type of the caller's own runs on Arm; who says so may."""
    own = CloudResource(
        "i-1", Cloud.AWS, "us-east-1", instance_type="x0.private",
        capacity=Capacity(32.0, 64.0), price_nanos_per_hour=1_500_000_000,
    )  # fmt: skip
    for resource, is_ready in ((own, False), (replace(own, arm_ready=True), True)):
        found = advise(case(resource, [flat(Metric.CPU, 20), MEMORY], peaks()), starter, (), NOW)
        arms = [starter.type_index[one.cloud, one.instance_type] for one in found.options]
        assert any(starter.arches[int(starter.types.arch[at])] == "arm64" for at in arms) is is_ready


def test_two_resolutions_of_one_load_go_on_one_grid(starter: CatalogSnapshot) -> None:
    """A day of seconds after two weeks of hours."""
    seconds = NOW_S - np.arange(86_400, 0, -1)
    stamps = np.concatenate((HOURLY[:-24], seconds))
    found = advise(case(M5, [raw(stamps, np.full(stamps.size, 10.0)), MEMORY]), starter, (), NOW)
    assert found.finding is Finding.OVER_PROVISIONED


def test_dimensions_of_other_grids_are_tested_together(starter: CatalogSnapshot) -> None:
    """CPU by the minute and memory by the hour: one capacity short in either counts once."""
    cpu = np.full(14 * 1_440, 10.0)
    cpu[5_000] = 90.0
    measured = [series(Metric.CPU, cpu, step_s=60), flat(Metric.MEMORY, 20)]
    found = advise(case(M5, measured, peaks()), starter, (), NOW)
    assert found.current is not None
    assert found.current.back_test is not None
    assert found.current.back_test.exceedance == 0


def test_a_series_that_ended_long_ago_keeps_its_peak(starter: CatalogSnapshot) -> None:
    """Memory measured until three weeks ago is no reason to take it away."""
    old = RawSeries(
        Metric.MEMORY,
        Unit.PERCENT,
        Statistic.AVERAGE,
        (HOURLY - 21 * 86_400).astype(np.int64),
        np.full(TWO_WEEKS, 80.0),
    )
    wanted = RightsizingPreferences(lookback=timedelta(days=60), max_options=20)
    found = advise(case(M5, [flat(Metric.CPU, 10), old], wanted), starter, (), NOW)
    assert found.options
    assert all((option.capacity.memory_gib or 0) >= 0.8 * 64 for option in found.options)


def test_ten_million_points_are_a_matter_of_seconds(starter: CatalogSnapshot) -> None:
    """One resource with a point each second for months keeps its peaks; the wait is bounded generously."""
    size = 10_000_000
    values = np.full(size, 10.0)
    values[size - 1_000] = 80.0
    begun = time.monotonic()
    found = advise(case(M5, [raw(NOW_S - np.arange(size, 0, -1.0), values), MEMORY], peaks()), starter, (), NOW)
    assert time.monotonic() - begun < 60
    assert found.current is not None
    demand = next(one.demand for one in found.current.dimensions if one.dimension is CPU)
    assert demand == pytest.approx(0.8 * 16)


def shared_advice(shared: CatalogSnapshot) -> Advice:
    """Four V100 at 30 %, on the full catalogue."""
    gpus = [flat(Metric.GPU, 30, device=f"gpu{i}") for i in range(4)]
    memory = [flat(Metric.GPU_MEMORY, 10, device=f"gpu{i}") for i in range(4)]
    measured = [*gpus, *memory, flat(Metric.CPU, 5), flat(Metric.MEMORY, 5)]
    return advise(case(instance("p3.8xlarge"), measured), shared, (), NOW)


def test_the_common_case_holds_on_the_full_catalogue(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever 1,558 types of a region there are: nothing with less than 1.2 GPUs of the present kind is offered."""
    shared = snapshot_of(shared_catalog(), tmp_path_factory.mktemp("shared"))
    found = shared_advice(shared)
    assert found.options
    for option in found.options:
        assert next(one for one in option.dimensions if one.dimension is GPU).capacity >= 1.2
    assert found == shared_advice(shared)
