"""What outcomes teach: rates by pool, blocks with decay, and a fold that can be repeated."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import exp, factorial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_service.domain.offers import Cloud, PurchaseOption
from trimtab_service.domain.outcomes import Outcome
from trimtab_service.placement.blocks import NO_BLOCKS, Block
from trimtab_service.placement.gamma import gamma_cdf, gamma_quantile
from trimtab_service.placement.learned import NOTHING_LEARNED, LearnedState
from trimtab_service.placement.rates import PRIOR_HOURS
from trimtab_service.placement.shards import ShardedMap

NOON = datetime(2026, 8, 1, 12, tzinfo=UTC)
SPOT, ON_DEMAND = PurchaseOption.SPOT, PurchaseOption.ON_DEMAND
PRIOR = 1e-4
TYPE, FAMILY = "p3.2xlarge", "p3"


def minutes(count: float) -> datetime:
    """An instant so many minutes after noon."""
    return NOON + timedelta(minutes=count)


def ran(
    hours: float,
    interruptions: int = 0,
    *,
    region: str = "us-east-1",
    zone: str = "",
    instance_type: str = TYPE,
    option: PurchaseOption = SPOT,
) -> Outcome:
    """Spot capacity that ran and was interrupted."""
    return Outcome(
        Cloud.AWS, region, zone, instance_type, option, NOON,
        interruptions=interruptions, hours_run=hours, family=instance_type.partition(".")[0],
    )  # fmt: skip


def failed(at: float, zone: str = "", option: PurchaseOption = SPOT) -> Outcome:
    """No capacity, some minutes after noon."""
    return Outcome(Cloud.AWS, "us-east-1", zone, TYPE, option, minutes(at), capacity_failure=True, family=FAMILY)


def succeeded(at: float, zone: str = "") -> Outcome:
    """Capacity, some minutes after noon."""
    return Outcome(Cloud.AWS, "us-east-1", zone, TYPE, SPOT, minutes(at), capacity_success=True, family=FAMILY)


def rate(state: LearnedState, region: str = "us-east-1", zone: str = "", instance_type: str = TYPE) -> float:
    """Posterior mean of an AWS offer whose family is the part before the dot."""
    return state.rates.rate(Cloud.AWS, instance_type.partition(".")[0], region, instance_type, zone, PRIOR)


def end(state: LearnedState, at: float, zone: str = "", option: PurchaseOption = SPOT) -> float | None:
    """Minutes after noon at which the block that holds `at` ends; None without a block."""
    until = state.blocks.blocked_until(Cloud.AWS, "us-east-1", zone, TYPE, option, minutes(at))
    return None if until is None else (until - NOON) / timedelta(minutes=1)


def test_nothing_learned_is_the_prior_and_no_blocks() -> None:
    """Without outcomes a rate is its prior, and the fast-path flags are down."""
    assert rate(NOTHING_LEARNED) == PRIOR
    assert not NOTHING_LEARNED.has_rates
    assert not NOTHING_LEARNED.has_blocks
    assert NOTHING_LEARNED.active_blocks(NOON) is NO_BLOCKS
    assert end(NOTHING_LEARNED, 0) is None


def test_own_hours_outweigh_the_bucket() -> None:
    """The prior is worth 30 hours: after 30 hours with 15 interruptions the rate is the mean of both."""
    state = NOTHING_LEARNED.report([ran(PRIOR_HOURS, 15)])
    assert rate(state) == pytest.approx((PRIOR + 0.5) / 2)
    assert rate(NOTHING_LEARNED.report([ran(30_000.0, 15_000)])) == pytest.approx(0.5, rel=2e-3)


def test_hours_without_interruptions_lower_the_rate() -> None:
    """A thousand quiet hours bring the rate under its prior."""
    assert rate(NOTHING_LEARNED.report([ran(1_000.0)])) < PRIOR


def test_unknown_places_inherit_what_their_family_showed() -> None:
    """Where nothing was run yet, the wider pool's rate is the expectation; other families and clouds keep theirs."""
    state = NOTHING_LEARNED.report([ran(50.0, 25, zone="us-east-1a")])
    pooled = pytest.approx((PRIOR * 30 + 25) / 80)

    assert rate(state, zone="us-east-1a") == rate(state) == pooled
    assert rate(state, zone="us-east-1b") == rate(state, region="us-west-2") == pooled
    assert rate(state, instance_type="p3.8xlarge") == pooled
    assert rate(state, instance_type="g5.xlarge") == PRIOR
    assert state.rates.rate(Cloud.GCP, FAMILY, "us-east-1", TYPE, "", PRIOR) == PRIOR


def test_evidence_moves_its_own_zone_most() -> None:
    """A bad zone, a good zone: the bad one's rate is highest, the region's between, the family elsewhere below."""
    state = NOTHING_LEARNED.report(
        [ran(50.0, 25, zone="us-east-1a"), ran(200.0, 2, zone="us-east-1b"), ran(900.0, 1, region="eu-west-1")]
    )
    order = [
        rate(state, zone="us-east-1a"),
        rate(state),
        rate(state, zone="us-east-1b"),
        rate(state, region="eu-west-1"),
    ]
    assert order == sorted(order, reverse=True)
    assert len(set(order)) == len(order)
    assert order[1] > rate(state, region="us-west-2") > order[3]


def test_no_evidence_counts_twice() -> None:
    """A zone's rate is a chain of three updates, each with the evidence that the next pool does not hold."""
    state = NOTHING_LEARNED.report(
        [ran(10.0, 4, zone="us-east-1a"), ran(20.0, 2, zone="us-east-1b"), ran(40.0, 1, region="eu-west-1")]
    )
    family = (PRIOR * 30 + 1) / (30 + 40)
    place = (family * 30 + 2) / (30 + 20)
    assert rate(state, zone="us-east-1a") == pytest.approx((place * 30 + 4) / (30 + 10))
    assert rate(state) == pytest.approx((family * 30 + 6) / (30 + 30))


def test_only_spot_teaches_rates() -> None:
    """Hours on demand are never taken away, so they say nothing of spot."""
    assert not NOTHING_LEARNED.report([ran(1_000.0, option=ON_DEMAND)]).has_rates
    assert NOTHING_LEARNED.report([ran(1.0)]).rates.knows(Cloud.AWS, FAMILY)


@given(st.integers(1, 60), st.floats(0.01, 120.0))
def test_gamma_cdf_is_a_poisson_tail(shape: int, x: float) -> None:
    """For whole shapes P(a, x) is one less the sum of the first a Poisson terms."""
    tail = sum(exp(-x) * x**k / factorial(k) for k in range(shape))
    assert gamma_cdf(shape, x) == pytest.approx(1.0 - tail, abs=1e-11)


@given(st.floats(0.05, 5_000.0), st.floats(0.001, 0.999), st.floats(0.01, 1e4))
def test_gamma_quantile_inverts_the_cdf(shape: float, probability: float, scale: float) -> None:
    """The quantile is where the distribution function has the probability, at any scale."""
    x = gamma_quantile(shape, scale, probability) * scale
    assert gamma_cdf(shape, x) == pytest.approx(probability, rel=1e-8, abs=1e-10)


def test_gamma_known_quantiles() -> None:
    """Chi-squared with 10 degrees of freedom at 95 % is 18.307; the exponential's median is ln 2."""
    assert gamma_quantile(5.0, 0.5, 0.95) == pytest.approx(18.307038, abs=1e-6)
    assert gamma_quantile(1.0, 2.0, 0.5) == pytest.approx(0.34657359, abs=1e-8)
    assert gamma_quantile(1e-3, 1.0, 0.05) == 0.0


def test_interval_holds_the_mean_and_narrows_with_hours() -> None:
    """More hours of the same rate give a narrower interval around it."""
    widths = []
    for scale in (1, 10, 100):
        state = NOTHING_LEARNED.report([ran(100.0 * scale, 20 * scale)])
        posterior = state.rates.posterior(Cloud.AWS, FAMILY, "us-east-1", TYPE, "", PRIOR)
        low, high = posterior.interval()
        assert posterior.mean == pytest.approx(rate(state))
        assert low < posterior.mean < high
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)


def test_blocks_double_in_a_row_up_to_four_hours() -> None:
    """5, 10, 20, ... minutes from each failure, never over 240."""
    state, at = NOTHING_LEARNED, 0.0
    for length in (5, 10, 20, 40, 80, 160, 240, 240):
        state = state.report([failed(at)])
        assert end(state, at) == at + length
        assert end(state, at + length) is None
        at += length


def test_a_long_quiet_time_ends_the_row() -> None:
    """A failure more than four hours after the last block starts at 5 minutes again; one sooner does not."""
    twice = NOTHING_LEARNED.report([failed(0), failed(5)])
    assert end(twice.report([failed(15 + 240)]), 15 + 240) == 255 + 20
    assert end(twice.report([failed(15 + 241)]), 15 + 241) == 256 + 5


def test_success_ends_the_block_and_the_row() -> None:
    """After a success the offer is free at once, and the next failure blocks for 5 minutes."""
    state = NOTHING_LEARNED.report([failed(0), failed(5), succeeded(6)])
    assert end(state, 6) is None
    assert not state.has_blocks
    assert end(state.report([failed(7)]), 7) == 12


def test_events_are_ordered_by_when_they_happened() -> None:
    """A failure told late, from before a known success, blocks nothing; an older success ends no newer block."""
    assert end(NOTHING_LEARNED.report([succeeded(10), failed(8)]), 10) is None
    assert end(NOTHING_LEARNED.report([failed(8), succeeded(7)]), 10) == 13
    assert end(NOTHING_LEARNED.report([failed(8), failed(2)]), 9) == 13


def test_zone_and_region_blocks_are_apart() -> None:
    """A zone's failure blocks that zone; a report without zone blocks all; each option stands alone."""
    zonal = NOTHING_LEARNED.report([failed(0, zone="us-east-1a")])
    assert end(zonal, 1, zone="us-east-1a") == 5
    assert end(zonal, 1, zone="us-east-1b") is None
    assert end(zonal, 1) is None

    regional = NOTHING_LEARNED.report([failed(0)])
    assert end(regional, 1, zone="us-east-1b") == end(regional, 1) == 5
    assert end(regional, 1, option=ON_DEMAND) is None


def test_a_zones_success_also_ends_the_regions_block() -> None:
    """Capacity in one zone is capacity in the region; other zones' own blocks stay."""
    state = NOTHING_LEARNED.report([failed(0), failed(0, zone="us-east-1b"), succeeded(1, zone="us-east-1a")])
    assert end(state, 1) is None
    assert end(state, 1, zone="us-east-1b") == 5


def test_active_blocks_are_the_same_object_until_they_change() -> None:
    """Masks can be kept by the answer: it is new exactly when a block ends or an outcome comes."""
    state = NOTHING_LEARNED.report([failed(0, zone="us-east-1a"), failed(3)])
    first = state.active_blocks(minutes(3))
    assert first.blocks == (
        Block(minutes(5), Cloud.AWS, "us-east-1", "us-east-1a", TYPE, SPOT),
        Block(minutes(8), Cloud.AWS, "us-east-1", "", TYPE, SPOT),
    )
    assert state.active_blocks(minutes(4.9)) is first
    assert first.until == minutes(5)
    later = state.active_blocks(minutes(5))
    assert later.blocks == first.blocks[1:]
    assert not state.active_blocks(minutes(8))
    assert state.report([failed(4)]).active_blocks(minutes(4.9)) is not first


outcomes = st.lists(
    st.builds(
        Outcome,
        cloud=st.sampled_from(Cloud),
        region=st.sampled_from(["r1", "r2"]),
        zone=st.sampled_from(["", "a", "b"]),
        instance_type=st.sampled_from(["x.1", "x.2", "y.1"]),
        option=st.sampled_from([SPOT, ON_DEMAND]),
        event_time=st.integers(0, 3_000).map(minutes),
        capacity_failure=st.booleans(),
        capacity_success=st.booleans(),
        interruptions=st.integers(0, 3),
        hours_run=st.floats(0.0, 100.0),
        family=st.sampled_from(["", "x", "y"]),
    ),
    max_size=40,
)


@given(outcomes, st.integers(0, 40), st.integers(0, 4_000))
def test_the_fold_can_be_repeated_in_any_portions(told: Sequence[Outcome], cut: int, at: int) -> None:
    """One by one, in two portions, or through a snapshot in between: the same state, the same blocks and rates."""
    whole = NOTHING_LEARNED.report(told)
    half = NOTHING_LEARNED.report(told[:cut])
    before = half.document()
    resumed = LearnedState.from_document(before).report(told[cut:])

    assert resumed.document() == whole.document() == half.report(told[cut:]).document()
    assert resumed.active_blocks(minutes(at)).blocks == whole.active_blocks(minutes(at)).blocks
    assert half.document() == before


@given(outcomes, st.integers(0, 4_000))
def test_active_blocks_agree_with_single_queries(told: Sequence[Outcome], at: int) -> None:
    """An offer is blocked exactly if the list of active blocks holds it or its region."""
    state = NOTHING_LEARNED.report(told)
    active = {block[1:]: block.end_time for block in state.active_blocks(minutes(at)).blocks}
    for o in told:
        ends = [active.get((o.cloud, o.region, zone, o.instance_type, o.option)) for zone in {"", o.zone}]
        expected = max((e for e in ends if e is not None), default=None)
        got = state.blocks.blocked_until(o.cloud, o.region, o.zone, o.instance_type, o.option, minutes(at))
        assert got == expected


def test_what_a_map_has_more_than_an_older_one() -> None:
    """All that was set since is among it, no matter how much; a map that lacks a key is no newer one."""
    old: ShardedMap[int, int] = ShardedMap()
    for key in range(1_000):
        old = old.set(key, key)
    new = old.set(5, -5).set(2_000, 1)
    found = new.since(old)
    assert found is not None
    assert {**dict(old.items()), **dict(found)} == dict(new.items())
    assert len(found) < 50
    assert new.since(new) == []
    assert old.since(new) is None
    assert old.since(old.without(3)) is not None
