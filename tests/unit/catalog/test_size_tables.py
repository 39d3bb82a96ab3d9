"""Dominance tables give exactly the cheapest offer that is large enough."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab_service.catalog.size_tables import NO_OFFER
from trimtab_service.catalog.snapshot import OPTION_COUNT, OfferColumns, TypeColumns
from trimtab_service.catalog.tabulation import size_tables

REGIONS = 3
MODELS = ("T4", "V100-16GB")
ARCHES = ("arm64", "x86_64")


@st.composite
def catalogues(draw: st.DrawFn) -> tuple[TypeColumns, OfferColumns]:
    """Up to a dozen types on a coarse grid of sizes (so that ties are frequent), with offers in random cells."""
    count = draw(st.integers(1, 12))
    grid = st.sampled_from([1.0, 2.0, 4.0, 8.0])
    model = np.array(draw(st.lists(st.integers(-1, 1), min_size=count, max_size=count)), dtype=np.int16)
    sizes = [np.array(draw(st.lists(grid, min_size=count, max_size=count))) for _ in range(3)]
    types = TypeColumns(
        cloud=np.zeros(count, dtype=np.int8),
        family=np.zeros(count, dtype=np.int16),
        arch=np.array(draw(st.lists(st.integers(0, 1), min_size=count, max_size=count)), dtype=np.int8),
        vcpus=sizes[0],
        memory_gib=sizes[1],
        gpu_model=model,
        gpu_count=np.where(model >= 0, sizes[2], 0.0),
        gpu_memory_gib=np.zeros(count),
        network_gbps=np.zeros(count),
        local_storage_gb=np.zeros(count),
        burstable=np.zeros(count, dtype=np.bool_),
        current_generation=np.ones(count, dtype=np.bool_),
        spot_supported=np.ones(count, dtype=np.bool_),
    )
    cells = OPTION_COUNT * REGIONS
    pairs = draw(st.sets(st.tuples(st.integers(0, cells - 1), st.integers(0, count - 1)), max_size=60))
    offers = sorted((cell, draw(st.integers(1, 5)) * 10**8, kind) for cell, kind in pairs)
    start = np.zeros(cells + 1, dtype=np.int32)
    np.cumsum(np.bincount([cell for cell, _, _ in offers], minlength=cells), out=start[1:])
    unused = np.zeros(len(offers), dtype=np.int32)
    return types, OfferColumns(
        cell_start=start,
        type_index=np.array([kind for _, _, kind in offers], dtype=np.int16),
        price_nanos=np.array([price for _, price, _ in offers], dtype=np.int64),
        as_of=unused,
        basis=unused.astype(np.int8),
        bucket=unused.astype(np.int8),
        row=unused,
    )


@settings(max_examples=60, deadline=None)
@given(catalogues(), st.data())
def test_a_table_agrees_with_a_scan_of_all_offers(
    catalogue: tuple[TypeColumns, OfferColumns], data: st.DataObject
) -> None:
    """For any model, architecture and size asked for, every cell names the first offer that is large enough."""
    types, offers = catalogue
    tables = size_tables(MODELS, ARCHES, types, offers, REGIONS)
    asked = st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 8.0, 9.0])
    for code, model in enumerate((None, *MODELS), start=-1):
        for arch in (None, *ARCHES):
            count, vcpus, memory = data.draw(asked), data.draw(asked), data.draw(asked)
            fits = (types.gpu_model == code) & (types.gpu_count >= count)
            fits &= (types.vcpus >= vcpus) & (types.memory_gib >= memory)
            if arch is not None:
                fits &= types.arch == ARCHES.index(arch)
            expected_rank = np.full((OPTION_COUNT, REGIONS), NO_OFFER)
            expected_price = np.full((OPTION_COUNT, REGIONS), np.inf)
            for cell in range(OPTION_COUNT * REGIONS):
                first, last = int(offers.cell_start[cell]), int(offers.cell_start[cell + 1])
                for k in range(first, last):
                    if fits[offers.type_index[k]]:
                        expected_rank[divmod(cell, REGIONS)] = k - first
                        expected_price[divmod(cell, REGIONS)] = offers.price_nanos[k]
                        break
            table = tables.get((model, arch))
            slot = None if table is None else table.slot(count, vcpus, memory)
            if table is None or slot is None:
                assert (expected_rank == NO_OFFER).all()
            else:
                assert (table.rank[slot] == expected_rank).all()
                assert (table.price_nanos[slot] == expected_price).all()
