"""The hours that a plan is made for: usage carried over the horizon, declared changes applied, cut where terms change.

The hours given stand for the horizon. Where nothing changes within it they are taken once, weighted by how often they
fit into it; else they are replayed hour by hour from the plan's start, and each change applies from its instant on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trimtab_service.domain.purchasing import ChangeKind, DeclaredChange, PlanTerms, UsageKey
from trimtab_service.purchasing.demand import HourlyUsage
from trimtab_service.purchasing.program import Floats

_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """`money` (K, H) of `keys`, `weights` (H,), `segments` (S+1,) bounds in it.

    `hours` (S,) are the real hours of each segment, `starts` (S,) the hour of the horizon at which each begins.
    """

    keys: tuple[UsageKey, ...]
    money: Floats
    weights: Floats
    segments: NDArray[np.int64]
    hours: Floats
    starts: Floats


def hour_of(terms: PlanTerms, instant: datetime) -> int:
    """Whole hours from the plan's start, rounded up: a change within an hour counts from the next."""
    return -((terms.start - instant) // _HOUR)


def boundaries(terms: PlanTerms, instants: Sequence[datetime]) -> list[int]:
    """Hours of the horizon at which something changes, its ends included, in order."""
    last = max(terms.horizon // _HOUR, 1)
    inside = {hour for hour in (hour_of(terms, instant) for instant in instants) if 0 < hour < last}
    return [0, *sorted(inside), last]


def timeline_of(
    usage: HourlyUsage, terms: PlanTerms, changes: Sequence[DeclaredChange], cuts: Sequence[datetime]
) -> Timeline:
    """`usage` over the horizon. `cuts` are instants at which plans start or end; changes cut by themselves."""
    keys = _keys(usage.keys, changes)
    bounds = boundaries(terms, [*cuts, *(change.effective for change in changes)])
    horizon = bounds[-1]
    base = np.zeros((len(keys), usage.hours))
    base[: len(usage.keys)] = usage.money
    if len(bounds) == 2:  # noqa: PLR2004 - a start and an end: one stretch
        weight = horizon / usage.hours
        changed = _changed(base, keys, changes, terms, 0)
        weights, segments = np.full(usage.hours, weight), np.array([0, usage.hours])
        return Timeline(keys, changed, weights, segments, np.array([float(horizon)]), np.zeros(1))
    parts = [
        _changed(base[:, np.arange(first, last) % usage.hours], keys, changes, terms, first)
        for first, last in pairwise(bounds)
    ]
    cut = np.array(bounds)
    return Timeline(
        keys, np.concatenate(parts, axis=1), np.ones(horizon), cut, np.diff(cut).astype(float), cut[:-1] * 1.0
    )


def _keys(keys: tuple[UsageKey, ...], changes: Sequence[DeclaredChange]) -> tuple[UsageKey, ...]:
    """The usage's keys, then those that a migration brings."""
    brought = {
        moved_key(key, change)
        for change in changes
        if change.kind is ChangeKind.MIGRATES
        for key in keys
        if changes_key(change, key)
    }
    return (*keys, *sorted(brought - set(keys)))


def moved_key(key: UsageKey, change: DeclaredChange) -> UsageKey:
    """Where a migration takes usage."""
    return UsageKey(key.cloud, change.to_family, key.region, "", key.account, key.service)


def changes_key(change: DeclaredChange, key: UsageKey) -> bool:
    """Whether the change is of this usage."""
    return change.cloud is key.cloud and change.family == key.family and change.region in {"", key.region}


def _changed(
    money: Floats, keys: tuple[UsageKey, ...], changes: Sequence[DeclaredChange], terms: PlanTerms, hour: int
) -> Floats:
    """`money` with every change in force at `hour`, the earlier first."""
    changed = money.copy()
    place = {key: row for row, key in enumerate(keys)}
    for change in sorted(changes, key=lambda change: change.effective):
        if hour_of(terms, change.effective) > hour:
            continue
        for row, key in enumerate(keys):
            if not changes_key(change, key):
                continue
            if change.kind is ChangeKind.MIGRATES:
                changed[place[moved_key(key, change)]] += change.factor * changed[row]
            changed[row] *= change.factor if change.kind is ChangeKind.SCALES else 0.0
    return changed
