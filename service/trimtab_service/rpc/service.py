"""A service to register: its descriptor from the contract and the plain object that answers.

The object has one method per RPC, named in snake case (`BatchPlace` -> `batch_place`), with the signature
`(request, call) -> response`, a generator of responses where the contract answers with a stream, or
`(first, more, call) -> response` where it takes one: `more` is an iterator of the messages after the first, which alone
names the project. It raises `domain.errors`; it never sees grpc.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from trimtab_service.domain.identity import Principal
from trimtab_service.rpc.access import ACCESS, Access
from trimtab_service.rpc.authorization import Guard

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

PlainMethod = Callable[[bytes, Principal], bytes | None]
"""A method's short way, from the request's bytes to the answer's. It looks itself at whether the principal may, and
says None where it does not know: then the request is parsed, and answered or refused, as always."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the contract and its servicer."""

    descriptor: ServiceDescriptor
    servicer: object
    access: Mapping[str, Access] = field(default_factory=lambda: ACCESS)


@dataclass(frozen=True, slots=True)
class Method:
    """One method, resolved: nothing about it is looked up per call."""

    full_name: str
    request: type[Message]
    act: Callable[..., Any]
    guard: Guard
    plain: PlainMethod | None = None
    streams: bool = False
    """Answers with a stream."""

    uploads: bool = False
    """Takes a stream of requests."""


def methods_of(service: Service) -> dict[str, Method]:
    """Resolve every method of a service, by its name in the contract.

    Raises:
        ValueError: a method has no entry in the access table, no implementation, streams both ways, or has a short way
            though its requests name resources of more than one project.

    """
    return {descriptor.name: _method(service, descriptor) for descriptor in service.descriptor.methods}


def snake_case(name: str) -> str:
    """`BatchPlace` -> `batch_place`."""
    return _WORD.sub("_", name).lower()


def _method(service: Service, descriptor: MethodDescriptor) -> Method:
    full_name = f"/{service.descriptor.full_name}/{descriptor.name}"
    access = service.access.get(full_name)
    if access is None:
        raise ValueError(f"{full_name} has no entry in the access table, so nobody may call it")
    act = getattr(service.servicer, snake_case(descriptor.name), None)
    if not callable(act):
        raise ValueError(f"{type(service.servicer).__name__} does not answer {full_name}")  # noqa: TRY004 - one kind of refusal
    if descriptor.client_streaming and descriptor.server_streaming:
        raise ValueError(f"{full_name} streams both ways; batch methods serve that better")
    guard = Guard(full_name, access, descriptor.input_type)
    plain = getattr(service.servicer, f"plain_{snake_case(descriptor.name)}", None)
    if plain is not None and guard.names_others:
        raise ValueError(f"{full_name}: a short way asks for the role in one project, and the request may name more")
    return Method(
        full_name=full_name,
        request=GetMessageClass(descriptor.input_type),
        act=act,
        guard=guard,
        plain=None if plain is None else plain(guard.may),
        streams=bool(descriptor.server_streaming),
        uploads=bool(descriptor.client_streaming),
    )
