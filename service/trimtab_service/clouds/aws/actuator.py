"""Changes of one AWS account."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.changes import Change
from trimtab_service.clouds.aws.endpoint_changes import EndpointChanges
from trimtab_service.clouds.aws.faults import RefusedError, refused
from trimtab_service.clouds.aws.group_changes import GroupChanges
from trimtab_service.clouds.aws.instance_changes import InstanceChanges
from trimtab_service.clouds.aws.purchases import Purchases
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.recommendations import Operation, OperationKind
from trimtab_service.domain.resources import CloudResource, ResourceKind
from trimtab_service.recommendations.ports import Effect, Observed, PurchaseBudget

_OPERATIONS: Final[Mapping[ResourceKind, frozenset[OperationKind]]] = {
    ResourceKind.INSTANCE: frozenset(
        {OperationKind.STOP_INSTANCE, OperationKind.START_INSTANCE, OperationKind.MODIFY_INSTANCE_TYPE}
    ),
    ResourceKind.INSTANCE_GROUP: frozenset({OperationKind.UPDATE_GROUP_TEMPLATE, OperationKind.SET_GROUP_CAPACITY}),
    ResourceKind.ENDPOINT: frozenset({OperationKind.UPDATE_ENDPOINT_CONFIG}),
}


class AwsActuator:
    """An Actuator of instances, Auto Scaling groups and SageMaker endpoints, and a buyer of commitments.

    Field names: `State` and `InstanceType` of instances; `InstanceType`, `MinSize`, `MaxSize`, `DesiredCapacity` of
    groups; `InstanceType` and `InitialInstanceCount` of endpoints.
    """

    def __init__(self, calls: AwsCalls, budget: PurchaseBudget | None = None) -> None:
        """Without a `budget`, which keeps the day's purchases, it buys nothing."""
        self._account = calls.account
        self._changes = _changes(calls)
        self._purchases = None if budget is None else Purchases(calls, budget)

    def handles(self, resource: CloudResource, operation: Operation) -> bool:
        """Whether it is of this account and regions, and the operation one of its kind."""
        if operation.kind is OperationKind.PURCHASE_COMMITMENT:
            return (
                resource.cloud is Cloud.AWS
                and resource.account in {"", self._account.account}
                and self._account.max_purchase_nanos_per_hour > 0
                and self._purchases is not None
                and self._purchases.sells(operation)
            )
        here = (resource.cloud, resource.account) == (Cloud.AWS, self._account.account)
        if not here or resource.region not in self._account.regions:
            return False
        return operation.kind in _OPERATIONS.get(resource.kind, frozenset())

    def observe(self, resource: CloudResource, operation: Operation, deadline: datetime) -> Observed:
        """As the port says."""
        try:
            return self._change(resource, operation).observe(resource, operation, deadline)
        except RefusedError as error:
            raise refused(str(error)) from error

    def carry_out(self, resource: CloudResource, operation: Operation, token: str, deadline: datetime) -> Effect:
        """As the port says; refuses what is protected, and what is neither as before nor as after."""
        try:
            return self._change(resource, operation).carry_out(resource, operation, token, deadline)
        except RefusedError as error:
            raise refused(str(error)) from error

    def _change(self, resource: CloudResource, operation: Operation) -> Change:
        if operation.kind is not OperationKind.PURCHASE_COMMITMENT:
            return self._changes[resource.kind]
        if self._purchases is None:
            raise refused(f"{operation.resource_id}: nothing is bought here")
        return self._purchases


def _changes(calls: AwsCalls) -> Mapping[ResourceKind, Change]:
    return {
        ResourceKind.INSTANCE: InstanceChanges(calls),
        ResourceKind.INSTANCE_GROUP: GroupChanges(calls),
        ResourceKind.ENDPOINT: EndpointChanges(calls),
    }
