"""Checks of single values, each noting its field when it is at fault.

Every comparison is written so that NaN fails it. Caps are the contract's.
"""

from google.protobuf.duration_pb2 import Duration
from google.type.money_pb2 import Money

from trimtab_service.domain.money import micros_from_nanos
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.rpc.fields import FieldPath, Violations

MAX_VCPUS = 10_000.0
MAX_MEMORY_GIB = 1e6
MAX_GPUS = 1_024
MAX_COUNT = 10_000
MAX_GIB = 1e12
MAX_HOURS = 10 * 8_784.0
MAX_USD = 1e9
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
    given = (value.seconds + value.nanos * 1e-9) / 3600.0
    if given < 0 or given > most or (positive and given <= 0):
        found.add(field, ErrorReason.OUT_OF_RANGE, f"must be {'above' if positive else 'from'} 0 to {most:g} hours")
        return 0.0
    return given


def nanos(found: Violations, field: FieldPath, value: Money, *, positive: bool = False) -> int:
    """USD as integer nanos, from 0 (or above it) to `MAX_USD`."""
    if value.currency_code not in {"", "USD"}:
        found.add(field, ErrorReason.UNKNOWN_VALUE, "currency_code must be USD: all prices here are")
        return 0
    if not -_NANOS < value.nanos < _NANOS or value.units * value.nanos < 0:
        found.add(field, ErrorReason.BAD_FORMAT, "units and nanos must have one sign, and nanos be below 1e9")
        return 0
    if not 0 <= value.units <= MAX_USD or value.nanos < 0 or (positive and not (value.units or value.nanos)):
        found.add(field, ErrorReason.OUT_OF_RANGE, f"must be {'above' if positive else 'from'} 0 to {MAX_USD:g} USD")
        return 0
    return value.units * _NANOS + value.nanos


def micros(found: Violations, field: FieldPath, value: Money) -> int:
    """USD as integer micros, ties to even; from 0 to `MAX_USD`."""
    return micros_from_nanos(nanos(found, field, value))


def text(found: Violations, field: FieldPath, value: str, most: int = MAX_TEXT) -> str:
    """`value` when it is not too long."""
    if len(value) <= most:
        return value
    found.add(field, ErrorReason.TOO_LARGE, f"has {len(value)} characters; at most {most}")
    return ""


def few(found: Violations, field: FieldPath, length: int, most: int) -> bool:
    """Whether a list is within its cap; when not, it is noted and must not be read."""
    if length <= most:
        return True
    found.add(field, ErrorReason.TOO_LARGE, f"has {length} entries; at most {most}")
    return False
