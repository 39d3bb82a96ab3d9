"""Groups: counts by total load, at a scaling target held fixed."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support.sizing import CPU, NOW, TWO_WEEKS, case, flat, peaks, scaling_group, series
from trimtab_service.catalog.arrays import F64
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.dimensions import Metric, Unit
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.policy import NO_POLICY
from trimtab_service.domain.preferences import RightsizingPreferences
from trimtab_service.domain.reasons import AdviceReason as Why
from trimtab_service.domain.resources import Autoscaling, Capacity, CloudResource, ResourceKind
from trimtab_service.domain.rightsizing import Action, Advice, Finding, RightsizingOption
from trimtab_service.rightsizing.advisor import advise
from trimtab_service.rightsizing.candidates import candidates_of, sized_for
from trimtab_service.rightsizing.needs import needs_of
from trimtab_service.rightsizing.present import Present, present_of
from trimtab_service.rightsizing.readings import read
from trimtab_service.rightsizing.region_offers import region_offers
from trimtab_service.rightsizing.telemetry import RawSeries, Telemetry


def measured(load_vcpus: F64, group: CloudResource, vcpus: float) -> list[RawSeries]:
    """What a monitor shows of a group under a total load: the count its scaler holds, and the mean use of each."""
    bounds = group.autoscaling
    assert bounds is not None
    counts = np.clip(np.ceil(load_vcpus / (vcpus * bounds.target_utilization)), bounds.min_count, bounds.max_count)
    return [
        series(Metric.CPU, np.minimum(load_vcpus / (counts * vcpus), 1.0), Unit.RATIO),
        series(Metric.INSTANCES, counts, Unit.COUNT),
        flat(Metric.MEMORY, 2.0, Unit.GIB),
    ]


def ask(
    starter: CatalogSnapshot, group: CloudResource, load: F64, vcpus: float, preferences: RightsizingPreferences
) -> Advice:
    """The advice on a group under a total load. Memory is 2 GiB in each instance, whatever its type."""
    cpu, instances, _ = measured(load, group, vcpus)
    counts = instances.values
    return advise(
        case(group, [cpu, instances, series(Metric.MEMORY, 2.0 * counts, Unit.GIB)], preferences), starter, (), NOW
    )


def taken(group: CloudResource, option: RightsizingOption) -> CloudResource:
    """The group after the advice was followed."""
    return replace(group, instance_type=option.instance_type, count=option.count, autoscaling=option.autoscaling)


def test_the_count_is_the_load_over_capacity_and_target(starter: CatalogSnapshot) -> None:
    """Ten m5.large at 14 % carry 2.8 vCPUs: at a target of 70 % that is two instances of the same type."""
    group = scaling_group("m5.large", 10, Autoscaling(10, 20, CPU, 0.7))
    found = ask(starter, group, np.full(TWO_WEEKS, 2.8), 2.0, replace(peaks(), families=frozenset({"m5"})))
    assert found.current is not None
    assert found.current.count == 10
    same = next(option for option in found.options if option.instance_type == "m5.large")
    assert (same.action, same.count) == (Action.SCALE_IN, 2)
    assert same.autoscaling == Autoscaling(2, 20, CPU, 0.7)
    assert Why.GROUP_TOO_LARGE in same.reasons
    assert same.monthly_saving_micros == 8 * 96_000_000 * 730 // 1_000
    assert found.finding is Finding.OVER_PROVISIONED


def test_more_of_a_smaller_type_for_less_is_no_group_that_was_too_small(starter: CatalogSnapshot) -> None:
    """Ten m5.4xlarge at 8 % become more, smaller machines: what there was, was too much."""
    group = scaling_group("m5.4xlarge", 10, Autoscaling(1, 20, CPU, 0.5))
    found = ask(starter, group, np.full(TWO_WEEKS, 12.8), 16.0, peaks())
    assert found.current is not None
    assert found.options[0].count > found.current.count
    assert Why.GROUP_TOO_SMALL not in (*found.reasons, *found.options[0].reasons)


def test_a_group_at_its_most_is_too_small(starter: CatalogSnapshot) -> None:
    """What its level asks for is more than it may grow to: it may grow further."""
    group = scaling_group("m5.large", 4, Autoscaling(2, 4, CPU, 0.5))
    found = ask(starter, group, np.full(TWO_WEEKS, 6.0), 2.0, replace(peaks(), families=frozenset({"m5"})))
    assert found.finding is Finding.UNDER_PROVISIONED
    best = found.options[0]
    assert best.autoscaling is not None
    assert best.count * (best.capacity.vcpus or 0) * 0.5 >= 6.0 - 1e-9
    assert best.autoscaling.max_count >= best.count


@given(
    st.integers(0, 10_000),
    st.floats(0.5, 60.0),
    st.sampled_from(["m5.large", "m5.xlarge", "c5.2xlarge"]),
    st.integers(1, 8),
    st.sampled_from([0.4, 0.6, 0.8]),
    st.sampled_from(["balanced", "economy", "krr"]),
)
@settings(max_examples=60, deadline=None)
def test_advice_taken_twice_changes_nothing_the_second_time(
    starter: CatalogSnapshot, seed: int, scale: float, name: str, least: int, target: float, profile: str
) -> None:
    """With the first option taken and the same total load, the second advice is to leave it as it is."""
    rng = np.random.default_rng(seed)
    hours = np.arange(TWO_WEEKS)
    load = scale * (1.2 + np.sin(hours / 24 * 2 * np.pi)) * rng.uniform(0.8, 1.2, TWO_WEEKS)
    group = scaling_group(name, least, Autoscaling(least, max(least, 200), CPU, target))
    vcpus = {
        known: float(starter.types.vcpus[at]) for (cloud, known), at in starter.type_index.items() if cloud is Cloud.AWS
    }
    preferences = RightsizingPreferences(profile=profile, allow_stop=False)
    first = ask(starter, group, load, vcpus[name], preferences)
    assume(first.options)
    after = taken(group, first.options[0])
    second = ask(starter, after, load, vcpus[after.instance_type], preferences)
    assert second.finding is Finding.OPTIMIZED
    assert not second.options


def test_a_plain_group_keeps_two(starter: CatalogSnapshot) -> None:
    """Members stand in for one another: a group of several is never brought to one."""
    group = CloudResource("g", Cloud.AWS, "us-east-1", ResourceKind.INSTANCE_GROUP, instance_type="m5.large", count=6)
    found = advise(
        case(group, [flat(Metric.CPU, 6), flat(Metric.MEMORY, 5)], peaks(allow_stop=False)), starter, (), NOW
    )
    assert found.options
    assert all(option.count >= 2 for option in found.options)


def test_replicas_of_a_scaled_container_keep_the_request_that_is_scaled_by(starter: CatalogSnapshot) -> None:
    """Use per replica is target times request whatever the request, so sizing it by use would shrink it each round."""
    bounds = Autoscaling(1, 50, CPU, 0.8)
    pod = CloudResource(
        "shop/web/app", Cloud.AWS, "us-east-1", ResourceKind.CONTAINER, count=10, autoscaling=bounds,
        capacity=Capacity(vcpus=1.0, memory_gib=4.0),
    )  # fmt: skip
    total = 8.0
    for _ in range(3):
        share = total / pod.count  # of a request of one vCPU
        asked = [
            flat(Metric.CPU, share, Unit.RATIO),
            flat(Metric.INSTANCES, pod.count, Unit.COUNT),
            flat(Metric.MEMORY, 1.0 * pod.count, Unit.GIB),
        ]
        found = advise(case(pod, asked, peaks()), starter, (), NOW)
        for option in found.options:
            assert option.capacity.vcpus == 1.0
            pod = replace(pod, count=option.count, capacity=option.capacity)
    assert pod.count == 10
    assert pod.capacity == Capacity(vcpus=1.0, memory_gib=1.0)


def test_instances_of_a_managed_service_are_counted_by_the_callers_price(starter: CatalogSnapshot) -> None:
    """A SageMaker endpoint is the machine beneath its type; no plain machine is offered for it."""
    endpoint = CloudResource(
        "chat", Cloud.AWS, "us-east-1", ResourceKind.ENDPOINT, instance_type="ml.m5.xlarge", count=8,
        price_nanos_per_hour=230_000_000,
    )  # fmt: skip
    asked = [flat(Metric.CPU, 12.5), flat(Metric.MEMORY, 10)]
    found = advise(case(endpoint, asked, peaks()), starter, (), NOW)
    assert [(one.action, one.instance_type, one.count) for one in found.options] == [
        (Action.SCALE_IN, "ml.m5.xlarge", 2)
    ]
    assert found.finding is Finding.OVER_PROVISIONED
    assert found.options[0].monthly_saving_micros == 6 * 230_000_000 * 730 // 1_000
    # One instance and a half is the load of two, and two are kept.
    again = advise(
        case(replace(endpoint, count=2), [flat(Metric.CPU, 50), flat(Metric.MEMORY, 40)], peaks()), starter, (), NOW
    )
    assert again.finding is Finding.OPTIMIZED
    unpriced = replace(endpoint, price_nanos_per_hour=None)
    assert advise(case(unpriced, asked), starter, (), NOW).finding is Finding.UNSUPPORTED


@given(st.integers(0, 1_000), st.floats(0.5, 500.0), st.integers(0, 9), st.sampled_from([0.3, 0.7, 1.0]))
@settings(max_examples=20, deadline=None)
def test_all_types_at_once_are_counted_as_one_by_one(
    starter: CatalogSnapshot, seed: int, scale: float, least: int, target: float
) -> None:
    """The count that a type is judged by is the one that is told of it."""
    group = scaling_group("m5.large", 5, Autoscaling(least, 50, CPU, target))
    load = scale * np.random.default_rng(seed).uniform(0.2, 1.0, TWO_WEEKS)
    present = present_of(group, starter, NOW.date())
    assert isinstance(present, Present)
    wanted = peaks()
    readings = read(Telemetry(tuple(measured(load, group, 2.0))), present, timedelta(days=30), NOW)
    needs = needs_of(readings, present, wanted)
    offers = region_offers(starter, Cloud.AWS, "us-east-1", 0)
    assert offers is not None
    found = candidates_of(offers, present, needs, wanted, NO_POLICY, NOW.date())
    for at in range(len(offers.names)):
        sizes = [offers.vcpus[at] if need.dimension is CPU else offers.memory_gib[at] for need in needs.of]
        assert sized_for(present, needs, sizes).count == found.count[at]
