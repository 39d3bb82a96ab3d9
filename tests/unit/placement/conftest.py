"""Catalogues that placement is tested on, opened once."""

import pytest

from tests.support.brute_force import BruteForce
from tests.support.snapshots import small_snapshot, starter_snapshot
from trimtab_service.catalog.snapshot import CatalogSnapshot


@pytest.fixture(scope="session")
def starter(tmp_path_factory: pytest.TempPathFactory) -> CatalogSnapshot:
    """The packaged catalogue."""
    return starter_snapshot(tmp_path_factory.mktemp("starter"))


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> CatalogSnapshot:
    """A tenth of the packaged catalogue."""
    return small_snapshot(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def small_scorer(small: CatalogSnapshot) -> BruteForce:
    """Looks at every offer of the small catalogue."""
    return BruteForce(small)


@pytest.fixture(scope="session")
def starter_scorer(starter: CatalogSnapshot) -> BruteForce:
    """Looks at every offer of the packaged catalogue."""
    return BruteForce(starter)
