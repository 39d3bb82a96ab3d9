"""Judges rows: each check names the reason a row is not believed, the first that applies wins.

Runs in the builder process only; everything is vectorised over the frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from trimtab_service.catalog.quarantine import EXAMPLES_PER_REASON, Quarantine
from trimtab_service.domain.offers import CLOUDS, PRICE_BASES, PURCHASE_OPTIONS
from trimtab_service.domain.reasons import CatalogIssue
from trimtab_service.domain.regions import CONTINENTS

ARCHES = ("arm64", "x86_64")
CLOUD_NAMES = tuple(cloud.value for cloud in CLOUDS)
"""Plain text: polars reads members of a text enum as a type of their own."""
MAX_USD_PER_HOUR = 2_000.0
MAX_USD_PER_VCPU_HOUR = 25.0
MAX_RATIO_TO_MEDIAN = 30.0
"""Hourly list prices of one type and option differ by a factor below 6 between regions in all data seen; a
price 30 times off the median of at least `MIN_PRICES_TO_COMPARE` is per month, per year, or in cents."""
MIN_PRICES_TO_COMPARE = 3
SMALLEST_USD = 5e-10
"""Half a nano-USD, the smallest price that can be stored."""
MAX_VCPUS = 10_000.0
MAX_MEMORY_GIB = 200_000.0
MAX_MEMORY_GIB_PER_VCPU = 512.0
"""The largest ratio on sale is about 110; MiB read as GiB gives a thousand times too much."""
MAX_GPUS = 1_024.0
MAX_GPU_MEMORY_GIB = 10_000.0
MAX_LATITUDE, MAX_LONGITUDE = 90.0, 180.0
MAX_EGRESS_USD_PER_GIB = 2.0
EARLIEST_PRICE = date(2006, 1, 1)
"""No cloud sold by the hour before."""


@dataclass(frozen=True, slots=True)
class Check:
    """A reason and the expression that is true where it applies."""

    issue: CatalogIssue
    applies: pl.Expr


@dataclass(frozen=True, slots=True)
class Table:
    """How a table's rows are told apart (`key`) and shown in quarantine (`shown`, else the key)."""

    name: str
    key: tuple[str, ...]
    shown: tuple[str, ...] = ()

    def show(self, row: tuple[object, ...]) -> str:
        """`row 17: aws eu-west-9 ...`; the first element is the row's number."""
        return f"row {row[0]}: " + " ".join("-" if value is None else str(value) for value in row[1:])


def sift(frame: pl.DataFrame, table: Table, checks: Sequence[Check], quarantine: Quarantine) -> pl.DataFrame:
    """Rows that pass every check, the first of each key; the others go to quarantine."""
    verdict = pl.lit(None, dtype=pl.Int16)
    for number, check in reversed(list(enumerate(checks))):
        verdict = pl.when(check.applies.fill_null(value=True)).then(pl.lit(number, dtype=pl.Int16)).otherwise(verdict)
    judged = frame.with_columns(verdict.alias("verdict"))
    bad = judged.filter(pl.col("verdict").is_not_null())
    good = judged.filter(pl.col("verdict").is_null()).drop("verdict") if bad.height else frame
    for number, check in enumerate(checks):
        _quarantine(bad.filter(pl.col("verdict") == number), table, check.issue, quarantine)
    key = pl.struct(table.key) if len(table.key) > 1 else pl.col(table.key[0])
    first = good.select(key.is_first_distinct())
    mask = first.to_series()
    if not mask.all():
        _quarantine(good.filter(~mask), table, CatalogIssue.DUPLICATE_KEY, quarantine)
        good = good.filter(mask)
    return good


def _quarantine(rows: pl.DataFrame, table: Table, issue: CatalogIssue, quarantine: Quarantine) -> None:
    if not rows.height:
        return
    shown = rows.head(EXAMPLES_PER_REASON).select("row", *(table.shown or table.key))
    quarantine.add(table.name, issue, rows.height, map(table.show, shown.iter_rows()))


def code_of(column: str, names: Sequence[str], alias: str) -> pl.Expr:
    """Position of a text in `names` as Int32; null where it is none of them."""
    return (
        pl.col(column)
        .replace_strict(list(names), list(range(len(names))), default=None, return_dtype=pl.Int32)
        .alias(alias)
    )


def day_number_of(column: str) -> pl.Expr:
    """Days since 1970-01-01 of a text `2026`, `2026-07` or `2026-07-30`; null for anything else."""
    text = pl.col(column).cast(pl.String)
    padded = (
        pl.when(text.str.len_chars() == len("2026"))
        .then(text + "-01-01")
        .when(text.str.len_chars() == len("2026-07"))
        .then(text + "-01")
        .otherwise(text)
    )
    return padded.str.to_date("%Y-%m-%d", strict=False).to_physical().cast(pl.Int32)


def sift_regions(frame: pl.DataFrame, quarantine: Quarantine) -> pl.DataFrame:
    """Good regions, sorted by (cloud, name)."""
    lat, lon = pl.col("lat"), pl.col("lon")
    checks = [
        Check(CatalogIssue.UNKNOWN_CLOUD, pl.col("cloud").is_in(CLOUD_NAMES).not_()),
        Check(CatalogIssue.UNKNOWN_REGION, pl.col("region").fill_null("").str.strip_chars() == ""),
        Check(CatalogIssue.BAD_NUMBER, lat.is_finite().not_() | lon.is_finite().not_()),
        Check(CatalogIssue.BAD_SPEC, (lat.abs() > MAX_LATITUDE) | (lon.abs() > MAX_LONGITUDE)),
        Check(CatalogIssue.BAD_SPEC, pl.col("country").str.contains("^[A-Z]{2}$").not_()),
        Check(CatalogIssue.BAD_SPEC, pl.col("continent").is_in(sorted(CONTINENTS)).not_()),
        Check(CatalogIssue.BAD_SPEC, pl.col("eu_member").is_null()),
    ]
    table = Table("regions", ("cloud", "region"), ("cloud", "region", "country", "lat", "lon"))
    return sift(frame, table, checks, quarantine).sort("cloud", "region")


def sift_types(frame: pl.DataFrame, quarantine: Quarantine) -> pl.DataFrame:
    """Good instance types, sorted by (cloud, name)."""
    vcpus, memory, count = pl.col("vcpus"), pl.col("memory_gib"), pl.col("gpu_count")
    gpu_memory = pl.col("gpu_memory_gib").fill_nan(None).fill_null(0.0)
    checks = [
        Check(CatalogIssue.UNKNOWN_CLOUD, pl.col("cloud").is_in(CLOUD_NAMES).not_()),
        Check(CatalogIssue.UNKNOWN_INSTANCE_TYPE, pl.col("name").fill_null("").str.strip_chars() == ""),
        Check(CatalogIssue.BAD_NUMBER, vcpus.is_finite().not_() | memory.is_finite().not_()),
        Check(CatalogIssue.BAD_NUMBER, count.fill_null(0.0).is_finite().not_()),
        Check(CatalogIssue.BAD_SPEC, (vcpus <= 0) | (memory <= 0) | (vcpus > MAX_VCPUS) | (memory > MAX_MEMORY_GIB)),
        Check(CatalogIssue.BAD_SPEC, memory / vcpus > MAX_MEMORY_GIB_PER_VCPU),
        Check(CatalogIssue.BAD_SPEC, pl.col("arch").is_in(ARCHES).not_()),
        Check(CatalogIssue.BAD_SPEC, (count.fill_null(0.0) < 0) | (count.fill_null(0.0) > MAX_GPUS)),
        Check(CatalogIssue.BAD_SPEC, (count.fill_null(0.0) > 0) & (pl.col("gpu_model").fill_null("") == "")),
        Check(CatalogIssue.BAD_SPEC, gpu_memory.is_between(0, MAX_GPU_MEMORY_GIB).not_()),
    ]
    shown = ("cloud", "name", "vcpus", "memory_gib", "gpu_model", "gpu_count")
    return sift(frame, Table("instance_types", ("cloud", "name"), shown), checks, quarantine).sort("cloud", "name")


def sift_prices(
    frame: pl.DataFrame, regions: pl.DataFrame, types: pl.DataFrame, as_of: date, quarantine: Quarantine
) -> pl.DataFrame:
    """Good prices with the columns r, t, option, basis_code, day, key; `regions` and `types` are sorted and sifted."""
    region_keys = regions.select(pl.concat_str("cloud", "region", separator="\0"))["cloud"].to_list()
    type_keys = types.select(pl.concat_str("cloud", "name", separator="\0"))["cloud"].to_list()
    coded = (
        frame.with_columns(
            pl.concat_str("cloud", "region", separator="\0").alias("region_key"),
            pl.concat_str("cloud", "instance_type", separator="\0").alias("type_key"),
        )
        .with_columns(
            code_of("region_key", region_keys, "r"),
            code_of("type_key", type_keys, "t"),
            code_of("purchase_option", [option.value for option in PURCHASE_OPTIONS], "option"),
            code_of("basis", [basis.value for basis in PRICE_BASES], "basis_code"),
            day_number_of("as_of").alias("day"),
            pl.col("upfront_usd").fill_null(0.0),
        )
        .drop("region_key", "type_key")
    )
    vcpus = types["vcpus"]
    coded = coded.with_columns(
        ((pl.col("r") * types.height + pl.col("t")).cast(pl.Int64) * len(PURCHASE_OPTIONS) + pl.col("option")).alias(
            "key"
        ),
        vcpus.gather(coded["t"]).alias("vcpus") if types.height else pl.lit(1.0).alias("vcpus"),
    )
    usd = pl.col("usd_per_hour")
    sane = pl.when(usd.is_finite() & (usd > 0)).then(usd)
    kind = pl.col("t") * len(PURCHASE_OPTIONS) + pl.col("option")
    ratio = (usd / sane.median().over(kind)).fill_null(1.0)
    crowded = sane.count().over(kind) >= MIN_PRICES_TO_COMPARE
    upfront = pl.col("upfront_usd")
    checks = [
        Check(CatalogIssue.UNKNOWN_CLOUD, pl.col("cloud").is_in(CLOUD_NAMES).not_()),
        Check(CatalogIssue.UNKNOWN_REGION, pl.col("r").is_null()),
        Check(CatalogIssue.UNKNOWN_INSTANCE_TYPE, pl.col("t").is_null()),
        Check(CatalogIssue.UNKNOWN_PURCHASE_OPTION, pl.col("option").is_null()),
        Check(CatalogIssue.UNKNOWN_BASIS, pl.col("basis_code").is_null()),
        Check(CatalogIssue.BAD_NUMBER, usd.is_finite().not_() | upfront.is_finite().not_()),
        Check(CatalogIssue.NEGATIVE_PRICE, (usd <= 0) | (upfront < 0)),
        Check(CatalogIssue.PRICE_UNIT, (usd > MAX_USD_PER_HOUR) | (usd / pl.col("vcpus") > MAX_USD_PER_VCPU_HOUR)),
        Check(CatalogIssue.PRICE_UNIT, usd < SMALLEST_USD),
        Check(CatalogIssue.PRICE_UNIT, crowded & ((ratio > MAX_RATIO_TO_MEDIAN) | (ratio < 1 / MAX_RATIO_TO_MEDIAN))),
        Check(CatalogIssue.BAD_DATE, pl.col("day").is_null()),
        Check(CatalogIssue.BAD_DATE, pl.col("day") > (as_of - date(1970, 1, 1)).days),
        Check(CatalogIssue.BAD_DATE, pl.col("day") < (EARLIEST_PRICE - date(1970, 1, 1)).days),
    ]
    shown = ("cloud", "region", "instance_type", "purchase_option", "usd_per_hour", "as_of", "basis")
    return sift(coded, Table("prices", ("key",), shown), checks, quarantine)
