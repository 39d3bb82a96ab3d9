"""Resources and preferences of the contract become the domain's, or every fault is named."""

from datetime import timedelta
from typing import Any

import pytest
from google.type.money_pb2 import Money

from tests.support.catalog_sources import AS_OF, good_source
from trimtab.v1 import policy_service_pb2, rightsizing_pb2, types_pb2
from trimtab.v1 import rightsizing_pb2 as pb
from trimtab_service.catalog.builder import build
from trimtab_service.catalog.storage import open_snapshot
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.preferences import DimensionPreference, RightsizingPreferences
from trimtab_service.domain.resources import Autoscaling, CloudResource, ResourceKind
from trimtab_service.rpc.fields import Violations
from trimtab_service.rpc.policy_codec import parse_rules
from trimtab_service.rpc.preferences_parser import parse_preferences
from trimtab_service.rpc.resource_encoder import encode_resource
from trimtab_service.rpc.resource_parser import parse_resource
from trimtab_service.rpc.sizing_vocabulary import (
    ACTION_CODE,
    DIMENSION_CODE,
    EFFORT_CODE,
    FINDING_CODE,
    METRIC_CODE,
    RESOURCE_KIND_CODE,
    SOURCE_KIND_CODE,
    STATISTIC_CODE,
    UNIT_CODE,
)
from trimtab_service.rpc.vocabulary import Vocabulary

NAN = float("nan")


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    """The words of the small catalogue."""
    root = tmp_path_factory.mktemp("catalog")
    load = build(good_source().write(root / "in"), root / "out", as_of=AS_OF)
    return Vocabulary(open_snapshot(root / "out" / load.version))


def whole_resource(**fields: Any) -> pb.CloudResource:  # noqa: ANN401 - fields of the message
    """A resource with every field, and what `fields` change."""
    message = pb.CloudResource(
        resource_id="asg-1",
        kind=pb.CloudResource.KIND_INSTANCE_GROUP,
        cloud=types_pb2.CLOUD_AWS,
        region="us-east-1",
        zone="us-east-1a",
        account="123456789012",
        instance_type="m5.large",
        count=4,
        capacity=pb.Capacity(vcpus=2, memory_gib=8, network_gbps=10, disk_iops=3000, disk_mibps=125),
        price_per_hour=Money(currency_code="USD", nanos=96_000_000),
        purchase_option=types_pb2.PURCHASE_OPTION_SPOT,
        running_hours_per_month=300,
        tags={"team": "ml"},
        autoscaling=pb.Autoscaling(min_count=2, max_count=9, target_dimension=pb.DIMENSION_CPU, target_utilization=0.5),
        workload_id="web",
        team="search",
        arm_ready=True,
    )
    message.start_time.seconds = 1_700_000_000
    for name, value in fields.items():
        message.ClearField(name)  # type: ignore[arg-type] # names of fields
        if value is not None:
            part = pb.CloudResource(**{name: value})
            message.MergeFrom(part)
    return message


def faults_of_resource(message: pb.CloudResource, vocabulary: Vocabulary) -> dict[str, str]:
    """Fields at fault, with their reasons."""
    found = Violations()
    parse_resource(message, vocabulary, found, "resource")
    return {violation.field.removeprefix("resource."): violation.reason.name for violation in found.found}


def test_a_resource_comes_back_as_it_was_sent(vocabulary: Vocabulary) -> None:
    """Every field survives the way in and out."""
    message, found = whole_resource(), Violations()
    parsed = parse_resource(message, vocabulary, found, "resource")
    assert not found
    assert parsed is not None
    assert encode_resource(parsed) == message
    assert parsed.autoscaling == Autoscaling(2, 9, Dimension.CPU, 0.5)


def test_what_is_not_said_is_the_plain_case(vocabulary: Vocabulary) -> None:
    """A bare instance: one, on demand, at the catalogue's price, all hours."""
    found = Violations()
    message = pb.CloudResource(resource_id="i-1", cloud=types_pb2.CLOUD_AWS, region="us-east-1", capacity=pb.Capacity())
    assert parse_resource(message, vocabulary, found, "") == CloudResource("i-1", Cloud.AWS, "us-east-1")
    assert not found


def test_a_type_that_the_catalogue_lacks_is_no_fault(vocabulary: Vocabulary) -> None:
    """Whether it can be sized is the engine's to say: with the caller's own price it can."""
    assert not faults_of_resource(whole_resource(instance_type="private.huge"), vocabulary)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("resource_id", None, "FIELD_REQUIRED"),
        ("resource_id", "x" * 513, "TOO_LARGE"),
        ("resource_id", "a\x00", "BAD_FORMAT"),
        ("kind", 99, "UNKNOWN_VALUE"),
        ("cloud", None, "FIELD_REQUIRED"),
        ("cloud", 99, "FIELD_REQUIRED"),
        ("region", None, "FIELD_REQUIRED"),
        ("region", "us-esat-1", "UNKNOWN_VALUE"),
        ("zone", "z" * 65, "TOO_LARGE"),
        ("account", "a" * 129, "TOO_LARGE"),
        ("count", -1, "OUT_OF_RANGE"),
        ("count", 10_001, "OUT_OF_RANGE"),
        ("purchase_option", 99, "UNKNOWN_VALUE"),
        ("running_hours_per_month", 745.0, "OUT_OF_RANGE"),
        ("running_hours_per_month", NAN, "OUT_OF_RANGE"),
        ("running_hours_per_month", -1.0, "OUT_OF_RANGE"),
        ("workload_id", "Bad Id", "BAD_FORMAT"),
        ("team", "t" * 257, "TOO_LARGE"),
        ("tags", {"": "x"}, "TOO_LARGE"),
        ("tags", {f"k{i}": "v" for i in range(65)}, "TOO_LARGE"),
        ("price_per_hour", Money(currency_code="EUR", units=1), "UNKNOWN_VALUE"),
        ("price_per_hour", Money(currency_code="USD", units=-1), "OUT_OF_RANGE"),
        ("price_per_hour", Money(currency_code="USD"), "OUT_OF_RANGE"),
        ("price_per_hour", Money(currency_code="USD", units=1, nanos=-1), "BAD_FORMAT"),
    ],
)
def test_what_is_wrong_with_a_resource_is_named(vocabulary: Vocabulary, field: str, value: object, reason: str) -> None:
    """Each field has its bounds."""
    assert faults_of_resource(whole_resource(**{field: value}), vocabulary)[field] == reason


@pytest.mark.parametrize(
    "field", ["vcpus", "memory_gib", "gpus", "gpu_memory_gib", "network_gbps", "disk_iops", "disk_mibps"]
)
@pytest.mark.parametrize("value", [NAN, float("inf"), -1.0, 1e300])
def test_no_absurd_capacity_passes(vocabulary: Vocabulary, field: str, value: float) -> None:
    """Nothing that is not a plausible number enters the engine."""
    message = whole_resource(capacity=pb.Capacity(**{field: value}))  # type: ignore[arg-type] # names of fields
    assert faults_of_resource(message, vocabulary)[f"capacity.{field}"] == "OUT_OF_RANGE"


@pytest.mark.parametrize(
    ("given", "field", "reason"),
    [
        (pb.Autoscaling(max_count=3, target_utilization=1.5), "target_utilization", "OUT_OF_RANGE"),
        (pb.Autoscaling(max_count=3, target_utilization=0.0), "target_utilization", "OUT_OF_RANGE"),
        (pb.Autoscaling(max_count=3, target_utilization=NAN), "target_utilization", "OUT_OF_RANGE"),
        (pb.Autoscaling(min_count=5, max_count=3, target_utilization=0.5), "min_count", "CONTRADICTION"),
        (pb.Autoscaling(min_count=-1, max_count=3, target_utilization=0.5), "min_count", "OUT_OF_RANGE"),
        (pb.Autoscaling(target_utilization=0.5), "max_count", "OUT_OF_RANGE"),
        (pb.Autoscaling(max_count=3, target_utilization=0.5, target_dimension=99), "target_dimension", "UNKNOWN_VALUE"),  # type: ignore[arg-type] # of a newer client
    ],
)
def test_what_is_wrong_with_autoscaling_is_named(
    vocabulary: Vocabulary, given: pb.Autoscaling, field: str, reason: str
) -> None:
    """Bounds in order, and a target that can be held."""
    assert faults_of_resource(whole_resource(autoscaling=given), vocabulary)[f"autoscaling.{field}"] == reason


def whole_preferences() -> pb.RightsizingPreferences:
    """Preferences with every field."""
    message = pb.RightsizingPreferences(
        profile="economy",
        dimensions=[
            pb.DimensionPreference(dimension=pb.DIMENSION_MEMORY, percentile=100.0, headroom_fraction=0.0),
            pb.DimensionPreference(dimension=pb.DIMENSION_CPU, percentile=99.5),
        ],
        families=["m5"],
        max_risk=1.5,
        never_shrink=True,
        minimum_saving_to_disruption=0.0,
        minimum_monthly_saving=Money(currency_code="USD", units=5),
        throttled_hour_cost=Money(currency_code="USD", nanos=500_000_000),
        allow_architecture_change=False,
        allow_gpu_model_change=False,
        allow_gpu_sharing=True,
        allow_stop=False,
        regions=[types_pb2.RegionRef(cloud=types_pb2.CLOUD_AWS, region="us-east-1")],
        max_options=3,
        allow_memory_below_peak=True,
        allow_burstable=True,
    )
    message.lookback.FromTimedelta(timedelta(days=7))
    message.minimum_data.FromTimedelta(timedelta(hours=20))
    return message


def faults_of_preferences(message: pb.RightsizingPreferences, vocabulary: Vocabulary) -> dict[str, str]:
    """Fields at fault, with their reasons."""
    found = Violations()
    parse_preferences(message, vocabulary, found, "preferences")
    return {violation.field.removeprefix("preferences."): violation.reason.name for violation in found.found}


def test_preferences_say_what_was_said(vocabulary: Vocabulary) -> None:
    """Every field is read; false and zero are said as well."""
    found = Violations()
    assert parse_preferences(whole_preferences(), vocabulary, found, "") == RightsizingPreferences(
        profile="economy",
        dimensions=(
            DimensionPreference(Dimension.CPU, 99.5, None),
            DimensionPreference(Dimension.MEMORY, 100.0, 0.0),
        ),
        lookback=timedelta(days=7),
        minimum_data=timedelta(hours=20),
        families=frozenset({"m5"}),
        max_risk=1.5,
        never_shrink=True,
        minimum_saving_to_disruption=0.0,
        minimum_monthly_saving_micros=5_000_000,
        throttled_hour_cost_micros=500_000,
        allow_architecture_change=False,
        allow_gpu_model_change=False,
        allow_gpu_sharing=True,
        allow_stop=False,
        regions=frozenset({(Cloud.AWS, "us-east-1")}),
        max_options=3,
        allow_memory_below_peak=True,
        allow_burstable=True,
    )
    assert not found


def test_preferences_that_say_nothing_say_nothing(vocabulary: Vocabulary) -> None:
    """An empty message leaves every level below in force."""
    found = Violations()
    assert parse_preferences(pb.RightsizingPreferences(), vocabulary, found, "") == RightsizingPreferences()
    assert not found


@pytest.mark.parametrize("percentile", [50.0, 75.5, 99.9, 100.0, 0.0])
def test_percentiles_within_the_range_pass(vocabulary: Vocabulary, percentile: float) -> None:
    """50 to 99.9, 100 for the maximum, 0 for the profile's."""
    one = pb.DimensionPreference(dimension=pb.DIMENSION_CPU, percentile=percentile)
    assert not faults_of_preferences(pb.RightsizingPreferences(dimensions=[one]), vocabulary)


@pytest.mark.parametrize("percentile", [49.99, 99.95, 100.1, -1.0, NAN, float("inf"), 0.99])
def test_percentiles_outside_the_range_are_named(vocabulary: Vocabulary, percentile: float) -> None:
    """A fraction in the place of a percentile is found out."""
    one = pb.DimensionPreference(dimension=pb.DIMENSION_CPU, percentile=percentile)
    found = faults_of_preferences(pb.RightsizingPreferences(dimensions=[one]), vocabulary)
    assert found == {"dimensions[0].percentile": "OUT_OF_RANGE"}


def _changed(**fields: Any) -> pb.RightsizingPreferences:  # noqa: ANN401 - fields of the message
    return pb.RightsizingPreferences(**fields)


@pytest.mark.parametrize(
    ("message", "field", "reason"),
    [
        (_changed(profile="ballanced"), "profile", "UNKNOWN_VALUE"),
        (_changed(families=["m55"]), "families[0]", "UNKNOWN_VALUE"),
        (_changed(max_risk=4.1), "max_risk", "OUT_OF_RANGE"),
        (_changed(max_risk=NAN), "max_risk", "OUT_OF_RANGE"),
        (_changed(max_options=21), "max_options", "OUT_OF_RANGE"),
        (_changed(max_options=-1), "max_options", "OUT_OF_RANGE"),
        (_changed(minimum_saving_to_disruption=-0.1), "minimum_saving_to_disruption", "OUT_OF_RANGE"),
        (_changed(throttled_hour_cost=Money(currency_code="USD")), "throttled_hour_cost", "OUT_OF_RANGE"),
        (_changed(minimum_monthly_saving=Money(units=-1)), "minimum_monthly_saving", "OUT_OF_RANGE"),
        (_changed(lookback={"seconds": 3_600}), "lookback", "OUT_OF_RANGE"),
        (_changed(lookback={"seconds": 401 * 86_400}), "lookback", "OUT_OF_RANGE"),
        (_changed(lookback={"seconds": -86_400}), "lookback", "OUT_OF_RANGE"),
        (_changed(minimum_data={}), "minimum_data", "OUT_OF_RANGE"),
        (_changed(lookback={"seconds": 86_400}, minimum_data={"seconds": 86_401}), "minimum_data", "CONTRADICTION"),
        (_changed(dimensions=[pb.DimensionPreference()]), "dimensions[0].dimension", "FIELD_REQUIRED"),
        (_changed(dimensions=[{"dimension": 99}]), "dimensions[0].dimension", "UNKNOWN_VALUE"),
        (_changed(dimensions=[{"dimension": 1}, {"dimension": 1}]), "dimensions[1].dimension", "CONTRADICTION"),
        (
            _changed(dimensions=[{"dimension": 1, "headroom_fraction": 11.0}]),
            "dimensions[0].headroom_fraction",
            "OUT_OF_RANGE",
        ),
        (_changed(dimensions=[{"dimension": 1}] * 8), "dimensions", "TOO_LARGE"),
        (_changed(regions=[{"cloud": 1, "region": "nowhere"}]), "regions[0].region", "UNKNOWN_VALUE"),
    ],
)
def test_what_is_wrong_with_preferences_is_named(
    vocabulary: Vocabulary, message: pb.RightsizingPreferences, field: str, reason: str
) -> None:
    """Each field has its bounds."""
    assert faults_of_preferences(message, vocabulary).get(field) == reason


def test_a_policy_may_rule_rightsizing_alone(vocabulary: Vocabulary) -> None:
    """Preferences of sizes, and the threshold of approvals, are rules like any other."""
    found = Violations()
    message = policy_service_pb2.Rules(
        rightsizing=whole_preferences(), apply_approval_threshold=Money(currency_code="USD", units=100)
    )
    rules = parse_rules(message, vocabulary, found, "rules")
    assert not found
    assert rules.apply_approval_threshold_micros == 100_000_000
    assert rules.rightsizing == parse_preferences(whole_preferences(), vocabulary, found, "")


def test_empty_preferences_are_no_rule(vocabulary: Vocabulary) -> None:
    """A policy that prefers nothing rules nothing, and is refused as such."""
    found = Violations()
    parse_rules(
        policy_service_pb2.Rules(rightsizing=rightsizing_pb2.RightsizingPreferences()), vocabulary, found, "rules"
    )
    assert [violation.field for violation in found.found] == ["rules"]


def test_both_sides_have_the_same_enum_members() -> None:
    """A member added on one side only is found here."""
    for codes, enum in (
        (DIMENSION_CODE, pb.Dimension),
        (METRIC_CODE, pb.Metric),
        (UNIT_CODE, pb.Unit),
        (STATISTIC_CODE, pb.Statistic),
        (RESOURCE_KIND_CODE, pb.CloudResource.Kind),
        (ACTION_CODE, pb.RightsizingOption.Action),
        (EFFORT_CODE, pb.MigrationEffort),
    ):
        assert set(codes.values()) == set(enum.values()) - {0}
    assert len(FINDING_CODE) == len(set(FINDING_CODE.values())) == 8
    assert len(SOURCE_KIND_CODE) == len(set(SOURCE_KIND_CODE.values())) == 5
    assert RESOURCE_KIND_CODE[ResourceKind.INSTANCE] == pb.CloudResource.KIND_INSTANCE
