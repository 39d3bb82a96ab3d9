"""Auto Scaling groups: the type of what they start and of what they run, and how many."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.changes import await_that, fields_of, gone, stands, wanted
from trimtab_service.clouds.aws.faults import RefusedError, refused
from trimtab_service.clouds.aws.groups import group_type, template_version
from trimtab_service.clouds.aws.instance_refresh import InstanceRefresh
from trimtab_service.clouds.aws.tagging import protected, tags_of
from trimtab_service.domain.errors import TrimtabError
from trimtab_service.domain.recommendations import Operation, OperationKind
from trimtab_service.domain.resources import CloudResource
from trimtab_service.recommendations.ports import Effect, Observed

_TYPE: Final = "InstanceType"
_MEMBERS: Final = "Instances.InstanceType"
_LEAVING: Final = ("Terminating", "Terminated", "Detach")
_SIZES: Final = ("MinSize", "MaxSize", "DesiredCapacity")
_LATEST: Final = "$Latest"


@dataclass(frozen=True, slots=True)
class GroupChanges:
    """Implements `Change` for Auto Scaling groups.

    An operation that names what the instances are (`Instances.InstanceType`) has them replaced by an instance refresh;
    one that names the group's type alone leaves those that run as they are.
    """

    calls: AwsCalls

    def observe(self, resource: CloudResource, operation: Operation, deadline: datetime) -> Observed:
        """As the port says."""
        found = self._found(resource, deadline)
        if found is None:
            return Observed(exists=False)
        return Observed(
            exists=True,
            fields=fields_of(operation, self._values(resource, found, deadline)),
            is_protected=_is_protected(found),
            state=found.get("Status", ""),
        )

    def carry_out(self, resource: CloudResource, operation: Operation, token: str, deadline: datetime) -> Effect:
        """As the port says."""
        found = self._found(resource, deadline)
        if found is None:
            raise gone(operation)
        if _is_protected(found):
            raise refused(f"{resource.resource_id} is protected against changes")
        if operation.kind is OperationKind.UPDATE_GROUP_TEMPLATE:
            return self._retyped(resource, operation, found, token, deadline)
        after = wanted(operation, frozenset(_SIZES))
        now = _sizes(found)
        if stands(operation, now):
            return _unchanged(after)
        self._resize(resource, now, after, deadline)

        def look() -> bool | None:
            held = _sizes(self._still_there(resource, deadline))
            return True if all(held[key] == value for key, value in after.items()) else None

        await_that(self.calls.patience, look, deadline, f"{resource.resource_id} as wanted")
        return _changed(now, after)

    def _retyped(
        self, resource: CloudResource, operation: Operation, found: Mapping[str, Any], token: str, deadline: datetime
    ) -> Effect:
        """The template first; then, where the operation says so, what the group runs."""
        named = wanted(operation, frozenset({_TYPE, _MEMBERS}))
        if _TYPE not in named:
            raise refused(f"{operation.kind} of {operation.resource_id} says no {_TYPE}")
        # What the group runs follows from its type, whatever mixture it was found in.
        after = dict.fromkeys(named, named[_TYPE])
        now = self._values(resource, found, deadline)
        own = replace(operation, changes=tuple(one for one in operation.changes if one.field == _TYPE))
        has_type = stands(own, now)
        if has_type and now.get(_MEMBERS) == after.get(_MEMBERS, now.get(_MEMBERS)):
            return _unchanged(after)
        if _MEMBERS in after and found["DesiredCapacity"] > 0:
            self._roll(resource, found, own, now[_TYPE], token, deadline)
        elif not has_type:
            self._retype(resource, found, after[_TYPE], token, deadline)

        def look() -> bool | None:
            held = self._values(resource, self._still_there(resource, deadline), deadline)
            return True if all(held[key] == value for key, value in after.items()) else None

        await_that(self.calls.patience, look, deadline, f"{resource.resource_id} as wanted")
        return _changed(now, after)

    def _roll(  # noqa: PLR0913, PLR0917 - one change is all of these
        self,
        resource: CloudResource,
        found: Mapping[str, Any],
        operation: Operation,
        now: str,
        token: str,
        deadline: datetime,
    ) -> None:
        """Replace what runs by an instance refresh.

        Where the group names its template's version by number, AWS gives it the new one at the end, and puts all back
        when it fails. Otherwise the group gets the new one at once, and it alone is put back.
        """
        template = self._template(resource, found)
        refresh = InstanceRefresh(self.calls)
        before, after = operation.changes[0].before or now, operation.changes[0].after
        if str(template.get("Version", "")).isdigit() and now != after:
            current = template_version(template, self.calls, resource.region, deadline)
            made = self._version(resource, current, after, token, deadline)
            desired = {"LaunchTemplateId": template["LaunchTemplateId"], "Version": str(made)}
            refresh.roll(resource, desired, can_return=True, deadline=deadline)
            return
        if now != after:
            self._retype(resource, found, after, token, deadline)
        try:
            refresh.roll(resource, None, can_return=False, deadline=deadline)
        except (RefusedError, TrimtabError) as error:
            if before == after:
                raise
            self._retype(resource, self._still_there(resource, deadline), before, f"{token}-back", deadline)
            became = f"the group starts {before} again, and what was replaced so far stays {after}"
            raise refused(f"{error}; {became}") from error

    def _resize(
        self, resource: CloudResource, now: Mapping[str, str], after: Mapping[str, str], deadline: datetime
    ) -> None:
        """All bounds in one call, so that no order of them is refused on the way."""
        sizes = {key: _whole(key, after.get(key, now[key])) for key in _SIZES}
        if not sizes["MinSize"] <= sizes["DesiredCapacity"] <= sizes["MaxSize"]:
            raise refused(f"{resource.resource_id}: MinSize <= DesiredCapacity <= MaxSize does not hold of {sizes}")
        asked = {"AutoScalingGroupName": resource.resource_id, **{key: sizes[key] for key in after}}
        self.calls.call("autoscaling", resource.region, "UpdateAutoScalingGroup", asked, deadline)

    def _retype(
        self, resource: CloudResource, found: Mapping[str, Any], after: str, token: str, deadline: datetime
    ) -> None:
        template = self._template(resource, found)
        follows = template.get("Version") == _LATEST
        if follows and self._is_shared(resource, template, deadline):
            raise refused(f"{resource.resource_id}: other groups follow the latest version of its launch template too")
        current = template_version(template, self.calls, resource.region, deadline)
        made = self._version(resource, current, after, token, deadline)
        if not follows:
            asked = {
                "AutoScalingGroupName": resource.resource_id,
                "LaunchTemplate": {"LaunchTemplateId": template["LaunchTemplateId"], "Version": str(made)},
            }
            self.calls.call("autoscaling", resource.region, "UpdateAutoScalingGroup", asked, deadline)

    def _version(
        self, resource: CloudResource, current: Mapping[str, Any], after: str, token: str, deadline: datetime
    ) -> int:
        """A version like the current one, of the other type; that of an earlier try with this token, if any."""
        described = f"trimtab {token}"
        asked = {"LaunchTemplateId": current["LaunchTemplateId"]}
        for page in self.calls.pages("ec2", resource.region, "DescribeLaunchTemplateVersions", asked, deadline):
            for version in page["LaunchTemplateVersions"]:
                is_ours = version.get("VersionDescription") == described
                if is_ours and version["LaunchTemplateData"].get(_TYPE) == after:
                    return int(version["VersionNumber"])
        asked = {
            "LaunchTemplateId": current["LaunchTemplateId"],
            "SourceVersion": str(current["VersionNumber"]),
            "VersionDescription": described,
            "LaunchTemplateData": {_TYPE: after},
            "ClientToken": token,
        }
        answer = self.calls.call("ec2", resource.region, "CreateLaunchTemplateVersion", asked, deadline)
        return int(answer["LaunchTemplateVersion"]["VersionNumber"])

    def _is_shared(self, resource: CloudResource, template: Mapping[str, Any], deadline: datetime) -> bool:
        same = (template["LaunchTemplateId"], _LATEST)
        return any(
            (other.get("LaunchTemplateId"), other.get("Version")) == same
            for page in self.calls.pages("autoscaling", resource.region, "DescribeAutoScalingGroups", {}, deadline)
            for group in page["AutoScalingGroups"]
            if group["AutoScalingGroupName"] != resource.resource_id
            for other in [group.get("LaunchTemplate") or {}]
        )

    def _found(self, resource: CloudResource, deadline: datetime) -> Mapping[str, Any] | None:
        named = {"AutoScalingGroupNames": [resource.resource_id]}
        answer = self.calls.call("autoscaling", resource.region, "DescribeAutoScalingGroups", named, deadline)
        return next(iter(answer["AutoScalingGroups"]), None)

    def _still_there(self, resource: CloudResource, deadline: datetime) -> Mapping[str, Any]:
        found = self._found(resource, deadline)
        if found is None:
            raise refused(f"{resource.resource_id} does not exist any more")
        return found

    @staticmethod
    def _template(resource: CloudResource, found: Mapping[str, Any]) -> Mapping[str, Any]:
        template: Mapping[str, Any] | None = found.get("LaunchTemplate")
        if template is None:
            raise refused(f"{resource.resource_id} starts instances from no launch template of its own")
        return template

    def _values(self, resource: CloudResource, found: Mapping[str, Any], deadline: datetime) -> dict[str, str]:
        own = group_type(found, self.calls, resource.region, deadline)
        staying = [one for one in found.get("Instances", []) if not one["LifecycleState"].startswith(_LEAVING)]
        types = sorted({str(one.get(_TYPE, "")) for one in staying})
        return {_TYPE: own, _MEMBERS: ", ".join(types) or own, **_sizes(found)}


def _sizes(found: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(found[key]) for key in _SIZES}


def _unchanged(after: Mapping[str, str]) -> Effect:
    return Effect(is_changed=False, detail="; ".join(f"{key} is {value} already" for key, value in after.items()))


def _changed(now: Mapping[str, str], after: Mapping[str, str]) -> Effect:
    return Effect(is_changed=True, detail="; ".join(f"{key} {now[key]} -> {value}" for key, value in after.items()))


def _is_protected(found: Mapping[str, Any]) -> bool:
    return protected(tags_of(found.get("Tags")))


def _whole(key: str, value: str) -> int:
    if not value.isdigit():
        raise refused(f"{key} is a whole number, not {value!r}")
    return int(value)
