"""Auto Scaling groups: the type of what they start, and how many."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.changes import await_that, fields_of, gone, stands, wanted
from trimtab_service.clouds.aws.faults import refused
from trimtab_service.clouds.aws.groups import group_type, template_version
from trimtab_service.clouds.aws.tagging import protected, tags_of
from trimtab_service.domain.recommendations import Operation, OperationKind
from trimtab_service.domain.resources import CloudResource
from trimtab_service.recommendations.ports import Effect, Observed

_TYPE: Final = "InstanceType"
_SIZES: Final = ("MinSize", "MaxSize", "DesiredCapacity")
_LATEST: Final = "$Latest"


@dataclass(frozen=True, slots=True)
class GroupChanges:
    """Implements `Change` for Auto Scaling groups.

    Instances that run keep their type: the group gives the new one to what it starts from now on, and its owner
    decides with which pace the others are replaced.
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
        template = operation.kind is OperationKind.UPDATE_GROUP_TEMPLATE
        after = wanted(operation, frozenset({_TYPE}) if template else frozenset(_SIZES))
        now = self._values(resource, found, deadline)
        if stands(operation, now):
            return Effect(
                is_changed=False, detail="; ".join(f"{key} is {value} already" for key, value in after.items())
            )
        if template:
            self._retype(resource, found, after[_TYPE], token, deadline)
        else:
            self._resize(resource, now, after, deadline)

        def look() -> bool | None:
            group = self._found(resource, deadline)
            if group is None:
                raise gone(operation)
            held = self._values(resource, group, deadline)
            return True if all(held[key] == value for key, value in after.items()) else None

        await_that(self.calls.patience, look, deadline, f"{resource.resource_id} as wanted")
        return Effect(is_changed=True, detail="; ".join(f"{key} {now[key]} -> {value}" for key, value in after.items()))

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
        template = found.get("LaunchTemplate")
        if template is None:
            raise refused(f"{resource.resource_id} starts instances from no launch template of its own")
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

    def _values(self, resource: CloudResource, found: Mapping[str, Any], deadline: datetime) -> dict[str, str]:
        sizes = {key: str(found[key]) for key in _SIZES}
        return {_TYPE: group_type(found, self.calls, resource.region, deadline), **sizes}


def _is_protected(found: Mapping[str, Any]) -> bool:
    return protected(tags_of(found.get("Tags")))


def _whole(key: str, value: str) -> int:
    if not value.isdigit():
        raise refused(f"{key} is a whole number, not {value!r}")
    return int(value)
