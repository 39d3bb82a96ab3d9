"""Advice on strategies, against figures computed by hand."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import numpy as np
import pytest

from tests.support.failovers import plan, run_of
from tests.support.snapshots import starter_snapshot
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.offers import Cloud
from trimtab_service.failover.prices import transfer_micros
from trimtab_service.failover.run import StepRun
from trimtab_service.failover.strategy import (
    TARGETS_OF,
    Criticality,
    StandbyPrices,
    Strategy,
    StrategyQuestion,
    Times,
    advise_strategy,
    strategy_of,
)

USD: Final = 1_000_000
QUESTION: Final = StrategyQuestion(
    instances=8,
    data_gib=1_000.0,
    target=Times(timedelta(minutes=30), timedelta(minutes=5)),
    prices=StandbyPrices(
        instance_nanos_per_hour=2_000_000_000,
        storage_nanos_per_gib_month=23_000_000,
        transfer_micros=90 * USD,
        half_transfer_micros=45 * USD,
        return_transfer_micros=60 * USD,
    ),
    loss_micros_per_hour=10_000 * USD,
    outages_per_year=0.5,
    capacity_probability=0.9,
)


def _by_strategy(question: StrategyQuestion) -> dict[Strategy, int]:
    return {option.strategy: option.monthly_micros for option in advise_strategy(question).options}


def test_costs_by_hand() -> None:
    """Storage 23, transfer 90; two of eight instances at 2 an hour are 2,920 a month, eight are 11,680."""
    assert _by_strategy(QUESTION) == {
        Strategy.BACKUP_AND_RESTORE: 113 * USD,
        Strategy.PILOT_LIGHT: 113 * USD,
        Strategy.WARM_STANDBY: 3_033 * USD,
        Strategy.ACTIVE_ACTIVE: 11_808 * USD,
    }


def test_the_cheapest_that_is_fast_enough() -> None:
    """Warm standby meets half an hour and five minutes; pilot light is cheaper and too slow."""
    advice = advise_strategy(QUESTION)
    assert advice.advised is Strategy.WARM_STANDBY
    assert [option.strategy for option in advice.options] == [
        Strategy.WARM_STANDBY,
        Strategy.ACTIVE_ACTIVE,
        Strategy.PILOT_LIGHT,
        Strategy.BACKUP_AND_RESTORE,
    ]


def test_none_is_fast_enough() -> None:
    """A target of nothing is met by none, and none is advised; all four are still shown."""
    advice = advise_strategy(replace(QUESTION, target=Times(timedelta(), timedelta())))
    assert advice.advised is None
    assert len(advice.options) == 4


def test_loss_by_hand() -> None:
    """Half an outage of 15 minutes plus a tenth of 4 hours at 10,000 an hour: 3,250; all running: 83.33."""
    loss = {option.strategy: option.expected_loss_micros for option in advise_strategy(QUESTION).options}
    assert loss[Strategy.WARM_STANDBY] == 3_250 * USD
    assert loss[Strategy.ACTIVE_ACTIVE] == 83_333_333
    assert loss[Strategy.PILOT_LIGHT] == 22_000 * USD


def test_what_an_outage_costs_counts_among_what_is_cheap() -> None:
    """A pilot light saves 2,920 a month and loses 2,200,000 a year, not 325,000; without loss it is cheapest."""
    lenient = replace(QUESTION, target=Times(timedelta(hours=5), timedelta(days=1)))
    dear = advise_strategy(replace(lenient, loss_micros_per_hour=1_000_000 * USD))
    years = {option.strategy: option.yearly_micros for option in dear.options}
    assert years[Strategy.PILOT_LIGHT] == (12 * 113 + 2_200_000) * USD
    assert years[Strategy.WARM_STANDBY] == (12 * 3_033 + 325_000) * USD
    assert dear.advised is Strategy.ACTIVE_ACTIVE
    assert advise_strategy(replace(lenient, loss_micros_per_hour=0)).advised is Strategy.PILOT_LIGHT


def test_a_standby_runs_the_hours_that_the_service_runs() -> None:
    """Two of eight instances at 2 an hour for 200 hours are 800."""
    options = advise_strategy(replace(QUESTION, hours_per_month=200.0)).options
    warm = next(one for one in options if one.strategy is Strategy.WARM_STANDBY)
    assert (warm.running, warm.capacity_micros) == (2, 800 * USD)


def test_each_criticality_is_met_by_one_more_strategy() -> None:
    """The least critical by all four, the most critical by active-active alone."""
    met = [
        sum(one.meets_targets for one in advise_strategy(replace(QUESTION, target=TARGETS_OF[criticality])).options)
        for criticality in Criticality
    ]
    assert met == [4, 3, 2, 1]


def test_a_drill_goes_before_a_default() -> None:
    """A pilot light that was measured at 20 minutes is fast enough, and cheaper."""
    measured = {Strategy.PILOT_LIGHT: Times(timedelta(minutes=20), timedelta(minutes=1))}
    advice = advise_strategy(replace(QUESTION, drills=measured))
    assert advice.advised is Strategy.PILOT_LIGHT
    assert [option.is_measured for option in advice.options] == [True, False, False, False]


def test_the_frontier_leaves_out_what_is_slower_and_no_cheaper() -> None:
    """Backups cost what a pilot light costs here, and are slower."""
    assert advise_strategy(QUESTION).frontier == (
        Strategy.PILOT_LIGHT,
        Strategy.WARM_STANDBY,
        Strategy.ACTIVE_ACTIVE,
    )


def test_capacity_that_runs_need_not_be_found() -> None:
    """One instance at 20 percent is one instance: the standby is whole, at no risk."""
    (option,) = [
        one for one in advise_strategy(replace(QUESTION, instances=1)).options if one.strategy is Strategy.WARM_STANDBY
    ]
    assert option.capacity_micros == 1_460 * USD
    assert option.capacity_probability == pytest.approx(1.0)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> CatalogSnapshot:
    """The catalogue that ships."""
    return starter_snapshot(tmp_path_factory.mktemp("catalogs"))


def test_traffic_between_clouds_goes_by_tiers(snapshot: CatalogSnapshot) -> None:
    """The sum over the source's tiers, each GiB at the rate of its tier; within a region it is free."""
    source = next(r for r, one in enumerate(snapshot.regions) if one.cloud is Cloud.AWS and one.name == "us-east-1")
    there = next(r for r, one in enumerate(snapshot.regions) if one.cloud is Cloud.GCP)
    place = int(snapshot.egress.region_geography[there])
    starts, rates = (
        snapshot.egress.internet_tier_from_gib[source, place],
        snapshot.egress.internet_tier_nanos[source, place],
    )
    gib = 20_000.0
    filled = np.clip(np.append(starts[1:], np.inf), None, gib) - np.minimum(starts, gib)
    expected = float(np.nansum(np.where(filled > 0, filled, 0.0) * rates)) / 1_000
    assert transfer_micros(snapshot, source, there, gib) == pytest.approx(expected, abs=len(rates))
    assert transfer_micros(snapshot, source, source, gib) == 0


def test_traffic_within_a_cloud_goes_by_the_pair(snapshot: CatalogSnapshot) -> None:
    """One rate for every GiB."""
    source, there = [r for r, one in enumerate(snapshot.regions) if one.cloud is Cloud.AWS][:2]
    rate = int(snapshot.egress.pair_nanos[source, there])
    assert transfer_micros(snapshot, source, there, 1_000.0) == rate


@pytest.mark.parametrize(
    ("steps", "strategy"),
    [
        ([("scale_capacity", {"count": 10, "before": 2})], Strategy.WARM_STANDBY),
        ([("scale_capacity", {"count": 10, "before": 0})], Strategy.PILOT_LIGHT),
        ([("acquire_capacity", {"a": 0, "b": 0})], Strategy.PILOT_LIGHT),
        ([("acquire_capacity", {"a": 0, "b": 1})], Strategy.WARM_STANDBY),
        ([("promote_data_store", {})], Strategy.PILOT_LIGHT),
        ([("switch_traffic", {"weights": {}})], Strategy.ACTIVE_ACTIVE),
    ],
)
def test_a_run_tells_which_strategy_it_carried_out(
    steps: list[tuple[str, dict[str, object]]], strategy: Strategy
) -> None:
    """By what stood by when it began."""
    done = tuple(StepRun(f"s{at}", at, kind, memo=memo) for at, (kind, memo) in enumerate(steps))
    assert strategy_of(replace(run_of(plan()), steps=done)) is strategy
