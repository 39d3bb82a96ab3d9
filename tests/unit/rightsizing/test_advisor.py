"""What is found and offered, by numbers that can be told by hand."""

import itertools
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sizing import (
    CPU,
    GPU,
    M5_4XLARGE,
    MEMORY,
    NOW,
    TWO_WEEKS,
    advice,
    case,
    demand_of,
    flat,
    instance,
    peaks,
    series,
)
from tests.support.sizing_brute_force import cheapest_plain
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.commitments import Commitment, CommitmentKind
from trimtab_service.domain.dimensions import Metric, Statistic, Unit
from trimtab_service.domain.offers import Cloud, PriceBasis
from trimtab_service.domain.preferences import RightsizingPreferences
from trimtab_service.domain.reasons import AdviceReason as Why
from trimtab_service.domain.resources import Capacity, CloudResource
from trimtab_service.domain.rightsizing import Action, Finding, MigrationEffort
from trimtab_service.rightsizing.advisor import advise
from trimtab_service.rightsizing.telemetry import RawSeries


@given(st.floats(0.5, 100.0), st.floats(0.5, 100.0))
@settings(max_examples=60, deadline=None)
def test_the_first_option_is_the_cheapest_type_that_serves(starter: CatalogSnapshot, cpu: float, memory: float) -> None:
    """Held against a search of every offer in turn that shares no code."""
    found = advice(starter, M5_4XLARGE, [flat(Metric.CPU, cpu), flat(Metric.MEMORY, memory)], peaks(allow_stop=False))
    best = cheapest_plain(starter, "us-east-1", "x86_64", 16 * cpu / 100 * (1 - 1e-9), 64 * memory / 100 * (1 - 1e-9))
    now = 768_000_000
    if best is None or best.nanos > 0.95 * now:  # 5 % is what the least disruption has to bring
        assert found.finding is Finding.OPTIMIZED
        assert not found.options
    else:
        assert (found.options[0].instance_type, found.options[0].price_nanos_per_hour) == (best.name, best.nanos)


def test_money_is_exact(starter: CatalogSnapshot) -> None:
    """USD 0.768 an hour is 560.64 for 730 hours, and the saving is the difference to the last micro."""
    found = advice(starter, M5_4XLARGE, [flat(Metric.CPU, 10), flat(Metric.MEMORY, 20)])
    assert found.current is not None
    assert found.current.monthly_cost_micros == 560_640_000
    best = found.options[0]
    assert best.monthly_cost_micros == best.price_nanos_per_hour * 730 // 1_000
    assert best.monthly_saving_micros == 560_640_000 - best.monthly_cost_micros == best.monthly_net_saving_micros
    fewer = replace(M5_4XLARGE, running_hours_per_month=198.0)
    assert advice(starter, fewer, [flat(Metric.CPU, 10), flat(Metric.MEMORY, 20)]).hours_per_month == 198.0


def test_four_gpus_at_thirty_per_cent_are_not_one(starter: CatalogSnapshot) -> None:
    """1.2 GPUs of load: a p3.2xlarge would save USD 6,610 in 720 hours, and is not offered whatever it saves."""
    resource = replace(instance("p3.8xlarge"), running_hours_per_month=720.0)
    measured = [flat(Metric.GPU, 30, device=f"gpu{i}") for i in range(4)]
    measured += [flat(Metric.CPU, 5), flat(Metric.MEMORY, 5)]
    measured += [flat(Metric.GPU_MEMORY, 10, device=f"gpu{i}") for i in range(4)]
    found = advice(starter, resource, measured, RightsizingPreferences(max_risk=4.0))
    assert found.current is not None
    assert found.current.monthly_cost_micros - 3_060_000_000 * 720 // 1_000 == 6_609_600_000
    assert demand_of(found.current, GPU) >= 1.2
    for option in found.options:
        assert option.instance_type != "p3.2xlarge"
        gpu = next(one for one in option.dimensions if one.dimension is GPU)
        assert gpu.capacity >= 1.2
    assert found.finding is Finding.OVER_PROVISIONED


def test_two_gpus_or_a_slice_are_offered_where_they_exist(starter: CatalogSnapshot) -> None:
    """Of four A100 at 30 % two remain; a share is told after them, and that it saves only where others use the rest."""
    resource = instance("a2-highgpu-4g", Cloud.GCP, "us-central1")
    measured = [flat(Metric.GPU, 30, device=f"gpu{i}") for i in range(4)]
    measured += [flat(Metric.GPU_MEMORY, 10, device=f"gpu{i}") for i in range(4)]
    measured += [flat(Metric.CPU, 5), flat(Metric.MEMORY, 5)]
    found = advice(starter, resource, measured, RightsizingPreferences(max_options=20, allow_gpu_model_change=False))
    assert found.options[0].instance_type == "a2-highgpu-2g"
    assert found.options[0].action is Action.CHANGE_GPU
    assert Why.GPU_COUNT_OVER_PROVISIONED in found.options[0].reasons
    light = [flat(Metric.GPU, 8, device=f"gpu{i}") for i in range(4)]
    shared = advice(starter, resource, light + measured[4:], RightsizingPreferences(max_options=20)).options
    slices = [option for option in shared if option.action is Action.SHARE_GPU]
    assert slices
    assert all(option.gpu_share and Why.SHARE_NEEDS_OTHERS in option.reasons for option in slices)
    assert [option.action is Action.SHARE_GPU for option in shared] == sorted(
        option.action is Action.SHARE_GPU for option in shared
    )


def test_memory_of_gpus_is_held_per_gpu(starter: CatalogSnapshot) -> None:
    """What one A100 of 40 GiB holds now is not divided over smaller ones."""
    resource = instance("a2-highgpu-1g", Cloud.GCP, "us-central1")
    measured = [flat(Metric.GPU, 5), flat(Metric.GPU_MEMORY, 30, Unit.GIB), flat(Metric.CPU, 5), flat(Metric.MEMORY, 5)]
    for option in advice(starter, resource, measured, RightsizingPreferences(max_options=20)).options:
        assert (option.capacity.gpu_memory_gib or 0) >= 30


def test_what_was_not_measured_is_kept(starter: CatalogSnapshot) -> None:
    """Without a series of memory no option has less of it, and the answer says so."""
    found = advice(starter, M5_4XLARGE, [flat(Metric.CPU, 10)])
    assert Why.MEMORY_NOT_MEASURED in found.reasons
    for option in (found.current, *found.options):
        assert option is not None
        assert (option.capacity.memory_gib or 0) >= 64
        assert next(one for one in option.dimensions if one.dimension is MEMORY).assumed


def test_memory_stays_above_its_peak_unless_asked(starter: CatalogSnapshot) -> None:
    """One hour at 60 GiB holds the size, whatever percentile is preferred."""
    memory = np.full(TWO_WEEKS, 10.0)
    memory[50] = 60 / 64 * 100
    measured = [flat(Metric.CPU, 10), series(Metric.MEMORY, memory)]
    low = RightsizingPreferences(dimensions=peaks().dimensions[:1])
    assert all((option.capacity.memory_gib or 0) >= 60 for option in advice(starter, M5_4XLARGE, measured, low).options)
    asked = replace(peaks(), allow_memory_below_peak=True, max_risk=4.0)
    below = tuple(replace(one, percentile=90.0) if one.dimension is MEMORY else one for one in asked.dimensions)
    found = advice(starter, M5_4XLARGE, measured, replace(asked, dimensions=below))
    assert min(option.capacity.memory_gib or 0 for option in found.options) < 60
    assert found.options[0].risk >= 3


def test_kills_and_throttling_raise_the_floor(starter: CatalogSnapshot) -> None:
    """After a kill at 25.6 GiB at least 1.2 times that; throttled at 8 vCPUs likewise."""
    kills = np.zeros(TWO_WEEKS)
    kills[100] = 1
    measured = [
        flat(Metric.CPU, 50),
        flat(Metric.MEMORY, 40),
        series(Metric.OOM_KILLS, kills, Unit.COUNT, statistic=Statistic.SUM),
        flat(Metric.CPU_THROTTLED, 20),
    ]
    found = advice(starter, M5_4XLARGE, measured, peaks())
    assert found.current is not None
    assert demand_of(found.current, MEMORY) == pytest.approx(25.6 * 1.2)
    assert demand_of(found.current, CPU) == pytest.approx(8 * 1.2)
    assert {Why.MEMORY_KILLS, Why.CPU_THROTTLED} <= set(found.reasons)


def test_a_weekend_never_lowers_monday(starter: CatalogSnapshot) -> None:
    """A load of working days that ends on a quiet weekend is sized as on the Friday before."""
    hours = np.arange(TWO_WEEKS)
    weekday = (hours // 24) % 7 < 5  # the series ends on a Sunday
    busy = [series(Metric.CPU, np.where(weekday, 60.0, 2.0)), flat(Metric.MEMORY, 20)]
    found = advice(starter, M5_4XLARGE, busy)
    assert found.current is not None
    assert demand_of(found.current, CPU) >= 16 * 0.6


@pytest.mark.parametrize(
    ("resource", "measured", "finding"),
    [
        (M5_4XLARGE, [flat(Metric.CPU, 10), flat(Metric.MEMORY, 20)], Finding.OVER_PROVISIONED),
        (M5_4XLARGE, [flat(Metric.CPU, 99), flat(Metric.MEMORY, 20)], Finding.UNDER_PROVISIONED),
        (M5_4XLARGE, [flat(Metric.CPU, 85), flat(Metric.MEMORY, 85, hours=300)], Finding.NOT_OPTIMIZED),
        (M5_4XLARGE, [flat(Metric.CPU, 1), flat(Metric.MEMORY, 20)], Finding.IDLE),
        (M5_4XLARGE, [], Finding.INSUFFICIENT_DATA),
        (M5_4XLARGE, [flat(Metric.CPU, 10, hours=29)], Finding.INSUFFICIENT_DATA),
        (M5_4XLARGE, [flat(Metric.MEMORY, 10)], Finding.INSUFFICIENT_DATA),
        (instance("m99.large"), [flat(Metric.CPU, 10)], Finding.UNSUPPORTED),
        (instance("m5.large", region="mars-1"), [flat(Metric.CPU, 10)], Finding.UNSUPPORTED),
    ],
)
def test_findings_are_told_apart(
    starter: CatalogSnapshot, resource: CloudResource, measured: list[RawSeries], finding: Finding
) -> None:
    """Nothing to do, too little data, unsupported, and savings are different answers; only some have figures."""
    found = advice(starter, resource, measured)
    assert found.finding is finding
    answered = finding not in {Finding.INSUFFICIENT_DATA, Finding.UNSUPPORTED, Finding.SOURCE_FAILED}
    assert (found.current is not None) is answered
    assert bool(found.missing) is not answered


def test_a_failed_source_says_nothing_of_savings(starter: CatalogSnapshot) -> None:
    """Neither optimised nor without data: the words of the source stand in the answer."""
    asked = replace(case(M5_4XLARGE, []), failure="the credentials have expired")
    found = advise(asked, starter, (), NOW)
    assert (found.finding, found.missing) == (Finding.SOURCE_FAILED, ("the credentials have expired",))
    assert found.current is None


def test_what_is_idle_is_stopped_first(starter: CatalogSnapshot) -> None:
    """The whole price is saved, and a preference can forbid it."""
    measured = [flat(Metric.CPU, 1), flat(Metric.MEMORY, 20)]
    found = advice(starter, M5_4XLARGE, measured)
    assert found.options[0].action is Action.STOP
    assert found.options[0].monthly_saving_micros == 560_640_000
    kept = advice(starter, M5_4XLARGE, measured, RightsizingPreferences(allow_stop=False))
    assert kept.finding is Finding.OVER_PROVISIONED
    assert all(option.action is not Action.STOP for option in kept.options)


def test_a_private_type_is_sized_by_the_callers_figures(starter: CatalogSnapshot) -> None:
    """Capacity and price of the caller stand for a type that no catalogue holds."""
    private = replace(
        instance("forge.32"), capacity=Capacity(vcpus=32, memory_gib=128), price_nanos_per_hour=2_000_000_000
    )
    found = advice(starter, private, [flat(Metric.CPU, 10), flat(Metric.MEMORY, 10)])
    assert found.current is not None
    assert found.current.price_basis is PriceBasis.CALLER
    assert found.finding is Finding.OVER_PROVISIONED
    assert found.options[0].monthly_saving_micros > 0


def reserved(instance_type: str, instances: float) -> Commitment:
    """A reservation of a type."""
    return Commitment(
        "p",
        "c",
        CommitmentKind.AWS_RESERVED_INSTANCE_STANDARD,
        Cloud.AWS,
        NOW - timedelta(days=1),
        NOW + timedelta(days=300),
        region="us-east-1",
        instance_type=instance_type,
        instances=instances,
        in_use_fraction=1.0,
    )


def test_what_is_owned_costs_nothing_more(starter: CatalogSnapshot) -> None:
    """Leaving a size that a reservation pays for saves nothing; without it the same advice would save."""
    measured = [flat(Metric.CPU, 10), flat(Metric.MEMORY, 20)]
    owned = advice(starter, M5_4XLARGE, measured, owned=(reserved("m5.4xlarge", 1),))
    assert owned.current is not None
    assert (owned.current.monthly_cost_micros, owned.current.monthly_net_cost_micros) == (560_640_000, 0)
    assert owned.finding is Finding.OPTIMIZED
    half = advice(starter, M5_4XLARGE, measured, owned=(reserved("m5.4xlarge", 0.25),))
    assert half.current is not None
    assert half.current.monthly_net_cost_micros == 560_640_000 * 3 // 4
    assert Why.OWNED_COMMITMENT_LOSES_USE in half.options[0].reasons
    best = half.options[0]
    assert best.monthly_net_saving_micros == 420_480_000 - best.monthly_net_cost_micros
    ended = replace(reserved("m5.4xlarge", 1), ended_time=NOW - timedelta(hours=1))
    assert advice(starter, M5_4XLARGE, measured, owned=(ended,)).finding is Finding.OVER_PROVISIONED


def test_free_room_makes_its_type_the_cheapest(starter: CatalogSnapshot) -> None:
    """A reserved type with room is net of nothing, so it goes before cheaper list prices."""
    free = replace(reserved("m5.2xlarge", 1), in_use_fraction=0.0)
    found = advice(starter, M5_4XLARGE, [flat(Metric.CPU, 10), flat(Metric.MEMORY, 20)], owned=(free,))
    best = found.options[0]
    assert (best.instance_type, best.monthly_net_cost_micros) == ("m5.2xlarge", 0)
    assert best.monthly_cost_micros > 0


def test_hours_of_use_are_handed_over_to_a_schedule(starter: CatalogSnapshot) -> None:
    """Used on working days from 8 to 18: those hours and the one before, and the saving of this month's other hours."""
    hours = np.arange(TWO_WEEKS)
    used = ((hours // 24) % 7 < 5) & (hours % 24 >= 8) & (hours % 24 < 18)
    measured = [series(Metric.CPU, np.where(used, 85.0, 1.0)), flat(Metric.MEMORY, 85)]
    found = advice(starter, M5_4XLARGE, measured, RightsizingPreferences(profile="krr"))
    plan = found.options[-1]
    assert plan.action is Action.SCHEDULE
    assert Why.OFF_HOURS in found.reasons
    assert plan.used_hours == tuple(day * 24 + hour for day in range(5) for hour in range(7, 18))
    # November 2026 has 21 working days.
    assert plan.monthly_cost_micros == pytest.approx(560_640_000 * 21 * 11 / 720, abs=1)


def test_dominated_sizes_are_dropped_and_the_rest_ranked(starter: CatalogSnapshot) -> None:
    """Each further option costs more, and for that carries less risk or takes less effort."""
    rng = np.random.default_rng(3)
    cpu = np.clip(rng.gamma(2.0, 8.0, TWO_WEEKS), 0, 100)
    resource = replace(M5_4XLARGE, arm_ready=True)
    options = advice(
        starter, resource, [series(Metric.CPU, cpu), flat(Metric.MEMORY, 20)], RightsizingPreferences(max_options=20)
    ).options
    assert [option.rank for option in options] == list(range(1, len(options) + 1))
    efforts = list(MigrationEffort)
    for earlier, later in itertools.pairwise(options):
        assert earlier.monthly_net_cost_micros <= later.monthly_net_cost_micros
    for place, option in enumerate(options):
        for other in options[:place]:
            assert option.risk < other.risk or efforts.index(option.migration_effort) < efforts.index(
                other.migration_effort
            )


@given(st.floats(0.001, 100.0), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_the_level_by_its_price_is_the_cheapest_in_all(starter: CatalogSnapshot, hourly: float, seed: int) -> None:
    """Size and want together cost no more than in any other type, looked at one by one."""
    rng = np.random.default_rng(seed)
    cpu = np.clip(rng.gamma(2.0, 8.0, TWO_WEEKS), 0, 100)
    preferences = replace(
        peaks(), throttled_hour_cost_micros=round(hourly * 1e6), max_risk=4.0, minimum_saving_to_disruption=0.0
    )
    found = advice(starter, M5_4XLARGE, [series(Metric.CPU, cpu), flat(Metric.MEMORY, 20)], preferences)
    vcpus = cpu / 100 * 16

    def whole_cost(size: float, nanos: int) -> float:
        return nanos / 1e9 + hourly * float((vcpus > size * (1 + 1e-9)).mean())

    chosen = found.options[0] if found.options else found.current
    assert chosen is not None
    assert Why.LEVEL_FROM_THROTTLED_HOUR_COST in found.reasons
    least = whole_cost(chosen.capacity.vcpus or 0.0, chosen.price_nanos_per_hour)
    for size in np.unique(starter.types.vcpus):
        if size < np.percentile(vcpus, 50, method="inverted_cdf"):
            continue
        best = cheapest_plain(starter, "us-east-1", "x86_64", float(size), 12.8)
        if best is not None:
            assert least <= whole_cost(float(size), best.nanos) + 1e-9


def test_the_same_question_has_the_same_answer(starter: CatalogSnapshot) -> None:
    """Nothing but the arguments goes in."""
    rng = np.random.default_rng(5)
    measured = [series(Metric.CPU, rng.uniform(5, 40, TWO_WEEKS)), series(Metric.MEMORY, rng.uniform(5, 40, TWO_WEEKS))]
    assert advice(starter, M5_4XLARGE, measured) == advice(starter, M5_4XLARGE, measured)


def test_a_back_test_counts_the_callers_own_hours(starter: CatalogSnapshot) -> None:
    """Three hours of 336 above eight vCPUs: that share, within its interval, and together with memory as one."""
    cpu = np.full(TWO_WEEKS, 25.0)
    cpu[[10, 100, 200]] = 75.0
    memory = np.full(TWO_WEEKS, 30.0)
    wanted = tuple(replace(one, percentile=95.0) if one.dimension is CPU else one for one in peaks().dimensions)
    found = advice(
        starter,
        M5_4XLARGE,
        [series(Metric.CPU, cpu), series(Metric.MEMORY, memory)],
        replace(peaks(), dimensions=wanted, families=frozenset({"m5"})),
    )
    option = found.options[0]
    assert option.instance_type == "m5.2xlarge"
    whole = option.back_test
    assert whole is not None
    assert whole.exceedance == pytest.approx(3 / TWO_WEEKS)
    assert whole.exceedance_low <= whole.exceedance <= whole.exceedance_high
    assert 0 < whole.windows <= 14
    by_name = {one.dimension: one for one in option.dimensions}
    alone = by_name[CPU].back_test
    assert alone is not None
    assert alone.exceedance == pytest.approx(3 / TWO_WEEKS)
    assert by_name[CPU].max_utilization == pytest.approx(1.5)
    assert by_name[MEMORY].risk == 0
    assert option.risk == max(one.risk for one in option.dimensions)
