"""Whether there is enough to go by, and how far it carries."""

from datetime import timedelta
from typing import Final

from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.preferences import RightsizingPreferences
from trimtab_service.domain.reasons import SeriesNote
from trimtab_service.domain.resources import ResourceKind
from trimtab_service.rightsizing.present import Present
from trimtab_service.rightsizing.readings import Readings
from trimtab_service.rightsizing.units import DIMENSION_OF

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
DEFAULT_MINIMUM: Final = timedelta(hours=30)
"""AWS Compute Optimizer's least."""


def lacking(readings: Readings, present: Present, preferences: RightsizingPreferences) -> tuple[str, ...]:
    """What is missing for any advice, in words; empty when the data suffice.

    At least one of the dimensions that a machine is chosen by (CPU or GPU; for a container CPU or memory) has to be
    measured for the least time.
    """
    wanted = {Dimension.CPU, Dimension.MEMORY} if present.resource.kind is ResourceKind.CONTAINER else {Dimension.CPU}
    if present.gpus:
        wanted.add(Dimension.GPU)
    least = preferences.minimum_data or DEFAULT_MINIMUM
    told: list[str] = []
    for dimension in sorted(wanted):
        load = readings.load(dimension)
        if load is None:
            told.append(f"{dimension.value}: no usable series{_why(readings, dimension)}")
            continue
        measured = timedelta(seconds=load.series.measured_s)
        if measured >= least:
            return ()
        told.append(f"{dimension.value}: {measured / _HOUR:.1f} h measured, {least / _HOUR:g} h needed")
    return tuple(told)


def _why(readings: Readings, dimension: Dimension) -> str:
    """What was wrong with the points that there were, in the words of their notes."""
    given = [one for one in readings.summary.series if one.points and DIMENSION_OF.get(one.metric) is dimension]
    notes = dict.fromkeys(note.name for one in given for note in one.notes if note is not SeriesNote.EMPTY)
    return f" ({sum(one.points for one in given):,} points: {', '.join(notes)})" if notes else ""


def confidence_of(readings: Readings) -> float:
    """0 to 1: one less the VPA's widening, days / (days + 1), times the share of the grid that has a value."""
    days = readings.measured / _DAY
    filled = [1.0 - load.series.gap_fraction for load in readings.loads]
    return days / (days + 1.0) * (sum(filled) / len(filled)) if filled else 0.0
