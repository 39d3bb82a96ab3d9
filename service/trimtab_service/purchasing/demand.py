"""Hourly usage as a clean matrix: what was given, made whole hour by hour, with what was assumed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.purchasing import UsageKey
from trimtab_service.domain.reasons import DemandNote, ErrorReason
from trimtab_service.purchasing.program import Floats

HOUR: Final = timedelta(hours=1)
MOST_HOURS: Final = 10 * 8_784
"""Ten years: more is refused before anything is allocated."""

_SHORT_HOURS: Final = 720
_MOST: Final = 1e9
_LEAST: Final = 1e-9
"""Less than a nano an hour is no usage: no bill shows it, and products of it are no numbers any more."""


@dataclass(frozen=True, slots=True, eq=False)
class HourlyUsage:
    """`money` (K, H): on-demand money of each of `keys` in each hour from `start` (UTC) on. Finite and not negative."""

    start: datetime
    keys: tuple[UsageKey, ...]
    money: Floats
    notes: tuple[DemandNote, ...] = ()

    @property
    def hours(self) -> int:
        """H."""
        return int(self.money.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class UsageRows:
    """Rows as they come: `hours` whole UTC hours since 1970 and `money` of the same length, in `currency`."""

    key: UsageKey
    hours: NDArray[np.int64]
    money: Floats
    currency: str = "USD"


def hours_since_epoch(instant: datetime) -> int:
    """Whole hours; raises ValueError for an instant that is not aware or not on the hour."""
    if instant.tzinfo is None:
        raise ValueError("an instant without time zone")
    seconds = instant.astimezone(UTC).timestamp()
    if seconds % 3600:
        raise ValueError("not on the hour")
    return int(seconds // 3600)


def usage_of(rows: Sequence[UsageRows]) -> HourlyUsage:
    """Rows of any order put into one matrix from the first hour to the last; absent hours are zero.

    So is what is below a nano. An hour that comes twice is summed: local clocks repeat one when daylight saving ends.
    Raises InvalidArgumentError for money that is negative, NaN or infinite, rows of unequal length, mixed currencies,
    and more than ten years.
    """
    violations = [violation for index, row in enumerate(rows) for violation in _faults(f"usage[{index}]", row)]
    currencies = sorted({row.currency for row in rows})
    if len(currencies) > 1:
        text = f"one plan is made in one currency; given are {', '.join(currencies)}"
        violations.append(Violation("usage", ErrorReason.CONTRADICTION, text))
    filled = [row for row in rows if row.hours.size]
    first = min((int(row.hours.min()) for row in filled), default=0)
    last = max((int(row.hours.max()) for row in filled), default=-1)
    if last - first + 1 > MOST_HOURS:
        text = f"{last - first + 1} hours from first to last; at most {MOST_HOURS}"
        violations.append(Violation("usage", ErrorReason.TOO_LARGE, text))
    if violations:
        raise InvalidArgumentError(violations)
    keys = tuple(sorted({row.key for row in rows}))
    place: Mapping[UsageKey, int] = {key: index for index, key in enumerate(keys)}
    money = np.zeros((len(keys), last - first + 1))
    seen = np.zeros(money.shape, dtype=np.int32)
    for row in filled:
        np.add.at(money[place[row.key]], row.hours - first, np.where(row.money < _LEAST, 0.0, row.money))
        np.add.at(seen[place[row.key]], row.hours - first, 1)
    notes = _notes(money, seen)
    return HourlyUsage(datetime.fromtimestamp(first * 3600, UTC), keys, money, notes)


def _faults(field: str, row: UsageRows) -> list[Violation]:
    if row.hours.size != row.money.size:
        text = f"{row.hours.size} hours but {row.money.size} amounts"
        return [Violation(field, ErrorReason.CONTRADICTION, text)]
    bad = ~(np.isfinite(row.money) & (row.money >= 0.0))
    if not bad.any():
        beyond = row.money > _MOST
        if not beyond.any():
            return []
        text = f"{int(beyond.sum())} amounts are above {_MOST:g} an hour"
        return [Violation(f"{field}.money[{int(np.argmax(beyond))}]", ErrorReason.OUT_OF_RANGE, text)]
    where = int(np.argmax(bad))
    text = (
        f"{int(bad.sum())} amounts are negative, NaN or infinite; the first is {row.money[where]} at position {where}"
    )
    return [Violation(f"{field}.money[{where}]", ErrorReason.OUT_OF_RANGE, text)]


def _notes(money: Floats, seen: NDArray[np.int32]) -> tuple[DemandNote, ...]:
    if not money.any():
        return (DemandNote.EMPTY,)
    notes = []
    if (seen == 0).any():
        notes.append(DemandNote.MISSING_HOURS_ZERO)
    if (seen > 1).any():
        notes.append(DemandNote.DUPLICATE_HOURS_SUMMED)
    if money.shape[1] < _SHORT_HOURS:
        notes.append(DemandNote.SHORT_HISTORY)
    return tuple(notes)
