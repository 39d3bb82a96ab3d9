"""Fixtures of the tests of the purchasing service."""

import uuid
from collections.abc import Iterator

import pytest

from tests.support.planning import NOW, POINT_CAP
from tests.support.service import RunningService, running_service
from trimtab_service.bootstrap import Overrides


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service for all; each test has a project of its own; its clock stands still."""
    overrides = Overrides(clock=lambda: NOW)
    with running_service(tmp_path_factory.mktemp("service"), overrides=overrides, sizing_points=POINT_CAP) as running:
        yield running


@pytest.fixture
def parent() -> str:
    """A project that no other test uses."""
    return f"projects/p{uuid.uuid4().hex[:12]}"
