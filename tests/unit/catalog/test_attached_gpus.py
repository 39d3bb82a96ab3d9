"""GCP hosts with attached GPUs are composed where both prices are known, and say how sure the sum is."""

from pathlib import Path

from tests.support.catalog_sources import AS_OF, good_source, instance_type, price, region
from trimtab_service.catalog.builder import build
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.catalog.storage import open_snapshot
from trimtab_service.domain.offers import PRICE_BASES, Cloud, PriceBasis

ON_DEMAND, SPOT, RESERVED_1Y, RESERVED_3Y = range(4)
HOME, AWAY, WITHOUT = "us-central1", "europe-west4", "europe-west1"


def _snapshot(tmp_path: Path) -> CatalogSnapshot:
    source = good_source()
    source.tables["regions"] += [region("gcp", AWAY, "NL"), region("gcp", WITHOUT, "BE")]
    source.tables["instance_types"] += [
        instance_type("gcp", "n1-standard-16", 16.0, 60.0, family="n1"),
        instance_type("gcp", "n2-standard-8", 8.0, 32.0, family="n2"),
    ]
    for place in (AWAY, WITHOUT):
        source.tables["prices"].append(price("gcp", place, "n1-standard-8", 0.4, as_of="2026-01-05"))
        source.tables["zones"].append({"cloud": "gcp", "region": place, "zone": f"{place}-a"})
    source.tables["prices"] += [
        price("gcp", HOME, "n1-standard-16", 0.8),
        price("gcp", HOME, "n2-standard-8", 0.3),
    ]
    source.tables["zone_offerings"] = [
        {"cloud": "gcp", "region": HOME, "zone": f"{HOME}-{suffix}", "instance_type": "n1-standard-8"}
        for suffix in ("a", "b")
    ]
    source.tables["gcp_attachable_gpus"] = [
        {
            "accelerator": "nvidia-tesla-v100",
            "gpu_model": "V100",
            "gpu_memory_gib": 16,
            "on_demand_usd_per_gpu_hour": 2.48,
            "spot_usd_per_gpu_hour": 0.74,
            "price_region": f"{HOME} list",
            "source": "test",
            "zones": f"{HOME}-a {AWAY}-a moon-a",
        }
    ]
    load = build(source.write(tmp_path / "in"), tmp_path / "out", as_of=AS_OF)
    return open_snapshot(tmp_path / "out" / load.version)


def _price(snapshot: CatalogSnapshot, option: int, place: str, name: str) -> tuple[int, PriceBasis] | None:
    k = snapshot.find_offer(
        option, snapshot.region_index[Cloud.GCP, place], snapshot.type_index.get((Cloud.GCP, name), -1)
    )
    return None if k is None else (int(snapshot.offers.price_nanos[k]), PRICE_BASES[snapshot.offers.basis[k]])


def test_the_price_is_host_plus_gpus_and_its_basis_says_where_the_gpu_price_is_from(tmp_path: Path) -> None:
    """In the price list's region the sum is derived from two list prices; elsewhere it is an estimate."""
    snapshot = _snapshot(tmp_path)
    one = "n1-standard-8+nvidia-tesla-v100x1"
    host = snapshot.offer_price_nanos(
        ON_DEMAND, snapshot.region_index[Cloud.GCP, HOME], snapshot.type_index[Cloud.GCP, "n1-standard-8"]
    )
    assert host is not None
    assert _price(snapshot, ON_DEMAND, HOME, one) == (host + 2_480_000_000, PriceBasis.DERIVED_HOST_PLUS_GPU)
    assert _price(snapshot, ON_DEMAND, AWAY, one) == (2_880_000_000, PriceBasis.ESTIMATED_GPU_REGION)
    assert _price(snapshot, ON_DEMAND, AWAY, "n1-standard-8+nvidia-tesla-v100x2") == (
        5_360_000_000,
        PriceBasis.ESTIMATED_GPU_REGION,
    )


def test_nothing_is_composed_without_a_zone_or_a_price(tmp_path: Path) -> None:
    """No GPU zone in the region, no spot price of the host, no committed price of a GPU: no offer."""
    snapshot = _snapshot(tmp_path)
    one = "n1-standard-8+nvidia-tesla-v100x1"
    assert _price(snapshot, ON_DEMAND, WITHOUT, one) is None
    assert _price(snapshot, SPOT, AWAY, one) is None
    assert _price(snapshot, RESERVED_1Y, HOME, one) is None


def test_host_limits_and_families_are_kept(tmp_path: Path) -> None:
    """One V100 takes at most 12 vCPUs, and only N1 hosts take one at all."""
    snapshot = _snapshot(tmp_path)
    composed = sorted(name for name in snapshot.type_names if "+" in name)
    assert composed == sorted(
        f"n1-standard-{size}+nvidia-tesla-v100x{count}"
        for size, counts in {4: (1, 2, 4, 8), 8: (1, 2, 4, 8), 16: (2, 4, 8)}.items()
        for count in counts
    )


def test_a_composed_type_is_placed_like_any_other(tmp_path: Path) -> None:
    """It is in its model's table with its count, and in the zones that have both host and GPU."""
    snapshot = _snapshot(tmp_path)
    kind = snapshot.type_index[Cloud.GCP, "n1-standard-8+nvidia-tesla-v100x4"]
    assert snapshot.gpu_models[snapshot.types.gpu_model[kind]] == "V100-16GB"
    assert snapshot.types.gpu_count[kind] == 4.0
    assert snapshot.zones_of(kind, snapshot.region_index[Cloud.GCP, HOME]) == (f"{HOME}-a",)
    table = snapshot.table("V100-16GB")
    assert table is not None
    slot = table.slot(3.0, 8.0, 30.0)
    assert slot is not None
    assert table.price_nanos[slot][ON_DEMAND, snapshot.region_index[Cloud.GCP, AWAY]] == 10_320_000_000
