"""What the search keeps ready for one catalogue, made once a snapshot and only read after.

Single numbers of arrays are read through memoryviews: they give Python numbers at a third of the price of an
array element, and the search reads a hundred of them for each decision.
"""

from datetime import datetime
from typing import Final, NamedTuple

import numpy as np

from trimtab_service.catalog.arrays import F64, I16, I32, I64
from trimtab_service.catalog.services import UnknownService, packaged_services
from trimtab_service.catalog.size_tables import NO_OFFER, SizeTable
from trimtab_service.catalog.snapshot import OPTION_COUNT, CatalogSnapshot, day_of
from trimtab_service.domain.decisions import ChosenOffer
from trimtab_service.domain.offers import CLOUDS, PLACEMENT_OPTIONS, PRICE_BASES, Cloud, PurchaseOption
from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.domain.workloads import Size
from trimtab_service.placement.blocks import ActiveBlocks
from trimtab_service.placement.egress import EgressRates
from trimtab_service.placement.owned import Scopes
from trimtab_service.placement.region_sets import RegionSet, RegionSets
from trimtab_service.placement.type_sets import TypeSet, TypeSets

OPTION_OF_CODE: Final = (*PLACEMENT_OPTIONS, PurchaseOption.OWNED_COMMITMENT)
"""Options by code: those of the catalogue, then owned room."""

FEW_TYPES: Final = 64
"""Up to so many types allowed, their offers are gathered one by one instead of taken from a size table."""

_KEPT_INDEXES: Final = 4
_KEPT_OFFERS: Final = 65_536


class CheapestBySize(NamedTuple):
    """The cheapest large enough offer of each cell, [option][region] end to end; +inf and `NO_OFFER` for none."""

    price_nanos: F64
    rank: I16


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
    """Where owned room may be used. `singular` [region] are types whose coverage is a matter of their own: by
    commitments of a family, of a type, or of resources. Every other type of a `wide` region is covered by spend
    alone, which covers the less of a gang the dearer a type is, so that the cheapest of them is the best.
    """

    regions: RegionSet
    wide: RegionSet
    singular: dict[int, TypeSet]


Barriers = dict[int, list[Barrier]]
"""By region."""


class SearchIndex:
    """Views, sets and kept answers of one snapshot. Threads may share it: all it changes are caches of equal values."""

    __slots__ = (
        "_by_type_offers",
        "_by_type_start",
        "_offers",
        "_services",
        "_views",
        "_zones",
        "as_of",
        "basis",
        "blocks",
        "bucket",
        "cell_start",
        "clouds",
        "egress",
        "family_of",
        "no_offers",
        "owned",
        "other_clouds",
        "policies",
        "price",
        "region_count",
        "region_sets",
        "snapshot",
        "type_of",
        "type_sets",
        "zone_bits",
        "zones_of_region",
    )

    def __init__(self, snapshot: CatalogSnapshot) -> None:
        offers = snapshot.offers
        self.snapshot = snapshot
        self.region_count = len(snapshot.regions)
        self.region_sets = RegionSets(snapshot)
        self.type_sets = TypeSets(snapshot)
        self.egress = EgressRates(snapshot)
        self.type_of = memoryview(offers.type_index)
        self.price = memoryview(offers.price_nanos)
        self.as_of = memoryview(offers.as_of)
        self.basis = memoryview(offers.basis)
        self.bucket = memoryview(offers.bucket)
        self.cell_start: list[int] = offers.cell_start.tolist()
        self.clouds: list[Cloud] = [region.cloud for region in snapshot.regions]
        self.zone_bits = memoryview(snapshot.type_region_zones)
        starts = snapshot.region_zone_start.tolist()
        self.zones_of_region = [snapshot.zone_names[a:b] for a, b in zip(starts[:-1], starts[1:], strict=True)]
        self.family_of = [snapshot.families[f] for f in snapshot.types.family.tolist()]
        self.other_clouds = {
            cloud: self.region_sets.barrier(self.region_sets.all & ~self.region_sets.of_clouds((cloud,)))
            for cloud in CLOUDS
        }
        cells = OPTION_COUNT * self.region_count
        self.no_offers = CheapestBySize(np.full(cells, np.inf), np.full(cells, NO_OFFER, np.int16))
        order = np.argsort(offers.type_index, kind="stable")
        self._by_type_offers: I64 = order
        self._by_type_start: list[int] = np.searchsorted(
            offers.type_index[order], np.arange(len(snapshot.type_names) + 1)
        ).tolist()
        # The same memory as the tables, with the two last axes as one.
        self._views = {
            key: CheapestBySize(table.price_nanos.reshape(-1, cells), table.rank.reshape(-1, cells))
            for key, table in snapshot.tables.items()
        }
        self._offers: dict[tuple[int, int, str], ChosenOffer] = {}
        self._zones: dict[tuple[int, int], tuple[str, ...]] = {}
        self._services: dict[str, RegionSet] = {}
        self.blocks: dict[int, tuple[ActiveBlocks, Barriers]] = {}
        """Reported failures resolved to this catalogue, by identity of the answer that named them."""
        self.owned: dict[int, tuple[Scopes, OwnedTypes]] = {}
        """What commitments may cover, resolved to this catalogue, by identity of the scopes."""
        self.policies: dict[str, tuple[RegionSet, TypeSet | None]] = {}
        """Regions and types left over by a policy's residencies, by the policy's content key."""

    def cheapest_of_types(self, types: TypeSet) -> CheapestBySize:
        """Cheapest offer of each cell among a few types."""
        found = [self._by_type_offers[self._by_type_start[t] : self._by_type_start[t + 1]] for t in TypeSets.members(types)]
        if not found:
            return self.no_offers
        ks = np.sort(np.concatenate(found))[::-1]
        starts: I32 = self.snapshot.offers.cell_start
        cells = np.searchsorted(starts, ks, side="right") - 1
        price = np.full(OPTION_COUNT * self.region_count, np.inf)
        rank = np.full(OPTION_COUNT * self.region_count, NO_OFFER, np.int16)
        # Descending, so that the lowest rank of a cell is written last.
        price[cells] = self.snapshot.offers.price_nanos[ks]
        rank[cells] = ks - starts[cells]
        return CheapestBySize(price, rank)

    def cheapest_of_size(self, size: Size) -> tuple[CheapestBySize, bool]:
        """Cheapest large enough offer of each cell, and whether vCPUs, memory, GPUs and architecture are all in it.

        Where they are not, the price is still a lower bound of what fits.
        """
        if not size.gpus:
            found, exact = self._from_table(None, size.architecture, 0.0, size)
            return found or self.no_offers, exact
        best: CheapestBySize | None = None
        all_exact = True
        for need in size.gpus:
            for model in need.models:
                memory = self.type_sets.model_memory.get(model)
                if memory is None or memory.most < need.memory_gib:
                    continue
                found, exact = self._from_table(model, size.architecture, need.count, size)
                if found is None:
                    continue
                all_exact &= exact and memory.least >= need.memory_gib
                best = (
                    found
                    if best is None
                    else CheapestBySize(
                        np.minimum(best.price_nanos, found.price_nanos), np.minimum(best.rank, found.rank)
                    )
                )
        return best or self.no_offers, all_exact

    def has_offers(self, types: TypeSet) -> bool:
        """Whether any of a few types has a price anywhere, under any option."""
        starts = self._by_type_start
        return any(starts[t + 1] > starts[t] for t in TypeSets.members(types))

    def regions_named(self, cloud: Cloud | None, region: str, zone: str) -> list[int]:
        """Regions of a cloud (None: of any) by name; without a name those that have the zone, or all."""
        if cloud is not None and region:
            r = self.snapshot.region_index.get((cloud, region))
            return [] if r is None else [r]
        return [
            r
            for r, place in enumerate(self.snapshot.regions)
            if (cloud is None or place.cloud is cloud)
            and (not region or place.name == region)
            and (not zone or zone in self.zones_of_region[r])
        ]

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

    def offer(self, k: int, region: int, option: int, zone: str) -> ChosenOffer:
        """Offer k as a domain object. Offers are facts: the last ones made are kept."""
        made = self._offers.get((k, option, zone))
        if made is None:
            place = self.snapshot.regions[region]
            made = ChosenOffer(
                cloud=place.cloud,
                region=place.name,
                zone=zone,
                instance_type=self.snapshot.type_names[self.type_of[k]],
                option=OPTION_OF_CODE[option],
                nanos_per_hour=self.price[k],
                basis=PRICE_BASES[self.basis[k]],
                as_of=day_of(self.as_of[k]),
            )
            if len(self._offers) >= _KEPT_OFFERS:
                self._offers.clear()
            self._offers[k, option, zone] = made
        return made

    def _from_table(
        self, model: str | None, arch: str | None, count: float, size: Size
    ) -> tuple[CheapestBySize | None, bool]:
        exact = True
        table: SizeTable | None = self.snapshot.tables.get((model, arch))
        if table is None:
            table, exact = self.snapshot.tables.get((model, None)), arch is None
            if table is None:
                return None, True
        slot = table.slot(count, size.vcpus, size.memory_gib)
        if slot is None:
            return None, True
        view = self._views[table.gpu_model, table.arch]
        return CheapestBySize(view.price_nanos[slot], view.rank[slot]), exact


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
