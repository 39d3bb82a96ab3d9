"""Instance refreshes of Auto Scaling groups, which moto has none of: half of a group is replaced at each look."""

from dataclasses import dataclass, field
from typing import Any, Final

from moto.autoscaling.models import FakeAutoScalingGroup, autoscaling_backends

from tests.support.strict_cloudwatch import Refusal

_NS: Final = "http://autoscaling.amazonaws.com/doc/2011-01-01/"
_OVER: Final = frozenset({"Successful", "Cancelled", "RollbackSuccessful"})


@dataclass(slots=True)
class Refresh:
    """One. `was` is what the instances were before, by id."""

    own: str
    preferences: dict[str, str]
    desired: tuple[str, str] | None
    was: dict[str, str]
    status: str = "Pending"


@dataclass(slots=True)
class InstanceRefreshes:
    """`stuck` groups get no further, in `failing` ones the first half turns out unhealthy. `refreshes` by group.

    `is_late`: the next listing is as it was before the last change.
    """

    account: str
    stuck: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    refreshes: dict[str, list[Refresh]] = field(default_factory=dict)
    is_late: bool = False

    def answer(self, region: str, operation: str, asked: dict[str, str]) -> str | None:
        """The XML of the answer; None for what is not of refreshes. Raises Refusal."""
        name = asked.get("AutoScalingGroupName", "")
        group = autoscaling_backends[self.account][region].autoscaling_groups.get(name)
        known = self.refreshes.setdefault(name, [])
        running = next((one for one in known if one.status not in _OVER), None)
        match operation:
            case "StartInstanceRefresh":
                return _own(operation, self._start(_there(group), known, running, asked))
            case "DescribeInstanceRefreshes" if self.is_late:
                self.is_late = False
                return _listed(known[:-1])
            case "DescribeInstanceRefreshes":
                if running is not None:
                    self._go_on(_there(group), running)
                wanted = [value for key, value in asked.items() if key.startswith("InstanceRefreshIds.member.")]
                shown = [one for one in known if not wanted or one.own in wanted][::-1]
                return _listed(shown[: int(asked.get("MaxRecords", 50))])
            case "RollbackInstanceRefresh" | "CancelInstanceRefresh":
                if running is None:
                    raise Refusal("ActiveInstanceRefreshNotFound")
                if operation.startswith("Rollback") and running.desired is None:
                    raise Refusal("IrreversibleInstanceRefresh")
                running.status = "RollbackInProgress" if operation.startswith("Rollback") else "Cancelling"
                self.stuck.discard(name)
                return _own(operation, running.own)
        return None

    def _start(
        self, group: FakeAutoScalingGroup, known: list[Refresh], running: Refresh | None, asked: dict[str, str]
    ) -> str:
        if running is not None:
            raise Refusal("InstanceRefreshInProgress")
        template = "DesiredConfiguration.LaunchTemplate."
        version = asked.get(f"{template}Version")
        desired = None if version is None else (asked[f"{template}LaunchTemplateId"], version)
        preferences = {
            key.removeprefix("Preferences."): value for key, value in asked.items() if key.startswith("Preferences.")
        }
        if preferences.get("AutoRollback") == "true" and not str(group.provided_launch_template_version).isdigit():
            raise Refusal("ValidationError")
        was = {one.instance_id: one.instance_type for one in group.instance_states}
        made = Refresh(f"refresh-{len(known)}", preferences, desired, was)
        known.append(made)
        return made.own

    def _go_on(self, group: FakeAutoScalingGroup, refresh: Refresh) -> None:
        states = group.instance_states
        match refresh.status:
            case "Pending":
                refresh.status = "InProgress"
            case "Cancelling":
                refresh.status = "Cancelled"
            case "RollbackInProgress":
                for one in states:
                    one.instance_type = refresh.was.get(one.instance_id, one.instance_type)
                refresh.status = "RollbackSuccessful"
            case "InProgress":
                self._replace(group, refresh)

    def _replace(self, group: FakeAutoScalingGroup, refresh: Refresh) -> None:
        states = group.instance_states
        if group.name in self.failing:
            refresh.status = "RollbackInProgress" if "AutoRollback" in refresh.preferences else "Cancelled"
            return
        wanted = _type_of(group, refresh)
        waiting = [one for one in states if one.instance_type != wanted]
        if group.name in self.stuck and len(waiting) <= len(states) / 2:
            return
        for one in waiting[: -(-len(states) // 2)]:
            one.instance_type = wanted
        if all(one.instance_type == wanted for one in states):
            refresh.status = "Successful"
            if refresh.desired is not None:
                group.provided_launch_template_version = refresh.desired[1]
                group.launch_template_version = refresh.desired[1]


def _there(group: FakeAutoScalingGroup | None) -> FakeAutoScalingGroup:
    if group is None:
        raise Refusal("ValidationError")
    return group


def _type_of(group: FakeAutoScalingGroup, refresh: Refresh) -> str:
    template = group.ec2_launch_template
    assert template is not None
    version: Any = group.launch_template_version if refresh.desired is None else refresh.desired[1]
    return str(template.get_version(version).instance_type)


def _own(operation: str, own: str) -> str:
    result = f"<InstanceRefreshId>{own}</InstanceRefreshId>"
    return f'<{operation}Response xmlns="{_NS}"><{operation}Result>{result}</{operation}Result></{operation}Response>'


def _listed(shown: list[Refresh]) -> str:
    members = "".join(f"<member>{_one(refresh)}</member>" for refresh in shown)
    result = f"<InstanceRefreshes>{members}</InstanceRefreshes>"
    name = "DescribeInstanceRefreshes"
    return f'<{name}Response xmlns="{_NS}"><{name}Result>{result}</{name}Result></{name}Response>'


def _one(refresh: Refresh) -> str:
    text = f"<InstanceRefreshId>{refresh.own}</InstanceRefreshId><Status>{refresh.status}</Status>"
    if refresh.desired is not None:
        own, version = refresh.desired
        inner = f"<LaunchTemplateId>{own}</LaunchTemplateId><Version>{version}</Version>"
        text += f"<DesiredConfiguration><LaunchTemplate>{inner}</LaunchTemplate></DesiredConfiguration>"
    return text
