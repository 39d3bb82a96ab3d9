"""A real gRPC server on a real port that answers what it was told to: the other half of the client in its tests."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
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

_MODULES: Final = (
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
SERVICES: Final[tuple[ServiceDescriptor, ...]] = tuple(
    service for module in _MODULES for service in module.DESCRIPTOR.services_by_name.values()
)

Reply = Message | status_pb2.Status | Callable[[Any], Message]
"""A reply, a failure, or a function of the request."""


@dataclass(frozen=True, slots=True)
class SeenCall:
    """A call as it arrived; of a stream of requests the first. `time_remaining` is in seconds."""

    method: str
    request: Any
    metadata: Mapping[str, str]
    time_remaining: float


class CannedServer:
    """Answers each method with the replies given for it, in order; the last one stays. Others are UNIMPLEMENTED.

    Use it as a context manager. `target` is where it listens, `calls` what arrived, retries included.
    """

    def __init__(self, credentials: grpc.ServerCredentials | None = None) -> None:
        self.calls: list[SeenCall] = []
        self._replies: dict[str, deque[Reply]] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(8)
        self._server = grpc.server(self._pool)
        self.health = health.HealthServicer()
        for service in SERVICES:
            self._server.add_generic_rpc_handlers((self._handler(service),))
            self.health.set(service.full_name, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        port = (
            self._server.add_insecure_port("127.0.0.1:0")
            if credentials is None
            else self._server.add_secure_port("127.0.0.1:0", credentials)
        )
        self.target = f"127.0.0.1:{port}"

    def answer(self, method: str, *replies: Reply) -> None:
        """Answer `method` (such as `Place`) with `replies`, one after another."""
        self._replies[method] = deque(replies)

    def seen(self, method: str) -> list[SeenCall]:
        """The calls of one method, in order."""
        return [call for call in self.calls if call.method == method]

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(grace=None).wait()
        self._pool.shutdown()

    def _handler(self, service: ServiceDescriptor) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            service.full_name, {method.name: self._method(method) for method in service.methods}
        )

    def _method(self, method: MethodDescriptor) -> "grpc.RpcMethodHandler[Any, Any]":
        """One reply, also where the contract has a stream of them."""
        behave = self._behaviour(method.name)
        parsed: Any = {
            "request_deserializer": message_factory.GetMessageClass(method.input_type).FromString,
            "response_serializer": lambda reply: reply.SerializeToString(),
        }
        if method.client_streaming:

            def upload(requests: Iterator[Any], context: grpc.ServicerContext) -> Message:
                first = next(requests)
                list(requests)
                return behave(first, context)

            return grpc.stream_unary_rpc_method_handler(upload, **parsed)
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(lambda *call: iter([behave(*call)]), **parsed)
        return grpc.unary_unary_rpc_method_handler(behave, **parsed)

    def _behaviour(self, method: str) -> Callable[[Any, grpc.ServicerContext], Message]:
        def behave(request: Message, context: grpc.ServicerContext) -> Message:
            metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
            with self._lock:
                self.calls.append(SeenCall(method, request, metadata, context.time_remaining()))
                replies = self._replies.get(method)
                reply = None if replies is None else replies.popleft() if len(replies) > 1 else replies[0]
            if reply is None:
                context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{method} has no canned reply")
            if isinstance(reply, status_pb2.Status):
                context.abort_with_status(rpc_status.to_status(reply))
            return reply if isinstance(reply, Message) else reply(request)

        return behave
