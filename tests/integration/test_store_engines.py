"""What a DSN opens, and what is said when it does not."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, Table, insert, select, text
from sqlalchemy.exc import StatementError

from trimtab_service.domain.errors import UnavailableError, UnsupportedError
from trimtab_service.store.columns import Name, UtcTimestamp, from_micros, to_micros
from trimtab_service.store.engines import Database, open_database, sqlite_dsn

VALUES = Table(
    "values_", MetaData(), Column("n", Integer, primary_key=True), Column("at", UtcTimestamp), Column("name", Name)
)


@pytest.fixture
def values(database: Database) -> Database:
    """A database with a table of the store's own column types."""
    with database.write() as conn:
        VALUES.create(conn)
    return database


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(to_micros(datetime(1, 1, 2, tzinfo=UTC)), to_micros(datetime(9999, 12, 30, tzinfo=UTC))),
    st.timezones(),
)
def test_an_instant_is_stored_exactly(values: Database, micros: int, zone: tzinfo) -> None:
    """To the microsecond, in UTC, whatever the zone it came in."""
    at = from_micros(micros).astimezone(zone)
    with values.write() as conn:
        conn.execute(text("DELETE FROM values_"))
        conn.execute(insert(VALUES), {"n": 1, "at": at, "name": ""})
    with values.read() as conn:
        stored = conn.execute(select(VALUES.c.at)).scalar_one()
        found = conn.execute(select(VALUES.c.n).where(VALUES.c.at == at)).all()
    assert stored == at.astimezone(UTC)
    assert stored.utcoffset() == timedelta(0)
    assert len(found) == 1


def test_a_naive_instant_is_refused(values: Database) -> None:
    """Nobody's local time gets into the store, on either engine."""
    with pytest.raises(StatementError, match="time zone"), values.write() as conn:
        conn.execute(insert(VALUES), {"n": 1, "at": datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None), "name": ""})


def test_the_zone_of_the_session_does_not_matter(values: Database) -> None:
    """A PostgreSQL role with another time zone reads the same instant."""
    at = datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=9)))
    with values.write() as conn:
        if values.dialect == "postgresql":
            conn.execute(text("SET LOCAL TIME ZONE 'Asia/Kathmandu'"))
        conn.execute(insert(VALUES), {"n": 1, "at": at, "name": ""})
        assert conn.execute(select(VALUES.c.at)).scalar_one() == datetime(2026, 7, 1, 3, tzinfo=UTC)


def test_names_sort_by_code_point(values: Database) -> None:
    """Keyset pages need one order, not the locale's of a database."""
    names = ["a", "B", "_", "é", "z", "10", "9", "a-b", "ab", "Ω", "\U0001f600", "\uffff"]
    with values.write() as conn:
        conn.execute(insert(VALUES), [{"n": n, "at": None, "name": name} for n, name in enumerate(names)])
    with values.read() as conn:
        assert list(conn.execute(select(VALUES.c.name).order_by(VALUES.c.name)).scalars()) == sorted(names)


def test_writers_of_a_process_are_let_in_one_after_another(values: Database) -> None:
    """None overtakes another between reading and writing, and one that fails is in nobody's way."""
    with values.write() as conn:
        conn.execute(insert(VALUES), {"n": 1, "at": None, "name": "0"})

    def count(number: int) -> None:
        with contextlib.suppress(KeyError), values.change() as conn:
            known = int(conn.execute(select(VALUES.c.name)).scalar_one())
            conn.execute(VALUES.update().values(name=str(known + 1)))
            if number % 3 == 0:
                raise KeyError

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(count, range(60)))
    with values.read() as conn:
        assert conn.execute(select(VALUES.c.name)).scalar_one() == "40"


def test_a_failed_transaction_leaves_nothing(values: Database) -> None:
    """Any exception rolls back."""

    def fail() -> None:
        with values.write() as conn:
            conn.execute(insert(VALUES), {"n": 1, "at": None, "name": ""})
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with values.read() as conn:
        assert conn.execute(select(VALUES)).all() == []


def test_a_password_never_shows() -> None:
    """Neither the description nor an error of connecting holds what the DSN kept secret."""
    database = open_database("postgresql://u:hunter2@127.0.0.1:1/x?sslpassword=hunter3&connect_timeout=2")
    assert "hunter" not in database.describe()
    with pytest.raises(UnavailableError) as failed:
        database.ping()
    shown = f"{failed.value!r} {failed.value.metadata} {failed.value.__cause__!r}"
    assert "hunter" not in shown
    assert failed.value.metadata["cause"] == "connection refused"


@pytest.mark.parametrize("bad", ["mysql://u:hunter2@h/x", "hunter2", "sqlite://", "sqlite:///:memory:", ""])
def test_a_dsn_that_cannot_serve_is_refused_without_repeating_it(bad: str) -> None:
    """Only SQLite files and PostgreSQL are known; processes must be able to share them."""
    with pytest.raises(UnsupportedError) as refused:
        open_database(bad)
    assert "hunter2" not in str(refused.value)


def test_sqlite_is_durable_and_shared(tmp_path: Path) -> None:
    """WAL with a sync on every commit, foreign keys checked, and the file's directory made."""
    database = open_database(sqlite_dsn(tmp_path / "new" / "data"))
    with database.read() as conn:
        settings = [conn.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]
        assert conn.execute(text("PRAGMA foreign_keys")).scalar() == 1
    assert settings == ["wal", 2]


def test_a_file_that_is_no_database_is_an_unavailable_store(tmp_path: Path) -> None:
    """A damaged file is the store's failure, with a cause, not an unknown error."""
    (tmp_path / "x.sqlite").write_bytes(b"this is not a database" * 1_000)
    with pytest.raises(UnavailableError) as failed:
        open_database(f"sqlite:///{tmp_path / 'x.sqlite'}").ping()
    assert failed.value.metadata["cause"] == "not a database"
