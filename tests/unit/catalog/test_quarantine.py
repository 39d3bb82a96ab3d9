"""A bad row is left out with its reason and counted; the rest of the catalogue loads."""

from pathlib import Path

import pytest

from tests.support.catalog_sources import AS_OF, CatalogSource, Row, good_source, instance_type, price, region
from trimtab_service.catalog.builder import build
from trimtab_service.catalog.loads import CatalogLoad
from trimtab_service.domain.reasons import CatalogIssue

EVERY_LOSS_ALLOWED = 0.9
GOOD_ROWS = 44


def _load(source: CatalogSource, tmp_path: Path) -> CatalogLoad:
    return build(source.write(tmp_path / "in"), tmp_path / "out", as_of=AS_OF, max_lost_share=EVERY_LOSS_ALLOWED)


def _counts(load: CatalogLoad) -> dict[tuple[str, CatalogIssue], int]:
    return {(count.file, count.issue): count.rows for count in load.quarantined}


def test_a_good_catalogue_loses_nothing(tmp_path: Path) -> None:
    """Without bad rows there is no quarantine, and every row is in the snapshot."""
    load = _load(good_source(), tmp_path)
    assert (load.price_rows, load.source_rows, load.quarantined) == (GOOD_ROWS, GOOD_ROWS, ())


@pytest.mark.parametrize(
    ("row", "issue"),
    [
        (price("aws", "us-east-1", "m5.large", -0.1, "savings_plan_1y"), CatalogIssue.NEGATIVE_PRICE),
        (price("aws", "us-east-1", "m5.large", 0, "savings_plan_1y"), CatalogIssue.NEGATIVE_PRICE),
        (price("aws", "us-east-1", "m5.large", 0.1, "savings_plan_1y", upfront_usd=-5), CatalogIssue.NEGATIVE_PRICE),
        (price("aws", "us-east-1", "m5.large", "NaN", "savings_plan_1y"), CatalogIssue.BAD_NUMBER),
        (price("aws", "us-east-1", "m5.large", "inf", "savings_plan_1y"), CatalogIssue.BAD_NUMBER),
        (price("aws", "us-east-1", "m5.large", "0,096", "savings_plan_1y"), CatalogIssue.BAD_NUMBER),
        (price("aws", "us-east-1", "m5.large", "", "savings_plan_1y"), CatalogIssue.BAD_NUMBER),
        (price("aws", "us-east-1", "m5.large", 70.08, "savings_plan_1y"), CatalogIssue.PRICE_UNIT),
        (price("aws", "us-east-1", "m5.large", 1e-11, "savings_plan_1y"), CatalogIssue.PRICE_UNIT),
        (price("aws", "us-east-9", "m5.large", 0.1), CatalogIssue.UNKNOWN_REGION),
        (price("gcp", "us-east-1", "m5.large", 0.1), CatalogIssue.UNKNOWN_REGION),
        (price("oci", "us-east-1", "m5.large", 0.1), CatalogIssue.UNKNOWN_CLOUD),
        (price("aws", "us-east-1", "m5.huge", 0.1), CatalogIssue.UNKNOWN_INSTANCE_TYPE),
        (price("aws", "us-east-1", "m5.large", 0.1, "lease"), CatalogIssue.UNKNOWN_PURCHASE_OPTION),
        (price("aws", "us-east-1", "m5.large", 0.1, "savings_plan_1y", basis="rumour"), CatalogIssue.UNKNOWN_BASIS),
        (price("aws", "us-east-1", "m5.large", 0.1, "savings_plan_1y", as_of="20.7.26"), CatalogIssue.BAD_DATE),
        (price("aws", "us-east-1", "m5.large", 0.1, "savings_plan_1y", as_of=""), CatalogIssue.BAD_DATE),
        (price("aws", "us-east-1", "m5.large", 0.1, "savings_plan_1y", as_of="2026-11-02"), CatalogIssue.BAD_DATE),
        (price("aws", "us-east-1", "m5.large", 0.1, "savings_plan_1y", as_of="1999-01-01"), CatalogIssue.BAD_DATE),
        (price("aws", "us-east-1", "m5.large", 0.1), CatalogIssue.DUPLICATE_KEY),
    ],
)
def test_a_bad_price_is_counted_under_its_reason(row: Row, issue: CatalogIssue, tmp_path: Path) -> None:
    """One bad price row costs one row, names its reason and shows the row; the others load."""
    source = good_source()
    source.tables["prices"].append(row)
    load = _load(source, tmp_path)
    assert _counts(load) == {("prices", issue): 1}
    assert load.quarantined[0].examples[0].startswith(f"row {GOOD_ROWS + 1}: {row['cloud']} {row['region']}")
    assert load.price_rows == GOOD_ROWS


def test_a_price_per_month_among_hourly_ones_is_recognised(tmp_path: Path) -> None:
    """A price that is 730 times the median of the same type elsewhere has another unit, however plausible alone."""
    source = good_source()
    places = [f"us-north-{number}" for number in range(4)]
    source.tables["regions"] += [region("aws", place) for place in places]
    source.tables["prices"] += [price("aws", place, "m5.large", 0.011) for place in places[1:]]
    source.tables["prices"].append(price("aws", places[0], "m5.large", 0.011 * 730))
    assert _counts(_load(source, tmp_path)) == {("prices", CatalogIssue.PRICE_UNIT): 1}


def test_the_first_of_two_equal_keys_counts_even_after_a_bad_one(tmp_path: Path) -> None:
    """A row that is not believed does not shadow a good row of the same key behind it."""
    source = good_source()
    source.tables["prices"].insert(0, price("aws", "us-east-1", "m5.large", -1.0))
    assert _counts(_load(source, tmp_path)) == {("prices", CatalogIssue.NEGATIVE_PRICE): 1}


@pytest.mark.parametrize(
    ("row", "issue"),
    [
        (instance_type("aws", "x.a", 0.0), CatalogIssue.BAD_SPEC),
        (instance_type("aws", "x.a", -2.0), CatalogIssue.BAD_SPEC),
        (instance_type("aws", "x.a", 4.0, 16_384.0), CatalogIssue.BAD_SPEC),
        (instance_type("aws", "x.a", 4.0, 16.0, arch="mips"), CatalogIssue.BAD_SPEC),
        (instance_type("aws", "x.a", 4.0, 16.0, gpu_count=2.0), CatalogIssue.BAD_SPEC),
        (instance_type("aws", "x.a", "many"), CatalogIssue.BAD_NUMBER),
        (instance_type("oci", "x.a"), CatalogIssue.UNKNOWN_CLOUD),
        (instance_type("aws", ""), CatalogIssue.UNKNOWN_INSTANCE_TYPE),
        (instance_type("aws", "m5.large"), CatalogIssue.DUPLICATE_KEY),
    ],
)
def test_a_bad_instance_type_is_counted_under_its_reason(row: Row, issue: CatalogIssue, tmp_path: Path) -> None:
    """A type that cannot be right (memory in MiB among them) is left out."""
    source = good_source()
    source.tables["instance_types"].append(row)
    assert _counts(_load(source, tmp_path)) == {("instance_types", issue): 1}


@pytest.mark.parametrize(
    ("row", "issue"),
    [
        (region("aws", "mars-1", lat=91.0), CatalogIssue.BAD_SPEC),
        (region("aws", "mars-1", "Mars"), CatalogIssue.BAD_SPEC),
        (region("aws", "mars-1", continent="XX"), CatalogIssue.BAD_SPEC),
        (region("aws", "mars-1", eu_member="perhaps"), CatalogIssue.BAD_SPEC),
        (region("aws", "mars-1", lon="NaN"), CatalogIssue.BAD_NUMBER),
        (region("aws", "us-east-1"), CatalogIssue.DUPLICATE_KEY),
    ],
)
def test_a_bad_region_is_counted_under_its_reason(row: Row, issue: CatalogIssue, tmp_path: Path) -> None:
    """Residency depends on these facts: a region without them is no region."""
    source = good_source()
    source.tables["regions"].append(row)
    assert _counts(_load(source, tmp_path)) == {("regions", issue): 1}


def test_bad_rows_of_the_optional_files_never_stop_a_load(tmp_path: Path) -> None:
    """Zones, offerings, advisor, egress and GPU rows are judged like the others."""
    source = good_source()
    source.tables["zones"].append({"cloud": "aws", "region": "nowhere", "zone": "nowhere-a"})
    source.tables["zone_offerings"] = [
        {"cloud": "aws", "region": "us-east-1", "zone": "us-east-1-a", "instance_type": "m5.large"},
        {"cloud": "aws", "region": "us-east-1", "zone": "us-east-1-a", "instance_type": "unheard.of"},
        {"cloud": "aws", "region": "us-east-1", "zone": "us-east-1-z", "instance_type": "m5.large"},
    ]
    source.tables["aws_spot_advisor"] = [
        {"region": "us-east-1", "instance_type": "m5.large", "interruption_bucket": 2},
        {"region": "us-east-1", "instance_type": "m5.xlarge", "interruption_bucket": 7},
    ]
    egress: Row = {"cloud": "aws", "src_region": "us-east-1", "kind": "internet", "dst_region_or_geo": ""}
    source.tables["egress"] = [
        egress | {"tier_from_gib": 0, "usd_per_gib": 0.09},
        egress | {"tier_from_gib": 10_240, "usd_per_gib": -0.09},
        egress | {"src_region": "us-west-7", "tier_from_gib": 0, "usd_per_gib": 0.09},
        egress | {"kind": "inter_region", "dst_region_or_geo": "eu-west-1", "tier_from_gib": 5, "usd_per_gib": 0.02},
    ]
    assert _counts(_load(source, tmp_path)) == {
        ("zones", CatalogIssue.UNKNOWN_REGION): 1,
        ("zone_offerings", CatalogIssue.UNKNOWN_INSTANCE_TYPE): 1,
        ("zone_offerings", CatalogIssue.UNKNOWN_REGION): 1,
        ("aws_spot_advisor", CatalogIssue.BAD_SPEC): 1,
        ("egress", CatalogIssue.NEGATIVE_PRICE): 1,
        ("egress", CatalogIssue.UNKNOWN_REGION): 1,
        ("egress", CatalogIssue.BAD_SPEC): 1,
    }


def test_an_unknown_column_is_named_and_ignored(tmp_path: Path) -> None:
    """A column that a newer file brings changes nothing but a warning."""
    source = good_source()
    plain = _load(good_source(), tmp_path / "plain")
    source.tables["prices"] = [row | {"carbon_g": 12, "mood": "good"} for row in source.tables["prices"]]
    load = _load(source, tmp_path / "wide")
    assert load.version == plain.version
    assert any("carbon_g, mood" in warning for warning in load.warnings)
    assert _counts(load) == {("prices.csv", CatalogIssue.UNKNOWN_COLUMN): 0}


def test_examples_are_capped_while_rows_are_counted(tmp_path: Path) -> None:
    """A thousand bad rows are all counted, and a few hundred are shown."""
    source = good_source()
    source.tables["prices"] += [price("aws", "us-east-1", f"ghost.{number}", 0.1) for number in range(1_000)]
    load = build(source.write(tmp_path / "in"), tmp_path / "out", as_of=AS_OF, max_lost_share=1.0)
    (count,) = load.quarantined
    assert (count.rows, len(count.examples)) == (1_000, 200)
