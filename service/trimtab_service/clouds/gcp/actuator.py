"""Changes of instances and managed groups through Compute Engine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.gcp.compute import Compute
from trimtab_service.clouds.gcp.faults import NotThereError, refused
from trimtab_service.clouds.gcp.group_changes import GroupChanges
from trimtab_service.clouds.gcp.inventory import attached_of
from trimtab_service.clouds.gcp.machine_types import parts_of, type_name
from trimtab_service.clouds.gcp.operations import Operations, last_part, request_id
from trimtab_service.clouds.gcp.tpu_nodes import is_tpu_node
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.recommendations import Operation, OperationKind
from trimtab_service.domain.resources import CloudResource, ResourceKind
from trimtab_service.recommendations.ports import Effect, Observed

PROTECTED_LABEL: Final = "trimtab-protected"
"""Label that forbids changes unless its value is `false`; labels of Google Cloud take no colon."""

_RUNNING: Final = "RUNNING"
_STOPPED: Final = "TERMINATED"

_OF_INSTANCES: Final = frozenset(
    {OperationKind.STOP_INSTANCE, OperationKind.START_INSTANCE, OperationKind.MODIFY_INSTANCE_TYPE}
)
_OF_GROUPS: Final = frozenset({OperationKind.UPDATE_GROUP_TEMPLATE, OperationKind.SET_GROUP_CAPACITY})


@dataclass(frozen=True, slots=True)
class ComputeActuator:
    """An Actuator of one project.

    Field names: `status` and `machineType`; of groups `machineType`, `targetSize`, `minNumReplicas`, `maxNumReplicas`.
    """

    compute: Compute
    account: CloudAccount

    def handles(self, resource: CloudResource, operation: Operation) -> bool:
        """Instances: stop, start, machine type. Managed groups: template's machine type, size and bounds."""
        if resource.cloud is not Cloud.GCP or resource.account != self.account.account or is_tpu_node(resource):
            return False
        wanted = {ResourceKind.INSTANCE: _OF_INSTANCES, ResourceKind.INSTANCE_GROUP: _OF_GROUPS}
        return operation.kind in wanted.get(resource.kind, frozenset())

    def observe(self, resource: CloudResource, operation: Operation, deadline: datetime) -> Observed:
        """As the port says."""
        try:
            if resource.kind is ResourceKind.INSTANCE_GROUP:
                return self._groups(resource).observe(operation, deadline)
            found = self._instance(resource, deadline)
        except NotThereError:
            return Observed(exists=False)
        values = {"status": found.status, "machineType": _type_of(found)}
        return Observed(
            exists=True,
            fields=tuple((one.field, values.get(one.field, "")) for one in operation.changes),
            is_protected=found.deletion_protection or is_protected(found.labels),
            state=found.status,
        )

    def carry_out(self, resource: CloudResource, operation: Operation, token: str, deadline: datetime) -> Effect:
        """As the port says. `token` becomes Compute Engine's requestId, so a repetition is the same request to it."""
        token = f"{token}/{operation.kind}/{resource.resource_id}"  # one token may be of a whole group of operations
        try:
            match operation.kind:
                case OperationKind.STOP_INSTANCE:
                    return self._turn(resource, "stop", _STOPPED, token, deadline)
                case OperationKind.START_INSTANCE:
                    return self._turn(resource, "start", _RUNNING, token, deadline)
                case OperationKind.MODIFY_INSTANCE_TYPE:
                    return self._resize(resource, operation, token, deadline)
                case OperationKind.UPDATE_GROUP_TEMPLATE | OperationKind.SET_GROUP_CAPACITY:
                    return self._groups(resource).carry_out(operation, token, deadline)
                case _:
                    raise refused(f"{operation.kind} is not an operation of Compute Engine")
        except NotThereError as error:
            raise refused(f"{resource.resource_id} does not exist any more") from error

    def _groups(self, resource: CloudResource) -> GroupChanges:
        return GroupChanges(self.compute, resource)

    def _instance(self, resource: CloudResource, deadline: datetime) -> Any:  # noqa: ANN401 - a compute_v1.Instance
        request = self._named(resource)
        return self.compute.ask(
            lambda timeout: self.compute.client("instances").get(request=request, retry=None, timeout=timeout),
            "reading an instance",
            deadline,
        )

    def _turn(self, resource: CloudResource, verb: str, wanted: str, token: str, deadline: datetime) -> Effect:
        """Stop or start, unless it stands so."""
        before = self._instance(resource, deadline).status
        if before == wanted:
            return Effect(is_changed=False, detail=f"it is {wanted} already")
        self._call(
            resource,
            f"{verb}_unary",
            {},
            f"{verb}ping an instance" if verb == "stop" else "starting an instance",
            token,
            deadline,
        )
        after = self._instance(resource, deadline).status
        if after != wanted:
            raise refused(f"it was asked to {verb}, and is {after}")
        return Effect(is_changed=True, detail=f"{before} -> {after}")

    def _resize(self, resource: CloudResource, operation: Operation, token: str, deadline: datetime) -> Effect:
        """Another machine type, and the accelerators that go with it. The instance has to be stopped."""
        wanted = next((one.after for one in operation.changes if one.field == "machineType"), "")
        found = self._instance(resource, deadline)
        before = _type_of(found)
        if before == wanted:
            return Effect(is_changed=False, detail=f"it is {wanted} already")
        if found.status != _STOPPED:
            raise refused(f"its machine type can be set only while it is stopped; it is {found.status}")
        machine_type, attached = parts_of(wanted)
        if last_part(found.machine_type) != machine_type:
            body = {"machine_type": f"zones/{resource.zone}/machineTypes/{machine_type}"}
            self._call(
                resource,
                "set_machine_type_unary",
                {"instances_set_machine_type_request_resource": body},
                "setting a machine type",
                token,
                deadline,
            )
        if parts_of(before)[1] != attached:
            # After the type: a smaller host may not carry the accelerators that were attached.
            kinds = (
                []
                if attached is None
                else [
                    {
                        "accelerator_type": f"zones/{resource.zone}/acceleratorTypes/{attached.accelerator}",
                        "accelerator_count": attached.count,
                    }
                ]
            )
            self._call(
                resource,
                "set_machine_resources_unary",
                {"instances_set_machine_resources_request_resource": {"guest_accelerators": kinds}},
                "setting accelerators",
                f"{token}/accelerators",
                deadline,
            )
        return Effect(is_changed=True, detail=f"{before} -> {wanted}")

    def _call(  # noqa: PLR0913, PLR0917 - one change is all of these
        self,
        resource: CloudResource,
        method: str,
        body: Mapping[str, object],
        doing: str,
        token: str,
        deadline: datetime,
    ) -> None:
        """One change of an instance, waited for."""
        request = {**self._named(resource), **body, "request_id": request_id(token)}
        change: Callable[[float], Any] = lambda timeout: getattr(self.compute.client("instances"), method)(  # noqa: E731 - typed, and too short for a function
            request=request, retry=None, timeout=timeout
        )
        Operations(self.compute).done(self.compute.ask(change, doing, deadline), doing, deadline)

    def _named(self, resource: CloudResource) -> dict[str, str]:
        return {"project": self.compute.project, "zone": resource.zone, "instance": resource.resource_id}


def is_protected(labels: Mapping[str, str]) -> bool:
    """Whether a label forbids changes."""
    return labels.get(PROTECTED_LABEL, "false") != "false"


def _type_of(found: Any) -> str:  # noqa: ANN401 - a compute_v1.Instance
    return type_name(last_part(found.machine_type), attached_of(found.guest_accelerators))
