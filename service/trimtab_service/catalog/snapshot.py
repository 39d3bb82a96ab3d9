"""The immutable catalogue that every decision reads: arrays by number, names by position.

Indices: `c` cloud (position in `CLOUDS`), `r` region, `z` zone, `t` instance type, `o` placement option (position
in `PLACEMENT_OPTIONS`), `k` placement offer, `n` catalogue row. Regions and types are sorted by (cloud, name), so
within one region the order of type indices is the order of names: the fixed tie-break of equal prices.

A *cell* is (option, region): `cell = o * region_count + r`. Its offers are the slice
`cell_start[cell]:cell_start[cell + 1]`, ascending by (price, type). A *rank* is a position in that slice.

Arrays are read-only and, when opened from disk, mapped: worker processes share the pages. Prices are integer
nano-USD per hour; egress rates are integer nano-USD per GiB. Missing numbers of a type are NaN.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum

import numpy as np

from trimtab_service.catalog.arrays import F64, I8, I16, I32, I64, U16, Bools
from trimtab_service.catalog.size_tables import SizeTable
from trimtab_service.domain.offers import (
    CLOUDS,
    PLACEMENT_OPTIONS,
    PRICE_BASES,
    PURCHASE_OPTIONS,
    Cloud,
    Offer,
    PriceBasis,
    PurchaseOption,
)
from trimtab_service.domain.regions import Region

EPOCH = date(1970, 1, 1)
UNKNOWN_BUCKET = -1
UNKNOWN_DAY = -1
OPTION_COUNT = len(PLACEMENT_OPTIONS)


class ZoneEvidence(IntEnum):
    """How the zones of a type in a region are known."""

    ASSUMED = 0
    """No offering facts about this type, or about this region: every zone is assumed."""
    LISTED = 1
    """The offering facts name these zones."""
    NOT_LISTED = 2
    """The offering facts know the type elsewhere and the region for others, but not together: no zone."""


def day_number(day: date) -> int:
    """Days since 1970-01-01, as `*_as_of` arrays store dates."""
    return (day - EPOCH).days


def day_of(number: int) -> date:
    """The date of a day number."""
    return EPOCH + timedelta(days=number)


@dataclass(frozen=True, slots=True, eq=False)
class TypeColumns:
    """Facts per instance type [t]. `gpu_model` is an index into `CatalogSnapshot.gpu_models`, -1 for none.

    `gpu_memory_gib` is per GPU, as the catalogue gives it. `family`, `arch` index the snapshot's name tuples.
    `network_gbps` and `local_storage_gb` are NaN where unknown. `spot_supported` says what the cloud allows,
    not that a spot price is known.
    """

    cloud: I8
    family: I16
    arch: I8
    vcpus: F64
    memory_gib: F64
    gpu_model: I16
    gpu_count: F64
    gpu_memory_gib: F64
    network_gbps: F64
    local_storage_gb: F64
    burstable: Bools
    current_generation: Bools
    spot_supported: Bools


@dataclass(frozen=True, slots=True, eq=False)
class RowColumns:
    """Every accepted price row [n], ascending by (region, type, option): what `ListOffers` shows."""

    region: I16
    type_index: I16
    option: I8
    price_nanos: I64
    upfront_micros: I64
    as_of: I32
    basis: I8
    source: I16


@dataclass(frozen=True, slots=True, eq=False)
class OfferColumns:
    """Placement offers [k], grouped by cell, ascending by (price, type) within it.

    `cell_start` has one more entry than there are cells. `row` points into `RowColumns`. `bucket` is the Spot
    Advisor's interruption bucket 0..4 (spot offers of AWS only), else `UNKNOWN_BUCKET`.
    """

    cell_start: I32
    type_index: I16
    price_nanos: I64
    as_of: I32
    basis: I8
    bucket: I8
    row: I32


@dataclass(frozen=True, slots=True, eq=False)
class EgressColumns:
    """Transfer rates in nano-USD per GiB.

    `pair_nanos`, `pair_basis`, `pair_as_of` (`UNKNOWN_DAY` without a date) [source r][destination r]: zero within a
    region; the inter-region rate within a cloud; between clouds the first internet tier of the source.
    `internet_tier_from_gib` and `internet_tier_nanos` [source r][geography][tier]: what a GiB costs once that many
    GiB left the source this month; unused tiers start at +inf. A destination's geography is
    `region_geography[r]` (0 is worldwide). `inter_zone_nanos`, `ingress_nanos` [cloud].
    """

    pair_nanos: I64
    pair_basis: I8
    pair_as_of: I32
    internet_tier_from_gib: F64
    internet_tier_nanos: I64
    internet_basis: I8
    region_geography: I8
    inter_zone_nanos: I64
    ingress_nanos: I64


@dataclass(frozen=True, slots=True, eq=False)
class CatalogSnapshot:
    """One version of the catalogue. Same content, same `version`, whatever the files or the machine.

    `type_region_zones` [t][r] is a bit mask over the zones of that region (bit i is zone
    `region_zone_start[r] + i`), and `zone_evidence` [t][r] says how it is known (a `ZoneEvidence` value).
    A listed price is no proof that the type is offered: rows of NOT_LISTED pairs are no placement offers.
    `region_cloud` [r] is a cloud code; coordinates are degrees.
    """

    version: str
    regions: tuple[Region, ...]
    zone_names: tuple[str, ...]
    type_names: tuple[str, ...]
    families: tuple[str, ...]
    arches: tuple[str, ...]
    gpu_models: tuple[str, ...]
    sources: tuple[str, ...]
    geographies: tuple[str, ...]
    types: TypeColumns
    rows: RowColumns
    offers: OfferColumns
    egress: EgressColumns
    region_cloud: I8
    region_latitude: F64
    region_longitude: F64
    region_zone_start: I32
    type_region_zones: U16
    zone_evidence: I8
    tables: Mapping[tuple[str | None, str | None], SizeTable]
    region_index: Mapping[tuple[Cloud, str], int]
    type_index: Mapping[tuple[Cloud, str], int]

    @property
    def region_count(self) -> int:
        """Number of regions."""
        return len(self.regions)

    def table(self, gpu_model: str | None, arch: str | None = None) -> SizeTable | None:
        """Dominance table of a canonical GPU model (None: types without accelerator), or None if it has no type.

        `arch` narrows the accelerator-less table (`x86_64`, `arm64`); a GPU model has types of one architecture
        in practice, and where it has several a narrowed table exists as well.
        """
        return self.tables.get((gpu_model, arch))

    def cell(self, option: int, region: int) -> int:
        """Number of the cell of a placement option and a region."""
        return option * len(self.regions) + region

    def offer_at(self, option: int, region: int, rank: int) -> int:
        """Index k of the offer at a rank of a cell."""
        return int(self.offers.cell_start[option * len(self.regions) + region]) + rank

    def find_offer(self, option: int, region: int, type_index: int) -> int | None:
        """Index k of the offer of a type in a cell; None where it has no price."""
        cell = option * len(self.regions) + region
        start, end = int(self.offers.cell_start[cell]), int(self.offers.cell_start[cell + 1])
        hits = np.flatnonzero(self.offers.type_index[start:end] == type_index)
        return start + int(hits[0]) if hits.size else None

    def offer_price_nanos(self, option: int, region: int, type_index: int) -> int | None:
        """Nano-USD per hour of one offer; None where it has no price."""
        k = self.find_offer(option, region, type_index)
        return None if k is None else int(self.offers.price_nanos[k])

    def zones_of(self, type_index: int, region: int) -> tuple[str, ...]:
        """Names of the zones of a region where a type is offered (or assumed to be, see the class)."""
        mask = int(self.type_region_zones[type_index, region])
        start, end = int(self.region_zone_start[region]), int(self.region_zone_start[region + 1])
        return tuple(self.zone_names[z] for z in range(start, end) if mask >> (z - start) & 1)

    def type_cloud(self, type_index: int) -> Cloud:
        """Cloud of a type."""
        return CLOUDS[int(self.types.cloud[type_index])]

    def row_offer(self, row: int) -> Offer:
        """One catalogue row as a domain object."""
        rows = self.rows
        region = self.regions[int(rows.region[row])]
        return Offer(
            cloud=region.cloud,
            region=region.name,
            instance_type=self.type_names[int(rows.type_index[row])],
            option=PURCHASE_OPTIONS[int(rows.option[row])],
            usd_nanos_per_hour=int(rows.price_nanos[row]),
            upfront_usd_micros=int(rows.upfront_micros[row]),
            as_of=day_of(int(rows.as_of[row])),
            basis=PRICE_BASES[int(rows.basis[row])],
            source=self.sources[int(rows.source[row])],
        )

    def rows_by_basis(self) -> dict[PriceBasis, int]:
        """Accepted rows by basis; bases without rows are left out."""
        counts = np.bincount(self.rows.basis, minlength=len(PRICE_BASES)).tolist()
        return {basis: count for basis, count in zip(PRICE_BASES, counts, strict=True) if count}

    def rows_by_option(self) -> dict[PurchaseOption, int]:
        """Accepted rows by purchase option; options without rows are left out."""
        counts = np.bincount(self.rows.option, minlength=len(PURCHASE_OPTIONS)).tolist()
        return {option: count for option, count in zip(PURCHASE_OPTIONS, counts, strict=True) if count}

    def price_dates(self) -> tuple[date, date] | None:
        """Oldest and newest `as_of` of the rows; None for a catalogue without prices."""
        if not self.rows.as_of.size:
            return None
        return day_of(int(self.rows.as_of.min())), day_of(int(self.rows.as_of.max()))
