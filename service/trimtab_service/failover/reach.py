"""What a step can lay its hands on. A drill cannot change traffic or a data store, by type.

Both raise StepFailedError for a name that the deployment has not configured.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from trimtab_service.failover.ports import (
    CapacityTarget,
    DataStoreTarget,
    Notifier,
    Probe,
    ReplicationTarget,
    Targets,
    Traffic,
    TrafficTarget,
)

T = TypeVar("T")


class StepFailedError(Exception):
    """A step cannot do what it is for. Its text is safe to show."""


@dataclass(frozen=True, slots=True)
class TrafficView:
    """Traffic that can be looked at, and nothing else."""

    observe: Callable[[datetime], Traffic]


@dataclass(frozen=True, slots=True)
class DataStoreView:
    """A data store that can be looked at, and nothing else."""

    is_primary: Callable[[datetime], bool]


class DrillReach:
    """For exercises: standby capacity may be changed; traffic and data stores are only seen."""

    __slots__ = ("_project", "_targets")

    def __init__(self, targets: Targets, project: str) -> None:
        self._targets = targets
        self._project = project

    def traffic(self, name: str) -> TrafficView:
        """A view."""
        return TrafficView(_found(self._targets.traffic(self._project, name), name).observe)

    def data_store(self, name: str) -> DataStoreView:
        """A view."""
        return DataStoreView(_found(self._targets.data_store(self._project, name), name).is_primary)

    def capacity(self, name: str) -> CapacityTarget:
        """A group of machines."""
        return _found(self._targets.capacity(self._project, name), name)

    def replication(self, name: str) -> ReplicationTarget:
        """A copy of data."""
        return _found(self._targets.replication(self._project, name), name)

    def probe(self, name: str) -> Probe:
        """A check from outside."""
        return _found(self._targets.probe(self._project, name), name)

    def notifier(self, name: str) -> Notifier:
        """Somebody who is told."""
        return _found(self._targets.notifier(self._project, name), name)


class ProductionReach:
    """For runs that are meant."""

    __slots__ = ("_drill", "_project", "_targets")

    def __init__(self, targets: Targets, project: str) -> None:
        self._targets = targets
        self._project = project
        self._drill = DrillReach(targets, project)

    def traffic(self, name: str) -> TrafficTarget:
        """A DNS name or a load balancer."""
        return _found(self._targets.traffic(self._project, name), name)

    def data_store(self, name: str) -> DataStoreTarget:
        """A database."""
        return _found(self._targets.data_store(self._project, name), name)

    @property
    def harmless(self) -> DrillReach:
        """The part that an exercise has as well."""
        return self._drill


def _found(target: T | None, name: str) -> T:
    if target is None:
        raise StepFailedError(f"no target {name!r} is configured")
    return target
