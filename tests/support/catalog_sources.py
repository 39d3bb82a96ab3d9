"""Small catalogue directories, written as a user would write them: plain csv files in the documented layout."""

import csv
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

AS_OF = datetime(2026, 11, 1, tzinfo=UTC)

Row = dict[str, object]


def region(cloud: str, name: str, country: str = "US", **changes: object) -> Row:
    """A region row."""
    row: Row = {
        "cloud": cloud,
        "region": name,
        "location": "Somewhere",
        "country": country,
        "continent": "NA",
        "eu_member": False,
        "lat": 40.0,
        "lon": -80.0,
        "zones": 2,
        "partition": "public",
    }
    return row | changes


def instance_type(cloud: str, name: str, vcpus: object = 4.0, memory_gib: object = 16.0, **changes: object) -> Row:
    """An instance type row without accelerator."""
    row: Row = {
        "cloud": cloud,
        "name": name,
        "family": name.split(".", maxsplit=1)[0],
        "arch": "x86_64",
        "vcpus": vcpus,
        "memory_gib": memory_gib,
        "gpu_vendor": "",
        "gpu_model": "",
        "gpu_count": 0.0,
        "gpu_memory_gib": 0.0,
        "network_gbps": 10.0,
        "local_storage_gb": 0.0,
        "burstable": False,
        "current_generation": True,
        "spot_supported": True,
        "source": "test",
    }
    return row | changes


def price(cloud: str, where: str, kind: str, usd_per_hour: object, option: str = "on_demand", **changes: object) -> Row:
    """A price row."""
    row: Row = {
        "cloud": cloud,
        "region": where,
        "instance_type": kind,
        "purchase_option": option,
        "usd_per_hour": usd_per_hour,
        "upfront_usd": 0.0,
        "as_of": "2026-07-20",
        "basis": "list",
        "source": "test",
    }
    return row | changes


@dataclass
class CatalogSource:
    """Rows by table; `write` makes a directory of them. The default is a good catalogue of 40 prices."""

    tables: dict[str, list[Row]] = field(default_factory=dict)

    def write(self, directory: Path) -> Path:
        """Writes one csv file a table that has rows."""
        directory.mkdir(parents=True, exist_ok=True)
        for name, rows in self.tables.items():
            if not rows:
                continue
            with (directory / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(
                    file, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n"
                )
                writer.writeheader()
                writer.writerows(rows)
        return directory


def good_source() -> CatalogSource:
    """Two AWS regions and one of GCP and Azure each, ten types, every placement option."""
    aws, gcp, azure = ("us-east-1", "eu-west-1"), ("us-central1",), ("eastus",)
    regions = [
        region("aws", "us-east-1"),
        region("aws", "eu-west-1", "IE", continent="EU", eu_member=True, lat=53.3, lon=-6.3),
        region("gcp", "us-central1"),
        region("azure", "eastus"),
    ]
    types = [
        instance_type("aws", "m5.large", 2.0, 8.0),
        instance_type("aws", "m5.xlarge"),
        instance_type("aws", "c5.xlarge", 4.0, 8.0),
        instance_type("aws", "p3.2xlarge", 8.0, 61.0, gpu_model="V100", gpu_count=1.0, gpu_memory_gib=16.0),
        instance_type("gcp", "n1-standard-4", 4.0, 15.0, family="n1"),
        instance_type("gcp", "n1-standard-8", 8.0, 30.0, family="n1"),
        instance_type("azure", "Standard_D4s_v5"),
    ]
    prices: list[Row] = []
    for cloud, where, names in (("aws", aws, types[:4]), ("gcp", gcp, types[4:6]), ("azure", azure, types[6:])):
        year, years = {"gcp": ("cud_1y", "cud_3y"), "azure": ("reserved_1y", "reserved_3y")}.get(
            cloud, ("reserved_1y_no_upfront", "reserved_3y_no_upfront")
        )
        for place in where:
            for number, kind in enumerate(names, start=1):
                base = number / 8 + len(place) / 1_000
                prices += [
                    price(cloud, place, str(kind["name"]), base),
                    price(cloud, place, str(kind["name"]), base / 4, "spot"),
                    price(cloud, place, str(kind["name"]), base * 0.75, year),
                    price(cloud, place, str(kind["name"]), base * 0.5, years),
                ]
    zones: list[Row] = [
        {"cloud": row["cloud"], "region": row["region"], "zone": f"{row['region']}{suffix}"}
        for row in regions
        for suffix in ("-a", "-b")
    ]
    return CatalogSource({"regions": regions, "instance_types": types, "prices": prices, "zones": zones})
