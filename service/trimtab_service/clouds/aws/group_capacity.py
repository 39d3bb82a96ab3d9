"""Auto Scaling groups as capacity that a failover asks for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.faults import RefusedError
from trimtab_service.clouds.patience import refused
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.failover.ports import CapacityState

_DAY: Final = timedelta(hours=24)
_PERIOD_S: Final = 3600
_IN_SERVICE: Final = "InService"
_HEALTHY: Final = "Healthy"
_MEASURED_WITHIN: Final = timedelta(seconds=2)
"""Metrics that were read before are waited for no longer: the group itself tells what is ready."""


@dataclass(frozen=True, slots=True)
class GroupCapacity:
    """Implements `failover.ports.CapacityTarget`.

    The group's MaxSize is its quota: nothing here asks for more. The peak is the most instances in service of the last
    24 hours where the group's metrics are on, never less than what is there, nor than `known_peak` (what the deployment
    says of it). `is_reserved` is the deployment's word too. Metrics that fall silent count as they were read last: what
    waits for machines must not fail for them.
    """

    group: str
    region: str
    calls: AwsCalls
    known_peak: int = 0
    is_reserved: bool = False
    _measures: list[int] = field(default_factory=list, init=False, repr=False, compare=False)

    def observe(self, deadline: datetime) -> CapacityState:
        """As it stands. Raises FailedPreconditionError where there is no such group."""
        return self._state(self._found(deadline), deadline)

    def scale(self, count: int, token: int, key: str, deadline: datetime) -> CapacityState:  # noqa: ARG002 - absolute numbers need no key
        """As the port says. MinSize follows, so that no policy takes back what has no load yet."""
        found = self._found(deadline)
        if count > found["MaxSize"]:
            raise refused(f"{self.group}: {count} is more than its MaxSize of {found['MaxSize']}")
        if (found["MinSize"], found["DesiredCapacity"]) != (count, count):
            asked = {"AutoScalingGroupName": self.group, "MinSize": count, "DesiredCapacity": count}
            self._asked("UpdateAutoScalingGroup", asked, deadline)
        return self.observe(deadline)

    def _found(self, deadline: datetime) -> Mapping[str, Any]:
        answer = self._asked("DescribeAutoScalingGroups", {"AutoScalingGroupNames": [self.group]}, deadline)
        found: Mapping[str, Any] | None = next(iter(answer["AutoScalingGroups"]), None)
        if found is None:
            raise refused(f"{self.group} does not exist")
        return found

    def _state(self, found: Mapping[str, Any], deadline: datetime) -> CapacityState:
        ready = sum(
            one.get("LifecycleState") == _IN_SERVICE and one.get("HealthStatus", _HEALTHY).upper() == _HEALTHY.upper()
            for one in found.get("Instances", [])
        )
        desired = int(found["DesiredCapacity"])
        peak = max(self._measured(deadline), desired, ready, self.known_peak)
        return CapacityState(desired, ready, peak, int(found["MaxSize"]), self.is_reserved)

    def _measured(self, deadline: datetime) -> int:
        now = self.calls.patience.clock()
        metric = {
            "Namespace": "AWS/AutoScaling",
            "MetricName": "GroupInServiceInstances",
            "Dimensions": [{"Name": "AutoScalingGroupName", "Value": self.group}],
        }
        asked = {
            "MetricDataQueries": [
                {"Id": "peak", "MetricStat": {"Metric": metric, "Period": _PERIOD_S, "Stat": "Maximum"}}
            ],
            "StartTime": now - _DAY,
            "EndTime": now,
        }
        until = min(deadline, now + _MEASURED_WITHIN) if self._measures else deadline
        try:
            answer = self.calls.call("cloudwatch", self.region, "GetMetricData", asked, until)
        except UnavailableError:
            if not self._measures:
                raise
            return self._measures[-1]
        peak = int(max((value for one in answer["MetricDataResults"] for value in one["Values"]), default=0))
        self._measures[:] = [peak]
        return peak

    def _asked(self, operation: str, parameters: Mapping[str, object], deadline: datetime) -> dict[str, Any]:
        try:
            return self.calls.call("autoscaling", self.region, operation, parameters, deadline)
        except RefusedError as error:
            raise refused(str(error)) from error
