"""A clock that moves only when told, and when something sleeps by it."""

from datetime import datetime, timedelta


class StoppedClock:
    """Call it for the time; `sleep` moves it and is remembered in `slept`."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> datetime:
        """The time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Move on at once."""
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)
