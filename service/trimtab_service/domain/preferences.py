"""What callers and policies prefer of rightsizing."""

from dataclasses import dataclass
from datetime import timedelta

from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.offers import Cloud


@dataclass(frozen=True, slots=True)
class DimensionPreference:
    """Percentile (50 to 99.9, 100 the maximum) and headroom of one dimension; None is the profile's."""

    dimension: Dimension
    percentile: float | None = None
    headroom_fraction: float | None = None


@dataclass(frozen=True, slots=True)
class RightsizingPreferences:
    """As one level says it; None says nothing, and the nearest level that speaks wins, field by field.

    `dimensions` are merged per dimension and member. The defaults are of `DEFAULT_PREFERENCES`.
    """

    profile: str | None = None
    dimensions: tuple[DimensionPreference, ...] = ()
    lookback: timedelta | None = None
    minimum_data: timedelta | None = None
    families: frozenset[str] | None = None
    max_risk: float | None = None
    never_shrink: bool | None = None
    minimum_saving_to_disruption: float | None = None
    minimum_monthly_saving_micros: int | None = None
    throttled_hour_cost_micros: int | None = None
    allow_architecture_change: bool | None = None
    allow_gpu_model_change: bool | None = None
    allow_gpu_sharing: bool | None = None
    allow_stop: bool | None = None
    regions: frozenset[tuple[Cloud, str]] | None = None
    max_options: int | None = None
    allow_memory_below_peak: bool | None = None
    allow_burstable: bool | None = None


DEFAULT_PREFERENCES = RightsizingPreferences(
    profile="balanced",
    lookback=timedelta(days=14),
    minimum_data=timedelta(hours=30),
    max_risk=2.0,
    never_shrink=False,
    minimum_saving_to_disruption=0.5,
    minimum_monthly_saving_micros=0,
    allow_gpu_model_change=True,
    allow_gpu_sharing=True,
    allow_stop=True,
    max_options=5,
    allow_memory_below_peak=False,
    allow_burstable=False,
)
"""What holds where no level says anything. `allow_architecture_change` None: only where the resource is `arm_ready`."""
