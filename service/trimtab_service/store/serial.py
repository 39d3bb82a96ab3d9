"""The turn: changes of state are made one after another, whoever makes them.

The journal must be totally ordered and without holes that fill later, room must not be drawn twice and
a request_id must be executed once. One lock gives all three and cannot deadlock with itself. The
group-commit writer keeps it affordable: it is taken once for a whole group.
"""

from typing import Final

from sqlalchemy import Connection, func, select

# Two halves of PostgreSQL's advisory lock name: this product, and what it guards.
LOCK_PRODUCT: Final = 0x7472_696D
LOCK_TURN: Final = 1
LOCK_SCHEMA: Final = 2
LOCK_PRUNE: Final = 3

_HAS_TURN: Final = "trimtab_turn"


def take_turn(conn: Connection) -> None:
    """Wait for the turn and keep it until the transaction ends; taking it again costs nothing.

    On SQLite the write lock, which `Database.write` takes at BEGIN, already is the turn. RuntimeError
    inside a savepoint: undoing that would give the turn back unnoticed.
    """
    if conn.get_execution_options().get(_HAS_TURN):
        return
    if conn.in_nested_transaction():
        raise RuntimeError("the turn is taken before the first savepoint")
    if conn.dialect.name == "postgresql":
        conn.execute(select(func.pg_advisory_xact_lock(LOCK_PRODUCT, LOCK_TURN)))
    conn.execution_options(**{_HAS_TURN: True})
