"""Which offers each commitment product covers, how much they draw, and in which order products are applied."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from trimtab_service.domain.commitments import Commitment, CommitmentKind
from trimtab_service.domain.coverage import OfferFacts, aws_size_factor, billing_key, draw_milli, rooms_of
from trimtab_service.domain.offers import Cloud

NOW = datetime(2026, 8, 1, tzinfo=UTC)
K = CommitmentKind
M5 = OfferFacts(Cloud.AWS, "us-east-1", "m5.2xlarge", "m5", 8.0, 32.0, on_demand_nanos=384_000_000)
SAGEMAKER = M5._replace(instance_type="ml.m5.2xlarge", family="ml.m5")
N2 = OfferFacts(Cloud.GCP, "us-central1", "n2-standard-8", "n2", 8.0, 32.0, on_demand_nanos=388_000_000)
A2 = OfferFacts(Cloud.GCP, "us-central1", "a2-highgpu-1g", "a2", 12.0, 85.0, "A100-40GB", 1.0, 3_673_000_000)
D4 = OfferFacts(Cloud.AZURE, "eastus", "Standard_D4s_v5", "standardDSv5Family", 4.0, 16.0, on_demand_nanos=192_000_000)


def owned(kind: CommitmentKind, **fields: Any) -> Commitment:  # noqa: ANN401 - fields of Commitment
    """A commitment of a year, of the kind's own cloud."""
    cloud = Cloud(kind.value.partition("_")[0])
    return Commitment("p", fields.pop("id", "c"), kind, cloud, NOW, NOW + timedelta(days=365), **fields)


def test_a_reserved_instance_covers_its_type_in_its_region() -> None:
    """One instance draws one, elsewhere and of another size none."""
    for kind in (K.AWS_RESERVED_INSTANCE_STANDARD, K.AWS_RESERVED_INSTANCE_CONVERTIBLE):
        reserved = owned(kind, region="us-east-1", instance_type="m5.2xlarge", family="m5", instances=2.0)
        assert draw_milli(reserved, M5) == (1_000,)
        assert draw_milli(reserved, M5._replace(region="us-east-2")) is None
        assert draw_milli(reserved, M5._replace(instance_type="m5.xlarge", vcpus=4.0)) is None
        assert draw_milli(reserved, SAGEMAKER._replace(instance_type="ml.m5.2xlarge")) is None


@pytest.mark.parametrize(
    ("size", "milli"), [("large", 250), ("2xlarge", 1_000), ("8xlarge", 4_000), ("24xlarge", 12_000)]
)
def test_a_size_flexible_reservation_covers_its_family_by_normalised_size(size: str, milli: int) -> None:
    """AWS's factors: large 4, xlarge 8, n-xlarge 8n; other families are not covered."""
    reserved = owned(
        K.AWS_RESERVED_INSTANCE_STANDARD, region="us-east-1", instance_type="m5.2xlarge", family="m5",
        instances=2.0, size_flexible=True,
    )  # fmt: skip
    assert draw_milli(reserved, M5._replace(instance_type=f"m5.{size}")) == (milli,)
    assert draw_milli(reserved, M5._replace(instance_type=f"m6i.{size}", family="m6i")) is None


def test_sizes_without_a_factor_go_by_vcpus_where_they_are_known() -> None:
    """A metal size has no factor in its name; the vCPUs of the reserved type decide, and without them nothing."""
    metal = M5._replace(instance_type="m5.metal", vcpus=96.0)
    reserved = owned(
        K.AWS_RESERVED_INSTANCE_STANDARD, region="us-east-1", instance_type="m5.2xlarge", family="m5",
        instances=2.0, size_flexible=True,
    )  # fmt: skip
    assert aws_size_factor("m5.metal") is None
    assert draw_milli(reserved, metal) is None
    assert draw_milli(replace(reserved, vcpus=8.0), metal) == (12_000,)


def test_a_zonal_reservation_covers_its_zone_and_exact_size_only() -> None:
    """Zonal reservations are never size-flexible, and need an offer that may run in the zone."""
    reserved = owned(
        K.AWS_RESERVED_INSTANCE_STANDARD, region="us-east-1", zone="us-east-1a", instance_type="m5.2xlarge",
        family="m5", instances=2.0, size_flexible=True,
    )  # fmt: skip
    assert draw_milli(reserved, M5._replace(zones=("us-east-1a", "us-east-1b"))) == (1_000,)
    assert draw_milli(reserved, M5._replace(zones=("us-east-1b",))) is None
    assert draw_milli(reserved, M5._replace(zones=("us-east-1a",), instance_type="m5.xlarge")) is None


def test_an_instance_savings_plan_covers_one_family_in_one_region() -> None:
    """An hour draws the discounted price, whatever the size."""
    plan = owned(
        K.AWS_EC2_INSTANCE_SAVINGS_PLAN, region="us-east-1", family="m5", spend_nanos_per_hour=10**9,
        discount_fraction=0.25,
    )  # fmt: skip
    assert draw_milli(plan, M5) == (288_000_000,)
    assert draw_milli(plan, M5._replace(region="eu-west-1")) is None
    assert draw_milli(plan, M5._replace(family="c5")) is None
    assert draw_milli(plan, M5._replace(on_demand_nanos=0)) is None


def test_a_compute_savings_plan_covers_ec2_anywhere_and_no_sagemaker() -> None:
    """The two savings plans share AWS between them: `ml.*` types and all others."""
    compute = owned(K.AWS_COMPUTE_SAVINGS_PLAN, spend_nanos_per_hour=10**9, discount_fraction=0.5)
    sagemaker = owned(K.AWS_SAGEMAKER_SAVINGS_PLAN, spend_nanos_per_hour=10**9, discount_fraction=0.5)
    elsewhere = M5._replace(region="ap-south-1", family="p3")

    assert draw_milli(compute, elsewhere) == (192_000_000,)
    assert draw_milli(compute, SAGEMAKER) is None
    assert draw_milli(sagemaker, SAGEMAKER) == (192_000_000,)
    assert draw_milli(sagemaker, elsewhere) is None
    assert draw_milli(compute, N2) is None


def test_resource_commitments_draw_each_resource_of_their_family() -> None:
    """Its vCPUs and memory for one family; a GPU commitment only of its model; other families and regions not."""
    cpus = owned(K.GCP_RESOURCE_CUD, region="us-central1", family="n2", vcpus=100.0, memory_gib=400.0)
    assert [room.name for room in rooms_of(cpus)] == ["vcpus", "memory"]
    assert draw_milli(cpus, N2) == (8_000, 32_000)
    assert draw_milli(cpus, N2._replace(family="n2d")) is None
    assert draw_milli(cpus, N2._replace(region="europe-west4")) is None

    gpus = owned(K.GCP_RESOURCE_CUD, region="us-central1", family="a2", gpu_model="A100-40GB", gpus=8.0)
    assert draw_milli(gpus, A2) == (1_000,)
    assert draw_milli(gpus, A2._replace(gpu_model="A100-80GB")) is None


def test_flexible_commitments_leave_gpus_out() -> None:
    """Google's spend-based commitment pays for vCPUs and memory of any family, not for types with GPUs."""
    flexible = owned(K.GCP_FLEXIBLE_CUD, spend_nanos_per_hour=10**9, discount_fraction=0.28)
    assert draw_milli(flexible, N2) == (279_360_000,)
    assert draw_milli(flexible, A2) is None


def test_azure_reservations_flex_by_vcpus_and_savings_plans_cover_all() -> None:
    """Ratios follow vCPUs within the family."""
    reserved = owned(
        K.AZURE_RESERVATION, region="eastus", instance_type="Standard_D2s_v5", family="standardDSv5Family",
        vcpus=2.0, instances=4.0, size_flexible=True,
    )  # fmt: skip
    plan = owned(K.AZURE_SAVINGS_PLAN, spend_nanos_per_hour=10**9, discount_fraction=0.5)
    assert draw_milli(reserved, D4) == (2_000,)
    assert draw_milli(replace(reserved, size_flexible=False), D4) is None
    assert draw_milli(reserved, D4._replace(family="standardESv5Family")) is None
    assert draw_milli(plan, D4._replace(region="westeurope")) == (96_000_000,)


def test_room_is_what_others_leave() -> None:
    """The share in use is taken off first, exactly: nine tenths of thirty leave three."""
    reserved = owned(K.AWS_RESERVED_INSTANCE_STANDARD, instance_type="m5.large", instances=30.0, in_use_fraction=0.9)
    plan = owned(K.AWS_COMPUTE_SAVINGS_PLAN, spend_nanos_per_hour=2_000_000_000, in_use_fraction=0.25)
    assert [room.capacity_milli for room in rooms_of(reserved)] == [3_000]
    assert [room.capacity_milli for room in rooms_of(plan)] == [1_500_000_000]
    assert [room.capacity_milli for room in rooms_of(replace(plan, in_use_fraction=1.0))] == [0]


def test_products_are_applied_in_the_order_of_the_bill() -> None:
    """Reservations (zonal, exact, flexible), then the narrower savings plan, then the wider; the best saving first."""
    order = [
        owned(K.AWS_RESERVED_INSTANCE_CONVERTIBLE, id="zonal", zone="us-east-1a"),
        owned(K.AWS_RESERVED_INSTANCE_STANDARD, id="exact"),
        owned(K.AWS_RESERVED_INSTANCE_STANDARD, id="flexible", size_flexible=True),
        owned(K.AWS_EC2_INSTANCE_SAVINGS_PLAN, id="narrow", discount_fraction=0.3),
        owned(K.AWS_COMPUTE_SAVINGS_PLAN, id="wide-better", discount_fraction=0.6),
        owned(K.AWS_COMPUTE_SAVINGS_PLAN, id="wide-worse", discount_fraction=0.2),
    ]
    backwards = order[::-1]
    assert sorted(backwards, key=billing_key) == order
    google = [owned(K.GCP_RESOURCE_CUD), owned(K.GCP_FLEXIBLE_CUD, discount_fraction=0.9)]
    azure = [owned(K.AZURE_RESERVATION), owned(K.AZURE_SAVINGS_PLAN, discount_fraction=0.9)]
    for pair in (google, azure):
        backwards = pair[::-1]
        assert sorted(backwards, key=billing_key) == pair
