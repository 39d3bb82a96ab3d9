"""Egress file to rate matrices. Runs in the builder process only.

Rates within a cloud are flat by region pair; what leaves for the internet, and so for another cloud, is tiered by the
GiB that left the source region this month, and on GCP also depends on the destination's part of the world.
A region without figures gets the highest listed rate of its cloud, marked ESTIMATED_CLOUD_MAXIMUM: a missing
price must never read as a free one.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from trimtab_service.catalog.arrays import F64, I8, I64
from trimtab_service.catalog.quarantine import Quarantine
from trimtab_service.catalog.row_checks import CLOUD_NAMES, MAX_EGRESS_USD_PER_GIB, Check, Table, day_number_of, sift
from trimtab_service.catalog.snapshot import UNKNOWN_DAY, EgressColumns
from trimtab_service.domain.money import NANOS_PER_USD
from trimtab_service.domain.offers import CLOUDS, PRICE_BASES, Cloud, PriceBasis
from trimtab_service.domain.reasons import CatalogIssue
from trimtab_service.domain.regions import Region

GEOGRAPHY_OF_COUNTRY = {"AU": "australia", "CN": "china"}
"""Destinations that have a price of their own where a geography is named in the file."""

KINDS = ("internet", "inter_region", "inter_zone", "ingress")

FALLBACK_INTERNET_NANOS = 200_000_000
FALLBACK_PAIR_NANOS = 200_000_000
FALLBACK_ZONE_NANOS = 10_000_000
"""Used for a cloud without one listed rate of the kind: above every list price of 2025 (internet, pair), and the
AWS and GCP list price (zone)."""

_LIST = PRICE_BASES.index(PriceBasis.LIST)
_ESTIMATE = PRICE_BASES.index(PriceBasis.ESTIMATED_CLOUD_MAXIMUM)


@dataclass(frozen=True, slots=True)
class TransferRates:
    """Matrices, the names of the geographies, and how many figures were filled in."""

    columns: EgressColumns
    geographies: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Ladder:
    """Internet tiers of one source and geography: (from GiB, nano-USD per GiB), ascending from 0."""

    steps: tuple[tuple[float, int], ...]


def sift_egress(frame: pl.DataFrame, regions: tuple[Region, ...], quarantine: Quarantine) -> pl.DataFrame:
    """Rows that can be believed."""
    known = [f"{region.cloud}\0{region.name}" for region in regions]
    source = pl.concat_str("cloud", "src_region", separator="\0")
    destination = pl.concat_str("cloud", "dst_region_or_geo", separator="\0")
    pairwise_kind = pl.col("kind") == "inter_region"
    usd, tier = pl.col("usd_per_gib"), pl.col("tier_from_gib")
    checks = [
        Check(CatalogIssue.UNKNOWN_CLOUD, pl.col("cloud").is_in([*CLOUD_NAMES, "*"]).not_()),
        Check(CatalogIssue.UNKNOWN_REGION, (source.is_in(known) | (pl.col("src_region") == "*")).not_()),
        Check(CatalogIssue.BAD_SPEC, pl.col("kind").is_in(KINDS).not_()),
        Check(CatalogIssue.UNKNOWN_REGION, pairwise_kind & destination.is_in(known).fill_null(value=False).not_()),
        Check(CatalogIssue.BAD_NUMBER, usd.is_finite().not_() | tier.is_finite().not_()),
        Check(CatalogIssue.NEGATIVE_PRICE, usd < 0),
        Check(CatalogIssue.PRICE_UNIT, usd > MAX_EGRESS_USD_PER_GIB),
        # Only what goes to the internet is tiered.
        Check(CatalogIssue.BAD_SPEC, (tier < 0) | ((tier > 0) & (pl.col("kind") != "internet"))),
    ]
    key = ("cloud", "src_region", "kind", "dst_region_or_geo", "tier_from_gib")
    return sift(frame, Table("egress", key, (*key, "usd_per_gib")), checks, quarantine)


def rate_matrices(frame: pl.DataFrame, regions: tuple[Region, ...]) -> TransferRates:
    """Matrices over `regions` from sifted rows."""
    rows = frame.select(
        "cloud",
        "src_region",
        "kind",
        "dst_region_or_geo",
        "tier_from_gib",
        "usd_per_gib",
        day_number_of("as_of").alias("day"),
    ).rows()
    index = {(str(region.cloud), region.name): number for number, region in enumerate(regions)}
    cloud_codes: I64 = np.array([CLOUDS.index(region.cloud) for region in regions], dtype=np.int64)
    named = sorted({str(row[3]) for row in rows if row[2] == "internet" and row[3]})
    geographies = ("worldwide", *named)
    ladders: dict[tuple[int, str], list[tuple[float, int]]] = {}
    pairs: dict[tuple[int, int], int] = {}
    zone: dict[str, int] = {}
    ingress: dict[str, int] = {}
    as_of = np.full((len(regions), len(regions)), UNKNOWN_DAY, dtype=np.int32)
    for cloud, source, kind, destination, tier, usd, day in sorted(rows, key=_internet_first):
        nanos = round(usd * NANOS_PER_USD)
        if kind == "internet":
            ladders.setdefault((index[cloud, source], destination or "worldwide"), []).append((tier, nanos))
            if tier == 0:
                as_of[index[cloud, source], :] = UNKNOWN_DAY if day is None else day
        elif kind == "inter_region":
            pairs[index[cloud, source], index[cloud, destination]] = nanos
            as_of[index[cloud, source], index[cloud, destination]] = UNKNOWN_DAY if day is None else day
        else:
            (zone if kind == "inter_zone" else ingress)[cloud] = nanos
    internet = _internet(ladders, regions, geographies)
    geography_of = [GEOGRAPHY_OF_COUNTRY.get(region.country, "worldwide") for region in regions]
    geography: I8 = np.array(
        [geographies.index(name) if name in geographies else 0 for name in geography_of], dtype=np.int8
    )
    pair_nanos, pair_basis, estimated_pairs = _pair_matrix(pairs, cloud_codes, internet, geography)
    columns = EgressColumns(
        pair_nanos=pair_nanos,
        pair_basis=pair_basis,
        pair_as_of=as_of,
        internet_tier_from_gib=internet.tier_from_gib,
        internet_tier_nanos=internet.tier_nanos,
        internet_basis=internet.basis,
        region_geography=geography,
        inter_zone_nanos=_by_cloud(zone, FALLBACK_ZONE_NANOS),
        ingress_nanos=_by_cloud(ingress, 0),
    )
    warnings = []
    if estimated_pairs:
        warnings.append(f"egress: {estimated_pairs} region pairs without a rate take the highest of their cloud")
    estimated_sources = int(np.count_nonzero(internet.basis == _ESTIMATE))
    if estimated_sources:
        warnings.append(f"egress: {estimated_sources} regions without an internet rate take the highest of their cloud")
    warnings.extend(
        f"egress: no inter-zone rate for {cloud}: {FALLBACK_ZONE_NANOS / NANOS_PER_USD:g} USD per GiB assumed"
        for cloud in CLOUDS
        if cloud not in zone and "*" not in zone
    )
    return TransferRates(columns, geographies, tuple(warnings))


@dataclass(frozen=True, slots=True, eq=False)
class _Internet:
    tier_from_gib: F64
    tier_nanos: I64
    basis: I8


def _internet_first(row: tuple[object, ...]) -> bool:
    """Sorts internet rows, whose date covers a whole source row, before the pairs that overwrite it."""
    return row[2] != "internet"


def _internet(
    ladders: dict[tuple[int, str], list[tuple[float, int]]], regions: tuple[Region, ...], geographies: tuple[str, ...]
) -> _Internet:
    finished = {key: _Ladder(tuple(sorted(steps))) for key, steps in ladders.items() if min(steps)[0] == 0}
    worst: dict[Cloud, _Ladder] = {}
    for (source, _), ladder in finished.items():
        cloud = regions[source].cloud
        if cloud not in worst or ladder.steps[0][1] > worst[cloud].steps[0][1]:
            worst[cloud] = ladder
    depth = max((len(ladder.steps) for ladder in finished.values()), default=1)
    tier_from = np.full((len(regions), len(geographies), depth), np.inf)
    nanos = np.zeros((len(regions), len(geographies), depth), dtype=np.int64)
    basis = np.full(len(regions), _LIST, dtype=np.int8)
    fallback = _Ladder(((0.0, FALLBACK_INTERNET_NANOS),))
    for number, region in enumerate(regions):
        own = finished.get((number, "worldwide"))
        if own is None:
            basis[number] = _ESTIMATE
            own = worst.get(region.cloud, fallback)
        for place, name in enumerate(geographies):
            steps = finished.get((number, name), own).steps
            tier_from[number, place, : len(steps)] = [start for start, _ in steps]
            nanos[number, place, : len(steps)] = [price for _, price in steps]
            nanos[number, place, len(steps) :] = steps[-1][1]
    return _Internet(tier_from, nanos, basis)


def _pair_matrix(
    pairs: dict[tuple[int, int], int], cloud_codes: I64, internet: _Internet, geography: I8
) -> tuple[I64, I8, int]:
    count = cloud_codes.size
    matrix = internet.tier_nanos[:, geography, 0].copy()
    basis = np.repeat(internet.basis[:, None], count, axis=1)
    for code in range(len(CLOUDS)):
        own = np.flatnonzero(cloud_codes == code)
        listed = [nanos for (source, _), nanos in pairs.items() if cloud_codes[source] == code]
        grid = np.ix_(own, own)
        matrix[grid] = max(listed, default=FALLBACK_PAIR_NANOS)
        basis[grid] = _ESTIMATE
    for (source, destination), nanos in pairs.items():
        matrix[source, destination] = nanos
        basis[source, destination] = _LIST
    np.fill_diagonal(matrix, 0)
    np.fill_diagonal(basis, _LIST)
    same_cloud = cloud_codes[:, None] == cloud_codes[None, :]
    return matrix, basis, int(np.count_nonzero(same_cloud & (basis == _ESTIMATE)))


def _by_cloud(rates: dict[str, int], fallback: int) -> I64:
    return np.array([rates.get(cloud, rates.get("*", fallback)) for cloud in CLOUDS], dtype=np.int64)
