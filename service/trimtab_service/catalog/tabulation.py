"""Which dominance tables a catalogue has, and how they are all built. Numpy only: replay may need it in serving."""

from collections.abc import Sequence

import numpy as np

from trimtab_service.catalog.size_tables import CellOffers, SizeTable, TypeSizes, axes_of, build_table
from trimtab_service.catalog.snapshot import OPTION_COUNT, OfferColumns, TypeColumns


def size_tables(
    gpu_models: Sequence[str], arches: Sequence[str], types: TypeColumns, offers: OfferColumns, region_count: int
) -> dict[tuple[str | None, str | None], SizeTable]:
    """Every dominance table by (GPU model, architecture); None is "no accelerator" and "any" respectively.

    Where all types of a model share one architecture, both keys lead to the same table.
    """
    cells = OPTION_COUNT * region_count
    lengths = np.diff(offers.cell_start)
    cell = np.repeat(np.arange(cells, dtype=np.int32), lengths)
    rank = (np.arange(cell.size, dtype=np.int32) - offers.cell_start[:-1][cell]).astype(np.int16)
    by_cell = CellOffers(
        cell, rank, offers.type_index, offers.price_nanos, offers.cell_start, OPTION_COUNT, region_count
    )
    priced = np.zeros(types.vcpus.size, dtype=np.bool_)
    priced[offers.type_index] = True
    sizes = TypeSizes(types.gpu_count, types.vcpus, types.memory_gib)
    tables: dict[tuple[str | None, str | None], SizeTable] = {}
    models: list[tuple[str | None, int]] = [(None, -1), *((model, code) for code, model in enumerate(gpu_models))]
    for model, code in models:
        of_model = priced & (types.gpu_model == code)
        if not of_model.any():
            continue
        tables[model, None] = build_table(axes_of(model, None, of_model, sizes), of_model, by_cell, sizes)
        present = np.unique(types.arch[of_model]).tolist()
        for arch in present:
            chosen = of_model & (types.arch == arch)
            tables[model, arches[arch]] = (
                tables[model, None]
                if len(present) == 1
                else build_table(axes_of(model, arches[arch], chosen, sizes), chosen, by_cell, sizes)
            )
    return tables
