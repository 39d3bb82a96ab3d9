"""Changes through the real boto3 client: the type really changes, a repetition changes nothing, protection holds."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.moto_fleet import FLEET, REGION, MotoFleet, moto_fleet
from tests.support.moto_groups import make_endpoint, make_group
from tests.support.moto_server import ACCOUNT, Fault
from trimtab_service.clouds.aws.connection import connect
from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.errors import FailedPreconditionError, UnavailableError
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.recommendations import FieldChange, Operation, OperationKind
from trimtab_service.domain.resources import CloudResource, ResourceKind
from trimtab_service.recommendations.ports import Actuator, Effect, Observed

_CHANGING = frozenset(
    {
        "CancelInstanceRefresh",
        "CreateEndpointConfig",
        "CreateLaunchTemplateVersion",
        "ModifyInstanceAttribute",
        "RollbackInstanceRefresh",
        "StartInstanceRefresh",
        "StartInstances",
        "StopInstances",
        "UpdateAutoScalingGroup",
        "UpdateEndpoint",
    }
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoFleet]:
    """A fleet without history; each test changes resources of its own."""
    with moto_fleet(tmp_path_factory.mktemp("fleet"), ()) as running:
        yield running


class _Hands:
    """The actuator, on one resource. Waits are not waited for."""

    def __init__(self, fleet: MotoFleet, resource: CloudResource) -> None:
        actuator = connect(fleet.account, Patience(sleep=lambda _: None)).actuator
        assert actuator is not None
        self.fleet = fleet
        self.actuator: Actuator = actuator
        self.resource = resource

    def do(
        self, kind: OperationKind, *changes: tuple[str, str, str], token: str = "t-1", seconds: float = 300
    ) -> Effect:
        operation = self.operation(kind, *changes)
        assert self.actuator.handles(self.resource, operation)
        return self.actuator.carry_out(self.resource, operation, token, _soon(seconds))

    def see(self, kind: OperationKind, *changes: tuple[str, str, str]) -> Observed:
        return self.actuator.observe(self.resource, self.operation(kind, *changes), _soon())

    def operation(self, kind: OperationKind, *changes: tuple[str, str, str]) -> Operation:
        return Operation(kind, self.resource.resource_id, tuple(FieldChange(*change) for change in changes))

    def changes_sent(self) -> list[str]:
        return [one for one in self.fleet.server.operations() if one in _CHANGING]


def _soon(seconds: float = 300) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def _resource(resource_id: str, kind: ResourceKind = ResourceKind.INSTANCE) -> CloudResource:
    return CloudResource(resource_id, Cloud.AWS, REGION, kind=kind, account=ACCOUNT)


def _launched(fleet: MotoFleet, index: int = 0) -> tuple[_Hands, str]:
    name = FLEET[index].name
    fleet.launch((FLEET[index],), days=0)
    fleet.server.sent.clear()
    fleet.server.faults.clear()
    return _Hands(fleet, _resource(fleet.ids[name])), name


_STOP = (OperationKind.STOP_INSTANCE, ("State", "running", "stopped"))
_MODIFY = (OperationKind.MODIFY_INSTANCE_TYPE, ("InstanceType", "m5.4xlarge", "m5.xlarge"))
_START = (OperationKind.START_INSTANCE, ("State", "stopped", "running"))


def test_stop_modify_start_changes_the_type(fleet: MotoFleet) -> None:
    """The three operations of a resize leave the instance running with the new type."""
    hands, name = _launched(fleet)
    assert hands.see(*_MODIFY).fields == (("InstanceType", "m5.4xlarge"),)
    assert [hands.do(*one).is_changed for one in (_STOP, _MODIFY, _START)] == [True, True, True]
    assert (fleet.instance_type(name), fleet.state(name)) == ("m5.xlarge", "running")
    assert hands.see(*_MODIFY).fields == (("InstanceType", "m5.xlarge"),)


@pytest.mark.parametrize("done", [(_STOP,), (_STOP, _MODIFY)])
def test_each_step_repeated_changes_nothing(fleet: MotoFleet, done: tuple[Any, ...]) -> None:
    """A repetition after a crash finds what stands already and sends no change."""
    hands, _ = _launched(fleet)
    for one in done:
        hands.do(*one)
    sent = hands.changes_sent()
    effect = hands.do(*done[-1])
    assert not effect.is_changed
    assert hands.changes_sent() == sent


def test_a_running_instance_is_not_resized(fleet: MotoFleet) -> None:
    """The type of a running instance cannot be changed; nothing is sent."""
    hands, name = _launched(fleet)
    with pytest.raises(FailedPreconditionError, match="stopped"):
        hands.do(*_MODIFY)
    assert fleet.instance_type(name) == "m5.4xlarge"
    assert hands.changes_sent() == []


def test_what_somebody_else_changed_is_left_alone(fleet: MotoFleet) -> None:
    """An instance that is neither as advised nor as wanted was changed meanwhile."""
    hands, name = _launched(fleet)
    fleet.client("ec2").stop_instances(InstanceIds=[fleet.ids[name]])
    fleet.client("ec2").modify_instance_attribute(InstanceId=fleet.ids[name], InstanceType={"Value": "m5.8xlarge"})
    with pytest.raises(FailedPreconditionError, match=r"m5\.8xlarge"):
        hands.do(*_MODIFY)
    assert fleet.instance_type(name) == "m5.8xlarge"


def test_the_tag_protects(fleet: MotoFleet) -> None:
    """`trimtab:protected` forbids stopping and resizing, and is observed."""
    hands, name = _launched(fleet, index=4)
    assert hands.see(*_STOP).is_protected
    with pytest.raises(FailedPreconditionError, match="protected"):
        hands.do(*_STOP)
    assert fleet.state(name) == "running"


@pytest.mark.parametrize("protection", ["DisableApiTermination", "DisableApiStop"])
def test_the_clouds_own_protection_protects(fleet: MotoFleet, protection: str) -> None:
    """Termination and stop protection of EC2 forbid changes too."""
    hands, name = _launched(fleet)
    fleet.client("ec2").modify_instance_attribute(InstanceId=fleet.ids[name], **{protection: {"Value": True}})
    fleet.server.sent.clear()
    assert hands.see(*_STOP).is_protected
    with pytest.raises(FailedPreconditionError, match="protected"):
        hands.do(*_STOP)
    assert hands.changes_sent() == []


@pytest.mark.parametrize("how", ["terminated", "never there"])
def test_a_resource_that_is_gone_is_said_to_be(fleet: MotoFleet, how: str) -> None:
    """It does not exist to an observer, and is not changed."""
    hands, name = _launched(fleet)
    if how == "terminated":
        fleet.client("ec2").terminate_instances(InstanceIds=[fleet.ids[name]])
    else:
        hands.resource = _resource("i-0123456789abcdef0")
    assert not hands.see(*_STOP).exists
    with pytest.raises(FailedPreconditionError, match="does not exist"):
        hands.do(*_STOP)


def test_a_refusal_of_aws_is_told_in_its_words(fleet: MotoFleet) -> None:
    """No capacity for the new type: the change fails with AWS's code, and the type can be put back."""
    hands, name = _launched(fleet)
    hands.do(*_STOP)
    hands.do(*_MODIFY)
    fleet.server.faults.append(Fault("StartInstances", "InsufficientInstanceCapacity", 400))
    with pytest.raises(FailedPreconditionError, match="InsufficientInstanceCapacity"):
        hands.do(*_START)
    back = (OperationKind.MODIFY_INSTANCE_TYPE, ("InstanceType", "m5.xlarge", "m5.4xlarge"))
    assert hands.do(*back).is_changed
    assert hands.do(*_START).is_changed
    assert (fleet.instance_type(name), fleet.state(name)) == ("m5.4xlarge", "running")


def test_waiting_ends_at_the_deadline(fleet: MotoFleet) -> None:
    """A hanging API gives a failed source at the deadline, not later and not never."""
    hands, _ = _launched(fleet)
    fleet.server.faults.append(Fault("DescribeInstances", hangs=True, times=99))
    with pytest.raises(UnavailableError):
        hands.actuator.carry_out(hands.resource, hands.operation(*_STOP), "t", _soon(1))


def test_it_handles_its_own_resources_only(fleet: MotoFleet) -> None:
    """Another account, region, cloud or kind of operation is somebody else's."""
    hands, _ = _launched(fleet)
    stop = hands.operation(*_STOP)
    handles = hands.actuator.handles
    assert not handles(CloudResource("i-1", Cloud.AWS, REGION, account="210987654321"), stop)
    assert not handles(CloudResource("i-1", Cloud.AWS, "us-east-1", account=ACCOUNT), stop)
    assert not handles(CloudResource("i-1", Cloud.GCP, REGION, account=ACCOUNT), stop)
    assert not handles(_resource("job", ResourceKind.TRAINING_JOB), stop)
    assert not handles(_resource("i-1"), Operation(OperationKind.SET_GROUP_CAPACITY, "i-1"))


@pytest.fixture
def group(tmp_path: Path) -> Iterator[_Hands]:
    """A group of three c5.2xlarge, version 1 of its template."""
    with moto_fleet(tmp_path, ()) as fleet:
        make_group(fleet, "workers", "c5.2xlarge", desired=3)
        fleet.server.sent.clear()
        yield _Hands(fleet, _resource("workers", ResourceKind.INSTANCE_GROUP))


def _described(hands: _Hands) -> dict[str, Any]:
    found = hands.fleet.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=["workers"])
    group: dict[str, Any] = found["AutoScalingGroups"][0]
    return group


_RETYPE = (OperationKind.UPDATE_GROUP_TEMPLATE, ("InstanceType", "c5.2xlarge", "c5.xlarge"))
_SCALE = (OperationKind.SET_GROUP_CAPACITY, ("MinSize", "1", "2"), ("DesiredCapacity", "3", "2"))


def test_a_group_gets_a_new_template_version(group: _Hands) -> None:
    """A version like the group's own but for the type, which the group then starts; a repetition makes none."""
    assert group.see(*_RETYPE).fields == (("InstanceType", "c5.2xlarge"),)
    assert group.do(*_RETYPE).is_changed
    assert _described(group)["LaunchTemplate"]["Version"] == "2"
    versions = group.fleet.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=_described(group)["LaunchTemplate"]["LaunchTemplateId"]
    )["LaunchTemplateVersions"]
    assert {one["LaunchTemplateData"]["InstanceType"] for one in versions} == {"c5.2xlarge", "c5.xlarge"}
    (made,) = [one for one in group.fleet.server.sent if one.operation == "CreateLaunchTemplateVersion"]
    assert (made.parameters["SourceVersion"], made.parameters["ClientToken"]) == ("1", "t-1")
    sent = group.changes_sent()
    assert not group.do(*_RETYPE).is_changed
    assert group.changes_sent() == sent


def test_a_version_made_before_a_crash_is_used(group: _Hands) -> None:
    """The process died between making the version and giving it to the group: it is not made a second time."""
    group.fleet.server.faults.append(Fault("UpdateAutoScalingGroup", "AccessDenied", 403))
    with pytest.raises(UnavailableError):
        group.do(*_RETYPE, token="t-9")
    assert group.do(*_RETYPE, token="t-9").is_changed
    assert group.changes_sent().count("CreateLaunchTemplateVersion") == 1
    assert _described(group)["LaunchTemplate"]["Version"] == "2"


_ROLL = (
    OperationKind.UPDATE_GROUP_TEMPLATE,
    ("InstanceType", "c5.2xlarge", "c5.xlarge"),
    ("Instances.InstanceType", "c5.2xlarge", "c5.xlarge"),
)
_BACK = (
    OperationKind.UPDATE_GROUP_TEMPLATE,
    ("InstanceType", "c5.xlarge", "c5.2xlarge"),
    ("Instances.InstanceType", "c5.xlarge", "c5.2xlarge"),
)


def _running(hands: _Hands) -> list[str]:
    return sorted(one["InstanceType"] for one in _described(hands)["Instances"])


def _follow(hands: _Hands, version: str) -> None:
    template = _described(hands)["LaunchTemplate"]
    hands.fleet.client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName="workers",
        LaunchTemplate={"LaunchTemplateId": template["LaunchTemplateId"], "Version": version},
    )
    hands.fleet.server.sent.clear()


@pytest.mark.parametrize("version", ["1", "$Latest", "$Default"])
def test_what_a_group_runs_is_replaced(group: _Hands, version: str) -> None:
    """By a refresh that keeps the capacity, whatever version is followed; once, and the way back undoes it."""
    _follow(group, version)
    assert group.see(*_ROLL).fields == (("InstanceType", "c5.2xlarge"), ("Instances.InstanceType", "c5.2xlarge"))
    assert group.do(*_ROLL).is_changed
    assert _running(group) == 3 * ["c5.xlarge"]
    (started,) = [one for one in group.fleet.server.sent if one.operation == "StartInstanceRefresh"]
    assert started.parameters["Preferences.MinHealthyPercentage"] == "100"
    sent = group.changes_sent()
    assert not group.do(*_ROLL).is_changed
    assert group.changes_sent() == sent
    assert group.do(*_BACK, token="t-2").is_changed
    assert _running(group) == 3 * ["c5.2xlarge"]
    assert group.see(*_ROLL).fields[0] == ("InstanceType", "c5.2xlarge")


def test_a_refresh_that_was_under_way_is_waited_for(group: _Hands) -> None:
    """The process died while it waited: the same token finds the refresh and starts no other."""
    group.fleet.server.instance_refreshes.stuck.add("workers")
    group.fleet.server.faults.append(Fault("RollbackInstanceRefresh", "AccessDenied", 403))
    with pytest.raises(FailedPreconditionError, match="needs a person"):
        group.do(*_ROLL, token="t-9", seconds=33)
    assert set(_running(group)) == {"c5.2xlarge", "c5.xlarge"}
    assert group.see(*_ROLL).fields[1] == ("Instances.InstanceType", "c5.2xlarge, c5.xlarge")
    group.fleet.server.instance_refreshes.stuck.clear()
    assert group.do(*_ROLL, token="t-9").is_changed
    assert _running(group) == 3 * ["c5.xlarge"]
    assert _described(group)["LaunchTemplate"]["Version"] == "2"
    assert group.changes_sent().count("StartInstanceRefresh") == 1
    assert group.changes_sent().count("CreateLaunchTemplateVersion") == 1


def test_a_refresh_whose_answer_was_lost_is_not_started_twice(group: _Hands) -> None:
    """AWS took the call and answered 500; the repetition is refused, and the refresh found."""
    server = group.fleet.server
    group.do(OperationKind.UPDATE_GROUP_TEMPLATE, ("InstanceType", "c5.2xlarge", "c5.xlarge"))
    group.fleet.client("autoscaling").start_instance_refresh(AutoScalingGroupName="workers")
    server.instance_refreshes.is_late = True
    assert group.do(*_ROLL).is_changed
    assert _running(group) == 3 * ["c5.xlarge"]
    assert len(server.instance_refreshes.refreshes["workers"]) == 1


@pytest.mark.parametrize(("version", "call"), [("1", "RollbackInstanceRefresh"), ("$Latest", "CancelInstanceRefresh")])
def test_a_refresh_that_takes_too_long_is_turned_round(group: _Hands, version: str, call: str) -> None:
    """AWS rolls back what it can; where it cannot, the group starts the old type again."""
    _follow(group, version)
    group.fleet.server.instance_refreshes.stuck.add("workers")
    with pytest.raises(FailedPreconditionError, match="before the deadline"):
        group.do(*_ROLL, seconds=33)
    assert call in group.changes_sent()
    assert group.see(*_ROLL).fields[0] == ("InstanceType", "c5.2xlarge")


@pytest.mark.parametrize("version", ["1", "$Latest"])
def test_a_refresh_that_fails_is_refused(group: _Hands, version: str) -> None:
    """New instances turned out unhealthy: the group starts, and where AWS rolled back runs, what it did before."""
    _follow(group, version)
    group.fleet.server.instance_refreshes.failing.add("workers")
    with pytest.raises(FailedPreconditionError, match="ended as"):
        group.do(*_ROLL)
    assert group.see(*_ROLL).fields == (("InstanceType", "c5.2xlarge"), ("Instances.InstanceType", "c5.2xlarge"))


def test_somebody_elses_refresh_is_left_alone(group: _Hands) -> None:
    """It leads elsewhere; nothing of it is rolled back."""
    group.fleet.client("autoscaling").start_instance_refresh(AutoScalingGroupName="workers")
    with pytest.raises(FailedPreconditionError, match="another instance refresh"):
        group.do(*_ROLL)
    assert "RollbackInstanceRefresh" not in group.changes_sent()


def test_an_empty_group_needs_no_refresh(group: _Hands) -> None:
    """It gets the template, and has nothing to replace."""
    group.fleet.client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName="workers", MinSize=0, DesiredCapacity=0
    )
    assert group.do(*_ROLL).is_changed
    assert "StartInstanceRefresh" not in group.changes_sent()
    assert group.see(*_ROLL).fields == (("InstanceType", "c5.xlarge"), ("Instances.InstanceType", "c5.xlarge"))


def test_a_shared_latest_version_is_not_changed(group: _Hands) -> None:
    """Two groups follow the newest version of one template: a new one would change the other group too."""
    scaling = group.fleet.client("autoscaling")
    latest = {"LaunchTemplateId": _described(group)["LaunchTemplate"]["LaunchTemplateId"], "Version": "$Latest"}
    scaling.update_auto_scaling_group(AutoScalingGroupName="workers", LaunchTemplate=latest)
    scaling.create_auto_scaling_group(
        AutoScalingGroupName="others",
        LaunchTemplate=latest,
        MinSize=0,
        MaxSize=1,
        AvailabilityZones=[f"{REGION}a"],
    )
    with pytest.raises(FailedPreconditionError, match="other groups"):
        group.do(*_RETYPE)
    assert "CreateLaunchTemplateVersion" not in group.changes_sent()


def test_a_groups_bounds_and_size_change_together(group: _Hands) -> None:
    """Minimum and desired in one call; a repetition sends none."""
    assert group.do(*_SCALE).is_changed
    found = _described(group)
    assert (found["MinSize"], found["DesiredCapacity"], found["MaxSize"]) == (2, 2, 6)
    assert not group.do(*_SCALE).is_changed
    assert group.changes_sent() == ["UpdateAutoScalingGroup"]


@pytest.mark.parametrize("change", [("DesiredCapacity", "3", "9"), ("DesiredCapacity", "3", "x"), ("Size", "3", "2")])
def test_sizes_that_cannot_be_are_refused(group: _Hands, change: tuple[str, str, str]) -> None:
    """Out of bounds, no number, no field of a group: refused here, nothing sent."""
    with pytest.raises(FailedPreconditionError):
        group.do(OperationKind.SET_GROUP_CAPACITY, change)
    assert group.changes_sent() == []


def test_a_protected_group_is_left_alone(group: _Hands) -> None:
    """The tag on the group forbids both changes."""
    group.fleet.client("autoscaling").create_or_update_tags(
        Tags=[
            {
                "ResourceId": "workers",
                "ResourceType": "auto-scaling-group",
                "Key": "trimtab:protected",
                "Value": "true",
                "PropagateAtLaunch": False,
            }
        ]
    )
    assert group.see(*_SCALE).is_protected
    for change in (_SCALE, _RETYPE):
        with pytest.raises(FailedPreconditionError, match="protected"):
            group.do(*change)
    assert group.changes_sent() == []


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[_Hands]:
    """An endpoint of one variant on two ml.g4dn.12xlarge."""
    with moto_fleet(tmp_path, ()) as fleet:
        make_endpoint(fleet, "ranker", "ml.g4dn.12xlarge", count=2)
        fleet.server.sent.clear()
        yield _Hands(fleet, _resource("ranker/main", ResourceKind.ENDPOINT))


_SHRINK = (
    OperationKind.UPDATE_ENDPOINT_CONFIG,
    ("InstanceType", "ml.g4dn.12xlarge", "ml.g4dn.xlarge"),
    ("InitialInstanceCount", "2", "1"),
)


def test_an_endpoint_gets_a_new_configuration(endpoint: _Hands) -> None:
    """Type and count change, the weight stays as it was set since, the model stays; a repetition changes nothing."""
    sagemaker = endpoint.fleet.client("sagemaker")
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="ranker", DesiredWeightsAndCapacities=[{"VariantName": "main", "DesiredWeight": 0.25}]
    )
    assert endpoint.see(*_SHRINK).fields == (("InstanceType", "ml.g4dn.12xlarge"), ("InitialInstanceCount", "2"))
    assert endpoint.do(*_SHRINK).is_changed
    name = sagemaker.describe_endpoint(EndpointName="ranker")["EndpointConfigName"]
    assert name.startswith("ranker-trimtab-")
    (variant,) = sagemaker.describe_endpoint_config(EndpointConfigName=name)["ProductionVariants"]
    assert (variant["InstanceType"], variant["InitialInstanceCount"]) == ("ml.g4dn.xlarge", 1)
    assert (variant["InitialVariantWeight"], variant["ModelName"]) == (0.25, "ranker")
    sent = endpoint.changes_sent()
    assert not endpoint.do(*_SHRINK).is_changed
    assert endpoint.changes_sent() == sent


def test_a_configuration_made_before_a_crash_is_used(endpoint: _Hands) -> None:
    """The same token makes the same configuration, once."""
    endpoint.fleet.server.faults.append(Fault("UpdateEndpoint", "AccessDeniedException", 403))
    with pytest.raises(UnavailableError):
        endpoint.do(*_SHRINK, token="t-9")
    assert endpoint.do(*_SHRINK, token="t-9").is_changed
    assert endpoint.changes_sent().count("CreateEndpointConfig") == 1


def test_an_endpoint_that_is_not_there_is_gone(endpoint: _Hands) -> None:
    """Neither an unknown endpoint nor an unknown variant exists."""
    for resource_id in ("nothing/main", "ranker/other"):
        endpoint.resource = _resource(resource_id, ResourceKind.ENDPOINT)
        assert not endpoint.see(*_SHRINK).exists
        with pytest.raises(FailedPreconditionError, match="does not exist"):
            endpoint.do(*_SHRINK)


def test_a_protected_endpoint_is_left_alone(endpoint: _Hands) -> None:
    """The tag on the endpoint forbids the change."""
    arn = endpoint.fleet.client("sagemaker").describe_endpoint(EndpointName="ranker")["EndpointArn"]
    endpoint.fleet.client("sagemaker").add_tags(ResourceArn=arn, Tags=[{"Key": "trimtab:protected", "Value": "true"}])
    assert endpoint.see(*_SHRINK).is_protected
    with pytest.raises(FailedPreconditionError, match="protected"):
        endpoint.do(*_SHRINK)
    assert endpoint.changes_sent() == []
