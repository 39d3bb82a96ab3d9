"""Reservations: what decisions draw from rooms (commitments, quotas) until they release it or expire."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, func, insert, select, update

from trimtab_service.domain.commitments import Draw
from trimtab_service.domain.errors import AbortedError, AlreadyExistsError, NotFoundError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.store import journal
from trimtab_service.store.columns import to_micros
from trimtab_service.store.journal import JournalKind
from trimtab_service.store.serial import take_turn
from trimtab_service.store.tables import RESERVATIONS

# Statements that every reservation runs are built once: building one costs more than SQLite takes to run it.
_OURS: Final = (RESERVATIONS.c.project == bindparam("of_project")) & (
    RESERVATIONS.c.decision_id == bindparam("of_decision")
)
_HAS_DRAWN: Final = select(RESERVATIONS.c.room_key).where(_OURS).limit(1)
_DRAW: Final = insert(RESERVATIONS)
_RELEASE: Final = (
    update(RESERVATIONS)
    .where(_OURS, RESERVATIONS.c.release_time.is_(None))
    .values(release_time=bindparam("released_at"))
)
_DRAWN: Final = (
    select(RESERVATIONS.c.room_key, func.sum(RESERVATIONS.c.amount_milli))
    .where(
        RESERVATIONS.c.room_key.in_(bindparam("room_keys", expanding=True)),
        RESERVATIONS.c.release_time.is_(None),
        RESERVATIONS.c.expire_time > bindparam("now"),
    )
    .group_by(RESERVATIONS.c.room_key)
)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What one decision draws. A room key is global: whoever makes it puts the owning project in front."""

    project: str
    decision_id: str
    draws: tuple[Draw, ...]
    expire_time: datetime


def reserve(conn: Connection, reservation: Reservation, now: datetime) -> int:
    """Draw from every room or from none; returns the journal revision.

    Room is the capacity less what is drawn, unreleased and unexpired at `now`; the turn keeps two callers
    from seeing the same room. Raises AbortedError (ROOM_CONFLICT) naming the first room that is short,
    AlreadyExistsError when the decision has drawn before. Every amount is positive (ValueError).
    """
    take_turn(conn)
    draws = _united(reservation.draws)
    if _has_drawn(conn, reservation.project, reservation.decision_id):
        raise AlreadyExistsError(
            ErrorReason.ALREADY_EXISTS,
            f"decision {reservation.decision_id} has reserved already",
            metadata={"decision": reservation.decision_id},
        )
    drawn = drawn_milli(conn, [draw.room_key for draw in draws], now)
    for draw in draws:
        room = draw.capacity_milli - drawn.get(draw.room_key, 0)
        if draw.amount_milli > room:
            raise _short(draw, room)
    rows = [
        {
            "project": reservation.project,
            "decision_id": reservation.decision_id,
            "room_key": draw.room_key,
            "amount_milli": draw.amount_milli,
            "create_time": now,
            "expire_time": reservation.expire_time,
        }
        for draw in draws
    ]
    if rows:
        conn.execute(_DRAW, rows)
    payload = {
        "action": "draw",
        "decision_id": reservation.decision_id,
        "draws": [[draw.room_key, draw.amount_milli] for draw in draws],
        "expire_time_us": to_micros(reservation.expire_time),
    }
    return journal.append(conn, reservation.project, JournalKind.RESERVATION, payload, now)


def release(conn: Connection, project: str, decision_id: str, now: datetime) -> int | None:
    """Give everything back; returns the journal revision, None when it was given back before.

    Raises NotFoundError when the decision has drawn nothing (or it was pruned).
    """
    take_turn(conn)
    if not _has_drawn(conn, project, decision_id):
        raise NotFoundError(
            ErrorReason.NOT_FOUND,
            f"decision {decision_id} holds no reservation",
            metadata={"decision": decision_id},
        )
    freed = conn.execute(_RELEASE, {"of_project": project, "of_decision": decision_id, "released_at": now})
    if freed.rowcount == 0:
        return None
    payload = {"action": "release", "decision_id": decision_id}
    return journal.append(conn, project, JournalKind.RESERVATION, payload, now)


def drawn_milli(conn: Connection, room_keys: Sequence[str], now: datetime) -> dict[str, int]:
    """What is drawn from each of the rooms at `now`; rooms that nobody draws from are left out."""
    if not room_keys:
        return {}
    held = conn.execute(_DRAWN, {"room_keys": list(room_keys), "now": now})
    return {key: int(total) for key, total in held}


def _has_drawn(conn: Connection, project: str, decision_id: str) -> bool:
    return conn.execute(_HAS_DRAWN, {"of_project": project, "of_decision": decision_id}).first() is not None


def _united(draws: Sequence[Draw]) -> list[Draw]:
    """One draw a room: a gang may name the same room twice, and the smaller capacity is the safe one."""
    united: dict[str, Draw] = {}
    for draw in draws:
        if draw.amount_milli <= 0:
            raise ValueError(f"a draw of {draw.amount_milli} from {draw.room_key}")
        before = united.get(draw.room_key)
        united[draw.room_key] = (
            draw
            if before is None
            else Draw(
                draw.room_key,
                before.amount_milli + draw.amount_milli,
                min(before.capacity_milli, draw.capacity_milli),
            )
        )
    return [united[key] for key in sorted(united)]


def _short(draw: Draw, room: int) -> AbortedError:
    return AbortedError(
        ErrorReason.ROOM_CONFLICT,
        f"{draw.room_key} has room for {max(room, 0) / 1000:g}, not for {draw.amount_milli / 1000:g}",
        metadata={
            "room_key": draw.room_key,
            "requested_milli": str(draw.amount_milli),
            "room_milli": str(max(room, 0)),
            "capacity_milli": str(draw.capacity_milli),
        },
    )
