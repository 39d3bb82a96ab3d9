"""Column types that hold the same value, and sort it the same way, on both engines."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from sqlalchemy import BigInteger, Dialect, Integer, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.types import TypeDecorator, TypeEngine

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def to_micros(instant: datetime) -> int:
    """Microseconds since 1970, exactly. The datetime must be aware: a naive one is a ValueError."""
    if instant.tzinfo is None:
        raise ValueError("a stored instant carries its time zone")
    return (instant - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC datetime of `to_micros`."""
    return _EPOCH + timedelta(microseconds=micros)


_read_micros: Final = lru_cache(4_096)(from_micros)
"""Rows that are read together were often written together."""


class UtcTimestamp(TypeDecorator[datetime]):
    """An aware UTC datetime: timestamptz on PostgreSQL, integer microseconds since 1970 on SQLite."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime] | TypeEngine[int]:
        """Name the engine's own type."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(BigInteger())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | int | None:
        """Refuse naive instants on both engines alike."""
        if value is None:
            return None
        micros = to_micros(value)
        return value if dialect.name == "postgresql" else micros

    def process_result_value(self, value: object, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """UTC, whatever the session's time zone is."""
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        return _read_micros(value) if isinstance(value, int) else None


# Sorted by code point everywhere, as Python and SQLite do, not by the locale of a PostgreSQL database.
Name: Final = Text().with_variant(Text(collation="C"), "postgresql")

# SQLite numbers rows by itself only in a column that is INTEGER by name (its integers have 64 bits).
Counter: Final = BigInteger().with_variant(Integer(), "sqlite")
