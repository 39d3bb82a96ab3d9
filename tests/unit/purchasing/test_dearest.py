"""The highest points up to an amount of mass: as sorting all of them finds it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab_service.purchasing.dearest import highest


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 700), st.sampled_from(["continuous", "tied", "skewed"]), st.floats(0, 1.2)
)
def test_it_is_what_sorting_finds(seed: int, count: int, kind: str, share: float) -> None:
    """The shares add up to the amount, nothing under a share of zero is above one that counts."""
    rng = np.random.default_rng(seed)
    points = rng.random(count)
    if kind == "tied":
        points = np.floor(points * 4)
    if kind == "skewed":
        points = np.exp(40 * points)
    mass = rng.random(count) * rng.choice([0.0, 1.0], count, p=[0.2, 0.8])
    amount = share * float(mass.sum())
    shares, end = highest(points, mass, amount)
    if end < 0:
        assert shares.min() == 1.0
        assert mass.sum() <= amount
        return
    assert float(shares @ mass) == pytest.approx(amount, abs=1e-9 * max(float(mass.sum()), 1e-9))
    assert np.all((shares >= 0.0) & (shares <= 1.0))
    assert points[shares == 1.0].min(initial=np.inf) >= points[end] >= points[shares == 0.0].max(initial=-np.inf)
    assert np.count_nonzero((shares > 0.0) & (shares < 1.0)) <= 1
