"""Exact dominance tables: the cheapest offer of each (option, region) that has *at least* a given size.

A table covers one GPU model, or "no accelerator" (whose count axis is the single value 0), and one CPU
architecture or all. Axes are the distinct GPU counts, vCPUs and memories of its types, ascending; a size that is
asked for is rounded up to the next value on each axis, which loses nothing because no type lies between.
Built by scattering each type at its own size and then taking the running minimum from the large end of each axis.
"""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from trimtab_service.catalog.arrays import F64, I16, I32, I64, Bools

NO_OFFER = 32_767
"""Rank where no offer is large enough; the price there is +inf."""


@dataclass(frozen=True, slots=True, eq=False)
class SizeTable:
    """One dominance table. `rank` and `price_nanos` have shape [rows][options][regions].

    `rank` is the position in the cell's sorted offers (`NO_OFFER` for none); `price_nanos` is that offer's
    nano-USD per hour as float64 (exact below 2**53), +inf for none. `row_of` [counts][vcpus][memories] names the
    row of a size: nine of ten sizes share the row of a larger one, since no offer ends between them.
    """

    gpu_model: str | None
    arch: str | None
    counts: tuple[float, ...]
    vcpus: tuple[float, ...]
    memories_gib: tuple[float, ...]
    row_of: I32
    rank: I16
    price_nanos: F64

    def slot(self, count: float, vcpus: float, memory_gib: float) -> int | None:
        """Row of the smallest size with at least this much; None if nothing is that large."""
        i = bisect_left(self.counts, count)
        j = bisect_left(self.vcpus, vcpus)
        k = bisect_left(self.memories_gib, memory_gib)
        if i == len(self.counts) or j == len(self.vcpus) or k == len(self.memories_gib):
            return None
        return self.row_of.item(i, j, k)


@dataclass(frozen=True, slots=True)
class TableAxes:
    """What identifies a table and fixes its shape; `types` selects the instance types that it covers."""

    gpu_model: str | None
    arch: str | None
    counts: tuple[float, ...]
    vcpus: tuple[float, ...]
    memories_gib: tuple[float, ...]

    @property
    def size_shape(self) -> tuple[int, int, int]:
        """Lengths of the three size axes."""
        return len(self.counts), len(self.vcpus), len(self.memories_gib)


@dataclass(frozen=True, slots=True, eq=False)
class TypeSizes:
    """Sizes per instance type [t]."""

    gpu_count: F64
    vcpus: F64
    memory_gib: F64


def axes_of(gpu_model: str | None, arch: str | None, types: Bools, sizes: TypeSizes) -> TableAxes:
    """Axes of the table over the types where `types` [t] is true."""
    return TableAxes(
        gpu_model=gpu_model,
        arch=arch,
        counts=tuple(np.unique(sizes.gpu_count[types]).tolist()),
        vcpus=tuple(np.unique(sizes.vcpus[types]).tolist()),
        memories_gib=tuple(np.unique(sizes.memory_gib[types]).tolist()),
    )


@dataclass(frozen=True, slots=True, eq=False)
class CellOffers:
    """Placement offers by cell: `cell`, `rank`, `type_index` and `price_nanos` are aligned, one entry an offer."""

    cell: I32
    rank: I16
    type_index: I16
    price_nanos: I64
    cell_start: I32
    option_count: int
    region_count: int


def build_table(axes: TableAxes, types: Bools, offers: CellOffers, sizes: TypeSizes) -> SizeTable:
    """The dominance table of `axes` over the offers whose type is in `types` [t]."""
    cells = offers.option_count * offers.region_count
    shape = (*axes.size_shape, cells)
    rank = np.full(shape, NO_OFFER, dtype=np.int16)
    chosen = np.flatnonzero(types[offers.type_index])
    kinds = offers.type_index[chosen]
    at = (
        np.searchsorted(np.asarray(axes.counts), sizes.gpu_count[kinds]),
        np.searchsorted(np.asarray(axes.vcpus), sizes.vcpus[kinds]),
        np.searchsorted(np.asarray(axes.memories_gib), sizes.memory_gib[kinds]),
        offers.cell[chosen],
    )
    # Offers come in ascending rank; assigning them backwards leaves the lowest rank of each slot.
    flat = np.ravel_multi_index(at, shape)[::-1]
    rank.reshape(-1)[flat] = offers.rank[chosen][::-1]
    for axis in range(3):
        _minimum_from_large_end(rank, axis)
    row_of, rows = _shared_rows(rank.reshape(-1, cells))
    # One appended +inf, past all offers, is the price of every sentinel.
    price = np.append(offers.price_nanos.astype(np.float64), np.inf)
    offer = np.where(rows == NO_OFFER, offers.price_nanos.size, rows + offers.cell_start[:-1])
    final = (len(rows), offers.option_count, offers.region_count)
    return SizeTable(
        gpu_model=axes.gpu_model,
        arch=axes.arch,
        counts=axes.counts,
        vcpus=axes.vcpus,
        memories_gib=axes.memories_gib,
        row_of=row_of.reshape(axes.size_shape),
        rank=rows.reshape(final),
        price_nanos=price.take(offer).reshape(final),
    )


def _minimum_from_large_end(values: I16, axis: int) -> None:
    """In place: each slot becomes the minimum of itself and all larger ones along `axis`."""
    view: I16 = np.moveaxis(values, axis, 0)
    for i in range(view.shape[0] - 2, -1, -1):
        np.minimum(view[i], view[i + 1], out=view[i])


def _shared_rows(ranks: I16) -> tuple[I32, I16]:
    """Number of the distinct row per row, and the distinct rows in order of first occurrence."""
    numbers: dict[bytes, int] = {}
    row_of = np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in ranks], dtype=np.int32)
    first = np.unique(row_of, return_index=True)[1]
    return row_of, ranks[first]
