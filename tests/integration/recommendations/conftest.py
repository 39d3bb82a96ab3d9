"""Fixtures of the tests of the lifecycle."""

import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.support.lifecycles import House, lifecycle_house
from trimtab.v1.recommendation_service_pb2_grpc import RecommendationServiceStub


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One service for all; every test has a project and machines of its own."""
    with lifecycle_house(tmp_path_factory.mktemp("lifecycle"), poll_interval=timedelta(milliseconds=50)) as made:
        yield made


@pytest.fixture
def project() -> str:
    """A project that no other test uses."""
    return f"p{uuid.uuid4().hex[:12]}"


@pytest.fixture
def rpc(house: House) -> RecommendationServiceStub:
    """The stub."""
    return house.service.recommendation
