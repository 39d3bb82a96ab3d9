"""How capacities, and the rule that chose them, did on the caller's own series: dimension by dimension, and together.

A capacity is held against every measured interval. The rule is walked forward: each day's level is from what lay before
it. Together means: in any dimension at once, an interval counts as exceeded once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from trimtab_service import compiled
from trimtab_service.catalog.arrays import F64, I64
from trimtab_service.domain.rightsizing import BackTest
from trimtab_service.rightsizing.arrays import Floats
from trimtab_service.rightsizing.intervals import CONFIDENCE_LEVEL, Interval, interval_of_days
from trimtab_service.rightsizing.loads import Loads
from trimtab_service.rightsizing.needs import ROUNDING, Need
from trimtab_service.rightsizing.series import STEPS_S, Series


class _Rule(NamedTuple):
    """How the rule did."""

    exceedance: float
    slack: float
    windows: int
    windows_exceeded: int


_KERNEL: Final = compiled.load("sizing")
_UNTESTED: Final = _Rule(0.0, 0.0, 0, 0)


@lru_cache(maxsize=1_024)
def _never_exceeded(days: int) -> Interval:
    """The interval of a share that was nought on each of so many days."""
    return interval_of_days(np.zeros(days), np.ones(days, dtype=np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Loads of the measured needs on one grid [need][day][point]; `levels` [need][window] of the last days."""

    days: F64
    levels: F64


class Evidence:
    """The measured needs of one resource, made ready to hold capacities against."""

    __slots__ = ("_days", "_joint_rule", "_needs", "_rows", "_rules")

    def __init__(self, needs: Sequence[Need]) -> None:
        self._needs = tuple(needs)
        self._rows = _common(self._needs)
        self._rules = _rules_of(self._needs)
        self._joint_rule = _joint_rule(self._rows)
        rows = self._rows
        self._days = [] if rows is None else _days_measured(rows.days)

    def each(self, capacities: Sequence[float]) -> tuple[BackTest | None, ...]:
        """One test a need; None where the capacity is not known (NaN)."""
        return tuple(self._one(at, capacity) for at, capacity in enumerate(capacities))

    def together(self, capacities: Sequence[float]) -> BackTest | None:
        """All dimensions whose capacity is known; None where nothing was measured."""
        known = [at for at, capacity in enumerate(capacities) if not math.isnan(capacity)]
        if not known or self._rows is None:
            return None
        if len(known) == 1 and len(self._needs) == 1:
            return self._one(known[0], capacities[known[0]])
        return _tested(self._rows.days, known, [capacities[at] for at in known], self._joint_rule)

    def _one(self, at: int, capacity: float) -> BackTest | None:
        need, rule = self._needs[at], self._rules[at]
        if math.isnan(capacity) or need.loads is None:
            return None
        if not need.is_met(capacity):
            return _tested(need.loads.by_day(), [need.row], [capacity], rule)
        interval = _never_exceeded(self._days[at])
        slack = 1.0 - need.mean / capacity if capacity > 0 else 0.0
        return _back_test(0.0, interval, slack, rule)


class _Use(NamedTuple):
    """Intervals `measured` and those with a use above 1 (`exceeded`), of each day and in all, and the days measured.

    `idle` is the sum of the shares left over.
    """

    exceeded_by_day: I64
    measured_by_day: I64
    measured: int
    exceeded: int
    days: int
    idle: float


def _tested(days: Floats, rows: Sequence[int], capacities: Sequence[float], rule: _Rule) -> BackTest | None:
    """The test of capacities on these rows of loads [row][day][point], together."""
    use = _use_of(days, rows, capacities)
    if not use.measured:
        return None
    if use.exceeded:
        measured = use.measured_by_day
        unknown = np.full(measured.shape, np.nan)
        shares = np.divide(use.exceeded_by_day, measured, out=unknown, where=measured > 0)
        interval = interval_of_days(shares, measured)
    else:
        interval = _never_exceeded(use.days)
    return _back_test(use.exceeded / use.measured, interval, use.idle / use.measured, rule)


def _use_of(days: Floats, rows: Sequence[int], capacities: Sequence[float]) -> _Use:
    """The largest use of any of the capacities in each interval; gaps use nothing."""
    if _KERNEL is not None and days.dtype == np.float64:
        above, known = np.empty((2, days.shape[1]), dtype=np.int64)
        chosen, sizes = np.array(rows, dtype=np.int64), np.array(capacities, dtype=np.float64)
        return _Use(above, known, *_KERNEL.used_together(days, chosen, sizes, 1 + ROUNDING, above, known))
    with np.errstate(invalid="ignore", divide="ignore"):
        use = np.fmax.reduce(days[rows] / np.array(capacities)[:, None, None], axis=0)
    above = np.count_nonzero(use > 1 + ROUNDING, axis=1)
    known = np.count_nonzero(use == use, axis=1)  # noqa: PLR0124 - a number
    # What is above leaves nothing idle, nor does what was not measured: fmax takes the number of a number and NaN.
    idle = float(np.fmax(1.0 - use, 0.0).sum())
    return _Use(above, known, int(known.sum()), int(above.sum()), int(np.count_nonzero(known)), idle)


def _back_test(exceedance: float, interval: Interval, slack: float, rule: _Rule) -> BackTest:
    return BackTest(
        exceedance=exceedance,
        exceedance_low=min(interval.low, exceedance),
        exceedance_high=max(interval.high, exceedance),
        confidence_level=CONFIDENCE_LEVEL,
        slack=slack,
        windows=rule.windows,
        windows_exceeded=rule.windows_exceeded,
        rule_exceedance=rule.exceedance,
        rule_slack=rule.slack,
    )


def _rules_of(needs: Sequence[Need]) -> list[_Rule]:
    """How the rule did on each, at once where all were walked together and every day was tested."""
    walk = needs[0].walk if needs else None
    if walk is None or any(need.walk is not walk for need in needs) or not walk.measured.all():
        return [_rule_of(need) for need in needs]
    windows = walk.measured.shape[1]
    shares = (np.add.reduce(walk.exceeded / walk.measured, axis=1) / windows).tolist()
    unused = (np.add.reduce(walk.unused, axis=1) / windows).tolist()
    exceeded = np.count_nonzero(walk.exceeded, axis=1).tolist()
    return [_Rule(shares[need.row], unused[need.row], windows, exceeded[need.row]) for need in needs]


def _rule_of(need: Need) -> _Rule:
    walk = need.walk
    if walk is None:
        return _UNTESTED
    measured, exceeded, unused = walk.measured[need.row], walk.exceeded[need.row], walk.unused[need.row]
    days = np.flatnonzero(measured)
    windows = days.size
    if not windows:
        return _UNTESTED
    if windows < measured.size:
        measured, exceeded, unused = measured[days], exceeded[days], unused[days]
    return _Rule(
        float(np.add.reduce(exceeded / measured)) / windows,
        float(np.add.reduce(unused)) / windows,
        windows,
        int(np.count_nonzero(exceeded)),
    )


def _joint_rule(rows: _Rows | None) -> _Rule:
    if rows is None or not rows.levels.shape[1]:
        return _UNTESTED
    tested = [day for day in zip(*(column.tolist() for column in _use_by_rule(rows)), strict=True) if day[1]]
    if not tested:
        return _UNTESTED
    return _Rule(
        sum(exceeded / measured for exceeded, measured, _ in tested) / len(tested),
        sum(idle / measured for _, measured, idle in tested) / len(tested),
        len(tested),
        sum(exceeded > 0 for exceeded, _, _ in tested),
    )


def _use_by_rule(rows: _Rows) -> tuple[I64, I64, F64]:
    """As `_Use`, of the last days against the levels that the rules had for each, and the idle share of each day."""
    windows = rows.levels.shape[1]
    if _KERNEL is not None:
        above, known = np.empty((2, windows), dtype=np.int64)
        idle = np.empty(windows)
        _KERNEL.used_by_rule(rows.days, rows.levels, 1 + ROUNDING, above, known, idle)
        return above, known, idle
    size = rows.levels[:, :, None]
    days = rows.days[:, -windows:]
    with np.errstate(invalid="ignore", divide="ignore"):
        # A level that is not known on a day tests nothing of it; a load of nought fits a level of nought.
        use = np.fmax.reduce(np.where((days <= size) & (size == 0), 0.0, days / size), axis=0)
    return (
        np.count_nonzero(use > 1 + ROUNDING, axis=1),
        np.count_nonzero(use == use, axis=1),  # noqa: PLR0124 - a number
        np.add.reduce(np.fmax(1.0 - use, 0.0), axis=1),
    )


def _days_measured(days: F64) -> list[int]:
    """How many days have a sample, of each load [need][day][point]."""
    if _KERNEL is not None:
        return list(_KERNEL.days_measured(days))
    found: list[int] = np.count_nonzero((days == days).any(axis=2), axis=1).tolist()  # noqa: PLR0124 - numbers
    return found


def _common(needs: Sequence[Need]) -> _Rows | None:
    """All loads on one grid of whole days: their own where it is the same, else the coarsest, with maxima."""
    loads = [need.loads for need in needs if need.loads is not None]
    if not loads:
        return None
    forms = {(one.step_s, one.end_s, one.values.shape[1]) for one in loads}
    if len(forms) == 1:
        grid = loads[0]
        shape = (len(needs), grid.days, grid.points_per_day)
        whole = all(one is grid for one in loads) and [need.row for need in needs] == list(range(len(grid.values)))
        chosen = (
            grid.values if whole else np.stack([one.values[need.row] for one, need in zip(loads, needs, strict=True)])
        )
        values = chosen.reshape(shape)
    else:
        step = next(s for s in STEPS_S if all(s % one.step_s == 0 for one in loads))
        grid = Loads.of_series([_coarse(one, need.row, step) for one, need in zip(loads, needs, strict=True)])
        values = grid.by_day()
    windows = max((need.walk.levels.shape[1] for need in needs if need.walk is not None), default=0)
    windows = min(windows, values.shape[1])
    levels = np.full((len(needs), windows), np.nan)
    for row, need in enumerate(needs):
        if need.walk is not None:
            own = need.walk.levels[need.row][-windows:] if windows else need.walk.levels[need.row][:0]
            levels[row, windows - own.size :] = own
    return _Rows(np.asarray(values, dtype=np.float64), levels)


def _coarse(loads: Loads, row: int, step: int) -> Series:
    """One load on a coarser grid, each interval with its maximum."""
    values = np.asarray(loads.values[row], dtype=np.float64)
    start = loads.end_s - values.size * loads.step_s
    first = start // step
    bins = (start + np.arange(values.size) * loads.step_s) // step - first
    found: F64 = np.full(int(bins[-1]) + 1, -np.inf)
    known = ~np.isnan(values)
    np.maximum.at(found, bins[known], values[known])
    found[np.isinf(found)] = np.nan
    return Series(found, int(first) * step, step, values.size, values.size, ())
