"""Auto Scaling groups: their type, size, and the target they scale to."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.tagging import labels, tags_of
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.resources import Autoscaling, CloudResource, ResourceKind

_PERCENT: Final = 100.0
_PAGE: Final = 100

_TARGETS: Final[Mapping[str, Dimension]] = {
    "ASGAverageCPUUtilization": Dimension.CPU,
    "CPUUtilization": Dimension.CPU,
    "mem_used_percent": Dimension.MEMORY,
    "nvidia_smi_utilization_gpu": Dimension.GPU,
}
"""Metrics of target tracking that are a share of an instance, by predefined type or name."""


def groups(calls: AwsCalls, region: str, deadline: datetime) -> Iterator[CloudResource]:
    """Groups with at least one instance wanted.

    A group of several types has no `instance_type`, so nothing is concluded about it.
    """
    targets = _targets(calls, region, deadline)
    for page in calls.pages("autoscaling", region, "DescribeAutoScalingGroups", {"MaxRecords": _PAGE}, deadline):
        for found in page["AutoScalingGroups"]:
            if found["DesiredCapacity"] > 0:
                yield _group(found, calls, region, targets.get(found["AutoScalingGroupName"]), deadline)


def _group(
    found: Mapping[str, Any],
    calls: AwsCalls,
    region: str,
    target: tuple[Dimension, float] | None,
    deadline: datetime,
) -> CloudResource:
    scaling = None
    if target is not None:
        scaling = Autoscaling(found["MinSize"], found["MaxSize"], *target)
    zones = found.get("AvailabilityZones", [])
    return CloudResource(
        resource_id=found["AutoScalingGroupName"],
        cloud=Cloud.AWS,
        region=region,
        kind=ResourceKind.INSTANCE_GROUP,
        zone=zones[0] if len(zones) == 1 else "",
        account=calls.account.account,
        instance_type=group_type(found, calls, region, deadline),
        count=found["DesiredCapacity"],
        start_time=found.get("CreatedTime"),
        autoscaling=scaling,
        **labels(tags_of(found.get("Tags")), calls.account),
    )


def group_type(found: Mapping[str, Any], calls: AwsCalls, region: str, deadline: datetime) -> str:
    """The type of the instances that the group starts; empty where they are of several."""
    mixed = found.get("MixedInstancesPolicy")
    if mixed is not None:
        types = {override.get("InstanceType", "") for override in mixed["LaunchTemplate"].get("Overrides", [])}
        return str(types.pop()) if len(types) == 1 else ""
    template = found.get("LaunchTemplate")
    if template is not None:
        return str(template_version(template, calls, region, deadline)["LaunchTemplateData"].get("InstanceType", ""))
    running = {one.get("InstanceType", "") for one in found.get("Instances", [])}
    return str(running.pop()) if len(running) == 1 else ""


def template_version(
    template: Mapping[str, Any], calls: AwsCalls, region: str, deadline: datetime
) -> Mapping[str, Any]:
    """The version of a launch template that a group names; `$Default` where it names none."""
    asked = {"LaunchTemplateId": template["LaunchTemplateId"], "Versions": [template.get("Version") or "$Default"]}
    answer = calls.call("ec2", region, "DescribeLaunchTemplateVersions", asked, deadline)
    version: Mapping[str, Any] = answer["LaunchTemplateVersions"][0]
    return version


def _targets(calls: AwsCalls, region: str, deadline: datetime) -> Mapping[str, tuple[Dimension, float]]:
    """What each group holds at which share of an instance."""
    found: dict[str, tuple[Dimension, float]] = {}
    asked = {"PolicyTypes": ["TargetTrackingScaling"], "MaxRecords": _PAGE}
    for page in calls.pages("autoscaling", region, "DescribePolicies", asked, deadline):
        for policy in page["ScalingPolicies"]:
            tracking = policy.get("TargetTrackingConfiguration") or {}
            predefined = (tracking.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType", "")
            customized = (tracking.get("CustomizedMetricSpecification") or {}).get("MetricName", "")
            dimension = _TARGETS.get(predefined or customized)
            value = float(tracking.get("TargetValue", 0.0))
            if dimension is not None and 0 < value <= _PERCENT and policy.get("Enabled", True):
                found[policy["AutoScalingGroupName"]] = (dimension, value / _PERCENT)
    return found
