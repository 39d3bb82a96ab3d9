"""Every type of a region held against the needs at once: how many it takes, what is too small, what is not allowed.

All arrays are over the offers [k] of one `RegionOffers`. A candidate that is not to be had carries the first reason
that applies, as its position in `REASONS`; -1 has none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from trimtab_service import compiled
from trimtab_service.catalog.arrays import F64, I8, I64, Bools
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.preferences import RightsizingPreferences
from trimtab_service.domain.reasons import AdviceReason
from trimtab_service.domain.resources import Autoscaling
from trimtab_service.rightsizing.guardrails import excluded
from trimtab_service.rightsizing.needs import ROUNDING, Need, Needs, is_compressible, sized_by
from trimtab_service.rightsizing.permissions import CODE, Shape, permissions_of
from trimtab_service.rightsizing.present import Present
from trimtab_service.rightsizing.region_offers import RegionOffers
from trimtab_service.rightsizing.risk import NARROW, risk_when_short

BURSTABLE_BASELINE: Final = 0.2
"""What a burstable type gives without end. Its vCPUs are its burst; AWS T3 earns 20 to 40 % of them in the sizes of two
and more vCPUs, Azure B-series 20 to 40 %: a mean above the least of these drains the credits.
"""

NEARLY_FULL: Final = 0.95
KILLING: Final = 3.0
"""As `risk.risk_of_load` has them: see there."""

MODEL_SURPLUS: Final = 1.5
"""So much more GPU compute than needed makes up for what a data sheet cannot tell of a workload."""

MODEL_RISK: Final = 1.0
"""The least risk of another GPU model without that surplus."""

REDUNDANT: Final = 2
"""A group of several is never brought to one: its members stand in for one another."""

MOST_INSTANCES: Final = 10_000

_KERNEL: Final = compiled.load("sizing")


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """`count` instances of each type, their `capacities` for the needs in order [need][k]; `risk` [k] of what fits.

    `reason` [k] is the position in `REASONS` of why it is not to be had, -1 none. `gpu_speed` [k] is what one of its
    GPUs is worth in GPUs of the present model, NaN where that is not known.
    """

    offers: RegionOffers
    needs: Needs
    count: I64
    capacities: F64
    reason: I8
    risk: F64
    exceedance: F64
    gpu_speed: F64
    effort: I8

    def reject(self, mask: Bools, reason: AdviceReason) -> None:
        """Give the candidates of `mask` a reason, where they have none yet."""
        self.reason[(self.reason < 0) & mask] = CODE[reason]

    def shrinking(self, present: Present, current: "Sized") -> Bools:
        """Which have less of any dimension than there is now."""
        own = self.offers
        least = (1 - ROUNDING) * current.count
        less = own.vcpus * self.count < (present.capacity.vcpus or 0.0) * least
        less |= own.memory_gib * self.count < (present.capacity.memory_gib or 0.0) * least
        if present.gpus:
            total = np.nan_to_num(self.gpu_speed) * own.gpus * self.count
            less |= total < present.gpus * least
            less |= own.gpu_memory_gib < (present.capacity.gpu_memory_gib or 0.0) * (1 - ROUNDING)
        network = present.capacity.network_gbps
        if network:
            less |= ~np.isnan(own.network_gbps) & (own.network_gbps * self.count < network * least)
        return less


@dataclass(frozen=True, slots=True)
class Sized:
    """A number of instances, and for a group that scales by itself its bounds."""

    count: int
    autoscaling: Autoscaling | None = None


def sized_now(present: Present, needs: Needs) -> Sized:
    """The present size: as many as there are, or what the level asks for within the bounds of a scaling group."""
    scaling = present.resource.autoscaling
    if scaling is None:
        return Sized(present.count)
    capacities = [present.has(need.dimension) or 0.0 for need in needs.of]
    wanted = count_for(needs.of, capacities)
    low = max(1, scaling.min_count)
    return Sized(min(max(wanted, low), max(low, scaling.max_count)), scaling)


def count_for(needs: Sequence[Need], capacities: Sequence[float]) -> int:
    """Instances of these capacities that the needs of a group take, at the scaling target; at least 1.

    What is needed by each instance does not get less by more of them, so it asks for no number.
    """
    most = 1
    for need, capacity in zip(needs, capacities, strict=True):
        # A capacity that nobody published asks for no number.
        if need.is_per_instance or not sized_by(need.dimension) or not capacity > 0:
            continue
        most = max(most, int(min(np.ceil(need.demand / (capacity * need.target) - ROUNDING), MOST_INSTANCES)))
    return most


def sized_for(present: Present, needs: Needs, capacities: Sequence[float]) -> Sized:
    """The size of a group of instances of these capacities.

    With a scaling target held fixed, the count is what the demand level takes. The least count becomes what the median
    load takes, unless it stood for less already; the most count is never less than the level takes, nor less capacity
    than it was. All of it depends on the load and the target alone, so that advice taken is advice kept.
    """
    if not present.is_group:
        return Sized(present.count)
    scaling = present.resource.autoscaling
    wanted = count_for(needs.of, capacities)
    if scaling is None:
        return Sized(max(wanted, min(present.count, REDUNDANT)))
    target = needs.get(scaling.target_dimension)
    if target is None or target.is_assumed:
        return Sized(max(1, present.count), scaling)
    own = capacities[[need.dimension for need in needs.of].index(scaling.target_dimension)]
    if not own > 0:  # nothing of what is scaled by: no number of these will do
        return Sized(max(1, present.count), scaling)
    ratio = (present.has(scaling.target_dimension) or own) / own
    usual = int(np.ceil(target.percentile(0.5) / (own * scaling.target_utilization) - ROUNDING))
    floor = min(max(1, scaling.min_count), REDUNDANT)
    least = max(floor, min(int(np.ceil(max(1, scaling.min_count) * ratio - ROUNDING)), usual))
    count = max(wanted, least)
    most = max(int(np.ceil(scaling.max_count * ratio - ROUNDING)), count)
    return Sized(count, Autoscaling(least, most, scaling.target_dimension, scaling.target_utilization))


def candidates_of(  # noqa: PLR0913, PLR0917 - all that a candidate is judged by
    offers: RegionOffers,
    present: Present,
    needs: Needs,
    preferences: RightsizingPreferences,
    policy: EffectivePolicy,
    today: date,
) -> Candidates:
    """All offers of a region as candidates, judged by everything but their price."""
    permissions = permissions_of(offers, Shape.of(present, needs, preferences))
    speed = permissions.gpu_speed
    capacities = np.stack([_capacities(need.dimension, offers, present, speed) for need in needs.of])
    count = _counts(present, needs, capacities)
    if present.is_group:
        for row, need in enumerate(needs.of):
            if not need.is_per_instance and sized_by(need.dimension):
                capacities[row] *= count
    reason = permissions.reason.copy()
    reason[excluded(offers, policy, present.resource, today)] = CODE[AdviceReason.POLICY]
    size = len(offers.names)
    made = Candidates(
        offers, needs, count, capacities, reason, np.zeros(size), np.zeros(size), speed, permissions.effort
    )
    _size(made, present, priced=preferences.throttled_hour_cost_micros is not None)
    return made


def _capacities(dimension: Dimension, offers: RegionOffers, present: Present, speed: F64) -> F64:
    match dimension:
        case Dimension.CPU:
            return offers.vcpus
        case Dimension.MEMORY:
            return offers.memory_gib
        case Dimension.NETWORK:
            return offers.network_gbps
        case Dimension.GPU:
            return offers.gpus * np.nan_to_num(speed)
        case Dimension.GPU_MEMORY:
            total: F64 = offers.gpu_memory_gib * np.maximum(offers.gpus, (offers.gpus > 0) * 1.0)
            return total
    return np.full(len(offers.names), present.has(dimension) or np.nan)


def _counts(present: Present, needs: Needs, capacities: F64) -> I64:
    """How many of each type a group takes: what the most demanding of its shared dimensions asks for."""
    size = capacities.shape[1]
    if not present.is_group:
        return np.full(size, present.count, dtype=np.int64)
    wanted: F64 = np.ones(size)
    for need, capacity in zip(needs.of, capacities, strict=True):
        if need.is_per_instance or not sized_by(need.dimension):
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            most = np.ceil(need.demand / (capacity * need.target) - ROUNDING)
        # What is not known, or not there, asks for no number: the size is judged afterwards.
        wanted = np.fmax(wanted, np.where(np.isfinite(most), np.minimum(most, MOST_INSTANCES), 1.0))
    scaling = present.resource.autoscaling
    if scaling is None:
        return np.maximum(wanted, min(present.count, REDUNDANT)).astype(np.int64)
    # As `sized_for` has it, for all at once.
    target = needs.get(scaling.target_dimension)
    if target is None or target.is_assumed:
        return np.full(size, present.count, dtype=np.int64)
    own = capacities[[need.dimension for need in needs.of].index(scaling.target_dimension)]
    has = present.has(scaling.target_dimension)
    with np.errstate(divide="ignore", invalid="ignore"):
        as_now = np.ceil(max(1, scaling.min_count) * ((has or own) / own) - ROUNDING)
        usual = np.ceil(target.percentile(0.5) / (own * scaling.target_utilization) - ROUNDING)
    least = np.maximum(min(max(1, scaling.min_count), REDUNDANT), np.minimum(as_now, usual))
    return np.where(own > 0, np.maximum(wanted, least), present.count).astype(np.int64)


def _size(made: Candidates, present: Present, *, priced: bool) -> None:
    """What is too small, and of the rest the risk and, if want has a price, the exceedance: the worst dimension's."""
    offers = made.offers
    too_small = np.zeros(len(offers.names), dtype=bool)
    for need, capacity in zip(made.needs.of, made.capacities, strict=True):
        if not sized_by(need.dimension):
            continue
        if need.dimension is Dimension.GPU_MEMORY:
            too_small |= _device_memory_lacks(made, need, present)
            if need.is_assumed:
                continue
        sizes, at = _distinct(need.dimension, offers, capacity, present)
        # A capacity that nobody published (NaN) cannot be held against a type.
        lacks = sizes * need.target < need.demand * (1 - ROUNDING)
        if need.values.size and not priced and _KERNEL is not None and not isinstance(at, slice):
            _KERNEL.worst(at, lacks, graded(need, sizes, lacks)[1], too_small, made.risk)
            continue
        too_small |= lacks[at]
        if need.values.size:
            exceedance, risk = graded(need, sizes, lacks)
            np.maximum(made.risk, risk[at], out=made.risk)
            if priced:
                np.maximum(made.exceedance, exceedance[at], out=made.exceedance)
    cpu = made.needs.get(Dimension.CPU)
    if cpu is not None and offers.burstable.any():
        load = cpu.mean if not cpu.is_assumed else 0.0
        too_small |= offers.burstable & (offers.vcpus * made.count * BURSTABLE_BASELINE < load)
    made.reject(too_small, AdviceReason.TOO_SMALL)
    gpu = made.needs.get(Dimension.GPU)
    if gpu is not None and present.gpus and not gpu.is_assumed:
        row = [need.dimension for need in made.needs.of].index(Dimension.GPU)
        tight = (made.gpu_speed != 1.0) & (made.capacities[row] < MODEL_SURPLUS * gpu.demand)
        np.maximum(made.risk, np.where(tight, MODEL_RISK, 0.0), out=made.risk)


def _distinct(dimension: Dimension, offers: RegionOffers, capacity: F64, present: Present) -> tuple[F64, I64 | slice]:
    """The capacities to look at, and where each offer stands among them: of one instance there are only so many."""
    ladder = None if present.is_group else offers.ladders.get(dimension)
    return (capacity, slice(None)) if ladder is None else (ladder.sizes, ladder.at)


def _device_memory_lacks(made: Candidates, need: Need, present: Present) -> Bools:
    """Where one GPU is too small for what one GPU holds now: what is not known to be divisible is not divided."""
    each = present.capacity.gpu_memory_gib or 0.0
    if not need.is_assumed:
        each = need.device_peak if need.devices else need.peak / max(1.0, present.gpus * present.count)
    gpu = made.needs.get(Dimension.GPU)
    if gpu is not None and not gpu.is_assumed and gpu.peak <= 0:
        return np.zeros(len(made.offers.names), dtype=bool)
    lacks: Bools = made.offers.gpu_memory_gib < each * (1 - ROUNDING)
    return lacks


def graded(need: Need, capacity: F64, hopeless: Bools | None = None) -> tuple[F64, F64]:
    """(share of samples above each capacity, risk) [k], as `risk.risk_of_load` grades one; NaN has no risk.

    Of the `hopeless` [k] nobody asks how great the risk is; it is told as 0.5 at most.
    """
    size, peak = need.values.size, need.peak
    # NaN sorts last, so that an unknown capacity is never exceeded.
    above: F64 = 1.0 - need.values.searchsorted(capacity * (1 + ROUNDING), side="right") / size
    risk: F64 = np.where((peak > NEARLY_FULL * capacity) & (peak > 0), NARROW, 0.0)
    short = np.flatnonzero(above > 0 if hopeless is None else (above > 0) & ~hopeless)
    if short.size:
        graver = risk_when_short(above[short])
        risk[short] = graver if is_compressible(need.dimension) else np.maximum(graver, KILLING)
    return above, risk
