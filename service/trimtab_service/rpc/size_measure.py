"""How often a resource's present size was exceeded since an instant: the engine's own back-test of the present size."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.policy import NO_POLICY
from trimtab_service.domain.preferences import RightsizingPreferences
from trimtab_service.domain.resources import CloudResource
from trimtab_service.domain.rightsizing import SeriesSummary
from trimtab_service.recommendations.verification import Exceedance
from trimtab_service.rightsizing.advisor import advise
from trimtab_service.rightsizing.case import SizingCase
from trimtab_service.rightsizing.preferences import merge_preferences
from trimtab_service.rightsizing.telemetry import Telemetry

_LEAST: Final = timedelta(hours=1)
_HOUR: Final = timedelta(hours=1)


def measure_size(
    snapshot: Callable[[], CatalogSnapshot],
    resource: CloudResource,
    telemetry: Telemetry,
    since: datetime,
    now: datetime,
) -> Exceedance | None:
    """The share of intervals after `since` in which any dimension was above the present size.

    None where no series tells anything since then. `resource` is as it is now; `snapshot` is the catalogue that knows
    its type.
    """
    if now - since < _LEAST:
        return None
    asked = RightsizingPreferences(lookback=now - since, minimum_data=_LEAST, max_options=1)
    known = replace(resource, price_nanos_per_hour=resource.price_nanos_per_hour)
    case = SizingCase(known, _since(telemetry, since), merge_preferences(asked, NO_POLICY), NO_POLICY, 0)
    advice = advise(case, snapshot(), (), now)
    if advice.current is None or advice.current.back_test is None:
        return None
    return Exceedance(advice.current.back_test.exceedance, _hours(advice.telemetry.series))


def _since(telemetry: Telemetry, since: datetime) -> Telemetry:
    """Only what began after the change: the interval in which it fell is of both sizes."""
    start = since.timestamp()
    return Telemetry(
        tuple(
            replace(one, epoch_seconds=one.epoch_seconds[kept], values=one.values[kept])
            for one in telemetry.series
            for kept in (one.epoch_seconds >= start,)
        )
    )


def _hours(series: Sequence[SeriesSummary]) -> float:
    """Hours with a value, of the series that has most."""
    return max((one.used_points * one.step / _HOUR for one in series), default=0.0)
