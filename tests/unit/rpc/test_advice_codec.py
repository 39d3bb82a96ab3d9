"""Advice as a message: nothing that the engine says is lost on the way."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from google.protobuf.message import Message

from trimtab.v1 import rightsizing_pb2 as pb
from trimtab.v1 import rightsizing_service_pb2 as service_pb
from trimtab_service.domain.dimensions import Dimension, Metric
from trimtab_service.domain.offers import Cloud, PriceBasis, PurchaseOption
from trimtab_service.domain.policy import RuleSource
from trimtab_service.domain.reasons import AdviceReason, SeriesNote
from trimtab_service.domain.resources import Autoscaling, Capacity, CloudResource, ResourceKind
from trimtab_service.domain.rightsizing import (
    Action,
    Advice,
    BackTest,
    DimensionProjection,
    Finding,
    MigrationEffort,
    RightsizingOption,
    SeriesSummary,
    TelemetrySummary,
)
from trimtab_service.rpc.advice_codec import encode_advice, encode_option

START = datetime(2026, 11, 9, tzinfo=UTC)
CAPACITY = Capacity(2.0, 8.0, "A100-40GB", 0.5, 40.0, 10.0, 3_000.0, 125.0)
GROUP = Autoscaling(1, 4, Dimension.MEMORY, 0.5)
TEST = BackTest(0.01, 0.005, 0.02, 0.95, 0.4, 7, 2, 0.012, 0.35)
PROJECTION = DimensionProjection(Dimension.CPU, 2.0, 1.5, 0.3, 0.6, 0.9, 1.2, TEST, assumed=True)
OPTION = RightsizingOption(
    rank=2,
    action=Action.SHARE_GPU,
    cloud=Cloud.GCP,
    region="us-central1",
    instance_type="a2-highgpu-1g",
    count=3,
    capacity=CAPACITY,
    price_nanos_per_hour=3_673_385_000,
    price_basis=PriceBasis.LIST,
    price_as_of=date(2026, 10, 1),
    monthly_cost_micros=2_681_571_050,
    monthly_net_cost_micros=2_000_000_001,
    monthly_saving_micros=-500_001,
    monthly_net_saving_micros=-1_500_000,
    dimensions=(PROJECTION,),
    risk=1.2,
    binding_dimension=Dimension.GPU_MEMORY,
    migration_effort=MigrationEffort.MEDIUM,
    restart_needed=True,
    rollback_possible=True,
    reasons=(AdviceReason.GPU_SHARE_SERVES,),
    gpu_share="MIG 3g.20gb",
    back_test=TEST,
    autoscaling=GROUP,
    limits=CAPACITY,
    used_hours=(8, 9, 10),
)
RESOURCE = CloudResource(
    resource_id="i-1",
    cloud=Cloud.AWS,
    region="us-east-1",
    kind=ResourceKind.ENDPOINT,
    zone="us-east-1a",
    account="123456789012",
    instance_type="m5.large",
    count=2,
    capacity=CAPACITY,
    price_nanos_per_hour=96_000_000,
    option=PurchaseOption.SPOT,
    running_hours_per_month=300.0,
    tags=(("team", "ml"),),
    autoscaling=GROUP,
    workload_id="web",
    team="search",
    start_time=START,
    arm_ready=True,
)
ADVICE = Advice(
    finding=Finding.NOT_OPTIMIZED,
    resource=RESOURCE,
    reasons=(AdviceReason.CHEAPER_GPU,),
    missing=("memory: no agent",),
    current=OPTION,
    options=(OPTION,),
    telemetry=TelemetrySummary(
        START,
        START + timedelta(days=14),
        (SeriesSummary(Metric.CPU, 4_032, 4_030, timedelta(minutes=5), 0.01, (SeriesNote.GAPS,)),),
    ),
    preferences=(RuleSource("rightsizing.profile", "safe", "request"),),
    confidence=0.9,
    catalog_version="v1",
    policy_revision=7,
    as_of=START,
    hours_per_month=730.0,
    rejections=((AdviceReason.TOO_SMALL, 31),),
)


def unset(message: Message, above: str = "") -> Iterator[str]:
    """Paths of all fields, however deep, that say nothing."""
    said = {field.name: value for field, value in message.ListFields()}
    for field in message.DESCRIPTOR.fields:
        path = f"{above}{field.name}"
        if field.name not in said:
            yield path
        elif field.message_type is not None and field.message_type.file.package == "trimtab.v1":
            value = said[field.name]
            if field.is_repeated and not field.message_type.GetOptions().map_entry:
                yield from unset(value[0], f"{path}.")
            elif not field.is_repeated:
                yield from unset(value, f"{path}.")


def test_nothing_of_an_advice_is_lost() -> None:
    """Every field of the contract is filled by something that the engine says."""
    assert not list(unset(encode_advice(ADVICE, "projects/p/recommendations/r")))


def test_money_keeps_its_sign_and_its_last_digit() -> None:
    """Micros and nanos are exact, and the sign is on both parts."""
    message = encode_option(OPTION)
    assert (message.price_per_hour.units, message.price_per_hour.nanos) == (3, 673_385_000)
    assert (message.monthly_net_cost.units, message.monthly_net_cost.nanos) == (2_000, 1_000)
    assert (message.monthly_saving.units, message.monthly_saving.nanos) == (0, -500_001_000)
    assert (message.monthly_net_saving.units, message.monthly_net_saving.nanos) == (-1, -500_000_000)
    assert message.price_as_of.ToDatetime(UTC) == datetime(2026, 10, 1, tzinfo=UTC)


def test_what_is_not_known_is_not_said() -> None:
    """A capacity of which nothing is known is there and empty; what was not tested has no test."""
    bare = RightsizingOption(
        rank=0,
        action=Action.KEEP,
        cloud=Cloud.AWS,
        region="us-east-1",
        instance_type="",
        count=1,
        capacity=Capacity(),
        price_nanos_per_hour=0,
        price_basis=PriceBasis.CALLER,
        price_as_of=date(2026, 10, 1),
        monthly_cost_micros=0,
        monthly_net_cost_micros=0,
        monthly_saving_micros=0,
        monthly_net_saving_micros=0,
        dimensions=(),
        risk=0.0,
        binding_dimension=None,
        migration_effort=MigrationEffort.VERY_LOW,
        restart_needed=False,
        rollback_possible=False,
    )
    message = encode_option(bare)
    assert message.HasField("capacity")
    assert message.capacity == pb.Capacity()
    assert not message.HasField("back_test")
    assert not message.HasField("autoscaling")
    assert not message.HasField("limits")
    assert message.binding_dimension == pb.DIMENSION_UNSPECIFIED


def test_a_name_may_be_appended_to_a_serialised_advice() -> None:
    """What the keeping of advice relies on: messages concatenate."""
    named = service_pb.RightsizingAdvice(recommendation="projects/p/recommendations/r").SerializeToString()
    joined = service_pb.RightsizingAdvice.FromString(encode_advice(ADVICE).SerializeToString() + named)
    assert joined == encode_advice(ADVICE, "projects/p/recommendations/r")
