"""Virtual machines and scale sets of a subscription."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.azure.faults import NotThereError, RefusedRequestError, translated
from trimtab_service.clouds.azure.resource_ids import group_and_name, normal
from trimtab_service.clouds.patience import Patience, source_failed
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.offers import Cloud, PurchaseOption
from trimtab_service.domain.resources import Autoscaling, CloudResource, ResourceKind

if TYPE_CHECKING:
    from azure.mgmt.compute import ComputeManagementClient
    from azure.mgmt.compute.models import VirtualMachine, VirtualMachineScaleSet
    from azure.mgmt.monitor import MonitorManagementClient

T = TypeVar("T")

_RUNNING: Final = "PowerState/running"
_MIB_PER_GIB: Final = 1_024


@dataclass(frozen=True, slots=True)
class Inventory:
    """Reads all running machines and scale sets of one subscription. Clients are thread-safe."""

    compute: "ComputeManagementClient"
    monitor: "MonitorManagementClient"
    account: CloudAccount
    patience: Patience
    _sizes: dict[str, dict[str, float]] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def resources(self, deadline: datetime) -> Iterator[CloudResource]:
        """Scale sets first, then the machines that are of none; each in the order of ids.

        Raises UnavailableError (SOURCE_FAILED) when any list cannot be completed.
        """
        scalers = {
            normal(one.target_resource_uri or ""): one
            for one in self._all(
                self.monitor.autoscale_settings.list_by_subscription,
                "listing autoscale settings",
                deadline,
            )
        }
        groups = self._all(self.compute.virtual_machine_scale_sets.list_all, "listing scale sets", deadline)
        yield from self._chosen(
            self._group(one, scalers.get(normal(one.id or ""))) for one in groups if one.sku and one.sku.capacity
        )
        running = {
            normal(one.id or "")
            for one in self._all(
                lambda **asked: self.compute.virtual_machines.list_all(status_only="true", **asked),
                "listing the states of machines",
                deadline,
            )
            if _is_running(one)
        }
        machines = self._all(self.compute.virtual_machines.list_all, "listing machines", deadline)
        yield from self._chosen(
            self._machine(one)
            for one in machines
            if normal(one.id or "") in running and one.virtual_machine_scale_set is None
        )

    def memory_gib(self, resource: CloudResource, deadline: datetime) -> float | None:
        """Memory of one machine of the resource's size; None where its location does not know the size.

        Sizes are listed once a location. Raises UnavailableError (SOURCE_FAILED).
        """
        if resource.capacity is not None and resource.capacity.memory_gib is not None:
            return resource.capacity.memory_gib
        with self._lock:
            if resource.region not in self._sizes:
                found = self._all(
                    lambda **asked: self.compute.virtual_machine_sizes.list(resource.region, **asked),
                    "listing machine sizes",
                    deadline,
                )
                self._sizes[resource.region] = {
                    str(one.name).lower(): float(one.memory_in_mb or 0) / _MIB_PER_GIB for one in found
                }
        return self._sizes[resource.region].get(resource.instance_type.lower())

    def ask(self, call: Callable[[dict[str, Any]], T], doing: str, deadline: datetime) -> T:
        """The answer of a call, which is given the timeouts to pass on."""
        return self.patience.ask(
            lambda timeout: translated(lambda: call({"connection_timeout": timeout, "read_timeout": timeout}), doing),
            deadline,
        )

    def _all(self, listing: Callable[..., Any], doing: str, deadline: datetime) -> list[Any]:
        """Every entry of a listing, page by page, each page asked for with patience."""
        found: list[Any] = []
        token: str | None = None
        while True:

            def page(timeouts: dict[str, Any], token: str | None = token) -> tuple[list[Any], str | None]:
                pages = listing(**timeouts).by_page(continuation_token=token)
                return list(next(pages, ())), pages.continuation_token

            try:
                entries, token = self.ask(page, doing, deadline)
            except (NotThereError, RefusedRequestError) as error:
                raise source_failed(f"{doing}: the subscription, or a page of it, is not there") from error
            found += entries
            if not token:
                return found

    def _chosen(self, resources: Iterator[CloudResource]) -> Iterator[CloudResource]:
        groups = {group.lower() for group in self.account.resource_groups}
        for one in sorted(resources, key=lambda one: one.resource_id):
            in_group = not groups or group_and_name(one.resource_id)[0].lower() in groups
            if in_group and (not self.account.regions or one.region in self.account.regions):
                yield one

    def _machine(self, one: "VirtualMachine") -> CloudResource:
        size = one.hardware_profile.vm_size if one.hardware_profile else ""
        return self._resource(
            one, ResourceKind.INSTANCE, str(getattr(size, "value", size) or ""), _option(one.priority), one.time_created
        )

    def _group(self, one: "VirtualMachineScaleSet", setting: Any) -> CloudResource:  # noqa: ANN401 - an AutoscaleSettingResource or None
        profile = one.virtual_machine_profile
        sku = one.sku
        return self._resource(
            one,
            ResourceKind.INSTANCE_GROUP,
            str(sku.name or "") if sku else "",
            _option(profile.priority if profile else None),
            one.time_created,
            count=int(sku.capacity or 0) if sku else 0,
            autoscaling=_autoscaling(setting),
        )

    def _resource(  # noqa: PLR0913, PLR0917 - what the two kinds have in common
        self,
        one: Any,  # noqa: ANN401 - either model
        kind: ResourceKind,
        instance_type: str,
        option: PurchaseOption,
        created: datetime | None,
        count: int = 1,
        autoscaling: Autoscaling | None = None,
    ) -> CloudResource:
        tags = dict(one.tags or {})
        zones = one.zones or []
        return CloudResource(
            resource_id=one.id,
            cloud=Cloud.AZURE,
            region=one.location,
            kind=kind,
            zone=f"{one.location}-{zones[0]}" if len(zones) == 1 else "",
            account=self.account.account,
            instance_type=instance_type,
            count=count,
            option=option,
            tags=tuple(sorted(tags.items())),
            autoscaling=autoscaling,
            workload_id=tags.get(self.account.workload_tag, ""),
            team=tags.get(self.account.team_tag, ""),
            start_time=created.astimezone(UTC) if created is not None else None,
        )


def _is_running(one: "VirtualMachine") -> bool:
    statuses = (one.instance_view.statuses if one.instance_view else None) or []
    return any(status.code == _RUNNING for status in statuses)


def _option(priority: object) -> PurchaseOption:
    return (
        PurchaseOption.SPOT
        if str(getattr(priority, "value", priority)) in {"Spot", "Low"}
        else PurchaseOption.ON_DEMAND
    )


def _autoscaling(setting: Any) -> Autoscaling | None:  # noqa: ANN401 - an AutoscaleSettingResource or None
    """Bounds of the first profile; the target is the CPU threshold that scales out, 70 % where another metric does."""
    if setting is None or not setting.enabled or not setting.profiles:
        return None
    profile = setting.profiles[0]
    target = 0.7
    for rule in profile.rules or ():
        trigger, direction = rule.metric_trigger, rule.scale_action.direction
        if trigger.metric_name == "Percentage CPU" and str(getattr(direction, "value", direction)) == "Increase":
            target = float(trigger.threshold) / 100
    return Autoscaling(
        int(profile.capacity.minimum), int(profile.capacity.maximum), Dimension.CPU, min(1.0, max(0.01, target))
    )
