"""Parses sizing preferences, of requests and of policies alike."""

from datetime import timedelta
from typing import Final

from trimtab.v1 import rightsizing_pb2 as pb
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.money import micros_from_nanos
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.preferences import DimensionPreference, RightsizingPreferences
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.rightsizing.profiles import PROFILES
from trimtab_service.rpc import bounds
from trimtab_service.rpc.fields import FieldPath, Violations
from trimtab_service.rpc.size_parser import region_key
from trimtab_service.rpc.sizing_vocabulary import DIMENSION_OF
from trimtab_service.rpc.vocabulary import Vocabulary, suggestion

MAX_OPTIONS: Final = 20
MAX_RISK: Final = 4.0
MAX_FAMILIES: Final = 512
MAX_REGIONS: Final = 512
MAX_HEADROOM: Final = 10.0
_LEAST_PERCENTILE: Final = 50.0
_MOST_PERCENTILE: Final = 99.9
_MAXIMUM: Final = 100.0
_MAX_RATIO: Final = 1e6
_DAY_H: Final = 24.0
_MAX_LOOKBACK_H: Final = 400 * _DAY_H


def parse_preferences(
    message: pb.RightsizingPreferences, vocabulary: Vocabulary, found: Violations, at: FieldPath
) -> RightsizingPreferences:
    """What one level says; what it does not say is None."""
    lookback = _span(message, "lookback", _DAY_H, found, at)
    minimum = _span(message, "minimum_data", 0.0, found, at)
    if lookback is not None and minimum is not None and minimum > lookback:
        found.add((at, "minimum_data"), ErrorReason.CONTRADICTION, "is longer than lookback")
    return RightsizingPreferences(
        profile=_profile(message.profile, found, (at, "profile")),
        dimensions=_dimensions(message, found, at),
        lookback=lookback,
        minimum_data=minimum,
        families=_families(message, vocabulary, found, (at, "families")),
        max_risk=_number(message, "max_risk", MAX_RISK, found, at),
        never_shrink=_flag(message, "never_shrink"),
        minimum_saving_to_disruption=_number(message, "minimum_saving_to_disruption", _MAX_RATIO, found, at),
        minimum_monthly_saving_micros=bounds.micros(
            found, (at, "minimum_monthly_saving"), message.minimum_monthly_saving
        )
        if message.HasField("minimum_monthly_saving")
        else None,
        throttled_hour_cost_micros=_want(message, found, (at, "throttled_hour_cost")),
        allow_architecture_change=_flag(message, "allow_architecture_change"),
        allow_gpu_model_change=_flag(message, "allow_gpu_model_change"),
        allow_gpu_sharing=_flag(message, "allow_gpu_sharing"),
        allow_stop=_flag(message, "allow_stop"),
        regions=_regions(message, vocabulary, found, (at, "regions")),
        max_options=int(bounds.number(found, (at, "max_options"), message.max_options, MAX_OPTIONS)) or None,
        allow_memory_below_peak=_flag(message, "allow_memory_below_peak"),
        allow_burstable=_flag(message, "allow_burstable"),
    )


def _flag(message: pb.RightsizingPreferences, field: str) -> bool | None:
    return bool(getattr(message, field)) if message.HasField(field) else None  # type: ignore[arg-type] # optional fields


def _number(
    message: pb.RightsizingPreferences, field: str, most: float, found: Violations, at: FieldPath
) -> float | None:
    if not message.HasField(field):  # type: ignore[arg-type] # optional fields
        return None
    return bounds.number(found, (at, field), getattr(message, field), most)


def _span(
    message: pb.RightsizingPreferences, field: str, least_h: float, found: Violations, at: FieldPath
) -> timedelta | None:
    """A span of series, in (0 or) `least_h` to 400 days."""
    if not message.HasField(field):  # type: ignore[arg-type] # message fields
        return None
    here = (at, field)
    hours = bounds.hours(found, here, getattr(message, field), most=_MAX_LOOKBACK_H, positive=True)
    if 0.0 < hours < least_h:
        found.add(here, ErrorReason.OUT_OF_RANGE, f"must be from {least_h:g} to {_MAX_LOOKBACK_H:g} hours")
    return timedelta(hours=hours)


def _want(message: pb.RightsizingPreferences, found: Violations, field: FieldPath) -> int | None:
    """Above 0: where want costs nothing, no capacity at all would do."""
    if not message.HasField("throttled_hour_cost"):
        return None
    return micros_from_nanos(bounds.nanos(found, field, message.throttled_hour_cost, positive=True))


def _profile(name: str, found: Violations, field: FieldPath) -> str | None:
    if name and name not in PROFILES:
        near = suggestion(name, PROFILES)
        found.add(field, ErrorReason.UNKNOWN_VALUE, f"no profile {name[:64]!r}{near}; known: {', '.join(PROFILES)}")
    return name or None


def _dimensions(
    message: pb.RightsizingPreferences, found: Violations, at: FieldPath
) -> tuple[DimensionPreference, ...]:
    if not message.dimensions or not bounds.few(found, (at, "dimensions"), len(message.dimensions), len(DIMENSION_OF)):
        return ()
    parsed: dict[Dimension, DimensionPreference] = {}
    for index, preference in enumerate(message.dimensions):
        here = (at, f"dimensions[{index}]")
        dimension = DIMENSION_OF.get(preference.dimension)
        if dimension is None:
            reason = ErrorReason.UNKNOWN_VALUE if preference.dimension else ErrorReason.FIELD_REQUIRED
            found.add((here, "dimension"), reason, "name a dimension")
        elif dimension in parsed:
            found.add((here, "dimension"), ErrorReason.CONTRADICTION, "is given twice")
        percentile = _percentile(preference.percentile, found, (here, "percentile"))
        headroom = None
        if preference.HasField("headroom_fraction"):
            field = (here, "headroom_fraction")
            headroom = bounds.number(found, field, preference.headroom_fraction, MAX_HEADROOM)
        if dimension is not None:
            parsed[dimension] = DimensionPreference(dimension, percentile, headroom)
    order = list(Dimension)
    return tuple(sorted(parsed.values(), key=lambda one: order.index(one.dimension)))


def _percentile(value: float, found: Violations, field: FieldPath) -> float | None:
    if value == 0.0:
        return None
    if not (_LEAST_PERCENTILE <= value <= _MOST_PERCENTILE or value == _MAXIMUM):
        found.add(field, ErrorReason.OUT_OF_RANGE, "must be from 50 to 99.9, or 100 for the maximum")
        return None
    return value


def _families(
    message: pb.RightsizingPreferences, vocabulary: Vocabulary, found: Violations, field: FieldPath
) -> frozenset[str] | None:
    names = message.families
    if not names or not bounds.few(found, field, len(names), MAX_FAMILIES):
        return None
    for index, name in enumerate(names):
        if name not in vocabulary.families:
            near = suggestion(name, vocabulary.families)
            found.add((field, f"[{index}]"), ErrorReason.UNKNOWN_VALUE, f"not in the catalogue: {name[:64]!r}{near}")
    return frozenset(names)


def _regions(
    message: pb.RightsizingPreferences, vocabulary: Vocabulary, found: Violations, field: FieldPath
) -> frozenset[tuple[Cloud, str]] | None:
    if not message.regions or not bounds.few(found, field, len(message.regions), MAX_REGIONS):
        return None
    keys = [region_key(ref, vocabulary, found, (field, f"[{index}]")) for index, ref in enumerate(message.regions)]
    return frozenset((key.cloud, key.region) for key in keys if key is not None)
