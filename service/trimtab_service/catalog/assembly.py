"""Sifted frames to the arrays of a snapshot. Runs in the builder process only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from trimtab_service.catalog.arrays import F64, I8, I32, I64, U16, Bools
from trimtab_service.catalog.attached_gpus import Composition
from trimtab_service.catalog.row_checks import ARCHES
from trimtab_service.catalog.snapshot import (
    OPTION_COUNT,
    UNKNOWN_BUCKET,
    OfferColumns,
    RowColumns,
    TypeColumns,
    ZoneEvidence,
)
from trimtab_service.domain.accelerators import canonical_model
from trimtab_service.domain.money import MICROS_PER_USD, NANOS_PER_USD
from trimtab_service.domain.offers import CLOUDS, PLACEMENT_OPTIONS, PURCHASE_OPTIONS, Cloud, PurchaseOption
from trimtab_service.domain.regions import Region

_PRICE_COLUMNS = (
    "cloud",
    "region",
    "instance_type",
    "usd_per_hour",
    "upfront_usd",
    "source",
    "option",
    "basis_code",
    "day",
)
MAX_ZONES = 16
"""Bits of a zone mask."""


@dataclass(frozen=True, slots=True)
class Names:
    """Names by position; the order fixes every index of the snapshot."""

    regions: tuple[Region, ...]
    zone_names: tuple[str, ...]
    type_names: tuple[str, ...]
    families: tuple[str, ...]
    gpu_models: tuple[str, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ZoneColumns:
    """Zone arrays as in `CatalogSnapshot`."""

    region_zone_start: I32
    type_region_zones: U16
    zone_evidence: I8


def region_facts(regions: pl.DataFrame, zones: pl.DataFrame) -> tuple[Region, ...]:
    """Regions with their zones by name. A region without listed zones is one fault domain of its own name."""
    by_region: dict[tuple[str, str], list[str]] = {}
    for cloud, region, zone in zones.select("cloud", "region", "zone").sort("cloud", "region", "zone").iter_rows():
        by_region.setdefault((cloud, region), []).append(zone)
    return tuple(
        Region(
            cloud=Cloud(row["cloud"]),
            name=row["region"],
            location=row["location"] or "",
            country=row["country"],
            continent=row["continent"],
            eu_member=row["eu_member"],
            latitude=row["lat"],
            longitude=row["lon"],
            partition=row["partition"] or "public",
            zones=tuple(by_region.get((row["cloud"], row["region"]), [row["region"]])[:MAX_ZONES]),
        )
        for row in regions.iter_rows(named=True)
    )


def with_composed(
    types: pl.DataFrame, prices: pl.DataFrame, composed: Composition
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Types and prices including the composed ones; `t` of the prices counts in the new order of types."""
    merged = pl.concat([types, composed.types.cast(types.schema)]).sort("cloud", "name")
    new_number = {key: number for number, key in enumerate(zip(merged["cloud"], merged["name"], strict=True))}
    renumber = pl.Series([new_number[key] for key in zip(types["cloud"], types["name"], strict=True)], dtype=pl.Int32)
    kept = (
        prices.select(*_PRICE_COLUMNS, "r", renumber.gather(prices["t"]).alias("t"))
        if prices.height
        else prices.select(*_PRICE_COLUMNS, "r", "t")
    )
    if not composed.prices.height:
        return merged, kept
    region_number = dict(prices.filter(pl.col("cloud") == "gcp").select("region", "r").unique().rows())
    added = composed.prices.select(
        *_PRICE_COLUMNS,
        pl.col("region").replace_strict(region_number, return_dtype=pl.Int32).alias("r"),
        pl.col("instance_type")
        .replace_strict(
            {name: number for (cloud, name), number in new_number.items() if cloud == "gcp"}, return_dtype=pl.Int32
        )
        .alias("t"),
    )
    return merged, pl.concat([kept, added.cast(kept.schema)])


def name_lists(regions: tuple[Region, ...], types: pl.DataFrame, prices: pl.DataFrame) -> Names:
    """All name tuples; sets are sorted so that the same content gives the same positions."""
    return Names(
        regions=regions,
        zone_names=tuple(zone for region in regions for zone in region.zones),
        type_names=tuple(types["name"].to_list()),
        families=tuple(sorted(set(types["family"].fill_null("").to_list()))),
        gpu_models=tuple(sorted({model for model in _canonical(types) if model})),
        sources=tuple(sorted(set(prices["source"].fill_null("").unique().to_list()))),
    )


def _canonical(types: pl.DataFrame) -> list[str]:
    """Canonical GPU model per type, empty for none."""
    return [
        canonical_model(model, memory or 0.0) if count else ""
        for model, memory, count in zip(
            types["gpu_model"].fill_null(""), types["gpu_memory_gib"], types["gpu_count"].fill_null(0.0), strict=True
        )
    ]


def _positions(values: Sequence[str], names: Sequence[str]) -> list[int]:
    number = {name: position for position, name in enumerate(names)}
    return [number.get(value, -1) for value in values]


def _floats(series: pl.Series, missing: float) -> F64:
    return series.fill_nan(None).fill_null(missing).to_numpy().astype(np.float64)


def type_columns(types: pl.DataFrame, names: Names) -> TypeColumns:
    """Facts per type, in the order of `types`."""
    return TypeColumns(
        cloud=np.array(_positions(types["cloud"].to_list(), CLOUDS), dtype=np.int8),
        family=np.array(_positions(types["family"].fill_null("").to_list(), names.families), dtype=np.int16),
        arch=np.array(_positions(types["arch"].to_list(), ARCHES), dtype=np.int8),
        vcpus=_floats(types["vcpus"], 0.0),
        memory_gib=_floats(types["memory_gib"], 0.0),
        gpu_model=np.array(_positions(_canonical(types), names.gpu_models), dtype=np.int16),
        gpu_count=_floats(types["gpu_count"], 0.0),
        gpu_memory_gib=_floats(types["gpu_memory_gib"], 0.0),
        network_gbps=_floats(types["network_gbps"], np.nan),
        local_storage_gb=_floats(types["local_storage_gb"], np.nan),
        burstable=types["burstable"].fill_null(value=False).to_numpy(),
        current_generation=types["current_generation"].fill_null(value=True).to_numpy(),
        spot_supported=types["spot_supported"].fill_null(value=False).to_numpy(),
    )


def row_columns(prices: pl.DataFrame, type_count: int, names: Names) -> RowColumns:
    """Price rows, ascending by (region, type, option)."""
    region: I64 = prices["r"].to_numpy().astype(np.int64)
    kind: I64 = prices["t"].to_numpy().astype(np.int64)
    option: I64 = prices["option"].to_numpy().astype(np.int64)
    order = np.argsort((region * type_count + kind) * len(PURCHASE_OPTIONS) + option, kind="stable")
    source = (
        prices["source"]
        .fill_null("")
        .replace_strict(list(names.sources), list(range(len(names.sources))), return_dtype=pl.Int32)
    )
    return RowColumns(
        region=region[order].astype(np.int16),
        type_index=kind[order].astype(np.int16),
        option=option[order].astype(np.int8),
        # Exact to the nano: nine decimals of a price below a million dollars fit a float64.
        price_nanos=np.rint(prices["usd_per_hour"].to_numpy()[order] * NANOS_PER_USD).astype(np.int64),
        upfront_micros=np.rint(prices["upfront_usd"].to_numpy()[order] * MICROS_PER_USD).astype(np.int64),
        as_of=prices["day"].to_numpy()[order].astype(np.int32),
        basis=prices["basis_code"].to_numpy()[order].astype(np.int8),
        source=source.to_numpy()[order].astype(np.int16),
    )


def offer_columns(rows: RowColumns, region_count: int, buckets: I8, zone_evidence: I8) -> OfferColumns:
    """Placement offers by cell. `buckets` [t][r] are interruption buckets of spot offers.

    A price where the offering facts know the type in other regions only is no offer: Google lists the price of
    an A100 in regions that have none. The row stays, and `ListOffers` shows it.
    """
    axis = np.full(len(PURCHASE_OPTIONS), -1, dtype=np.int64)
    for code, option in enumerate(PURCHASE_OPTIONS):
        if option.placement_option is not None:
            axis[code] = PLACEMENT_OPTIONS.index(option.placement_option)
    placement = axis[rows.option]
    is_offered = zone_evidence[rows.type_index, rows.region] != ZoneEvidence.NOT_LISTED
    chosen = np.flatnonzero((placement >= 0) & is_offered)
    cell = placement[chosen] * region_count + rows.region[chosen]
    order = np.lexsort((rows.type_index[chosen], rows.price_nanos[chosen], cell))
    chosen, cell = chosen[order], cell[order]
    # Two products may answer the same placement option (reserved_1y beside cud_1y): the cheaper one does.
    pair = cell * (int(rows.type_index.max(initial=0)) + 1) + rows.type_index[chosen]
    keep = np.sort(np.unique(pair, return_index=True)[1])
    chosen, cell = chosen[keep], cell[keep]
    cells = OPTION_COUNT * region_count
    start = np.zeros(cells + 1, dtype=np.int32)
    np.cumsum(np.bincount(cell, minlength=cells), out=start[1:])
    spot = PLACEMENT_OPTIONS.index(PurchaseOption.SPOT)
    bucket = np.array(buckets[rows.type_index[chosen], rows.region[chosen]])
    bucket[cell // region_count != spot] = UNKNOWN_BUCKET
    return OfferColumns(
        cell_start=start,
        type_index=rows.type_index[chosen],
        price_nanos=rows.price_nanos[chosen],
        as_of=rows.as_of[chosen],
        basis=rows.basis[chosen],
        bucket=bucket,
        row=chosen.astype(np.int32),
    )


def zone_columns(offerings: pl.DataFrame, names: Names, types: pl.DataFrame) -> ZoneColumns:
    """Zone masks and how they are known, from sifted offerings (cloud, region, zone, instance_type)."""
    regions = names.regions
    start = np.zeros(len(regions) + 1, dtype=np.int32)
    np.cumsum([len(region.zones) for region in regions], out=start[1:])
    every_zone = np.array([(1 << len(region.zones)) - 1 for region in regions], dtype=np.uint16)
    position = {
        (str(region.cloud), zone): (number, bit)
        for number, region in enumerate(regions)
        for bit, zone in enumerate(region.zones)
    }
    type_number = {key: number for number, key in enumerate(zip(types["cloud"], types["name"], strict=True))}
    masks = np.zeros((types.height, len(regions)), dtype=np.uint16)
    by_zone = offerings.group_by("cloud", "zone").agg(pl.col("instance_type"))
    for cloud, zone, kinds in by_zone.iter_rows():
        region, bit = position[cloud, zone]
        masks[[type_number[cloud, kind] for kind in kinds], region] |= np.uint16(1 << bit)
    listed: Bools = masks > 0
    facts = np.logical_and.outer(listed.any(axis=1), listed.any(axis=0))
    evidence = np.where(
        listed, ZoneEvidence.LISTED, np.where(facts, ZoneEvidence.NOT_LISTED, ZoneEvidence.ASSUMED)
    ).astype(np.int8)
    masks = np.where(evidence == ZoneEvidence.ASSUMED, every_zone[None, :], masks)
    return ZoneColumns(start, masks, evidence)


def spot_buckets(advisor: pl.DataFrame, names: Names, types: pl.DataFrame) -> I8:
    """Interruption bucket [t][r] from sifted advisor rows; composed and other clouds' types have none."""
    buckets = np.full((types.height, len(names.regions)), UNKNOWN_BUCKET, dtype=np.int8)
    region_number = {r.name: number for number, r in enumerate(names.regions) if r.cloud is Cloud.AWS}
    type_number = {
        name: number
        for number, (cloud, name) in enumerate(zip(types["cloud"], types["name"], strict=True))
        if cloud == Cloud.AWS
    }
    if advisor.height:
        at_type = [type_number[name] for name in advisor["instance_type"]]
        at_region = [region_number[name] for name in advisor["region"]]
        buckets[at_type, at_region] = advisor["interruption_bucket"].to_numpy().astype(np.int8)
    return buckets
