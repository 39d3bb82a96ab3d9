"""What a resource needs of each dimension: the level that the profile's rule reads from the load, and how the rule did.

A percentile or a peak is exact, from every sample. The rules of our own profiles, and the walk-forward of any rule
(how often its levels were exceeded on the days that followed), are taken from daily histograms, as for a fleet: there
is a cut for each day, and levels err upwards by less than one step of their ladder.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

import numpy as np

from trimtab_service.catalog.arrays import F64
from trimtab_service.domain.dimensions import DIMENSIONS, INCOMPRESSIBLE, Dimension
from trimtab_service.domain.preferences import DimensionPreference, RightsizingPreferences
from trimtab_service.domain.reasons import AdviceReason
from trimtab_service.rightsizing.backtest import Walk, cuts_of, walked
from trimtab_service.rightsizing.estimators import Estimator, LeastRegret
from trimtab_service.rightsizing.loads import Loads
from trimtab_service.rightsizing.present import Present
from trimtab_service.rightsizing.profiles import PROFILES
from trimtab_service.rightsizing.readings import Load, Readings
from trimtab_service.rightsizing.samples import Samples
from trimtab_service.rightsizing.series import MAX_POINTS
from trimtab_service.rightsizing.sketches import DailySketch

OOM_FACTOR: Final = 1.2
OOM_PLUS_GIB: Final = 100 / 1024
"""The Kubernetes VPA's rule after a kill: use x 1.2, or use + 100 MiB if that is more."""

THROTTLED_SHARE: Final = 0.05
"""Throttled for more than so much of an interval, a CPU had less than was wanted; its peak then says too little."""


ROUNDING: Final = 1e-9
"""Shares of a whole come back from floats a little above it."""

_NONE: Final[F64] = np.empty(0)
_NOUGHT: Final[F64] = np.zeros(1)


@dataclass(frozen=True, slots=True, eq=False)
class Need:
    """What is needed of one dimension, in its unit, of the whole resource or of one instance (`is_per_instance`).

    `values` are the measured samples ascending, without gaps, and `running` [points + 1] their running sum; both are
    empty where nothing was measured: then `demand` is what the resource has now (`is_assumed`). `headroom` is the least
    share that has to stay free by the scaling target of a group (the target itself, 1 without). `row` is the load's
    row in `loads`.
    """

    dimension: Dimension
    demand: float
    is_per_instance: bool
    is_assumed: bool
    target: float = 1.0
    values: F64 = field(default_factory=lambda: _NONE)
    running: F64 = field(default_factory=lambda: _NOUGHT)
    loads: Loads | None = None
    row: int = 0
    walk: Walk | None = None
    devices: int = 0
    device_peak: float = 0.0

    @property
    def peak(self) -> float:
        """Highest sample, 0 without any."""
        return float(self.values[-1]) if self.values.size else 0.0

    def is_met(self, capacity: float) -> bool:
        """Whether a capacity was never exceeded; False where it is not known (NaN)."""
        return self.peak <= capacity * (1 + ROUNDING)

    @property
    def mean(self) -> float:
        """Mean of the samples, 0 without any."""
        return float(self.running[-1]) / self.values.size if self.values.size else 0.0

    def percentile(self, share: float) -> float:
        """The smallest sample that a share of all lies at or below, 0 without any."""
        if not self.values.size:
            return 0.0
        return float(self.values[max(0, math.ceil(share * self.values.size - 1e-9) - 1)])


@dataclass(frozen=True, slots=True)
class Needs:
    """All needs, in the order of the dimensions, and why floors were raised or kept."""

    of: tuple[Need, ...]
    reasons: tuple[AdviceReason, ...]

    def get(self, dimension: Dimension) -> Need | None:
        """The need of one dimension."""
        return next((need for need in self.of if need.dimension is dimension), None)

    @property
    def measured(self) -> tuple[Need, ...]:
        """Those with samples."""
        return tuple(need for need in self.of if not need.is_assumed)


def needs_of(readings: Readings, present: Present, preferences: RightsizingPreferences) -> Needs:
    """Needs of every dimension that was measured, or whose present size has to be kept because it was not."""
    by_dimension = {preference.dimension: preference for preference in preferences.dimensions}
    found: dict[Dimension, Need] = {}
    for loads, members in _grouped(readings.loads):
        found |= _estimated(loads, members, by_dimension, preferences, present)
    reasons: list[AdviceReason] = []
    _raise_floors(found, readings, reasons)
    for dimension, reason in _KEPT.items():
        has = present.has(dimension)
        if dimension not in found and has:
            killed = dimension is Dimension.MEMORY and readings.kills
            demand = max(has * OOM_FACTOR, has + OOM_PLUS_GIB) if killed else has
            found[dimension] = Need(dimension, demand, is_per_instance=True, is_assumed=True)
            reasons += [AdviceReason.MEMORY_KILLS, reason] if killed else [reason]
    return Needs(tuple(found[dimension] for dimension in DIMENSIONS if dimension in found), tuple(reasons))


_KEPT: Final = {
    Dimension.CPU: AdviceReason.CPU_NOT_MEASURED,
    Dimension.MEMORY: AdviceReason.MEMORY_NOT_MEASURED,
    Dimension.GPU: AdviceReason.GPU_NOT_MEASURED,
    Dimension.GPU_MEMORY: AdviceReason.GPU_MEMORY_NOT_MEASURED,
}


def _grouped(loads: Sequence[Load]) -> list[tuple[Loads, list[Load]]]:
    """Loads on one grid together, so that they are reduced at once."""
    by_step: dict[int, list[Load]] = {}
    for load in loads:
        by_step.setdefault(load.series.step_s, []).append(load)
    groups: list[tuple[Loads, list[Load]]] = []
    for step, members in by_step.items():
        start = min(load.series.start_s for load in members)
        end = max(load.series.end_s for load in members)
        parts = [members] if (end - start) // step <= 2 * MAX_POINTS else [[load] for load in members]
        groups += [(Loads.of_series([load.series for load in part]), part) for part in parts]
    return groups


_KEPT_ESTIMATORS: Final = 512
_estimators: dict[str, Estimator] = {}


@lru_cache(maxsize=_KEPT_ESTIMATORS)
def _estimator(
    profile: str, dimension: Dimension, preference: DimensionPreference | None, *, allow_below_peak: bool
) -> Estimator:
    made = PROFILES[profile].estimator(dimension, preference, allow_below_peak=allow_below_peak)
    # Equal estimators of several dimensions are one object, so that their loads are looked at together.
    if len(_estimators) >= _KEPT_ESTIMATORS:
        _estimators.clear()
    return _estimators.setdefault(repr(made), made)


def _estimated(
    loads: Loads,
    members: Sequence[Load],
    preferred: Mapping[Dimension, DimensionPreference],
    preferences: RightsizingPreferences,
    present: Present,
) -> dict[Dimension, Need]:
    """Needs of the loads of one grid."""
    rows: dict[int, tuple[Estimator, bool, list[int]]] = {}
    profile = preferences.profile or "balanced"
    for row, load in enumerate(members):
        preference = preferred.get(load.dimension)
        estimator = _estimator(
            profile,
            load.dimension,
            preference,
            allow_below_peak=bool(preferences.allow_memory_below_peak),
        )
        # A rule that weighs the whole shape of a load is within one step of a ladder anyway; a percentile is exact.
        shaped = isinstance(PROFILES[profile].recipes[load.dimension].rule, LeastRegret)
        shaped = shaped and (preference is None or preference.percentile is None)
        # Kept estimators are one object each, which is quicker to look up than its parts.
        rows.setdefault(id(estimator), (estimator, shaped, []))[2].append(row)
    walk = _walked(loads, rows.values())
    demand = np.zeros(len(members))
    for estimator, shaped, chosen in rows.values():
        if walk is not None and shaped:
            demand[chosen] = walk.advised[chosen]
        else:
            part = loads if len(chosen) == len(members) else replace(loads, values=loads.values[chosen])
            demand[chosen] = estimator.levels(Samples.of(part))[:, -1]
    scaling = present.resource.autoscaling
    needs: dict[Dimension, Need] = {}
    # Gaps sort last.
    ordered_rows: F64 = np.sort(np.asarray(loads.values, dtype=np.float64), axis=1)
    samples = np.count_nonzero(loads.values == loads.values, axis=1)
    running_rows = np.zeros((len(members), ordered_rows.shape[1] + 1))
    np.cumsum(ordered_rows, axis=1, out=running_rows[:, 1:])
    for row, (load, known) in enumerate(zip(members, samples.tolist(), strict=True)):
        if not known:
            continue
        ordered = ordered_rows[row, :known]
        scales = scaling is not None and scaling.target_dimension is load.dimension
        needs[load.dimension] = Need(
            load.dimension,
            # A series that ended before the rule's window began is known by its peak alone.
            float(ordered[-1]) if np.isnan(demand[row]) else float(demand[row]),
            load.is_per_instance,
            is_assumed=False,
            target=scaling.target_utilization if scaling is not None and scales else 1.0,
            values=ordered,
            running=running_rows[row, : known + 1],
            loads=loads,
            row=row,
            walk=walk,
            devices=load.devices,
            device_peak=load.device_peak,
        )
    return needs


def _walked(loads: Loads, rules: Iterable[tuple[Estimator, bool, list[int]]]) -> Walk | None:
    """How the rules did on their rows, day by day; None where there is no day to test."""
    if loads.days < 2:  # noqa: PLR2004 - one day to learn from, one to test
        return None
    cuts = cuts_of(loads.days)
    sketch = DailySketch.of(loads, cuts)
    levels = np.zeros((loads.values.shape[0], cuts.size))
    for estimator, _, chosen in rules:
        # All rows at once and then those of the rule: one sketch costs less than one for each rule.
        levels[chosen] = estimator.levels(sketch)[chosen]
    return walked(levels * highest_of(loads), loads, cuts, sketch.samples)


def highest_of(loads: Loads) -> F64:
    """Highest sample of each row [r][1]: what the levels of a sketch are relative to, which keeps it less precisely."""
    highest: F64 = np.fmax.reduce(np.asarray(loads.values, dtype=np.float64), axis=1)
    return highest[:, None]


def _raise_floors(found: dict[Dimension, Need], readings: Readings, reasons: list[AdviceReason]) -> None:
    """Kills and throttling say that the measured peak is less than was wanted."""
    memory, cpu = found.get(Dimension.MEMORY), found.get(Dimension.CPU)
    if readings.kills and memory is not None:
        floor = max(memory.peak * OOM_FACTOR, memory.peak + OOM_PLUS_GIB)
        found[Dimension.MEMORY] = replace(memory, demand=max(memory.demand, floor))
        reasons.append(AdviceReason.MEMORY_KILLS)
    if readings.throttled_share > THROTTLED_SHARE and cpu is not None:
        found[Dimension.CPU] = replace(cpu, demand=max(cpu.demand, cpu.peak * OOM_FACTOR))
        reasons.append(AdviceReason.CPU_THROTTLED)


def sized_by(dimension: Dimension) -> bool:
    """Whether another type changes it: volumes move along with the machine and are sized by themselves."""
    return dimension not in {Dimension.DISK_IOPS, Dimension.DISK_THROUGHPUT}


def is_compressible(dimension: Dimension) -> bool:
    """Whether want of it slows down instead of killing."""
    return dimension not in INCOMPRESSIBLE
