"""Resources, series and cases for sizing, in a line each."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike

from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.commitments import Commitment
from trimtab_service.domain.dimensions import DIMENSIONS, Dimension, Metric, Statistic, Unit
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.policy import NO_POLICY, EffectivePolicy
from trimtab_service.domain.preferences import DimensionPreference, RightsizingPreferences
from trimtab_service.domain.resources import Autoscaling, CloudResource, ResourceKind
from trimtab_service.domain.rightsizing import Advice, RightsizingOption
from trimtab_service.rightsizing.advisor import advise
from trimtab_service.rightsizing.case import SizingCase
from trimtab_service.rightsizing.preferences import merge_preferences
from trimtab_service.rightsizing.telemetry import RawSeries, Telemetry

NOW = datetime(2026, 11, 23, tzinfo=UTC)
"""A Monday."""

HOUR_S = 3_600
TWO_WEEKS = 14 * 24
"""Hours."""


def series(
    metric: Metric,
    values: ArrayLike,
    unit: Unit = Unit.PERCENT,
    *,
    device: str = "",
    step_s: int = HOUR_S,
    statistic: Statistic = Statistic.AVERAGE,
) -> RawSeries:
    """Values on a grid that ends now."""
    held = np.asarray(values, dtype=np.float64)
    stamps = int(NOW.timestamp()) + (np.arange(held.size) - held.size) * step_s
    return RawSeries(metric, unit, statistic, stamps.astype(np.int64), held, device, step_s)


def flat(
    metric: Metric,
    value: float,
    unit: Unit = Unit.PERCENT,
    *,
    hours: int = TWO_WEEKS,
    device: str = "",
    statistic: Statistic = Statistic.AVERAGE,
) -> RawSeries:
    """The same value in every hour."""
    return series(metric, np.full(hours, value), unit, device=device, statistic=statistic)


def instance(
    instance_type: str, cloud: Cloud = Cloud.AWS, region: str = "us-east-1", *, arm_ready: bool = False
) -> CloudResource:
    """One machine."""
    return CloudResource("i-1", cloud, region, instance_type=instance_type, arm_ready=arm_ready)


M5_4XLARGE = instance("m5.4xlarge")
"""16 vCPUs, 64 GiB, USD 0.768."""


def scaling_group(instance_type: str, count: int, bounds: Autoscaling) -> CloudResource:
    """A group of AWS that scales by itself."""
    return CloudResource(
        "asg-1",
        Cloud.AWS,
        "us-east-1",
        ResourceKind.INSTANCE_GROUP,
        instance_type=instance_type,
        count=count,
        autoscaling=bounds,
    )


def case(
    resource: CloudResource,
    measured: Sequence[RawSeries],
    preferences: RightsizingPreferences | None = None,
    policy: EffectivePolicy = NO_POLICY,
) -> SizingCase:
    """What the engine is asked."""
    return SizingCase(resource, Telemetry(tuple(measured)), merge_preferences(preferences, policy), policy, 7)


def peaks(headroom: float = 0.0, **more: object) -> RightsizingPreferences:
    """Every dimension by its maximum and a headroom: levels that can be told by hand."""
    chosen = tuple(DimensionPreference(dimension, 100.0, headroom) for dimension in DIMENSIONS)
    return RightsizingPreferences(dimensions=chosen, lookback=timedelta(days=400), **more)  # type: ignore[arg-type]  # by name


CPU, MEMORY, GPU, GPU_MEMORY = Dimension.CPU, Dimension.MEMORY, Dimension.GPU, Dimension.GPU_MEMORY


def advice(
    starter: CatalogSnapshot,
    resource: CloudResource,
    measured: list[RawSeries],
    preferences: RightsizingPreferences | None = None,
    policy: EffectivePolicy = NO_POLICY,
    owned: tuple[Commitment, ...] = (),
) -> Advice:
    """The advice on one resource."""
    return advise(case(resource, measured, preferences, policy), starter, owned, NOW)


def demand_of(option: RightsizingOption, wanted: object) -> float:
    """Demand that an option was held against."""
    return next(one.demand for one in option.dimensions if one.dimension is wanted)
