"""The catalogue that ships: small, permissively sourced, complete in what it promises."""

from pathlib import Path

import polars as pl
import pytest

from tests.support.catalog_sources import AS_OF
from tests.support.shared_data import shared_catalog
from tools.build_starter_catalog import read_tables, write_tables
from trimtab_service.catalog.builder import build
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.catalog.starter_source import STARTER_DIRECTORY
from trimtab_service.catalog.storage import open_snapshot
from trimtab_service.domain.offers import Cloud

PERMISSIVE = {"karpenter-aws", "ec2shop", "spotinfo", "gcosts", "karpenter-azure"}


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> CatalogSnapshot:
    """The starter catalogue, loaded."""
    root = tmp_path_factory.mktemp("starter")
    load = build(STARTER_DIRECTORY, root, as_of=AS_OF, max_lost_share=0.0)
    assert load.quarantined == ()
    return open_snapshot(root / load.version)


def test_it_stays_under_a_megabyte() -> None:
    """All files of the package's own catalogue together."""
    assert sum(path.stat().st_size for path in STARTER_DIRECTORY.iterdir()) <= 1_000_000


def test_every_price_has_date_basis_and_a_permissive_source() -> None:
    """No estimate and no row of an origin without a permissive licence ships."""
    prices = pl.read_parquet(STARTER_DIRECTORY / "prices.parquet")
    assert prices.null_count().sum_horizontal().item() == 0
    assert set(prices["source"]) <= PERMISSIVE
    assert set(prices["basis"]) == {"list", "list_superseded", "derived_od_x_savings"}
    assert prices["as_of"].str.to_date("%Y-%m-%d").min() is not None


def test_its_provenance_names_every_source_and_basis() -> None:
    """SOURCES.md has a line for each tag that occurs in any of the files."""
    text = (STARTER_DIRECTORY / "SOURCES.md").read_text(encoding="utf-8")
    tags: set[str] = set()
    for file in STARTER_DIRECTORY.iterdir():
        if file.suffix == ".parquet":
            frame = pl.read_parquet(file)
        elif file.suffix in {".csv", ".gz"}:
            frame = pl.read_csv(file, infer_schema=False)
        else:
            continue
        tags |= {tag for column in ("source", "basis") if column in frame.columns for tag in frame[column].to_list()}
    assert tags
    assert [tag for tag in sorted(tags) if f"| {tag} |" not in text] == []


def test_it_covers_all_regions_of_three_clouds(starter: CatalogSnapshot) -> None:
    """Every region has prices but the two of AWS that are younger than the permissive price list."""
    priced = set(starter.rows.region.tolist())
    missing = [region.key for number, region in enumerate(starter.regions) if number not in priced]
    assert missing == ["aws:ap-east-2", "aws:ap-southeast-6"]
    assert len(starter.regions) == 136


@pytest.mark.parametrize(
    "model",
    [
        "T4",
        "L4",
        "V100-16GB",
        "A10G",
        "A100-40GB",
        "A100-80GB",
        "H100-80GB",
        "H200",
        "Trainium",
        "Inferentia",
        "Inferentia2",
    ],
)
def test_it_has_the_accelerators_that_teams_use(model: str, starter: CatalogSnapshot) -> None:
    """Each promised accelerator can be placed."""
    table = starter.table(model)
    assert table is not None
    assert (table.price_nanos < float("inf")).any()


def test_known_list_prices_are_the_published_ones(starter: CatalogSnapshot) -> None:
    """p3.2xlarge in us-east-1 costs 3.06 USD on demand."""
    region, kind = starter.region_index[Cloud.AWS, "us-east-1"], starter.type_index[Cloud.AWS, "p3.2xlarge"]
    assert starter.offer_price_nanos(0, region, kind) == 3_060_000_000


def test_building_it_again_gives_the_same_content(tmp_path: Path) -> None:
    """What is committed is what the script makes of the shared data, table by table."""
    write_tables(read_tables(shared_catalog()), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in STARTER_DIRECTORY.iterdir()}
    assert (
        build(tmp_path, tmp_path / "out", as_of=AS_OF).version
        == build(STARTER_DIRECTORY, tmp_path / "out", as_of=AS_OF).version
    )
    assert (tmp_path / "SOURCES.md").read_text() == (STARTER_DIRECTORY / "SOURCES.md").read_text()
