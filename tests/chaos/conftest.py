"""Fixtures of the tests in which parts fail, or are several."""

from tests.support.databases import database, dsn, mortal_postgres, postgres_server

__all__ = ["database", "dsn", "mortal_postgres", "postgres_server"]
