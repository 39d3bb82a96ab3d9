"""A profile keeps what a back-test needs, small, and never makes a load look smaller than it was."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_service.domain.dimensions import Metric, Statistic, Unit
from trimtab_service.rightsizing.profile import covered_until, merge, pack, unpack
from trimtab_service.rightsizing.telemetry import RawSeries, Telemetry

_POINTS = st.lists(
    st.tuples(
        st.integers(min_value=-(2**40), max_value=2**40),
        st.floats(min_value=-1e30, max_value=1e30) | st.just(float("nan")) | st.just(float("inf")),
    ),
    max_size=60,
)


def _series(points: list[tuple[int, float]], metric: Metric = Metric.CPU, device: str = "") -> RawSeries:
    stamps = np.array([stamp for stamp, _ in points], np.int64)
    values = np.array([value for _, value in points], np.float64)
    return RawSeries(metric, Unit.PERCENT, Statistic.MAXIMUM, stamps, values, device, 300)


@given(_POINTS)
def test_what_is_kept_is_never_less_and_hardly_more(points: list[tuple[int, float]]) -> None:
    """Finite points come back in order of time, their size rounded up by less than 0.1 %."""
    (kept,) = unpack(pack(Telemetry((_series(points),)))).series
    finite = sorted(((stamp, value) for stamp, value in points if np.isfinite(value)), key=lambda point: point[0])
    assert kept.epoch_seconds.tolist() == [stamp for stamp, _ in finite]
    for (_, given_value), value in zip(finite, kept.values.tolist(), strict=True):
        assert abs(value) >= abs(given_value)
        assert abs(value) <= abs(given_value) * 1.001 + 1e-37
        assert value * given_value >= 0


@given(_POINTS, st.text(max_size=20))
def test_packing_twice_changes_nothing(points: list[tuple[int, float]], device: str) -> None:
    """Rounding has a fixed point, so a profile does not drift with every run."""
    once = pack(Telemetry((_series(points, Metric.GPU, device), _series([], Metric.MEMORY))))
    assert pack(unpack(once)) == once


def test_merging_takes_the_newer_value_and_forgets_the_old_days() -> None:
    """A correction of the last interval holds; what left the window is gone; the same again changes nothing."""
    old = Telemetry((_series([(0, 1.0), (300, 2.0), (600, 3.0)]),))
    new = Telemetry((_series([(600, 4.0), (900, 5.0)]), _series([(900, 7.0)], Metric.MEMORY)))
    merged = merge(old, new, since_epoch_s=300)
    cpu, memory = merged.series
    assert cpu.epoch_seconds.tolist() == [300, 600, 900]
    assert cpu.values.tolist() == [2.0, 4.0, 5.0]
    assert memory.values.tolist() == [7.0]
    assert pack(merge(merged, new, since_epoch_s=300)) == pack(merged)


def test_what_every_series_reaches_is_covered() -> None:
    """The series that lags behind decides from where the next run reads."""
    both = Telemetry((_series([(0, 1.0), (900, 1.0)]), _series([(600, 1.0)], Metric.MEMORY)))
    assert covered_until(both) == 600
    assert covered_until(Telemetry(())) is None


@pytest.mark.parametrize("cut", [0, 1, 2, 5, 20, -1])
def test_a_damaged_profile_is_refused(cut: int) -> None:
    """Half a profile is no profile: the window is then read anew."""
    whole = pack(Telemetry((_series([(0, 1.0), (300, 2.0)]),)))
    with pytest.raises(ValueError, match="not a profile"):
        unpack(whole[:cut])


def test_a_regular_fortnight_is_small() -> None:
    """A noisy day at five minutes for two weeks takes less than two bytes a point."""
    stamps = np.arange(4032) * 300
    noise = np.random.default_rng(7).normal(0, 5, 4032)
    values = np.clip(30 + 20 * np.sin(np.arange(4032) / 288 * 6.28) + noise, 0, 100)
    series = RawSeries(Metric.CPU, Unit.PERCENT, Statistic.AVERAGE, stamps, values)
    assert len(pack(Telemetry((series,)))) < 2 * 4032
