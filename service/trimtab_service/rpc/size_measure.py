"""What the lifecycle measures with: rightsizing's own measure, in the lifecycle's words."""

from collections.abc import Callable
from datetime import datetime

from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.resources import CloudResource
from trimtab_service.recommendations.verification import Exceedance
from trimtab_service.rightsizing.saturation import saturation_since
from trimtab_service.rightsizing.telemetry import Telemetry


def measure_size(
    snapshot: Callable[[], CatalogSnapshot],
    resource: CloudResource,
    telemetry: Telemetry,
    since: datetime,
    now: datetime,
) -> Exceedance | None:
    """How often the resource's present size was full since then; None where no series tells.

    `snapshot` gives the catalogue that knows its type.
    """
    found = saturation_since(telemetry, resource, snapshot(), since, now)
    return None if found is None else Exceedance(found.share, found.hours)
