"""The simulated world: instances and groups of three clouds, their loads, and what is done to them.

One world is shared by the simulated telemetry source and the simulated actuator, so that a change made by one is
seen by the other.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from trimtab_service.clouds.simulated.keeping import KeptWorld, Memory
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
    """Instances by id, and what was done to them since. `clock` stamps changes; `seed` makes the noise of loads.

    What was done is `kept` by name, where every process of a deployment finds it; by default in this object alone.
    """

    def __init__(
        self,
        seed: int,
        clock: Callable[[], datetime],
        instances: Iterable[SimulatedInstance],
        kept: KeptWorld | None = None,
    ) -> None:
        self.seed = seed
        self.clock = clock
        self._begun = {one.resource.resource_id: one for one in instances}
        self._kept = kept or KeptWorld(Memory(), "")

    def instances(self) -> tuple[SimulatedInstance, ...]:
        """All, by id."""
        done = self._kept.changes()
        found = (_as_changed(self._begun[key], done.get(key, {})) for key in sorted(self._begun))
        return tuple(one for one in found if one is not None)

    def get(self, resource_id: str) -> SimulatedInstance | None:
        """One, or None when there is no such instance."""
        begun = self._begun.get(resource_id)
        return None if begun is None else _as_changed(begun, self._kept.changes().get(resource_id, {}))

    def stop(self, resource_id: str) -> bool:
        """Whether that changed anything. Raises KeyError where there is no such instance; so do the next four."""
        return self._change(resource_id, lambda one: {} if one.stopped_since else {"stopped": self.clock().isoformat()})

    def start(self, resource_id: str) -> bool:
        """As `stop`."""
        return self._change(resource_id, lambda one: {"stopped": ""} if one.stopped_since else {})

    def set_type(self, resource_id: str, instance_type: str) -> bool:
        """As `stop`. What the caller said of capacity and price was of the old type, and goes with it."""
        return self._change(
            resource_id, lambda one: {} if one.resource.instance_type == instance_type else {"type": instance_type}
        )

    def set_count(self, resource_id: str, count: int) -> bool:
        """As `stop`."""
        return self._change(resource_id, lambda one: {} if one.resource.count == count else {"count": count})

    def protect(self, resource_id: str, *, is_protected: bool) -> bool:
        """As `stop`."""
        return self._change(
            resource_id, lambda one: {} if one.is_protected == is_protected else {"protected": is_protected}
        )

    def remove(self, resource_id: str) -> None:
        """It is gone: neither listed nor measured from now on."""
        self._change(resource_id, lambda _: {"gone": True})

    def _change(self, resource_id: str, change: Callable[[SimulatedInstance], dict[str, object]]) -> bool:
        begun, changed = self._begun[resource_id], False

        def revise(done: dict[str, Any]) -> None:
            nonlocal changed
            one = _as_changed(begun, done.get(resource_id, {}))
            if one is None:
                raise KeyError(resource_id)
            made = change(one)
            changed = bool(made)
            done[resource_id] = {**done.get(resource_id, {}), **made}

        self._kept.change(revise)
        return changed


def _as_changed(one: SimulatedInstance, done: Mapping[str, Any]) -> SimulatedInstance | None:
    """The instance after what was done to it; None: it is gone."""
    if not done:
        return one
    if done.get("gone"):
        return None
    resource = one.resource
    if done.get("type", resource.instance_type) != resource.instance_type:
        resource = replace(resource, instance_type=done["type"], capacity=None, price_nanos_per_hour=None)
    resource = replace(resource, count=done.get("count", resource.count))
    stopped = datetime.fromisoformat(done["stopped"]) if done.get("stopped") else None
    return replace(
        one,
        resource=resource,
        stopped_since=stopped if "stopped" in done else one.stopped_since,
        is_protected=done.get("protected", one.is_protected),
    )
