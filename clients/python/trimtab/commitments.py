"""Methods of `CommitmentService`."""

from collections.abc import Iterable, Iterator
from functools import partial

import grpc

from trimtab.calls import Caller, fresh_request_id, walk_pages
from trimtab.v1 import commitment_service_pb2 as pb
from trimtab.v1.commitment_service_pb2_grpc import CommitmentServiceStub

_PATH = "/trimtab.v1.CommitmentService/"


class Commitments:
    """What the project has committed to pay for. Every method raises `trimtab.errors.CallError` when the call fails."""

    __slots__ = ("_caller", "_stub")

    def __init__(self, channel: grpc.Channel, caller: Caller) -> None:
        self._stub = CommitmentServiceStub(channel)
        self._caller = caller

    def create_commitment(
        self,
        commitment: pb.Commitment,
        *,
        commitment_id: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> pb.Commitment:
        """Add one; without an id the server makes one."""
        request = pb.CreateCommitmentRequest(
            parent=self._caller.parent(),
            commitment_id=commitment_id,
            commitment=commitment,
            request_id=request_id or fresh_request_id(),
        )
        return self._caller.unary(self._stub.CreateCommitment, _PATH + "CreateCommitment", request, timeout)

    def import_commitments(
        self,
        commitments: Iterable[pb.Commitment],
        *,
        validate_only: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> list[pb.Commitment]:
        """Add or replace 1 to 1,000 named commitments, all or none; answers how they stand now."""
        request = pb.ImportCommitmentsRequest(
            parent=self._caller.parent(),
            commitments=commitments,
            validate_only=validate_only,
            request_id=request_id or fresh_request_id(),
        )
        for commitment in request.commitments:
            commitment.name = commitment.name and self._caller.name("commitments", commitment.name)
        reply = self._caller.unary(self._stub.ImportCommitments, _PATH + "ImportCommitments", request, timeout)
        return list(reply.commitments)

    def get_commitment(self, name: str, *, timeout: float | None = None) -> pb.Commitment:
        """Read one by name or id."""
        request = pb.GetCommitmentRequest(name=self._caller.name("commitments", name))
        return self._caller.unary(self._stub.GetCommitment, _PATH + "GetCommitment", request, timeout)

    def list_commitments(
        self, *, where: str = "", page_size: int = 0, timeout: float | None = None
    ) -> Iterator[pb.Commitment]:
        """The project's commitments, asked for page by page. `where` is an AIP-160 filter."""
        request = pb.ListCommitmentsRequest(parent=self._caller.parent(), filter=where, page_size=page_size)
        return walk_pages(partial(self.list_commitments_page, timeout=timeout), request, lambda page: page.commitments)

    def list_commitments_page(
        self, request: pb.ListCommitmentsRequest, *, timeout: float | None = None
    ) -> pb.ListCommitmentsResponse:
        """One page of commitments."""
        return self._caller.unary(self._stub.ListCommitments, _PATH + "ListCommitments", request, timeout)

    def end_commitment(
        self, name: str, *, etag: str = "", request_id: str = "", timeout: float | None = None
    ) -> pb.Commitment:
        """End one before its time. With an etag, only that revision."""
        request = pb.EndCommitmentRequest(
            name=self._caller.name("commitments", name), etag=etag, request_id=request_id or fresh_request_id()
        )
        return self._caller.unary(self._stub.EndCommitment, _PATH + "EndCommitment", request, timeout)
