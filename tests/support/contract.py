# ruff: noqa: ANN401 - messages of any method
"""Any RPC of the contract by its full name, and what its refusals say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from trimtab.v1 import (
    catalog_service_pb2,
    commitment_service_pb2,
    failover_service_pb2,
    placement_service_pb2,
    policy_service_pb2,
    purchasing_service_pb2,
    recommendation_service_pb2,
    replication_service_pb2,
    rightsizing_service_pb2,
)

FILES = (
    placement_service_pb2,
    catalog_service_pb2,
    policy_service_pb2,
    commitment_service_pb2,
    rightsizing_service_pb2,
    recommendation_service_pb2,
    purchasing_service_pb2,
    failover_service_pb2,
    replication_service_pb2,
)
METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
PLACEMENT = "/trimtab.v1.PlacementService/"
CATALOG = "/trimtab.v1.CatalogService/"
POLICY = "/trimtab.v1.PolicyService/"
COMMITMENT = "/trimtab.v1.CommitmentService/"
RIGHTSIZING = "/trimtab.v1.RightsizingService/"
RECOMMENDATION = "/trimtab.v1.RecommendationService/"
PURCHASING = "/trimtab.v1.PurchasingService/"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that failed: its code, the reason of its ErrorInfo, and its violations as field to reason."""

    code: grpc.StatusCode
    reason: str
    fields: dict[str, str]
    text: str
    metadata: dict[str, str]

    def says(self, field: str) -> str:
        """The reason against a field; empty when the field is not at fault."""
        return self.fields.get(field, "")


def call(channel: grpc.Channel, path: str, request: Message | bytes, token: str = "") -> Any:
    """The answer of an RPC (of a stream its first), or its refusal. Bytes are sent as they are."""
    method = METHODS[path]
    kind: Any = channel.unary_unary
    if method.client_streaming:
        kind = channel.stream_unary
    elif method.server_streaming:
        kind = channel.unary_stream
    stub = kind(
        path,
        request_serializer=lambda sent: sent if isinstance(sent, bytes) else sent.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    # A stream that watches may have nothing to say for ever.
    timeout = 3 if method.server_streaming else 60
    try:
        answer = stub(iter([request]) if method.client_streaming else request, metadata=metadata, timeout=timeout)
        return next(answer) if method.server_streaming else answer
    except grpc.RpcError as error:
        return refusal_of(error)


def refused(channel: grpc.Channel, path: str, request: Message | bytes, token: str = "") -> Refusal:
    """The refusal of a call that must be refused."""
    answer = call(channel, path, request, token)
    assert isinstance(answer, Refusal), answer
    return answer


def answered(channel: grpc.Channel, path: str, request: Message | bytes, token: str = "") -> Any:
    """The answer of a call that must be answered."""
    answer = call(channel, path, request, token)
    assert not isinstance(answer, Refusal), answer
    return answer


def refusal_of(error: grpc.RpcError) -> Refusal:
    """What a failed call says, with all of its text."""
    rich = rpc_status.from_call(error)
    text = f"{error.details()} {error.trailing_metadata()} {rich}"
    if rich is None:
        return Refusal(error.code(), "", {}, text, {})
    return refusal(rich, error.code(), text)


def refusal(rich: status_pb2.Status, code: grpc.StatusCode, text: str = "") -> Refusal:
    """What a status says; the status of an item of a batch is one."""
    infos = _details(rich, error_details_pb2.ErrorInfo)
    assert len(infos) == 1, rich
    violations = [v for bad in _details(rich, error_details_pb2.BadRequest) for v in bad.field_violations]
    fields = {violation.field: violation.reason for violation in violations}
    return Refusal(code, infos[0].reason, fields, text or str(rich), dict(infos[0].metadata))


def _details(rich: status_pb2.Status, kind: Any) -> Sequence[Any]:
    found = []
    for entry in rich.details:
        if entry.Is(kind.DESCRIPTOR):
            message = kind()
            entry.Unpack(message)
            found.append(message)
    return found
