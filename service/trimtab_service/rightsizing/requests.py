"""Requests and limits of a container: what it needs, in steps that a cluster can schedule, never under the floors."""

from math import ceil
from typing import Final, NamedTuple

from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.resources import Capacity
from trimtab_service.rightsizing.candidates import Sized, count_for
from trimtab_service.rightsizing.needs import ROUNDING, Needs
from trimtab_service.rightsizing.present import Present

LEAST_VCPUS: Final = 0.025
LEAST_MEMORY_GIB: Final = 250e6 / 2**30
"""The Kubernetes VPA's floors: 25 mCPU and 250 MB a pod."""

_MILLI: Final = 1_000
_MIB: Final = 1_024
_LIMIT_OVER_PEAK: Final = 1.2
"""A limit of memory is this much over the highest use, as the VPA raises after a kill."""


class Requests(NamedTuple):
    """What one replica asks for, and what it may burst to."""

    sized: Sized
    capacity: Capacity
    limits: Capacity


def requests_of(present: Present, needs: Needs) -> Requests:
    """Requests by need: CPU in thousandths, memory in MiB, both upwards.

    The dimension that a horizontal autoscaler holds at a target keeps its request: its use per replica is the target,
    whatever the request, so that a request made of it would shrink with every round. What changes there is the count.
    """
    scaling = present.resource.autoscaling
    held = scaling.target_dimension if scaling is not None else None
    count = present.count
    if scaling is not None:
        capacities = [present.has(need.dimension) or 0.0 for need in needs.of]
        wanted = [need for need in needs.of if need.dimension is held]
        chosen = [size for need, size in zip(needs.of, capacities, strict=True) if need.dimension is held]
        count = min(max(count_for(wanted, chosen), scaling.min_count, 1), max(scaling.max_count, 1))
    vcpus, memory = present.capacity.vcpus, present.capacity.memory_gib
    cpu, ram = needs.get(Dimension.CPU), needs.get(Dimension.MEMORY)
    if cpu is not None and not cpu.is_assumed and held is not Dimension.CPU:
        vcpus = max(LEAST_VCPUS, _up(cpu.demand / _replicas(cpu.is_per_instance, count), _MILLI))
    if ram is not None and not ram.is_assumed and held is not Dimension.MEMORY:
        memory = max(_up(LEAST_MEMORY_GIB, _MIB), _up(ram.demand / _replicas(ram.is_per_instance, count), _MIB))
    limit = memory
    if memory is not None and ram is not None and not ram.is_assumed:
        limit = max(memory, _up(ram.peak * _LIMIT_OVER_PEAK / _replicas(ram.is_per_instance, count), _MIB))
    capacity = Capacity(
        vcpus, memory, present.capacity.gpu_model, present.capacity.gpus, present.capacity.gpu_memory_gib
    )
    # No limit of CPU: a burst into idle cores harms nobody, and throttling does.
    return Requests(Sized(count, scaling), capacity, Capacity(memory_gib=limit))


def _replicas(is_per_instance: bool, count: int) -> int:  # noqa: FBT001 - read with its only argument beside it
    return 1 if is_per_instance else count


def _up(value: float, parts: int) -> float:
    """The next of `parts` to one at or above a value."""
    return ceil(value * parts - ROUNDING) / parts
