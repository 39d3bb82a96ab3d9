"""When changes may be made: hours of the week in a time zone, as the deployment's setting says them."""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM: Final = re.compile(
    r"(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))?\s+(?P<start>\d\d:\d\d)-(?P<end>\d\d:\d\d)(?:\s+(?P<zone>\S+))?"
)


@dataclass(frozen=True, slots=True)
class ChangeWindow:
    """Days and hours of local time. An end that is not after the start is on the next day."""

    days: frozenset[int]
    start: time
    end: time
    zone: ZoneInfo

    def is_open(self, now: datetime) -> bool:
        """Whether a change may begin at this instant."""
        local = now.astimezone(self.zone)
        at = local.time()
        if self.start < self.end:
            return local.weekday() in self.days and self.start <= at < self.end
        if at >= self.start:
            return local.weekday() in self.days
        return at < self.end and (local - timedelta(days=1)).weekday() in self.days


def parse_windows(text: str) -> tuple[ChangeWindow, ...]:
    """`mon-fri 20:00-06:00 Europe/Berlin`, several with `;` between; UTC where no zone is named; empty is always.

    Raises ValueError with what is wrong.
    """
    return tuple(_parse(part.strip()) for part in text.split(";") if part.strip())


def may_change(windows: tuple[ChangeWindow, ...], now: datetime) -> bool:
    """Whether any window is open; without windows it always is."""
    return not windows or any(window.is_open(now) for window in windows)


def _parse(text: str) -> ChangeWindow:
    found = _FORM.fullmatch(text.lower() if " " not in text else _lower_but_zone(text))
    if found is None or found["first"] not in _DAYS or (found["last"] or "mon") not in _DAYS:
        raise ValueError(f"expected hours such as mon-fri 20:00-06:00 Europe/Berlin, not {text!r}")
    first = _DAYS.index(found["first"])
    last = _DAYS.index(found["last"]) if found["last"] else first
    days = frozenset((first + step) % 7 for step in range((last - first) % 7 + 1))
    try:
        return ChangeWindow(
            days, time.fromisoformat(found["start"]), time.fromisoformat(found["end"]), ZoneInfo(found["zone"] or "UTC")
        )
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise ValueError(f"{text!r}: {error}") from None


def _lower_but_zone(text: str) -> str:
    days, _, rest = text.partition(" ")
    return f"{days.lower()} {rest.strip()}"
