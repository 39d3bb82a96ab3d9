"""What happened to offers: the events that placement learns from."""

from dataclasses import dataclass
from datetime import datetime

from trimtab_service.domain.offers import Cloud, PurchaseOption


@dataclass(frozen=True, slots=True)
class Outcome:
    """One reported event. `zone` may be empty (not known). Hours are instance hours since the last report."""

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
