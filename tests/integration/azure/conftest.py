"""Fixtures of the tests of the Azure adapters."""

from collections.abc import Iterator

import pytest

from tests.support.azure_account import NOW, account
from tests.support.azure_cloud import AzureFake
from tests.support.clocks import StoppedClock
from trimtab_service.clouds.azure.connection import connect
from trimtab_service.clouds.kinds import Connection
from trimtab_service.clouds.patience import Patience


@pytest.fixture
def azure() -> Iterator[AzureFake]:
    """An empty subscription."""
    fake = AzureFake()
    with fake.server:
        yield fake


@pytest.fixture
def clock() -> StoppedClock:
    """Noon."""
    return StoppedClock(NOW)


@pytest.fixture
def connection(azure: AzureFake, clock: StoppedClock) -> Connection:
    """Connected by a clock that moves only with waits."""
    return connect(account(azure), Patience(clock, clock.sleep, spread=lambda: 1.0))
