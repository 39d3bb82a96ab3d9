"""A snapshot is its content: named by it, found again by it, and never changed."""

import gzip
import random
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.support.catalog_sources import AS_OF, CatalogSource, good_source, price
from trimtab_service.catalog.builder import build
from trimtab_service.catalog.snapshot import UNKNOWN_BUCKET, CatalogSnapshot, ZoneEvidence, day_number, day_of
from trimtab_service.catalog.storage import open_snapshot, save_snapshot
from trimtab_service.domain.offers import PLACEMENT_OPTIONS, Cloud, PriceBasis, PurchaseOption

ON_DEMAND, SPOT, RESERVED_1Y, RESERVED_3Y = range(4)


def _snapshot(source: CatalogSource, tmp_path: Path) -> CatalogSnapshot:
    load = build(source.write(tmp_path / "in"), tmp_path / "out", as_of=AS_OF)
    return open_snapshot(tmp_path / "out" / load.version)


def test_the_version_depends_on_content_only(tmp_path: Path) -> None:
    """Row order, file format and place on disk do not change the version; one price does."""
    plain = _snapshot(good_source(), tmp_path / "plain")
    shuffled = good_source()
    for rows in shuffled.tables.values():
        random.Random(7).shuffle(rows)
    directory = shuffled.write(tmp_path / "mixed" / "in")
    pl.read_csv(directory / "prices.csv").write_parquet(directory / "prices.parquet")
    (directory / "prices.csv").unlink()
    zones = directory / "zones.csv"
    zones.with_name("zones.csv.gz").write_bytes(gzip.compress(zones.read_bytes()))
    zones.unlink()
    mixed = build(directory, tmp_path / "mixed" / "out", as_of=AS_OF)
    assert mixed.version == plain.version
    dearer = good_source()
    dearer.tables["prices"][0]["usd_per_hour"] = 0.135000001
    assert _snapshot(dearer, tmp_path / "dearer").version != plain.version


def test_column_types_of_a_parquet_file_do_not_matter(tmp_path: Path) -> None:
    """Dates as dates or instants, prices as decimals, names as categories: the same catalogue."""
    plain = _snapshot(good_source(), tmp_path / "plain")
    directory = good_source().write(tmp_path / "typed" / "in")
    frame = pl.read_csv(directory / "prices.csv", schema_overrides={"usd_per_hour": pl.Decimal(18, 9)})
    day = pl.col("as_of").str.to_date()
    for number, as_of in enumerate((day, day.cast(pl.Datetime("us")))):
        typed = frame.with_columns(pl.col("cloud", "region").cast(pl.Categorical), as_of)
        typed.write_parquet(directory / "prices.parquet")
        load = build(directory, tmp_path / f"typed-{number}", as_of=AS_OF)
        assert (load.version, load.quarantined) == (plain.version, ())


def test_the_version_is_the_same_on_every_machine(tmp_path: Path) -> None:
    """The hash of this small catalogue is pinned: another platform or library must come to the same."""
    assert _snapshot(good_source(), tmp_path).version == "43b3184413a27ea7"


def test_storing_the_same_content_twice_changes_nothing_on_disk(tmp_path: Path) -> None:
    """A version that is there is not written again."""
    snapshot = _snapshot(good_source(), tmp_path)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert save_snapshot(snapshot, tmp_path / "out").version == snapshot.version
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == files


def test_a_mapped_snapshot_cannot_be_written(tmp_path: Path) -> None:
    """Arrays opened from disk are plain, read-only arrays."""
    snapshot = _snapshot(good_source(), tmp_path)
    prices = snapshot.offers.price_nanos
    assert type(prices) is np.ndarray
    with pytest.raises(ValueError, match="read-only"):
        prices[0] = 1


def test_deleted_tables_come_back_equal(tmp_path: Path) -> None:
    """Tables are derived: without them on disk the same ones are rebuilt on opening, and stored on the next build."""
    snapshot = _snapshot(good_source(), tmp_path)
    directory = tmp_path / "out" / snapshot.version
    shutil.rmtree(directory / "tables")
    rebuilt = open_snapshot(directory)
    assert rebuilt.tables.keys() == snapshot.tables.keys()
    for key, table in snapshot.tables.items():
        assert (rebuilt.tables[key].row_of == table.row_of).all()
        assert (rebuilt.tables[key].rank == table.rank).all()
        assert (rebuilt.tables[key].price_nanos == table.price_nanos).all()
    build(tmp_path / "in", tmp_path / "out", as_of=AS_OF)
    assert (directory / "tables" / "rank.npy").is_file()


def test_a_damaged_directory_is_an_error_on_opening(tmp_path: Path) -> None:
    """A cut array is found when it is mapped, not when it is read."""
    snapshot = _snapshot(good_source(), tmp_path)
    array = tmp_path / "out" / snapshot.version / "arrays" / "rows.price_nanos.npy"
    array.write_bytes(array.read_bytes()[:-64])
    with pytest.raises(ValueError, match=r".+"):
        open_snapshot(tmp_path / "out" / snapshot.version)


def test_offers_of_a_cell_ascend_by_price_and_then_name(tmp_path: Path) -> None:
    """The fixed tie-break: equal prices are ordered by the name of the type."""
    source = good_source()
    for row in source.tables["prices"]:
        if row["purchase_option"] == "spot":
            row["usd_per_hour"] = 0.05
    snapshot = _snapshot(source, tmp_path)
    region = snapshot.region_index[Cloud.AWS, "us-east-1"]
    cell = snapshot.cell(SPOT, region)
    names = [
        snapshot.type_names[t]
        for t in snapshot.offers.type_index[snapshot.offers.cell_start[cell] : snapshot.offers.cell_start[cell + 1]]
    ]
    assert names == ["c5.xlarge", "m5.large", "m5.xlarge", "p3.2xlarge"]


def test_prices_are_exact_to_the_nano(tmp_path: Path) -> None:
    """The decimal in the file is the integer in the array, for prices that no float holds exactly."""
    source = good_source()
    texts = {"m5.large": "0.100000007", "m5.xlarge": "0.3", "c5.xlarge": "4.100000001", "p3.2xlarge": "3.06"}
    for row in source.tables["prices"]:
        if row["purchase_option"] == "on_demand" and row["region"] == "us-east-1":
            row["usd_per_hour"] = texts[str(row["instance_type"])]
    snapshot = _snapshot(source, tmp_path)
    region = snapshot.region_index[Cloud.AWS, "us-east-1"]
    found = {
        name: snapshot.offer_price_nanos(ON_DEMAND, region, snapshot.type_index[Cloud.AWS, name]) for name in texts
    }
    assert found == {
        "m5.large": 100_000_007,
        "m5.xlarge": 300_000_000,
        "c5.xlarge": 4_100_000_001,
        "p3.2xlarge": 3_060_000_000,
    }


@pytest.mark.parametrize(
    ("cloud", "region", "name", "option"),
    [
        (Cloud.AWS, "us-east-1", "m5.large", RESERVED_1Y),
        (Cloud.GCP, "us-central1", "n1-standard-4", RESERVED_3Y),
        (Cloud.AZURE, "eastus", "Standard_D4s_v5", RESERVED_1Y),
    ],
)
def test_each_clouds_reservation_answers_the_reserved_options(
    cloud: Cloud, region: str, name: str, option: int, tmp_path: Path
) -> None:
    """AWS standard without upfront, GCP CUD and Azure reservations are what RESERVED means in a cell."""
    snapshot = _snapshot(good_source(), tmp_path)
    k = snapshot.find_offer(option, snapshot.region_index[cloud, region], snapshot.type_index[cloud, name])
    assert k is not None
    offer = snapshot.row_offer(int(snapshot.offers.row[k]))
    assert offer.option.placement_option is PLACEMENT_OPTIONS[option]
    assert (offer.cloud, offer.region, offer.instance_type) == (cloud, region, name)
    assert offer.usd_nanos_per_hour == snapshot.offers.price_nanos[k]


def test_other_products_are_listed_but_not_placed(tmp_path: Path) -> None:
    """A savings plan or a convertible reservation is a row, never an offer of a cell."""
    source = good_source()
    source.tables["prices"] += [
        price("aws", "us-east-1", "m5.large", 0.05, "reserved_1y_convertible_no_upfront"),
        price("aws", "us-east-1", "m5.large", 0.05, "savings_plan_1y"),
    ]
    snapshot = _snapshot(source, tmp_path)
    assert snapshot.rows_by_option()[PurchaseOption.SAVINGS_PLAN_1Y] == 1
    assert snapshot.rows.region.size == snapshot.offers.row.size + 2


def test_zone_masks_say_how_they_are_known(tmp_path: Path) -> None:
    """A type is in the zones that list it; where facts list it elsewhere only, in none; without facts, in all."""
    source = good_source()
    source.tables["zone_offerings"] = [
        {"cloud": "aws", "region": "us-east-1", "zone": "us-east-1-b", "instance_type": "m5.large"},
        {"cloud": "aws", "region": "eu-west-1", "zone": "eu-west-1-a", "instance_type": "m5.xlarge"},
    ]
    snapshot = _snapshot(source, tmp_path)
    east, west = (snapshot.region_index[Cloud.AWS, name] for name in ("us-east-1", "eu-west-1"))
    large, unlisted = (snapshot.type_index[Cloud.AWS, name] for name in ("m5.large", "c5.xlarge"))
    assert snapshot.zones_of(large, east) == ("us-east-1-b",)
    assert snapshot.zone_evidence[large, east] == ZoneEvidence.LISTED
    assert snapshot.zones_of(large, west) == ()
    assert snapshot.zone_evidence[large, west] == ZoneEvidence.NOT_LISTED
    assert snapshot.zones_of(unlisted, east) == ("us-east-1-a", "us-east-1-b")
    assert snapshot.zone_evidence[unlisted, east] == ZoneEvidence.ASSUMED


def test_interruption_buckets_belong_to_spot_offers_of_aws(tmp_path: Path) -> None:
    """The advisor's bucket is on the spot offer of its region and type, and nowhere else."""
    source = good_source()
    source.tables["aws_spot_advisor"] = [{"region": "us-east-1", "instance_type": "m5.large", "interruption_bucket": 4}]
    snapshot = _snapshot(source, tmp_path)
    known = np.flatnonzero(snapshot.offers.bucket != UNKNOWN_BUCKET)
    k = snapshot.find_offer(
        SPOT, snapshot.region_index[Cloud.AWS, "us-east-1"], snapshot.type_index[Cloud.AWS, "m5.large"]
    )
    assert known.tolist() == [k]
    assert snapshot.offers.bucket[k] == 4


def test_rows_are_counted_by_basis_and_date(tmp_path: Path) -> None:
    """The summary of a load and the snapshot agree."""
    source = good_source()
    source.tables["prices"][1] |= {"basis": "derived_od_x_savings", "as_of": "2025-06"}
    load = build(source.write(tmp_path / "in"), tmp_path / "out", as_of=AS_OF)
    snapshot = open_snapshot(tmp_path / "out" / load.version)
    assert snapshot.rows_by_basis() == {PriceBasis.LIST: 43, PriceBasis.DERIVED_OD_X_SAVINGS: 1}
    assert {summary.basis: summary.rows for summary in load.bases} == snapshot.rows_by_basis()
    dates = snapshot.price_dates()
    assert dates is not None
    assert [day.isoformat() for day in dates] == ["2025-06-01", "2026-07-20"]
    age = load.newest_price_age(AS_OF)
    assert age is not None
    assert age.days == 104


def test_day_numbers_invert() -> None:
    """A stored day is the day that was given."""
    assert day_of(day_number(AS_OF.date())) == AS_OF.date()
