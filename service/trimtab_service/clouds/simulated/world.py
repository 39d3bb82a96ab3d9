"""The simulated world: instances and groups of three clouds, their loads, and what is done to them.

One world is shared by the simulated telemetry source and the simulated actuator, so that a change made by one is
seen by the other.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from trimtab_service.clouds.simulated.loads import Shape
from trimtab_service.domain.resources import CloudResource


@dataclass(frozen=True, slots=True)
class Loads:
    """What an instance is loaded with: vCPUs, GiB, bytes and operations per second; GPU figures are of one GPU.

    Loads are amounts, not shares: they stay when the size changes, which is what makes a change measurable.
    """

    cpu_vcpus: Shape
    memory_gib: Shape
    network_in_bps: Shape
    network_out_bps: Shape
    disk_ops: Shape
    disk_bps: Shape
    gpu_percent: Shape | None = None
    gpu_memory_gib: Shape | None = None
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class SimulatedInstance:
    """An instance, or a group (`resource.count` of them), as it stands. For a group the loads are of all together.

    `has_agent` False: memory and GPU are not measured. `is_failing`: monitoring does not answer for it.
    `stopped_since` None: it runs.
    """

    resource: CloudResource
    loads: Loads
    has_agent: bool = True
    is_failing: bool = False
    is_protected: bool = False
    stopped_since: datetime | None = None

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return self.stopped_since is None


class SimulatedWorld:
    """Instances by id, changed under a lock. `clock` stamps the changes; `seed` makes the noise of the loads."""

    def __init__(self, seed: int, clock: Callable[[], datetime], instances: Iterable[SimulatedInstance]) -> None:
        self.seed = seed
        self.clock = clock
        self._lock = threading.Lock()
        self._instances = {one.resource.resource_id: one for one in instances}

    def instances(self) -> tuple[SimulatedInstance, ...]:
        """All, by id."""
        with self._lock:
            return tuple(self._instances[key] for key in sorted(self._instances))

    def get(self, resource_id: str) -> SimulatedInstance | None:
        """One, or None when there is no such instance."""
        with self._lock:
            return self._instances.get(resource_id)

    def stop(self, resource_id: str) -> bool:
        """Whether that changed anything. Raises KeyError where there is no such instance; so do the next three."""
        return self._change(resource_id, lambda one: replace(one, stopped_since=one.stopped_since or self.clock()))

    def start(self, resource_id: str) -> bool:
        """As `stop`."""
        return self._change(resource_id, lambda one: replace(one, stopped_since=None))

    def set_type(self, resource_id: str, instance_type: str) -> bool:
        """As `stop`. What the caller said of capacity and price was of the old type, and goes with it."""
        return self._change(
            resource_id,
            lambda one: (
                one
                if one.resource.instance_type == instance_type
                else replace(
                    one,
                    resource=replace(
                        one.resource, instance_type=instance_type, capacity=None, price_nanos_per_hour=None
                    ),
                )
            ),
        )

    def set_count(self, resource_id: str, count: int) -> bool:
        """As `stop`."""
        return self._change(resource_id, lambda one: replace(one, resource=replace(one.resource, count=count)))

    def protect(self, resource_id: str, *, is_protected: bool) -> bool:
        """As `stop`."""
        return self._change(resource_id, lambda one: replace(one, is_protected=is_protected))

    def remove(self, resource_id: str) -> None:
        """It is gone: neither listed nor measured from now on."""
        with self._lock:
            self._instances.pop(resource_id, None)

    def _change(self, resource_id: str, change: Callable[[SimulatedInstance], SimulatedInstance]) -> bool:
        with self._lock:
            before = self._instances[resource_id]
            after = change(before)
            self._instances[resource_id] = after
            return after != before
