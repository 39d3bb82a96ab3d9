"""Changes through the Compute resource provider, and the roles that allow what the adapters call."""

import json

import pytest

from tests.support.azure_account import (
    ROLES,
    carry_out,
    change,
    inventory,
    machine,
    populate,
    read,
    soon,
)
from tests.support.azure_cloud import AzureFake
from tests.support.clocks import StoppedClock
from tests.support.http_fake import Answer
from trimtab_service.clouds.kinds import Connection
from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.domain.recommendations import OperationKind


def test_a_machine_is_deallocated_resized_and_started_and_a_repetition_finds_it_so(
    azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """Each step holds when it returns; the second time nothing is asked."""
    populate(azure)
    api = inventory(connection, clock)["api"]
    steps = [
        change(OperationKind.STOP_INSTANCE, api, powerState="deallocated"),
        change(OperationKind.MODIFY_INSTANCE_TYPE, api, vmSize="Standard_D2s_v5"),
        change(OperationKind.START_INSTANCE, api, powerState="running"),
    ]
    assert [carry_out(connection, clock, api, step) for step in steps] == [True, True, True]
    assert azure.changes() == ["POST deallocate", "PATCH api", "POST start"]
    assert inventory(connection, clock)["api"].instance_type == "Standard_D2s_v5"
    assert carry_out(connection, clock, api, steps[2]) is False
    assert len(azure.changes()) == 3


def test_a_running_machine_is_not_resized(azure: AzureFake, connection: Connection, clock: StoppedClock) -> None:
    """Nobody is restarted by surprise."""
    populate(azure)
    api = inventory(connection, clock)["api"]
    with pytest.raises(FailedPreconditionError, match="deallocated"):
        carry_out(connection, clock, api, change(OperationKind.MODIFY_INSTANCE_TYPE, api, vmSize="Standard_D2s_v5"))
    assert azure.changes() == []


def test_scale_sets_change_size_and_number(azure: AzureFake, connection: Connection, clock: StoppedClock) -> None:
    """By their SKU; of one that scales by itself the number is refused; Manual upgrades are told."""
    populate(azure)
    found = inventory(connection, clock)
    assert carry_out(
        connection, clock, found["jobs"], change(OperationKind.SET_GROUP_CAPACITY, found["jobs"], sku_capacity="1")
    )
    assert (
        carry_out(
            connection, clock, found["jobs"], change(OperationKind.SET_GROUP_CAPACITY, found["jobs"], sku_capacity="1")
        )
        is False
    )
    assert connection.actuator is not None
    retype = change(OperationKind.UPDATE_GROUP_TEMPLATE, found["web"], sku_name="Standard_D2s_v5")
    effect = connection.actuator.carry_out(found["web"], retype, "token", soon(clock))
    assert effect.is_changed
    assert "upgraded" in effect.detail
    after = inventory(connection, clock)
    assert (after["jobs"].count, after["web"].instance_type, after["web"].count) == (1, "Standard_D2s_v5", 3)
    with pytest.raises(FailedPreconditionError, match="autoscale"):
        carry_out(
            connection, clock, found["web"], change(OperationKind.SET_GROUP_CAPACITY, found["web"], sku_capacity="2")
        )


def test_a_lock_is_a_failed_precondition_without_azures_text(
    azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """409 ScopeLocked: the code is told."""
    populate(azure)
    api = inventory(connection, clock)["api"]
    assert connection.actuator is not None
    observed = connection.actuator.observe(
        api, change(OperationKind.STOP_INSTANCE, api, powerState="deallocated"), soon(clock)
    )
    assert (observed.fields, observed.state, observed.is_protected) == ((("powerState", "running"),), "running", False)
    locked = Answer({"error": {"code": "ScopeLocked", "message": "secret-scope"}}, 409)
    original = azure.server.seen

    class Locked(list):  # type: ignore[type-arg] # only its append is used
        def append(self, seen: object) -> None:
            super().append(seen)
            if getattr(seen, "method", "") == "POST":
                azure.server.faults.append(locked)

    azure.server.seen = Locked(original)
    with pytest.raises(FailedPreconditionError, match="ScopeLocked") as caught:
        carry_out(connection, clock, api, change(OperationKind.STOP_INSTANCE, api, powerState="deallocated"))
    assert "secret" not in caught.value.message


def test_protection_and_absence_are_observed(azure: AzureFake, connection: Connection, clock: StoppedClock) -> None:
    """A tag protects; what is gone does not exist, and cannot be changed."""
    own = azure.machine("vm", "Standard_D8s_v5", tags={"trimtab:protected": "true"})
    vm = machine(own)
    operation = change(OperationKind.STOP_INSTANCE, vm, powerState="deallocated")
    assert connection.actuator is not None
    assert connection.actuator.observe(vm, operation, soon(clock)).is_protected
    azure.resources.clear()
    assert not connection.actuator.observe(vm, operation, soon(clock)).exists
    with pytest.raises(FailedPreconditionError, match="exist"):
        carry_out(connection, clock, vm, operation)


def test_the_roles_allow_what_is_called_and_nothing_else(
    azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """Reading uses exactly the reader's role; changing needs exactly the other one beside it."""
    populate(azure)
    found = inventory(connection, clock)
    read(connection, clock, *(one for one in found.values() if one.region == "eastus"))
    reader = set(json.loads((ROLES / "azure-reader.json").read_text())["Actions"])
    assert reader == azure.actions
    azure.actions.clear()
    api, jobs = found["api"], found["jobs"]
    for resource, step in (
        (api, change(OperationKind.STOP_INSTANCE, api, powerState="deallocated")),
        (api, change(OperationKind.MODIFY_INSTANCE_TYPE, api, vmSize="Standard_D2s_v5")),
        (api, change(OperationKind.START_INSTANCE, api, powerState="running")),
        (jobs, change(OperationKind.SET_GROUP_CAPACITY, jobs, sku_capacity="1")),
    ):
        assert carry_out(connection, clock, resource, step)
    changer = set(json.loads((ROLES / "azure-changes.json").read_text())["Actions"])
    assert changer == azure.actions - reader
