"""Words that people write, and what they are in the contract: `spot`, `aws:eu-west-1`, `EU`, `12.50`.

Every reader raises ValueError with a sentence that says what was expected.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, TypeVar

from google.protobuf.descriptor import EnumDescriptor
from google.type.money_pb2 import Money

from trimtab.v1 import rightsizing_pb2, types_pb2
from trimtab.v1.placement_service_pb2 import Residency

if TYPE_CHECKING:
    from google.protobuf.internal.enum_type_wrapper import _EnumTypeWrapper

CLOUDS: Final[Mapping[str, types_pb2.Cloud.ValueType]] = {
    "aws": types_pb2.CLOUD_AWS,
    "gcp": types_pb2.CLOUD_GCP,
    "azure": types_pb2.CLOUD_AZURE,
}
PURCHASE_OPTIONS: Final[Mapping[str, types_pb2.PurchaseOption.ValueType]] = {
    "on-demand": types_pb2.PURCHASE_OPTION_ON_DEMAND,
    "spot": types_pb2.PURCHASE_OPTION_SPOT,
    "reserved-1y": types_pb2.PURCHASE_OPTION_RESERVED_1Y,
    "reserved-3y": types_pb2.PURCHASE_OPTION_RESERVED_3Y,
    "owned-commitment": types_pb2.PURCHASE_OPTION_OWNED_COMMITMENT,
}
ARCHITECTURES: Final[Mapping[str, types_pb2.Architecture.ValueType]] = {
    "x86_64": types_pb2.ARCHITECTURE_X86_64,
    "arm64": types_pb2.ARCHITECTURE_ARM64,
}
BLOCS: Final = ("EU", "EEA", "AFRICA", "ASIA", "EUROPE", "MIDDLE_EAST", "NORTH_AMERICA", "OCEANIA", "SOUTH_AMERICA")
"""Words of a residency that are no country."""

_COUNTRY_LETTERS = 2
_MAX_UNITS = 2**63
_NANOS = Decimal(1_000_000_000)

_Value = TypeVar("_Value")
_Member = TypeVar("_Member", bound=int)


def cloud(text: str) -> types_pb2.Cloud.ValueType:
    """`aws`, `gcp` or `azure`."""
    return _one_of(CLOUDS, text)


def purchase_option(text: str) -> types_pb2.PurchaseOption.ValueType:
    """`on-demand`, `spot`, `reserved-1y`, `reserved-3y` or `owned-commitment`."""
    return _one_of(PURCHASE_OPTIONS, text.replace("_", "-"))


def architecture(text: str) -> types_pb2.Architecture.ValueType:
    """`x86_64` or `arm64`."""
    return _one_of(ARCHITECTURES, text.replace("-", "_"))


def metric(text: str) -> rightsizing_pb2.Metric.ValueType:
    """`cpu`, `memory`, `network-in`, `disk-read-ops`, `gpu`, `gpu-memory`, ..."""
    return _member(rightsizing_pb2.Metric, text)


def unit(text: str) -> rightsizing_pb2.Unit.ValueType:
    """`percent`, `ratio`, `vcpus`, `bytes`, `gib`, `bytes-per-second`, `count`, `gpus`, ..."""
    return _member(rightsizing_pb2.Unit, text)


def statistic(text: str) -> rightsizing_pb2.Statistic.ValueType:
    """`average`, `maximum`, `sum` or `counter`."""
    return _member(rightsizing_pb2.Statistic, text)


def dimension(text: str) -> rightsizing_pb2.Dimension.ValueType:
    """`cpu`, `memory`, `network`, `disk-iops`, `disk-throughput`, `gpu` or `gpu-memory`."""
    return _member(rightsizing_pb2.Dimension, text)


def resource_kind(text: str) -> rightsizing_pb2.CloudResource.Kind.ValueType:
    """`instance`, `instance-group`, `endpoint`, `training-job`, `container` or `database`."""
    return _member(rightsizing_pb2.CloudResource.Kind, text)


def region(text: str) -> types_pb2.RegionRef:
    """`cloud:region`, such as `aws:eu-west-1`."""
    name, colon, where = text.partition(":")
    if not colon or not where or ":" in where:
        raise ValueError(f"expected CLOUD:REGION such as aws:eu-west-1, not {text!r}")
    return types_pb2.RegionRef(cloud=cloud(name), region=where)


def residency(places: Iterable[str]) -> Residency:
    """Countries (two letters) and blocs (`EU`, `EEA`, `NORTH_AMERICA`, ...) where a workload may run."""
    allowed = Residency()
    for place in places:
        word = place.strip().upper().replace("-", "_").replace(" ", "_")
        if word in BLOCS:
            allowed.blocs.append(word)
        elif len(word) == _COUNTRY_LETTERS and word.isascii() and word.isalpha():
            allowed.countries.append(word)
        else:
            raise ValueError(f"expected a country of two letters or one of {', '.join(BLOCS)}, not {place!r}")
    return allowed


def money(amount: Decimal | str | int) -> Money:
    """US dollars, exactly: at most nine places after the point. `12.50`, `$12.50` and `USD 12.50` are the same."""
    text = str(amount).strip().removeprefix("USD").strip().removeprefix("$")
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or abs(value) >= _MAX_UNITS or (value * _NANOS) % 1 != 0:
        raise ValueError(f"expected an amount of US dollars such as 12.50, not {amount!r}")
    whole = int(value)
    return Money(currency_code="USD", units=whole, nanos=int((value - whole) * _NANOS))


def amount_of(value: Money) -> Decimal:
    """The amount of a `google.type.Money`, exactly."""
    return Decimal(value.units) + Decimal(value.nanos) / _NANOS


def word(enum: EnumDescriptor, number: int) -> str:
    """An enum value as people write it: `PURCHASE_OPTION_ON_DEMAND` is `on-demand`. Unknown numbers stay."""
    value = enum.values_by_number.get(number)
    if value is None:
        return str(number)
    first = enum.values_by_number[0].name
    return value.name.removeprefix(first.removesuffix("UNSPECIFIED")).lower().replace("_", "-")


def _member(enum: "_EnumTypeWrapper[_Member]", text: str) -> _Member:
    """A value by its word, as `word` writes it; underscores do as well."""
    words = {word(enum.DESCRIPTOR, number): number for number in enum.values() if number}
    return _one_of(words, text.replace("_", "-"))


def _one_of(words: Mapping[str, _Value], text: str) -> _Value:
    found = words.get(text.strip().lower())
    if found is None:
        raise ValueError(f"expected one of {', '.join(words)}, not {text!r}")
    return found
