"""Changes of managed instance groups, zonal and regional."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zlib import crc32

from trimtab_service.clouds.gcp.compute import Compute, last_part
from trimtab_service.clouds.gcp.faults import AlreadyThereError, refused
from trimtab_service.clouds.gcp.inventory import attached_of, group_name, template_url
from trimtab_service.clouds.gcp.machine_types import parts_of, type_name
from trimtab_service.clouds.gcp.operations import Operations, request_id
from trimtab_service.clouds.patience import source_failed
from trimtab_service.domain.errors import TrimtabError
from trimtab_service.domain.recommendations import Operation, OperationKind
from trimtab_service.domain.resources import CloudResource
from trimtab_service.recommendations.ports import Effect, Observed

_POLL_S: Final = 5.0
_LONGEST_NAME: Final = 63
_MEMBERS: Final = "instances.machineType"
_PROACTIVE: Final = "PROACTIVE"
_MADE_TO: Final = "; its group replaced instances only on demand"
_TOO_MILD: Final = frozenset({"NONE", "REFRESH"})
"""A machine type is changed by a restart at least."""
_TO_TURN_BACK: Final = timedelta(seconds=30)
"""Kept of the deadline, to set the template that was there before."""
_BOUNDS: Final[tuple[str, ...]] = ("minNumReplicas", "maxNumReplicas")


@dataclass(frozen=True, slots=True)
class GroupChanges:
    """One managed group."""

    compute: Compute
    resource: CloudResource

    def observe(self, operation: Operation, deadline: datetime) -> Observed:
        """As the port of actuators says. Raises NotThereError."""
        manager = self._manager(deadline)
        template = self._template(manager, deadline)
        own = _type_of(template)
        values = {
            "targetSize": str(manager.target_size),
            "machineType": own,
            _MEMBERS: own if _is_rolled(manager) else f"not all {own}",
        }
        if manager.status.autoscaler:
            policy = self._autoscaler(deadline).autoscaling_policy
            values |= {"minNumReplicas": str(policy.min_num_replicas), "maxNumReplicas": str(policy.max_num_replicas)}
        return Observed(
            exists=True,
            fields=tuple((one.field, values.get(one.field, "")) for one in operation.changes),
            is_protected=template.properties.labels.get("trimtab-protected", "false") != "false",
            state="STABLE" if manager.status.is_stable else "CHANGING",
        )

    def carry_out(self, operation: Operation, token: str, deadline: datetime) -> Effect:
        """As the port of actuators says. Raises NotThereError."""
        wanted = {one.field: one.after for one in operation.changes}
        if operation.kind is OperationKind.UPDATE_GROUP_TEMPLATE:
            if _MEMBERS in wanted:
                return self._roll(wanted["machineType"], token, deadline)
            return self._retype(wanted.get("machineType", ""), token, deadline)
        return self._resize(wanted, token, deadline)

    def _retype(self, wanted: str, token: str, deadline: datetime) -> Effect:
        """A copy of the template with another machine type, set on the group.

        Whether running instances are replaced is the group's own update policy.
        """
        manager = self._manager(deadline)
        template = self._template(manager, deadline)
        before = _type_of(template)
        if before == wanted:
            return Effect(is_changed=False, detail=f"it is {wanted} already")
        copy = self._copy_of(template, wanted, token, deadline)
        self._patch({"versions": [{"instance_template": copy}]}, token, deadline)
        if manager.update_policy.type_ != _PROACTIVE:
            return Effect(
                is_changed=True, detail=f"{before} -> {wanted}, for instances that the group makes from now on"
            )
        self._until_stable(deadline)
        return Effect(is_changed=True, detail=f"{before} -> {wanted}")

    def _roll(self, wanted: str, token: str, deadline: datetime) -> Effect:
        """A copy of the template as above, and every instance replaced by the group's own surge and unavailability.

        A group that replaces instances only when somebody else does is made to do it meanwhile, which its template's
        description remembers for whoever goes on after a death.
        """
        manager = self._manager(deadline)
        template = self._template(manager, deadline)
        before, policy = _type_of(template), manager.update_policy
        if before == wanted and _is_rolled(manager) and not self._is_made_to(manager, template):
            return Effect(is_changed=False, detail=f"it is {wanted} already")
        if policy.most_disruptive_allowed_action in _TOO_MILD:
            raise refused(f"its update policy allows no more than {policy.most_disruptive_allowed_action}")
        is_made_to = policy.type_ != _PROACTIVE or self._is_made_to(manager, template)
        changes: dict[str, object] = {} if policy.type_ == _PROACTIVE else {"update_policy": {"type_": _PROACTIVE}}
        if before != wanted:
            copy = self._copy_of(template, wanted, token, deadline, _MADE_TO if is_made_to else "")
            changes["versions"] = [{"instance_template": copy}]
        if changes:
            self._patch(changes, token, deadline)
        try:
            self._until_rolled(deadline - _TO_TURN_BACK)
        except TrimtabError as error:
            if before == wanted:
                raise
            self._patch({"versions": [{"instance_template": template.self_link}]}, f"{token}/back", deadline)
            became = f"it is being replaced by {before} again"
            if is_made_to:
                became += ", for which its update policy stays PROACTIVE; set it to OPPORTUNISTIC when it is done"
            raise refused(f"{error.message}; {became}") from error
        if is_made_to:
            self._patch({"update_policy": {"type_": "OPPORTUNISTIC"}}, f"{token}/policy", deadline)
        return Effect(is_changed=True, detail=f"{before} -> {wanted}, every instance replaced")

    def _is_made_to(self, manager: Any, template: Any) -> bool:  # noqa: ANN401 - an InstanceGroupManager and its InstanceTemplate
        """Whether an earlier try made it replace its instances, and did not come to undo that."""
        return bool(manager.update_policy.type_ == _PROACTIVE and template.description.endswith(_MADE_TO))

    def _until_rolled(self, deadline: datetime) -> None:
        while not _is_rolled(self._manager(deadline)):
            if self.compute.patience.remaining_s(deadline) <= _POLL_S:
                raise source_failed("its instances were not all replaced before the deadline")
            self.compute.patience.sleep(_POLL_S)

    def _patch(self, changes: Mapping[str, object], token: str, deadline: datetime) -> None:
        client = self.compute.client(self._collection)
        request = {**self._named, "instance_group_manager_resource": changes, "request_id": request_id(token)}
        self._done(
            lambda timeout: client.patch_unary(request=request, retry=None, timeout=timeout),
            "setting the template of a group",
            deadline,
        )

    def _copy_of(self, template: Any, wanted: str, token: str, deadline: datetime, note: str = "") -> str:  # noqa: ANN401 - an InstanceTemplate
        """URL of the copy. Its name follows from what is copied and the type, so a repetition finds it."""
        compute_v1_type = type(template)
        machine_type, attached = parts_of(wanted)
        properties = type(template.properties)(template.properties)
        properties.machine_type = machine_type
        kinds = [] if attached is None else [(attached.accelerator, attached.count)]
        properties.guest_accelerators = [
            {"accelerator_type": name, "accelerator_count": count} for name, count in kinds
        ]
        ending = f"-{crc32(f'{template.self_link} {wanted}'.encode()):08x}"
        name = template.name[: _LONGEST_NAME - len(ending)].rstrip("-") + ending
        is_regional = bool(template.region)
        collection = "region_instance_templates" if is_regional else "instance_templates"
        request: dict[str, object] = {
            "project": self.compute.project,
            "instance_template_resource": compute_v1_type(
                name=name, description=f"{template.name} as {wanted}, made by trimtab{note}", properties=properties
            ),
            "request_id": request_id(f"{token}/template"),
        }
        place = "global"
        if is_regional:
            request["region"] = last_part(template.region)
            place = f"regions/{last_part(template.region)}"
        client = self.compute.client(collection)
        with suppress(AlreadyThereError):  # made by an earlier try
            self._done(
                lambda timeout: client.insert_unary(request=request, retry=None, timeout=timeout),
                "making an instance template",
                deadline,
            )
        return f"projects/{self.compute.project}/{place}/instanceTemplates/{name}"

    def _resize(self, wanted: dict[str, str], token: str, deadline: datetime) -> Effect:
        """Bounds first, since they would undo the size; the size itself where no autoscaler sets it."""
        manager = self._manager(deadline)
        is_changed = False
        bounds: dict[str, int] = {key: int(wanted[key]) for key in _BOUNDS if key in wanted}
        is_scaled = bool(manager.status.autoscaler)
        if bounds and not is_scaled:
            raise refused("it has no autoscaler whose bounds could be set")
        if is_scaled and not bounds and manager.target_size != int(wanted.get("targetSize", manager.target_size)):
            raise refused("its autoscaler sets the size; its bounds or target would have to change")
        if bounds:
            is_changed |= self._bound(bounds, token, deadline)
        size = int(wanted.get("targetSize", manager.target_size))
        if not is_scaled and manager.target_size != size:
            client = self.compute.client(self._collection)
            self._done(
                lambda timeout: client.resize_unary(
                    request={**self._named, "size": size, "request_id": request_id(token)}, retry=None, timeout=timeout
                ),
                "resizing a group",
                deadline,
            )
            is_changed = True
        if not is_changed:
            return Effect(is_changed=False, detail="size and bounds are so already")
        self._until_stable(deadline)
        return Effect(
            is_changed=True, detail=f"{manager.target_size} -> {self._manager(deadline).target_size} instances"
        )

    def _bound(self, bounds: dict[str, int], token: str, deadline: datetime) -> bool:
        scaler = self._autoscaler(deadline)
        policy = scaler.autoscaling_policy
        least = bounds.get("minNumReplicas", policy.min_num_replicas)
        most = bounds.get("maxNumReplicas", policy.max_num_replicas)
        if (least, most) == (policy.min_num_replicas, policy.max_num_replicas):
            return False
        client = self.compute.client("autoscalers" if self.resource.zone else "region_autoscalers")
        changed = {"autoscaling_policy": {"min_num_replicas": least, "max_num_replicas": most}}
        self._done(
            lambda timeout: client.patch_unary(
                request={
                    **self._place,
                    "autoscaler": scaler.name,
                    "autoscaler_resource": changed,
                    "request_id": request_id(f"{token}/bounds"),
                },
                retry=None,
                timeout=timeout,
            ),
            "setting the bounds of an autoscaler",
            deadline,
        )
        return True

    def _until_stable(self, deadline: datetime) -> None:
        while not self._manager(deadline).status.is_stable:
            if self.compute.patience.remaining_s(deadline) <= _POLL_S:
                raise source_failed("the group was changed, and is not stable yet at the deadline")
            self.compute.patience.sleep(_POLL_S)

    def _manager(self, deadline: datetime) -> Any:  # noqa: ANN401 - an InstanceGroupManager
        return self._read(self._collection, self._named, "reading a group", deadline)

    def _template(self, manager: Any, deadline: datetime) -> Any:  # noqa: ANN401 - an InstanceTemplate
        url = template_url(manager)
        request = {"project": self.compute.project, "instance_template": last_part(url)}
        if "/regions/" in url:
            region = url.partition("/regions/")[2].partition("/")[0]
            return self._read("region_instance_templates", request | {"region": region}, "reading a template", deadline)
        return self._read("instance_templates", request, "reading a template", deadline)

    def _autoscaler(self, deadline: datetime) -> Any:  # noqa: ANN401 - an Autoscaler
        name = last_part(self._manager(deadline).status.autoscaler)
        collection = "autoscalers" if self.resource.zone else "region_autoscalers"
        return self._read(collection, self._place | {"autoscaler": name}, "reading an autoscaler", deadline)

    def _read(self, collection: str, request: dict[str, str], doing: str, deadline: datetime) -> Any:  # noqa: ANN401 - a message of that collection
        client = self.compute.client(collection)
        return self.compute.ask(
            lambda timeout: client.get(request=request, retry=None, timeout=timeout), doing, deadline
        )

    def _done(self, call: Any, doing: str, deadline: datetime) -> None:  # noqa: ANN401 - a call that answers an operation
        Operations(self.compute).done(self.compute.ask(call, doing, deadline), doing, deadline)

    @property
    def _collection(self) -> str:
        return "instance_group_managers" if self.resource.zone else "region_instance_group_managers"

    @property
    def _place(self) -> dict[str, str]:
        place = {"zone": self.resource.zone} if self.resource.zone else {"region": self.resource.region}
        return {"project": self.compute.project, **place}

    @property
    def _named(self) -> dict[str, str]:
        return self._place | {"instance_group_manager": group_name(self.resource)}


def _is_rolled(manager: Any) -> bool:  # noqa: ANN401 - an InstanceGroupManager
    """Whether all of its instances are as its template says."""
    return bool(manager.status.version_target.is_reached and manager.status.is_stable)


def _type_of(template: Any) -> str:  # noqa: ANN401 - an InstanceTemplate
    return type_name(template.properties.machine_type, attached_of(template.properties.guest_accelerators))
