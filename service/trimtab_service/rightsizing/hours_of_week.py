"""In which hours of the week a resource is used at all: what a schedule would keep."""

import calendar
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import numpy as np

from trimtab_service.catalog.arrays import Bools
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.rightsizing.needs import Needs
from trimtab_service.rightsizing.present import Present

HOURS: Final = 168
_HOUR_S: Final = 3_600
_MONDAY: Final = 4 * 86_400
"""1970-01-05 was a Monday."""

USED_SHARE: Final = 0.05
"""At or above so much of what there is, an hour counts as used (the clouds' idle bound, see `idleness`)."""

LEAST_WEEKS: Final = 2
"""Every hour of the week has to be seen so often: one quiet Tuesday is no rule."""

LEAST_RUN: Final = 4
"""Shorter pauses are not worth a stop and a start."""

LEAST_OFF: Final = 40
"""Unused hours a week under which a schedule is not worth keeping."""


_OFF_SHARE: Final = LEAST_OFF / HOURS / 2
"""A load that is in use in all but half of the least pause has no such pause: what most loads end with, at once."""


class Usage(NamedTuple):
    """Used hours of the week, ascending, 0 is Monday from 00:00 UTC; `on` and `off` hours of the month at hand."""

    hours: tuple[int, ...]
    on: int
    off: int


def usage_of(needs: Needs, present: Present, instant: datetime) -> Usage | None:
    """The hours in use; None where they are not known well enough, or there are not enough others."""
    used: Bools = np.zeros(HOURS, dtype=bool)
    compute = [need for need in needs.measured if need.dimension in {Dimension.CPU, Dimension.GPU}]
    if not compute or (present.gpus and not any(need.dimension is Dimension.GPU for need in compute)):
        return None
    for need in compute:
        loads, whole = need.loads, (present.has(need.dimension) or 0.0) * present.count
        if loads is None or whole <= 0 or loads.step_s > _HOUR_S or need.percentile(_OFF_SHARE) >= USED_SHARE * whole:
            return None
        values = np.asarray(loads.values[need.row], dtype=np.float64)
        start = loads.end_s - values.size * loads.step_s
        hour = ((start + np.arange(values.size) * loads.step_s - _MONDAY) // _HOUR_S) % HOURS
        known = ~np.isnan(values)
        per_hour = _HOUR_S // loads.step_s
        if (np.bincount(hour[known], minlength=HOURS) < LEAST_WEEKS * per_hour).any():
            return None
        used |= np.bincount(hour[known & (values >= USED_SHARE * whole)], minlength=HOURS) > 0
    used = _without_short_pauses(used)
    if used.all() or not used.any() or HOURS - int(used.sum()) < LEAST_OFF:
        return None
    on, total = _in_month(used, instant)
    return Usage(tuple(np.flatnonzero(used).tolist()), on, total - on)


def _without_short_pauses(used: Bools) -> Bools:
    """Pauses under `LEAST_RUN` hours count as used; the week is a ring. An hour ahead of each use is for starting."""
    if not used.any():
        return used
    filled = used | np.roll(used, -1)
    first = int(np.argmax(filled))
    ring = np.roll(filled, -first)
    at = np.flatnonzero(ring)
    for here, there in zip(at, np.append(at[1:], HOURS), strict=True):
        if there - here - 1 < LEAST_RUN:
            ring[here:there] = True
    whole: Bools = np.roll(ring, first)
    return whole


def _in_month(used: Bools, instant: datetime) -> tuple[int, int]:
    """(used hours, hours) of the calendar month of an instant, in UTC."""
    first = instant.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    hours = calendar.monthrange(first.year, first.month)[1] * 24
    offset = first.weekday() * 24
    at = (offset + np.arange(hours)) % HOURS
    return int(used[at].sum()), hours


def describe(hour: int) -> str:
    """`Mon 08:00`, for people."""
    return (datetime(1970, 1, 5, tzinfo=UTC) + timedelta(hours=hour)).strftime("%a %H:%M")
