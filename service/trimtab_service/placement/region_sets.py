"""Sets of regions as integers: bit r stands for region r of one catalogue.

Intersections, differences and counts of 136 regions are then single operations on small integers, and the set is
its own cache key. Only when costs are summed does a set become a vector: 0 where it holds, +inf elsewhere.
"""

from collections.abc import Iterable

import numpy as np

from trimtab_service.catalog.arrays import F64, Bools
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.workloads import RegionKey
from trimtab_service.placement.options import ROWS

RegionSet = int
"""Bit r is region r."""

PUBLIC = "public"

_KEPT_BARRIERS = 2_048


class RegionSets:
    """The sets that rules are made of, for one catalogue. `barrier` keeps its last vectors; threads may share it."""

    __slots__ = ("_barriers", "_index", "_lists", "all", "by_cloud", "by_country", "by_partition", "count", "public")

    def __init__(self, snapshot: CatalogSnapshot) -> None:
        self.count = len(snapshot.regions)
        self.all: RegionSet = (1 << self.count) - 1
        self.by_country: dict[str, RegionSet] = {}
        self.by_cloud: dict[Cloud, RegionSet] = {}
        self.by_partition: dict[str, RegionSet] = {}
        self._index = snapshot.region_index
        self._lists: dict[frozenset[str], RegionSet] = {}
        self._barriers: dict[RegionSet, F64] = {}
        for r, region in enumerate(snapshot.regions):
            bit = 1 << r
            self.by_country[region.country] = self.by_country.get(region.country, 0) | bit
            self.by_cloud[region.cloud] = self.by_cloud.get(region.cloud, 0) | bit
            # A partition goes by the catalogue's name (`gov`) and by that of its cloud (`aws-gov`).
            for name in (region.partition, f"{region.cloud}-{region.partition}"):
                self.by_partition[name] = self.by_partition.get(name, 0) | bit
        self.public: RegionSet = self.by_partition.get(PUBLIC, 0)

    def of_countries(self, countries: frozenset[str]) -> RegionSet:
        """Regions in any of the countries; kept for the last lists."""
        found = self._lists.get(countries)
        if found is None:
            found, known = 0, self.by_country
            for country in countries:
                found |= known.get(country, 0)
            if len(self._lists) >= _KEPT_BARRIERS:
                self._lists.clear()
            self._lists[countries] = found
        return found

    def of_clouds(self, clouds: Iterable[Cloud]) -> RegionSet:
        """Regions of any of the clouds."""
        found = 0
        for cloud in clouds:
            found |= self.by_cloud.get(cloud, 0)
        return found

    def of_keys(self, keys: Iterable[RegionKey]) -> RegionSet:
        """The named regions; names the catalogue does not know are no region."""
        found, index = 0, self._index
        for key in keys:
            r = index.get((key.cloud, key.region))
            if r is not None:
                found |= 1 << r
        return found

    def of_partitions(self, partitions: Iterable[str]) -> RegionSet:
        """Public regions and those of the named partitions."""
        found = self.public
        for partition in partitions:
            found |= self.by_partition.get(partition, 0)
        return found

    def of_bools(self, chosen: Bools) -> RegionSet:
        """Regions where `chosen` [r] is true."""
        return int.from_bytes(np.packbits(chosen, bitorder="little").tobytes(), "little")

    def to_bools(self, regions: RegionSet) -> Bools:
        """[r] true where the set holds."""
        packed = np.frombuffer(regions.to_bytes((self.count + 7) // 8, "little"), dtype=np.uint8)
        return np.unpackbits(packed, count=self.count, bitorder="little").view(np.bool_)

    def barrier(self, regions: RegionSet) -> F64:
        """Vector over [option][region], end to end: 0 where the region is in the set, +inf where not."""
        vector = self._barriers.get(regions)
        if vector is None:
            vector = np.concatenate((np.where(self.to_bools(regions), 0.0, np.inf),) * ROWS)
            vector.flags.writeable = False
            if len(self._barriers) >= _KEPT_BARRIERS:
                self._barriers.clear()
            self._barriers[regions] = vector
        return vector
