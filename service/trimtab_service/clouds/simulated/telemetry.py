"""Telemetry of the simulated world."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import numpy as np

from trimtab_service.catalog.arrays import F64, I64
from trimtab_service.clouds.scopes import in_scope
from trimtab_service.clouds.simulated.loads import STEP_S, Shape, load_at, stamps_between
from trimtab_service.clouds.simulated.world import SimulatedInstance, SimulatedWorld
from trimtab_service.domain.dimensions import Metric, Statistic, Unit
from trimtab_service.domain.resources import CloudResource, ResourceKind
from trimtab_service.rightsizing.ports import ReadCost, Reading, Scope, SourceKind, Window
from trimtab_service.rightsizing.telemetry import RawSeries, Telemetry

SIMULATED: Final = "simulated"
"""Name and account of the source that is there without any configuration."""

_GONE: Final = "the resource does not exist any more"


class SimulatedTelemetry:
    """A TelemetrySource over a SimulatedWorld: it costs nothing and answers at once.

    Series are in five-minute intervals. What the world was told to hide is hidden as a cloud would hide it: no memory
    without an agent, nothing before the start and after the stop, and a failure where monitoring does not answer.
    """

    def __init__(self, world: SimulatedWorld, name: str = SIMULATED, account: str = SIMULATED) -> None:
        self._world = world
        self._name = name
        self._account = account

    @property
    def name(self) -> str:
        """As configured."""
        return self._name

    @property
    def kind(self) -> SourceKind:
        """Simulated."""
        return SourceKind.SIMULATED

    @property
    def account(self) -> str:
        """That of all resources of the world."""
        return self._account

    def inventory(self, scope: Scope, deadline: datetime) -> Iterator[CloudResource]:  # noqa: ARG002 - the port's; it answers at once
        """As the port says; stopped resources are left out, as they are where a cloud bills by the hour."""
        for one in self._world.instances():
            if one.is_running and in_scope(one.resource, scope):
                yield one.resource

    def estimate(self, resources: Sequence[CloudResource], window: Window) -> ReadCost:  # noqa: ARG002 - the port's
        """Nothing: there is no API behind it."""
        return ReadCost()

    def read(self, resources: Sequence[CloudResource], window: Window, deadline: datetime) -> Iterator[Reading]:  # noqa: ARG002 - the port's
        """As the port says."""
        for resource in {one.key: one for one in resources}.values():
            yield self._reading(resource, window)

    def spent(self) -> ReadCost:
        """Nothing."""
        return ReadCost()

    def _reading(self, resource: CloudResource, window: Window) -> Reading:
        instance = self._world.get(resource.resource_id)
        if instance is None:
            return Reading(resource, None, failure=_GONE)
        if instance.is_failing:
            return Reading(resource, None, failure="the simulated monitoring does not answer for this resource")
        stamps = _stamps(instance, window, self._world.clock())
        if not stamps.size:
            return Reading(resource, Telemetry(()))
        missing = () if instance.has_agent else ("memory: no agent is installed",)
        return Reading(resource, Telemetry(tuple(self._series(instance, stamps))), missing=missing)

    def _series(self, instance: SimulatedInstance, stamps: I64) -> Iterator[RawSeries]:
        loads = instance.loads

        def values(shape: Shape, what: str) -> F64:
            return load_at(shape, self._world.seed, f"{instance.resource.resource_id}/{what}", stamps)

        def series(metric: Metric, unit: Unit, of: F64, statistic: Statistic, device: str = "") -> RawSeries:
            return RawSeries(metric, unit, statistic, stamps, of, device, STEP_S)

        average, maximum = Statistic.AVERAGE, Statistic.MAXIMUM
        yield series(Metric.CPU, Unit.VCPUS, values(loads.cpu_vcpus, "cpu"), average)
        yield series(Metric.NETWORK_IN, Unit.BYTES_PER_SECOND, values(loads.network_in_bps, "in"), average)
        yield series(Metric.NETWORK_OUT, Unit.BYTES_PER_SECOND, values(loads.network_out_bps, "out"), average)
        yield series(Metric.DISK_READ_OPS, Unit.COUNT_PER_SECOND, values(loads.disk_ops, "ops"), average)
        yield series(Metric.DISK_READ_BYTES, Unit.BYTES_PER_SECOND, values(loads.disk_bps, "disk"), average)
        if instance.resource.kind is ResourceKind.INSTANCE_GROUP:
            size = np.full(stamps.shape, float(instance.resource.count))
            yield series(Metric.INSTANCES, Unit.COUNT, size, average)
        if not instance.has_agent:
            return
        yield series(Metric.MEMORY, Unit.GIB, values(loads.memory_gib, "memory"), maximum)
        for gpu in range(loads.gpus):
            if loads.gpu_percent is not None:
                busy = np.minimum(values(loads.gpu_percent, f"gpu{gpu}"), 100.0)
                yield series(Metric.GPU, Unit.PERCENT, busy, average, str(gpu))
            if loads.gpu_memory_gib is not None:
                held = values(loads.gpu_memory_gib, f"gpumem{gpu}")
                yield series(Metric.GPU_MEMORY, Unit.GIB, held, maximum, str(gpu))


def _stamps(instance: SimulatedInstance, window: Window, now: datetime) -> I64:
    """Intervals of the window in which it ran, and which are over."""
    start = max(window.start, instance.resource.start_time or window.start)
    end = min(window.end, now, instance.stopped_since or now)
    return stamps_between(int(start.timestamp()), int(end.timestamp()))
