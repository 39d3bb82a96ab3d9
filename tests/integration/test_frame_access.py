# ruff: noqa: ANN401 - messages of the Echo service are made at run time, so no type names them
"""No RPC of the contract is open, and no project sees another: every method, through a real server."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.support import oidc
from tests.support.server import running
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
from trimtab_service.domain.identity import Grant, Role
from trimtab_service.rpc.access import ACCESS, Scope
from trimtab_service.rpc.service import Service, snake_case
from trimtab_service.settings_values import GrantRule

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
SERVICES: list[ServiceDescriptor] = [service for file in FILES for service in file.DESCRIPTOR.services_by_name.values()]
METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method for service in SERVICES for method in service.methods
}
GRANTS = tuple(
    GrantRule(
        "claim", "groups", f"{project}-{role.value}", Grant("*" if project == "all" else project, frozenset({role}))
    )
    for project in ("vision", "speech", "all")
    for role in Role
)


class Reached:
    """Stands for every servicer: notes which methods were reached and answers empty messages."""

    def __init__(self) -> None:
        self.methods: list[str] = []

    def service(self, descriptor: ServiceDescriptor) -> Service:
        """A service whose every method is this."""

        def act(method: MethodDescriptor) -> Any:
            reply = GetMessageClass(method.output_type)

            def answer(request: Message, call: Any) -> Message:
                self.methods.append(call.method)
                return reply()

            def stream(request: Message, call: Any) -> Iterator[Message]:
                yield answer(request, call)

            def upload(first: Message, more: Iterator[Message], call: Any) -> Message:
                assert not list(more)
                return answer(first, call)

            if method.client_streaming:
                return upload
            return stream if method.server_streaming else answer

        acts = {snake_case(method.name): act(method) for method in descriptor.methods}
        return Service(descriptor, SimpleNamespace(**acts))


@pytest.fixture(scope="module")
def issuer() -> oidc.Issuer:
    """One issuer for the module."""
    return oidc.Issuer()


@pytest.fixture(scope="module")
def reached() -> Reached:
    """What the calls reached."""
    return Reached()


@pytest.fixture(scope="module")
def channel(issuer: oidc.Issuer, reached: Reached, tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    """A channel to a server of the whole contract."""
    jwks = issuer.write(tmp_path_factory.mktemp("oidc"))
    with (
        running(
            services=[reached.service(descriptor) for descriptor in SERVICES],
            clock=lambda: oidc.NOW,
            oidc_issuer=oidc.ISSUER,
            oidc_audience=oidc.AUDIENCE,
            oidc_jwks=str(jwks),
            grants=GRANTS,
        ) as (_, address),
        grpc.insecure_channel(address) as opened,
    ):
        yield opened


def request_for(path: str, project: str) -> Message:
    """A request whose governing field names the project."""
    message: Message = GetMessageClass(METHODS[path].input_type)()
    *above, last = ACCESS[path].field.split(".")
    target: Any = message
    for name in above:
        target = getattr(target, name)
    if last:
        value = f"projects/{project}" if last == "parent" else f"projects/{project}/things/1"
        setattr(target, last, value)
    return message


def code_of(channel: grpc.Channel, path: str, request: Message, token: str | None = None) -> grpc.StatusCode:
    """Make the call and return its status code."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    method = METHODS[path]
    kind: Any = channel.unary_unary
    if method.client_streaming:
        kind = channel.stream_unary
    elif method.server_streaming:
        kind = channel.unary_stream
    try:
        reply = kind(
            path,
            request_serializer=type(request).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )(iter([request]) if method.client_streaming else request, metadata=metadata)
        if method.server_streaming:
            list(reply)
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK


def test_the_access_table_is_the_contract() -> None:
    """Each RPC has an entry and each entry an RPC."""
    assert set(ACCESS) == set(METHODS)


@pytest.mark.parametrize("path", METHODS)
def test_no_rpc_answers_without_a_credential(channel: grpc.Channel, reached: Reached, path: str) -> None:
    """Anonymous callers are refused before anything is reached."""
    before = len(reached.methods)
    assert code_of(channel, path, request_for(path, "vision")) is grpc.StatusCode.UNAUTHENTICATED
    assert len(reached.methods) == before


@pytest.mark.parametrize("path", METHODS)
def test_rpc_needs_its_role_where_the_table_says(
    channel: grpc.Channel, reached: Reached, issuer: oidc.Issuer, path: str
) -> None:
    """Each role in the project, in another project, and deployment-wide gives exactly what the table promises."""
    access = ACCESS[path]
    request = request_for(path, "vision")
    for role in Role:
        for held in ("vision", "speech", "all"):
            token = issuer.token(sub=f"{role.value}-{held}", groups=[f"{held}-{role.value}"])
            where_it_counts = held == "all" or (
                access.scope is Scope.ANY_PROJECT or (access.scope is not Scope.DEPLOYMENT and held == "vision")
            )
            allowed = where_it_counts and access.role in role.includes
            before = len(reached.methods)
            expected = grpc.StatusCode.OK if allowed else grpc.StatusCode.PERMISSION_DENIED
            assert code_of(channel, path, request, token) is expected, (role, held)
            assert len(reached.methods) - before == int(allowed)


@pytest.mark.parametrize(
    "path", [path for path, access in ACCESS.items() if access.scope is Scope.PROJECT_OR_DEPLOYMENT]
)
def test_changing_what_holds_for_all_projects_needs_the_role_everywhere(
    channel: grpc.Channel, issuer: oidc.Issuer, path: str
) -> None:
    """A name without a project is the deployment's: an operator of one project may not touch it."""
    request: Any = GetMessageClass(METHODS[path].input_type)()
    mine = issuer.token(groups=["vision-admin"])
    everywhere = issuer.token(groups=["all-operator"])
    assert code_of(channel, path, request, mine) is grpc.StatusCode.PERMISSION_DENIED
    assert code_of(channel, path, request, everywhere) is grpc.StatusCode.OK


def test_batch_with_an_item_of_another_project_is_refused(channel: grpc.Channel, issuer: oidc.Issuer) -> None:
    """The parent of every item counts, not only the batch's."""
    path = "/trimtab.v1.PlacementService/BatchPlace"
    token = issuer.token(groups=["vision-scheduler"])
    request = placement_service_pb2.BatchPlaceRequest(parent="projects/vision")
    request.requests.add(parent="projects/vision")
    request.requests.add()
    assert code_of(channel, path, request, token) is grpc.StatusCode.OK
    request.requests.add(parent="projects/speech")
    assert code_of(channel, path, request, token) is grpc.StatusCode.PERMISSION_DENIED


def test_import_cannot_name_another_projects_commitment(channel: grpc.Channel, issuer: oidc.Issuer) -> None:
    """The name inside each imported resource counts."""
    path = "/trimtab.v1.CommitmentService/ImportCommitments"
    token = issuer.token(groups=["vision-operator"])
    request = commitment_service_pb2.ImportCommitmentsRequest(parent="projects/vision")
    request.commitments.add(name="projects/speech/commitments/c")
    assert code_of(channel, path, request, token) is grpc.StatusCode.PERMISSION_DENIED
