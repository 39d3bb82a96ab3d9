"""What purchases took of the day of a cloud account: looked at and written down in one transaction, under the turn."""

from collections.abc import Callable, Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Select, delete, insert, select, update

from trimtab_service.recommendations.ports import Purchase
from trimtab_service.store.engines import Database
from trimtab_service.store.tables import PURCHASE_TAKINGS

_T = PURCHASE_TAKINGS.c


class StoredPurchaseBudget:
    """Implements `PurchaseBudget`. Two processes that take at once come one after the other."""

    __slots__ = ("_clock", "_database")

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def take(self, purchase: Purchase, held: Mapping[str, int], cap_nanos: int, since: datetime) -> int | None:
        """As the port says."""
        with self._database.change() as conn:
            rows = conn.execute(_of_day(purchase.account, since)).all()
            taken = {str(row.purchase): int(row.nanos_per_hour) for row in rows}
            others = {**held, **taken}
            others.pop(purchase.key, None)
            total: int = sum(others.values())
            if total + purchase.nanos_per_hour > cap_nanos:
                return total
            self._write(conn, purchase)
            return None

    def attempted(self, account: str, key: str) -> datetime | None:
        """As the port says."""
        with self._database.read() as conn:
            found: datetime | None = conn.execute(select(_T.first_time).where(_is(account, key))).scalar()
        return found

    def give_back(self, account: str, key: str) -> None:
        """As the port says."""
        with self._database.change() as conn:
            conn.execute(delete(PURCHASE_TAKINGS).where(_is(account, key)))

    def _write(self, conn: Connection, purchase: Purchase) -> None:
        now = self._clock()
        again = update(PURCHASE_TAKINGS).where(_is(purchase.account, purchase.key))
        if conn.execute(again.values(nanos_per_hour=purchase.nanos_per_hour, last_time=now)).rowcount:
            return
        row = {
            "account": purchase.account,
            "purchase": purchase.key,
            "nanos_per_hour": purchase.nanos_per_hour,
            "first_time": now,
            "last_time": now,
        }
        conn.execute(insert(PURCHASE_TAKINGS), row)


def _of_day(account: str, since: datetime) -> Select[tuple[str, int]]:
    return select(_T.purchase, _T.nanos_per_hour).where(_T.account == account, _T.last_time >= since)


def _is(account: str, key: str) -> ColumnElement[bool]:
    return (_T.account == account) & (_T.purchase == key)
