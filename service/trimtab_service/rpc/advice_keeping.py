"""Stores what is advised, durably before the answer, and once for each request id."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from trimtab.v1 import rightsizing_service_pb2 as pb
from trimtab_service.domain.recommendations import TransitionReason
from trimtab_service.domain.rightsizing import Advice
from trimtab_service.recommendations.identity import exclusive_group_of
from trimtab_service.recommendations.intake import RETIRING, content_of
from trimtab_service.rpc.advice_codec import encode_advice
from trimtab_service.rpc.ids import NewId
from trimtab_service.store import recommendation_sweeps as sweeps
from trimtab_service.store.idempotency import RequestKey, once
from trimtab_service.store.recommendation_intake import Intake
from trimtab_service.store.recommendation_rows import Prepared
from trimtab_service.store.serial import take_turn
from trimtab_service.store.writer import GroupCommitWriter


@dataclass(frozen=True, slots=True)
class Measured:
    """An advice, and the name of the source it was measured by (empty: the request's own series)."""

    advice: Advice
    source: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A serialised answer, as it was stored under its request id."""

    data: bytes

    def SerializeToString(self) -> bytes:  # noqa: N802 - how the pipeline asks a message for its bytes
        """The bytes of the answer."""
        return self.data


class AdviceKeeper:
    """Stores through the group-commit writer."""

    def __init__(self, writer: GroupCommitWriter, *, lifetime: timedelta, new_id: NewId) -> None:
        """`lifetime` is how long a recommendation lasts that is not confirmed."""
        self._writer = writer
        self._lifetime = lifetime
        self._new_id = new_id

    def keep(
        self,
        key: RequestKey,
        found: Sequence[Measured],
        answer: Callable[[Sequence[bytes]], bytes],
        *,
        now: datetime,
        timeout_s: float,
    ) -> Kept:
        """Store what is to be recommended, and answer: `answer` gets a serialised `RightsizingAdvice` for each advice.

        What was recommended before for a resource that is found in order is taken back. A request id that was used
        before gets its first answer, and nothing is stored.

        Raises:
            InvalidArgumentError: the request id came with another body.
            UnavailableError: no database.
            DeadlineExceededError: not committed in time; it may still be.

        """
        contents = [content_of(one.advice, one.source) for one in found]
        # Serialised messages concatenate: the name is added without encoding the advice again inside the transaction.
        encoded = [encode_advice(one.advice).SerializeToString() for one in found]
        # One resource may stand in a batch twice: what is said last of it counts.
        prepared = {one.identity: Prepared.of(one) for one in contents if one is not None}
        settled = sorted({exclusive_group_of(one.advice.resource) for one in found if one.advice.finding in RETIRING})
        intake = Intake(key.project, now, self._lifetime, self._new_id)

        def enter(conn: Connection) -> bytes:
            names: dict[str, str] = {}
            if prepared:
                taken = intake.take(conn, list(prepared.values()))
                names = {identity: one.name for identity, one in zip(prepared, taken, strict=True)}
            if settled:
                sweeps.retire(conn, key.project, settled, now, TransitionReason.NOT_CONFIRMED)
            return answer(
                [
                    data if content is None else data + _named(names[content.identity])
                    for data, content in zip(encoded, contents, strict=True)
                ]
            )

        def unit(conn: Connection) -> bytes:
            take_turn(conn)
            return once(conn, key, now, lambda: enter(conn))

        if not (prepared or settled or key.request_id):
            return Kept(answer(encoded))
        return Kept(self._writer.run(unit, timeout_s))


def _named(name: str) -> bytes:
    return pb.RightsizingAdvice(recommendation=name).SerializeToString()
