"""Usage from what runs: each listed instance by the hour, as far back as it is known to have run.

A listing says what runs now and since when; what had ended before is unknown, and is not made up. So the hours grow
towards now as the present instances were launched, unless the caller says that the fleet always ran.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from trimtab_service.domain.offers import PurchaseOption
from trimtab_service.domain.purchasing import Service, UsageKey
from trimtab_service.domain.reasons import DemandNote
from trimtab_service.domain.resources import CloudResource, ResourceKind
from trimtab_service.purchasing.program import Floats

_HOUR_S: Final = 3_600.0
_SAGEMAKER: Final = "ml."
_COUNTED: Final = frozenset(
    {ResourceKind.INSTANCE, ResourceKind.INSTANCE_GROUP, ResourceKind.ENDPOINT, ResourceKind.TRAINING_JOB}
)
"""What is paid by the hour of an instance. Containers run on instances that are counted themselves."""


@dataclass(frozen=True, slots=True)
class TypeFacts:
    """What the catalogue says of an instance type in a region."""

    family: str
    on_demand_nanos: int


FactsOf = Callable[[CloudResource], TypeFacts | None]
"""None where the type has no on-demand price there."""


@dataclass(frozen=True, slots=True, eq=False)
class InventoryUsage:
    """`units` (H,) instances of each key in each hour from `start` on, `nanos` the on-demand price of one."""

    start: datetime
    keys: tuple[UsageKey, ...]
    nanos: tuple[int, ...]
    units: tuple[Floats, ...]
    notes: tuple[DemandNote, ...]


def inventory_usage(
    resources: Iterable[CloudResource], facts_of: FactsOf, now: datetime, lookback: timedelta, *, always: bool
) -> InventoryUsage:
    """Hours [now - lookback, now), whole ones in UTC; `now` is on the hour.

    An instance counts from its launch on, for the part of its first hour that it ran; over all hours where its launch
    is not known, and with `always`. Spot capacity is in no plan's scope and left out, as is what has no price.
    """
    hours = max(round(lookback / timedelta(hours=1)), 1)
    start = now - hours * timedelta(hours=1)
    ends = np.arange(1, hours + 1, dtype=np.float64)
    found: dict[tuple[UsageKey, int], Floats] = {}
    notes = {DemandNote.FROM_INVENTORY: True, DemandNote.ASSUMED_ALWAYS_RUN: always}
    for resource in resources:
        if resource.kind not in _COUNTED or resource.count <= 0:
            continue
        if resource.option is PurchaseOption.SPOT:
            notes[DemandNote.SPOT_LEFT_OUT] = True
            continue
        facts = facts_of(resource)
        if facts is None:
            notes[DemandNote.UNPRICED_LEFT_OUT] = True
            continue
        launch = 0.0
        if not always:
            if resource.start_time is None:
                notes[DemandNote.LAUNCH_UNKNOWN] = True
            else:
                launch = (resource.start_time - start).total_seconds() / _HOUR_S
        key = UsageKey(
            resource.cloud,
            facts.family,
            resource.region,
            resource.instance_type,
            resource.account,
            Service.SAGEMAKER if resource.instance_type.startswith(_SAGEMAKER) else Service.COMPUTE,
        )
        row = found.setdefault((key, facts.on_demand_nanos), np.zeros(hours))
        row += resource.count * np.clip(ends - launch, 0.0, 1.0)
    rows = sorted(found.items(), key=lambda item: item[0])
    return InventoryUsage(
        start,
        tuple(key for (key, _), _ in rows),
        tuple(nanos for (_, nanos), _ in rows),
        tuple(units for _, units in rows),
        tuple(note for note in DemandNote if notes.get(note)),
    )
