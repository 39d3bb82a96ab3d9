"""What happened to offers: the events that placement learns from."""

from dataclasses import dataclass
from datetime import datetime

from trimtab_service.domain.offers import Cloud, PurchaseOption


@dataclass(frozen=True, slots=True)
class Outcome:
    """One reported event. `zone` may be empty (not known). Hours are instance hours since the last report.

    `family` is what the catalogue in force called the type's family when it was reported, so that learning from
    it again gives the same; empty where it was not known.
    """

    cloud: Cloud
    region: str
    zone: str
    instance_type: str
    option: PurchaseOption
    event_time: datetime
    capacity_failure: bool = False
    capacity_success: bool = False
    interruptions: int = 0
    hours_run: float = 0.0
    family: str = ""
