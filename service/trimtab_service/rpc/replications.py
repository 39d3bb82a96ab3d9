"""The replication service."""

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import orjson
import structlog

from trimtab.v1 import replication_service_pb2 as pb
from trimtab_service.domain.documents import from_document, to_document
from trimtab_service.domain.errors import FailedPreconditionError, NotFoundError
from trimtab_service.domain.filters import FieldKind, matches, parse_filter
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.replication.alignment import START, Position
from trimtab_service.replication.differences import compare
from trimtab_service.replication.journal import Standing
from trimtab_service.replication.opening import Opened, Replications
from trimtab_service.rpc import bounds, names
from trimtab_service.rpc.call import Call
from trimtab_service.rpc.failover_keys import key_of
from trimtab_service.rpc.fields import Violations
from trimtab_service.rpc.replication_encoder import age_of, encode_difference, encode_replication
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.pages import (
    Cursor,
    ListRequest,
    decode_token,
    encode_token,
    page_size,
    refused_token,
    seal_of,
)

_LOG: Final = structlog.get_logger("trimtab.replication")
_FIELDS: Final = {"source": FieldKind.TEXT, "destination": FieldKind.TEXT, "replication": FieldKind.TEXT}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""What is configured has no time of creation: pages go by name alone."""
_TEXT: Final = 1_000
_SEAL_BYTES: Final = 12


class Replicas(Protocol):
    """What the service keeps of replications (`store.replications`)."""

    def standing(self, name: str) -> Standing:
        """How it stands."""
        ...

    def start(self, name: str, definition: str, key: RequestKey, timeout_s: float | None = None) -> Standing:
        """Have it copied."""
        ...

    def pause(self, name: str, key: RequestKey, timeout_s: float | None = None) -> Standing:
        """Have it copied no more."""
        ...

    def reverse(
        self, name: str, definition: str, key: RequestKey, check: Callable[[Standing], None], timeout_s: float | None
    ) -> Standing:
        """Swap its ends."""
        ...


class ReplicationServicer:
    """Answers from the journal; a runner of some process copies. Only a comparison asks the stores themselves."""

    def __init__(
        self,
        replications: Replications,
        replicas: Replicas,
        live_run_of: Callable[[str], str],
        *,
        wake: Callable[[], None],
        clock: Callable[[], datetime],
    ) -> None:
        """`live_run_of` names a failover under way whose plan goes by a replication; empty: there is none."""
        self._replications = replications
        self._replicas = replicas
        self._live_run_of = live_run_of
        self._wake = wake
        self._clock = clock

    def list_replications(self, request: pb.ListReplicationsRequest, call: Call) -> pb.ListReplicationsResponse:
        """A page, by name."""
        project = names.project_id(request.parent)
        asked = ListRequest(call.method, request.parent, request.filter, request.page_size, request.page_token)
        size, tree, cursor = page_size(asked.page_size), parse_filter(asked.filter, _FIELDS), decode_token(asked)
        shown = [
            one
            for one in self._replications.of(project)
            if matches(tree, _fields(one).__getitem__) and (cursor is None or one.definition.name > cursor.id)
        ]
        page = shown[:size]
        token = encode_token(Cursor(_EPOCH, page[-1].definition.name), asked) if len(shown) > size else ""
        return pb.ListReplicationsResponse(
            replications=[self._encoded(project, one, self._replicas.standing(one.definition.name)) for one in page],
            next_page_token=token,
        )

    def get_replication(self, request: pb.GetReplicationRequest, call: Call) -> pb.Replication:
        """One."""
        del call
        project, found = self._found(request.name)
        return self._encoded(project, found, self._replicas.standing(found.definition.name))

    def start_replication(self, request: pb.StartReplicationRequest, call: Call) -> pb.Replication:
        """Have it copied from now on."""
        project, found = self._found(request.name)
        key, definition = key_of(request, call), found.definition
        standing = self._replicas.start(definition.name, definition.identity, key, call.time_remaining())
        self._wake()
        return self._encoded(project, found, standing)

    def pause_replication(self, request: pb.PauseReplicationRequest, call: Call) -> pb.Replication:
        """Have it copied no more."""
        project, found = self._found(request.name)
        standing = self._replicas.pause(found.definition.name, key_of(request, call), call.time_remaining())
        return self._encoded(project, found, standing)

    def reverse_replication(self, request: pb.ReverseReplicationRequest, call: Call) -> pb.Replication:
        """Swap its ends, if the copy is fresh enough to become the original, and no failover goes by it just now."""
        project, opened = self._found(request.name)
        found = Violations()
        reason = bounds.text(found, "override_reason", request.override_reason, _TEXT)
        found.check()
        definition = opened.definition

        def check(standing: Standing) -> None:
            live = self._live_run_of(definition.name)
            if live:
                why = f"{live} goes by this replication; it is turned when that has ended"
                raise FailedPreconditionError(ErrorReason.STATE_CONFLICT, why, metadata={"failover_run": live})
            stale = self._stale(opened, standing)
            if stale and not reason:
                raise FailedPreconditionError(ErrorReason.REPLICA_STALE, stale)
            said = {"by": call.principal.subject, "stale": stale, "override_reason": reason}
            _LOG.info("replication_reversed", replication=definition.name, **said)

        key = key_of(request, call)
        standing = self._replicas.reverse(definition.name, definition.identity, key, check, call.time_remaining())
        return self._encoded(project, opened, standing)

    def compare_replication(self, request: pb.CompareReplicationRequest, call: Call) -> pb.CompareReplicationResponse:
        """A part of the comparison."""
        _, opened = self._found(request.name)
        asked = ListRequest(call.method, request.name, "", request.page_size, request.page_token)
        definition = opened.definition
        most, start = page_size(request.page_size), _position(asked)
        standing = self._replicas.standing(definition.name)
        is_reversed = standing.is_reversed and standing.definition == definition.identity
        now, left = self._clock(), timedelta(seconds=call.time_remaining())
        stores, half = opened.stores(is_reversed=is_reversed), now + left / 2
        part = compare(definition, stores, start, most, now + left, is_late=lambda: self._clock() >= half)
        return pb.CompareReplicationResponse(
            differences=[encode_difference(one) for one in part.differing],
            next_page_token="" if part.then is None else _token(part.then, asked),
            source_objects=part.source_objects,
            source_bytes=part.source_bytes,
            destination_objects=part.destination_objects,
            destination_bytes=part.destination_bytes,
        )

    def _stale(self, opened: Opened, standing: Standing) -> str:
        target, watermark = opened.definition.rpo_target, standing.progress.watermark
        if target is None:
            return ""
        if watermark is None:
            return "no canary has ever arrived at the copy"
        age = age_of(watermark, self._clock())
        if age <= target:
            return ""
        return f"the copy is {age.total_seconds():.0f} s old, and {target.total_seconds():.0f} s are the target"

    def _found(self, name: str) -> tuple[str, Opened]:
        project, own = names.replication(name)
        found = self._replications.find(project, own)
        if found is None:
            message = f"replication {own!r} is not configured for the project"
            raise NotFoundError(ErrorReason.NOT_FOUND, message, metadata={"replication": own})
        return project, found

    def _encoded(self, project: str, opened: Opened, standing: Standing) -> pb.Replication:
        return encode_replication(project, opened, standing, self._clock())


def _fields(one: Opened) -> dict[str, str]:
    definition = one.definition
    return {"source": definition.source, "destination": definition.destination, "replication": definition.name}


def _token(position: Position, asked: ListRequest) -> str:
    payload = orjson.dumps(to_document(position))
    return base64.urlsafe_b64encode(seal_of(payload, asked) + payload).decode().rstrip("=")


def _position(asked: ListRequest) -> Position:
    if not asked.page_token:
        return START
    try:
        raw = base64.urlsafe_b64decode(asked.page_token + "=" * (-len(asked.page_token) % 4))
        seal, payload = raw[:_SEAL_BYTES], raw[_SEAL_BYTES:]
        position = from_document(Position, orjson.loads(payload))
    except (binascii.Error, ValueError):
        raise refused_token() from None
    if seal != seal_of(payload, asked):
        raise refused_token()
    return position
