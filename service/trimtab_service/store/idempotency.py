"""A request_id is executed once; who sends it again gets the first answer."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, insert, select

from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.store.serial import take_turn
from trimtab_service.store.tables import REQUESTS

ANSWERS_KEPT: Final = timedelta(hours=24)

_OURS: Final = (
    (REQUESTS.c.project == bindparam("of_project"))
    & (REQUESTS.c.method == bindparam("of_method"))
    & (REQUESTS.c.request_id == bindparam("of_id"))
)
_KNOWN: Final = select(REQUESTS.c.body_hash, REQUESTS.c.answer, REQUESTS.c.expire_time).where(_OURS)
_FORGET: Final = delete(REQUESTS).where(_OURS)
_REMEMBER: Final = insert(REQUESTS)


@dataclass(frozen=True, slots=True)
class RequestKey:
    """Whose request: the id counts per project and method; `body_hash` tells a replay from a mistake."""

    project: str
    method: str
    request_id: str
    body_hash: bytes


def once(conn: Connection, key: RequestKey, now: datetime, make: Callable[[], bytes]) -> bytes:
    """The answer to `key`: the stored one, or that of `make`, which is stored in the same transaction.

    The turn makes a second caller wait until the first has committed, so it finds the answer. A `make`
    that raises leaves nothing behind. Raises InvalidArgumentError (REQUEST_ID_REUSED) when the id came
    with another body. An empty request_id is never stored.
    """
    if not key.request_id:
        return make()
    take_turn(conn)
    stored = conn.execute(_KNOWN, _named(key)).first()
    if stored is not None:
        known = _answer(stored, key, now)
        if known is not None:
            return known
        conn.execute(_FORGET, _named(key))
    answer = make()
    conn.execute(
        _REMEMBER,
        {
            "project": key.project,
            "method": key.method,
            "request_id": key.request_id,
            "body_hash": key.body_hash,
            "answer": answer,
            "create_time": now,
            "expire_time": now + ANSWERS_KEPT,
        },
    )
    return answer


def answer_known(conn: Connection, key: RequestKey, now: datetime) -> bytes | None:
    """The answer stored for `key`, so that a repetition of costly work ends before it begins; None where there is none.

    Raises InvalidArgumentError as `once`. Another caller may be at work on the same: `once` still decides.
    """
    if not key.request_id:
        return None
    stored = conn.execute(_KNOWN, _named(key)).first()
    return None if stored is None else _answer(stored, key, now)


def _answer(stored: Row[Any, Any, Any], key: RequestKey, now: datetime) -> bytes | None:
    if stored.expire_time <= now:
        return None
    if stored.body_hash != key.body_hash:
        why = "was used before with a different request body"
        raise InvalidArgumentError([Violation("request_id", ErrorReason.REQUEST_ID_REUSED, why)])
    return bytes(stored.answer)


def _named(key: RequestKey) -> dict[str, str]:
    return {"of_project": key.project, "of_method": key.method, "of_id": key.request_id}
