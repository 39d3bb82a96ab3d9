"""What exactly would be done: operation groups in the clouds' own words.

Field names are those of each cloud's API, so that a person finds them in its console and an actuator (`ports.Actuator`)
needs no table of ours:

| what | AWS | Google Cloud | Azure |
| --- | --- | --- | --- |
| whether an instance runs | `State` | `status` | `powerState` |
| an instance's type | `InstanceType` | `machineType` | `vmSize` |
| a group's type | `InstanceType` | `machineType` | `sku.name` |
| what a group runs | `Instances.InstanceType` | `instances.machineType` | |
| a group's bounds | `MinSize`, `MaxSize` | `minNumReplicas`, `maxNumReplicas` | |
| a group's size | `DesiredCapacity` | `targetSize` | `sku.capacity` |
| an endpoint | `InstanceType`, `InitialInstanceCount` | | |

A container's are `resources.requests.cpu` and `resources.requests.memory`, on every cluster. An instance runs or is
stopped as `running`, `stopped` (AWS), `RUNNING`, `TERMINATED` (Google Cloud), `running`, `deallocated` (Azure).

An instance is stopped, given its type and started as one group: whole, or put back. A group's instances are replaced
one after the other with its type; where it shall hold more of them, they come first, and where fewer, they go last.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Final

from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.recommendations import FieldChange, Operation, OperationGroup, OperationKind
from trimtab_service.domain.resources import Capacity, CloudResource, ResourceKind
from trimtab_service.domain.rightsizing import Action, RightsizingOption

_MIB_PER_GIB: Final = 1_024
_MILLIS: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Words:
    """How one cloud names what is changed. Empty: the cloud has no such field."""

    state: str
    running: str
    stopped: str
    type: str
    group_type: str
    group_members: str
    group_least: str
    group_most: str
    group_size: str


_WORDS: Final[Mapping[Cloud, _Words]] = {
    Cloud.AWS: _Words(
        "State",
        "running",
        "stopped",
        "InstanceType",
        "InstanceType",
        "Instances.InstanceType",
        "MinSize",
        "MaxSize",
        "DesiredCapacity",
    ),
    Cloud.GCP: _Words(
        "status",
        "RUNNING",
        "TERMINATED",
        "machineType",
        "machineType",
        "instances.machineType",
        "minNumReplicas",
        "maxNumReplicas",
        "targetSize",
    ),
    Cloud.AZURE: _Words("powerState", "running", "deallocated", "vmSize", "sku.name", "", "", "", "sku.capacity"),
}

MEMBER_FIELDS: Final = frozenset(words.group_members for words in _WORDS.values() if words.group_members)
"""Fields of what a group runs, beside what it would start: changed by replacing its instances one after the other."""


def operations_of(resource: CloudResource, option: RightsizingOption) -> tuple[OperationGroup, ...]:
    """The groups, in order, that turn the resource into the option; empty where trimtab cannot carry it out.

    That is so for another region or cloud, a share of a GPU, training jobs (the next run takes the new size) and
    databases.
    """
    if option.action is Action.STOP:
        return _stop(resource)
    if (option.cloud, option.region) != (resource.cloud, resource.region) or option.gpu_share:
        return ()
    if option.action in {Action.KEEP, Action.SCHEDULE, Action.MOVE}:
        return ()
    plan = _PLANS.get(resource.kind)
    return () if plan is None else plan(resource, option)


def _stop(resource: CloudResource) -> tuple[OperationGroup, ...]:
    words = _WORDS[resource.cloud]
    if resource.kind is ResourceKind.INSTANCE:
        change = FieldChange(words.state, words.running, words.stopped)
        return (OperationGroup((Operation(OperationKind.STOP_INSTANCE, resource.resource_id, (change,)),)),)
    if resource.kind is ResourceKind.INSTANCE_GROUP:
        return (OperationGroup((_capacity(resource, 0),)),)
    return ()


def _instance(resource: CloudResource, option: RightsizingOption) -> tuple[OperationGroup, ...]:
    if option.count != 1 or option.instance_type == resource.instance_type:
        return ()
    words, own = _WORDS[resource.cloud], resource.resource_id
    return (
        OperationGroup(
            (
                Operation(OperationKind.STOP_INSTANCE, own, (FieldChange(words.state, words.running, words.stopped),)),
                Operation(
                    OperationKind.MODIFY_INSTANCE_TYPE,
                    own,
                    (FieldChange(words.type, resource.instance_type, option.instance_type),),
                ),
                Operation(OperationKind.START_INSTANCE, own, (FieldChange(words.state, words.stopped, words.running),)),
            )
        ),
    )


def _group(resource: CloudResource, option: RightsizingOption) -> tuple[OperationGroup, ...]:
    words, operations = _WORDS[resource.cloud], []
    if option.instance_type != resource.instance_type:
        changes = tuple(
            FieldChange(field, resource.instance_type, option.instance_type)
            for field in (words.group_type, words.group_members)
            if field
        )
        operations.append(Operation(OperationKind.UPDATE_GROUP_TEMPLATE, resource.resource_id, changes))
    if option.count != resource.count:
        # What serves is never less than before and after: more small ones first, or fewer large ones last.
        operations.insert(0 if option.count > resource.count else 1, _capacity(resource, option.count))
    return (OperationGroup(tuple(operations)),) if operations else ()


def _capacity(resource: CloudResource, count: int) -> Operation:
    """Desired instances, and the bounds where they would forbid it."""
    words, changes = _WORDS[resource.cloud], []
    scaling = resource.autoscaling
    if scaling is not None and words.group_least and count < scaling.min_count:
        changes.append(FieldChange(words.group_least, str(scaling.min_count), str(count)))
    if scaling is not None and words.group_most and count > scaling.max_count:
        changes.append(FieldChange(words.group_most, str(scaling.max_count), str(count)))
    changes.append(FieldChange(words.group_size, str(resource.count), str(count)))
    return Operation(OperationKind.SET_GROUP_CAPACITY, resource.resource_id, tuple(changes))


def _endpoint(resource: CloudResource, option: RightsizingOption) -> tuple[OperationGroup, ...]:
    if resource.cloud is not Cloud.AWS:
        return ()
    changes = [
        FieldChange(field, before, after)
        for field, before, after in (
            ("InstanceType", resource.instance_type, option.instance_type),
            ("InitialInstanceCount", str(resource.count), str(option.count)),
        )
        if before != after
    ]
    if not changes:
        return ()
    operation = Operation(OperationKind.UPDATE_ENDPOINT_CONFIG, resource.resource_id, tuple(changes))
    return (OperationGroup((operation,)),)


def _container(resource: CloudResource, option: RightsizingOption) -> tuple[OperationGroup, ...]:
    before, after = resource.capacity or Capacity(), option.capacity
    changes = [
        FieldChange(f"resources.requests.{name}", old, new)
        for name, old, new in (
            ("cpu", cpu_quantity(before.vcpus), cpu_quantity(after.vcpus)),
            ("memory", memory_quantity(before.memory_gib), memory_quantity(after.memory_gib)),
        )
        if new and old != new
    ]
    if not changes:
        return ()
    operation = Operation(OperationKind.PATCH_CONTAINER_RESOURCES, resource.resource_id, tuple(changes))
    return (OperationGroup((operation,)),)


_PLANS: Final[Mapping[ResourceKind, Callable[[CloudResource, RightsizingOption], tuple[OperationGroup, ...]]]] = {
    ResourceKind.INSTANCE: _instance,
    ResourceKind.INSTANCE_GROUP: _group,
    ResourceKind.ENDPOINT: _endpoint,
    ResourceKind.CONTAINER: _container,
}


def cpu_quantity(vcpus: float | None) -> str:
    """A Kubernetes quantity, rounded up to a thousandth: `1500m`. Empty where it is not known."""
    return "" if vcpus is None else f"{ceil(Fraction(str(vcpus)) * _MILLIS)}m"


def memory_quantity(gib: float | None) -> str:
    """A Kubernetes quantity, rounded up to a MiB: `2048Mi`. Empty where it is not known."""
    return "" if gib is None else f"{ceil(Fraction(str(gib)) * _MIB_PER_GIB)}Mi"
