"""What was found, and why: the finding and the reasons of a whole advice."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.preferences import RightsizingPreferences
from trimtab_service.domain.reasons import AdviceReason
from trimtab_service.domain.rightsizing import Action, DimensionProjection, Finding, RightsizingOption
from trimtab_service.rightsizing.needs import ROUNDING, Needs
from trimtab_service.rightsizing.options import OVER, UNDER
from trimtab_service.rightsizing.readings import Readings

_WEEK: Final = timedelta(days=7)
_SHRINKING: Final = frozenset(OVER.values()) | {
    AdviceReason.GPU_COUNT_OVER_PROVISIONED,
    AdviceReason.GROUP_TOO_LARGE,
}
_FELT: Final = frozenset({Dimension.CPU, Dimension.MEMORY, Dimension.GPU, Dimension.GPU_MEMORY})
"""Dimensions whose short peaks are felt at once."""
_HALF: Final = 0.5
_HELD_BACK: Final = (AdviceReason.SAVING_UNDER_FLOOR, AdviceReason.NOT_WORTH_THE_DISRUPTION)


def finding_of(
    options: Sequence[RightsizingOption], current: RightsizingOption, *, idle: bool, serves: bool
) -> Finding:
    """One of the five findings that rest on telemetry."""
    if idle:
        return Finding.IDLE
    if not serves:
        return Finding.UNDER_PROVISIONED
    if not options:
        return Finding.OPTIMIZED
    best = options[0]
    if any(reason in _SHRINKING for reason in best.reasons) or best.capacity == current.capacity:
        return Finding.OVER_PROVISIONED if best.action is not Action.SCHEDULE else Finding.NOT_OPTIMIZED
    return Finding.NOT_OPTIMIZED


def overall_reasons(  # noqa: PLR0913, PLR0917 - all that there is to say
    finding: Finding,
    options: Sequence[RightsizingOption],
    current: RightsizingOption,
    needs: Needs,
    readings: Readings,
    rejections: Mapping[AdviceReason, int],
    preferences: RightsizingPreferences,
) -> tuple[AdviceReason, ...]:
    """Why the finding, what floors were kept or raised, and what the data do not show."""
    told: list[AdviceReason] = []
    if finding is Finding.UNDER_PROVISIONED:
        told += [UNDER[one.dimension] for one in current.dimensions if _lacks(one, needs)]
    if options:
        told += [
            reason
            for reason in options[0].reasons
            if reason not in {AdviceReason.SHARE_NEEDS_OTHERS, AdviceReason.NO_PRICE}
        ]
    elif finding is Finding.OPTIMIZED:
        told += [reason for reason in _HELD_BACK if rejections.get(reason)]
    if any(option.action is Action.SCHEDULE for option in options):
        told.append(AdviceReason.OFF_HOURS)
    told += needs.reasons
    if preferences.throttled_hour_cost_micros is not None:
        told.append(AdviceReason.LEVEL_FROM_THROTTLED_HOUR_COST)
    if readings.span < _WEEK:
        told.append(AdviceReason.LESS_THAN_A_WEEK)
    told += _of_peaks(options[0] if options else current, readings)
    return tuple(dict.fromkeys(told))


def _of_peaks(best: RightsizingOption, readings: Readings) -> Iterator[AdviceReason]:
    """What moments within the intervals do to the best size, where anything is known of them.

    Network and disks, which most clouds tell as sums only, matter from half of what the size has of them.
    """
    projections = {one.dimension: one for one in best.dimensions}
    for load in readings.loads:
        seen = projections.get(load.dimension)
        if seen is None or (load.dimension not in _FELT and seen.max_utilization < _HALF):
            continue
        if load.moment_peak is not None:
            if load.moment_peak > seen.capacity * (1 + ROUNDING):
                yield AdviceReason.PEAKS_ABOVE_SIZE
        elif not load.peaks_seen:
            yield AdviceReason.PEAKS_NOT_SEEN


def _lacks(projection: DimensionProjection, needs: Needs) -> bool:
    need = needs.get(projection.dimension)
    if need is None or projection.assumed:
        return False
    return projection.capacity * need.target < need.demand * (1 - ROUNDING) or projection.risk >= 1.0
