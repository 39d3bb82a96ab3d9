"""The cheapest instance type that is large enough, for a whole fleet at once.

A `SizeTable` of one cell (cloud, region, purchase option): axes of the distinct vCPUs and memories of its types, and
at each crossing the cheapest type with at least that much. A need is rounded up to the next value on each axis, which
loses nothing since no type lies between. The catalogue's own tables serve placement; these leave out what sizing
leaves out by default (burstable types, other architectures) and know nothing of GPUs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from trimtab_service.catalog.arrays import F64, I32, I64, Bools
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.rightsizing.arrays import Floats

NO_TYPE: Final = -1


@dataclass(frozen=True, slots=True, eq=False)
class SizeTable:
    """The cheapest type of each size. `vcpus` [i] and `memories_gib` [j] ascend.

    `type_index` and `price_nanos` [i + 1][j + 1] are of the cheapest type with at least so much of both, `NO_TYPE` and
    +inf where there is none, as in the last row and column.
    """

    vcpus: F64
    memories_gib: F64
    type_index: I32
    price_nanos: F64

    @classmethod
    def of(cls, vcpus: F64, memories_gib: F64, price_nanos: F64, type_index: I32) -> Self:
        """The table of offers [n], whose prices are nano-USD per hour. Equal prices: the one that comes first."""
        cpu_axis, memory_axis = np.unique(vcpus), np.unique(memories_gib)
        order = np.argsort(price_nanos, kind="stable")
        none = order.size
        rank = np.full((cpu_axis.size + 1, memory_axis.size + 1), none, dtype=np.int64)
        # Written from the dearest to the cheapest, so that the cheapest of one size stays.
        last = order[::-1]
        at = np.searchsorted(cpu_axis, vcpus[last]), np.searchsorted(memory_axis, memories_gib[last])
        rank[at] = np.arange(none)[::-1]
        for axis in (0, 1):
            rank = np.flip(np.minimum.accumulate(np.flip(rank, axis), axis=axis), axis)
        types = np.append(type_index[order], NO_TYPE).astype(np.int32)
        prices = np.append(price_nanos[order].astype(np.float64), np.inf)
        return cls(cpu_axis, memory_axis, types[rank], prices[rank])

    def cheapest(self, vcpus: Floats, memory_gib: Floats) -> tuple[I32, F64]:
        """(type, nano-USD per hour) for needs [r]; `NO_TYPE`, +inf where none is large enough or a need is NaN."""
        slot = self._slot(vcpus, memory_gib)
        return self.type_index.ravel()[slot], self.price_nanos.ravel()[slot]

    def _slot(self, vcpus: Floats, memory_gib: Floats) -> I64:
        # NaN sorts after everything: it lands in the last row, where there is no type.
        row = np.searchsorted(self.vcpus, vcpus)
        column = np.searchsorted(self.memories_gib, memory_gib)
        return np.asarray(row * (self.memories_gib.size + 1) + column, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class TypeFilter:
    """Which types of a cell are meant: without accelerator always; `arch` None is any."""

    arch: str | None = "x86_64"
    burstable: bool = False
    families: frozenset[str] | None = None


DEFAULT_TYPES: Final = TypeFilter()


def size_table(snapshot: CatalogSnapshot, option: int, region: int, types: TypeFilter = DEFAULT_TYPES) -> SizeTable:
    """The table of a placement option and a region of the catalogue."""
    cell = snapshot.cell(option, region)
    start, end = int(snapshot.offers.cell_start[cell]), int(snapshot.offers.cell_start[cell + 1])
    offered = snapshot.offers.type_index[start:end]
    kept = _allowed(snapshot, types)[offered]
    chosen = offered[kept]
    return SizeTable.of(
        snapshot.types.vcpus[chosen],
        snapshot.types.memory_gib[chosen],
        snapshot.offers.price_nanos[start:end][kept].astype(np.float64),
        chosen.astype(np.int32),
    )


def _allowed(snapshot: CatalogSnapshot, types: TypeFilter) -> Bools:
    columns = snapshot.types
    allowed: Bools = (columns.gpu_count == 0) & np.isfinite(columns.vcpus) & np.isfinite(columns.memory_gib)
    if not types.burstable:
        allowed &= ~columns.burstable
    if types.arch is not None:
        allowed &= columns.arch == (snapshot.arches.index(types.arch) if types.arch in snapshot.arches else -1)
    if types.families is not None:
        wanted = [i for i, family in enumerate(snapshot.families) if family in types.families]
        allowed &= np.isin(columns.family, wanted)
    return allowed


def cheapest_types(tables: Sequence[SizeTable], table_of: I32, vcpus: Floats, memory_gib: Floats) -> tuple[I32, F64]:
    """(type, nano-USD per hour) of each resource [r] in its own cell's table, `tables[table_of[r]]`."""
    types = np.full(table_of.size, NO_TYPE, dtype=np.int32)
    prices = np.full(table_of.size, np.inf)
    order = np.argsort(table_of, kind="stable")
    ends = np.searchsorted(table_of[order], np.arange(len(tables) + 1))
    for number, table in enumerate(tables):
        rows = order[ends[number] : ends[number + 1]]
        types[rows], prices[rows] = table.cheapest(vcpus[rows], memory_gib[rows])
    return types, prices
