"""Transfer rates are exact where they are listed and never free where they are not."""

from pathlib import Path

import numpy as np

from tests.support.catalog_sources import AS_OF, Row, good_source, region
from trimtab_service.catalog.builder import build
from trimtab_service.catalog.snapshot import UNKNOWN_DAY, CatalogSnapshot
from trimtab_service.catalog.storage import open_snapshot
from trimtab_service.domain.offers import CLOUDS, PRICE_BASES, Cloud, PriceBasis


def _rate(cloud: str, source: str, kind: str, usd: float, *, to: str = "", tier: float = 0) -> Row:
    return {
        "cloud": cloud,
        "src_region": source,
        "kind": kind,
        "dst_region_or_geo": to,
        "tier_from_gib": tier,
        "usd_per_gib": usd,
        "as_of": "2023-03",
        "source": "test",
    }


RATES = [
    _rate("aws", "us-east-1", "internet", 0.09),
    _rate("aws", "us-east-1", "inter_region", 0.02, to="eu-west-1"),
    _rate("gcp", "us-central1", "internet", 0.08, tier=10_240),
    _rate("gcp", "us-central1", "internet", 0.12),
    _rate("gcp", "us-central1", "internet", 0.11, tier=1_024),
    _rate("gcp", "us-central1", "internet", 0.19, to="australia"),
    _rate("aws", "*", "inter_zone", 0.01),
    _rate("*", "*", "ingress", 0.0),
]


def _snapshot(tmp_path: Path, rates: list[Row]) -> CatalogSnapshot:
    source = good_source()
    source.tables["regions"].append(region("azure", "australiaeast", "AU", continent="OC"))
    source.tables["egress"] = rates
    load = build(source.write(tmp_path / "in"), tmp_path / "out", as_of=AS_OF)
    return open_snapshot(tmp_path / "out" / load.version)


def _pair(
    snapshot: CatalogSnapshot, source: tuple[Cloud, str], destination: tuple[Cloud, str]
) -> tuple[int, PriceBasis]:
    at = snapshot.region_index[source], snapshot.region_index[destination]
    return int(snapshot.egress.pair_nanos[at]), PRICE_BASES[snapshot.egress.pair_basis[at]]


EAST, WEST = (Cloud.AWS, "us-east-1"), (Cloud.AWS, "eu-west-1")
CENTRAL, SYDNEY = (Cloud.GCP, "us-central1"), (Cloud.AZURE, "australiaeast")


def test_listed_rates_are_taken_as_they_are(tmp_path: Path) -> None:
    """Within a region nothing, between regions the pair's rate, between clouds the source's internet rate."""
    snapshot = _snapshot(tmp_path, RATES)
    assert _pair(snapshot, EAST, EAST) == (0, PriceBasis.LIST)
    assert _pair(snapshot, EAST, WEST) == (20_000_000, PriceBasis.LIST)
    assert _pair(snapshot, EAST, CENTRAL) == (90_000_000, PriceBasis.LIST)
    assert _pair(snapshot, CENTRAL, EAST) == (120_000_000, PriceBasis.LIST)


def test_a_missing_rate_is_the_highest_of_its_cloud_and_says_so(tmp_path: Path) -> None:
    """The way back has no figure: it costs what the dearest listed pair costs, marked as an estimate and counted."""
    snapshot = _snapshot(tmp_path, RATES)
    assert _pair(snapshot, WEST, EAST) == (20_000_000, PriceBasis.ESTIMATED_CLOUD_MAXIMUM)
    assert _pair(snapshot, WEST, CENTRAL) == (90_000_000, PriceBasis.ESTIMATED_CLOUD_MAXIMUM)
    load = build(tmp_path / "in", tmp_path / "out", as_of=AS_OF)
    assert any("3 region pairs" in warning for warning in load.warnings)


def test_without_any_file_nothing_but_the_own_region_is_free(tmp_path: Path) -> None:
    """No egress file: every pair costs something, and all of it is an estimate."""
    snapshot = _snapshot(tmp_path, [])
    off_diagonal = ~np.eye(snapshot.region_count, dtype=np.bool_)
    assert (snapshot.egress.pair_nanos[off_diagonal] > 0).all()
    estimate = PRICE_BASES.index(PriceBasis.ESTIMATED_CLOUD_MAXIMUM)
    assert (snapshot.egress.pair_basis[off_diagonal] == estimate).all()


def test_internet_tiers_ascend_and_depend_on_the_destination(tmp_path: Path) -> None:
    """Three tiers to the world; a single dearer one to Australia, which also is the pair's first rate."""
    snapshot = _snapshot(tmp_path, RATES)
    egress, source = snapshot.egress, snapshot.region_index[CENTRAL]
    world, australia = snapshot.geographies.index("worldwide"), snapshot.geographies.index("australia")
    assert egress.internet_tier_from_gib[source, world].tolist() == [0, 1_024, 10_240]
    assert egress.internet_tier_nanos[source, world].tolist() == [120_000_000, 110_000_000, 80_000_000]
    assert egress.internet_tier_from_gib[source, australia].tolist() == [0, np.inf, np.inf]
    assert egress.region_geography[snapshot.region_index[SYDNEY]] == australia
    assert _pair(snapshot, CENTRAL, SYDNEY) == (190_000_000, PriceBasis.LIST)


def test_rates_by_cloud_fall_back_without_being_free(tmp_path: Path) -> None:
    """A listed inter-zone rate holds; where none is listed one is assumed; a common ingress rate holds for all."""
    egress = _snapshot(tmp_path, RATES).egress
    assert egress.inter_zone_nanos[CLOUDS.index(Cloud.AWS)] == 10_000_000
    assert egress.inter_zone_nanos[CLOUDS.index(Cloud.GCP)] > 0
    assert egress.ingress_nanos.tolist() == [0, 0, 0]


def test_a_rate_carries_its_date(tmp_path: Path) -> None:
    """Listed pairs know the month they are from; estimates have none."""
    snapshot = _snapshot(tmp_path, RATES)
    known = snapshot.egress.pair_as_of[snapshot.region_index[EAST], snapshot.region_index[WEST]]
    assert known == 19_417  # 2023-03-01
    back = snapshot.egress.pair_as_of[snapshot.region_index[WEST], snapshot.region_index[EAST]]
    assert back == UNKNOWN_DAY
