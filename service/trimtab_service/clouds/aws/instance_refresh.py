"""Replacing what an Auto Scaling group runs by what it starts now: an instance refresh, watched to its end.

Capacity is never below what is wanted: a new instance serves before an old one goes, a tenth of the group at a time.
An instance refresh takes no token, so what is under way is looked at before one is started.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.changes import await_that
from trimtab_service.clouds.aws.faults import RefusedError, refused
from trimtab_service.domain.errors import TrimtabError
from trimtab_service.domain.resources import CloudResource

_PREFERENCES: Final[Mapping[str, object]] = {
    "MinHealthyPercentage": 100,
    "MaxHealthyPercentage": 110,
    "SkipMatching": True,
}
_UNDER_WAY: Final = frozenset({"Pending", "InProgress", "Baking", "Cancelling", "RollbackInProgress"})
_DONE: Final = "Successful"
_IN_PROGRESS: Final = "InstanceRefreshInProgress"
_TO_TURN_BACK: Final = timedelta(seconds=30)
"""Kept of the deadline, to ask for the way back."""


@dataclass(frozen=True, slots=True)
class InstanceRefresh:
    """Instance refreshes of groups. May raise RefusedError beside what `recommendations.ports.Actuator` says."""

    calls: AwsCalls

    def roll(
        self,
        resource: CloudResource,
        desired: Mapping[str, str] | None,
        deadline: datetime,
        *,
        can_return: bool,
    ) -> None:
        """Start a refresh, or find the one that an earlier try has started, and wait until it was successful.

        `desired` is a version of a launch template, by id and number, which the group takes over when all is done;
        None: what it has by now. `can_return`: AWS puts everything back by itself when it fails. Raises
        FailedPreconditionError when it failed, was cancelled, or is not done half a minute before the deadline: then
        the way back was asked for.
        """
        running = self._latest(resource, deadline)
        if desired is not None and running is not None and _is_done(running, desired):
            return
        if running is None or running["Status"] not in _UNDER_WAY:
            running = self._started(resource, desired, deadline, can_return=can_return)
        elif _desired(running) != (desired or {}):
            raise refused(f"{resource.resource_id}: another instance refresh is under way")
        own = running["InstanceRefreshId"]

        def look() -> str | None:
            status = str(self._refresh(resource, own, deadline)["Status"])
            return None if status in _UNDER_WAY else status

        try:
            status = await_that(
                self.calls.patience, look, deadline - _TO_TURN_BACK, f"{resource.resource_id}: the instance refresh"
            )
        except TrimtabError as error:
            became = self._turned_back(resource, deadline, can_return=can_return)
            raise refused(f"{error.message}; {became}") from error
        if status != _DONE:
            raise refused(f"{resource.resource_id}: the instance refresh ended as {status}")

    def _started(
        self,
        resource: CloudResource,
        desired: Mapping[str, str] | None,
        deadline: datetime,
        *,
        can_return: bool,
    ) -> Mapping[str, Any]:
        asked: dict[str, object] = {
            "AutoScalingGroupName": resource.resource_id,
            "Strategy": "Rolling",
            "Preferences": {**_PREFERENCES, "AutoRollback": True} if can_return else dict(_PREFERENCES),
        }
        if desired is not None:
            asked["DesiredConfiguration"] = {"LaunchTemplate": dict(desired)}
        try:
            return self.calls.call("autoscaling", resource.region, "StartInstanceRefresh", asked, deadline)
        except RefusedError as error:
            # The answer to an earlier call was lost: it had started after all.
            running = self._latest(resource, deadline)
            if _IN_PROGRESS not in error.code or running is None or _desired(running) != (desired or {}):
                raise
            return running

    def _turned_back(self, resource: CloudResource, deadline: datetime, *, can_return: bool) -> str:
        """Ask AWS to put it back, or where it cannot, to stop; what became of that, for people."""
        named = {"AutoScalingGroupName": resource.resource_id}
        call = "RollbackInstanceRefresh" if can_return else "CancelInstanceRefresh"
        try:
            self.calls.call("autoscaling", resource.region, call, named, deadline)
        except (RefusedError, TrimtabError) as error:
            return f"it could not be turned back ({error}): the group needs a person"
        return "AWS is rolling it back" if can_return else "it was cancelled"

    def _latest(self, resource: CloudResource, deadline: datetime) -> Mapping[str, Any] | None:
        """There is one at a time, and the latest is told first."""
        asked = {"AutoScalingGroupName": resource.resource_id, "MaxRecords": 1}
        answer = self.calls.call("autoscaling", resource.region, "DescribeInstanceRefreshes", asked, deadline)
        return next(iter(answer["InstanceRefreshes"]), None)

    def _refresh(self, resource: CloudResource, own: str, deadline: datetime) -> Mapping[str, Any]:
        asked = {"AutoScalingGroupName": resource.resource_id, "InstanceRefreshIds": [own]}
        answer = self.calls.call("autoscaling", resource.region, "DescribeInstanceRefreshes", asked, deadline)
        found: Mapping[str, Any] = answer["InstanceRefreshes"][0]
        return found


def _is_done(refresh: Mapping[str, Any], desired: Mapping[str, str]) -> bool:
    """Versions are made for one operation, so one that led there was its own."""
    return refresh["Status"] == _DONE and _desired(refresh) == desired


def _desired(refresh: Mapping[str, Any]) -> Mapping[str, str]:
    """The template a refresh leads to, by id and version; empty where it names none."""
    template = (refresh.get("DesiredConfiguration") or {}).get("LaunchTemplate") or {}
    return {key: template[key] for key in ("LaunchTemplateId", "Version") if key in template}
