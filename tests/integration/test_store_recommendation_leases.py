"""Leases on resources, on both engines."""

from datetime import timedelta

import pytest

from trimtab_service.domain.errors import AbortedError
from trimtab_service.store import recommendation_leases as leases
from trimtab_service.store.engines import Database


def test_a_resource_is_changed_by_one_at_a_time_and_tokens_only_grow(database: Database) -> None:
    """Also by its own holder; who was taken over is stopped at its next word."""
    with database.change() as conn:
        assert leases.acquire(conn, "p", "r", "one") == 1
        assert leases.acquire(conn, "p", "r", "one") is None
        assert leases.acquire(conn, "p", "r", "two") is None
        assert leases.acquire(conn, "q", "r", "two") == 1
        assert leases.is_held(conn, "p", "r", "one")
        assert not leases.is_held(conn, "p", "r", "two")
        leases.release(conn, "p", "r", 1)
        assert not leases.is_held(conn, "p", "r", "one")
        assert leases.acquire(conn, "p", "r", "two", timedelta(0)) == 2
        assert leases.acquire(conn, "p", "r", "three") == 3
        with pytest.raises(AbortedError):
            leases.renew(conn, "p", "r", 2)
        leases.release(conn, "p", "r", 2)
        assert leases.is_held(conn, "p", "r", "three")
