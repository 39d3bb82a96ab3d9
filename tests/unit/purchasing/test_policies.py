"""Levels, trends, ladders and migrations, on real demand and on series made to trip them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.purchase_programs import synthetic_usage
from tests.support.shared_data import shared_demand
from trimtab_service.domain.commitments import CommitmentKind
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.purchasing import OwnedLevel, PlanOffer
from trimtab_service.purchasing.backtest import (
    LadderShape,
    decisions,
    hindsight_cost,
    ladder,
    rule_target,
    top_up_target,
)
from trimtab_service.purchasing.ladder_plan import LadderSeries, expirations, month_after, plan_ladder
from trimtab_service.purchasing.migrations import collapsed, held_back
from trimtab_service.purchasing.policies import RULES, Policy, top_up
from trimtab_service.purchasing.policy_report import policy_report
from trimtab_service.purchasing.risk import fan
from trimtab_service.purchasing.single_level import single_level, single_level_cost
from trimtab_service.purchasing.trend import forecast, trend_of

_RATIO = 2.1
START = datetime(2026, 1, 31, tzinfo=UTC)
YEAR = timedelta(days=365)


@pytest.mark.parametrize(
    ("region", "last", "level", "cost"),
    [
        (1, None, 370, 13935341.1),
        (2, None, 454, 15812505.9),
        (1, 8_760, 509, 5768685.6),
        (2, 8_760, 604, 6296727.9),
    ],
)
def test_published_single_levels(region: int, last: int | None, level: float, cost: float) -> None:
    """Levels exact, costs to 1e-12, over three years and over the last."""
    usage = shared_demand().pool(region)
    usage = usage if last is None else usage[-last:]
    assert single_level(usage, _RATIO) == level
    assert single_level_cost(usage, _RATIO, level) == pytest.approx(cost, rel=1e-12)


@given(
    usage=st.lists(st.integers(0, 50), min_size=1, max_size=60),
    ratio=st.floats(1.01, 5.0),
    other=st.floats(0.0, 60.0),
)
@settings(max_examples=80, deadline=None)
def test_no_level_costs_less_than_the_single_level(usage: list[int], ratio: float, other: float) -> None:
    """The order statistic is a minimum of the cost over all levels."""
    series = np.array(usage, dtype=np.float64)
    best = single_level(series, ratio)
    assert single_level_cost(series, ratio, best) <= single_level_cost(series, ratio, other) + 1e-9


def test_a_plan_that_does_not_pay_is_not_bought() -> None:
    """At a ratio of one or less, and over no hours, the level is zero."""
    assert single_level(np.ones(10), 1.0) == 0.0
    assert single_level(np.empty(0), 2.0) == 0.0


def test_a_steady_trend_is_trusted_and_noise_is_not() -> None:
    """A line is carried on whole; white noise around a level stays level."""
    hours = np.arange(24.0 * 7 * 60)
    line = trend_of(100.0 + 0.01 * hours)
    assert line.trust == pytest.approx(1.0)
    assert line.slope == pytest.approx(1.68)
    noise = trend_of(100.0 + np.random.default_rng(1).normal(0.0, 5.0, hours.size))
    assert abs(noise.trusted_slope) < 0.01
    assert forecast(np.full(2_000, 5.0), 1_000) == pytest.approx(5.0)


def test_rules_see_nothing_of_what_comes() -> None:
    """Changing the future changes no decision."""
    usage = synthetic_usage(1, 12_000, 3)[0]
    other = usage.copy()
    other[9_000:] = 0.0
    for rule in RULES.values():
        assert rule(usage[:9_000], 2_000, _RATIO) == rule(other[:9_000], 2_000, _RATIO)
    shape = LadderShape(term=3, paid=4)
    target = top_up_target(_RATIO, shape)
    before = ladder(usage, _RATIO, shape, target).bought[:13]
    assert np.array_equal(before, ladder(other, _RATIO, shape, target).bought[:13])


def test_hindsight_is_a_bound_on_every_ladder() -> None:
    """No policy undercuts the exact optimum over the same purchase months; a ladder never sells."""
    usage = synthetic_usage(1, 730 * 20, 4)[0]
    shape = LadderShape(term=6, paid=10)
    best = hindsight_cost(usage, _RATIO, shape)
    for rule in RULES.values():
        walked = ladder(usage, _RATIO, shape, rule_target(rule, _RATIO, shape))
        assert walked.cost >= best * (1 - 1e-9)
        assert (walked.bought >= 0.0).all()


def test_the_trend_rule_beats_the_clouds_rule_on_real_demand() -> None:
    """Month-start decisions for a year, both regions pooled: under 0.88 % of regret, no month above 4 %."""
    demand = shared_demand()
    clock = np.datetime64(demand.start, "h")
    starts = [int((np.datetime64("2022-02", "M") + m - clock).astype(int)) for m in range(13)]
    cost = np.zeros(13)
    best = np.zeros(13)
    for region in demand.counts:
        outcomes = decisions(demand.pool(region), starts, 8_760, _RATIO, RULES[Policy.TREND])
        cost += [outcome.cost for outcome in outcomes]
        best += [outcome.hindsight for outcome in outcomes]
    assert cost.sum() / best.sum() - 1.0 <= 0.0088
    assert (cost / best).max() - 1.0 <= 0.04


def test_a_family_that_left_one_region_is_not_topped_up_in_another() -> None:
    """Held back for a year after the sibling's fall; neither the fallen one nor an unrelated one waits."""
    months = np.repeat(np.r_[np.full(12, 100.0), np.full(2, 5.0)], 730)
    steady = np.full(months.size, 80.0)
    assert collapsed(months)
    assert not collapsed(steady)
    assert held_back(steady, [months])
    assert not held_back(months, [steady])
    assert not held_back(steady, [])
    long_ago = np.r_[months, np.full(730 * 13, 5.0)]
    assert not held_back(np.full(long_ago.size, 80.0), [long_ago])
    shape = LadderShape()
    assert top_up_target(_RATIO, shape, [months])(14, steady) == 0.0
    assert top_up_target(_RATIO, shape)(14, steady) == 80.0


def test_decline_is_not_bought_into() -> None:
    """A falling fleet's level for a year is under today's quantile; a growing one is bought as it arrives."""
    hours = np.arange(8_760.0)
    falling = 200.0 - 0.015 * hours
    rising = 100.0 + 0.015 * hours
    assert top_up(falling, 8_760, _RATIO) < 0.9 * single_level(falling[-720:], _RATIO)
    now = single_level(rising[-720:], _RATIO)
    assert now < top_up(rising, 8_760, _RATIO) < 1.05 * now


def _offer(rate: float = 0.5) -> PlanOffer:
    return PlanOffer("sp", CommitmentKind.AWS_COMPUTE_SAVINGS_PLAN, Cloud.AWS, YEAR, rate)


def test_the_ladder_plan_is_cut_into_portions_that_can_be_undone() -> None:
    """300 an hour becomes portions of 100 at most, each with seven days, or what the month leaves."""
    steps = plan_ladder([LadderSeries(_offer(), np.full(9_000, 600.0))], START, months=3)
    first = [step for step in steps if step.firm]
    assert sum(step.per_hour for step in first) == Decimal("300.00000")
    assert max(step.per_hour for step in first) <= 100
    assert {step.return_until for step in first} == {datetime(2026, 2, 1, tzinfo=UTC)}
    assert {step.end_time for step in first} == {START + YEAR}
    assert not [step for step in steps if not step.firm]


def test_spreading_takes_several_steps_and_owned_levels_count() -> None:
    """A third per step spreads the expirations over three months; what is owned already is not bought again."""
    history = np.full(9_000, 60.0)
    steps = plan_ladder([LadderSeries(_offer(), history)], START, months=6, spread=3)
    assert [step.per_hour for step in steps] == [Decimal("10.00000")] * 3
    assert list(expirations(steps)) == ["2027-01", "2027-02", "2027-03"]
    owned = OwnedLevel("o", _offer(), 30.0, START - YEAR / 2, START + timedelta(days=40))
    later = plan_ladder([LadderSeries(_offer(), history, (owned,))], START, months=6)
    assert [step.time for step in later] == [month_after(START, 2)]
    with pytest.raises(ValueError, match="one at least"):
        plan_ladder([], START, cadence=0)


def test_month_ends_are_kept() -> None:
    """A month after the 31st of January is the last of February."""
    assert month_after(START, 1) == datetime(2026, 2, 28, tzinfo=UTC)
    assert month_after(START, 12) == datetime(2027, 1, 31, tzinfo=UTC)


def test_a_report_says_when_history_is_too_short() -> None:
    """Not enough data is an answer of its own: no rows, and how many months are needed."""
    short = policy_report({"a": np.ones(2_000)}, _RATIO)
    assert (short.one_decision, short.ladders, short.months, short.months_needed) == ((), (), 2, 13)
    usage = {"a": synthetic_usage(1, 730 * 30, 5)[0]}
    report = policy_report(usage, _RATIO)
    assert [entry.policy for entry in report.one_decision] == list(RULES)
    assert [entry.name for entry in report.ladders] == [
        "monthly_standing_rule",
        "monthly_top_up",
        "quarterly_top_up",
        "bulk",
    ]
    assert all(entry.ratio >= 1.0 - 1e-9 for entry in report.ladders)


def test_the_fan_is_wider_for_a_restless_history() -> None:
    """Factors are positive and spread with the month-to-month changes; a short history has none."""
    calm = fan(np.full(8_760, 10.0), 8_760)
    restless = fan(np.repeat(np.random.default_rng(2).uniform(5.0, 15.0, 12), 730), 8_760)
    assert np.ptp(calm) == pytest.approx(0.0, abs=1e-12)
    assert np.ptp(restless) > 0.1
    assert (restless > 0.0).all()
    assert (fan(np.ones(100), 8_760) == 1.0).all()
