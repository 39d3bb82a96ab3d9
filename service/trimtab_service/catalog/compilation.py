"""A source directory to a snapshot: read, sift, compose, assemble, tabulate. Runs in the builder process only."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from trimtab_service.catalog.assembly import (
    Names,
    name_lists,
    offer_columns,
    region_facts,
    row_columns,
    spot_buckets,
    type_columns,
    with_composed,
    zone_columns,
)
from trimtab_service.catalog.attached_gpus import Hosts, compose
from trimtab_service.catalog.quarantine import Quarantine
from trimtab_service.catalog.row_checks import (
    ARCHES,
    CLOUD_NAMES,
    Check,
    Table,
    sift,
    sift_prices,
    sift_regions,
    sift_types,
)
from trimtab_service.catalog.snapshot import CatalogSnapshot, TypeColumns
from trimtab_service.catalog.source_files import SourceFiles, UnreadableFileError, read_source
from trimtab_service.catalog.tabulation import size_tables
from trimtab_service.catalog.transfer_rates import rate_matrices, sift_egress
from trimtab_service.domain.offers import CLOUDS, Cloud
from trimtab_service.domain.reasons import CatalogIssue
from trimtab_service.domain.regions import Region

DEFAULT_MAX_LOST_SHARE = 0.05
LARGEST_BUCKET = 4
MAX_TYPES = 30_000
"""Types and ranks are stored in 16 bits."""
_JUDGED = ("prices", "instance_types", "regions")


class TooManyRowsLostError(Exception):
    """A table lost more of its rows than allowed. Carries the table, the counts and the share."""

    def __init__(self, table: str, lost: int, rows: int, allowed: float) -> None:
        super().__init__(f"{table}: {lost} of {rows} rows were not believed, more than {allowed:.1%}")
        self.table = table
        self.lost = lost
        self.rows = rows


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """An unversioned snapshot (its `version` is empty until stored) and what was odd about its source."""

    snapshot: CatalogSnapshot
    source_rows: int
    warnings: tuple[str, ...]


def compile_source(directory: Path, *, as_of: date, max_lost_share: float, quarantine: Quarantine) -> Compiled:
    """Loads a directory. Raises UnreadableFileError and TooManyRowsLostError."""
    source = read_source(directory, quarantine)
    frames = source.frames
    regions = sift_regions(frames["regions"], quarantine)
    types = sift_types(frames["instance_types"], quarantine)
    prices = sift_prices(frames["prices"], regions, types, as_of, quarantine)
    _refuse_if_gutted(source, quarantine, max_lost_share)
    zones = _sift_zones(frames["zones"], regions, quarantine)
    facts = region_facts(regions, zones)
    offerings = _sift_offerings(frames["zone_offerings"], facts, types, quarantine)
    advisor = _sift_advisor(frames["aws_spot_advisor"], facts, types, quarantine)
    composed = compose(frames["gcp_attachable_gpus"], Hosts(types, prices, zones, offerings), quarantine)
    all_types, all_prices = with_composed(types, prices, composed)
    offered = pl.concat([offerings.select(composed.zone_offerings.columns), composed.zone_offerings])
    # A pair that fits but has no price is no type.
    kinds = all_types.select("cloud", pl.col("name").alias("instance_type"))
    offered = offered.join(kinds, on=["cloud", "instance_type"], how="semi")
    names = name_lists(facts, all_types, all_prices)
    rates = rate_matrices(sift_egress(frames["egress"], facts, quarantine), facts)
    type_facts = type_columns(all_types, names)
    rows = row_columns(all_prices, all_types.height, names)
    zone_facts = zone_columns(offered, names, all_types)
    buckets = spot_buckets(advisor, names, all_types)
    offers = offer_columns(rows, len(facts), buckets, zone_facts.zone_evidence)
    snapshot = CatalogSnapshot(
        version="",
        regions=facts,
        zone_names=names.zone_names,
        type_names=names.type_names,
        families=names.families,
        arches=ARCHES,
        gpu_models=names.gpu_models,
        sources=names.sources,
        geographies=rates.geographies,
        types=type_facts,
        rows=rows,
        offers=offers,
        egress=rates.columns,
        region_cloud=np.array([CLOUDS.index(region.cloud) for region in facts], dtype=np.int8),
        region_latitude=np.array([region.latitude for region in facts]),
        region_longitude=np.array([region.longitude for region in facts]),
        region_zone_start=zone_facts.region_zone_start,
        type_region_zones=zone_facts.type_region_zones,
        zone_evidence=zone_facts.zone_evidence,
        tables=size_tables(names.gpu_models, ARCHES, type_facts, offers, len(facts)),
        region_index={(region.cloud, region.name): number for number, region in enumerate(facts)},
        type_index=_type_index(names, type_facts),
    )
    return Compiled(snapshot, frames["prices"].height, (*source.warnings, *composed.warnings, *rates.warnings))


def _type_index(names: Names, types: TypeColumns) -> dict[tuple[Cloud, str], int]:
    clouds = [CLOUDS[code] for code in types.cloud.tolist()]
    return {(cloud, name): number for number, (cloud, name) in enumerate(zip(clouds, names.type_names, strict=True))}


def _refuse_if_gutted(source: SourceFiles, quarantine: Quarantine, allowed: float) -> None:
    types = source.frames["instance_types"].height
    if types > MAX_TYPES:
        raise UnreadableFileError("instance_types", f"{types} types, more than {MAX_TYPES}")
    for table in _JUDGED:
        rows, lost = source.frames[table].height, quarantine.rows_of(table)
        if not rows or lost > allowed * rows:
            raise TooManyRowsLostError(table, lost, rows, allowed)


def _sift_zones(frame: pl.DataFrame, regions: pl.DataFrame, quarantine: Quarantine) -> pl.DataFrame:
    known = regions.select(pl.concat_str("cloud", "region", separator="\0")).to_series().implode()
    checks = [
        Check(CatalogIssue.UNKNOWN_CLOUD, pl.col("cloud").is_in(CLOUD_NAMES).not_()),
        Check(CatalogIssue.UNKNOWN_REGION, pl.concat_str("cloud", "region", separator="\0").is_in(known).not_()),
        Check(CatalogIssue.BAD_SPEC, pl.col("zone").fill_null("").str.strip_chars() == ""),
    ]
    return sift(frame, Table("zones", ("cloud", "zone"), ("cloud", "region", "zone")), checks, quarantine)


def _sift_offerings(
    frame: pl.DataFrame, regions: tuple[Region, ...], types: pl.DataFrame, quarantine: Quarantine
) -> pl.DataFrame:
    zones = [f"{region.cloud}\0{region.name}\0{zone}" for region in regions for zone in region.zones]
    kinds = types.select(pl.concat_str("cloud", "name", separator="\0")).to_series().implode()
    checks = [
        Check(CatalogIssue.UNKNOWN_CLOUD, pl.col("cloud").is_in(CLOUD_NAMES).not_()),
        Check(
            CatalogIssue.UNKNOWN_REGION, pl.concat_str("cloud", "region", "zone", separator="\0").is_in(zones).not_()
        ),
        Check(
            CatalogIssue.UNKNOWN_INSTANCE_TYPE,
            pl.concat_str("cloud", "instance_type", separator="\0").is_in(kinds).not_(),
        ),
    ]
    table = Table("zone_offerings", ("cloud", "zone", "instance_type"), ("cloud", "region", "zone", "instance_type"))
    return sift(frame, table, checks, quarantine)


def _sift_advisor(
    frame: pl.DataFrame, regions: tuple[Region, ...], types: pl.DataFrame, quarantine: Quarantine
) -> pl.DataFrame:
    names = [region.name for region in regions if region.cloud == "aws"]
    kinds = types.filter(pl.col("cloud") == "aws")["name"].implode()
    bucket = pl.col("interruption_bucket")
    checks = [
        Check(CatalogIssue.UNKNOWN_REGION, pl.col("region").is_in(names).not_()),
        Check(CatalogIssue.UNKNOWN_INSTANCE_TYPE, pl.col("instance_type").is_in(kinds).not_()),
        Check(CatalogIssue.BAD_NUMBER, bucket.is_finite().not_()),
        Check(CatalogIssue.BAD_SPEC, (bucket < 0) | (bucket > LARGEST_BUCKET) | (bucket != bucket.floor())),
    ]
    key = ("region", "instance_type")
    return sift(frame, Table("aws_spot_advisor", key, (*key, "interruption_bucket")), checks, quarantine)
