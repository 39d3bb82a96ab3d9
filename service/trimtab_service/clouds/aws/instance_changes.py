"""EC2 instances: stop, another type, start."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.changes import await_that, fields_of, gone, stands, wanted
from trimtab_service.clouds.aws.faults import RefusedError, refused
from trimtab_service.clouds.aws.tagging import protected, tags_of
from trimtab_service.domain.recommendations import Operation, OperationKind
from trimtab_service.domain.resources import CloudResource
from trimtab_service.recommendations.ports import Effect, Observed

_STATE: Final = "State"
_TYPE: Final = "InstanceType"
_RUNNING: Final = "running"
_STOPPED: Final = "stopped"
_ENDED: Final = frozenset({"shutting-down", "terminated"})
_ON_THE_WAY: Final = {_STOPPED: "stopping", _RUNNING: "pending"}
_UNKNOWN: Final = frozenset({"InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"})
_PROTECTIONS: Final = {"disableApiTermination": "DisableApiTermination", "disableApiStop": "DisableApiStop"}


@dataclass(frozen=True, slots=True)
class InstanceChanges:
    """Implements `Change` for instances. EC2 takes no token for these calls: state and type are looked at instead."""

    calls: AwsCalls

    def observe(self, resource: CloudResource, operation: Operation, deadline: datetime) -> Observed:
        """As the port says."""
        found = self._found(resource, deadline)
        if found is None:
            return Observed(exists=False)
        return Observed(
            exists=True,
            fields=fields_of(operation, _values(found)),
            is_protected=self._is_protected(resource, found, deadline),
            state=_values(found)[_STATE],
        )

    def carry_out(
        self,
        resource: CloudResource,
        operation: Operation,
        token: str,  # noqa: ARG002 - EC2 takes none here
        deadline: datetime,
    ) -> Effect:
        """As the port says. Stopping and resizing respect protection; starting undoes, so nothing stands against it."""
        found = self._found(resource, deadline)
        if found is None:
            raise gone(operation)
        starts = operation.kind is OperationKind.START_INSTANCE
        if not starts and self._is_protected(resource, found, deadline):
            raise refused(f"{resource.resource_id} is protected against changes")
        match operation.kind:
            case OperationKind.STOP_INSTANCE:
                return self._turn(resource, "StopInstances", _STOPPED, _values(found)[_STATE], deadline)
            case OperationKind.START_INSTANCE:
                return self._turn(resource, "StartInstances", _RUNNING, _values(found)[_STATE], deadline)
            case _:
                return self._resize(resource, operation, found, deadline)

    def _turn(self, resource: CloudResource, call: str, target: str, state: str, deadline: datetime) -> Effect:
        if state == target:
            return Effect(is_changed=False, detail=f"{_STATE} is {target} already")
        if state != _ON_THE_WAY[target]:
            # An instance on its way to the other state cannot be turned round; it is let arrive first.
            self._settled(resource, deadline)
            named = {"InstanceIds": [resource.resource_id]}
            self.calls.call("ec2", resource.region, call, named, deadline)
        self._await(resource, _STATE, target, deadline)
        return Effect(is_changed=True, detail=f"{_STATE} {state} -> {target}")

    def _resize(
        self, resource: CloudResource, operation: Operation, found: Mapping[str, Any], deadline: datetime
    ) -> Effect:
        after = wanted(operation, frozenset({_TYPE}))[_TYPE]
        now = _values(found)
        if stands(operation, now):
            return Effect(is_changed=False, detail=f"{_TYPE} is {after} already")
        if self._settled(resource, deadline) != _STOPPED:
            raise refused(f"{resource.resource_id} runs; its type can be changed when it is stopped")
        change = {"InstanceId": resource.resource_id, _TYPE: {"Value": after}}
        self.calls.call("ec2", resource.region, "ModifyInstanceAttribute", change, deadline)
        self._await(resource, _TYPE, after, deadline)
        return Effect(is_changed=True, detail=f"{_TYPE} {now[_TYPE]} -> {after}")

    def _settled(self, resource: CloudResource, deadline: datetime) -> str:
        """Its state, once it is on the way to none."""

        def look() -> str | None:
            found = self._found(resource, deadline)
            state = "terminated" if found is None else _values(found)[_STATE]
            return None if state in _ON_THE_WAY.values() else state

        return await_that(self.calls.patience, look, deadline, f"{resource.resource_id} in one state")

    def _await(self, resource: CloudResource, field: str, value: str, deadline: datetime) -> None:
        def look() -> bool | None:
            found = self._found(resource, deadline)
            if found is None:
                raise refused(f"{resource.resource_id} was terminated meanwhile")
            now = _values(found)
            if field == _STATE and value == _RUNNING and now[_STATE] == _STOPPED:
                words = (found.get("StateReason") or {}).get("Code", "no reason given")
                raise refused(f"{resource.resource_id} did not start ({words})")
            return True if now[field] == value else None

        await_that(self.calls.patience, look, deadline, f"{resource.resource_id}: {field} {value}")

    def _found(self, resource: CloudResource, deadline: datetime) -> Mapping[str, Any] | None:
        named = {"InstanceIds": [resource.resource_id]}
        try:
            answer = self.calls.call("ec2", resource.region, "DescribeInstances", named, deadline)
        except RefusedError as error:
            if error.code in _UNKNOWN:
                return None
            raise
        for reservation in answer["Reservations"]:
            for found in reservation["Instances"]:
                return None if found["State"]["Name"] in _ENDED else found
        return None

    def _is_protected(self, resource: CloudResource, found: Mapping[str, Any], deadline: datetime) -> bool:
        if protected(tags_of(found.get("Tags"))):
            return True
        for attribute, field in _PROTECTIONS.items():
            asked = {"InstanceId": resource.resource_id, "Attribute": attribute}
            answer = self.calls.call("ec2", resource.region, "DescribeInstanceAttribute", asked, deadline)
            if answer.get(field, {}).get("Value", False):
                return True
        return False


def _values(found: Mapping[str, Any]) -> dict[str, str]:
    return {_STATE: found["State"]["Name"], _TYPE: found[_TYPE]}
