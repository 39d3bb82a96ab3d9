"""The short way of `Place`, where it is built: plain requests from their bytes to the logged answer's.

`compiled/wire.pyx` takes the steps that `desk.make` takes, and those around it, for requests that are plain and reserve
nothing; the interpreted desk answers all others, and gives the same bytes for these.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

from trimtab_service import compiled
from trimtab_service.domain.errors import InvalidArgumentError
from trimtab_service.domain.identity import Principal
from trimtab_service.domain.money import INT64_MAX
from trimtab_service.placement.engine import decide
from trimtab_service.placement.stability import holds_all_day
from trimtab_service.policy.attributes import attributes_of
from trimtab_service.rpc import names
from trimtab_service.rpc.decision_encoder import encode_decision
from trimtab_service.rpc.decision_log import revisions_bytes
from trimtab_service.rpc.ids import NewId
from trimtab_service.rpc.memo import DecisionMemo
from trimtab_service.rpc.plain_codec import WRITER, reader_of
from trimtab_service.rpc.service import PlainMethod
from trimtab_service.rpc.world import View
from trimtab_service.store.decisions import DecisionRecord

_WIRE: Final = compiled.load("wire")


class PlainDesk(Protocol):
    """Answers plain requests."""

    def answer(self, data: bytes, project: str) -> bytes | None:
        """The logged decision on a canonical `PlaceRequest`; None, and nothing done, for one that is not plain.

        Raises UnavailableError before a catalogue is loaded.
        """


def plain_desk(
    *,
    view: Callable[[str], View],
    append: Callable[[DecisionRecord], bool],
    clock: Callable[[], datetime],
    new_id: NewId,
    memo: DecisionMemo,
) -> PlainDesk | None:
    """The desk; None where it is not built. `append` takes what is to be logged."""
    if _WIRE is None:
        return None
    desk: PlainDesk = _WIRE.PlainDesk(
        view=view,
        append=append,
        clock=clock,
        new_id=new_id,
        memo=memo if memo.keeps else None,
        reader_of=reader_of,
        attributes=attributes_of,
        decide=decide,
        encode=encode_decision,
        revisions=revisions_bytes,
        stands=holds_all_day,
        record=DecisionRecord,
        writer=WRITER,
        most=INT64_MAX,
    )
    return desk


def plain_method(desk: PlainDesk | None, may: Callable[[Principal, str], bool]) -> PlainMethod | None:
    """`Place` for plain requests of callers that `may`; None where it is not built."""
    if _WIRE is None or desk is None:
        return None
    method: PlainMethod = _WIRE.PlainMethod(desk, may, _project_of)
    return method


def _project_of(name: bytes) -> str | None:
    try:
        return names.project_id(name.decode("ascii"))
    except (InvalidArgumentError, UnicodeDecodeError):
        return None
