"""Connections: from a DSN to a `Database` that hands out short transactions on either engine."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from sqlite3 import OperationalError as SqliteError
from typing import Any, Final, Literal

from psycopg import Cursor as PostgresCursor
from psycopg.pq import Format
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import Dialect as SqlalchemyDialect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DisconnectionError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from trimtab_service.domain.errors import UnsupportedError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.store import failures
from trimtab_service.store.serial import take_turn

Dialect = Literal["sqlite", "postgresql"]

DEFAULT_FILE: Final = "trimtab.sqlite"
_SQLITE_BUSY_S: Final = 10.0
_SQLITE_LINE_S: Final = 1.0
"""How long a writer stands in line behind others of its process before it tries the file itself."""

_IDLE_S: Final = 0.5
_RETURNED: Final = "trimtab_returned"

_MODE: Final = "trimtab_mode"
_READ: Final = "read"
_WRITE: Final = "write"


class _BinaryCursor(PostgresCursor[Any]):
    """Asks for results in binary: contents cross the wire as they are, and no time or number is printed and parsed."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - the driver's own
        super().__init__(*args, **options)
        self.format = Format.BINARY


class Database:
    """One database, shared by the threads of a process (never across a fork).

    Every method and context raises UnavailableError with STORE_UNAVAILABLE when the database does not
    answer; errors of statements and data pass as they are. Contexts are short: none may be held
    across an RPC or a sleep.
    """

    __slots__ = ("_engine", "_line", "dialect")

    def __init__(self, engine: Engine, dialect: Dialect) -> None:
        self._engine = engine
        self.dialect: Dialect = dialect
        self._line = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading: each statement sees what is committed when it starts."""
        with self._mapped(), self._engine.connect() as conn:
            options: dict[str, Any] = {_MODE: _READ}
            if self.dialect == "postgresql":
                options["isolation_level"] = "AUTOCOMMIT"
            yield conn.execution_options(**options)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A read-committed transaction, committed at the end, rolled back by any exception."""
        with self._mapped(), self._in_line(), self._engine.connect() as conn:
            conn.execution_options(**{_MODE: _WRITE})
            with conn.begin():
                yield conn

    @contextmanager
    def change(self) -> Iterator[Connection]:
        """A `write` that also has the turn (`store.serial`): changes of state run one after another."""
        with self.write() as conn:
            take_turn(conn)
            yield conn

    def ping(self) -> None:
        """Ask for one row."""
        with self.read() as conn:
            conn.execute(text("SELECT 1"))

    def describe(self) -> str:
        """Where the data lies, without the password; of the query only the host, for others may be secret."""
        url = self._engine.url
        kept = {key: value for key, value in url.query.items() if key == "host"}
        return url.set(query=kept).render_as_string(hide_password=True)

    def close(self) -> None:
        """Close idle connections; the object may still be used and opens new ones."""
        self._engine.dispose()

    @contextmanager
    def _in_line(self) -> Iterator[None]:
        """On SQLite the writers of a process wait for each other here: who waits for the file sleeps and looks again.

        He sleeps for 1, 2, 5, 10 and more milliseconds while the file may long be free. A courtesy: the file's own lock
        is what guards, and whoever keeps it for long keeps nobody from asking for it.
        """
        if self.dialect != "sqlite":
            yield
            return
        is_first = self._line.acquire(timeout=_SQLITE_LINE_S)
        try:
            yield
        finally:
            if is_first:
                self._line.release()

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            if not failures.is_passing(error):
                raise
            # Not chained: the driver's text may name hosts, users and parameters.
            raise failures.unavailable(error, self.dialect) from None


def sqlite_dsn(data_dir: Path) -> str:
    """The DSN of the default file in `data_dir`."""
    return f"sqlite:///{data_dir / DEFAULT_FILE}"


def open_database(dsn: str) -> Database:
    """Open `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`; nothing is connected yet.

    Raises UnsupportedError for any other DSN, without repeating it.
    """
    try:
        url = make_url(dsn)
    except ArgumentError:
        raise _unsupported("it is not of the form scheme://...") from None
    scheme = url.drivername.split("+", 1)[0]
    if scheme == "sqlite":
        return Database(_sqlite_engine(url), "sqlite")
    if scheme in ("postgresql", "postgres"):
        return Database(_postgresql_engine(url), "postgresql")
    raise _unsupported(f"the scheme {scheme!r} is neither sqlite nor postgresql")


def _unsupported(why: str) -> UnsupportedError:
    return UnsupportedError(ErrorReason.UNSUPPORTED, f"the store's DSN cannot be used: {why}")


def _postgresql_engine(url: URL) -> Engine:
    defaults: dict[str, Any] = {
        "application_name": "trimtab",
        "connect_timeout": 5,
        "cursor_factory": _BinaryCursor,
        # A peer that vanished without a word is noticed in seconds, not in the kernel's two hours.
        "keepalives_idle": 10,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
        # A replica that froze between two statements must not keep the turn from all others, nor a statement that
        # the server cannot get done a thread of ours.
        "options": "-c idle_in_transaction_session_timeout=15s -c statement_timeout=30s",
    }
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        # Whatever the server's default: a turn is only a turn if what is read after it is fresh.
        isolation_level="READ COMMITTED",
        # Fewer than the threads that serve (16): a database that hangs never holds them all, and placing goes on.
        pool_size=8,
        max_overflow=4,
        pool_timeout=3,
        pool_recycle=1_800,
        hide_parameters=True,
        connect_args={key: value for key, value in defaults.items() if key not in url.query},
    )
    event.listen(engine, "checkin", _returned)
    event.listen(engine, "checkout", partial(_ping_when_idle, engine.dialect))
    return engine


def _returned(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info[_RETURNED] = time.monotonic()


def _ping_when_idle(
    dialect: SqlalchemyDialect, connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: object
) -> None:
    """Ask a connection that lay idle whether it still stands; one in use a moment ago tells by its next statement.

    A ping before every statement is a third of what a step of a run says to the database.
    """
    returned = record.info.get(_RETURNED)
    if returned is None or time.monotonic() - returned < _IDLE_S:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        raise DisconnectionError from error


def _sqlite_engine(url: URL) -> Engine:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise _unsupported("SQLite needs a file, which several processes can open")
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite"),
        pool_size=8,
        max_overflow=24,
        pool_timeout=5,
        hide_parameters=True,
        connect_args={"timeout": _SQLITE_BUSY_S, "check_same_thread": False},
    )
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: SqliteConnection, _record: object) -> None:
    """WAL with a real sync on each commit: the writer's groups make that affordable."""
    connection.isolation_level = None  # transactions are begun by `_begin_sqlite` alone
    _switch_to_wal(connection)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA journal_size_limit=67108864")


def _switch_to_wal(connection: SqliteConnection) -> None:
    """Switch once per file; two first openers race for it, and SQLite's own patience does not apply."""
    give_up = time.monotonic() + _SQLITE_BUSY_S
    while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except SqliteError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.02)


def _begin_sqlite(conn: Connection) -> None:
    """Writers queue at BEGIN: a lock taken later, over an older snapshot, would fail instead of wait."""
    mode = conn.get_execution_options().get(_MODE)
    if mode == _READ:
        return
    conn.exec_driver_sql("BEGIN IMMEDIATE" if mode == _WRITE else "BEGIN")
