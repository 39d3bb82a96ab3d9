"""The schema: brought up to date once, by whoever comes first, and awaited by everyone else.

Steps only expand (tests hold them to it), so the version that is being replaced keeps serving on the new
schema; a database that is ahead of this code is therefore current for it. A column that is no longer used
is dropped one release after the last version that reads it.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, MetaData, Table, func, inspect, select, text

from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.store import failover_reports as _failover_reports  # noqa: F401 - adds its table
from trimtab_service.store import failover_tables as _failover_tables  # noqa: F401 - adds its tables
from trimtab_service.store import recommendation_tables as _recommendation_tables  # noqa: F401 - adds its tables
from trimtab_service.store import replication_tables as _replication_tables  # noqa: F401 - adds its tables
from trimtab_service.store.engines import Database
from trimtab_service.store.serial import LOCK_PRODUCT, LOCK_SCHEMA

SCHEMA_VERSION: Final = "0011"
MIGRATIONS: Final = Path(__file__).parent / "migrations"

_VERSION_TABLE: Final = "alembic_version"

_UPGRADING: Final = threading.Lock()
"""Alembic's `op` and `context` are globals of the process: two databases are upgraded one after the other."""


def migrate(database: Database) -> bool:
    """Run the missing steps; True when this call ran any. Replicas that start together wait in line.

    Raises UnavailableError when the database does not answer. All steps are one transaction: a start
    that is killed in the middle leaves the schema as it was.
    """
    with database.write() as conn:
        if database.dialect == "postgresql":
            # A step over a large table may take long, and so may waiting for another replica that runs it.
            conn.execute(text("SET LOCAL statement_timeout = 0"))
            conn.execute(select(func.pg_advisory_xact_lock(LOCK_PRODUCT, LOCK_SCHEMA)))
        if _is_current(_version(conn)):
            return False
        _upgrade(conn)
        return True


def schema_is_current(database: Database) -> bool:
    """Tell whether the schema has all that this version needs: the readiness probe's question.

    Raises UnavailableError when the database does not answer.
    """
    with database.read() as conn:
        return _is_current(_version(conn))


def await_schema(
    database: Database, stop: threading.Event, retry_s: float = 0.2, waiting: Callable[[str], None] | None = None
) -> bool:
    """Wait until the schema is current, for a start with `--no-migrate`; False when `stop` was set first.

    A database that does not answer is waited for as well; `waiting` is told why, once per reason.
    """
    told = ""
    while not stop.is_set():
        try:
            if schema_is_current(database):
                return True
            why = "the schema is older than this version needs"
        except UnavailableError as error:
            why = error.message
        if waiting is not None and why != told:
            waiting(why)
            told = why
        stop.wait(retry_s)
    return False


def require_schema(database: Database) -> None:
    """Raise UnavailableError (STORE_UNAVAILABLE) unless the schema is current."""
    if not schema_is_current(database):
        raise UnavailableError(
            ErrorReason.STORE_UNAVAILABLE,
            "the schema is older than this version needs",
            metadata={"engine": database.dialect, "cause": "schema missing"},
        )


def _version(conn: Connection) -> str | None:
    if not inspect(conn).has_table(_VERSION_TABLE):
        return None
    table = Table(_VERSION_TABLE, MetaData(), autoload_with=conn)
    return conn.execute(select(table.c.version_num)).scalar()


def _is_current(version: str | None) -> bool:
    """Versions are numbers padded to one width; a later one is an expansion of ours."""
    return version is not None and version >= SCHEMA_VERSION


def _upgrade(conn: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - 20 MB that a serving process never needs
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = conn
    with _UPGRADING:
        command.upgrade(config, "head")
