"""Values on the command line, with their units. Strict: a number whose unit is not said is refused, not guessed.

Every reader raises ValueError with a sentence that says what was expected; `parse` ties it to its flag.
"""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import typer

from trimtab import vocabulary
from trimtab.v1 import placement_service_pb2 as pb

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_GIB: Final = {"KiB": 2.0**-20, "MiB": 2.0**-10, "GiB": 1.0, "TiB": 2.0**10, "PiB": 2.0**20}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_TIMES = re.compile(r"(.*?)\s*[x*](\d+(?:\.\d+)?)")
_QUOTA_UNITS: Final = {
    "vcpus": pb.Quota.UNIT_VCPUS,
    "instances": pb.Quota.UNIT_INSTANCES,
    "gpus": pb.Quota.UNIT_GPUS,
}
_LONGEST_S = 315_360_000_000.0
_Given = TypeVar("_Given")
_Value = TypeVar("_Value")


def parse(flag: str, read: Callable[[_Given], _Value], given: _Given) -> _Value:
    """What `read` makes of `given`. Raises typer.BadParameter, which names the flag, where `read` raises ValueError."""
    try:
        return read(given)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=flag) from None


def duration(text: str) -> timedelta:
    """`90s`, `30m`, `8h`, `2d`, `1h30m`, `500ms`."""
    parts = _PART.findall(text.strip())
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        raise ValueError(f"expected a duration with its unit, such as 90s, 30m, 8h, 2d or 1h30m, not {text!r}")
    total = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if total > _LONGEST_S:
        raise ValueError(f"{text} is longer than 10,000 years")
    return timedelta(seconds=total)


def seconds(text: str) -> float:
    """A duration above zero, in seconds."""
    length = duration(text).total_seconds()
    if length <= 0:
        raise ValueError("expected a duration above 0")
    return length


def hours(text: str) -> timedelta:
    """A duration; a bare number is hours."""
    try:
        bare = float(text)
    except ValueError:
        return duration(text)
    if not 0 <= bare <= _LONGEST_S / 3600:
        raise ValueError(f"expected hours such as 8 or 8h, not {text!r}")
    return timedelta(hours=bare)


def gib(text: str) -> float:
    """`500GiB`, `2TiB`, `512MiB`: in GiB. GB and TB are refused, because half of their users mean GiB."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2] not in _GIB:
        unit = match[2] if match else ""
        hint = (
            f"; {unit} is not accepted, since it is read in two ways" if unit in {"KB", "MB", "GB", "TB", "PB"} else ""
        )
        raise ValueError(f"expected a size such as 500GiB or 2TiB (powers of 2), not {text!r}{hint}")
    return float(match[1]) * _GIB[match[2]]


def milliseconds(text: str) -> float:
    """`50ms`: in milliseconds."""
    return duration(text).total_seconds() * 1000


def fraction(text: str) -> float:
    """`5%` or `0.05`."""
    stripped = text.strip()
    try:
        value = float(stripped.removesuffix("%")) / (100 if stripped.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ValueError(f"expected a share such as 5% or 0.05, not {text!r}")
    return value


def number(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"expected a number, not {text!r}")
    return value


def instant(text: str) -> datetime:
    """`2026-11-24T08:00Z` or any ISO 8601 instant with its zone, or a duration from now (`12h`)."""
    try:
        return datetime.now(UTC) + duration(text.removeprefix("+"))
    except (ValueError, OverflowError):
        pass
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"expected an instant such as 2026-11-24T08:00Z, or 12h from now, not {text!r}") from None
    if value.tzinfo is None:
        raise ValueError(f"{text} has no time zone; write {text}Z for UTC")
    return value.astimezone(UTC)


def data_set(text: str) -> pb.DataSet:
    """`CLOUD:REGION:SIZE`, with `xN` when it is read N times: `aws:eu-west-1:500GiBx3`."""
    where, colon, size = text.rpartition(":")
    if not colon or ":" not in where:
        raise ValueError(f"expected CLOUD:REGION:SIZE such as aws:eu-west-1:500GiB, not {text!r}")
    times = _TIMES.fullmatch(size.strip())
    return pb.DataSet(
        location=vocabulary.region(where),
        gib=gib(times[1] if times else size),
        reads=float(times[2]) if times else 0.0,
    )


def month_to_date(text: str) -> pb.MonthToDateEgress:
    """`CLOUD:REGION:SIZE` that was already sent to the internet this month."""
    data = data_set(text)
    if data.reads:
        raise ValueError(f"expected CLOUD:REGION:SIZE, not {text!r}")
    return pb.MonthToDateEgress(location=data.location, gib=data.gib)


def user_group(text: str) -> pb.UserGroup:
    """`CLOUD:REGION:SHARE` or `LATITUDE,LONGITUDE:SHARE`: `aws:eu-west-1:70%`, `52.5,13.4:30%`."""
    where, colon, share = text.rpartition(":")
    if not colon or not where:
        raise ValueError(f"expected CLOUD:REGION:SHARE or LATITUDE,LONGITUDE:SHARE, not {text!r}")
    amount = number(share.strip().removesuffix("%"))
    if amount <= 0:
        raise ValueError(f"expected a share above 0, not {share!r}")
    if ":" in where:
        return pb.UserGroup(region=vocabulary.region(where), share=amount)
    latitude, comma, longitude = where.partition(",")
    if not comma:
        raise ValueError(f"expected CLOUD:REGION:SHARE or LATITUDE,LONGITUDE:SHARE, not {text!r}")
    group = pb.UserGroup(share=amount)
    group.location.latitude, group.location.longitude = number(latitude), number(longitude)
    return group


def preference(text: str) -> pb.ServiceNeed:
    """`SERVICE=USD`: what doing without would cost."""
    service, equals, amount = text.rpartition("=")
    if not equals or not service.strip():
        raise ValueError(f"expected SERVICE=DOLLARS such as BigQuery=50, not {text!r}")
    return pb.ServiceNeed(service=service.strip(), preference_value=vocabulary.money(amount))


def pattern(text: str) -> pb.OfferPattern:
    """`CLOUD[:REGION[:TYPE[:OPTION]]]`; an empty part matches everything."""
    parts = text.split(":")
    if len(parts) > 4:  # noqa: PLR2004 - as many as the syntax has
        raise ValueError(f"expected CLOUD:REGION:TYPE:OPTION, the later parts optional, not {text!r}")
    cloud, region, instance_type, option = [*parts, "", "", ""][:4]
    found = pb.OfferPattern(region=region, instance_type=instance_type)
    if cloud:
        found.cloud = vocabulary.cloud(cloud)
    if option:
        found.purchase_option = vocabulary.purchase_option(option)
    return found


def current_place(text: str) -> pb.CurrentPlace:
    """`CLOUD:REGION[:TYPE[:OPTION]]`."""
    found = pattern(text)
    if not found.cloud or not found.region:
        raise ValueError(f"expected CLOUD:REGION, then perhaps :TYPE and :OPTION, not {text!r}")
    place = pb.CurrentPlace(instance_type=found.instance_type, purchase_option=found.purchase_option)
    place.location.cloud, place.location.region = found.cloud, found.region
    return place


def quota(text: str) -> pb.Quota:
    """`CLOUD:REGION:UNIT=LEFT`, the unit being vcpus, instances or gpus."""
    key, equals, left = text.rpartition("=")
    where, colon, unit = key.rpartition(":")
    if not equals or not colon or unit not in _QUOTA_UNITS:
        raise ValueError(f"expected CLOUD:REGION:UNIT=LEFT such as aws:eu-west-1:vcpus=64, not {text!r}")
    return pb.Quota(location=vocabulary.region(where), unit=_QUOTA_UNITS[unit], left=number(left))


def caller_offer(text: str) -> pb.CallerOffer:
    """`CLOUD:REGION:TYPE:OPTION=USD` an hour."""
    key, equals, price = text.rpartition("=")
    found = pattern(key)
    if not equals or not (found.cloud and found.region and found.instance_type and found.purchase_option):
        raise ValueError(f"expected CLOUD:REGION:TYPE:OPTION=DOLLARS an hour, not {text!r}")
    offer = pb.CallerOffer(
        instance_type=found.instance_type,
        purchase_option=found.purchase_option,
        price_per_hour=vocabulary.money(price),
    )
    offer.location.cloud, offer.location.region = found.cloud, found.region
    return offer


def pair(text: str) -> tuple[str, str]:
    """`KEY=VALUE`."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError(f"expected KEY=VALUE, not {text!r}")
    return key, value
