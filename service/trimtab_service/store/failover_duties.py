"""Who does what for the whole deployment: probes, evaluations, drills. Each is done by one process at a time.

A duty is a courtesy, not a fence: what is done under it is harmless when two processes do it for a moment.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import or_, update
from sqlalchemy.dialects import postgresql, sqlite

from trimtab_service.store.engines import Database
from trimtab_service.store.failover_rows import NEVER
from trimtab_service.store.failover_runs import instant_of
from trimtab_service.store.failover_tables import FAILOVER_DUTIES

_C: Final = FAILOVER_DUTIES.c


class FailoverDutyStore:
    """The duties of one process. Every method raises UnavailableError when the database does not answer."""

    __slots__ = ("_clock", "_database", "_owner")

    def __init__(self, database: Database, owner: str, clock: Callable[[], datetime]) -> None:
        """`clock` times leases on SQLite; PostgreSQL has its own."""
        self._database = database
        self._owner = owner
        self._clock = clock

    def hold(self, names: Collection[str], lease: timedelta) -> frozenset[str]:
        """Take those that nobody has, keep those that are ours; which of them this process has now."""
        if not names:
            return frozenset()
        with self._database.write() as conn:
            now = instant_of(conn, self._clock)
            mine: dict[str, Any] = {"owner": self._owner, "until": now + lease}
            # In one order everywhere, so that two processes do not wait for each other.
            rows = [{"duty": name, **mine} for name in sorted(names)]
            insert: Any = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
            free = or_(_C.until <= now, _C.owner == self._owner)
            taken = (
                insert(FAILOVER_DUTIES)
                .values(rows)
                .on_conflict_do_update(index_elements=[_C.duty], set_=mine, where=free)
            )
            return frozenset(conn.execute(taken.returning(_C.duty)).scalars())

    def give_back(self) -> None:
        """Let go of all, so that another process need not wait for the lease to end."""
        with self._database.write() as conn:
            conn.execute(update(FAILOVER_DUTIES).where(_C.owner == self._owner).values(until=NEVER))
