"""What the search keeps ready for one catalogue, made once a snapshot and only read after.

Single numbers of arrays are read through memoryviews: they give Python numbers at a third of the price of an
array element, and the search reads a hundred of them for each decision.
"""

from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import numpy as np

from trimtab_service import compiled
from trimtab_service.catalog.arrays import F64, I16, I32, I64, AnyArray
from trimtab_service.catalog.services import UnknownService, packaged_services
from trimtab_service.catalog.size_tables import NO_OFFER, SizeTable
from trimtab_service.catalog.snapshot import OPTION_COUNT, CatalogSnapshot, day_of
from trimtab_service.domain.decisions import ChosenOffer
from trimtab_service.domain.offers import CLOUDS, PRICE_BASES, Cloud
from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.domain.workloads import Size
from trimtab_service.placement.egress import EgressRates
from trimtab_service.placement.options import OPTION_OF_CODE
from trimtab_service.placement.rates import RateBook
from trimtab_service.placement.region_sets import RegionSet, RegionSets
from trimtab_service.placement.type_sets import TypeSet, TypeSets

if TYPE_CHECKING:
    from trimtab_service.placement.blocks import ActiveBlocks
    from trimtab_service.placement.kernel import Kernel
    from trimtab_service.placement.owned import Scopes

FEW_TYPES: Final = 64
"""Up to so many types allowed, their offers are gathered one by one instead of taken from a size table."""

_KEPT_BOOKS: Final = 256
_KEPT_INDEXES: Final = 3
_KEPT_OFFERS: Final = 65_536
_KEPT_MIXED: Final = 1_024


class CheapestBySize(NamedTuple):
    """The cheapest large enough offer of each cell, [option][region] end to end; +inf and `NO_OFFER` for none.

    `offered` [option] are the regions that have one. `exact`: vCPUs, memory, GPUs and architecture are all met;
    where not, the price is still a lower bound of what meets them.
    """

    price_nanos: F64
    rank: I16
    offered: tuple[RegionSet, ...]
    exact: bool


class Barrier(NamedTuple):
    """`types` are barred under the options whose code is a bit of `options`; only in `zone_bits` unless that is 0.

    `name` is the type's name as it was given, for offers that the catalogue does not hold; empty: any.
    `end_time` is when it falls, if it does by itself.
    """

    reason: RejectionReason
    types: TypeSet
    options: int
    zone_bits: int
    name: str
    end_time: datetime | None


class OwnedTypes(NamedTuple):
    """Where owned room may be used.

    `singular` [region] are types whose coverage is a matter of their own: by commitments of a family, of a type, or
    of resources. Every other type of a `wide` region is covered by spend alone, which covers the less of a gang the
    dearer a type is, so that the cheapest of them is the best.
    """

    regions: RegionSet
    wide: RegionSet
    singular: dict[int, TypeSet]


class Barriers(NamedTuple):
    """Barriers of single regions by their number, and those of many regions at once, which name no zone."""

    by_region: dict[int, list[Barrier]]
    wide: list[tuple[RegionSet, Barrier]]

    def of_region(self, region: int) -> list[Barrier]:
        """Those that hold in a region."""
        found = self.by_region.get(region, _NO_BARRIER)
        for regions, barrier in self.wide:
            if regions >> region & 1:
                found = [*found, barrier]
        return found


_NO_BARRIER: Final[list[Barrier]] = []


class SearchIndex:
    """Views, sets and kept answers of one snapshot. Threads may share it: all it changes are caches of equal values."""

    __slots__ = (
        "_books",
        "_by_type_offers",
        "_by_type_start",
        "_cell_types",
        "_learned",
        "_mixed",
        "_services",
        "_tables",
        "_zones",
        "as_of",
        "basis",
        "blocks",
        "bucket",
        "cell_start",
        "clouds",
        "egress",
        "family_of",
        "kernel",
        "made_offers",
        "no_offers",
        "other_clouds",
        "owned",
        "policies",
        "price",
        "region_count",
        "region_sets",
        "snapshot",
        "type_of",
        "type_sets",
        "zone_bits",
        "zone_places",
        "zones_of_region",
    )

    def __init__(self, snapshot: CatalogSnapshot) -> None:
        offers = snapshot.offers
        self.snapshot = snapshot
        self.region_count = len(snapshot.regions)
        self.region_sets = RegionSets(snapshot)
        self.type_sets = TypeSets(snapshot)
        self.egress = EgressRates(snapshot)
        self.type_of = _reader(offers.type_index)
        self.price = _reader(offers.price_nanos)
        self.as_of = _reader(offers.as_of)
        self.basis = _reader(offers.basis)
        self.bucket = _reader(offers.bucket)
        self.cell_start: list[int] = offers.cell_start.tolist()
        self.clouds: list[Cloud] = [region.cloud for region in snapshot.regions]
        self.zone_bits = _reader(snapshot.type_region_zones)
        starts = snapshot.region_zone_start.tolist()
        self.zones_of_region = [snapshot.zone_names[a:b] for a, b in pairwise(starts)]
        self.zone_places: dict[str, list[tuple[int, int]]] = {}
        """Regions that have a zone of a name, each with the zone's bit."""
        for r, zones in enumerate(self.zones_of_region):
            for i, zone in enumerate(zones):
                self.zone_places.setdefault(zone, []).append((r, 1 << i))
        self.family_of = [snapshot.families[f] for f in snapshot.types.family.tolist()]
        cells = OPTION_COUNT * self.region_count
        self.no_offers = CheapestBySize(
            np.full(cells, np.inf), np.full(cells, NO_OFFER, np.int16), (0,) * OPTION_COUNT, exact=True
        )
        order = np.argsort(offers.type_index, kind="stable")
        self._by_type_offers: I64 = order
        self._by_type_start: list[int] = np.searchsorted(
            offers.type_index[order], np.arange(len(snapshot.type_names) + 1)
        ).tolist()
        self._tables: dict[tuple[str | None, str | None], tuple[SizeTable, dict[int, CheapestBySize]]] = {
            key: (table, {}) for key, table in snapshot.tables.items()
        }
        """Each table with the rows looked at so far, which are views of it."""
        self._mixed: dict[tuple[int, int], tuple[CheapestBySize, CheapestBySize, CheapestBySize]] = {}
        """By identity of two rows: the cheaper of them, and the two, so that no identity is another's."""
        self.made_offers: dict[tuple[int, int], tuple[ChosenOffer, ...]] = {}
        self._zones: dict[tuple[int, int], tuple[str, ...]] = {}
        self.other_clouds: dict[Cloud, F64] = {
            cloud: self.region_sets.barrier(self.region_sets.all & ~self.region_sets.of_clouds((cloud,)))
            for cloud in CLOUDS
        }
        """Vectors that bar the regions of a cloud."""
        self._books: dict[int, tuple[RateBook, dict[int, bool]]] = {}
        self._learned: dict[int, tuple[RateBook, bytes]] = {}
        self._cell_types: dict[int, TypeSet] = {}
        self._services: dict[str, RegionSet] = {}
        self.blocks: dict[int, tuple[ActiveBlocks, Barriers]] = {}
        """Reported failures resolved to this catalogue, by identity of the answer that named them."""
        self.owned: dict[int, tuple[Scopes, OwnedTypes]] = {}
        """What commitments may cover, resolved to this catalogue, by identity of the scopes."""
        self.policies: dict[str, tuple[RegionSet, TypeSet | None]] = {}
        """Regions and types left over by a policy's residencies, by the policy's content key."""
        built = compiled.load("kernel")
        self.kernel: Kernel | None = None if built is None else built.kernel_of(self)
        """The compiled form of a decision, where it is built."""

    def cheapest_of_types(self, types: TypeSet) -> CheapestBySize:
        """Cheapest offer of each cell among a few types."""
        starts = self._by_type_start
        found = [self._by_type_offers[starts[t] : starts[t + 1]] for t in TypeSets.members(types)]
        if not found:
            return self.no_offers
        ks = np.sort(np.concatenate(found))[::-1]
        cell_start: I32 = self.snapshot.offers.cell_start
        cells = np.searchsorted(cell_start, ks, side="right") - 1
        price = np.full(OPTION_COUNT * self.region_count, np.inf)
        rank = np.full(OPTION_COUNT * self.region_count, NO_OFFER, np.int16)
        # Descending, so that the lowest rank of a cell is written last.
        price[cells] = self.snapshot.offers.price_nanos[ks]
        rank[cells] = ks - cell_start[cells]
        return CheapestBySize(price, rank, self._offered(price), exact=True)

    def cheapest_of_size(self, size: Size) -> CheapestBySize:
        """Cheapest large enough offer of each cell."""
        if not size.gpus:
            return self._of_table(None, 0.0, size) or self.no_offers
        best: CheapestBySize | None = None
        for need in size.gpus:
            for model in need.models:
                memory = self.type_sets.model_memory.get(model)
                if memory is None or memory.most < need.memory_gib:
                    continue
                found = self._of_table(model, need.count, size)
                if found is None:
                    continue
                if memory.least < need.memory_gib:
                    found = found._replace(exact=False)
                best = found if best is None else self._cheaper(best, found)
        return best or self.no_offers

    def _cheaper(self, one: CheapestBySize, other: CheapestBySize) -> CheapestBySize:
        """The cheaper of two rows in each cell; kept, because a name that is read as several models is asked again."""
        key = (id(one), id(other))
        kept = self._mixed.get(key)
        if kept is None:
            if len(self._mixed) >= _KEPT_MIXED:
                self._mixed.clear()
            kept = self._mixed[key] = (_cheaper(one, other), one, other)
        return kept[0]

    def _of_table(self, model: str | None, count: float, size: Size) -> CheapestBySize | None:
        """The row of a size; None where nothing is that large."""
        arch = size.architecture
        known = self._tables.get((model, arch)) or self._tables.get((model, None))
        if known is None:
            return None
        table, views = known
        row = table.slot(count, size.vcpus, size.memory_gib)
        if row is None:
            return None
        view = views.get(row)
        if view is None:
            price = table.price_nanos[row].reshape(-1)
            view = CheapestBySize(price, table.rank[row].reshape(-1), self._offered(price), exact=True)
            views[row] = view
        return view if table.arch == arch else view._replace(exact=False)

    def _offered(self, price: F64) -> tuple[RegionSet, ...]:
        whole = self.region_sets.of_bools(price < np.inf)
        regions, every = self.region_count, self.region_sets.all
        return tuple(whole >> o * regions & every for o in range(OPTION_COUNT))

    def types_of_cell(self, option: int, region: int) -> TypeSet:
        """Types with an offer in a cell; kept once asked for."""
        cell = option * self.region_count + region
        known = self._cell_types.get(cell)
        if known is None:
            present = np.zeros(self.type_sets.count, np.bool_)
            present[self.snapshot.offers.type_index[self.cell_start[cell] : self.cell_start[cell + 1]]] = True
            known = self.type_sets.of_bools(present)
            self._cell_types[cell] = known
        return known

    def has_offers(self, types: TypeSet) -> bool:
        """Whether any of a few types has a price anywhere, under any option."""
        starts = self._by_type_start
        return any(starts[t + 1] > starts[t] for t in TypeSets.members(types))

    def known_types(self, book: RateBook) -> dict[int, bool]:
        """What callers have found of types: whether a rate book knows their family; kept for the last books."""
        kept = self._books.get(id(book))
        if kept is None:
            while len(self._books) >= _KEPT_BOOKS:
                self._books.pop(next(iter(self._books)), None)
            kept = self._books[id(book)] = (book, {})
        return kept[1]

    def learned_types(self, book: RateBook) -> bytes:
        """Types of the families that a rate book knows, a bit each from the lowest on; kept for the last books."""
        kept = self._learned.get(id(book))
        if kept is None:
            sets, found = self.type_sets, 0
            for (cloud, family), _ in book.families():
                found |= sets.by_family.get(family, 0) & sets.by_cloud.get(Cloud(cloud), 0)
            while len(self._learned) >= _KEPT_BOOKS:
                self._learned.pop(next(iter(self._learned)), None)
            kept = self._learned[id(book)] = (book, found.to_bytes(sets.count // 8 + 1, "little"))
        return kept[1]

    def regions_named(self, cloud: Cloud | None, region: str) -> RegionSet:
        """Regions of a cloud (None: of any) by name (empty: all)."""
        if not region:
            return self.region_sets.all if cloud is None else self.region_sets.by_cloud.get(cloud, 0)
        found = 0
        for name in CLOUDS if cloud is None else (cloud,):
            r = self.snapshot.region_index.get((name, region))
            if r is not None:
                found |= 1 << r
        return found

    def regions_with(self, service: str) -> RegionSet:
        """Regions with a cloud service of the packaged table; none for a name it does not know."""
        known = self._services.get(service)
        if known is None:
            table = packaged_services()
            facts = table.find(service)
            known = (
                0
                if isinstance(facts, UnknownService)
                else self.region_sets.of_bools(table.regions_with(facts, self.snapshot))
            )
            self._services[service] = known
        return known

    def zones_offered(self, t: int, region: int) -> tuple[str, ...]:
        """Names of the zones of a region that offer a type, in order; kept by the zones that they are."""
        bits = self.zone_bits[t, region]
        known = self._zones.get((region, bits))
        if known is None:
            known = tuple(name for i, name in enumerate(self.zones_of_region[region]) if bits >> i & 1)
            self._zones[region, bits] = known
        return known

    def has_next_zone(self, t: int, region: int) -> bool:
        """Whether a type is offered in more than one zone of a region."""
        return bool(self.zone_bits[t, region].bit_count() > 1)

    def offers_in_zones(self, k: int, region: int, option: int) -> tuple[ChosenOffer, ...]:
        """Offer k in the first two zones that offer it; one without a zone where none is known. The last are kept."""
        made = self.made_offers.get((k, option))
        if made is None:
            zones = self.zones_offered(self.type_of[k], region)
            first = self.offer(k, region, option, zones[0] if zones else "")
            made = (first, first._replace(zone=zones[1])) if len(zones) > 1 else (first,)
            if len(self.made_offers) >= _KEPT_OFFERS:
                self.made_offers.clear()
            self.made_offers[k, option] = made
        return made

    def offer(self, k: int, region: int, option: int, zone: str) -> ChosenOffer:
        """Offer k as a domain object; under owned room k is the on-demand offer that it stands for."""
        place = self.snapshot.regions[region]
        return ChosenOffer(
            place.cloud,
            place.name,
            zone,
            self.snapshot.type_names[self.type_of[k]],
            OPTION_OF_CODE[option],
            self.price[k],
            PRICE_BASES[self.basis[k]],
            day_of(self.as_of[k]),
        )


def _reader(array: AnyArray) -> "memoryview[int]":
    """The array as Python numbers, one at a time. numpy's stubs do not say that arrays have the buffer protocol."""
    return memoryview(cast("bytes", array))


def _cheaper(one: CheapestBySize, other: CheapestBySize) -> CheapestBySize:
    return CheapestBySize(
        np.minimum(one.price_nanos, other.price_nanos),
        np.minimum(one.rank, other.rank),
        tuple(a | b for a, b in zip(one.offered, other.offered, strict=True)),
        one.exact and other.exact,
    )


_INDEXES: dict[int, SearchIndex] = {}
"""By identity of the snapshot. An entry holds its snapshot, so an identity is never of another while it is here."""


def index_of(snapshot: CatalogSnapshot) -> SearchIndex:
    """The index of a snapshot, made at its first use (or by a caller who warms it before a swap)."""
    index = _INDEXES.get(id(snapshot))
    if index is None:
        index = SearchIndex(snapshot)
        while len(_INDEXES) >= _KEPT_INDEXES:
            _INDEXES.pop(next(iter(_INDEXES)), None)
        _INDEXES[id(snapshot)] = index
    return index
