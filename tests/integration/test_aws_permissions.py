"""What the AWS adapters call is what `deploy/iam` allows: nothing beyond it, and nothing in it unused."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from tests.support.moto_fleet import FLEET, REGION, MotoFleet, moto_fleet
from tests.support.moto_groups import make_endpoint, make_group
from tests.support.moto_server import ACCOUNT
from trimtab_service.clouds.aws.connection import observed
from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.recommendations import FieldChange, Operation, OperationKind
from trimtab_service.domain.resources import CloudResource, ResourceKind
from trimtab_service.recommendations.ports import Actuator
from trimtab_service.rightsizing.ports import Scope, Window

_IAM: Final = Path(__file__).parents[2] / "deploy" / "iam"

_ASKED_BY_AWS: Final = {
    "ec2:CreateTags": "Auto Scaling checks it of who gives a group a launch template that tags",
    "ec2:RunInstances": "Auto Scaling checks it of who gives a group a launch template",
    "sagemaker:AddTags": "SageMaker checks it of who makes a configuration with tags",
}
"""Rights that AWS asks for without a call of ours."""


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[set[str], set[str]]]:
    """Actions that reading calls, and those that changing calls besides: every kind of resource, every operation."""
    actions: set[str] = set()

    def note(service: str, operation: str) -> None:
        actions.add(f"{'cloudwatch' if service == 'monitoring' else service}:{operation}")

    role = 'role_arn = "arn:aws:iam::123456789012:role/trimtab"\nexternal_id = "4711"'
    with moto_fleet(tmp_path_factory.mktemp("fleet"), FLEET[:1], extra=role) as fleet:
        make_group(fleet, "workers", "c5.2xlarge", desired=3)
        make_endpoint(fleet, "ranker", "ml.g4dn.12xlarge", count=2)
        fleet.client("sagemaker").create_training_job(
            TrainingJobName="nightly",
            AlgorithmSpecification={"TrainingImage": "i", "TrainingInputMode": "File"},
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/r",
            OutputDataConfig={"S3OutputPath": "s3://b"},
            ResourceConfig={"InstanceType": "ml.p3.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 60},
        )
        until = datetime.now(UTC) + timedelta(seconds=60)
        connection = observed(fleet.account, Patience(sleep=lambda _: None), note)
        resources = list(connection.source.inventory(Scope(), until))
        assert {one.kind for one in resources} == {
            ResourceKind.INSTANCE,
            ResourceKind.INSTANCE_GROUP,
            ResourceKind.ENDPOINT,
            ResourceKind.TRAINING_JOB,
        }
        window = Window(fleet.now - timedelta(days=1), fleet.now)
        assert not [one.failure for one in connection.source.read(resources, window, until) if one.failure]
        reading = set(actions)
        actuator = connection.actuator
        assert actuator is not None
        for kind, resource_id, operation, change in (
            (ResourceKind.INSTANCE, fleet.ids["oversized"], "stop_instance", ("State", "running", "stopped")),
            (ResourceKind.INSTANCE, fleet.ids["oversized"], "modify_instance_type", ("InstanceType", "", "m5.large")),
            (ResourceKind.INSTANCE, fleet.ids["oversized"], "start_instance", ("State", "stopped", "running")),
            (ResourceKind.INSTANCE_GROUP, "workers", "update_group_template", ("InstanceType", "", "c5.large")),
            (ResourceKind.INSTANCE_GROUP, "workers", "set_group_capacity", ("DesiredCapacity", "3", "2")),
            (ResourceKind.ENDPOINT, "ranker/main", "update_endpoint_config", ("InitialInstanceCount", "2", "1")),
        ):
            resource = CloudResource(resource_id, Cloud.AWS, REGION, kind=kind, account=ACCOUNT)
            wanted = Operation(OperationKind(operation), resource_id, (FieldChange(*change),))
            assert actuator.observe(resource, wanted, until).exists
            assert actuator.carry_out(resource, wanted, "t", until).is_changed
        _turn_back(fleet, actuator, "workers", "1")
        make_group(fleet, "followers", "c5.large", desired=3)
        _turn_back(fleet, actuator, "followers", "$Latest")
        yield reading, actions - reading


def _turn_back(fleet: MotoFleet, actuator: Actuator, name: str, version: str) -> None:
    """Have an instance refresh fail for want of time."""
    scaling = fleet.client("autoscaling")
    (found,) = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    template = {"LaunchTemplateId": found["LaunchTemplate"]["LaunchTemplateId"], "Version": version}
    scaling.update_auto_scaling_group(AutoScalingGroupName=name, LaunchTemplate=template)
    fleet.server.instance_refreshes.stuck.add(name)
    resource = CloudResource(name, Cloud.AWS, REGION, kind=ResourceKind.INSTANCE_GROUP, account=ACCOUNT)
    changes = (FieldChange("InstanceType", "", "c5.4xlarge"), FieldChange("Instances.InstanceType", "", "c5.4xlarge"))
    operation = Operation(OperationKind.UPDATE_GROUP_TEMPLATE, name, changes)
    with pytest.raises(FailedPreconditionError, match="before the deadline"):
        actuator.carry_out(resource, operation, f"t-{version}", datetime.now(UTC) + timedelta(seconds=33))


def _allowed(name: str) -> set[str]:
    document = json.loads((_IAM / name).read_text(encoding="utf-8"))
    found: set[str] = set()
    for statement in document["Statement"]:
        assert statement["Effect"] == "Allow"
        actions = statement["Action"]
        found |= {actions} if isinstance(actions, str) else set(actions)
    return found


def test_reading_needs_exactly_the_reading_policy(called: tuple[set[str], set[str]]) -> None:
    """Inventory and telemetry of every kind call each action of aws.json, and no other but the role's."""
    assert called[0] - {"sts:AssumeRole"} == _allowed("aws.json")


def test_changing_needs_exactly_the_changing_policy(called: tuple[set[str], set[str]]) -> None:
    """Every operation together calls each action of aws-changes.json beyond those that AWS asks for by itself."""
    assert called[1] == _allowed("aws-changes.json") - _ASKED_BY_AWS.keys()


def test_the_role_is_assumed_as_the_trust_policy_says(called: tuple[set[str], set[str]]) -> None:
    """The one action of the trust policy is the one that connects, and it asks for the external id."""
    assert "sts:AssumeRole" in called[0]
    assert _allowed("aws-trust.json") == {"sts:AssumeRole"}
    document = json.loads((_IAM / "aws-trust.json").read_text(encoding="utf-8"))
    assert "sts:ExternalId" in document["Statement"][0]["Condition"]["StringEquals"]


def test_no_policy_allows_a_pattern() -> None:
    """Actions are named one by one, and reading changes nothing."""
    for name in ("aws.json", "aws-changes.json", "aws-trust.json"):
        assert not [action for action in _allowed(name) if "*" in action]
    reading = {action.partition(":")[2] for action in _allowed("aws.json")}
    assert all(action.startswith(("Describe", "List", "Get")) for action in reading)
