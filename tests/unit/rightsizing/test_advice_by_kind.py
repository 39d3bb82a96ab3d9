"""What is advised for containers, endpoints and shares, and what is said of series that do not tell all."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.sizing import (
    GPU,
    M5_4XLARGE,
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
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.dimensions import Metric, Statistic, Unit
from trimtab_service.domain.offers import Cloud, PriceBasis
from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.reasons import AdviceReason as Why
from trimtab_service.domain.resources import NODE_TYPE_TAG, Capacity, CloudResource, OwnOffer, ResourceKind
from trimtab_service.domain.rightsizing import Action, Finding
from trimtab_service.rightsizing.advisor import advise
from trimtab_service.rightsizing.node_share import split
from trimtab_service.rightsizing.telemetry import RawSeries


def test_containers_ask_for_what_they_need(starter: CatalogSnapshot) -> None:
    """Requests by need with the VPA's floors; memory is limited above its peak, CPU is not."""
    pod = CloudResource(
        "shop/web/app", Cloud.AWS, "us-east-1", ResourceKind.CONTAINER, capacity=Capacity(vcpus=2.0, memory_gib=4.0)
    )
    measured = [flat(Metric.CPU, 0.5, Unit.VCPUS), flat(Metric.MEMORY, 1.0, Unit.GIB)]
    found = advice(starter, pod, measured, peaks())
    option = found.options[0]
    assert option.action is Action.SET_REQUESTS
    assert (option.capacity.vcpus, option.capacity.memory_gib) == (0.5, 1.0)
    assert option.limits is not None
    assert option.limits.memory_gib == pytest.approx(1.2, abs=0.001)
    assert option.limits.vcpus is None
    tiny = advice(starter, pod, [flat(Metric.CPU, 0.001, Unit.VCPUS), flat(Metric.MEMORY, 0.01, Unit.GIB)], peaks())
    assert tiny.options[0].capacity.vcpus == 0.025
    assert (tiny.options[0].capacity.memory_gib or 0) * 2**30 >= 250e6
    bursting = [flat(Metric.CPU, 3.0, Unit.VCPUS), flat(Metric.MEMORY, 1.0, Unit.GIB)]
    more = advice(starter, pod, bursting, peaks())
    assert (more.finding, more.options[0].capacity.vcpus) == (Finding.UNDER_PROVISIONED, 3.0)
    taken = replace(pod, capacity=option.capacity)
    assert advice(starter, taken, measured, peaks()).finding is Finding.OPTIMIZED


def test_a_container_costs_its_share_of_its_node(starter: CatalogSnapshot) -> None:
    """By what it requests, as an estimate; its saving is the share that it gives back."""
    pod = CloudResource(
        "shop/web/app", Cloud.AWS, "us-east-1", ResourceKind.CONTAINER, count=3,
        capacity=Capacity(vcpus=2.0, memory_gib=4.0), tags=((NODE_TYPE_TAG, "m5.2xlarge"),),
    )  # fmt: skip
    measured = [flat(Metric.CPU, 1.5, Unit.VCPUS), flat(Metric.MEMORY, 6.0, Unit.GIB)]
    found = advice(starter, pod, measured, peaks())
    assert found.current is not None
    node = 0.384 / (8 * 0.031611 + 32 * 0.004237)
    share = node * (2 * 0.031611 + 4 * 0.004237)
    assert found.current.price_basis is PriceBasis.ESTIMATED_NODE_SHARE
    assert found.current.monthly_cost_micros == pytest.approx(3 * 730 * share * 1e6, rel=1e-6)
    after = node * (0.5 * 0.031611 + 2 * 0.004237)
    option = found.options[0]
    assert (option.capacity.vcpus, option.capacity.memory_gib) == (0.5, 2.0)
    assert option.monthly_saving_micros == pytest.approx(3 * 730 * (share - after) * 1e6, rel=1e-6)
    assert option.price_basis is PriceBasis.ESTIMATED_NODE_SHARE
    assert Why.NO_PRICE not in option.reasons
    unknown = advice(starter, replace(pod, tags=((NODE_TYPE_TAG, "x0.huge"),)), measured, peaks())
    assert Why.NO_PRICE in unknown.options[0].reasons


def test_all_shares_of_a_node_are_its_price() -> None:
    """Whatever it is made of; the GPU's part is what OpenCost's own example says."""
    g5 = split(1_352_960_000, 8, 32, 1)
    assert g5.gpu == pytest.approx(960_282_960, rel=1e-6)
    for vcpus, memory_gib, gpus in ((8, 32, 1), (2, 4, 0), (96, 1152, 8)):
        whole = split(1_352_960_000, vcpus, memory_gib, gpus)
        assert whole.price_nanos(Capacity(vcpus, memory_gib, gpus=gpus)) == 1_352_960_000
    assert split(1_352_960_000, 8, 32, 1).price_nanos(Capacity()) == 0


ENDPOINT = CloudResource(
    "ranker/main", Cloud.AWS, "us-east-1", ResourceKind.ENDPOINT, instance_type="ml.m5.4xlarge", count=4
)
ML_PRICES = tuple(
    OwnOffer(f"ml.m5.{size}", nanos)
    for size, nanos in (
        ("large", 115_000_000),
        ("xlarge", 230_000_000),
        ("2xlarge", 461_000_000),
        ("4xlarge", 922_000_000),
    )
)


def test_a_managed_services_types_are_sized_by_the_callers_prices(starter: CatalogSnapshot) -> None:
    """Of its own types only, with the size of the machines beneath, which is said; another number of them too."""
    measured = [flat(Metric.CPU, 10), flat(Metric.MEMORY, 10)]
    asked = replace(case(ENDPOINT, measured, peaks()), own_offers=ML_PRICES)
    found = advise(asked, starter, (), NOW)
    assert found.current is not None
    assert found.current.monthly_cost_micros == 4 * 730 * 922_000
    assert found.current.price_basis is PriceBasis.CALLER
    assert found.options
    for option in found.options:
        assert option.instance_type.startswith("ml.m5.")
        assert option.price_basis is PriceBasis.CALLER
        assert Why.SIZE_OF_MACHINE_BENEATH in option.reasons
        # 6.4 vCPUs and 25.6 GiB of all four together are served, with what the profile adds.
        assert option.count * (option.capacity.vcpus or 0) >= 6.4
        assert option.count * (option.capacity.memory_gib or 0) >= 25.6
        assert (option.instance_type, option.count) != ("ml.m5.4xlarge", 4)
    best = found.options[0]
    assert best.monthly_saving_micros > 0.8 * found.current.monthly_cost_micros
    applied = replace(ENDPOINT, instance_type=best.instance_type, count=best.count)
    again = [flat(Metric.CPU, 64 * 10 / (best.count * (best.capacity.vcpus or 1)))]
    again += [flat(Metric.MEMORY, 256 * 10 / (best.count * (best.capacity.memory_gib or 1)))]
    settled = advise(replace(case(applied, again, peaks()), own_offers=ML_PRICES), starter, (), NOW)
    assert settled.finding is Finding.OPTIMIZED


def test_own_prices_go_before_the_catalogues(starter: CatalogSnapshot) -> None:
    """A type that costs the caller less is offered at that price; the others stay as they are listed."""
    measured = [flat(Metric.CPU, 10), flat(Metric.MEMORY, 20)]
    plain = case(M5_4XLARGE, measured, peaks())
    dear = advise(plain, starter, (), NOW)
    cheap = advise(replace(plain, own_offers=(OwnOffer("m5.xlarge", 1_000_000),)), starter, (), NOW)
    assert cheap.options[0].instance_type == "m5.xlarge"
    assert cheap.options[0].price_nanos_per_hour == 1_000_000
    assert Why.SIZE_OF_MACHINE_BENEATH not in cheap.options[0].reasons
    assert dear.current == cheap.current


def test_a_span_under_a_week_says_so(starter: CatalogSnapshot) -> None:
    """Six days carry an advice that may have missed a weekly peak."""
    short = advice(starter, M5_4XLARGE, [flat(Metric.CPU, 10, hours=144), flat(Metric.MEMORY, 20, hours=144)])
    assert Why.LESS_THAN_A_WEEK in short.reasons
    whole = advice(starter, M5_4XLARGE, [flat(Metric.CPU, 10, hours=168), flat(Metric.MEMORY, 20, hours=168)])
    assert Why.LESS_THAN_A_WEEK not in whole.reasons
    assert short.confidence < whole.confidence


def _reasons_of(starter: CatalogSnapshot, *more: RawSeries) -> set[Why]:
    measured = [flat(Metric.CPU, 10), flat(Metric.MEMORY, 20, statistic=Statistic.MAXIMUM), *more]
    return set(advice(starter, M5_4XLARGE, measured).reasons)


def test_what_peaks_do_within_intervals_is_said_where_it_is_known(starter: CatalogSnapshot) -> None:
    """Means alone hide them; maxima beside the means show whether they would have been above the size."""
    assert Why.PEAKS_NOT_SEEN in _reasons_of(starter)
    calm = _reasons_of(starter, flat(Metric.CPU, 12, statistic=Statistic.MAXIMUM))
    assert not calm & {Why.PEAKS_NOT_SEEN, Why.PEAKS_ABOVE_SIZE}
    spiky = _reasons_of(starter, flat(Metric.CPU, 90, statistic=Statistic.MAXIMUM))
    assert Why.PEAKS_ABOVE_SIZE in spiky
    assert Why.PEAKS_NOT_SEEN not in spiky
    nonsense = _reasons_of(starter, flat(Metric.CPU, 1e9, statistic=Statistic.MAXIMUM))
    assert Why.PEAKS_NOT_SEEN in nonsense


def test_sums_of_a_network_that_decides_nothing_are_no_warning(starter: CatalogSnapshot) -> None:
    """Most clouds tell network as sums only: that is said where the network decides the size, and not else."""
    maxima = flat(Metric.CPU, 12, statistic=Statistic.MAXIMUM)
    some = flat(Metric.NETWORK_IN, 1e6, Unit.BYTES_PER_SECOND)
    assert Why.PEAKS_NOT_SEEN not in _reasons_of(starter, maxima, some)
    much = flat(Metric.NETWORK_IN, 1.1e9, Unit.BYTES_PER_SECOND)
    assert Why.PEAKS_NOT_SEEN in _reasons_of(starter, maxima, much)


def test_killed_without_a_series_of_memory_needs_more_than_it_has(starter: CatalogSnapshot) -> None:
    """A kill is a measure too: the present memory was not enough."""
    kills = np.zeros(TWO_WEEKS)
    kills[100] = 1
    measured = [flat(Metric.CPU, 50), series(Metric.OOM_KILLS, kills, Unit.COUNT, statistic=Statistic.SUM)]
    found = advice(starter, M5_4XLARGE, measured)
    assert found.finding is Finding.UNDER_PROVISIONED
    assert {Why.MEMORY_KILLS, Why.MEMORY_NOT_MEASURED} <= set(found.reasons)
    assert (found.options[0].capacity.memory_gib or 0) >= 64 * 1.2


def test_a_part_of_a_gpu_is_its_own_whole(starter: CatalogSnapshot) -> None:
    """Full use of a type with an eighth of a GPU is an eighth of a GPU, and its own memory serves it."""
    resource = replace(
        instance("g6f.private"),
        capacity=Capacity(2, 8, "L4", 0.125, 2.8),
        price_nanos_per_hour=200_000_000,
    )
    measured = [flat(Metric.CPU, 20), flat(Metric.MEMORY, 20), flat(Metric.GPU, 50), flat(Metric.GPU_MEMORY, 50)]
    found = advice(starter, resource, measured, peaks(allow_gpu_sharing=False))
    assert found.current is not None
    assert demand_of(found.current, GPU) == pytest.approx(0.0625)
    assert found.current.risk == 0
    assert found.finding is Finding.OPTIMIZED


def test_what_a_policy_wants_tagged_is_tagged_before_it_is_sized(starter: CatalogSnapshot) -> None:
    """A guardrail of tags holds for new sizes as for new places."""
    policy = EffectivePolicy(required_tags=frozenset({"team"}))
    measured = [flat(Metric.CPU, 10), flat(Metric.MEMORY, 20)]
    assert not advice(starter, M5_4XLARGE, measured, None, policy).options
    tagged = replace(M5_4XLARGE, tags=(("team", "vision"),))
    assert advice(starter, tagged, measured, None, policy).options
