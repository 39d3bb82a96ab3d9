"""What decisions have drawn from rooms, until they give it back or it expires.

A room is whatever is counted: the free part of a commitment, a quota. Its key is global (it begins with the
project). Amounts are milli-units of the room's own unit, so that sums are exact.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from trimtab_service.placement.shards import ShardedMap


class _Entry(NamedTuple):
    expire_time: datetime
    decision_id: str
    amount_milli: int


class _Room(NamedTuple):
    total_milli: int
    entries: tuple[_Entry, ...]


class _Drawing(NamedTuple):
    expire_time: datetime
    draws: tuple[tuple[str, int], ...]


_EMPTY: Final = _Room(0, ())

LedgerRow = tuple[str, str, list[list[str | int]]]
"""Decision, expiry in ISO 8601, and room keys with amounts, as kept in snapshots."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawLedger:
    """Immutable. A draw copies what it touches only."""

    _rooms: ShardedMap[str, _Room] = field(default_factory=ShardedMap)
    _drawings: ShardedMap[str, _Drawing] = field(default_factory=ShardedMap)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is drawn from any room."""
        return not len(self._drawings)

    def drawn_milli(self, room_key: str, instant: datetime) -> int:
        """What is drawn from a room and has not expired at `instant`."""
        room = self._rooms.get(room_key)
        if room is None:
            return 0
        drawn = room.total_milli
        for entry in room.entries:  # by expiry: those that are over come first, and drawing drops them
            if entry.expire_time > instant:
                break
            drawn -= entry.amount_milli
        return drawn

    def draw(
        self, decision_id: str, draws: Iterable[tuple[str, int]], expire_time: datetime, now: datetime
    ) -> "DrawLedger":
        """The ledger after a decision drew these amounts from these rooms; a decision draws once.

        What expired before `now` in the rooms drawn from is forgotten.
        """
        if self._drawings.get(decision_id) is not None:
            return self
        rooms, drawings = self._rooms, self._drawings
        drawing = _Drawing(expire_time, tuple(draws))
        for key, amount in drawing.draws:
            room = rooms.get(key) or _EMPTY
            entries = list(room.entries)
            over = bisect_left(entries, now, key=_expire_time)
            for entry in entries[:over]:
                drawings = drawings.without(entry.decision_id)
            kept = entries[over:]
            insort(kept, _Entry(expire_time, decision_id, amount))
            total = room.total_milli + amount - sum(entry.amount_milli for entry in entries[:over])
            rooms = rooms.set(key, _Room(total, tuple(kept)))
        return DrawLedger(rooms, drawings.set(decision_id, drawing))

    def release(self, decision_id: str) -> "DrawLedger":
        """The ledger after a decision gave everything back; this one when it holds nothing."""
        drawing = self._drawings.get(decision_id)
        if drawing is None:
            return self
        rooms = self._rooms
        for key, amount in drawing.draws:
            room = rooms.get(key) or _EMPTY
            place = bisect_left(room.entries, _Entry(drawing.expire_time, decision_id, amount))
            if place < len(room.entries) and room.entries[place].decision_id == decision_id:
                rest = room.entries[:place] + room.entries[place + 1 :]
                rooms = rooms.set(key, _Room(room.total_milli - amount, rest)) if rest else rooms.without(key)
        return DrawLedger(rooms, self._drawings.without(decision_id))

    def rows(self) -> list[LedgerRow]:
        """Everything that is held, sorted: the same ledger has the same rows in every process."""
        return sorted(
            (decision_id, held.expire_time.isoformat(), [[key, amount] for key, amount in held.draws])
            for decision_id, held in self._drawings.items()
        )

    @classmethod
    def from_rows(cls, rows: Iterable[LedgerRow]) -> "DrawLedger":
        """The ledger that `rows` was called on."""
        ledger = cls()
        for decision_id, expire_time, draws in rows:
            pairs = [(str(key), int(amount)) for key, amount in draws]
            expires = datetime.fromisoformat(expire_time)
            ledger = ledger.draw(decision_id, pairs, expires, _LONG_AGO.replace(tzinfo=expires.tzinfo))
        return ledger


_LONG_AGO: Final = datetime.min  # noqa: DTZ901 - given the time zone of what it is compared with


def _expire_time(entry: _Entry) -> datetime:
    return entry.expire_time
