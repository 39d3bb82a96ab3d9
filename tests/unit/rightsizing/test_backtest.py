"""The walk forward is what loops over days say, and its interval says no more than the days know."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import sizing_reference as reference
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.rightsizing.backtest import capacity_test, cuts_of, walk_forward, walked
from trimtab_service.rightsizing.estimators import PEAK, Percentile, Within
from trimtab_service.rightsizing.intervals import interval_of_days, student_quantile
from trimtab_service.rightsizing.loads import Loads
from trimtab_service.rightsizing.profiles import PROFILES
from trimtab_service.rightsizing.samples import Samples

MONDAY = 1_700_438_400
HOUR = 3_600


def loads_of(seed: int, days: int = 12, gaps: float = 0.1, resources: int = 2) -> Loads:
    """Hourly loads with gaps."""
    random = np.random.default_rng(seed)
    values = random.gamma(2.0, 10.0, (resources, days * 24))
    values[random.random(values.shape) < gaps] = np.nan
    return Loads.of(values, MONDAY + days * 86_400, HOUR)


@given(st.integers(0, 500), st.sampled_from([50.0, 90.0, 100.0]), st.floats(0, 0.6))
def test_walk_is_the_loop_s(seed: int, percent: float, gaps: float) -> None:
    """Percentile of the week before, held against the next day, day after day."""
    loads = loads_of(seed, gaps=gaps)
    walk = walk_forward(Within(Percentile(percent), 7), Samples.of(loads, cuts_of(loads.days)))
    for row, values in enumerate(loads.values.tolist()):
        first = 6
        levels = [
            reference.percentile(values[max(0, day - 7) * 24 : day * 24], [1.0] * min(day, 7) * 24, percent)
            for day in range(first, 12)
        ]
        assert walk.levels[row].tolist() == levels
        exceedance, slack = reference.exceedance_of_days(values, 24, levels, first)
        assert walk.exceedance[row] == pytest.approx(exceedance)
        assert walk.slack[row] == pytest.approx(slack)
        assert walk.advised[row] == reference.percentile(values[-168:], [1.0] * 168, percent)


def test_a_level_holds_until_the_next_cut() -> None:
    """Cuts days apart: each of the days between tests the same level."""
    loads = loads_of(3, days=14)
    cuts = cuts_of(14, every_days=3)
    assert cuts.tolist() == [7, 10, 13, 14]
    walk = walk_forward(PEAK, Samples.of(loads, cuts))
    assert walk.levels.shape == (2, 7)
    assert (walk.levels[:, 0] == walk.levels[:, 2]).all()
    levels = walk.levels[0].tolist()
    assert walk.exceedance[0] == pytest.approx(reference.exceedance_of_days(loads.values[0].tolist(), 24, levels, 7)[0])


@pytest.mark.parametrize(
    ("days", "cuts"), [(1, [1]), (2, [1, 2]), (5, [2, 3, 4, 5]), (15, [7, 8, 9, 10, 11, 12, 13, 14, 15])]
)
def test_as_much_history_as_there_is(days: int, cuts: list[int]) -> None:
    """A short history trains on half of it; one day gives a level and no test."""
    assert cuts_of(days).tolist() == cuts


def test_a_history_of_years_tests_its_latest_days() -> None:
    """The number of windows is bounded."""
    assert cuts_of(800).size == 61
    assert cuts_of(800)[-1] == 800


def test_one_day_has_a_level_but_no_test() -> None:
    """Not measured is NaN, and its interval is everything."""
    loads = loads_of(1, days=1)
    walk = walk_forward(PEAK, Samples.of(loads, cuts_of(1)))
    assert np.isfinite(walk.advised).all()
    assert np.isnan(walk.exceedance).all()
    assert walk.interval(0) == (0.0, 1.0, 0.0)


def test_days_without_samples_test_nothing() -> None:
    """They count neither as met nor as exceeded."""
    values = np.full((1, 10 * 24), 5.0)
    values[:, 8 * 24 : 9 * 24] = np.nan
    values[:, 9 * 24 : 9 * 24 + 12] = 9.0
    walk = walk_forward(PEAK, Samples.of(Loads.of(values, MONDAY, HOUR), cuts_of(10)))
    assert np.isnan(walk.shares()[0, 3])
    assert walk.exceedance[0] == pytest.approx(0.5 / 4)


def test_the_end_must_be_the_last_cut() -> None:
    """The recommendation is what is known at the end."""
    loads = loads_of(2)
    with pytest.raises(ValueError, match="last cut"):
        walked(np.ones((2, 2)), loads, np.array([3, 5]))


@given(st.integers(0, 300), st.sampled_from([0.0, 0.5, 10.0, 25.0, 60.0, 120.0]))
def test_a_fixed_capacity_is_held_against_all_that_was_measured(seed: int, capacity: float) -> None:
    """Share of samples above it, mean unused share, and the days on which it was exceeded."""
    loads = loads_of(seed, resources=1)
    known = np.array(reference.known(loads.values[0].tolist()))
    test = capacity_test(loads, 0, capacity)
    assert test is not None
    assert test.exceedance == pytest.approx((known > capacity).mean())
    assert test.interval.low <= test.exceedance <= test.interval.high
    if capacity > 0:
        assert test.slack == pytest.approx(np.maximum(1 - known / capacity, 0).mean())
    per_day = [reference.known(day.tolist()) for day in loads.by_day()[0]]
    assert test.days_exceeded == sum(any(v > capacity for v in day) for day in per_day)


def test_nothing_measured_tests_no_capacity() -> None:
    """None, not a perfect score."""
    assert capacity_test(Loads.of(np.full((1, 24), np.nan), MONDAY, HOUR), 0, 1.0) is None


@pytest.mark.parametrize(
    ("degrees", "expected"), [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042), (1_000, 1.962)]
)
def test_student_s_quantiles_are_those_of_the_tables(degrees: int, expected: float) -> None:
    """95 %, two-sided."""
    assert student_quantile(0.95, degrees) == pytest.approx(expected, rel=0.01)


def test_correlated_days_widen_the_interval() -> None:
    """The same share, from days that differ, is known less well than from days that agree."""
    measured = np.full(20, 288)
    alike = np.full(20, 0.05) + np.resize([0.001, -0.001], 20)
    unlike = np.resize([1.0] + [0.0] * 19, 20)
    narrow, wide = interval_of_days(alike, measured), interval_of_days(unlike, measured)
    assert narrow.high - narrow.low < 0.02
    assert wide.high - wide.low > 0.1
    assert wide.effective_samples < 25


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_an_interval_holds_its_mean_and_stays_a_share(shares: list[float]) -> None:
    """Also at 0 and 1, where a mean plus or minus its error would not."""
    found = interval_of_days(np.array(shares), np.full(len(shares), 24))
    assert 0 <= found.low <= np.mean(shares) + 1e-9
    assert np.mean(shares) - 1e-9 <= found.high <= 1


def test_no_exceedance_in_a_few_days_is_not_never() -> None:
    """Zero of a week of samples leaves an upper end well above zero, and more days bring it down."""
    week = interval_of_days(np.zeros(7), np.full(7, 288))
    quarter = interval_of_days(np.zeros(90), np.full(90, 288))
    assert week.low == quarter.low == 0
    assert week.high > 0.2
    assert quarter.high < 0.06


def test_the_interval_covers_what_comes_about_as_often_as_it_says() -> None:
    """95 % intervals of day-correlated loads hold the true share in at least nine of ten cases."""
    random = np.random.default_rng(5)
    true, held = 0.1, 0
    for _ in range(400):
        daily = random.beta(0.5, 4.5, 30)  # mean 0.1, days very unlike
        found = interval_of_days(random.binomial(288, daily) / 288, np.full(30, 288))
        held += found.low <= true <= found.high
    assert held / 400 > 0.9


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_what_is_reported_is_about_what_happens(name: str) -> None:
    """On steady cycles the walk inside three weeks says what the rule shows in the fourth, within a point."""
    random = np.random.default_rng(8)
    hours = np.arange(28 * 24)
    values = 20 * (1 + 0.5 * np.sin(hours / 24 * 2 * np.pi)) * random.gamma(20, 1 / 20, (60, hours.size))
    estimator = PROFILES[name].estimator(Dimension.CPU)
    past = Samples.of(Loads.of(values[:, : 21 * 24], MONDAY, HOUR), cuts_of(21))
    whole = Samples.of(Loads.of(values, MONDAY + 7 * 86_400, HOUR), np.arange(21, 29))
    reported = walk_forward(estimator, past).exceedance.mean()
    held_out = walk_forward(estimator, whole).exceedance.mean()
    assert abs(reported - held_out) < 0.01
