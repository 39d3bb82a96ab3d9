"""Changes the simulated world as a cloud would be changed: at once, and seen by the simulated telemetry."""

from datetime import datetime
from typing import Final

from trimtab_service.clouds.simulated.world import SimulatedInstance, SimulatedWorld
from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.recommendations import Operation, OperationKind
from trimtab_service.domain.resources import CloudResource
from trimtab_service.recommendations.operations import MEMBER_FIELDS
from trimtab_service.recommendations.ports import Effect, Observed

_RUNS: Final = {
    Cloud.AWS: ("State", "running", "stopped"),
    Cloud.GCP: ("status", "RUNNING", "TERMINATED"),
    Cloud.AZURE: ("powerState", "running", "deallocated"),
}
_TYPE_FIELDS: Final = MEMBER_FIELDS | {"InstanceType", "machineType", "vmSize", "sku.name"}
"""Groups have their instances replaced at once: what they start is what they run."""
_COUNT_FIELDS: Final = frozenset({"DesiredCapacity", "targetSize", "sku.capacity", "InitialInstanceCount"})
_KINDS: Final = frozenset(OperationKind) - {
    OperationKind.PURCHASE_COMMITMENT,
    OperationKind.PATCH_CONTAINER_RESOURCES,
}


class SimulatedActuator:
    """An Actuator over a SimulatedWorld, in the words of each simulated cloud. It handles what is in the world only."""

    def __init__(self, world: SimulatedWorld) -> None:
        self._world = world

    def handles(self, resource: CloudResource, operation: Operation) -> bool:
        """As the port says."""
        return operation.kind in _KINDS and self._world.get(resource.resource_id) is not None

    def observe(self, resource: CloudResource, operation: Operation, deadline: datetime) -> Observed:  # noqa: ARG002 - the port's; it answers at once
        """As the port says."""
        one = self._world.get(resource.resource_id)
        if one is None:
            return Observed(exists=False)
        fields = tuple((change.field, _value(one, change.field)) for change in operation.changes)
        state, running, stopped = _RUNS[one.resource.cloud]
        del state
        return Observed(True, fields, one.is_protected, running if one.is_running else stopped)  # noqa: FBT003 - exists

    def carry_out(self, resource: CloudResource, operation: Operation, token: str, deadline: datetime) -> Effect:  # noqa: ARG002 - the port's
        """As the port says. An instance's type is set only while it is stopped."""
        one = self._world.get(resource.resource_id)
        if one is None or one.is_protected:
            why = "it is protected" if one is not None else "it does not exist"
            raise FailedPreconditionError(ErrorReason.SOURCE_FAILED, why, metadata={"resource": resource.resource_id})
        if operation.kind is OperationKind.STOP_INSTANCE:
            return Effect(self._world.stop(resource.resource_id))
        if operation.kind is OperationKind.START_INSTANCE:
            return Effect(self._world.start(resource.resource_id))
        if operation.kind is OperationKind.MODIFY_INSTANCE_TYPE and one.is_running:
            why = "an instance's type is set only while it is stopped"
            raise FailedPreconditionError(ErrorReason.SOURCE_FAILED, why, metadata={"resource": resource.resource_id})
        changed = [self._set(resource.resource_id, change.field, change.after) for change in operation.changes]
        return Effect(any(changed))

    def _set(self, resource_id: str, field: str, value: str) -> bool:
        if field in _TYPE_FIELDS:
            return self._world.set_type(resource_id, value)
        if field in _COUNT_FIELDS:
            return self._world.set_count(resource_id, int(value))
        return False


def _value(one: SimulatedInstance, field: str) -> str:
    state, running, stopped = _RUNS[one.resource.cloud]
    if field == state:
        return running if one.is_running else stopped
    if field in _TYPE_FIELDS:
        return one.resource.instance_type
    if field in _COUNT_FIELDS:
        return str(one.resource.count)
    scaling = one.resource.autoscaling
    if scaling is not None and field in {"MinSize", "minNumReplicas"}:
        return str(scaling.min_count)
    if scaling is not None and field in {"MaxSize", "maxNumReplicas"}:
        return str(scaling.max_count)
    return ""
