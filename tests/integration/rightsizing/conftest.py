"""Fixtures of the tests of the rightsizing service."""

import uuid
from collections.abc import Iterator

import pytest

from tests.support.fleets import Clock, DisturbedSource, Sources, simulated
from tests.support.service import RunningService, running_service
from tests.support.sizing_requests import POINT_CAP
from trimtab_service.bootstrap import Overrides


@pytest.fixture(scope="package")
def clock() -> Clock:
    """Stands still."""
    return Clock()


@pytest.fixture(scope="package")
def sources(clock: Clock) -> dict[str, DisturbedSource]:
    """Two simulated worlds; one is down, one hangs."""
    made = {name: simulated(clock, name) for name in ("broken", "east", "hanging", "west")}
    made["broken"].is_down = True
    return made


@pytest.fixture(scope="package")
def service(
    tmp_path_factory: pytest.TempPathFactory, clock: Clock, sources: dict[str, DisturbedSource]
) -> Iterator[RunningService]:
    """One service for all; each test has a project of its own."""
    overrides = Overrides(clock=clock, sources=Sources(sources))
    directory = tmp_path_factory.mktemp("service")
    with running_service(directory, overrides=overrides, sizing_points=POINT_CAP, stream_budget=4) as running:
        yield running


@pytest.fixture
def parent() -> str:
    """A project that no other test uses."""
    return f"projects/p{uuid.uuid4().hex[:12]}"
