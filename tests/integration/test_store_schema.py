"""The schema comes about once, on both engines, whoever starts first."""

import ast
import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import Connection as PostgresConnection
from psycopg import Cursor as PostgresCursor
from sqlalchemy import text

from trimtab_service.domain.errors import UnavailableError
from trimtab_service.store import failover_tables, recommendation_tables, tables
from trimtab_service.store.engines import Database, open_database
from trimtab_service.store.rows import METADATA
from trimtab_service.store.schema import MIGRATIONS, SCHEMA_VERSION, await_schema, migrate, schema_is_current

STEPS = sorted((MIGRATIONS / "versions").glob("[0-9]*.py"))
EXPANDING = {"create_table", "create_index", "add_column", "drop_index"}
"""An index may go: without it an older version is slower and no less right."""


def _migrate_in_child(dsn: str, barrier: threading.Barrier, answers: "multiprocessing.Queue[object]") -> None:
    database = open_database(dsn)
    barrier.wait(60)
    try:
        answers.put(migrate(database))
    except Exception as error:  # noqa: BLE001 - shown by the assertion of the test
        answers.put(repr(error))
    database.close()


def test_replicas_that_start_at_once_migrate_once(dsn: str) -> None:
    """Of several processes one runs the steps, and none fails."""
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(4), spawn.Queue()
    children = [spawn.Process(target=_migrate_in_child, args=(dsn, barrier, answers)) for _ in range(4)]
    for child in children:
        child.start()
    told = sorted(answers.get(timeout=60) for _ in children)
    for child in children:
        child.join(60)
    assert told == [False, False, False, True]
    assert schema_is_current(open_database(dsn))


def test_databases_of_one_process_may_be_migrated_at_once(tmp_path: Path) -> None:
    """Each gets its own steps, though the tool that runs them has but one place for the database at hand."""
    databases = [open_database(f"sqlite:///{tmp_path / str(number)}.db") for number in range(4)]
    barrier = threading.Barrier(len(databases))

    def start(database: Database) -> bool:
        barrier.wait(60)
        return migrate(database)

    with ThreadPoolExecutor(len(databases)) as starting:
        assert list(starting.map(start, databases)) == [True] * len(databases)
    assert all(schema_is_current(database) for database in databases)
    for database in databases:
        database.close()


def test_the_migrated_schema_is_what_the_code_declares(database: Database) -> None:
    """No table, column, type or index differs between the steps and the models."""
    assert {tables.JOURNAL, recommendation_tables.RECOMMENDATIONS, failover_tables.FAILOVER_RUNS} <= set(
        METADATA.tables.values()
    )
    with database.write() as conn:
        if database.dialect == "postgresql":
            # The server's own catalogue has types that drivers know as text only.
            cast("PostgresConnection[Any]", conn.connection.dbapi_connection).cursor_factory = PostgresCursor
        assert compare_metadata(MigrationContext.configure(conn, opts={"compare_type": True}), METADATA) == []


def test_texts_sort_by_code_point_whatever_the_locale(database: Database) -> None:
    """Each text column says so itself: the locale of someone's PostgreSQL must not reorder pages."""
    if database.dialect == "sqlite":
        query = "SELECT count(*) FROM sqlite_schema WHERE sql LIKE '%COLLATE%'"
    else:
        query = (
            "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public' AND data_type = 'text'"
            " AND collation_name IS DISTINCT FROM 'C'"
        )
    with database.read() as conn:
        assert conn.execute(text(query)).scalar_one() == 0


def test_an_empty_database_is_not_current_and_says_so(dsn: str) -> None:
    """Readiness waits for the schema, and using what is not there is a passing fault."""
    database = open_database(dsn)
    assert not schema_is_current(database)
    with pytest.raises(UnavailableError) as failed, database.read() as conn:
        conn.execute(text("SELECT * FROM decisions"))
    assert failed.value.metadata["cause"] == "schema missing"


def test_a_newer_schema_serves_an_older_version(database: Database) -> None:
    """Steps only expand, so the version being replaced keeps serving and its restart changes nothing."""
    with database.write() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert schema_is_current(database)
    assert migrate(database) is False


def test_a_start_without_migrating_waits_for_another(dsn: str) -> None:
    """`--no-migrate` waits, says why once, and goes on when the schema is there."""
    database = open_database(dsn)
    told: list[str] = []
    waiting = threading.Event()

    def tell(why: str) -> None:
        told.append(why)
        waiting.set()

    ready: list[bool] = []
    thread = threading.Thread(target=lambda: ready.append(await_schema(database, threading.Event(), 0.01, tell)))
    thread.start()
    assert waiting.wait(60)
    migrate(open_database(dsn))
    thread.join(60)
    assert ready == [True]
    assert told == ["the schema is older than this version needs"]


def test_waiting_for_the_schema_can_be_stopped(dsn: str) -> None:
    """A pod that is told to go while it waits, goes."""
    stop = threading.Event()
    stop.set()
    assert await_schema(open_database(dsn), stop) is False


def test_steps_are_numbered_without_a_gap_and_end_at_the_declared_version() -> None:
    """Versions compare as text, which holds only while they are numbers of one width in one line."""
    numbers = [step.name[:4] for step in STEPS]
    assert numbers == [f"{number:04}" for number in range(1, len(STEPS) + 1)]
    assert numbers[-1] == SCHEMA_VERSION


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.stem)
def test_a_step_only_expands(step: Path) -> None:
    """Nothing that a serving older version uses is dropped, renamed or tightened."""
    tree = ast.parse(step.read_text(encoding="utf-8"))
    called = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "op"
    }
    assert called
    assert called <= EXPANDING
