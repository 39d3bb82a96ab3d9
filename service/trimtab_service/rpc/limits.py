"""Bounds what one principal may ask of one method, and how many streams are open.

A token bucket bounds the rate and a counter bounds what is in flight. Each method has its own `Limiter`, so that
a flood of one method cannot spend the budget of another.
"""

import threading
from collections.abc import Callable
from datetime import timedelta

from trimtab_service.domain.errors import ResourceExhaustedError
from trimtab_service.domain.identity import Principal
from trimtab_service.domain.reasons import ErrorReason

_MAX_PRINCIPALS = 10_000
_BUSY_RETRY = timedelta(milliseconds=50)
_STREAM_RETRY = timedelta(seconds=5)


class Budget:
    """What one principal has left on one method. Not locked: `Limiter` sees to that."""

    __slots__ = ("in_flight", "refilled", "tokens")

    def __init__(self, tokens: float, now: float) -> None:
        self.tokens = tokens
        self.refilled = now
        self.in_flight = 0


class Limiter:
    """Rate and concurrency of one method, for each principal apart."""

    __slots__ = ("_budgets", "_burst", "_clock", "_concurrency", "_lock", "_method", "_rate")

    def __init__(self, method: str, rate: float, burst: int, concurrency: int, clock: Callable[[], float]) -> None:
        """Start with a full bucket for everyone.

        Args:
            method: full method name, for the error.
            rate: calls per second that refill the bucket.
            burst: calls that a full bucket holds.
            concurrency: calls in flight at once.
            clock: monotonic seconds.

        """
        self._method = method
        self._rate = rate
        self._burst = float(burst)
        self._concurrency = concurrency
        self._clock = clock
        self._budgets: dict[str, Budget] = {}
        self._lock = threading.Lock()

    def enter(self, principal: Principal) -> Budget:
        """Take one call from the principal's budget; give the result to `leave` when the call has ended.

        Raises:
            ResourceExhaustedError: rate or concurrency is spent; `retry_after` says when a call will fit.

        """
        now = self._clock()
        with self._lock:
            budget = self._budgets.get(principal.subject)
            if budget is None:
                budget = self._open(principal.subject, now)
            if budget.in_flight >= self._concurrency:
                raise self._spent(principal, "calls in flight", str(self._concurrency), _BUSY_RETRY)
            tokens = min(self._burst, budget.tokens + (now - budget.refilled) * self._rate)
            budget.refilled = now
            if tokens < 1.0:
                budget.tokens = tokens
                wait = timedelta(seconds=max(0.001, (1.0 - tokens) / self._rate))
                raise self._spent(principal, "calls per second", f"{self._rate:g}", wait)
            budget.tokens = tokens - 1.0
            budget.in_flight += 1
        return budget

    def leave(self, budget: Budget) -> None:
        """Return the place in flight; the token stays spent."""
        with self._lock:
            budget.in_flight -= 1

    @property
    def method(self) -> str:
        """Full name of the method."""
        return self._method

    @property
    def in_flight(self) -> int:
        """Calls in flight of all principals."""
        with self._lock:
            return sum(budget.in_flight for budget in self._budgets.values())

    def _open(self, subject: str, now: float) -> Budget:
        """Open a budget; when too many principals were seen, forget the older half of those that are idle."""
        if len(self._budgets) >= _MAX_PRINCIPALS:
            idle = [key for key, kept in self._budgets.items() if not kept.in_flight]
            for key in idle[: max(1, len(idle) // 2)]:
                del self._budgets[key]
        budget = self._budgets[subject] = Budget(self._burst, now)
        return budget

    def _spent(self, principal: Principal, what: str, limit: str, wait: timedelta) -> ResourceExhaustedError:
        return ResourceExhaustedError(
            ErrorReason.RATE_LIMITED,
            f"the limit of {limit} {what} is spent",
            metadata={"subject": principal.subject, "method": self._method, "limit": limit, "unit": what},
            retry_after=wait,
        )


class StreamBudget:
    """Places for open streams; each place ends when its stream does, or when the server drains."""

    __slots__ = ("_draining", "_lock", "_open", "_places")

    def __init__(self, places: int) -> None:
        self._places = places
        self._open: set[threading.Event] = set()
        self._draining = False
        self._lock = threading.Lock()

    def enter(self) -> threading.Event:
        """Take a place; the event is set when the stream should end.

        Raises:
            ResourceExhaustedError: all places are taken.

        """
        ending = threading.Event()
        with self._lock:
            if len(self._open) >= self._places:
                raise ResourceExhaustedError(
                    ErrorReason.STREAM_BUDGET_SPENT,
                    f"all {self._places} places for streams are taken",
                    metadata={"places": str(self._places)},
                    retry_after=_STREAM_RETRY,
                )
            self._open.add(ending)
            if self._draining:
                ending.set()
        return ending

    def leave(self, ending: threading.Event) -> None:
        """Give the place back."""
        with self._lock:
            self._open.discard(ending)

    def drain(self) -> None:
        """End all streams, and those that come later at once."""
        with self._lock:
            self._draining = True
            for ending in self._open:
                ending.set()

    def __len__(self) -> int:
        """Return how many streams are open."""
        return len(self._open)
