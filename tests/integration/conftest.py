"""Fixtures of the integration tests."""

from tests.support.bad_input import attacked, channel, project
from tests.support.databases import database, dsn, mortal_postgres, postgres_server
from tests.support.placement_house import house

__all__ = ["attacked", "channel", "database", "dsn", "house", "mortal_postgres", "postgres_server", "project"]
