"""What every table is declared with: the root of the rows, their fields, and the columns of a versioned resource.

Integers are 64 bits by declaration: SQLModel's own choice overflows on PostgreSQL. A field's types are those that
SQLModel's `Field` itself takes and gives.
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, LargeBinary, MetaData
from sqlmodel import Field, SQLModel

from trimtab_service.store.columns import Name, UtcTimestamp

METADATA: Final = MetaData()


class Row(SQLModel):
    """Root of the tables; it keeps them out of SQLModel's global registry."""

    metadata = METADATA


def string(**options: Any) -> Any:  # noqa: ANN401 - see the module's text
    """Text that sorts by code point on both engines."""
    return Field(sa_type=Name, **options)


def instant(**options: Any) -> Any:  # noqa: ANN401 - see the module's text
    """An aware UTC datetime."""
    return Field(sa_type=UtcTimestamp, **options)


def bigint(**options: Any) -> Any:  # noqa: ANN401 - see the module's text
    """A whole number of 64 bits."""
    return Field(sa_type=BigInteger, **options)


def binary(**options: Any) -> Any:  # noqa: ANN401 - see the module's text
    """Bytes."""
    return Field(sa_type=LargeBinary, **options)


def flag() -> Any:  # noqa: ANN401 - see the module's text
    """Yes or no."""
    return Field(sa_type=Boolean)


class ResourceRow(Row):
    """A versioned resource as it is now (`store.resources`)."""

    parent: str = string(primary_key=True)
    id: str = string(primary_key=True)
    version: int = bigint()
    revision: int = bigint()
    etag: str = string()
    create_time: datetime = instant()
    update_time: datetime = instant()
    body: bytes = binary()


class ResourceVersionRow(Row):
    """A resource as it was from `revision` on; a deletion is a version too."""

    parent: str = string(primary_key=True)
    id: str = string(primary_key=True)
    revision: int = bigint(primary_key=True)
    version: int = bigint()
    etag: str = string()
    create_time: datetime = instant()
    update_time: datetime = instant()
    body: bytes = binary()
    deleted: bool = flag()
