"""Methods of `ReplicationService`."""

from collections.abc import Iterator
from functools import partial

import grpc

from trimtab.calls import Caller, fresh_request_id, walk_pages
from trimtab.v1 import replication_service_pb2 as pb
from trimtab.v1.replication_service_pb2_grpc import ReplicationServiceStub

_PATH = "/trimtab.v1.ReplicationService/"


class Replications:
    """Copies of buckets in other clouds. Every method raises `trimtab.errors.CallError` when it fails.

    Replications are named by their resource name or their id. Changes are made once: without a `request_id` each call
    has a fresh one, so that retries of the transport repeat nothing.
    """

    __slots__ = ("_caller", "_stub")

    def __init__(self, channel: grpc.Channel, caller: Caller) -> None:
        self._stub = ReplicationServiceStub(channel)
        self._caller = caller

    def list_replications(
        self, *, where: str = "", page_size: int = 0, timeout: float | None = None
    ) -> Iterator[pb.Replication]:
        """The project's replications, by name, asked for page by page. `where` is an AIP-160 filter."""
        request = pb.ListReplicationsRequest(parent=self._caller.parent(), filter=where, page_size=page_size)
        return walk_pages(
            partial(self.list_replications_page, timeout=timeout), request, lambda page: page.replications
        )

    def list_replications_page(
        self, request: pb.ListReplicationsRequest, *, timeout: float | None = None
    ) -> pb.ListReplicationsResponse:
        """One page."""
        return self._caller.unary(self._stub.ListReplications, _PATH + "ListReplications", request, timeout)

    def get_replication(self, name: str, *, timeout: float | None = None) -> pb.Replication:
        """Read a replication: its progress, and the age of the copy."""
        request = pb.GetReplicationRequest(name=self._name(name))
        return self._caller.unary(self._stub.GetReplication, _PATH + "GetReplication", request, timeout)

    def start_replication(self, name: str, *, request_id: str = "", timeout: float | None = None) -> pb.Replication:
        """Have it copied from now on."""
        request = pb.StartReplicationRequest(name=self._name(name), request_id=request_id or fresh_request_id())
        return self._caller.unary(self._stub.StartReplication, _PATH + "StartReplication", request, timeout)

    def pause_replication(self, name: str, *, request_id: str = "", timeout: float | None = None) -> pb.Replication:
        """Have it copied no more; what is under way is kept."""
        request = pb.PauseReplicationRequest(name=self._name(name), request_id=request_id or fresh_request_id())
        return self._caller.unary(self._stub.PauseReplication, _PATH + "PauseReplication", request, timeout)

    def reverse_replication(
        self, name: str, *, override_reason: str = "", request_id: str = "", timeout: float | None = None
    ) -> pb.Replication:
        """Swap the ends of one that is paused. Refused when the copy is older than its target, without a reason."""
        request = pb.ReverseReplicationRequest(
            name=self._name(name), override_reason=override_reason, request_id=request_id or fresh_request_id()
        )
        return self._caller.unary(self._stub.ReverseReplication, _PATH + "ReverseReplication", request, timeout)

    def compare_replication(
        self, name: str, *, page_size: int = 0, timeout: float | None = None
    ) -> Iterator[pb.CompareReplicationResponse]:
        """What differs between both sides, part by part to the end; `timeout` is of one part."""
        request = pb.CompareReplicationRequest(name=self._name(name), page_size=page_size)
        while True:
            path = _PATH + "CompareReplication"
            part = self._caller.unary(self._stub.CompareReplication, path, request, timeout)
            yield part
            if not part.next_page_token:
                return
            request.page_token = part.next_page_token

    def _name(self, name: str) -> str:
        return self._caller.name("replications", name)
