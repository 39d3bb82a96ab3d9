"""From advice to what is recommended."""

from dataclasses import replace

import pytest

from tests.support.findings import advice, content, option, resource, stopping
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.reasons import AdviceReason
from trimtab_service.domain.recommendations import ImpactCategory, Kind, OperationKind, Priority
from trimtab_service.domain.resources import Autoscaling, Capacity, CloudResource, ResourceKind
from trimtab_service.domain.rightsizing import Action, Finding, RightsizingOption
from trimtab_service.recommendations.identity import PRECEDENCE, identity_of
from trimtab_service.recommendations.intake import content_of, monthly_saving_micros
from trimtab_service.recommendations.operations import cpu_quantity, memory_quantity, operations_of
from trimtab_service.recommendations.priority import priority_of
from trimtab_service.recommendations.summary import dollars


@pytest.mark.parametrize(
    "finding", [Finding.OPTIMIZED, Finding.INSUFFICIENT_DATA, Finding.UNSUPPORTED, Finding.SOURCE_FAILED]
)
def test_what_is_no_call_to_act_recommends_nothing(finding: Finding) -> None:
    """Four different answers, none of which is a saving, whatever options they carry."""
    assert content_of(advice(finding=finding), "cw") is None


def test_without_options_nothing_is_recommended() -> None:
    """A finding without a way out stays a finding."""
    assert content_of(advice(options=()), "cw") is None
    assert content_of(advice(options=(option(0),)), "cw") is None


def test_cost_is_negative_where_it_saves_and_the_first_impact_is_what_it_is_made_for() -> None:
    """Over a month, in exact micros; carbon is claimed nowhere."""
    made = content()
    assert made.primary_impact.category is ImpactCategory.COST
    assert made.primary_impact.cost_micros == -140_160_000
    assert monthly_saving_micros(made) == 140_160_000
    small = content_of(advice(finding=Finding.UNDER_PROVISIONED), "cw")
    assert small is not None
    assert small.primary_impact.category is ImpactCategory.PERFORMANCE
    assert monthly_saving_micros(small) == 140_160_000
    assert all(impact.carbon_kg is None for impact in (made.primary_impact, *made.additional_impacts))


def test_identity_leaves_out_what_runs_may_disagree_on() -> None:
    """Another proposal refreshes; another present size, resource or kind is another finding."""
    first = content()
    other = content_of(advice(options=(option(1, "m5a.xlarge", 172_000_000),)), "cw")
    assert other is not None
    assert other.identity == first.identity
    grown = identity_of(Kind.RIGHTSIZE, resource(count=7))
    assert grown == identity_of(Kind.RIGHTSIZE, resource(count=3))
    different = {
        first.identity,
        identity_of(Kind.STOP, resource()),
        identity_of(Kind.RIGHTSIZE, resource(2)),
        identity_of(Kind.RIGHTSIZE, resource(instance_type="m5.large")),
        identity_of(Kind.RIGHTSIZE, resource(account="2")),
    }
    assert len(different) == 5


def test_stop_comes_before_rightsize_before_schedule_before_purchase() -> None:
    """What totals count of a group."""
    order = [PRECEDENCE.index(kind) for kind in (Kind.STOP, Kind.RIGHTSIZE, Kind.SCHEDULE, Kind.PURCHASE)]
    assert order == sorted(order)
    assert set(PRECEDENCE) == set(Kind)
    assert stopping().exclusive_group == content().exclusive_group


@pytest.mark.parametrize(
    ("finding", "reasons", "risk", "saving", "confidence", "expected"),
    [
        (Finding.UNDER_PROVISIONED, (AdviceReason.MEMORY_KILLS,), 1.0, -5, 0.2, Priority.P1),
        (Finding.UNDER_PROVISIONED, (), 3.0, -5, 0.9, Priority.P1),
        (Finding.UNDER_PROVISIONED, (), 2.9, -5, 0.9, Priority.P2),
        (Finding.OVER_PROVISIONED, (), 4.0, 1_000_000_000, 0.9, Priority.P2),
        (Finding.OVER_PROVISIONED, (), 0.0, 999_999_999, 0.9, Priority.P3),
        (Finding.OVER_PROVISIONED, (), 0.0, 1_000_000_000, 0.4, Priority.P3),
        (Finding.IDLE, (), 0.0, 50_000_000, 0.5, Priority.P3),
        (Finding.IDLE, (), 0.0, 49_999_999, 0.9, Priority.P4),
        (Finding.IDLE, (), 0.0, 1, 0.0, Priority.P4),
    ],
)
def test_priority_follows_its_rules(
    finding: Finding,
    reasons: tuple[AdviceReason, ...],
    risk: float,
    saving: int,
    confidence: float,
    expected: Priority,
) -> None:
    """At the edges of each rule."""
    assert priority_of(finding, reasons, risk, saving, confidence) is expected


def fields(of: CloudResource, to: RightsizingOption) -> list[list[tuple[str, list[tuple[str, str, str]]]]]:
    """The operations in plain values."""
    return [
        [
            (one.kind.value, [(change.field, change.before, change.after) for change in one.changes])
            for one in group.operations
        ]
        for group in operations_of(of, to)
    ]


@pytest.mark.parametrize(
    ("cloud", "state", "running", "stopped", "kind"),
    [
        (Cloud.AWS, "State", "running", "stopped", "InstanceType"),
        (Cloud.GCP, "status", "RUNNING", "TERMINATED", "machineType"),
        (Cloud.AZURE, "powerState", "running", "deallocated", "vmSize"),
    ],
)
def test_an_instance_is_stopped_changed_and_started_in_its_clouds_words(
    cloud: Cloud, state: str, running: str, stopped: str, kind: str
) -> None:
    """One group, so that it is whole or put back."""
    made = fields(resource(cloud=cloud), option(cloud=cloud))
    assert made == [
        [
            ("stop_instance", [(state, running, stopped)]),
            ("modify_instance_type", [(kind, "m5.2xlarge", "m5.xlarge")]),
            ("start_instance", [(state, stopped, running)]),
        ]
    ]


def test_a_group_never_serves_with_less_than_before_and_after() -> None:
    """More small machines come before the large ones are replaced; fewer large ones leave after the small are."""
    group = resource(kind=ResourceKind.INSTANCE_GROUP, count=2)
    kinds = [[kind for kind, _ in one] for one in (*fields(group, option(count=4)), *fields(group, option(count=1)))]
    assert kinds == [
        ["set_group_capacity", "update_group_template"],
        ["update_group_template", "set_group_capacity"],
    ]


def test_groups_endpoints_and_containers_have_operations_of_their_own() -> None:
    """Template and capacity; endpoint config; requests."""
    scaled = Autoscaling(4, 12, Dimension.CPU, 0.6)
    group = resource(kind=ResourceKind.INSTANCE_GROUP, count=6, autoscaling=scaled)
    assert fields(group, option(count=3)) == [
        [
            (
                "update_group_template",
                [("InstanceType", "m5.2xlarge", "m5.xlarge"), ("Instances.InstanceType", "m5.2xlarge", "m5.xlarge")],
            ),
            ("set_group_capacity", [("MinSize", "4", "3"), ("DesiredCapacity", "6", "3")]),
        ]
    ]
    endpoint = resource(kind=ResourceKind.ENDPOINT, count=2)
    assert fields(endpoint, option(count=1)) == [
        [
            (
                "update_endpoint_config",
                [("InstanceType", "m5.2xlarge", "m5.xlarge"), ("InitialInstanceCount", "2", "1")],
            )
        ]
    ]
    pod = resource(kind=ResourceKind.CONTAINER, instance_type="", capacity=Capacity(2.0, 8.0))
    wanted = option(1, "", action=Action.SET_REQUESTS, capacity=Capacity(0.75, 1.3))
    assert fields(pod, wanted) == [
        [
            (
                "patch_container_resources",
                [
                    ("resources.requests.cpu", "2000m", "750m"),
                    ("resources.requests.memory", "8192Mi", "1332Mi"),
                ],
            )
        ]
    ]


def test_an_idle_group_is_scaled_to_nothing() -> None:
    """And its least is lowered, which would else bring it back."""
    group = resource(kind=ResourceKind.INSTANCE_GROUP, count=2, autoscaling=Autoscaling(1, 4, Dimension.CPU, 0.6))
    stop = option(1, "", 0, action=Action.STOP)
    assert fields(group, stop) == [[("set_group_capacity", [("MinSize", "1", "0"), ("DesiredCapacity", "2", "0")])]]


@pytest.mark.parametrize(
    ("of", "to"),
    [
        (resource(), option(region="eu-west-1")),
        (resource(), option(cloud=Cloud.GCP)),
        (resource(), option(gpu_share="1g.10gb")),
        (resource(), option(count=2)),
        (resource(kind=ResourceKind.TRAINING_JOB), option()),
        (resource(kind=ResourceKind.DATABASE), option()),
        (resource(), option(action=Action.SCHEDULE)),
        (resource(), option(1, "m5.2xlarge")),
        (resource(kind=ResourceKind.ENDPOINT, cloud=Cloud.GCP), option(cloud=Cloud.GCP)),
    ],
)
def test_what_cannot_be_carried_out_has_no_operations(of: CloudResource, to: RightsizingOption) -> None:
    """It is recommended all the same, and done elsewhere."""
    assert operations_of(of, to) == ()


def test_quantities_never_round_down() -> None:
    """A request below what was advised would throttle or kill."""
    assert (cpu_quantity(0.0001), cpu_quantity(1.5), cpu_quantity(None)) == ("1m", "1500m", "")
    assert (memory_quantity(0.1), memory_quantity(2.0), memory_quantity(None)) == ("103Mi", "2048Mi", "")


def test_the_sentence_says_what_to_do_what_it_brings_and_at_which_risk() -> None:
    """For people, in one line."""
    assert content().summary == (
        "Resize i-00000001 in aws us-east-1 from m5.2xlarge to m5.xlarge: saves $140.16 a month (50 %), risk 1.0 of 4."
    )
    assert stopping().summary.startswith(
        "Stop i-00000001 (m5.2xlarge in aws us-east-1), which nothing uses: saves $280.32"
    )


def test_dollars_are_exact_to_the_cent() -> None:
    """Halves go up in amount; the sign is the caller's."""
    assert [dollars(micros) for micros in (0, 4_999, 5_000, 1_234_567_890, -5_000)] == [
        "$0.00",
        "$0.00",
        "$0.01",
        "$1,234.57",
        "$0.01",
    ]


def test_operation_kinds_are_of_the_contract() -> None:
    """A resize is no other thing than its three steps."""
    (group,) = content().operation_groups
    assert [one.kind for one in group.operations] == [
        OperationKind.STOP_INSTANCE,
        OperationKind.MODIFY_INSTANCE_TYPE,
        OperationKind.START_INSTANCE,
    ]
    assert replace(content(), summary="") != content()
