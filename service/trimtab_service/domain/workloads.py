"""What a caller wants to run: the parsed placement request, which cannot be wrong in form.

Everything here was checked at the edge against the vocabulary of one catalogue: names are known names,
numbers are finite and in range, lists are within their caps. Engines read it without checking again.
Hours are floats (they only ever multiply a price and are rounded to micros at once); money is integers.
"""

from dataclasses import dataclass
from datetime import datetime

from trimtab_service.domain.offers import Cloud, PurchaseOption

HOURS_PER_MONTH = 730.0
"""A month, as the clouds bill: 8,760 / 12."""

HOURS_PER_YEAR = 8760.0
"""A year of 365 days."""

DEFAULT_RESTART_HOURS = 5.0 / 60.0
"""Boot, pull and load when the caller does not say."""


@dataclass(frozen=True, slots=True, order=True)
class RegionKey:
    """A region of a cloud, by the cloud's own name."""

    cloud: Cloud
    region: str


@dataclass(frozen=True, slots=True)
class GpuNeed:
    """`count` GPUs per instance of any one of `models` (canonical names), each with at least `memory_gib`."""

    models: tuple[str, ...]
    count: int
    memory_gib: float = 0.0


@dataclass(frozen=True, slots=True)
class Size:
    """The least that one instance must have. No `gpus` means types without accelerators only."""

    vcpus: float = 0.0
    memory_gib: float = 0.0
    gpus: tuple[GpuNeed, ...] = ()
    architecture: str | None = None
    local_disk_gb: float = 0.0
    network_gbps: float = 0.0
    instance_type: str | None = None


@dataclass(frozen=True, slots=True)
class Interruption:
    """What an interruption costs the workload, in hours.

    `checkpoint_write_hours` None: no checkpoints, the work starts anew. `checkpoint_interval_hours` None:
    the best interval by Daly's formula.
    """

    checkpoint_write_hours: float | None = None
    restart_hours: float = DEFAULT_RESTART_HOURS
    checkpoint_interval_hours: float | None = None
    checkpoint_store: RegionKey | None = None
    checkpoint_gib: float = 0.0
    checkpoint_nanos_per_gib_month: int = 0
    max_expected_interruptions: float | None = None


@dataclass(frozen=True, slots=True)
class DataSet:
    """`gib` read `reads` times from `location`.

    `private_nanos_per_gib` replaces the catalogue's rate for the clouds that it reaches.
    """

    location: RegionKey
    gib: float
    reads: float = 1.0
    private_nanos_per_gib: int | None = None
    private_clouds: tuple[Cloud, ...] = ()


@dataclass(frozen=True, slots=True)
class UserGroup:
    """Users at coordinates (degrees); `share` of all groups sums to 1."""

    latitude: float
    longitude: float
    share: float


@dataclass(frozen=True, slots=True)
class Users:
    """Where users are; `max_latency_ms` 0 means no limit; `egress_gib` is sent to them."""

    groups: tuple[UserGroup, ...]
    max_latency_ms: float = 0.0
    egress_gib: float = 0.0


@dataclass(frozen=True, slots=True)
class Residency:
    """Allow and deny lists; an empty allow list allows everything, deny wins. Countries already include the blocs'."""

    countries: frozenset[str] = frozenset()
    denied_countries: frozenset[str] = frozenset()
    clouds: frozenset[Cloud] = frozenset()
    denied_clouds: frozenset[Cloud] = frozenset()
    regions: frozenset[RegionKey] = frozenset()
    denied_regions: frozenset[RegionKey] = frozenset()
    families: frozenset[str] = frozenset()
    denied_families: frozenset[str] = frozenset()
    instance_types: frozenset[str] = frozenset()
    denied_instance_types: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ServiceNeed:
    """A cloud service by its canonical name. `preference_micros` None: a must; else what doing without costs."""

    service: str
    preference_micros: int | None = None


@dataclass(frozen=True, slots=True)
class CurrentPlace:
    """Where the workload runs and what leaving costs. Empty strings and None: not known."""

    location: RegionKey
    zone: str = ""
    instance_type: str = ""
    option: PurchaseOption | None = None
    state_gib: float = 0.0
    changeover_hours: float = 0.0
    fixed_cost_micros: int = 0
    minimum_gain_micros: int = 0
    minimum_gain_fraction: float = 0.0


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left to the caller of `unit` ('vcpus', 'instances', 'gpus') for matching offers of a region."""

    location: RegionKey
    unit: str
    left: float
    family: str = ""
    gpu_model: str = ""
    options: frozenset[PurchaseOption] = frozenset()


@dataclass(frozen=True, slots=True)
class OfferPattern:
    """Offers by their parts; None and empty match everything."""

    cloud: Cloud | None = None
    region: str = ""
    zone: str = ""
    instance_type: str = ""
    option: PurchaseOption | None = None


@dataclass(frozen=True, slots=True)
class CallerOffer:
    """An offer the catalogue does not hold. `size` None: as large as asked for."""

    location: RegionKey
    instance_type: str
    option: PurchaseOption
    nanos_per_hour: int
    size: Size | None = None
    zones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload to place. `hours` is the work of one uninterrupted instance, or a service's hours of one month."""

    size: Size
    hours: float
    is_service: bool = False
    workload_id: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    count: int = 1
    spread_zones: int = 1
    options: tuple[PurchaseOption, ...] = (PurchaseOption.ON_DEMAND,)
    interruption: Interruption = Interruption()
    deadline: datetime | None = None
    data_sets: tuple[DataSet, ...] = ()
    users: Users | None = None
    residency: Residency | None = None
    services: tuple[ServiceNeed, ...] = ()
    current: CurrentPlace | None = None
    quotas: tuple[Quota, ...] = ()
    blocked_offers: tuple[OfferPattern, ...] = ()
    caller_offers: tuple[CallerOffer, ...] = ()
    tolerance_fraction: float | None = None
    month_to_date_egress: tuple[tuple[RegionKey, float], ...] = ()
    hours_per_month: float = HOURS_PER_MONTH
    hours_per_year: float = HOURS_PER_YEAR
    partitions: frozenset[str] = frozenset()
    allow_estimated_prices: bool = True
    latest_start: datetime | None = None
    """The work may wait until then: when it is best started is part of the answer."""
    readings: tuple[str, ...] = ()
    """How ambiguous names were read, for the answer's notes."""


@dataclass(frozen=True, slots=True)
class PlaceQuery:
    """One `Place` call, parsed."""

    project: str
    workload: Workload
    max_fallbacks: int = 3
    reserve: bool = False
    reserve_seconds: float | None = None
    request_id: str = ""
    explain: bool = False
