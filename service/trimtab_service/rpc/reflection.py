"""The reflection service on threads of its own.

Reflection is a stream that holds a thread as long as its client likes, and it needs no credential; on the
threads of the calls, a handful of idle clients would stop the server.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

_METHOD = "ServerReflectionInfo"


def register_reflection(server: grpc.Server, services: Sequence[str], pool: ThreadPoolExecutor) -> None:
    """Serve the descriptors of `services`; clients beyond the pool's threads wait for one another."""
    answers = reflection.ReflectionServicer([*services, reflection.SERVICE_NAME]).ServerReflectionInfo

    def reflect(
        requests: Iterator[reflection_pb2.ServerReflectionRequest], context: grpc.ServicerContext
    ) -> Iterator[reflection_pb2.ServerReflectionResponse]:
        yield from answers(requests, context)

    vars(reflect)["experimental_thread_pool"] = pool
    handler = grpc.stream_stream_rpc_method_handler(
        reflect,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(reflection.SERVICE_NAME, {_METHOD: handler}),)
    )
