"""Fixtures of the tests of the Google Cloud adapters."""

from collections.abc import Iterator

import pytest

from tests.support.clocks import StoppedClock
from tests.support.cloud_assets import CloudAssetFake
from tests.support.cloud_monitoring import CloudMonitoringFake
from tests.support.compute_engine import ComputeEngineFake
from tests.support.gcp_account import (
    NOW,
    account,
)
from trimtab_service.clouds.gcp.connection import connect
from trimtab_service.clouds.kinds import Connection
from trimtab_service.clouds.patience import Patience


@pytest.fixture
def monitoring() -> Iterator[CloudMonitoringFake]:
    """A monitoring service without series."""
    with CloudMonitoringFake() as fake:
        yield fake


@pytest.fixture
def compute() -> Iterator[ComputeEngineFake]:
    """An empty project."""
    fake = ComputeEngineFake(page_size=1)
    with fake.server:
        yield fake


@pytest.fixture
def assets() -> Iterator[CloudAssetFake]:
    """A project without assets."""
    fake = CloudAssetFake(page_size=1)
    with fake.server:
        yield fake


@pytest.fixture
def clock() -> StoppedClock:
    """Noon."""
    return StoppedClock(NOW)


@pytest.fixture
def connection(
    monitoring: CloudMonitoringFake, compute: ComputeEngineFake, assets: CloudAssetFake, clock: StoppedClock
) -> Connection:
    """Connected by a clock that moves only with waits."""
    return connect(account(monitoring, compute, assets), Patience(clock, clock.sleep, spread=lambda: 1.0))
