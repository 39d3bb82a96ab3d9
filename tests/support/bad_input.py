# ruff: noqa: ANN401 - messages of every method
"""What the tests of bad input share: the service that is attacked, and how requests are broken."""

import copy
import re
import tempfile
import uuid
from collections.abc import Iterator
from typing import Any, Final

import grpc
import pytest
from google.protobuf.message import Message

from tests.support import whole_requests as whole
from tests.support.catalog_sources import good_source
from tests.support.contract import (
    PLACEMENT,
    Refusal,
    refused,
)
from tests.support.databases import PostgresServer
from tests.support.server import ROOT
from tests.support.service import RunningService, running_service
from tests.support.spots import Spot, spots
from tests.support.whole_values import UUID
from trimtab.v1 import policy_service_pb2

INVALID: Final = grpc.StatusCode.INVALID_ARGUMENT


PLACE: Final = PLACEMENT + "Place"


MEGABYTE: Final = "x" * 2**20


LEAKS: Final = re.compile(
    rf"Traceback|\.py\b|{re.escape(str(ROOT))}|{re.escape(tempfile.gettempdir())}/|site-packages|sqlalchemy|psycopg"
    r"|sqlite|SELECT |INSERT |UPDATE |numpy|KeyError|ValueError|TypeError"
)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Iterator[RunningService]:
    """One service over a small catalogue and PostgreSQL, the engine that takes fewer texts."""
    root = tmp_path_factory.mktemp("bad-input")
    dsn = postgres_server.create_database()
    directory = good_source().write(root / "catalog")
    with running_service(root / "data", catalog_dir=directory, database_url=dsn) as started:
        yield started
    postgres_server.drop_database(dsn)


@pytest.fixture
def channel(attacked: RunningService) -> grpc.Channel:
    """A channel to it."""
    return attacked.channel


@pytest.fixture
def project() -> str:
    """A project that no other test uses."""
    return f"p{uuid.uuid4().hex[:12]}"


def fault(channel: grpc.Channel, request: Message) -> Refusal:
    """The refusal of a request to place, which is always the caller's fault and leaks nothing."""
    answer = refused(channel, PLACE, request)
    assert answer.code is INVALID, answer
    assert not LEAKS.search(answer.text), answer.text
    return answer


def leaves(message: Message, *kinds: int) -> list[Spot]:
    """Every value of these field types."""
    return [spot for spot in spots(message) if spot.field.type in kinds]


def of_type(message: Message, name: str) -> list[Spot]:
    """Every message of this full name."""
    return [spot for spot in spots(message) if getattr(spot.field.message_type, "full_name", "") == name]


def every_request(project: str) -> list[tuple[str, Message]]:
    """Copies of right requests of every RPC."""
    return [
        (path, copy.deepcopy(request))
        for path, requests in whole.whole_requests(project).items()
        for request in requests
    ]


def make_fresh(request: Any) -> None:
    """Give a change an id of its own, and drop an etag that is none, so that it is not refused for these alone."""
    if getattr(request, "request_id", "") == UUID:
        request.request_id = str(uuid.uuid4())
    for field, short in (("policy_id", "p"), ("commitment_id", "c")):
        if getattr(request, field, "") == short:
            setattr(request, field, f"{short}{uuid.uuid4().hex[:8]}")
    if getattr(request, "etag", ""):
        request.etag = ""
    if isinstance(request, policy_service_pb2.UpdatePolicyRequest):
        request.policy.etag = ""


def is_ours(answer: object) -> bool:
    """Whether an answer is a fault of the service."""
    return isinstance(answer, Refusal) and answer.code in {
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }


def quota(cloud: str, region: str, unit: str) -> dict[str, Any]:
    """A quota of a hundred, as JSON."""
    return {"location": {"cloud": cloud, "region": region}, "unit": unit, "left": 100}


PLACES: Final = {
    "with a duration": whole.whole_place(),
    "as a service": whole.whole_service(),
    "that may wait": whole.whole_waiting(),
}
