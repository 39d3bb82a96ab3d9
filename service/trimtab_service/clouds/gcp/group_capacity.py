"""Managed instance groups as capacity that a failover asks for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trimtab_service.clouds.gcp.compute import Compute, last_part
from trimtab_service.clouds.gcp.faults import AlreadyThereError, NotThereError, refused
from trimtab_service.clouds.gcp.operations import Operations, request_id
from trimtab_service.failover.ports import CapacityState


@dataclass(frozen=True, slots=True)
class ManagedGroupCapacity:
    """Implements `failover.ports.CapacityTarget` for a group of a zone, or of a region where `zone` is empty.

    Where an autoscaler sets the size, its least number of replicas is what is asked for and its most is the quota;
    else the size is set, and no quota is known. Ready are the instances that the group leaves alone. Compute Engine
    counts no sizes over time here, so the peak is what is there or `known_peak`.
    """

    group: str
    region: str
    zone: str
    compute: Compute
    known_peak: int = 0
    is_reserved: bool = False

    def observe(self, deadline: datetime) -> CapacityState:
        """As it stands. Raises FailedPreconditionError where there is no such group."""
        manager = self._manager(deadline)
        quota = self._autoscaler(manager, deadline).autoscaling_policy.max_num_replicas if _is_scaled(manager) else None
        desired, ready = int(manager.target_size), int(manager.current_actions.none)
        return CapacityState(desired, ready, max(desired, ready, self.known_peak), quota, self.is_reserved)

    def scale(self, count: int, token: int, key: str, deadline: datetime) -> CapacityState:
        """As the port says. The request's id follows from token and key, so Compute Engine knows a repetition."""
        manager = self._manager(deadline)
        request = {"request_id": request_id(f"{token}/{key}/{self._prefix}{self.group}/{count}")}
        if _is_scaled(manager):
            self._hold(manager, count, request, deadline)
        elif manager.target_size != count:
            client = self.compute.client(f"{self._prefix}instance_group_managers")
            asked = {**self._named, "size": count, **request}
            self._done(
                lambda timeout: client.resize_unary(request=asked, retry=None, timeout=timeout),
                "resizing a group",
                deadline,
            )
        return self.observe(deadline)

    def _hold(self, manager: Any, count: int, request: Mapping[str, str], deadline: datetime) -> None:  # noqa: ANN401 - an InstanceGroupManager
        scaler = self._autoscaler(manager, deadline)
        most = scaler.autoscaling_policy.max_num_replicas
        if count > most:
            raise refused(f"{self.group}: {count} is more than the {most} that its autoscaler may have")
        if scaler.autoscaling_policy.min_num_replicas == count:
            return
        client = self.compute.client(f"{self._prefix}autoscalers")
        bounds = {"autoscaling_policy": {"min_num_replicas": count, "max_num_replicas": most}}
        asked = {**self._place, "autoscaler": scaler.name, "autoscaler_resource": bounds, **request}
        self._done(
            lambda timeout: client.patch_unary(request=asked, retry=None, timeout=timeout),
            "setting the bounds of an autoscaler",
            deadline,
        )

    def _manager(self, deadline: datetime) -> Any:  # noqa: ANN401 - an InstanceGroupManager
        return self._read(f"{self._prefix}instance_group_managers", self._named, "reading a group", deadline)

    def _autoscaler(self, manager: Any, deadline: datetime) -> Any:  # noqa: ANN401 - an Autoscaler
        named = self._place | {"autoscaler": last_part(manager.status.autoscaler)}
        return self._read(f"{self._prefix}autoscalers", named, "reading an autoscaler", deadline)

    def _read(self, collection: str, request: Mapping[str, str], doing: str, deadline: datetime) -> Any:  # noqa: ANN401 - a message of that collection
        client = self.compute.client(collection)
        try:
            return self.compute.ask(
                lambda timeout: client.get(request=request, retry=None, timeout=timeout), doing, deadline
            )
        except NotThereError as error:
            raise refused(f"{self.group} does not exist") from error

    def _done(self, call: Callable[[float], Any], doing: str, deadline: datetime) -> None:
        try:
            Operations(self.compute).done(self.compute.ask(call, doing, deadline), doing, deadline)
        except (NotThereError, AlreadyThereError) as error:
            raise refused(f"{self.group} does not exist any more, or is being changed") from error

    @property
    def _prefix(self) -> str:
        return "" if self.zone else "region_"

    @property
    def _place(self) -> dict[str, str]:
        place = {"zone": self.zone} if self.zone else {"region": self.region}
        return {"project": self.compute.project, **place}

    @property
    def _named(self) -> dict[str, str]:
        return self._place | {"instance_group_manager": self.group}


def _is_scaled(manager: Any) -> bool:  # noqa: ANN401 - an InstanceGroupManager
    return bool(manager.status.autoscaler)
