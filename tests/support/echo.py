# ruff: noqa: ANN401 - messages of the Echo service are made at run time, so no type names them
"""The Echo service: compiled from its own proto at import, served through the real frame, for tests and benches."""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc_tools
from google.api import resource_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass
from grpc_tools import protoc

from trimtab_service.domain.errors import (
    AbortedError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
    Violation,
)
from trimtab_service.domain.identity import Role
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.rpc.access import Access, Scope
from trimtab_service.rpc.call import Call
from trimtab_service.rpc.service import Service

NAME = "trimtab.testing.v1.EchoService"
SECRET = "the-text-of-an-exception-that-nobody-may-see"

_PROTOS = Path(__file__).parent / "protos"


def _compile() -> None:
    """Put the proto into the default pool, where reflection finds it too."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "echo.bin"
        common = Path(resource_pb2.__file__).parents[2]
        builtin = Path(grpc_tools.__file__).parent / "_proto"
        paths = [f"-I{path}" for path in (_PROTOS, common, builtin)]
        arguments = ["protoc", *paths, f"--descriptor_set_out={out}", "echo.proto"]
        if protoc.main(arguments) != 0:
            raise RuntimeError("echo.proto does not compile")
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    for file in files.file:
        descriptor_pool.Default().Add(file)


_compile()
DESCRIPTOR = descriptor_pool.Default().FindServiceByName(NAME)
EchoRequest: Any = GetMessageClass(DESCRIPTOR.methods_by_name["Echo"].input_type)
EchoReply: Any = GetMessageClass(DESCRIPTOR.methods_by_name["Echo"].output_type)

ACCESS = {
    f"/{NAME}/Echo": Access(Role.SCHEDULER, Scope.PROJECT, "parent"),
    f"/{NAME}/Fail": Access(Role.SCHEDULER, Scope.PROJECT, "parent"),
    f"/{NAME}/Work": Access(Role.SCHEDULER, Scope.PROJECT, "parent"),
    f"/{NAME}/Hang": Access(Role.SCHEDULER, Scope.PROJECT, "parent"),
    f"/{NAME}/Pid": Access(Role.SCHEDULER, Scope.PROJECT, "parent"),
    f"/{NAME}/Watch": Access(Role.VIEWER, Scope.PROJECT, "parent"),
    f"/{NAME}/Upload": Access(Role.SCHEDULER, Scope.PROJECT, "parent"),
    f"/{NAME}/Administer": Access(Role.ADMIN, Scope.DEPLOYMENT),
}


class Echo:
    """The servicer."""

    def __init__(self) -> None:
        self._replies: dict[int, Any] = {}
        self.worked = 0
        self.may_end = threading.Event()
        """Work that is done is answered only while this is set."""
        self.may_end.set()

    def echo(self, request: Any, call: Call) -> Any:
        """Answer with a prebuilt reply when only its size is asked, so that a bench measures the frame."""
        size = request.reply_bytes
        if size:
            reply = self._replies.get(size)
            if reply is None:
                reply = self._replies[size] = EchoReply(payload=b"x" * size)
            return reply
        return EchoReply(subject=call.principal.subject, project=call.project, seconds_left=call.time_remaining())

    def fail(self, request: Any, call: Call) -> Any:
        """Raise what is asked for."""
        raise FAILURES[request.kind]()  # noqa: RSE102 - a factory, not a class

    def work(self, request: Any, call: Call) -> Any:
        """Work in stages of 10 ms and count those done."""
        for _ in range(max(1, request.milliseconds // 10)):
            call.check()
            time.sleep(0.01)
            self.worked += 1
        self.may_end.wait(120)
        return EchoReply(seconds_left=call.time_remaining())

    def hang(self, request: Any, call: Call) -> Any:
        """Work for a minute without ever checking."""
        time.sleep(60)
        return EchoReply()

    def pid(self, request: Any, call: Call) -> Any:
        """Answer with the process id."""
        return EchoReply(subject=str(os.getpid()))

    def watch(self, request: Any, call: Call) -> Iterator[Any]:
        """Send until the caller leaves or the server drains."""
        if request.kind:
            yield EchoReply()
            raise FAILURES[request.kind]()  # noqa: RSE102 - a factory, not a class
        while True:
            yield EchoReply(subject=call.principal.subject)
            if not call.wait(request.milliseconds / 1000):
                return

    def upload(self, first: Any, more: Iterator[Any], call: Call) -> Any:
        """Count the messages."""
        if first.kind:
            raise FAILURES[first.kind]()  # noqa: RSE102 - a factory, not a class
        return EchoReply(seconds_left=1 + sum(1 for _ in more), project=call.project)

    def administer(self, request: Any, call: Call) -> Any:
        """Answer."""
        return EchoReply(subject=call.principal.subject, project=call.project)


_LONG = "☃" * 1_000_000

FAILURES: dict[str, Callable[[], Exception]] = {
    "not_found": lambda: NotFoundError(ErrorReason.NOT_FOUND, "no such thing", metadata={"resource": "projects/a/x"}),
    "aborted": lambda: AbortedError(ErrorReason.ETAG_MISMATCH, "changed"),
    "precondition": lambda: FailedPreconditionError(
        ErrorReason.STATE_CONFLICT, "ended", metadata={"resource": "projects/a/commitments/c"}
    ),
    "unavailable": lambda: UnavailableError(ErrorReason.STORE_UNAVAILABLE, "the database does not answer"),
    "two_fields": lambda: InvalidArgumentError(
        [
            Violation("size.vcpus", ErrorReason.OUT_OF_RANGE, "must be positive"),
            Violation("size.gpus[0].model", ErrorReason.UNKNOWN_VALUE, "no GPU model V1000; nearest: V100"),
        ]
    ),
    "ten_thousand": lambda: InvalidArgumentError(
        [Violation(f"data[{i}].region", ErrorReason.UNKNOWN_VALUE, _LONG) for i in range(10_000)]
    ),
    "bug": lambda: ZeroDivisionError(SECRET),
    "malformed": lambda: NotFoundError(ErrorReason.NOT_FOUND, SECRET, metadata={"n": 3}),  # type: ignore[dict-item] # the slip
    "os": lambda: OSError(2, SECRET),
}


def service(servicer: Echo | None = None) -> Service:
    """The Echo service, ready to register."""
    return Service(DESCRIPTOR, servicer or Echo(), ACCESS)


class EchoClient:
    """A client on a channel of the caller."""

    def __init__(self, channel: grpc.Channel) -> None:
        def unary(name: str) -> Any:
            return channel.unary_unary(
                f"/{NAME}/{name}", request_serializer=_bytes_of, response_deserializer=EchoReply.FromString
            )

        self.echo = unary("Echo")
        self.fail = unary("Fail")
        self.work = unary("Work")
        self.hang = unary("Hang")
        self.pid = unary("Pid")
        self.administer = unary("Administer")
        self.upload = channel.stream_unary(
            f"/{NAME}/Upload", request_serializer=_bytes_of, response_deserializer=EchoReply.FromString
        )
        self.watch = channel.unary_stream(
            f"/{NAME}/Watch", request_serializer=_bytes_of, response_deserializer=EchoReply.FromString
        )


def _bytes_of(message: Any) -> bytes:
    """Serialise a message; bytes go as they are, so that a test can send what is no message."""
    return message if isinstance(message, bytes) else message.SerializeToString()
