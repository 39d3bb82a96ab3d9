"""How the contract's enums, names and money read in the domain, and back.

`Vocabulary` holds the names of one catalogue version: parsing resolves every name against it, so that engines
never meet an unknown one. It is built once per version and shared by all calls.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from typing import Any, Final, Generic, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money

from trimtab.v1 import types_pb2
from trimtab_service.catalog.services import ServiceTable, packaged_services
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.offers import Cloud, PriceBasis, PurchaseOption
from trimtab_service.domain.workloads import GpuNeed, RegionKey, Residency

CLOUD_OF: Final[Mapping[int, Cloud]] = {
    types_pb2.CLOUD_AWS: Cloud.AWS,
    types_pb2.CLOUD_GCP: Cloud.GCP,
    types_pb2.CLOUD_AZURE: Cloud.AZURE,
}
CLOUD_CODE: Final["Mapping[Cloud, types_pb2.Cloud.ValueType]"] = {
    Cloud.AWS: types_pb2.CLOUD_AWS,
    Cloud.GCP: types_pb2.CLOUD_GCP,
    Cloud.AZURE: types_pb2.CLOUD_AZURE,
}
OPTION_OF: Final[Mapping[int, PurchaseOption]] = {
    types_pb2.PURCHASE_OPTION_ON_DEMAND: PurchaseOption.ON_DEMAND,
    types_pb2.PURCHASE_OPTION_SPOT: PurchaseOption.SPOT,
    types_pb2.PURCHASE_OPTION_RESERVED_1Y: PurchaseOption.RESERVED_1Y,
    types_pb2.PURCHASE_OPTION_RESERVED_3Y: PurchaseOption.RESERVED_3Y,
    types_pb2.PURCHASE_OPTION_OWNED_COMMITMENT: PurchaseOption.OWNED_COMMITMENT,
}
OPTION_CODE: Final["Mapping[PurchaseOption, types_pb2.PurchaseOption.ValueType]"] = {
    PurchaseOption.ON_DEMAND: types_pb2.PURCHASE_OPTION_ON_DEMAND,
    PurchaseOption.SPOT: types_pb2.PURCHASE_OPTION_SPOT,
    PurchaseOption.RESERVED_1Y: types_pb2.PURCHASE_OPTION_RESERVED_1Y,
    PurchaseOption.RESERVED_3Y: types_pb2.PURCHASE_OPTION_RESERVED_3Y,
    PurchaseOption.OWNED_COMMITMENT: types_pb2.PURCHASE_OPTION_OWNED_COMMITMENT,
}
BASIS_CODE: Final["Mapping[PriceBasis, types_pb2.PriceBasis.ValueType]"] = {
    PriceBasis.LIST: types_pb2.PRICE_BASIS_LIST,
    PriceBasis.LIST_SUPERSEDED: types_pb2.PRICE_BASIS_LIST_SUPERSEDED,
    PriceBasis.DERIVED_OD_X_SAVINGS: types_pb2.PRICE_BASIS_DERIVED,
    PriceBasis.DERIVED_HOST_PLUS_GPU: types_pb2.PRICE_BASIS_DERIVED,
    PriceBasis.ESTIMATED_EASTUS_RATIO: types_pb2.PRICE_BASIS_ESTIMATED,
    PriceBasis.ESTIMATED_GPU_REGION: types_pb2.PRICE_BASIS_ESTIMATED,
    PriceBasis.ESTIMATED_CLOUD_MAXIMUM: types_pb2.PRICE_BASIS_ESTIMATED,
    PriceBasis.CALLER: types_pb2.PRICE_BASIS_CALLER,
    PriceBasis.ESTIMATED_NODE_SHARE: types_pb2.PRICE_BASIS_ESTIMATED,
}
"""What a caller has to know of a basis; the domain's finer ones show in the notes."""

BASES_OF: Final[Mapping[int, frozenset[PriceBasis]]] = {
    code: frozenset(basis for basis, shown in BASIS_CODE.items() if shown == code) for code in BASIS_CODE.values()
}
ARCHITECTURE_OF: Final[Mapping[int, str]] = {
    types_pb2.ARCHITECTURE_X86_64: "x86_64",
    types_pb2.ARCHITECTURE_ARM64: "arm64",
}
ARCHITECTURE_CODE: Final["Mapping[str, types_pb2.Architecture.ValueType]"] = {
    "x86_64": types_pb2.ARCHITECTURE_X86_64,
    "arm64": types_pb2.ARCHITECTURE_ARM64,
}
CONTINENT_CODE: Final[Mapping[str, str]] = {
    "AFRICA": "AF",
    "ASIA": "AS",
    "EUROPE": "EU",
    "MIDDLE_EAST": "ME",
    "NORTH_AMERICA": "NA",
    "OCEANIA": "OC",
    "SOUTH_AMERICA": "SA",
}
"""Continents as residency names, and the code of the catalogue's column."""

K = TypeVar("K")
V = TypeVar("V")

_MOST_KEPT: Final = 4_096
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Kept(Generic[K, V]):
    """Parsed values that are asked for again: bounded, and emptied when full, which a hot set survives."""

    __slots__ = ("_values", "get")

    def __init__(self) -> None:
        self._values: dict[K, V] = {}
        self.get = self._values.get

    def keep(self, key: K, value: V) -> None:
        """Keep one."""
        if len(self._values) >= _MOST_KEPT:
            self._values.clear()
        self._values[key] = value


class Vocabulary:
    """The names of one catalogue version."""

    __slots__ = (
        "continents",
        "countries",
        "families",
        "gpu_models",
        "gpu_needs",
        "instance_types",
        "partitions",
        "reader",
        "regions",
        "residencies",
        "services",
        "snapshot",
    )

    def __init__(self, snapshot: CatalogSnapshot, services: ServiceTable | None = None) -> None:
        """Index the names of `snapshot`; `services` is the packaged table when none is given."""
        self.snapshot = snapshot
        self.services = services or packaged_services()
        self.residencies: Kept[bytes, Residency] = Kept()
        self.gpu_needs: Kept[tuple[str, int, float], tuple[GpuNeed, str]] = Kept()
        self.regions = {
            (int(CLOUD_CODE[region.cloud]), region.name): RegionKey(region.cloud, region.name)
            for region in snapshot.regions
        }
        self.instance_types = frozenset(snapshot.type_names)
        self.families = frozenset(snapshot.families)
        self.gpu_models = snapshot.gpu_models
        self.countries = frozenset(region.country for region in snapshot.regions)
        self.partitions = frozenset(
            name for region in snapshot.regions for name in (region.partition, f"{region.cloud}-{region.partition}")
        )
        self.reader: Any = None
        """How `plain_codec` reads requests against these names, made at its first use."""
        self.continents = {
            name: frozenset(region.country for region in snapshot.regions if region.continent == code)
            for name, code in CONTINENT_CODE.items()
        }

    def region(self, cloud: int, region: str) -> RegionKey | None:
        """The region of a cloud's enum number and a name; None if the catalogue has none such."""
        return self.regions.get((cloud, region))

    def family_of(self, cloud: Cloud, instance_type: str) -> str:
        """The family of a type; empty for one that the catalogue does not hold."""
        index = self.snapshot.type_index.get((cloud, instance_type))
        return "" if index is None else self.snapshot.families[int(self.snapshot.types.family[index])]

    def nearest_regions(self, cloud: int, region: str) -> str:
        """Names to suggest for an unknown region, as text; of every cloud when the cloud has none near."""
        own = [name for code, name in self.regions if code == cloud] or [name for _, name in self.regions]
        return suggestion(region, own)


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; nearest: a, b` for a misspelt name, or nothing."""
    near = get_close_matches(name[:64], sorted(known), n=3, cutoff=0.5)
    return f"; nearest: {', '.join(near)}" if near else ""


def money_of_micros(micros: int) -> Money:
    """`google.type.Money` in USD; the sign is on both parts."""
    message = Money()
    set_micros(message, micros)
    return message


def set_micros(message: Money, micros: int) -> None:
    """Fill a money message in place, as `money_of_micros` would."""
    message.currency_code = "USD"
    if micros >= 0:
        message.units, rest = divmod(micros, 1_000_000)
        message.nanos = rest * 1_000
    else:
        units, rest = divmod(-micros, 1_000_000)
        message.units = -units
        message.nanos = -rest * 1_000


def money_of_nanos(nanos: int) -> Money:
    """`google.type.Money` in USD of a unit price; never negative."""
    message = Money()
    set_nanos(message, nanos)
    return message


def set_nanos(message: Money, nanos: int) -> None:
    """Fill a money message in place, as `money_of_nanos` would."""
    message.currency_code = "USD"
    message.units, message.nanos = divmod(nanos, 1_000_000_000)


def set_timestamp(message: Timestamp, instant: datetime) -> None:
    """Fill a timestamp in place from an aware datetime, exact to the microsecond."""
    since = instant - _EPOCH
    message.seconds = since.days * 86_400 + since.seconds
    message.nanos = since.microseconds * 1_000


def timestamp_of(instant: datetime) -> Timestamp:
    """An aware datetime as a timestamp, exact to the microsecond."""
    message = Timestamp()
    set_timestamp(message, instant)
    return message


def datetime_of(stamp: Timestamp) -> datetime:
    """A timestamp as aware UTC, cut to microseconds. Raises OverflowError outside years 1 to 9999."""
    return _EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1_000)


def hours_of(duration: Duration) -> float:
    """A duration in hours."""
    return (duration.seconds + duration.nanos * 1e-9) / 3600.0


def duration_of_hours(hours: float) -> Duration:
    """Hours as a duration, rounded to the nanosecond."""
    nanos = round(hours * 3.6e12)
    seconds, rest = divmod(nanos, 1_000_000_000)
    return Duration(seconds=seconds, nanos=rest)


def date_of(day: date) -> Date:
    """A calendar day."""
    return Date(year=day.year, month=day.month, day=day.day)
