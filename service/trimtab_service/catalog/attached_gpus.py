"""Composes instance types whose GPUs are priced apart from their host (GCP N1).

Runs in the builder process only. A composed type is `n1-standard-8+nvidia-tesla-t4x1`; its price is the host's price
plus the GPUs', on demand and spot (no committed price of a GPU is known, so none is composed). The GPU price
list covers one region: there the sum is DERIVED_HOST_PLUS_GPU, elsewhere ESTIMATED_GPU_REGION. A composition exists
only in regions where the GPU is listed in some zone.
"""

from dataclasses import dataclass

import polars as pl

from trimtab_service.catalog.quarantine import Quarantine
from trimtab_service.catalog.row_checks import Check, Table, sift
from trimtab_service.domain.offers import PRICE_BASES, PURCHASE_OPTIONS, PriceBasis, PurchaseOption
from trimtab_service.domain.reasons import CatalogIssue

HOST_FAMILY = "n1"
_HOST_NAME = "^n1-(standard|highmem|highcpu)-"

LIMITS: dict[str, dict[int, tuple[float, float]]] = {
    "nvidia-tesla-t4": {1: (48, 312), 2: (48, 312), 4: (96, 624)},
    "nvidia-tesla-p4": {1: (24, 156), 2: (48, 312), 4: (96, 624)},
    "nvidia-tesla-v100": {1: (12, 78), 2: (24, 156), 4: (48, 312), 8: (96, 624)},
    "nvidia-tesla-p100": {1: (16, 104), 2: (32, 208), 4: (64, 208)},
}
"""Most vCPUs and GiB of a host by GPU and GPU count, as Compute Engine's page on GPU machine types states them
(2024; four P100 allow more in some zones, the smaller figure holds in all). A GPU that is not here is not composed."""

MAX_USD_PER_GPU_HOUR = 100.0

OPTION_COLUMN = {
    PurchaseOption.ON_DEMAND: "on_demand_usd_per_gpu_hour",
    PurchaseOption.SPOT: "spot_usd_per_gpu_hour",
}


@dataclass(frozen=True, slots=True)
class Composition:
    """Composed rows in the columns of the sifted tables; prices still name regions and types by text."""

    types: pl.DataFrame
    prices: pl.DataFrame
    zone_offerings: pl.DataFrame
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hosts:
    """Sifted tables that hosts are found in."""

    types: pl.DataFrame
    prices: pl.DataFrame
    zones: pl.DataFrame
    zone_offerings: pl.DataFrame


def compose(gpus: pl.DataFrame, hosts: Hosts, quarantine: Quarantine) -> Composition:
    """All pairs of host and GPU within the limits, priced where both are."""
    on_demand, spot = pl.col("on_demand_usd_per_gpu_hour"), pl.col("spot_usd_per_gpu_hour")
    checks = [
        Check(CatalogIssue.BAD_NUMBER, on_demand.is_finite().not_() | spot.is_finite().not_()),
        Check(CatalogIssue.NEGATIVE_PRICE, (on_demand <= 0) | (spot <= 0)),
        Check(CatalogIssue.PRICE_UNIT, (on_demand > MAX_USD_PER_GPU_HOUR) | (spot > MAX_USD_PER_GPU_HOUR)),
        Check(CatalogIssue.BAD_SPEC, pl.col("gpu_model").fill_null("") == ""),
    ]
    shown = ("accelerator", "on_demand_usd_per_gpu_hour", "spot_usd_per_gpu_hour")
    gpus = sift(gpus, Table("gcp_attachable_gpus", ("accelerator",), shown), checks, quarantine)
    unlimited = [name for name in gpus["accelerator"].to_list() if name not in LIMITS]
    warnings = (f"gcp_attachable_gpus: no host limits known for {', '.join(unlimited)}: left out",) if unlimited else ()
    combined = _pairs(gpus, hosts.types)
    placed = _zones_of_gpus(gpus, hosts.zones)
    zone_rows = (
        combined.select("accelerator", "composed", "name")
        .join(placed, on="accelerator")
        .join(
            hosts.zone_offerings.filter(pl.col("cloud") == "gcp").select("zone", pl.col("instance_type").alias("name")),
            on=["zone", "name"],
        )
        .select(pl.lit("gcp").alias("cloud"), "region", "zone", pl.col("composed").alias("instance_type"))
    )
    offered = placed.select("accelerator", "region").unique()
    price_rows = _prices(combined.join(offered, on="accelerator"), hosts.prices)
    priced = price_rows["instance_type"].unique()
    type_rows = combined.filter(pl.col("composed").is_in(priced.implode())).select(_type_columns(hosts.types))
    return Composition(type_rows, price_rows, zone_rows, warnings)


def _pairs(gpus: pl.DataFrame, types: pl.DataFrame) -> pl.DataFrame:
    limits = pl.DataFrame(
        [
            (accelerator, float(count), max_vcpus, max_memory)
            for accelerator, by_count in LIMITS.items()
            for count, (max_vcpus, max_memory) in by_count.items()
        ],
        schema={"accelerator": pl.String, "count": pl.Float64, "max_vcpus": pl.Float64, "max_memory": pl.Float64},
        orient="row",
    )
    hosts = types.filter((pl.col("cloud") == "gcp") & pl.col("name").str.contains(_HOST_NAME))
    devices = gpus.select(
        "accelerator",
        pl.col("gpu_model").alias("device"),
        pl.col("gpu_memory_gib").alias("device_memory"),
        *OPTION_COLUMN.values(),
        "price_region",
        pl.col("source").alias("gpu_source"),
    )
    return (
        hosts.join(devices.join(limits, on="accelerator"), how="cross")
        .filter((pl.col("vcpus") <= pl.col("max_vcpus")) & (pl.col("memory_gib") <= pl.col("max_memory")))
        .with_columns(
            pl.format("{}+{}x{}", "name", "accelerator", pl.col("count").cast(pl.Int64)).alias("composed"),
        )
    )


def _type_columns(types: pl.DataFrame) -> list[pl.Expr]:
    replaced = {
        "name": pl.col("composed"),
        "gpu_vendor": pl.lit("nvidia"),
        "gpu_model": pl.col("device"),
        "gpu_count": pl.col("count"),
        "gpu_memory_gib": pl.col("device_memory"),
        "spot_supported": pl.lit(value=True),
        "source": pl.col("source") + "+" + pl.col("gpu_source"),
    }
    return [replaced.get(column, pl.col(column)).alias(column) for column in types.columns]


def _zones_of_gpus(gpus: pl.DataFrame, zones: pl.DataFrame) -> pl.DataFrame:
    """(accelerator, zone, region) of known GCP zones; zones that the catalogue does not know are left out."""
    listed = gpus.select("accelerator", pl.col("zones").fill_null("").str.split(" ").alias("zone")).explode("zone")
    known = zones.filter(pl.col("cloud") == "gcp").select("zone", "region")
    return listed.join(known, on="zone").unique(maintain_order=True)


def _prices(combined: pl.DataFrame, prices: pl.DataFrame) -> pl.DataFrame:
    basis = {name: number for number, name in enumerate(PRICE_BASES)}
    parts = []
    for option, column in OPTION_COLUMN.items():
        code = PURCHASE_OPTIONS.index(option)
        hosts = prices.filter((pl.col("cloud") == "gcp") & (pl.col("option") == code)).select(
            "region",
            pl.col("instance_type").alias("name"),
            "usd_per_hour",
            "day",
            pl.col("source").alias("host_source"),
        )
        parts.append(
            combined.join(hosts, on=["region", "name"]).select(
                pl.lit("gcp").alias("cloud"),
                "region",
                pl.col("composed").alias("instance_type"),
                pl.lit(code, dtype=pl.Int32).alias("option"),
                (pl.col("usd_per_hour") + pl.col("count") * pl.col(column)).alias("usd_per_hour"),
                pl.lit(0.0).alias("upfront_usd"),
                "day",
                pl.when(pl.col("region") == pl.col("price_region").str.split(" ").list.first())
                .then(pl.lit(basis[PriceBasis.DERIVED_HOST_PLUS_GPU], dtype=pl.Int32))
                .otherwise(pl.lit(basis[PriceBasis.ESTIMATED_GPU_REGION], dtype=pl.Int32))
                .alias("basis_code"),
                (pl.col("host_source") + "+" + pl.col("gpu_source")).alias("source"),
            )
        )
    return pl.concat(parts)
