"""The short way to a grid is the long way's answer."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sizing import NOW
from trimtab_service.domain.dimensions import Statistic
from trimtab_service.rightsizing.regular import already_regular
from trimtab_service.rightsizing.series import STEPS_S, Rules, regularize

NOW_S = NOW.timestamp()


@given(
    st.integers(0, 400),
    st.sampled_from(STEPS_S),
    st.integers(0, 400_000),
    st.integers(0, 100),
    st.sampled_from([Statistic.AVERAGE, Statistic.MAXIMUM]),
    st.booleans(),
    st.sampled_from(["plain", "constant", "rising", "gap", "repeat", "negative", "above"]),
)
@settings(max_examples=300, deadline=None)
def test_a_series_taken_as_it_stands_is_what_the_long_way_makes_of_it(
    size: int, step: int, ago: int, seed: int, statistic: Statistic, detect: bool, kind: str
) -> None:
    """Whatever is wrong with a series sends it the long way; what is right comes out the same."""
    rng = np.random.default_rng(seed)
    stamps = int(NOW_S) - ago - np.arange(size, 0, -1, dtype=np.int64) * step
    values = rng.uniform(1, 90, size)
    if size > 3:
        match kind:
            case "constant":
                values[:] = 7.0
            case "rising":
                values = np.cumsum(values) / size
            case "gap":
                values[2] = np.nan
            case "repeat":
                stamps[2] = stamps[1]
            case "negative":
                values[1] = -1.0
            case "above":
                values[0] = 105.0
    rules = Rules(lookback_s=30 * 86_400, whole=100.0, plausible_max=150.0, detect_counter=detect)
    short = already_regular(stamps, values, now_s=NOW_S, statistic=statistic, rules=rules)
    if short is None:
        return
    long = regularize(stamps, values, now_s=NOW_S, statistic=statistic, rules=rules)
    np.testing.assert_array_equal(short.values, long.values)
    assert (short.start_s, short.step_s, short.given, short.used, short.notes) == (
        long.start_s,
        long.step_s,
        long.given,
        long.used,
        long.notes,
    )


def test_a_clean_series_goes_the_short_way() -> None:
    """Or the property above would hold of nothing."""
    stamps = int(NOW_S) - np.arange(720, 0, -1, dtype=np.int64) * 3_600
    values = np.sin(np.arange(720)) + 2
    rules = Rules(lookback_s=30 * 86_400)
    assert already_regular(stamps, values, now_s=NOW_S, statistic=Statistic.AVERAGE, rules=rules) is not None
