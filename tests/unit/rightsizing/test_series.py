"""Points in any state become a series on a grid, and each thing that had to be done is said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_service.catalog.arrays import F64
from trimtab_service.domain.dimensions import Statistic
from trimtab_service.domain.reasons import SeriesNote
from trimtab_service.rightsizing.series import Rules, Series, common_step, regularize

NOW = 1_700_000_000.0
START = 1_699_920_000.0  # a multiple of a day


def notes(series: Series) -> dict[SeriesNote, int]:
    """The notes with their counts."""
    return {counted.note: counted.points for counted in series.notes}


def grid(count: int, step: float = 300.0) -> F64:
    """Stamps of a clean grid in the past."""
    stamps: F64 = START - 86_400 * 20 + np.arange(count, dtype=np.float64) * step
    return stamps


def test_no_point_is_an_empty_series() -> None:
    """Length 0 is an answer, not an error."""
    series = regularize([], [], now_s=NOW)
    assert series.values.size == 0
    assert SeriesNote.EMPTY in notes(series)
    assert series.gap_fraction == 0


def test_one_point_is_one_interval() -> None:
    """Length 1 stands on the default grid."""
    series = regularize([START], [42.0], now_s=NOW)
    assert series.values.tolist() == [42.0]
    assert series.measured_s == series.step_s == 300


def test_a_clean_series_is_taken_as_it_is() -> None:
    """Nothing is noted where nothing was done."""
    values = np.arange(100.0) % 7
    series = regularize(grid(100), values, now_s=NOW)
    assert series.values.tolist() == values.tolist()
    assert (series.step_s, series.notes, series.given, series.used) == (300, (), 100, 100)
    assert series.start_s == int(grid(1)[0])


def test_all_equal_is_said() -> None:
    """A constant series may be a broken agent."""
    series = regularize(grid(50), np.full(50, 3.0), now_s=NOW)
    assert notes(series) == {SeriesNote.CONSTANT: 50}


def test_all_nan_is_empty() -> None:
    """NaN and infinities are gaps; a series of nothing else has no value."""
    series = regularize(grid(4), [np.nan, np.inf, -np.inf, np.nan], now_s=NOW)
    assert notes(series) == {SeriesNote.NOT_FINITE: 4, SeriesNote.EMPTY: 0}


def test_negative_absurd_and_slightly_too_much() -> None:
    """-5 % and 10^9 % are dropped, 100.4 % is taken as the whole; each is counted."""
    values = np.full(60, 10.0)
    values[[3, 4]] = -5
    values[7] = 1e9
    values[9] = 100.4
    series = regularize(grid(60), values, now_s=NOW, rules=Rules(plausible_max=1_000, whole=100))
    assert np.isnan(series.values[[3, 4, 7]]).all()
    assert series.values[9] == 100
    assert notes(series) == {
        SeriesNote.NEGATIVE: 2,
        SeriesNote.ABSURD: 1,
        SeriesNote.CLIPPED: 1,
        SeriesNote.GAPS: 3,
    }


def test_the_future_is_dropped_but_for_a_little_skew() -> None:
    """A stamp a minute ahead is a clock; an hour ahead is not a measurement."""
    series = regularize([NOW - 300, NOW, NOW + 30, NOW + 3_600], [1, 2, 3, 4], now_s=NOW)
    assert notes(series)[SeriesNote.FUTURE_POINTS] == 1
    assert series.used == 3


def test_older_than_the_look_back_is_left_out() -> None:
    """The look-back window ends the past."""
    series = regularize(
        grid(300, 3_600), np.ones(300), now_s=float(grid(300, 3_600)[-1]), rules=Rules(lookback_s=86_400)
    )
    assert series.used == 25
    assert notes(series)[SeriesNote.OUTSIDE_LOOKBACK] == 275


def test_of_two_points_with_one_stamp_the_higher_counts() -> None:
    """Duplicates err on the safe side and are counted."""
    series = regularize([START, START, START + 300, START + 600], [1, 5, 2, 2], now_s=NOW)
    assert series.values.tolist() == [5, 2, 2]
    assert notes(series)[SeriesNote.DUPLICATE_POINTS] == 1


@given(st.permutations(range(12)))
def test_order_does_not_matter(order: list[int]) -> None:
    """Out-of-order points give the series that ordered ones give."""
    stamps, values = grid(12), np.arange(12.0) ** 2 % 11
    shuffled = regularize(stamps[order], values[order], now_s=NOW)
    assert shuffled.values.tolist() == regularize(stamps, values, now_s=NOW).values.tolist()
    assert (SeriesNote.OUT_OF_ORDER in notes(shuffled)) == (list(order) != sorted(order))


def test_a_gap_stays_a_gap() -> None:
    """Nothing is filled in."""
    keep = np.r_[0:20, 50:80]
    series = regularize(grid(80)[keep], np.arange(80.0)[keep], now_s=NOW)
    assert series.values.size == 80
    assert np.isnan(series.values[20:50]).all()
    assert notes(series) == {SeriesNote.GAPS: 30}
    assert series.gap_fraction == pytest.approx(30 / 80)


def test_a_gap_of_every_night_is_no_coarser_resolution() -> None:
    """A machine that is stopped from six to eight keeps its five minutes, and with them the peak of its morning."""
    keep = np.arange(14 * 288) % 288 < 120
    values = np.where(np.arange(14 * 288) % 288 < 12, 85.0, 10.0)
    series = regularize(grid(14 * 288)[keep], values[keep], now_s=NOW)
    assert series.step_s == 300
    assert notes(series) == {SeriesNote.GAPS: 13 * 168}
    assert np.nanmax(series.values) == 85.0


def test_points_missing_here_and_there_make_no_coarser_grid() -> None:
    """Every ninth value is no number."""
    values = np.where(np.arange(900) % 9 == 4, np.nan, 20.0)
    series = regularize(grid(900), values, now_s=NOW)
    assert series.step_s == 300
    assert SeriesNote.MIXED_RESOLUTION not in notes(series)
    assert notes(series)[SeriesNote.GAPS] == 100


def test_seconds_and_hours_mixed_come_to_the_coarser_grid() -> None:
    """Two days of hours and then an hour of seconds: hours, with the mean of the seconds, and it is said."""
    hours, seconds = START - 86_400 * 5 + np.arange(48) * 3_600, START - 86_400 * 3 + np.arange(3_600)
    values = np.concatenate([np.full(48, 20.0), np.linspace(0, 100, 3_600)])
    series = regularize(np.concatenate([hours, seconds]), values, now_s=NOW)
    assert series.step_s == 3_600
    assert series.values.size == 49
    assert series.values[-1] == pytest.approx(50)
    assert SeriesNote.MIXED_RESOLUTION in notes(series)


def test_an_hour_of_seconds_in_a_fortnight_of_hours_is_told() -> None:
    """It is little of the time, and most of the points."""
    hours, seconds = START - 86_400 * 14 + np.arange(14 * 24) * 3_600, START + np.arange(3_600)
    series = regularize(np.concatenate([hours, seconds]), np.full(14 * 24 + 3_600, 20.0), now_s=NOW)
    assert series.step_s == 3_600
    assert SeriesNote.MIXED_RESOLUTION in notes(series)


def test_jitter_is_no_mixed_resolution() -> None:
    """Stamps a few seconds off a five-minute grid are five minutes."""
    jitter = np.random.default_rng(1).integers(0, 8, 500)
    series = regularize(grid(500) + jitter, np.ones(500), now_s=NOW)
    assert series.step_s == 300
    assert SeriesNote.MIXED_RESOLUTION not in notes(series)


def test_a_declared_counter_becomes_a_rate_and_survives_resets() -> None:
    """Counts of 60 each minute are one a second, also over a reset."""
    counter = np.concatenate([np.arange(50) * 60.0 + 1e6, np.arange(1, 51) * 60.0])
    series = regularize(grid(100, 60), counter, now_s=NOW, statistic=Statistic.COUNTER)
    assert series.values == pytest.approx(np.ones(99))
    assert notes(series)[SeriesNote.COUNTER_RESET] == 1


def test_a_counter_declared_as_a_gauge_is_found_out() -> None:
    """What only rises, but for a fall to nought, is a counter; it is read as one and said."""
    counter = np.cumsum(np.random.default_rng(2).uniform(1, 9, 400) * 60)
    series = regularize(grid(400, 60), counter, now_s=NOW, rules=Rules(detect_counter=True))
    assert SeriesNote.LOOKS_LIKE_A_COUNTER in notes(series)
    assert 1 <= np.nanmin(series.values) <= np.nanmax(series.values) <= 9


@given(st.integers(0, 10_000))
def test_a_load_is_never_taken_for_a_counter(seed: int) -> None:
    """Noise, cycles and growth go both ways."""
    random = np.random.default_rng(seed)
    load = 20 + 10 * np.sin(np.arange(500) / 46) + random.normal(0, 2, 500) + np.arange(500) * 0.01
    series = regularize(grid(500), np.maximum(load, 0), now_s=NOW, rules=Rules(detect_counter=True))
    assert SeriesNote.LOOKS_LIKE_A_COUNTER not in notes(series)


def test_sums_become_rates_by_their_own_interval() -> None:
    """300 bytes in five minutes are one a second; a gap does not thin the point before it."""
    keep = np.r_[0:10, 30:40]
    series = regularize(grid(40)[keep], np.full(20, 300.0), now_s=NOW, statistic=Statistic.SUM)
    assert series.values[~np.isnan(series.values)] == pytest.approx(np.ones(20))


def test_ten_million_points_are_brought_down_keeping_their_peaks() -> None:
    """A year of seconds in arrays: one grid of bounded length, and no peak is lost."""
    count = 10_000_000
    stamps = NOW - count + np.arange(count)
    values = np.full(count, 1.0, dtype=np.float64)
    values[[5, 4_999_999, count - 1]] = [70.0, 80.0, 90.0]
    series = regularize(stamps, values, now_s=NOW)
    assert series.values.size <= 40_320
    assert np.sort(series.values[series.values > 1]).tolist() == [70.0, 80.0, 90.0]
    assert SeriesNote.DOWNSAMPLED in notes(series)
    assert (series.given, series.used) == (count, count)


def test_decades_between_two_points_stay_bounded() -> None:
    """A stamp of 1970 beside one of today does not make a grid of fifty years of seconds."""
    series = regularize([0.0, NOW], [1.0, 2.0], now_s=NOW)
    assert series.values.size <= 40_320
    assert np.nanmax(series.values) == 2


@given(
    st.lists(
        st.tuples(
            st.one_of(st.floats(0, 2e9), st.floats(allow_nan=True)),
            st.one_of(st.floats(-1e3, 1e12), st.floats(allow_nan=True)),
        ),
        max_size=40,
    ),
    st.sampled_from(Statistic),
)
def test_nothing_raises_and_what_comes_out_is_sane(points: list[tuple[float, float]], statistic: Statistic) -> None:
    """Whatever the content: a bounded grid of gaps and finite numbers that are not negative."""
    stamps, values = [p[0] for p in points], [p[1] for p in points]
    series = regularize(stamps, values, now_s=NOW, statistic=statistic, rules=Rules(detect_counter=True))
    finite = series.values[~np.isnan(series.values)]
    assert series.values.size <= 40_320
    assert np.isfinite(finite).all()
    assert (finite >= 0).all()
    assert series.start_s % series.step_s == 0


def test_arrays_of_different_length_are_refused() -> None:
    """A fault of the caller, not of the data."""
    with pytest.raises(ValueError, match="as many stamps"):
        regularize([1.0], [1.0, 2.0], now_s=NOW)
    with pytest.raises(ValueError, match="a step must be"):
        regularize([1.0], [1.0], now_s=NOW, rules=Rules(step_s=7))


def test_series_of_two_steps_meet_on_the_coarser() -> None:
    """The grid on which two series can be added."""
    fine = regularize(grid(10, 60), np.ones(10), now_s=NOW)
    coarse = regularize(grid(10, 300), np.ones(10), now_s=NOW)
    assert common_step([fine, coarse]) == 300
