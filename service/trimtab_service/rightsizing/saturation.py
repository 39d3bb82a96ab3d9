"""How often a resource was at the end of what it has, since an instant: what a size that was chosen really did.

A load that is measured on the size itself cannot rise above it: a CPU at 100 % wants an unknown amount more. So an
interval counts as exceeded from `FULL` of the capacity on, in any dimension. That errs on the side of the workload.
"""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

import numpy as np

from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.resources import CloudResource
from trimtab_service.rightsizing.present import Present, present_of
from trimtab_service.rightsizing.readings import Load, read
from trimtab_service.rightsizing.series import common_step
from trimtab_service.rightsizing.telemetry import Telemetry

FULL: Final = 0.99

_HOUR_S: Final = 3_600.0


class Saturation(NamedTuple):
    """`share` of the measured intervals in which any dimension was full, and the hours that they cover."""

    share: float
    hours: float


def saturation_since(
    telemetry: Telemetry, resource: CloudResource, snapshot: CatalogSnapshot, since: datetime, now: datetime
) -> Saturation | None:
    """Measure the resource's present size. None where no series tells anything after `since`, or the size is unknown.

    An interval that `since` falls into is of both sizes, and left out.
    """
    present = present_of(resource, snapshot, now.date())
    if not isinstance(present, Present) or now <= since:
        return None
    found = read(telemetry, present, now - since + timedelta(days=1), now)
    loads = [load for load in found.loads if _whole(load, present) is not None]
    if not loads:
        return None
    step = common_step([load.series for load in loads])
    first = -(-int(since.timestamp()) // step)
    size = int(now.timestamp()) // step - first + 1
    if size <= 0:
        return None
    measured, full = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
    for load in loads:
        values = load.series.values
        at = (load.series.start_s + np.arange(values.size) * load.series.step_s) // step - first
        known = np.isfinite(values) & (at >= 0) & (at < size)
        measured[at[known]] = True
        full[at[known & (np.nan_to_num(values) >= FULL * (_whole(load, present) or np.inf))]] = True
    total = int(np.count_nonzero(measured))
    return Saturation(float(np.count_nonzero(full)) / total, total * step / _HOUR_S) if total else None


def _whole(load: Load, present: Present) -> float | None:
    """What the load is held against: of one instance, or of all."""
    of_one = present.has(load.dimension)
    if not of_one:
        return None
    return of_one if load.is_per_instance else of_one * present.count
