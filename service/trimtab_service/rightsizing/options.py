"""Options as they are told: price, projection of every dimension, risk, back-test, and why."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

from trimtab_service.catalog.snapshot import day_of
from trimtab_service.domain.commitments import MILLI
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.offers import PRICE_BASES, Cloud, PriceBasis
from trimtab_service.domain.reasons import AdviceReason
from trimtab_service.domain.resources import Capacity
from trimtab_service.domain.rightsizing import Action, BackTest, DimensionProjection, MigrationEffort, RightsizingOption
from trimtab_service.rightsizing.candidates import MODEL_RISK, MODEL_SURPLUS, Sized
from trimtab_service.rightsizing.evidence import Evidence
from trimtab_service.rightsizing.needs import ROUNDING, Need, Needs, sized_by
from trimtab_service.rightsizing.present import Present
from trimtab_service.rightsizing.pricing import monthly_micros
from trimtab_service.rightsizing.risk import risk_of_load
from trimtab_service.rightsizing.selection import Pick

EFFORTS: Final = (MigrationEffort.VERY_LOW, MigrationEffort.LOW, MigrationEffort.MEDIUM, MigrationEffort.HIGH)

OVER: Final = {
    Dimension.CPU: AdviceReason.CPU_OVER_PROVISIONED,
    Dimension.MEMORY: AdviceReason.MEMORY_OVER_PROVISIONED,
    Dimension.NETWORK: AdviceReason.NETWORK_BANDWIDTH_OVER_PROVISIONED,
    Dimension.DISK_IOPS: AdviceReason.EBS_IOPS_OVER_PROVISIONED,
    Dimension.DISK_THROUGHPUT: AdviceReason.EBS_THROUGHPUT_OVER_PROVISIONED,
    Dimension.GPU: AdviceReason.GPU_OVER_PROVISIONED,
    Dimension.GPU_MEMORY: AdviceReason.GPU_MEMORY_OVER_PROVISIONED,
}
UNDER: Final = {
    Dimension.CPU: AdviceReason.CPU_UNDER_PROVISIONED,
    Dimension.MEMORY: AdviceReason.MEMORY_UNDER_PROVISIONED,
    Dimension.NETWORK: AdviceReason.NETWORK_BANDWIDTH_UNDER_PROVISIONED,
    Dimension.DISK_IOPS: AdviceReason.EBS_IOPS_UNDER_PROVISIONED,
    Dimension.DISK_THROUGHPUT: AdviceReason.EBS_THROUGHPUT_UNDER_PROVISIONED,
    Dimension.GPU: AdviceReason.GPU_UNDER_PROVISIONED,
    Dimension.GPU_MEMORY: AdviceReason.GPU_MEMORY_UNDER_PROVISIONED,
}
"""AWS's words for volumes; they hold for the disks of the other clouds."""


@dataclass(frozen=True, slots=True)
class Size:
    """A size that can be told as an option. `speed` is what one of its GPUs is worth in present ones."""

    action: Action
    cloud: Cloud
    region: str
    instance_type: str
    sized: Sized
    capacity: Capacity
    price_nanos: int
    price_basis: PriceBasis
    price_as_of: date
    net_micros: int
    covered_milli: int
    effort: int
    speed: float = 1.0
    gpu_share: str = ""
    limits: Capacity | None = None
    reasons: tuple[AdviceReason, ...] = ()


@dataclass(frozen=True, slots=True)
class Teller:
    """Tells sizes of one resource as options. `cost_micros`, `net_micros` are a month of the present size."""

    present: Present
    needs: Needs
    evidence: Evidence
    hours: float
    cost_micros: int
    net_micros: int
    present_covered: int
    sized_now: Sized

    def tell(self, size: Size, rank: int) -> RightsizingOption:
        """The option of a size."""
        capacities = [self.capacity_of(size, need) for need in self.needs.of]
        # Stopped, it serves nothing, and nothing is what it serves now.
        projections, risk = ((), 0.0) if size.action is Action.STOP else self._projections(capacities, size)
        binding = _binding(projections, risk)
        cost = monthly_micros(size.price_nanos, size.sized.count * MILLI, self.hours)
        return RightsizingOption(
            rank=rank,
            action=size.action,
            cloud=size.cloud,
            region=size.region,
            instance_type=size.instance_type,
            count=size.sized.count,
            capacity=size.capacity,
            price_nanos_per_hour=size.price_nanos,
            price_basis=size.price_basis,
            price_as_of=size.price_as_of,
            monthly_cost_micros=cost,
            monthly_net_cost_micros=size.net_micros,
            monthly_saving_micros=self.cost_micros - cost,
            monthly_net_saving_micros=self.net_micros - size.net_micros,
            dimensions=projections,
            risk=risk,
            binding_dimension=binding,
            migration_effort=EFFORTS[size.effort],
            restart_needed=self._restarts(size),
            rollback_possible=self.present.price_basis is not PriceBasis.LIST_SUPERSEDED,
            reasons=self._reasons(size, capacities),
            gpu_share=size.gpu_share,
            back_test=None if size.action is Action.STOP else self._together(capacities),
            autoscaling=size.sized.autoscaling,
            limits=size.limits,
        )

    def capacity_of(self, size: Size, need: Need) -> float:
        """What a size has for a need, in the need's terms: of all instances, or of one; NaN where nobody knows."""
        own = size.capacity
        each: float | None
        match need.dimension:
            case Dimension.CPU:
                each = own.vcpus
            case Dimension.MEMORY:
                each = own.memory_gib
            case Dimension.NETWORK:
                each = own.network_gbps
            case Dimension.GPU:
                each = own.gpus * size.speed
            case Dimension.GPU_MEMORY:
                each = (own.gpu_memory_gib or 0.0) * max(own.gpus, 1.0) if own.gpus > 0 else 0.0
            case _:
                each = self.present.has(need.dimension)
        if each is None:
            return float("nan")
        return each if need.is_per_instance or not sized_by(need.dimension) else each * size.sized.count

    def _together(self, capacities: Sequence[float]) -> BackTest | None:
        """How all measured dimensions together would have done."""
        return self.evidence.together(
            [capacity for capacity, need in zip(capacities, self.needs.of, strict=True) if not need.is_assumed]
        )

    def _projections(self, capacities: Sequence[float], size: Size) -> tuple[tuple[DimensionProjection, ...], float]:
        measured = [capacity for capacity, need in zip(capacities, self.needs.of, strict=True) if not need.is_assumed]
        tests = iter(self.evidence.each(measured))
        told: list[DimensionProjection] = []
        worst = 0.0
        for need, capacity in zip(self.needs.of, capacities, strict=True):
            test = None if need.is_assumed else next(tests)
            if math.isnan(capacity):
                continue
            if need.is_assumed:
                told.append(
                    DimensionProjection(need.dimension, capacity, need.demand, 0.0, 0.0, 0.0, 0.0, None, assumed=True)
                )
                continue
            risk = _risk(need, capacity)
            if need.dimension is Dimension.GPU and _is_tight(size, capacity, need):
                risk = max(risk, MODEL_RISK)
            worst = max(worst, risk)
            whole = capacity if capacity > 0 else float("inf")
            told.append(
                DimensionProjection(
                    need.dimension,
                    capacity,
                    need.demand,
                    need.mean / whole,
                    need.percentile(0.95) / whole,
                    need.peak / whole,
                    risk,
                    test,
                )
            )
        return tuple(told), worst

    def _restarts(self, size: Size) -> bool:
        """Everything but another number of the same instances."""
        return size.action not in {Action.KEEP, Action.SCALE_IN, Action.SCALE_OUT}

    def _reasons(self, size: Size, capacities: Sequence[float]) -> tuple[AdviceReason, ...]:
        """Why this size: of what there is too much or too little now, and what changing it forfeits."""
        reasons = list(size.reasons)
        if size.action is Action.KEEP:
            return tuple(reasons)
        for need, capacity in zip(self.needs.of, capacities, strict=True):
            now = self._now(need)
            if need.is_assumed or now is None or math.isnan(capacity) or not sized_by(need.dimension):
                continue
            if capacity < now * (1 - ROUNDING) and now * need.target >= need.demand * (1 - ROUNDING):
                reasons.append(OVER[need.dimension])
            elif now * need.target < need.demand * (1 - ROUNDING) and capacity > now:
                reasons.append(UNDER[need.dimension])
        if self.present_covered > size.covered_milli:
            reasons.append(AdviceReason.OWNED_COMMITMENT_LOSES_USE)
        return tuple(dict.fromkeys(reasons))

    def _now(self, need: Need) -> float | None:
        has = self.present.has(need.dimension)
        if has is None:
            return None
        return has if need.is_per_instance or not sized_by(need.dimension) else has * self.sized_now.count


def _risk(need: Need, capacity: float) -> float:
    """As `graded`, of one capacity."""
    met = need.values.size
    if not need.is_met(capacity):
        met = int(need.values.searchsorted(capacity * (1 + ROUNDING), side="right"))
    exceedance = 1.0 - met / need.values.size
    return risk_of_load(need.dimension, exceedance=exceedance, peak=need.peak, capacity=capacity)


def _is_tight(size: Size, capacity: float, need: Need) -> bool:
    return size.speed != 1.0 and capacity < MODEL_SURPLUS * need.demand


def _binding(projections: Sequence[DimensionProjection], risk: float) -> Dimension | None:
    """The dimension of the highest risk; without any risk, that of the highest use."""
    measured = [one for one in projections if not one.assumed]
    if not measured:
        return None
    if risk > 0:
        return max(measured, key=lambda one: (one.risk, one.max_utilization)).dimension
    return max(measured, key=lambda one: one.max_utilization).dimension


def size_now(present: Present, sized: Sized, net_micros: int, covered_milli: int) -> Size:
    """The present size."""
    resource = present.resource
    return Size(
        Action.KEEP,
        resource.cloud,
        resource.region,
        resource.instance_type,
        sized,
        present.capacity,
        present.price_nanos,
        present.price_basis,
        present.price_as_of,
        net_micros,
        covered_milli,
        0,
    )


def size_of_pick(pick: Pick, present: Present, sized: Sized, sized_now: Sized) -> Size:
    """The size of a candidate of the catalogue."""
    offers, at = pick.candidates.offers, pick.at
    model = int(offers.gpu_model[at])
    network = float(offers.network_gbps[at])
    own = present.capacity
    speed = float(pick.candidates.gpu_speed[at])
    capacity = Capacity(
        vcpus=float(offers.vcpus[at]),
        memory_gib=float(offers.memory_gib[at]),
        gpu_model=offers.snapshot.gpu_models[model] if model >= 0 else "",
        gpus=float(offers.gpus[at]),
        gpu_memory_gib=float(offers.gpu_memory_gib[at]) if model >= 0 else None,
        network_gbps=None if math.isnan(network) else network,
        disk_iops=own.disk_iops,
        disk_mibps=own.disk_mibps,
    )
    price = int(offers.price_nanos[at])
    change = _Change(
        present,
        capacity,
        same_place=(offers.region.cloud, offers.region.name) == (present.resource.cloud, present.resource.region),
        same_type=offers.names[at] == present.resource.instance_type,
        family=offers.snapshot.families[int(offers.family[at])],
        arch=offers.snapshot.arches[int(offers.arch[at])],
        instances=sized.count,
        instances_now=sized_now.count,
        cheaper=price * sized.count < present.price_nanos * sized_now.count,
    )
    return Size(
        change.action(),
        offers.region.cloud,
        offers.region.name,
        offers.names[at],
        sized,
        capacity,
        price,
        PRICE_BASES[int(offers.basis[at])],
        day_of(int(offers.as_of[at])),
        pick.net_micros,
        pick.covered_milli,
        pick.effort,
        0.0 if math.isnan(speed) else speed,
        reasons=(*change.reasons(), *((AdviceReason.SIZE_OF_MACHINE_BENEATH,) if offers.prefix[at] >= 0 else ())),
    )


class _Change(NamedTuple):
    """From the present size to a candidate."""

    present: Present
    capacity: Capacity
    same_place: bool
    same_type: bool
    family: str
    arch: str
    instances: int
    instances_now: int
    cheaper: bool

    def reasons(self) -> Iterator[AdviceReason]:
        """Those that lie in the kind of change."""
        present, capacity = self.present, self.capacity
        if present.gpus and capacity.gpu_model != present.capacity.gpu_model:
            if not capacity.gpus:
                yield AdviceReason.GPU_IDLE
            elif self.cheaper:
                yield AdviceReason.CHEAPER_GPU
            if capacity.gpus:
                yield AdviceReason.GPU_SPEED_ESTIMATED
        elif present.gpus and capacity.gpus * self.instances < present.gpus * self.instances_now:
            yield AdviceReason.GPU_COUNT_OVER_PROVISIONED
        if self.cheaper and present.arch and self.arch != present.arch:
            yield AdviceReason.CHEAPER_ARCHITECTURE
        if self.cheaper and present.family and self.family != present.family:
            yield AdviceReason.CHEAPER_FAMILY
        if self.instances < self.instances_now:
            yield AdviceReason.GROUP_TOO_LARGE
        elif self.instances > self.instances_now and (self.same_type or not self.cheaper):
            # More of a smaller type for less does not say that there are too few.
            yield AdviceReason.GROUP_TOO_SMALL

    def action(self) -> Action:
        """What carrying it out does."""
        present, own = self.present, self.present.capacity
        if not self.same_place:
            return Action.MOVE
        if self.same_type:
            return Action.SCALE_IN if self.instances <= self.instances_now else Action.SCALE_OUT
        if present.gpus and (self.capacity.gpu_model, self.capacity.gpus) != (own.gpu_model, own.gpus):
            return Action.CHANGE_GPU
        if present.arch and self.arch != present.arch:
            return Action.CHANGE_ARCHITECTURE
        return Action.CHANGE_FAMILY if self.family != present.family else Action.RESIZE
