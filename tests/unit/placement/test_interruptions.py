"""Spot cost model: the published table, and what must hold for every workload and rate."""

from math import exp, expm1, inf, isinf, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_service.domain.workloads import Interruption
from trimtab_service.placement.interruptions import (
    ADVISOR_SHARES,
    BUCKET_RATES,
    UNKNOWN_BUCKET_RATE,
    best_interval,
    bucket_rate,
    outlook,
    rate_of_share,
    risk_class,
)

WORK = 8.0
WRITE = 2.0 / 60.0
RESTART = 6.0 / 60.0
SPOT_USD, ON_DEMAND_USD = 0.92, 3.06

# M (h), Young's interval (min), phi of one node, saving %, the same for a gang of four, saving % without checkpoints.
TABLE = (
    (0.72, 13, 1.586, 52.3, 3.470, -4.3, -inf),
    (2.0, 22, 1.270, 61.8, 1.806, 45.7, -324.0),
    (4.0, 31, 1.170, 64.8, 1.449, 56.4, 1.5),
    (10.0, 49, 1.097, 67.0, 1.231, 63.0, 53.5),
    (50.0, 110, 1.040, 68.7, 1.085, 67.4, 67.3),
)


def saving_percent(billed_hours: float) -> float:
    """Saving over on demand, in percent, of the table's job."""
    return 100.0 * (1.0 - billed_hours / WORK * SPOT_USD / ON_DEMAND_USD)


def young(mean: float) -> float:
    """Young's interval in hours."""
    return sqrt(2.0 * WRITE * mean)


def at_young(mean: float) -> Interruption:
    """The table's job with Young's interval prescribed."""
    return Interruption(WRITE, RESTART, checkpoint_interval_hours=young(mean))


@pytest.mark.parametrize(("mean", "minutes", "phi", "saving", "gang_phi", "gang_saving", "anew_saving"), TABLE)
def test_table_at_youngs_interval(
    mean: float, minutes: int, phi: float, saving: float, gang_phi: float, gang_saving: float, anew_saving: float
) -> None:
    """The published table is reproduced to its last digit with Young's interval prescribed."""
    one = outlook(WORK, mean, at_young(mean))
    gang = outlook(WORK, mean, at_young(mean / 4), 4)
    anew = outlook(WORK, mean, Interruption(restart_hours=RESTART))

    assert round(young(mean) * 60) == minutes
    assert one.interval_hours == young(mean)
    assert one.billed_hours / WORK == pytest.approx(phi, abs=5.1e-4)
    assert saving_percent(one.billed_hours) == pytest.approx(saving, abs=0.06)
    assert gang.billed_hours / WORK == pytest.approx(gang_phi, abs=5.1e-4)
    assert saving_percent(gang.billed_hours) == pytest.approx(gang_saving, abs=0.06)
    assert saving_percent(anew.billed_hours) == pytest.approx(anew_saving, abs=0.6)


def test_a_gang_of_four_on_scarce_capacity_loses_money_on_spot() -> None:
    """At M = 0.72 h a gang of four pays more on spot than on demand; without checkpoints it never ends."""
    interruption = Interruption(WRITE, RESTART)

    assert saving_percent(outlook(WORK, 0.72, interruption, 4).billed_hours) < 0.0
    assert saving_percent(outlook(WORK, 0.72, interruption).billed_hours) > 50.0
    assert isinf(outlook(WORK, 0.72, Interruption(restart_hours=RESTART)).billed_hours)


@pytest.mark.parametrize("row", TABLE)
def test_dalys_interval_is_at_least_as_good_as_youngs(row: tuple[float, ...]) -> None:
    """The higher-order interval never costs more than the first-order one on the table's rows."""
    mean = row[0]
    for count in (1, 4):
        chosen = outlook(WORK, mean, Interruption(WRITE, RESTART), count)
        assert chosen.billed_hours <= outlook(WORK, mean, at_young(mean / count), count).billed_hours


def test_dalys_formula_by_hand() -> None:
    """Interval and hours are the printed formulas, evaluated with d = 2 min, R = 6 min, M = 10 h."""
    mean = 10.0
    half = WRITE / (2 * mean)
    interval = sqrt(2 * WRITE * mean) * (1 + sqrt(half) / 3 + half / 9) - WRITE
    got = outlook(WORK, mean, Interruption(WRITE, RESTART))

    assert got.interval_hours == best_interval(WRITE, mean) == pytest.approx(interval, rel=1e-14)
    expected = mean * exp(RESTART / mean) * expm1((interval + WRITE) / mean) * WORK / interval
    assert got.billed_hours == pytest.approx(expected, rel=1e-14)
    assert got.expected_interruptions == pytest.approx(expected / mean, rel=1e-14)
    assert best_interval(3.0, 1.0) == 1.0


def test_waits_lengthen_the_elapsed_time_and_are_not_billed() -> None:
    """Elapsed hours are paid hours and one mean wait for every expected interruption."""
    interruption = Interruption(WRITE, RESTART)
    quick, slow = (outlook(WORK, 2.0, interruption, wait_hours=wait) for wait in (0.0, 1.5))

    assert quick.elapsed_hours == quick.billed_hours == slow.billed_hours
    assert slow.elapsed_hours == pytest.approx(slow.billed_hours + 1.5 * slow.expected_interruptions)


def test_never_interrupted_work_pays_its_hours_and_prescribed_checkpoints_only() -> None:
    """None and infinity are both 'never'; a prescribed interval still costs its writes; two hours of work pay two."""
    for never in (None, inf):
        assert outlook(2.0, never, Interruption(0.1)) == (2.0, 0.0, None, 2.0)
        assert outlook(2.0, never, Interruption()) == (2.0, 0.0, None, 2.0)
        kept = outlook(2.0, never, Interruption(0.1, checkpoint_interval_hours=0.5))
        assert kept.billed_hours == kept.elapsed_hours == pytest.approx(2.4)
        assert kept.expected_interruptions == 0.0
        assert kept.interval_hours == 0.5


def test_a_service_pays_restarts_only() -> None:
    """A service has no work to lose: its hours grow by e^(R/M), whatever it says of checkpoints."""
    for interruption in (Interruption(restart_hours=0.1), Interruption(0.5, 0.1, 2.0)):
        got = outlook(730.0, 20.0, interruption, 2, is_service=True)
        assert got.billed_hours == pytest.approx(730.0 * exp(0.01), rel=1e-14)
        assert got.interval_hours is None


def test_an_interval_longer_than_the_work_is_no_checkpoint() -> None:
    """A checkpoint that would be written after the end is neither written nor paid."""
    anew = outlook(2.0, 5.0, Interruption(restart_hours=0.1))
    assert outlook(2.0, 5.0, Interruption(0.1, 0.1, 2.0)) == anew
    assert outlook(0.05, 5.0, Interruption(0.1, 0.1)).interval_hours is None


def test_interruptions_faster_than_any_progress_never_finish() -> None:
    """Overflow is 'never', not an error: tiny means, huge writes, no time at all between interruptions."""
    for mean in (0.0, 1e-300, 1e-4):
        for interruption in (Interruption(), Interruption(0.5, 0.5), Interruption(0.5, 0.5, 0.1)):
            assert outlook(1.0, mean, interruption, 8) == (inf, inf, None, inf)
    assert outlook(1.0, 10.0, Interruption(0.1, checkpoint_interval_hours=0.0)).billed_hours == inf
    assert outlook(0.0, 1.0, Interruption()) == (0.0, 0.0, None, 0.0)


hours = st.floats(0.001, 50_000.0)
means = st.floats(1e-3, 1e9)
interruptions = st.builds(
    Interruption,
    checkpoint_write_hours=st.none() | st.just(0.0) | st.floats(1e-6, 100.0),
    restart_hours=st.floats(0.0, 10.0),
    checkpoint_interval_hours=st.none() | st.floats(1e-4, 1_000.0),
)


@given(hours, means, st.floats(1.0, 100.0), interruptions, st.integers(1, 64), st.booleans())
def test_more_interruptions_never_cost_less(
    work: float, mean: float, factor: float, interruption: Interruption, count: int, is_service: bool
) -> None:
    """Paid hours are at least the work, and rise (never fall) with the rate and with the gang's size."""
    rare = outlook(work, mean, interruption, count, is_service=is_service)
    often = outlook(work, mean / factor, interruption, count, is_service=is_service)
    larger = outlook(work, mean, interruption, count + 1, is_service=is_service)
    never = outlook(work, None, interruption, count, is_service=is_service)
    slack = 1.0 + 1e-12

    assert work <= never.billed_hours <= rare.billed_hours * slack
    assert rare.billed_hours <= often.billed_hours * slack
    assert rare.billed_hours <= larger.billed_hours * slack
    assert rare.elapsed_hours >= rare.billed_hours


@given(hours, means, st.floats(1e-6, 10.0), st.floats(0.0, 1.0), st.floats(1e-3, 1_000.0))
def test_no_prescribed_interval_beats_the_chosen_one_by_much(
    work: float, mean: float, write: float, restart: float, interval: float
) -> None:
    """Daly's interval is within 1 % of whatever other interval anyone could prescribe."""
    chosen = outlook(work, mean, Interruption(write, restart))
    other = outlook(work, mean, Interruption(write, restart, interval))

    assert chosen.billed_hours <= other.billed_hours * 1.01


def test_buckets_become_rates_and_come_back_as_risk_classes() -> None:
    """5 % a month is 14,037 h between interruptions; each bucket's own rate is in its own class 1 to 5."""
    for share, mean in ((0.05, 14_037), (0.10, 6_834), (0.15, 4_430), (0.20, 3_227)):
        assert round(1.0 / rate_of_share(share)) == mean
    assert [risk_class(rate) for rate in BUCKET_RATES] == [1, 2, 3, 4, 5]
    assert [bucket_rate(bucket) for bucket in range(5)] == [rate_of_share(share) for share in ADVISOR_SHARES]
    assert bucket_rate(-1) == UNKNOWN_BUCKET_RATE
    assert risk_class(0.0) == 1
    assert risk_class(1.0) == 5
