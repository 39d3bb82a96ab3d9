"""What was done to simulated clouds, by name of their account: one row each, changed in turn."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import insert, select, update

from trimtab_service.store.engines import Database
from trimtab_service.store.tables import SIMULATED_WORLDS


class SimulatedWorldStore:
    """Bytes by name. Raises UnavailableError when the database does not answer."""

    __slots__ = ("_clock", "_database")

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def load(self, name: str) -> bytes | None:
        """What is kept by now; None: nothing yet."""
        with self._database.read() as conn:
            row = conn.execute(select(SIMULATED_WORLDS.c.body).where(SIMULATED_WORLDS.c.name == name)).first()
        return None if row is None else bytes(row.body)

    def revise(self, name: str, change: Callable[[bytes | None], bytes]) -> None:
        """Put what `change` makes of it in its place, under the turn, so that no process overwrites another's."""
        table = SIMULATED_WORLDS
        with self._database.change() as conn:
            row = conn.execute(select(table.c.body, table.c.version).where(table.c.name == name)).first()
            now = self._clock()
            if row is None:
                made = {"name": name, "version": 1, "update_time": now, "body": change(None)}
                conn.execute(insert(table), made)
                return
            body = change(bytes(row.body))
            if body != row.body:
                made = {"version": row.version + 1, "update_time": now, "body": body}
                conn.execute(update(table).where(table.c.name == name).values(made))
