"""A price of want in the place of a percentile: the chosen capacity is the cheapest of all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_service.rightsizing.levels import cheapest_capacity, cheapest_level

LADDER = [2.0, 4.0, 8.0, 16.0, 32.0]


def cost(samples: list[float], capacity: float, price: float, want: float) -> float:
    """Price and expected price of want of one capacity."""
    return price + want * sum(s > capacity for s in samples) / len(samples)


@given(st.lists(st.floats(0, 40), min_size=1, max_size=60), st.floats(0, 100), st.floats(0.01, 2))
def test_no_other_capacity_costs_less(samples: list[float], want: float, unit: float) -> None:
    """Over a ladder of sizes."""
    prices = [c * unit for c in LADDER]
    found = cheapest_capacity(samples, LADDER, prices, want)
    best = min(cost(samples, c, p, want) for c, p in zip(LADDER, prices, strict=True))
    assert found.cost == pytest.approx(best)
    assert found.capacity == LADDER[found.position]


@given(st.lists(st.floats(0.1, 40), min_size=1, max_size=60), st.floats(0, 100), st.floats(0.01, 2))
def test_no_level_between_the_samples_costs_less(samples: list[float], want: float, unit: float) -> None:
    """Continuous sizes: a grid finer than the samples finds nothing better."""
    found = cheapest_level(samples, unit, want)
    grid = np.linspace(min(samples), max(samples), 400)
    assert found.cost <= min(cost(samples, float(c), float(c) * unit, want) for c in grid) + 1e-9
    assert found.position == -1


@given(st.lists(st.floats(0, 40), min_size=1, max_size=60), st.floats(0, 50), st.floats(0, 50))
def test_a_dearer_hour_of_want_never_gives_a_smaller_size(samples: list[float], one: float, more: float) -> None:
    """Monotone in the price that the caller names."""
    prices = [c * 0.05 for c in LADDER]
    low = cheapest_capacity(samples, LADDER, prices, one)
    high = cheapest_capacity(samples, LADDER, prices, one + more)
    assert high.capacity >= low.capacity


def test_want_that_costs_nothing_takes_the_cheapest_and_want_beyond_price_takes_what_fits() -> None:
    """The two ends."""
    samples, prices = [1.0] * 98 + [10.0] * 2, [1.0, 2.0, 4.0, 8.0, 16.0]
    assert cheapest_capacity(samples, LADDER, prices, 0).capacity == 2.0
    dear = cheapest_capacity(samples, LADDER, prices, 1e6)
    assert (dear.capacity, dear.exceedance, dear.exceedance_cost) == (16.0, 0.0, 0.0)


def test_of_equal_costs_the_larger_capacity_wins() -> None:
    """It costs nothing, so it is taken."""
    assert cheapest_capacity([1.0], [2.0, 8.0], [3.0, 3.0], 5).capacity == 8.0


def test_gaps_are_no_samples_and_no_samples_are_refused() -> None:
    """Nothing measured chooses nothing."""
    assert cheapest_capacity([np.nan, 3.0], [2.0, 4.0], [1.0, 2.0], 100).capacity == 4.0
    with pytest.raises(ValueError, match="no sample"):
        cheapest_level([np.nan], 1.0, 1.0)
    with pytest.raises(ValueError, match="capacity"):
        cheapest_capacity([1.0], [], [], 1.0)
