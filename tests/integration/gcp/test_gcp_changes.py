"""Changes through Compute Engine, and the roles that allow what the adapters call."""

from dataclasses import replace

import pytest
import yaml

from tests.support.clocks import StoppedClock
from tests.support.cloud_assets import CloudAssetFake
from tests.support.compute_engine import ComputeEngineFake
from tests.support.gcp_account import ROLES, ZONE, carry_out, change, inventory, populate, read, soon
from trimtab_service.clouds.kinds import Connection
from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.domain.recommendations import OperationKind


def test_a_machine_is_stopped_resized_and_started_and_a_repetition_finds_it_so(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """Each step holds when it returns; the second time nothing is asked of the cloud."""
    populate(compute)
    vm = inventory(connection, clock)["7001"]
    steps = [
        change(OperationKind.STOP_INSTANCE, vm, status=("RUNNING", "TERMINATED")),
        change(OperationKind.MODIFY_INSTANCE_TYPE, vm, machineType=("n2-custom-4-16384", "n2-standard-2")),
        change(OperationKind.START_INSTANCE, vm, status=("TERMINATED", "RUNNING")),
    ]
    assert [carry_out(connection, clock, vm, step) for step in steps] == [True, True, True]
    assert compute.changes() == ["POST stop", "POST setMachineType", "POST start"]
    stored = compute.resources["instances", ZONE, "vm-a"]
    assert stored["machineType"].endswith("machineTypes/n2-standard-2")
    assert stored["status"] == "RUNNING"
    assert carry_out(connection, clock, vm, steps[2]) is False
    assert len(compute.changes()) == 3


def test_a_running_machine_is_not_resized(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """The cloud is not even asked."""
    populate(compute)
    vm = inventory(connection, clock)["7001"]
    with pytest.raises(FailedPreconditionError, match="stopped"):
        carry_out(
            connection, clock, vm, change(OperationKind.MODIFY_INSTANCE_TYPE, vm, machineType=("", "n2-standard-2"))
        )
    assert compute.changes() == []


def test_accelerators_go_with_the_type(compute: ComputeEngineFake, connection: Connection, clock: StoppedClock) -> None:
    """Two T4s become one: the type stays, the accelerators are set."""
    populate(compute)
    vm = inventory(connection, clock)["7002"]
    stored = compute.resources["instances", "zones/europe-west4-b", "vm-b"]
    stored["status"] = "TERMINATED"
    wanted = "n1-standard-8+nvidia-tesla-t4x1"
    assert carry_out(connection, clock, vm, change(OperationKind.MODIFY_INSTANCE_TYPE, vm, machineType=("", wanted)))
    assert compute.changes() == ["POST setMachineResources"]
    assert stored["guestAccelerators"][0]["acceleratorCount"] == 1


def test_what_the_cloud_refuses_is_a_failed_precondition_without_its_text(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """The operation's error code is told, its message is not."""
    populate(compute)
    vm = inventory(connection, clock)["7001"]
    compute.refuse = "ZONE_RESOURCE_POOL_EXHAUSTED"
    with pytest.raises(FailedPreconditionError, match="ZONE_RESOURCE_POOL_EXHAUSTED") as caught:
        carry_out(connection, clock, vm, change(OperationKind.STOP_INSTANCE, vm, status=("RUNNING", "TERMINATED")))
    assert "secret" not in caught.value.message


def test_a_machine_is_observed_with_its_protection(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """Fields by the operation's names; protection by the cloud or by label; what is gone does not exist."""
    populate(compute)
    vm = inventory(connection, clock)["7001"]
    assert connection.actuator is not None
    operation = change(OperationKind.MODIFY_INSTANCE_TYPE, vm, machineType=("", "n2-standard-2"))
    seen = connection.actuator.observe(vm, operation, soon(clock))
    assert (seen.exists, seen.fields, seen.is_protected, seen.state) == (
        True,
        (("machineType", "n2-custom-4-16384"),),
        False,
        "RUNNING",
    )
    compute.resources["instances", ZONE, "vm-a"]["deletionProtection"] = True
    assert connection.actuator.observe(vm, operation, soon(clock)).is_protected
    del compute.resources["instances", ZONE, "vm-a"]
    assert not connection.actuator.observe(vm, operation, soon(clock)).exists
    with pytest.raises(FailedPreconditionError, match="exist"):
        carry_out(connection, clock, vm, operation)


def test_a_group_gets_a_copy_of_its_template(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """All but the machine type is as it was; a repetition finds the group so."""
    populate(compute)
    web = inventory(connection, clock)["web"]
    operation = change(OperationKind.UPDATE_GROUP_TEMPLATE, web, machineType=("n2-standard-4", "n2-standard-2"))
    assert carry_out(connection, clock, web, operation)
    used = compute.resources["instanceGroupManagers", "regions/us-central1", "web"]["instanceTemplate"].rpartition("/")[
        2
    ]
    assert used != "web-v1"
    copy = compute.resources["instanceTemplates", "global", used]["properties"]
    assert (copy["machineType"], copy["labels"]) == ("n2-standard-2", {"team": "web"})
    assert carry_out(connection, clock, web, operation) is False


_ROLLED = {
    "machineType": ("n2-standard-4", "n2-standard-2"),
    "instances.machineType": ("n2-standard-4", "n2-standard-2"),
}


@pytest.mark.parametrize("name", ["web", "fixed"])
def test_what_a_group_runs_is_replaced(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock, name: str
) -> None:
    """Every instance, also of a group that replaces only on demand, which it does again afterwards."""
    populate(compute)
    group = inventory(connection, clock)[name]
    manager = next(one for (_, _, known), one in compute.resources.items() if known == name)
    policy = manager["updatePolicy"]["type"]
    operation = change(OperationKind.UPDATE_GROUP_TEMPLATE, group, **_ROLLED)
    assert carry_out(connection, clock, group, operation)
    assert manager["instanceTemplate"].rpartition("/")[2] != "web-v1"
    assert (manager["status"]["versionTarget"]["isReached"], manager["updatePolicy"]["type"]) == (True, policy)
    assert connection.actuator is not None
    assert set(connection.actuator.observe(group, operation, soon(clock)).fields) == {
        ("machineType", "n2-standard-2"),
        ("instances.machineType", "n2-standard-2"),
    }
    assert carry_out(connection, clock, group, operation) is False


@pytest.mark.parametrize(("name", "told"), [("web", "n2-standard-4 again$"), ("fixed", "set it to OPPORTUNISTIC")])
def test_a_replacement_that_takes_too_long_goes_back(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock, name: str, told: str
) -> None:
    """The template that was there before is set again before the deadline; what is left for a person is said."""
    populate(compute)
    group = inventory(connection, clock)[name]
    compute.stuck.add(name)
    with pytest.raises(FailedPreconditionError, match=told):
        carry_out(connection, clock, group, change(OperationKind.UPDATE_GROUP_TEMPLATE, group, **_ROLLED))
    manager = next(one for (_, _, known), one in compute.resources.items() if known == name)
    assert manager["instanceTemplate"].rpartition("/")[2] == "web-v1"


def test_a_replacement_that_was_interrupted_is_gone_on_with(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """The process died when the group had begun: it is waited for, and its own way of updates is given back."""
    populate(compute)
    fixed = inventory(connection, clock)["fixed"]
    operation = change(OperationKind.UPDATE_GROUP_TEMPLATE, fixed, **_ROLLED)
    assert carry_out(connection, clock, fixed, operation)
    manager = compute.resources["instanceGroupManagers", ZONE, "fixed"]
    manager["updatePolicy"]["type"] = "PROACTIVE"
    manager["status"] = {"isStable": True, "versionTarget": {"isReached": False}}
    sent = compute.changes()
    assert connection.actuator is not None
    assert connection.actuator.carry_out(fixed, operation, "token-2", soon(clock)).is_changed
    assert compute.changes()[len(sent) :] == ["PATCH fixed"]
    assert manager["updatePolicy"]["type"] == "OPPORTUNISTIC"


def test_a_group_that_may_not_be_restarted_is_left_alone(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """Its update policy forbids what another machine type takes."""
    populate(compute)
    web = inventory(connection, clock)["web"]
    manager = compute.resources["instanceGroupManagers", "regions/us-central1", "web"]
    manager["updatePolicy"]["mostDisruptiveAllowedAction"] = "REFRESH"
    with pytest.raises(FailedPreconditionError, match="REFRESH"):
        carry_out(connection, clock, web, change(OperationKind.UPDATE_GROUP_TEMPLATE, web, **_ROLLED))
    assert compute.changes() == []


def test_sizes_and_bounds_of_groups(compute: ComputeEngineFake, connection: Connection, clock: StoppedClock) -> None:
    """A fixed group is resized; of a scaled one the bounds are set, and a size that its autoscaler sets is refused."""
    populate(compute)
    found = inventory(connection, clock)
    resize = change(OperationKind.SET_GROUP_CAPACITY, found["fixed"], targetSize=("2", "1"))
    assert carry_out(connection, clock, found["fixed"], resize)
    assert compute.resources["instanceGroupManagers", ZONE, "fixed"]["targetSize"] == 1
    assert carry_out(connection, clock, found["fixed"], resize) is False
    web = found["web"]
    bound = change(OperationKind.SET_GROUP_CAPACITY, web, minNumReplicas=("2", "1"), targetSize=("3", "1"))
    assert carry_out(connection, clock, web, bound)
    scaler = compute.resources["autoscalers", "regions/us-central1", "web-scaler"]["autoscalingPolicy"]
    assert (scaler["minNumReplicas"], scaler["maxNumReplicas"]) == (1, 9)
    with pytest.raises(FailedPreconditionError, match="autoscaler"):
        carry_out(connection, clock, web, change(OperationKind.SET_GROUP_CAPACITY, web, targetSize=("3", "2")))


def test_the_roles_allow_what_is_called_and_nothing_else(
    compute: ComputeEngineFake, assets: CloudAssetFake, connection: Connection, clock: StoppedClock
) -> None:
    """Reading uses exactly the reader's role; changing exactly the other one beside it."""
    populate(compute)
    found = inventory(connection, clock)
    read(connection, clock, *found.values())
    reader = set(yaml.safe_load((ROLES / "gcp-reader.yaml").read_text())["includedPermissions"])
    assert reader == compute.permissions | assets.permissions | {"monitoring.timeSeries.list"}
    compute.permissions.clear()
    vm, gpu, web, fixed = found["7001"], found["7002"], found["web"], found["fixed"]
    regional = compute.put(
        "instanceTemplates", "regions/us-central1", "own", properties={"machineType": "n2-standard-4"}
    )
    compute.put(
        "instanceGroupManagers",
        ZONE,
        "regional",
        targetSize=1,
        instanceTemplate=regional["selfLink"],
        status={"isStable": True},
    )
    steps = [
        (vm, change(OperationKind.STOP_INSTANCE, vm, status=("", ""))),
        (vm, change(OperationKind.MODIFY_INSTANCE_TYPE, vm, machineType=("", "n2-standard-2"))),
        (vm, change(OperationKind.START_INSTANCE, vm, status=("", ""))),
        (gpu, change(OperationKind.STOP_INSTANCE, gpu, status=("", ""))),
        (gpu, change(OperationKind.MODIFY_INSTANCE_TYPE, gpu, machineType=("", "n1-standard-8"))),
        (web, change(OperationKind.UPDATE_GROUP_TEMPLATE, web, machineType=("", "n2-standard-2"))),
        (web, change(OperationKind.SET_GROUP_CAPACITY, web, minNumReplicas=("", "1"))),
        (fixed, change(OperationKind.SET_GROUP_CAPACITY, fixed, targetSize=("", "1"))),
    ]
    own = replace(fixed, resource_id="regional")
    steps.append((own, change(OperationKind.UPDATE_GROUP_TEMPLATE, own, machineType=("", "n2-standard-2"))))
    for resource, step in steps:
        assert carry_out(connection, clock, resource, step)
    changer = set(yaml.safe_load((ROLES / "gcp-changes.yaml").read_text())["includedPermissions"])
    assert changer == compute.permissions | {"compute.instanceTemplates.useReadOnly"}
