"""Builds the starter catalogue that ships in the package, from permissively licensed price rows only.

    python tools/build_starter_catalog.py ../shared/data/catalog

Reads `prices_permissive.parquet` and the fact files beside it, keeps the families that machine learning teams use,
and writes `service/trimtab_service/catalog/starter/` in the layout that the loader reads. Deterministic: the same
input gives the same bytes. Fails where the result would be over 1 MB.
"""

import argparse
import gzip
import io
import re
import sys
from pathlib import Path

import polars as pl

TARGET = Path(__file__).resolve().parent.parent / "service" / "trimtab_service" / "catalog" / "starter"
MAX_BYTES = 1_000_000

ALLOWED_SOURCES = {
    "prices": {"karpenter-aws", "ec2shop", "spotinfo", "gcosts", "karpenter-azure"},
    "instance_types": {"moto", "ec2shop", "gcosts", "cluster-autoscaler", "inferred_from_name"},
    "egress": {"skyplane", "gcosts", "public_list_rule"},
    "gcp_attachable_gpus": {"cluster-autoscaler"},
}
"""Sources under Apache-2.0 or MIT, and rules stated by this project itself."""

AWS_FAMILIES = (
    # general, compute, memory of the current and the previous two generations
    "m5",
    "m6a",
    "m6g",
    "m6i",
    "m7a",
    "m7g",
    "m7i",
    "m8g",
    "c5",
    "c6a",
    "c6g",
    "c6i",
    "c7a",
    "c7g",
    "c7i",
    "c8g",
    "r5",
    "r6a",
    "r6g",
    "r6i",
    "r7a",
    "r7g",
    "r7i",
    "r8g",
    "t3",
    "t4g",
    # T4, T4G, A10G, L4, L40S, V100, A100, H100, H200, B200, Inferentia, Trainium
    "g4dn",
    "g5",
    "g5g",
    "g6",
    "g6e",
    "p3",
    "p3dn",
    "p4d",
    "p4de",
    "p5",
    "p5e",
    "p5en",
    "p6-b200",
    "inf1",
    "inf2",
    "trn1",
    "trn1n",
    "trn2",
)
GCP_FAMILIES = (
    "n1",
    "n2",
    "n2d",
    "n4",
    "e2",
    "c2",
    "c2d",
    "c3",
    "c3d",
    "c4",
    "c4a",
    "t2d",
    "a2",
    "a3",
    "a4",
    "g2",
    "g4",
)
AZURE_NAMES = re.compile(
    # D and E series of v5 and v6, F series of v2 and v6, burstable B v2;
    # the GPU series NC, ND, NV of T4, V100, A10, A100, H100, H200
    r"^Standard_("
    r"D\d+l?(a|p|pl|al)?d?s_v[56]|E\d+(a|p)?d?s_v[56]|F\d+(a|al|am)?s_v[26]|B\d+(a|p)?(l|m)?s_v2"
    r"|NC\d+.*|ND\d+.*|NV\d+ads_A10_v5"
    r")$"
)
PRICE_OPTIONS = (
    "on_demand",
    "spot",
    "reserved_1y_no_upfront",
    "reserved_3y_no_upfront",
    "cud_1y",
    "cud_3y",
)
LARGEST_GENERAL_VCPUS = 96.0
"""General families are cut here; metal and larger sizes are for whoever loads a full catalogue."""


def chosen_types(types: pl.DataFrame) -> pl.DataFrame:
    """Instance types that ship."""
    accelerated = pl.col("gpu_count") > 0
    ordinary = (pl.col("vcpus") <= LARGEST_GENERAL_VCPUS) & pl.col("name").str.contains("metal").not_()
    of_interest = (
        (pl.col("cloud").eq("aws") & pl.col("family").is_in(AWS_FAMILIES))
        | (pl.col("cloud").eq("gcp") & pl.col("family").is_in(GCP_FAMILIES))
        | (pl.col("cloud").eq("azure") & pl.col("name").str.contains(AZURE_NAMES.pattern))
    )
    permissive = pl.col("source").is_in(sorted(ALLOWED_SOURCES["instance_types"]))
    # The Azure local disk sizes of the source come from a bundle under another licence.
    disk = pl.when(pl.col("cloud") == "azure").then(None).otherwise(pl.col("local_storage_gb"))
    return (
        types.filter(of_interest & permissive & (accelerated | ordinary))
        .with_columns(disk.alias("local_storage_gb"))
        .sort("cloud", "name")
    )


def chosen_prices(prices: pl.DataFrame, types: pl.DataFrame) -> pl.DataFrame:
    """Price rows of those types, sorted so that they compress well."""
    kinds = types.select("cloud", pl.col("name").alias("instance_type"))
    return (
        prices.filter(
            pl.col("purchase_option").is_in(PRICE_OPTIONS) & pl.col("source").is_in(sorted(ALLOWED_SOURCES["prices"]))
        )
        .join(kinds, on=["cloud", "instance_type"], how="semi")
        .sort("cloud", "instance_type", "purchase_option", "region")
    )


def csv_bytes(frame: pl.DataFrame) -> bytes:
    """Text with Unix line ends."""
    buffer = io.BytesIO()
    frame.write_csv(buffer)
    return buffer.getvalue()


def write_gzip(path: Path, content: bytes) -> None:
    """Gzip without a time stamp, so that the bytes depend on the content only."""
    path.write_bytes(gzip.compress(content, 9, mtime=0))


def write_parquet(path: Path, frame: pl.DataFrame) -> None:
    """Zstandard at its strongest level, one row group."""
    frame.write_parquet(path, compression="zstd", compression_level=22, statistics=False, row_group_size=1_000_000)


PROVENANCE = """# Starter catalogue: where each fact comes from

Facts only: names, sizes, list prices, coordinates. Built by `tools/build_starter_catalog.py`; do not edit by hand.
Every price row carries `as_of`, `basis` and `source`; trust it only as far as they say. Prices are USD, Linux, shared
tenancy. There is no Azure spot or reserved price, because none is published under such terms.

## Price rows

| cloud | option | basis | source | rows | as_of |
| --- | --- | --- | --- | --- | --- |
{groups}

{rows} price rows of {types} instance types in {regions} regions.

## Basis

| basis | meaning |
| --- | --- |
| list | published list price |
| list_superseded | last published reserved price of a type that has since left the reserved list |
| derived_od_x_savings | AWS spot: on-demand list price x (1 - Spot Advisor's mean saving, 2025-06): not a live quote |

## Sources

| tag | origin | licence there |
| --- | --- | --- |
| karpenter-aws | github.com/aws/karpenter-provider-aws, generated on-demand price tables | Apache-2.0 |
| ec2shop | github.com/yeo/ec2.shop, stored copies of the public EC2 price feeds | MIT |
| spotinfo | github.com/alexei-led/spotinfo, AWS Spot Advisor feed (savings, interruption buckets) | Apache-2.0 |
| gcosts | github.com/Cyclenerd/google-cloud-pricing-cost-calculator, prices, types, internet egress | Apache-2.0 |
| karpenter-azure | github.com/Azure/karpenter-provider-azure, generated price table | Apache-2.0 |
| moto | moto (PyPI), bundled DescribeInstanceTypes and offerings | Apache-2.0 |
| cluster-autoscaler | github.com/kubernetes/autoscaler, Azure size table and GCE GPU prices | Apache-2.0 |
| inferred_from_name | Azure sizes: vCPUs from the name, memory from the family's ratio | own rule |
| skyplane | skyplane (PyPI), AWS transfer table and Azure continent rates, about 2023-03 | Apache-2.0 |
| public_list_rule | GCP inter-region, inter-zone, ingress: public price pages by memory; check first | own rule |

AWS and GCP coordinates: sparecores-crawler (PyPI, MPL-2.0), plain facts. Azure's are city coordinates by hand.

## Known limits

- AWS on-demand outside us-east-1 and GovCloud is of April 2025: before the P4 and P5 price cuts of mid-2025.
- The AWS regions ap-east-2 and ap-southeast-6 opened after that date and have no price here.
- General families stop at 96 vCPUs, without bare metal. Azure local disk sizes are left out.
- GCP zone facts are older than its price list: a type may be offered in more zones than they say.
- Where an AWS region has no transfer rates, the loader assumes the highest of the cloud and says so.
- GPUs attached to GCP N1 hosts have a us-central1 list price only; elsewhere the sum is an estimate and says so.
"""


def provenance(prices: pl.DataFrame, types: pl.DataFrame) -> str:
    """The text of SOURCES.md."""
    groups = prices.group_by("cloud", "purchase_option", "basis", "source").agg(
        pl.len().alias("rows"), pl.col("as_of").min().alias("first"), pl.col("as_of").max().alias("last")
    )
    lines = []
    for row in groups.sort("cloud", "purchase_option", "basis", "source").iter_rows(named=True):
        dates = row["first"] if row["first"] == row["last"] else f"{row['first']} to {row['last']}"
        cells = (row["cloud"], row["purchase_option"], row["basis"], row["source"], f"{row['rows']:,}", dates)
        lines.append(f"| {' | '.join(cells)} |")
    return PROVENANCE.format(
        groups="\n".join(lines),
        rows=f"{prices.height:,}",
        types=types.height,
        regions=prices.select("cloud", "region").n_unique(),
    )


def read_tables(source: Path) -> dict[str, pl.DataFrame]:
    """The tables that ship, by name, each narrowed to what the price rows need."""
    types = chosen_types(pl.read_csv(source / "instance_types.csv", infer_schema_length=None))
    prices = chosen_prices(pl.read_parquet(source / "prices_permissive.parquet"), types)
    priced = prices.select("cloud", pl.col("instance_type").alias("name")).unique()
    types = types.join(priced, on=["cloud", "name"], how="semi")
    kinds = types.select("cloud", pl.col("name").alias("instance_type"))
    regions = pl.read_csv(source / "regions.csv")
    zones = pl.read_csv(source / "zones.csv").join(regions, on=["cloud", "region"], how="semi")
    offerings = (
        pl.read_parquet(source / "zone_offerings.parquet")
        .join(kinds, on=["cloud", "instance_type"], how="semi")
        .join(zones, on=["cloud", "region", "zone"], how="semi")
        .sort("cloud", "instance_type", "zone")
    )
    advisor = (
        pl.read_parquet(source / "aws_spot_advisor.parquet")
        .join(kinds.filter(pl.col("cloud") == "aws"), on="instance_type", how="semi")
        .sort("instance_type", "region")
        .select("region", "instance_type", "interruption_bucket", "savings_pct", "as_of")
    )
    return {
        "instance_types": types,
        "prices": prices,
        "regions": regions,
        "zones": zones,
        "zone_offerings": offerings,
        "aws_spot_advisor": advisor,
        "egress": pl.read_csv(source / "egress.csv.gz", infer_schema_length=None),
        "gcp_attachable_gpus": pl.read_csv(source / "gcp_attachable_gpus.csv"),
    }


def write_tables(tables: dict[str, pl.DataFrame], target: Path) -> int:
    """Replaces the content of `target`; returns its size in bytes."""
    target.mkdir(parents=True, exist_ok=True)
    for old in target.iterdir():
        old.unlink()
    for name in ("prices", "zone_offerings", "aws_spot_advisor"):
        write_parquet(target / f"{name}.parquet", tables[name])
    for name in ("instance_types", "egress", "zones"):
        write_gzip(target / f"{name}.csv.gz", csv_bytes(tables[name]))
    for name in ("regions", "gcp_attachable_gpus"):
        (target / f"{name}.csv").write_bytes(csv_bytes(tables[name]))
    (target / "SOURCES.md").write_text(provenance(tables["prices"], tables["instance_types"]), encoding="utf-8")
    for path in sorted(target.iterdir()):
        print(f"{path.stat().st_size:>9,} {path.name}")
    return sum(path.stat().st_size for path in target.iterdir())


def main() -> int:
    """Writes the directory; returns an exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="directory with prices_permissive.parquet and the fact files")
    parser.add_argument("--target", type=Path, default=TARGET)
    options = parser.parse_args()
    tables = read_tables(options.source)
    for name, allowed in ALLOWED_SOURCES.items():
        strange = set(tables[name]["source"].to_list()) - allowed
        if strange:
            print(f"{name}: sources {sorted(strange)} may not ship", file=sys.stderr)
            return 1
    total = write_tables(tables, options.target)
    print(f"{total:>9,} total, {tables['prices'].height:,} price rows, {tables['instance_types'].height:,} types")
    if total > MAX_BYTES:
        print(f"over {MAX_BYTES:,} bytes", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
