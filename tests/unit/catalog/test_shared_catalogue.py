"""The full three-cloud catalogue, where it is there: counts that are known, and exact tables on real prices."""

import numpy as np
import pytest

from tests.support.catalog_sources import AS_OF
from tests.support.shared_data import shared_catalog
from trimtab_service.catalog.builder import build
from trimtab_service.catalog.loads import CatalogLoad
from trimtab_service.catalog.size_tables import NO_OFFER
from trimtab_service.catalog.snapshot import OPTION_COUNT, CatalogSnapshot
from trimtab_service.catalog.storage import open_snapshot
from trimtab_service.domain.reasons import CatalogIssue


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[CatalogSnapshot, CatalogLoad]:
    """The full catalogue, loaded once."""
    root = tmp_path_factory.mktemp("full")
    load = build(shared_catalog(), root, as_of=AS_OF)
    return open_snapshot(root / load.version), load


def test_it_loses_only_the_size_without_memory(loaded: tuple[CatalogSnapshot, CatalogLoad]) -> None:
    """Of 305,845 prices the 171 of Standard_B1ls go, whose memory the file gives as 0."""
    _, load = loaded
    assert load.source_rows == 305_845
    lost = {(count.file, count.issue): count.rows for count in load.quarantined}
    assert lost["prices", CatalogIssue.UNKNOWN_INSTANCE_TYPE] == 171
    assert lost["instance_types", CatalogIssue.BAD_SPEC] == 1
    assert not [key for key in lost if key[0] == "prices" and key[1] is not CatalogIssue.UNKNOWN_INSTANCE_TYPE]


def test_its_tables_agree_with_a_scan(loaded: tuple[CatalogSnapshot, CatalogLoad]) -> None:
    """200 random sizes over models and architectures: every cell's winner and price are those of a scan."""
    snapshot, _ = loaded
    types, offers = snapshot.types, snapshot.offers
    random = np.random.default_rng(20_261_101)
    cells = OPTION_COUNT * snapshot.region_count
    cell = np.repeat(np.arange(cells), np.diff(offers.cell_start))
    rank = np.arange(cell.size) - offers.cell_start[:-1][cell]
    keys = list(snapshot.tables)
    for _ in range(200):
        model, arch = keys[int(random.integers(len(keys)))]
        code = -1 if model is None else snapshot.gpu_models.index(model)
        count = float(random.choice([0.5, 1, 2, 3, 8])) if model else 0.0
        vcpus, memory = float(random.choice([1, 3, 8, 47.5, 96])), float(random.choice([1, 30.5, 64, 500]))
        fits = (types.gpu_model == code) & (types.gpu_count >= count)
        fits &= (types.vcpus >= vcpus) & (types.memory_gib >= memory)
        if arch is not None:
            fits &= types.arch == snapshot.arches.index(arch)
        chosen = fits[offers.type_index]
        expected = np.full(cells, NO_OFFER)
        np.minimum.at(expected, cell[chosen], rank[chosen])
        table = snapshot.table(model, arch)
        assert table is not None
        slot = table.slot(count, vcpus, memory)
        if slot is None:
            assert (expected == NO_OFFER).all()
            continue
        assert (table.rank[slot].reshape(-1) == expected).all()
        found = np.flatnonzero(expected != NO_OFFER)
        prices = offers.price_nanos[offers.cell_start[found] + expected[found]]
        assert (table.price_nanos[slot].reshape(-1)[found] == prices).all()
