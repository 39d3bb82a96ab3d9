"""Loads that can be asked for at any instant: a pure function of seed, name and time."""

import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from trimtab_service.catalog.arrays import F64, I64

STEP_S: Final = 300
"""Interval of every simulated series."""

_DAY_S: Final = 86_400
_PER_DAY: Final = _DAY_S // STEP_S
_MONDAY: Final = 4
"""1970-01-05 was a Monday: days since 1970 less this, modulo seven, is the weekday."""

_WEEKEND: Final = 5


class Rhythm(StrEnum):
    """How a load goes through day and week."""

    FLAT = "flat"
    OFFICE = "office"
    DAILY = "daily"
    BURSTY = "bursty"
    NIGHTLY = "nightly"


@dataclass(frozen=True, slots=True)
class Shape:
    """`base` at rest and `peak` at the busiest, in the unit of what is loaded; `noise` is a share of the value."""

    base: float
    peak: float
    rhythm: Rhythm = Rhythm.FLAT
    noise: float = 0.05


def stamps_between(start_s: int, end_s: int) -> I64:
    """Beginnings of the whole intervals within [start, end)."""
    first = -(-start_s // STEP_S) * STEP_S
    last = (end_s // STEP_S) * STEP_S
    return np.arange(first, last, STEP_S, dtype=np.int64)


def load_at(shape: Shape, seed: int, name: str, stamps: I64) -> F64:
    """The load [n] in the intervals that begin at `stamps` [n]; the same for the same arguments, window by window."""
    if not stamps.size:
        return np.zeros(0)
    hour = (stamps % _DAY_S) / 3_600.0
    weekday = (stamps // _DAY_S - _MONDAY) % 7
    noise, spikes = _noise(seed, name, stamps)
    busy = _busy(shape.rhythm, hour, weekday, spikes)
    value = shape.base + (shape.peak - shape.base) * busy
    result: F64 = np.clip(value * (1.0 + shape.noise * noise), 0.0, None)
    return result


def _busy(rhythm: Rhythm, hour: F64, weekday: I64, spikes: F64) -> F64:
    """Share 0..1 of the way from base to peak."""
    day: F64 = np.clip(np.sin((hour - 7.0) / 12.0 * np.pi), 0.0, 1.0)
    match rhythm:
        case Rhythm.FLAT:
            return np.full(hour.shape, 0.5)
        case Rhythm.OFFICE:
            return np.where(weekday < _WEEKEND, day, 0.03)
        case Rhythm.DAILY:
            return np.where(weekday < _WEEKEND, day, 0.7 * day)
        case Rhythm.NIGHTLY:
            return np.where((hour >= 1.0) & (hour < 4.0), 0.9, 0.0)  # noqa: PLR2004 - the hours of the nightly run
        case Rhythm.BURSTY:
            return np.where(spikes < 0.03, 1.0, 0.15)  # noqa: PLR2004 - three intervals of a hundred are bursts


def _noise(seed: int, name: str, stamps: I64) -> tuple[F64, F64]:
    """Standard normal and uniform numbers [n], drawn a day at a time so that any window sees the same ones."""
    days = np.unique(stamps // _DAY_S)
    key = zlib.crc32(name.encode())
    normal, uniform = np.empty((days.size, _PER_DAY)), np.empty((days.size, _PER_DAY))
    for row, day in enumerate(days.tolist()):
        draws = np.random.default_rng((seed, key, day))
        normal[row], uniform[row] = draws.standard_normal(_PER_DAY), draws.random(_PER_DAY)
    at = np.searchsorted(days, stamps // _DAY_S)
    slot = (stamps % _DAY_S) // STEP_S
    return np.clip(normal[at, slot], -3.0, 3.0), uniform[at, slot]
