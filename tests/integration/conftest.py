"""Fixtures of the integration tests."""

from tests.support.databases import database, dsn, mortal_postgres, postgres_server

__all__ = ["database", "dsn", "mortal_postgres", "postgres_server"]
