"""The files of a catalogue directory: names, columns, fingerprint. Standard library only, so serving may import it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

RULES = 1
"""Raised when the builder makes something else of the same files: what was built before is then built again."""

SUFFIXES = (".parquet", ".csv.gz", ".csv")

TEXT, NUMBER, FLAG = "text", "number", "flag"


@dataclass(frozen=True, slots=True)
class TableLayout:
    """Columns of one table by name and kind; `required` tables must exist, `optional_columns` may be absent."""

    name: str
    columns: dict[str, str]
    required: bool = False
    optional_columns: frozenset[str] = frozenset()


LAYOUT: tuple[TableLayout, ...] = (
    TableLayout(
        "regions",
        {
            "cloud": TEXT,
            "region": TEXT,
            "location": TEXT,
            "country": TEXT,
            "continent": TEXT,
            "eu_member": FLAG,
            "lat": NUMBER,
            "lon": NUMBER,
            "zones": NUMBER,
            "partition": TEXT,
        },
        required=True,
        optional_columns=frozenset({"location", "zones", "partition"}),
    ),
    TableLayout(
        "instance_types",
        {
            "cloud": TEXT,
            "name": TEXT,
            "family": TEXT,
            "arch": TEXT,
            "vcpus": NUMBER,
            "memory_gib": NUMBER,
            "gpu_vendor": TEXT,
            "gpu_model": TEXT,
            "gpu_count": NUMBER,
            "gpu_memory_gib": NUMBER,
            "network_gbps": NUMBER,
            "local_storage_gb": NUMBER,
            "burstable": FLAG,
            "current_generation": FLAG,
            "spot_supported": FLAG,
            "source": TEXT,
        },
        required=True,
        optional_columns=frozenset(
            {"gpu_vendor", "network_gbps", "local_storage_gb", "burstable", "current_generation", "source"}
        ),
    ),
    TableLayout(
        "prices",
        {
            "cloud": TEXT,
            "region": TEXT,
            "instance_type": TEXT,
            "purchase_option": TEXT,
            "usd_per_hour": NUMBER,
            "upfront_usd": NUMBER,
            "as_of": TEXT,
            "basis": TEXT,
            "source": TEXT,
        },
        required=True,
        optional_columns=frozenset({"upfront_usd", "source"}),
    ),
    TableLayout("zones", {"cloud": TEXT, "region": TEXT, "zone": TEXT}),
    TableLayout("zone_offerings", {"cloud": TEXT, "region": TEXT, "zone": TEXT, "instance_type": TEXT}),
    TableLayout(
        "aws_spot_advisor",
        {
            "region": TEXT,
            "instance_type": TEXT,
            "interruption_bucket": NUMBER,
            "interruption_label": TEXT,
            "savings_pct": NUMBER,
            "as_of": TEXT,
        },
        optional_columns=frozenset({"interruption_label", "savings_pct", "as_of"}),
    ),
    TableLayout(
        "egress",
        {
            "cloud": TEXT,
            "src_region": TEXT,
            "kind": TEXT,
            "dst_region_or_geo": TEXT,
            "tier_from_gib": NUMBER,
            "tier_to_gib": NUMBER,
            "usd_per_gib": NUMBER,
            "as_of": TEXT,
            "source": TEXT,
        },
        optional_columns=frozenset({"tier_to_gib", "as_of", "source"}),
    ),
    TableLayout(
        "gcp_attachable_gpus",
        {
            "accelerator": TEXT,
            "gpu_model": TEXT,
            "gpu_memory_gib": NUMBER,
            "on_demand_usd_per_gpu_hour": NUMBER,
            "spot_usd_per_gpu_hour": NUMBER,
            "price_region": TEXT,
            "source": TEXT,
            "zones": TEXT,
        },
        optional_columns=frozenset({"source"}),
    ),
)


def find_table(directory: Path, name: str) -> Path | None:
    """The file that holds a table, or None."""
    for suffix in SUFFIXES:
        path = directory / f"{name}{suffix}"
        if path.is_file():
            return path
    return None


def fingerprint(directory: Path) -> str:
    """SHA-256 over the names and bytes of the files that a load would read. Equal prints need no rebuild."""
    digest = hashlib.sha256(f"rules {RULES}\0".encode())
    for layout in LAYOUT:
        path = find_table(directory, layout.name)
        if path is not None:
            content = path.read_bytes()
            digest.update(f"{path.name}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()
