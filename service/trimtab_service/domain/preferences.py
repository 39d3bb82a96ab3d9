"""What callers and policies prefer of rightsizing."""

from dataclasses import dataclass, fields
from datetime import timedelta

from trimtab_service.domain.dimensions import DIMENSIONS, Dimension
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


def overlaid(near: RightsizingPreferences | None, far: RightsizingPreferences) -> RightsizingPreferences:
    """What holds where a nearer level speaks before a farther one: field by field, of a dimension member by member."""
    if near is None:
        return far
    values = {
        name: far_value if (near_value := getattr(near, name)) is None else near_value
        for name in _PLAIN
        if (far_value := getattr(far, name)) is not None or getattr(near, name) is not None
    }
    return RightsizingPreferences(dimensions=_joined(near.dimensions, far.dimensions), **values)


def missing_from(near: RightsizingPreferences | None, far: RightsizingPreferences) -> RightsizingPreferences:
    """Of what a farther level says, what a nearer one leaves open: what the farther one is the source of."""
    if near is None:
        return far
    values = {name: getattr(far, name) for name in _PLAIN if getattr(near, name) is None}
    by_dimension = {preference.dimension: preference for preference in near.dimensions}
    left = []
    for preference in far.dimensions:
        nearer = by_dimension.get(preference.dimension, DimensionPreference(preference.dimension))
        percentile = preference.percentile if nearer.percentile is None else None
        headroom = preference.headroom_fraction if nearer.headroom_fraction is None else None
        if percentile is not None or headroom is not None:
            left.append(DimensionPreference(preference.dimension, percentile, headroom))
    return RightsizingPreferences(dimensions=tuple(left), **values)


def _joined(
    near: tuple[DimensionPreference, ...], far: tuple[DimensionPreference, ...]
) -> tuple[DimensionPreference, ...]:
    """Per dimension, in the order of the dimensions."""
    first = {preference.dimension: preference for preference in near}
    second = {preference.dimension: preference for preference in far}
    joined = []
    for dimension in DIMENSIONS:
        nearer, farther = first.get(dimension), second.get(dimension)
        if nearer is None or farther is None:
            only = nearer or farther
            if only is not None:
                joined.append(only)
            continue
        percentile = farther.percentile if nearer.percentile is None else nearer.percentile
        headroom = farther.headroom_fraction if nearer.headroom_fraction is None else nearer.headroom_fraction
        joined.append(DimensionPreference(dimension, percentile, headroom))
    return tuple(joined)


_PLAIN = tuple(field.name for field in fields(RightsizingPreferences) if field.name != "dimensions")
"""Fields whose nearest value holds as a whole."""
