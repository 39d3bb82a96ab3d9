"""Money as integers: micros where it is summed, stored and sent; nanos for unit prices.

An hourly list price needs more than six decimals (a GCP spot vCPU costs 0.00053 USD), so unit prices are
integer nano-USD; what a workload costs is integer micro-USD. Both fit a signed 64-bit integer with room.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Self

MICROS_PER_USD = 1_000_000
NANOS_PER_USD = 1_000_000_000
NANOS_PER_MICRO = 1_000
INT64_MAX = 2**63 - 1


def nanos_from_usd(usd: Decimal | str | float) -> int:
    """Nano-USD nearest to `usd`, ties to even.

    A float is read by its shortest text, so 0.0416 is 41,600,000 and not the binary neighbour of it.
    Raises ValueError for NaN, infinities, text that is no number, and amounts past 64 bits.
    """
    try:
        amount = usd if isinstance(usd, Decimal) else Decimal(str(usd))
        nanos = int((amount * NANOS_PER_USD).to_integral_value(rounding=ROUND_HALF_EVEN))
    except (InvalidOperation, OverflowError, ValueError) as error:
        raise ValueError(f"not an amount of money: {usd!r}") from error
    if abs(nanos) > INT64_MAX:
        raise ValueError(f"amount out of range: {usd!r}")
    return nanos


def micros_from_nanos(nanos: int) -> int:
    """Micro-USD nearest to `nanos`, ties to even."""
    quotient, rest = divmod(nanos, NANOS_PER_MICRO)
    half = NANOS_PER_MICRO // 2
    if rest > half or (rest == half and quotient % 2 == 1):
        return quotient + 1
    return quotient


def usd_from_nanos(nanos: int) -> Decimal:
    """Exact decimal USD."""
    return Decimal(nanos).scaleb(-9)


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An exact amount of USD in integer micros. The only currency of list prices here."""

    micros: int

    @classmethod
    def from_usd(cls, usd: Decimal | str | float) -> Self:
        """Nearest micro, ties to even. Raises ValueError as `nanos_from_usd` does."""
        return cls(micros_from_nanos(nanos_from_usd(usd)))

    @classmethod
    def from_nanos(cls, nanos: int) -> Self:
        """Nearest micro, ties to even."""
        return cls(micros_from_nanos(nanos))

    @property
    def usd(self) -> Decimal:
        """Exact decimal USD."""
        return Decimal(self.micros).scaleb(-6)

    @property
    def units_and_nanos(self) -> tuple[int, int]:
        """The pair that `google.type.Money` carries: both of the same sign, |nanos| < 1e9."""
        sign = -1 if self.micros < 0 else 1
        units, rest = divmod(abs(self.micros), MICROS_PER_USD)
        return sign * units, sign * rest * NANOS_PER_MICRO

    @classmethod
    def from_units_and_nanos(cls, units: int, nanos: int) -> Self:
        """Reads `google.type.Money`. Raises ValueError where the signs differ or |nanos| >= 1e9."""
        if abs(nanos) >= NANOS_PER_USD or units * nanos < 0:
            raise ValueError(f"not a google.type.Money: units={units} nanos={nanos}")
        return cls(micros_from_nanos(units * NANOS_PER_USD + nanos))

    def __add__(self, other: Self) -> Self:
        return type(self)(self.micros + other.micros)

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.micros - other.micros)

    def __neg__(self) -> Self:
        return type(self)(-self.micros)
