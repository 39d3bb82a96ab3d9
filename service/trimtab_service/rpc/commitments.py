"""The commitment service."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

import orjson
from google.protobuf.message import Message
from sqlalchemy import Connection

from trimtab.v1 import commitment_service_pb2 as pb
from trimtab_service.domain.commitments import Commitment
from trimtab_service.domain.documents import from_document
from trimtab_service.domain.errors import FailedPreconditionError, NotFoundError
from trimtab_service.domain.events import body as body_of
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.rpc import bounds, names
from trimtab_service.rpc.call import Call
from trimtab_service.rpc.commitment_codec import encode_commitment, parse_commitment
from trimtab_service.rpc.fields import Violations
from trimtab_service.rpc.ids import NewId
from trimtab_service.rpc.world import World
from trimtab_service.store import resources
from trimtab_service.store.commitments import COMMITMENT
from trimtab_service.store.idempotency import RequestKey, once
from trimtab_service.store.pages import ListRequest
from trimtab_service.store.resources import Draft, Resource, ResourceId, ResourceStore
from trimtab_service.store.writer import GroupCommitWriter

MAX_IMPORT: Final = 1_000


class CommitmentServicer:
    """Answers from the store; what it changes is in force in this process when the answer leaves."""

    def __init__(
        self,
        store: ResourceStore,
        world: World,
        writer: GroupCommitWriter,
        *,
        clock: Callable[[], datetime],
        new_id: NewId,
    ) -> None:
        self._store = store
        self._world = world
        self._writer = writer
        self._clock = clock
        self._new_id = new_id

    def create_commitment(self, request: pb.CreateCommitmentRequest, call: Call) -> pb.Commitment:
        """Add one."""
        project, now = names.project_id(request.parent), self._clock()
        own = request.commitment_id or self._new_id(now)
        commitment = self._parse(request, project, own)
        stored = self._store.create(
            ResourceId(project, request.parent, own),
            draft_of(commitment),
            now,
            _key(request, call),
            call.time_remaining(),
        )
        return self._answer(stored, project)

    def import_commitments(self, request: pb.ImportCommitmentsRequest, call: Call) -> pb.ImportCommitmentsResponse:
        """All or none, in one transaction."""
        project, now = names.project_id(request.parent), self._clock()
        parsed = self._parse_all(request, project)
        if request.validate_only:
            return pb.ImportCommitmentsResponse(commitments=request.commitments)
        key = _key(request, call)

        def enter(conn: Connection) -> bytes:
            stored = [self._put(conn, commitment, request.parent, now) for commitment in parsed]
            return pb.ImportCommitmentsResponse(
                commitments=[encode_commitment(_read(entry), entry) for entry in stored]
            ).SerializeToString()

        answer = self._writer.run(lambda conn: once(conn, key, now, lambda: enter(conn)), call.time_remaining())
        self._world.catch_up()
        return pb.ImportCommitmentsResponse.FromString(answer)

    def get_commitment(self, request: pb.GetCommitmentRequest, call: Call) -> pb.Commitment:
        """One."""
        del call
        project, own = names.commitment(request.name)
        return self._encode(self._store.get(f"projects/{project}", own), project)

    def list_commitments(self, request: pb.ListCommitmentsRequest, call: Call) -> pb.ListCommitmentsResponse:
        """A page, oldest first."""
        del call
        project = names.project_id(request.parent)
        asked = ListRequest("ListCommitments", request.parent, request.filter, request.page_size, request.page_token)
        page = self._store.list(asked)
        return pb.ListCommitmentsResponse(
            commitments=[self._encode(stored, project) for stored in page.items],
            next_page_token=page.next_page_token,
        )

    def end_commitment(self, request: pb.EndCommitmentRequest, call: Call) -> pb.Commitment:
        """It covers nothing from now on; the record stays."""
        project, own = names.commitment(request.name)
        now = self._clock()

        def end(stored: Resource) -> Draft:
            commitment = _read(stored)
            if commitment.ended_time is not None:
                raise FailedPreconditionError(
                    ErrorReason.STATE_CONFLICT, "the commitment has ended", metadata={"commitment": request.name}
                )
            return draft_of(replace(commitment, ended_time=now))

        stored = self._store.update(
            ResourceId(project, f"projects/{project}", own),
            end,
            request.etag,
            now,
            _key(request, call),
            call.time_remaining(),
        )
        return self._answer(stored, project)

    def _parse(self, request: pb.CreateCommitmentRequest, project: str, own: str) -> Commitment:
        found = Violations()
        with found.gather():
            names.resource_id(own, "commitment_id")
        with found.gather():
            names.request_id(request.request_id)
        vocabulary = self._world.view(project).vocabulary
        commitment = parse_commitment(request.commitment, project, own, vocabulary, found, "commitment")
        found.check()
        if commitment is None:
            raise AssertionError(own)  # a commitment is missing only where a violation was found
        return commitment

    def _parse_all(self, request: pb.ImportCommitmentsRequest, project: str) -> list[Commitment]:
        found = Violations()
        with found.gather():
            names.request_id(request.request_id)
        if not request.commitments:
            found.add("commitments", ErrorReason.FIELD_REQUIRED, "give at least one")
        vocabulary = self._world.view(project).vocabulary
        parsed: list[Commitment] = []
        seen: set[str] = set()
        if bounds.few(found, "commitments", len(request.commitments), MAX_IMPORT):
            for index, message in enumerate(request.commitments):
                at = f"commitments[{index}]"
                owner, own = project, ""
                with found.gather():
                    owner, own = names.commitment(message.name, f"{at}.name")
                if owner != project:
                    found.add((at, "name"), ErrorReason.CONTRADICTION, "belongs to another project than parent")
                if own and own in seen:
                    found.add((at, "name"), ErrorReason.CONTRADICTION, "is given twice")
                seen.add(own)
                commitment = parse_commitment(message, project, own, vocabulary, found, at)
                if commitment is not None:
                    parsed.append(commitment)
        found.check()
        return parsed

    @staticmethod
    def _put(conn: Connection, commitment: Commitment, parent: str, now: datetime) -> Resource:
        """Add it, or put it in the place of what stands; what was ended stays so: a list may be of before."""
        key = ResourceId(commitment.project, parent, commitment.commitment_id)

        def revise(stands: Resource) -> Draft:
            return draft_of(replace(commitment, ended_time=_read(stands).ended_time))

        try:
            resources.get(conn, COMMITMENT, parent, key.id)
        except NotFoundError:
            return resources.create(conn, COMMITMENT, key, draft_of(commitment), now)
        return resources.modify(conn, COMMITMENT, key, revise, "", now)

    def _answer(self, stored: Resource, project: str) -> pb.Commitment:
        self._world.sync_to(stored.revision)
        return self._encode(stored, project)

    def _encode(self, stored: Resource, project: str) -> pb.Commitment:
        commitment = _read(stored)
        reserved = self._world.view(project).state.rooms.reserved_fraction(commitment.commitment_id, self._clock())
        return encode_commitment(commitment, stored, reserved)


def _read(stored: Resource) -> Commitment:
    return from_document(Commitment, orjson.loads(stored.body))


def draft_of(commitment: Commitment) -> Draft:
    """A commitment as it is stored."""
    return Draft(
        orjson.dumps(body_of(commitment), option=orjson.OPT_SORT_KEYS),
        {
            "cloud": commitment.cloud.value,
            "kind": commitment.kind.value,
            "region": commitment.region,
            "family": commitment.family,
            "instance_type": commitment.instance_type,
            "end_time": commitment.end_time,
        },
    )


def _key(request: Message, call: Call) -> RequestKey:
    """Whose request this is, for idempotency."""
    request_id = names.request_id(str(getattr(request, "request_id", "")))
    body = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    return RequestKey(call.project, call.method.rpartition("/")[2], request_id, body)
