"""The deployment's targets of failover, each open to some projects, opened when first used."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.priced_capacity import PricedCapacity
from trimtab_service.clouds.target_configuration import ConfiguredTarget
from trimtab_service.clouds.target_kinds import KINDS, Role
from trimtab_service.failover.ports import (
    CapacityTarget,
    DataStoreTarget,
    Notifier,
    Probe,
    ReplicationTarget,
    TrafficTarget,
)

Open = Callable[[ConfiguredTarget, Patience], object]
"""Opens a target as the port of its role. Calls nothing of a cloud yet."""


class _Opened:
    """A target, opened by the first caller that needs it; the others wait for that."""

    def __init__(self, target: ConfiguredTarget, patience: Patience) -> None:
        self.target = target
        self.role = KINDS[target.kind].role
        self._patience = patience
        self._lock = threading.Lock()
        self._made: object | None = None

    def get(self) -> Any:  # noqa: ANN401 - the role says what it is
        """It. Raises UnavailableError (SOURCE_FAILED) where a credential cannot be had."""
        with self._lock:
            if self._made is None:
                adapter = import_module(KINDS[self.target.kind].adapter)
                self._made = cast("Open", adapter.open_target)(self.target, self._patience)
            return self._made


@dataclass(frozen=True, slots=True)
class ConfiguredTargets:
    """Implements `failover.ports.Targets`."""

    opened: tuple[_Opened, ...]

    def traffic(self, project: str, name: str) -> TrafficTarget | None:
        """By name. Opening may raise UnavailableError (SOURCE_FAILED)."""
        return cast("TrafficTarget | None", self._get(project, name, Role.TRAFFIC))

    def capacity(self, project: str, name: str) -> CapacityTarget | None:
        """By name; raises as `traffic`."""
        found = cast("CapacityTarget | None", self._get(project, name, Role.CAPACITY))
        settings = self._settings(project, name)
        if found is None or "instance_type" not in settings:
            return found
        return PricedCapacity(found, settings["instance_type"], settings.get("region", ""))

    def probe(self, project: str, name: str) -> Probe | None:
        """By name."""
        return cast("Probe | None", self._get(project, name, Role.PROBE))

    def data_store(self, project: str, name: str) -> DataStoreTarget | None:
        """By name; raises as `traffic`."""
        return cast("DataStoreTarget | None", self._get(project, name, Role.DATA_STORE))

    def replication(self, project: str, name: str) -> ReplicationTarget | None:
        """By name; raises as `traffic`."""
        return cast("ReplicationTarget | None", self._get(project, name, Role.REPLICATION))

    def notifier(self, project: str, name: str) -> Notifier | None:
        """By name."""
        return cast("Notifier | None", self._get(project, name, Role.NOTIFIER))

    def cloud_of(self, project: str, name: str) -> str:
        """Of the target's account, or as the file says; empty where there is no such target or no cloud."""
        found = self._find(project, name)
        return "" if found is None else found.target.cloud

    def _settings(self, project: str, name: str) -> Mapping[str, Any]:
        found = self._find(project, name)
        return {} if found is None else found.target.settings

    def _get(self, project: str, name: str, role: Role) -> object | None:
        found = self._find(project, name)
        return None if found is None or found.role is not role else found.get()

    def _find(self, project: str, name: str) -> _Opened | None:
        usable = (one for one in self.opened if one.target.open_to(project))
        return next((one for one in usable if one.target.name == name), None)


def open_targets(targets: Sequence[ConfiguredTarget], patience: Patience) -> ConfiguredTargets:
    """Targets as configured (`target_configuration.load_targets`). Nothing is connected yet."""
    return ConfiguredTargets(tuple(_Opened(one, patience) for one in targets))
