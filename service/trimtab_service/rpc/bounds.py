"""Checks of single values, each noting its field when it is at fault.

Every comparison is written so that NaN fails it. Caps are the contract's.
"""

from datetime import datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from trimtab_service.domain.money import micros_from_nanos
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.rpc.fields import FieldPath, Violations
from trimtab_service.rpc.vocabulary import datetime_of

MAX_VCPUS = 10_000.0
MAX_MEMORY_GIB = 1e6
MAX_GPUS = 1_024
MAX_COUNT = 10_000
MAX_GIB = 1e9
"""A billion GiB is an exbibyte."""

MAX_HOURS = 10 * 8_784.0
LEAST_HOURS = 1e-9
"""Under this, what one hour costs times the hours is lost in the rounding of floats."""

MAX_USD = 1e9
MAX_UNIT_USD = 1e4
"""Of one instance for one hour, and of one GiB: any more is a price in the wrong unit. With the other caps it keeps
every cost within what `google.type.Money` can say."""

MAX_TEXT = 256
_NANOS = 1_000_000_000


def number(found: Violations, field: FieldPath, value: float, most: float, *, least: float = 0.0) -> float:
    """`value` when it lies in [least, most]; else it is noted."""
    if least <= value <= most:
        return value
    found.add(field, ErrorReason.OUT_OF_RANGE, f"must be a number from {least:g} to {most:g}")
    return least


def hours(
    found: Violations, field: FieldPath, value: Duration, *, most: float = MAX_HOURS, positive: bool = False
) -> float:
    """A duration in hours, from 0 (or above it) to `most`."""
    if not well_formed(value):
        found.add(field, ErrorReason.BAD_FORMAT, "seconds and nanos must have one sign, and nanos be below 1e9")
        return 0.0
    given = (value.seconds + value.nanos * 1e-9) / 3600.0
    if given < 0 or given > most or (positive and given <= 0):
        found.add(field, ErrorReason.OUT_OF_RANGE, f"must be {'above' if positive else 'from'} 0 to {most:g} hours")
        return 0.0
    return given


def seconds(found: Violations, field: FieldPath, value: Duration, most: float) -> float:
    """A duration in seconds, above 0 to `most`."""
    if not hours(found, field, value, most=most / 3600.0, positive=True):
        return 0.0
    return value.seconds + value.nanos * 1e-9


def well_formed(value: Duration) -> bool:
    """Whether a duration is one by its own rules: parts of one sign, less than a second of nanos."""
    return -_NANOS < value.nanos < _NANOS and value.seconds * value.nanos >= 0


def instant(found: Violations, field: FieldPath, value: Timestamp) -> datetime | None:
    """A timestamp as aware UTC, cut to microseconds; None when it is none."""
    try:
        if 0 <= value.nanos < _NANOS:
            return datetime_of(value)
        found.add(field, ErrorReason.BAD_FORMAT, "nanos must be from 0 to below 1e9")
    except OverflowError:
        found.add(field, ErrorReason.OUT_OF_RANGE, "not a time between the years 1 and 9999")
    return None


def nanos(found: Violations, field: FieldPath, value: Money, *, positive: bool = False, most: float = MAX_USD) -> int:
    """USD as integer nanos, from 0 (or above it) to `most`."""
    if value.currency_code not in {"", "USD"}:
        found.add(field, ErrorReason.UNKNOWN_VALUE, "currency_code must be USD: all prices here are")
        return 0
    if not -_NANOS < value.nanos < _NANOS or value.units * value.nanos < 0:
        found.add(field, ErrorReason.BAD_FORMAT, "units and nanos must have one sign, and nanos be below 1e9")
        return 0
    given = value.units * _NANOS + value.nanos
    if not 0 <= given <= most * _NANOS or (positive and not given):
        found.add(field, ErrorReason.OUT_OF_RANGE, f"must be {'above' if positive else 'from'} 0 to {most:g} USD")
        return 0
    return given


def micros(found: Violations, field: FieldPath, value: Money) -> int:
    """USD as integer micros, ties to even; from 0 to `MAX_USD`."""
    return micros_from_nanos(nanos(found, field, value))


def text(found: Violations, field: FieldPath, value: str, most: int = MAX_TEXT) -> str:
    """`value` when it is not too long and has no NUL, which PostgreSQL cannot keep."""
    if len(value) <= most:
        if "\x00" not in value:
            return value
        found.add(field, ErrorReason.BAD_FORMAT, "holds a NUL character")
        return ""
    found.add(field, ErrorReason.TOO_LARGE, f"has {len(value)} characters; at most {most}")
    return ""


def few(found: Violations, field: FieldPath, length: int, most: int) -> bool:
    """Whether a list is within its cap; when not, it is noted and must not be read."""
    if length <= most:
        return True
    found.add(field, ErrorReason.TOO_LARGE, f"has {length} entries; at most {most}")
    return False
