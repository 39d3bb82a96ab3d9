"""Targets that write down what was done to them, in a file that outlives the processes that do it.

Each target keeps the newest token it has seen and the keys it has acted on: an older token is refused, a key that comes
again changes nothing. `effects` tells what took effect, in order; `refused` who came too late.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from trimtab_service.domain.failover import Side
from trimtab_service.failover.ports import CapacityState, Fencing, StaleTokenError, Traffic

_TABLES = """
CREATE TABLE IF NOT EXISTS fences (target TEXT PRIMARY KEY, token INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS effects (
    number INTEGER PRIMARY KEY, target TEXT, key TEXT, token INTEGER, value TEXT, outcome TEXT
);
"""


class Effect(NamedTuple):
    """Something that was asked of a target. `outcome`: done, repeated or refused."""

    target: str
    key: str
    token: int
    value: str
    outcome: str


class Record:
    """The file. `before` and `after` are called around every effect with its key: where a test kills or stops."""

    def __init__(
        self,
        path: Path,
        before: Callable[[str], None] = lambda _: None,
        after: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._path = path
        self._before = before
        self._after = after
        with self._open() as conn:
            conn.executescript(_TABLES)

    def act(self, target: str, key: str, token: int | None, value: str, fence: str = "") -> None:
        """One effect, once a key. `fence`: the target whose fence guards it, if not its own. Raises StaleTokenError."""
        fence = fence or target
        self._before(key)
        with self._open() as conn:
            conn.execute("BEGIN IMMEDIATE")
            newest = self._token(conn, fence)
            known = conn.execute(
                "SELECT 1 FROM effects WHERE target = ? AND key = ? AND outcome = 'done'", (target, key)
            ).fetchone()
            stale = token is not None and token < newest
            outcome = "refused" if stale else "repeated" if known else "done"
            conn.execute(
                "INSERT INTO effects (target, key, token, value, outcome) VALUES (?, ?, ?, ?, ?)",
                (target, key, token or 0, value, outcome),
            )
            if token is not None and not stale:
                conn.execute("INSERT OR REPLACE INTO fences VALUES (?, ?)", (fence, token))
            conn.execute("COMMIT")
        if stale:
            raise StaleTokenError
        self._after(key)

    def value(self, target: str) -> str | None:
        """The last value that took effect."""
        with self._open() as conn:
            row = conn.execute(
                "SELECT value FROM effects WHERE target = ? AND outcome = 'done' ORDER BY number DESC LIMIT 1",
                (target,),
            ).fetchone()
        return None if row is None else str(row[0])

    def token(self, target: str) -> int:
        """The newest token that was seen."""
        with self._open() as conn:
            return self._token(conn, target)

    def effects(self) -> list[Effect]:
        """Everything that was asked, in order."""
        with self._open() as conn:
            rows = conn.execute("SELECT target, key, token, value, outcome FROM effects ORDER BY number").fetchall()
        return [Effect(*row) for row in rows]

    @staticmethod
    def _token(conn: sqlite3.Connection, target: str) -> int:
        row = conn.execute("SELECT token FROM fences WHERE target = ?", (target,)).fetchone()
        return 0 if row is None else int(row[0])

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        conn = sqlite3.connect(self._path, isolation_level=None, timeout=60)
        conn.execute("PRAGMA synchronous=OFF")  # what is killed here is a process, not the machine
        try:
            yield conn
        finally:
            conn.close()


class RecordedTraffic:
    """A name whose traffic goes wherever it was told last; at first to `west`."""

    fencing = Fencing.STRONG

    def __init__(self, record: Record, name: str) -> None:
        self._record = record
        self._name = name

    def observe(self, deadline: datetime) -> Traffic:
        """As it stands."""
        side, _, weight = (self._record.value(self._name) or "west 1.0").partition(" ")
        ttl = float(self._record.value(f"{self._name} ttl") or 300)
        return Traffic(((side, float(weight)),), self._record.token(self._name), timedelta(seconds=ttl))

    def switch(self, side: Side, weight: float, token: int, key: str, deadline: datetime) -> Traffic:
        """Move it."""
        self._record.act(self._name, key, token, f"{side.side_id} {weight}")
        return self.observe(deadline)

    def set_ttl(self, ttl: timedelta, token: int, key: str, deadline: datetime) -> None:
        """Set it."""
        self._record.act(f"{self._name} ttl", key, token, str(ttl.total_seconds()), self._name)


class RecordedCapacity:
    """A group whose machines are ready at once; at first two."""

    def __init__(self, record: Record, name: str) -> None:
        self._record = record
        self._name = name

    def observe(self, deadline: datetime) -> CapacityState:
        """As it stands."""
        count = int(self._record.value(self._name) or 2)
        return CapacityState(count, count, max(10, count))

    def scale(self, count: int, token: int, key: str, deadline: datetime) -> CapacityState:
        """Set it."""
        self._record.act(self._name, key, token, str(count))
        return self.observe(deadline)


class RecordedDataStore:
    """A replica until it is promoted."""

    def __init__(self, record: Record, name: str) -> None:
        self._record = record
        self._name = name

    def is_primary(self, deadline: datetime) -> bool:
        """Whether it was promoted."""
        return self._record.value(self._name) is not None

    def promote(self, token: int, key: str, deadline: datetime) -> None:
        """Promote it."""
        self._record.act(self._name, key, token, "primary")


class FreshReplica:
    """A copy that is always a second old."""

    def watermark(self, deadline: datetime) -> datetime | None:
        """A second ago."""
        return datetime.now(UTC) - timedelta(seconds=1)


class WellProbe:
    """A probe that always succeeds."""

    def check(self, deadline: datetime) -> bool:
        """Well."""
        return True


class RecordedNotifier:
    """Somebody who keeps what he is told."""

    def __init__(self, record: Record, name: str) -> None:
        self._record = record
        self._name = name

    def tell(self, text: str, key: str, deadline: datetime) -> None:
        """Told."""
        self._record.act(self._name, key, None, text)


class RecordedTargets:
    """Every name is there, in every project of its own."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def traffic(self, project: str, name: str) -> RecordedTraffic:
        """By name."""
        return RecordedTraffic(self._record, f"{project}/{name}")

    def capacity(self, project: str, name: str) -> RecordedCapacity:
        """By name."""
        return RecordedCapacity(self._record, f"{project}/{name}")

    def data_store(self, project: str, name: str) -> RecordedDataStore:
        """By name."""
        return RecordedDataStore(self._record, f"{project}/{name}")

    def replication(self, project: str, name: str) -> FreshReplica:
        """By name."""
        return FreshReplica()

    def probe(self, project: str, name: str) -> WellProbe:
        """By name."""
        return WellProbe()

    def notifier(self, project: str, name: str) -> RecordedNotifier:
        """By name."""
        return RecordedNotifier(self._record, f"{project}/{name}")

    def cloud_of(self, project: str, name: str) -> str:
        """None."""
        return ""
