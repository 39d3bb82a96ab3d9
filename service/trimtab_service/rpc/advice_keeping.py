"""Stores what is advised, durably before the answer, and once for each request id."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from trimtab.v1 import rightsizing_service_pb2 as pb
from trimtab_service.domain.recommendations import RecommendationContent
from trimtab_service.domain.resources import CloudResource
from trimtab_service.domain.rightsizing import Advice
from trimtab_service.recommendations.intake import RETIRING, content_of
from trimtab_service.rpc.advice_codec import encode_advice
from trimtab_service.store.idempotency import RequestKey, once
from trimtab_service.store.writer import GroupCommitWriter


class Intake(Protocol):
    """Takes recommendations in, in an open transaction."""

    def take_in(
        self, conn: Connection, project: str, contents: Sequence[RecommendationContent], now: datetime
    ) -> Sequence[str]:
        """One recommendation a content: the same finding of one resource is the same one. Their names, in order."""
        ...

    def retire(self, conn: Connection, project: str, resources: Sequence[CloudResource], now: datetime) -> None:
        """There is nothing to recommend for these resources any more."""
        ...


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

    def __init__(self, writer: GroupCommitWriter, intake: Intake) -> None:
        self._writer = writer
        self._intake = intake

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
        recommended = [content for content in contents if content is not None]
        settled = {one.advice.resource.key: one.advice.resource for one in found if one.advice.finding in RETIRING}

        def enter(conn: Connection) -> bytes:
            names = iter(self._intake.take_in(conn, key.project, recommended, now) if recommended else ())
            if settled:
                self._intake.retire(conn, key.project, list(settled.values()), now)
            return answer(
                [
                    data if content is None else data + _named(next(names))
                    for data, content in zip(encoded, contents, strict=True)
                ]
            )

        if not (recommended or settled or key.request_id):
            return Kept(answer(encoded))
        return Kept(self._writer.run(lambda conn: once(conn, key, now, lambda: enter(conn)), timeout_s))


def _named(name: str) -> bytes:
    return pb.RightsizingAdvice(recommendation=name).SerializeToString()
