"""Many rows into PostgreSQL by COPY: a twentieth of what the driver takes for the values of an INSERT."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Connection, Double, LargeBinary, Table, Text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeDecorator

from trimtab_service.store.columns import UtcTimestamp

_NAMES: Final = (
    (UtcTimestamp, "timestamptz"),
    (LargeBinary, "bytea"),
    (BigInteger, "int8"),
    (Boolean, "bool"),
    (Double, "float8"),
    (Text, "text"),
)
"""PostgreSQL's name of each type that our tables have: binary COPY converts nothing, so it has to be told."""


def copy_rows(conn: Connection, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Add rows of `columns`, in that order. All or none: in a transaction, which a refusal leaves to be rolled back.

    Raises what an INSERT of the same rows would: IntegrityError for one that is there already, OperationalError without
    a database.
    """
    statement, types = _copy_of(table, tuple(columns))
    cursor = conn.connection.cursor()
    dbapi: Any = conn.dialect.dbapi
    try:
        with cursor.copy(statement) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)
    except dbapi.Error as error:
        lost = conn.dialect.is_disconnect(error, conn.connection.dbapi_connection, cursor)
        if lost:
            conn.invalidate(error)
        raise DBAPIError.instance(
            statement, None, error, dbapi.Error, hide_parameters=True, connection_invalidated=lost, dialect=conn.dialect
        ) from error
    finally:
        cursor.close()


@cache
def _copy_of(table: Table, columns: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    names = ", ".join(columns)
    return f"COPY {table.name} ({names}) FROM STDIN (FORMAT BINARY)", tuple(_name_of(table.c[name]) for name in columns)


def _name_of(column: Column[Any]) -> str:
    told = (column.type, column.type.impl_instance) if isinstance(column.type, TypeDecorator) else (column.type,)
    for kind, name in _NAMES:
        if any(isinstance(one, kind) for one in told):
            return name
    raise TypeError(f"{column} has a type that COPY is not told of")
