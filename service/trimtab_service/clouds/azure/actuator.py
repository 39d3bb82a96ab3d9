"""Changes of virtual machines and scale sets through the Compute resource provider."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from trimtab_service.clouds.azure.faults import NotThereError, RefusedRequestError, refused
from trimtab_service.clouds.azure.inventory import Inventory
from trimtab_service.clouds.azure.resource_ids import group_and_name
from trimtab_service.clouds.patience import source_failed
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.recommendations import Operation, OperationKind
from trimtab_service.domain.resources import CloudResource, ResourceKind
from trimtab_service.recommendations.ports import Effect, Observed

PROTECTED_TAG: Final = "trimtab:protected"
"""Tag that forbids changes unless its value is `false`. Azure's own locks refuse changes themselves."""

_POLL_S: Final = 5.0
_RUNNING: Final = "running"
_STOPPED: Final = "deallocated"
_DONE: Final = "Succeeded"

_OF_MACHINES: Final = frozenset(
    {OperationKind.STOP_INSTANCE, OperationKind.START_INSTANCE, OperationKind.MODIFY_INSTANCE_TYPE}
)
_OF_GROUPS: Final = frozenset({OperationKind.UPDATE_GROUP_TEMPLATE, OperationKind.SET_GROUP_CAPACITY})


@dataclass(frozen=True, slots=True)
class AzureActuator:
    """An Actuator of one subscription. Field names: `powerState`, `vmSize`; of scale sets `sku.name`, `sku.capacity`.

    Azure takes no idempotency token: a repetition looks at what stands and asks for nothing twice.
    """

    cloud: Inventory

    def handles(self, resource: CloudResource, operation: Operation) -> bool:
        """Machines: deallocate, start, size. Scale sets: size and number of machines."""
        if resource.cloud is not Cloud.AZURE or resource.account != self.cloud.account.account:
            return False
        wanted = {ResourceKind.INSTANCE: _OF_MACHINES, ResourceKind.INSTANCE_GROUP: _OF_GROUPS}
        return operation.kind in wanted.get(resource.kind, frozenset())

    def observe(self, resource: CloudResource, operation: Operation, deadline: datetime) -> Observed:
        """As the port says."""
        try:
            found = self._get(resource, deadline)
        except NotThereError:
            return Observed(exists=False)
        values = _fields(resource, found)
        return Observed(
            exists=True,
            fields=tuple((one.field, values.get(one.field, "")) for one in operation.changes),
            is_protected=(found.tags or {}).get(PROTECTED_TAG, "false") != "false",
            state=values.get("powerState", found.provisioning_state or ""),
        )

    def carry_out(self, resource: CloudResource, operation: Operation, token: str, deadline: datetime) -> Effect:  # noqa: ARG002 - the port's
        """As the port says."""
        wanted = {one.field: one.after for one in operation.changes}
        try:
            found = self._get(resource, deadline)
            before = _fields(resource, found)
            match operation.kind:
                case OperationKind.STOP_INSTANCE:
                    wanted, change = {"powerState": _STOPPED}, self._verb(resource, "begin_deallocate")
                case OperationKind.START_INSTANCE:
                    wanted, change = {"powerState": _RUNNING}, self._verb(resource, "begin_start")
                case OperationKind.MODIFY_INSTANCE_TYPE:
                    change = self._update(resource, {"properties": {"hardwareProfile": {"vmSize": wanted["vmSize"]}}})
                case _:
                    change = self._update(resource, {"sku": _sku(found, wanted)})
            if all(before.get(key) == value for key, value in wanted.items()):
                return Effect(is_changed=False, detail="it stands so already")
            _check(resource, operation, before)
            self.cloud.ask(change, "changing a resource", deadline)
            self._until(resource, wanted, deadline)
        except NotThereError as error:
            raise refused("the resource does not exist any more") from error
        except RefusedRequestError as error:
            raise refused(f"Azure refused the change ({error.code})") from error
        return Effect(is_changed=True, detail=_told(before, wanted) + _manual(found))

    def _get(self, resource: CloudResource, deadline: datetime) -> Any:  # noqa: ANN401 - either model
        group, name = group_and_name(resource.resource_id)
        if resource.kind is ResourceKind.INSTANCE:
            machines = self.cloud.compute.virtual_machines
            return self.cloud.ask(
                lambda timeouts: machines.get(group, name, expand="instanceView", **timeouts),
                "reading a machine",
                deadline,
            )
        sets = self.cloud.compute.virtual_machine_scale_sets
        return self.cloud.ask(lambda timeouts: sets.get(group, name, **timeouts), "reading a scale set", deadline)

    def _verb(self, resource: CloudResource, method: str) -> Callable[[dict[str, Any]], object]:
        group, name = group_and_name(resource.resource_id)
        begin = getattr(self.cloud.compute.virtual_machines, method)
        return lambda timeouts: begin(group, name, polling=False, **timeouts)

    def _update(self, resource: CloudResource, body: Mapping[str, object]) -> Callable[[dict[str, Any]], object]:
        group, name = group_and_name(resource.resource_id)
        is_machine = resource.kind is ResourceKind.INSTANCE
        compute = self.cloud.compute
        begin: Any = (
            compute.virtual_machines.begin_update if is_machine else compute.virtual_machine_scale_sets.begin_update
        )
        return lambda timeouts: begin(group, name, body, polling=False, **timeouts)

    def _until(self, resource: CloudResource, wanted: Mapping[str, str], deadline: datetime) -> None:
        """Wait until it stands as wanted and Azure is done with it."""
        while True:
            found = self._get(resource, deadline)
            if found.provisioning_state == "Failed":
                raise refused("Azure began the change and failed in it")
            shown = _fields(resource, found)
            if found.provisioning_state == _DONE and all(shown.get(key) == value for key, value in wanted.items()):
                return
            if self.cloud.patience.remaining_s(deadline) <= _POLL_S:
                raise source_failed("the change was asked for, and is not done yet at the deadline")
            self.cloud.patience.sleep(_POLL_S)


def _fields(resource: CloudResource, found: Any) -> dict[str, str]:  # noqa: ANN401 - either model
    if resource.kind is ResourceKind.INSTANCE_GROUP:
        return {"sku.name": str(found.sku.name), "sku.capacity": str(found.sku.capacity)}
    statuses = (found.instance_view.statuses if found.instance_view else None) or []
    power = next((one.code for one in statuses if str(one.code).startswith("PowerState/")), "")
    size = found.hardware_profile.vm_size if found.hardware_profile else ""
    return {"powerState": power.partition("/")[2], "vmSize": str(getattr(size, "value", size) or "")}


def _check(resource: CloudResource, operation: Operation, before: Mapping[str, str]) -> None:
    if operation.kind is OperationKind.MODIFY_INSTANCE_TYPE and before["powerState"] != _STOPPED:
        # Azure would restart a running machine by itself, or refuse, depending on the hardware it stands on.
        raise refused(f"its size is set only while it is deallocated; it is {before['powerState']}")
    if operation.kind is OperationKind.SET_GROUP_CAPACITY and resource.autoscaling is not None:
        raise refused("its autoscale setting sets the number of machines")


def _sku(found: Any, wanted: Mapping[str, str]) -> dict[str, object]:  # noqa: ANN401 - a VirtualMachineScaleSet
    return {
        "name": wanted.get("sku.name", found.sku.name),
        "tier": found.sku.tier,
        "capacity": int(wanted.get("sku.capacity", found.sku.capacity)),
    }


def _manual(found: Any) -> str:  # noqa: ANN401 - either model
    policy = getattr(found, "upgrade_policy", None)
    mode = getattr(policy, "mode", "") if policy is not None else ""
    is_manual = str(getattr(mode, "value", mode)) == "Manual"
    return "; running machines keep their size until they are upgraded" if is_manual else ""


def _told(before: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    return ", ".join(f"{key} {before.get(key, '')} -> {value}" for key, value in wanted.items())
