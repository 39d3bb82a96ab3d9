"""What sizes cost a month: exact integers, at list price and net of owned commitments."""

from typing import Final

from trimtab_service.domain.commitments import MILLI
from trimtab_service.domain.money import NANOS_PER_MICRO
from trimtab_service.domain.resources import CloudResource

HOURS_PER_MONTH: Final = 730.0
"""Of a year of 8,760 hours, as the clouds quote months."""

_HOUR_PARTS: Final = 1_000_000


def hours_of(resource: CloudResource) -> float:
    """Hours that the resource runs in a month."""
    return HOURS_PER_MONTH if resource.running_hours_per_month is None else resource.running_hours_per_month


def monthly_micros(price_nanos: int, instances_milli: int, hours: float) -> int:
    """Micro-USD of thousandths of instances over hours (counted to a millionth), ties to even."""
    product = price_nanos * instances_milli * round(hours * _HOUR_PARTS)
    divisor = NANOS_PER_MICRO * MILLI * _HOUR_PARTS
    quotient, rest = divmod(product, divisor)
    if 2 * rest > divisor or (2 * rest == divisor and quotient % 2 == 1):
        return quotient + 1
    return quotient
