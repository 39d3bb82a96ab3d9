"""Catalogues to size on."""

import pytest

from tests.support.snapshots import starter_snapshot
from trimtab_service.catalog.snapshot import CatalogSnapshot


@pytest.fixture(scope="session")
def starter(tmp_path_factory: pytest.TempPathFactory) -> CatalogSnapshot:
    """The packaged catalogue."""
    return starter_snapshot(tmp_path_factory.mktemp("starter"))
