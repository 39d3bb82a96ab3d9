"""Estimators agree with loops written down first, and hold the properties that sizing rests on."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import sizing_reference as reference
from trimtab_service.catalog.arrays import F64
from trimtab_service.domain.dimensions import DIMENSIONS, INCOMPRESSIBLE, Dimension
from trimtab_service.domain.preferences import DimensionPreference
from trimtab_service.rightsizing.estimators import (
    PEAK,
    AtLeast,
    Confidence,
    Decayed,
    DriftHeadroom,
    Estimator,
    Headroom,
    Incident,
    Largest,
    LeastRegret,
    Percentile,
    Within,
    WorkingDayFloor,
    raised_after,
    two_windows,
)
from trimtab_service.rightsizing.loads import Loads
from trimtab_service.rightsizing.profiles import ECONOMY, PROFILES, SAFE
from trimtab_service.rightsizing.samples import Samples

MONDAY = 1_700_438_400  # 2023-11-20 00:00 UTC
HOUR = 3_600
OURS = ("safe", "balanced", "economy")


def random_load(seed: int, days: int = 10, gaps: float = 0.1, resources: int = 1) -> F64:
    """Hourly loads with gaps [resources][hours]."""
    random = np.random.default_rng(seed)
    values = random.gamma(2.0, 10.0, (resources, days * 24)).round(1)
    values[random.random(values.shape) < gaps] = np.nan
    return values


def population(values: F64, start: int = MONDAY, cuts: list[int] | None = None) -> Samples:
    """Every sample of hours that begin at `start`."""
    loads = Loads.of(values, start + values.shape[1] * HOUR, HOUR)
    return Samples.of(loads, None if cuts is None else np.array(cuts))


def level(estimator: Estimator, values: F64, start: int = MONDAY) -> float:
    """What is advised at the end for one resource."""
    return float(estimator.levels(population(values, start))[0, 0])


@given(st.integers(0, 1_000), st.sampled_from([0.5, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 100.0]))
def test_percentile_is_the_loop_s(seed: int, percent: float) -> None:
    """The smallest sample that the share lies at or below, gaps left out."""
    values = random_load(seed, days=4)
    assert level(Percentile(percent), values) == reference.percentile(values[0], [1.0] * 96, percent)


@given(st.integers(0, 1_000), st.sampled_from([50.0, 90.0, 99.0]), st.sampled_from([0.5, 1.0, 3.0]))
def test_decayed_percentile_is_the_loop_s(seed: int, percent: float, half_life: float) -> None:
    """Weights halve every half-life, as in the VPA's histogram but without its buckets."""
    values = random_load(seed, days=6)
    expected = reference.percentile(values[0], reference.decay(144, 24, half_life), percent)
    assert level(Decayed(Percentile(percent), half_life), values) == expected


@given(st.integers(0, 1_000), st.sampled_from([1.5, 2.5, 10.0, 50.0, 300.0]))
def test_least_regret_is_the_least_of_all_samples(seed: int, exchange: float) -> None:
    """No sample has less regret than the level that was chosen."""
    values = random_load(seed, days=4)
    weights = reference.decay(96, 24, 1.0)
    chosen = level(Decayed(LeastRegret(exchange), 1.0), values)
    best = min(reference.regret(size, values[0], weights, exchange) for size in reference.known(values[0]))
    assert reference.regret(chosen, values[0], weights, exchange) == pytest.approx(best, abs=1e-9)


@given(st.integers(0, 1_000), st.floats(1, 100), st.floats(1, 100))
def test_percentile_rises_with_the_percent(seed: int, one: float, other: float) -> None:
    """A higher percentile is no lower level."""
    values = random_load(seed)
    low, high = sorted((one, other))
    assert level(Percentile(low), values) <= level(Percentile(high), values)


@given(st.integers(0, 300), st.sampled_from([2.0, 5.0, 20.0]), st.floats(1.0, 5.0))
def test_least_regret_rises_with_the_price_of_want(seed: int, exchange: float, more: float) -> None:
    """The dearer an hour in want, the larger the size."""
    values = random_load(seed)
    assert level(LeastRegret(exchange), values) <= level(LeastRegret(exchange * more), values)


def composed() -> list[Estimator]:
    """Every piece, alone or in a profile."""
    pieces: list[Estimator] = [
        Percentile(95),
        PEAK,
        LeastRegret(20),
        Decayed(Percentile(90), 1.0),
        Headroom(Percentile(95), 0.2),
        Within(PEAK, 3),
        two_windows(Percentile(99), 7, 1, 1.1),
        WorkingDayFloor(Decayed(Percentile(90), 1.0)),
        DriftHeadroom(Percentile(95), 1.0, 0.1, 7, 0.2),
        Confidence(Percentile(90), 1, 1),
        Largest((Percentile(50), Percentile(60))),
    ]
    return pieces + [p.estimator(d) for p in PROFILES.values() for d in (Dimension.CPU, Dimension.MEMORY)]


@pytest.mark.parametrize("estimator", composed(), ids=str)
def test_k_times_the_load_gives_k_times_the_level(estimator: Estimator) -> None:
    """Units do not matter."""
    values = random_load(5)
    assert level(estimator, values * 8) == pytest.approx(8 * level(estimator, values))


@pytest.mark.parametrize("estimator", composed(), ids=str)
def test_a_matrix_gives_what_its_rows_give(estimator: Estimator) -> None:
    """Resources do not touch one another, and neither do cuts."""
    values = random_load(6, resources=4)
    whole = estimator.levels(population(values, cuts=[3, 7, 10]))
    for row in range(4):
        for column, cut in enumerate((3, 7, 10)):
            past = values[row : row + 1, : cut * 24]
            assert whole[row, column] == pytest.approx(level(estimator, past), rel=1e-12)


@pytest.mark.parametrize("estimator", composed(), ids=str)
def test_no_estimator_sees_past_a_cut(estimator: Estimator) -> None:
    """What comes after changes nothing before: the back-test is honest by construction."""
    values = random_load(7)
    other = values.copy()
    other[:, 6 * 24 :] *= 50
    before = estimator.levels(population(values, cuts=[2, 4, 6]))
    assert estimator.levels(population(other, cuts=[2, 4, 6])) == pytest.approx(before, rel=1e-12)


@pytest.mark.parametrize("estimator", composed(), ids=str)
def test_a_resource_without_samples_has_no_level(estimator: Estimator) -> None:
    """NaN, not nought: nothing measured is not nothing used."""
    values = np.vstack([random_load(8), np.full((1, 240), np.nan)])
    found = estimator.levels(population(values))
    assert np.isfinite(found[0, 0])
    assert np.isnan(found[1, 0])


@pytest.mark.parametrize("estimator", composed(), ids=str)
def test_a_load_of_nought_needs_nought(estimator: Estimator) -> None:
    """An idle resource has the level 0, which is a number."""
    assert level(estimator, np.zeros((1, 240))) == 0


def test_gaps_are_left_out_wherever_they_are() -> None:
    """A series with gaps and one of the remaining samples, equally weighted, have the same percentile."""
    values = random_load(9, gaps=0.4)
    kept = values[~np.isnan(values)]
    assert level(Percentile(95), values) == np.percentile(kept, 95, method="inverted_cdf")


@given(
    st.integers(0, 500),
    st.sampled_from(OURS),
    st.sampled_from(sorted(INCOMPRESSIBLE)),
    st.one_of(st.none(), st.sampled_from([50.0, 90.0, 99.0])),
    st.one_of(st.none(), st.floats(0, 0.5)),
)
def test_memory_is_never_below_its_peak(
    seed: int, name: str, dimension: Dimension, percentile: float | None, headroom: float | None
) -> None:
    """Whatever the profile and the preference, unless it is asked for."""
    values = random_load(seed)
    preference = DimensionPreference(dimension, percentile, headroom)
    estimator = PROFILES[name].estimator(dimension, preference)
    assert level(estimator, values) >= np.nanmax(values)


def test_memory_goes_below_its_peak_when_asked() -> None:
    """Both are said: the percentile, and that the peak does not bind."""
    values = random_load(3)
    preference = DimensionPreference(Dimension.MEMORY, 50.0, 0.0)
    estimator = SAFE.estimator(Dimension.MEMORY, preference, allow_below_peak=True)
    assert level(estimator, values) == level(Percentile(50), values)


@given(st.integers(0, 300), st.floats(50, 99.9), st.floats(0, 1))
def test_a_preferred_percentile_and_headroom_are_what_is_applied(seed: int, percent: float, headroom: float) -> None:
    """At least: working days may raise it, nothing else does."""
    values = np.tile(random_load(seed, days=1), (1, 7))
    preference = DimensionPreference(Dimension.CPU, percent, headroom)
    for name in OURS:
        estimator = PROFILES[name].estimator(Dimension.CPU, preference)
        assert level(estimator, values) == pytest.approx(level(Percentile(percent), values) * (1 + headroom))


def week(working: float, weekend: float) -> F64:
    """Two weeks of hours from a Monday."""
    days = [working] * 5 + [weekend] * 2
    values: F64 = np.repeat(np.array(days * 2), 24)[None, :].astype(np.float64)
    return values * (1 + 0.1 * np.sin(np.arange(336) / 24 * 2 * np.pi))


@pytest.mark.parametrize("weekend", [0.0, 1.0, 40.0, 80.0, 200.0])
@pytest.mark.parametrize("name", OURS)
def test_a_weekend_never_lowers_monday_s_floor(name: str, weekend: float) -> None:
    """What is advised on Sunday night is at least what was advised on Friday night."""
    estimator = PROFILES[name].estimator(Dimension.CPU)
    friday, sunday = estimator.levels(population(week(80.0, weekend), cuts=[12, 14]))[0]
    without_drift = WorkingDayFloor(Decayed(Percentile(90), 1.0)).levels(population(week(80, weekend), cuts=[12, 14]))
    assert sunday >= friday - 1e-9
    assert without_drift[0, 1] >= without_drift[0, 0]


def test_decay_alone_falls_into_the_weekend_dip() -> None:
    """The VPA's known weakness, which the floor mends: the test above can fail."""
    friday, sunday = Decayed(Percentile(50), 1.0).levels(population(week(80.0, 1.0), cuts=[12, 14]))[0]
    assert sunday < friday / 2


def test_working_days_of_another_calendar() -> None:
    """Sunday to Thursday are working days where they are."""
    values = week(80.0, 5.0)
    shifted = np.roll(values, -24, axis=1)  # the quiet days become Friday and Saturday
    floor = WorkingDayFloor(Decayed(Percentile(50), 0.5), frozenset({6, 0, 1, 2, 3}))
    assert level(floor, shifted[:, : 13 * 24]) > 60


@pytest.mark.parametrize(
    ("hours", "upper", "lower"),
    [(12, 3.0, 1.002**-2), (24, 2.0, 1.001**-2), (24 * 7, 1 + 1 / 7, (1 + 0.001 / 7) ** -2)],
)
def test_confidence_widens_as_the_vpa_s(hours: int, upper: float, lower: float) -> None:
    """12 hours give x3 on the upper bound, a day x2, a week x1.14."""
    minutes = Loads.of(np.ones((1, hours * 60)), MONDAY, 60)
    samples = Samples.of(minutes)
    assert Confidence(PEAK, 1, 1, 1_440).levels(samples)[0, 0] == pytest.approx(upper)
    assert Confidence(PEAK, 0.001, -2, 1_440).levels(samples)[0, 0] == pytest.approx(lower)


def test_few_samples_in_many_days_are_little_confidence() -> None:
    """Confidence is the lesser of days spanned and samples."""
    values = np.full((1, 10 * 24), np.nan)
    values[0, ::10] = 1.0
    assert Confidence(PEAK, 1, 1).levels(population(values))[0, 0] == pytest.approx(2.0)


@pytest.mark.parametrize(("use", "expected"), [(8.0, 9.6), (0.25, 0.25 + 100 / 1024)])
def test_an_oom_kill_raises_the_floor(use: float, expected: float) -> None:
    """max(use x 1.2, use + 100 MiB), the VPA's."""
    values = np.full((1, 48), 0.2)
    end = MONDAY + 48 * HOUR
    estimator = raised_after(PEAK, [Incident(0, end - 3_600, use)], end)
    assert level(estimator, values) == pytest.approx(expected)


def test_a_kill_is_not_known_before_it_happened() -> None:
    """The floor is raised at the cuts after it only, and never lowers anything."""
    values = np.full((2, 4 * 24), 3.0)
    end = MONDAY + 4 * 24 * HOUR
    estimator = raised_after(PEAK, [Incident(1, end - 1.5 * 86_400, 5.0), Incident(0, end, 1.0)], end)
    found = estimator.levels(population(values, cuts=[1, 2, 3, 4]))
    assert found.tolist() == [[3.0, 3.0, 3.0, 3.0], [3.0, 3.0, 6.0, 6.0]]


def test_a_floor_is_no_estimate() -> None:
    """It holds where something was measured, and stays silent where nothing was."""
    values = np.vstack([np.full((1, 24), 0.001), np.full((1, 24), np.nan)])
    found = AtLeast(PEAK, 0.025).levels(population(values))
    assert found[0, 0] == 0.025
    assert math.isnan(found[1, 0])


def test_drift_headroom_grows_with_the_change_from_day_to_day() -> None:
    """A steady load gets the prior's share of headroom, one that jumps more, and never more than the most."""
    steady = np.full((1, 240), 10.0)
    jumping = steady * np.repeat([1.0, 1.15] * 5, 24)
    wild = steady * np.repeat([1.0, 20.0] * 5, 24)
    drift = DriftHeadroom(PEAK, 1.0, 0.1, 7, 0.2)
    calm, moved, most = (float(drift.deviation(population(v))[0, 0]) for v in (steady, jumping, wild))
    assert calm < 0.1 < moved < most == 0.2
    assert moved == pytest.approx(math.sqrt((7 * 0.1**2 + 2 * 5 * math.log(1.15) ** 2) / 16))


@settings(max_examples=30)
@given(st.integers(0, 100))
def test_the_latest_day_counts_when_the_level_has_risen(seed: int) -> None:
    """Two windows answer a new level at once, where the long window alone waits."""
    values = np.full((1, 240), 10.0) + np.random.default_rng(seed).random((1, 240))
    values[:, -24:] *= 3
    assert level(two_windows(Percentile(50), 7, 1, 1.0), values) > 2.5 * level(Within(Percentile(50), 7), values)


def test_every_profile_speaks_of_every_dimension() -> None:
    """No name is missing, and each has a version and a source."""
    assert {*OURS, "aws-compute-optimizer", "vpa", "krr"} == set(PROFILES)
    for profile in PROFILES.values():
        assert set(profile.recipes) == set(DIMENSIONS)
        assert profile.version >= 1
        assert profile.source


def test_models_of_others_are_as_published() -> None:
    """P99.5 / 0.8; decayed p90 x 1.15 and daily peaks; p95 and maximum x 1.15."""
    values = random_load(11, days=8)
    cpu, memory = (
        {name: level(profile.estimator(dimension), values) for name, profile in PROFILES.items()}
        for dimension in (Dimension.CPU, Dimension.MEMORY)
    )
    flat = [1.0] * 192
    assert cpu["aws-compute-optimizer"] == pytest.approx(reference.percentile(values[0], flat, 99.5) / 0.8)
    assert cpu["vpa"] == pytest.approx(reference.percentile(values[0], reference.decay(192, 24, 1), 90) * 1.15)
    assert cpu["krr"] == reference.percentile(values[0], flat, 95)
    assert memory["krr"] == pytest.approx(np.nanmax(values) * 1.15)
    peaks = np.nanmax(values.reshape(8, 24), axis=1)
    assert memory["vpa"] == pytest.approx(reference.percentile(peaks, [2.0 ** (i - 7) for i in range(8)], 90) * 1.15)


def test_safe_is_no_smaller_than_economy() -> None:
    """The names mean what they say, on any load."""
    for seed in range(30):
        values = random_load(seed)
        assert level(SAFE.estimator(Dimension.CPU), values) >= level(ECONOMY.estimator(Dimension.CPU), values)


def test_a_percentile_is_above_nought_and_at_most_a_hundred() -> None:
    """Anything else is a fault of the caller."""
    for percent in (0.0, -1.0, 100.1):
        with pytest.raises(ValueError, match="percentile"):
            Percentile(percent)
