"""Risk is 0 to 4, grows with want, and is 4 where the typical load does not fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_service.domain.dimensions import DIMENSIONS, Dimension
from trimtab_service.rightsizing.risk import dimension_risk, overall_risk, risk_of_load, risk_of_share


def test_four_gpus_at_thirty_percent_do_not_fit_on_one() -> None:
    """The load is 1.2 GPUs: one GPU is risk 4, two are none, whatever a dashboard of 30 % suggests."""
    random = np.random.default_rng(1)
    load = 4 * np.clip(random.normal(0.30, 0.03, 720), 0, 1)
    assert dimension_risk(Dimension.GPU, load, 1.0) == 4.0
    assert dimension_risk(Dimension.GPU, load, 2.0) == 0.0
    assert dimension_risk(Dimension.GPU, load, 4.0) == 0.0


@pytest.mark.parametrize(
    ("share", "risk"), [(0.0, 0.0), (0.0001, 0.5), (0.001, 1.0), (0.01, 2.0), (0.1, 3.0), (0.5, 4.0), (1.0, 4.0)]
)
def test_the_bands_are_a_factor_of_ten_apart(share: float, risk: float) -> None:
    """0.1 %, 1 %, 10 % and half of the time."""
    assert risk_of_share(share) == pytest.approx(risk)


@given(st.floats(0, 1), st.floats(0, 1))
def test_more_want_is_more_risk(one: float, other: float) -> None:
    """Monotone, and within 0 to 4."""
    low, high = sorted((one, other))
    assert 0 <= risk_of_share(low) <= risk_of_share(high) <= 4


@given(st.integers(0, 200), st.sampled_from(DIMENSIONS), st.floats(0.1, 80), st.floats(1, 3))
def test_a_larger_capacity_is_no_riskier(seed: int, dimension: Dimension, capacity: float, factor: float) -> None:
    """In every dimension."""
    load = np.random.default_rng(seed).gamma(2, 10, 200)
    assert dimension_risk(dimension, load, capacity * factor) <= dimension_risk(dimension, load, capacity)


def test_a_median_above_the_capacity_is_the_highest_risk() -> None:
    """The typical state is want."""
    assert dimension_risk(Dimension.CPU, np.array([1.0, 5.0, 5.0]), 4.0) == 4.0


def test_memory_that_was_exceeded_at_all_is_grave() -> None:
    """It kills instead of slowing down."""
    load = np.append(np.full(9_999, 1.0), 9.0)
    assert dimension_risk(Dimension.CPU, load, 8.0) < 1
    assert dimension_risk(Dimension.MEMORY, load, 8.0) == 3.0


def test_a_nearly_full_size_is_not_without_risk() -> None:
    """Never exceeded, but no room: 0.5."""
    assert risk_of_load(Dimension.CPU, exceedance=0.0, peak=96.0, capacity=100.0) == 0.5
    assert risk_of_load(Dimension.CPU, exceedance=0.0, peak=95.0, capacity=100.0) == 0.0
    assert risk_of_load(Dimension.GPU, exceedance=0.0, peak=0.0, capacity=0.0) == 0.0


def test_no_capacity_under_a_load_is_the_highest_risk() -> None:
    """No GPU for a GPU load."""
    assert dimension_risk(Dimension.GPU, np.full(10, 0.2), 0.0) == 4.0


def test_not_measured_is_not_safe() -> None:
    """NaN: the caller says that it is not known; the worst is taken over what is."""
    assert np.isnan(dimension_risk(Dimension.CPU, np.array([np.nan]), 4.0))
    assert overall_risk([0.5, float("nan"), 2.0]) == 2.0
    assert overall_risk([]) == 0.0
