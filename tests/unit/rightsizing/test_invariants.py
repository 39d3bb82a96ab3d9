"""What holds of every advice, whatever is asked."""

from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.support.sizing import CPU, GPU, NOW, case
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.dimensions import Metric, Statistic, Unit
from trimtab_service.domain.offers import Cloud, PurchaseOption
from trimtab_service.domain.preferences import DimensionPreference, RightsizingPreferences
from trimtab_service.domain.resources import Autoscaling, Capacity, CloudResource, ResourceKind
from trimtab_service.domain.rightsizing import Action, Advice, Finding, MigrationEffort, RightsizingOption
from trimtab_service.rightsizing.advisor import advise
from trimtab_service.rightsizing.profiles import PROFILES
from trimtab_service.rightsizing.telemetry import RawSeries

TYPES = (
    (Cloud.AWS, "us-east-1", "m5.4xlarge"),
    (Cloud.AWS, "us-east-1", "p3.8xlarge"),
    (Cloud.AWS, "eu-west-1", "t3.large"),
    (Cloud.AWS, "us-east-1", "ml.m5.xlarge"),
    (Cloud.GCP, "us-central1", "a2-highgpu-4g"),
    (Cloud.GCP, "us-central1", "n1-standard-1"),
    (Cloud.AZURE, "eastus", "Standard_D4s_v5"),
    (Cloud.AWS, "us-east-1", "nobody.knows"),
)
NO_SAVINGS = frozenset({Finding.INSUFFICIENT_DATA, Finding.UNSUPPORTED, Finding.SOURCE_FAILED})


@st.composite
def raw_series(draw: st.DrawFn) -> RawSeries:
    """A series of anything, mostly of something like a load."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.sampled_from([0, 1, 2, 40, 336, 336, 336, 2_016]))
    step = draw(st.sampled_from([60, 300, 3_600, 3_600, 7_200]))
    values = rng.gamma(2.0, draw(st.sampled_from([0.01, 1.0, 10.0, 20.0, 1e9])), size)
    if draw(st.booleans()):
        values[rng.random(size) < 0.1] = np.nan
    match draw(st.sampled_from(["plain", "plain", "plain", "infinite", "negative", "rising", "nought"])):
        case "infinite":
            values[: size // 3] = np.inf
        case "negative":
            values = -values
        case "rising":
            values = np.nancumsum(values)
        case "nought":
            values *= 0.0
    stamps = int(NOW.timestamp()) + (np.arange(size) - size) * step
    if draw(st.booleans()):
        stamps = stamps + rng.integers(-step, step, size)
    return RawSeries(
        draw(st.sampled_from([Metric.CPU, Metric.CPU, Metric.MEMORY, Metric.GPU, *Metric])),
        draw(st.sampled_from([Unit.PERCENT, Unit.PERCENT, Unit.RATIO, *Unit])),
        draw(st.sampled_from(Statistic)),
        stamps.astype(np.int64),
        values,
        draw(st.sampled_from(["", "", "0", "1"])),
        draw(st.sampled_from([0, step])),
    )


@st.composite
def usual_series(draw: st.DrawFn) -> list[RawSeries]:
    """CPU, and sometimes memory and GPUs, as a monitor shows them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    hours = draw(st.sampled_from([48, 336]))
    stamps = (int(NOW.timestamp()) + (np.arange(hours) - hours) * 3_600).astype(np.int64)
    metrics = [
        Metric.CPU,
        *draw(st.lists(st.sampled_from([Metric.MEMORY, Metric.GPU, Metric.GPU_MEMORY]), unique=True)),
    ]
    return [
        RawSeries(
            metric,
            Unit.PERCENT,
            Statistic.AVERAGE,
            stamps,
            np.clip(rng.gamma(2.0, draw(st.sampled_from([0.01, 1.0, 8.0, 30.0])), hours), 0, 100),
        )
        for metric in metrics
    ]


resources = st.builds(
    CloudResource,
    st.just("r"),
    st.just(Cloud.AWS),
    st.just(""),
    kind=st.sampled_from(ResourceKind),
    count=st.integers(1, 12),
    capacity=st.sampled_from([None, None, Capacity(4, 16), Capacity(8, 32, "T4", 0.5, 16, 10.0, 3_000, 200)]),
    price_nanos_per_hour=st.sampled_from([None, None, 1, 500_000_000, 90_000_000_000]),
    option=st.sampled_from(PurchaseOption),
    running_hours_per_month=st.sampled_from([None, None, 0.0, 198.5]),
    autoscaling=st.sampled_from([None, None, Autoscaling(1, 10, CPU, 0.6), Autoscaling(3, 4, GPU, 1.0)]),
    arm_ready=st.booleans(),
)

preferences = st.builds(
    RightsizingPreferences,
    profile=st.sampled_from([None, *PROFILES]),
    dimensions=st.sampled_from([(), (DimensionPreference(CPU, 50.0, 0.0),), (DimensionPreference(CPU, 100.0, 10.0),)]),
    max_risk=st.sampled_from([None, 0.0, 1.0, 4.0]),
    never_shrink=st.sampled_from([None, True]),
    throttled_hour_cost_micros=st.sampled_from([None, None, 0, 1_000_000]),
    allow_architecture_change=st.sampled_from([None, True]),
    regions=st.sampled_from([None, None, frozenset({(Cloud.AWS, "us-west-2"), (Cloud.GCP, "us-central1")})]),
    max_options=st.sampled_from([None, 1, 20]),
    allow_burstable=st.sampled_from([None, True]),
)


def holds(found: Advice, limit: int) -> None:
    """Everything that is true of any advice."""
    if found.finding in NO_SAVINGS:
        assert (found.current, found.options, bool(found.missing)) == (None, (), True)
        return
    current = found.current
    assert current is not None
    assert not found.missing
    assert current.action is Action.KEEP
    assert current.monthly_net_saving_micros == 0
    assert [option.rank for option in found.options] == list(range(1, len(found.options) + 1))
    assert len(found.options) <= limit
    if found.finding is Finding.OPTIMIZED:
        assert not found.options
    assert 0 <= found.confidence <= 1
    for option in (current, *found.options):
        option_holds(option, current, found)


def option_holds(option: RightsizingOption, current: RightsizingOption, found: Advice) -> None:
    """Money adds up, risk is the worst dimension's, and a back-test lies within its interval."""
    assert option.monthly_saving_micros == current.monthly_cost_micros - option.monthly_cost_micros
    assert option.monthly_net_saving_micros == current.monthly_net_cost_micros - option.monthly_net_cost_micros
    if option.action is not Action.STOP:
        assert option.risk == max((one.risk for one in option.dimensions if not one.assumed), default=0.0)
    assert 0 <= option.risk <= 4
    elsewhere = (option.cloud, option.region) != (found.resource.cloud, found.resource.region)
    assert elsewhere is (option.action is Action.MOVE) is (option.migration_effort is MigrationEffort.HIGH)
    for test in (option.back_test, *(one.back_test for one in option.dimensions)):
        if test is not None:
            assert 0 <= test.exceedance_low <= test.exceedance <= test.exceedance_high <= 1
            assert 0 <= test.slack <= 1
            assert 0 <= test.rule_exceedance <= 1
            assert 0 <= test.rule_slack <= 1
            assert test.windows_exceeded <= test.windows
    for one in option.dimensions:
        numbers = (one.capacity, one.demand, one.mean_utilization, one.p95_utilization, one.max_utilization)
        assert np.isfinite(numbers).all()
        assert min(numbers) >= 0


@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_advice_adds_up(starter: CatalogSnapshot, data: st.DataObject) -> None:
    """Any resource, any series, any preference: no error, and figures that agree with one another."""
    cloud, region, name = data.draw(st.sampled_from(TYPES))
    resource = replace(data.draw(resources), cloud=cloud, region=region, instance_type=name)
    measured = [*data.draw(usual_series()), *data.draw(st.lists(raw_series(), max_size=3))]
    measured = measured if data.draw(st.integers(0, 3)) else measured[1:]
    wanted = data.draw(preferences)
    asked = case(resource, measured, wanted)
    found = advise(asked, starter, (), NOW)
    event(found.finding.value + (" with options" if found.options else ""))
    holds(found, wanted.max_options or 5)
    assert advise(asked, starter, (), NOW) == found
