"""Limits without a server: what the arithmetic promises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_service.domain.errors import ResourceExhaustedError
from trimtab_service.domain.identity import Principal
from trimtab_service.rpc.limits import Limiter, StreamBudget

ANA, BEN = Principal("ana", {}), Principal("ben", {})


class Clock:
    """Seconds that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:  # noqa: D102 - the class says it
        return self.now


@given(
    rate=st.floats(0.1, 1000),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 2), min_size=1, max_size=200),
)
def test_no_window_admits_more_than_burst_plus_rate_times_time(rate: float, burst: int, pauses: list[float]) -> None:
    """Whatever the arrivals, the bucket never gives what it did not get."""
    clock = Clock()
    limiter = Limiter("/m", rate, burst, 10_000, clock)
    admitted = 0
    for pause in pauses:
        clock.now += pause
        try:
            limiter.leave(limiter.enter(ANA))
        except ResourceExhaustedError:
            continue
        admitted += 1
        assert admitted <= burst + rate * clock.now + 1e-6


@given(rate=st.floats(0.01, 1000), burst=st.integers(1, 5))
def test_waiting_as_told_is_enough(rate: float, burst: int) -> None:
    """A caller that waits `retry_after` is admitted."""
    clock = Clock()
    limiter = Limiter("/m", rate, burst, 10, clock)
    for _ in range(burst):
        limiter.leave(limiter.enter(ANA))
    with pytest.raises(ResourceExhaustedError) as caught:
        limiter.enter(ANA)
    assert caught.value.retry_after is not None
    clock.now += caught.value.retry_after.total_seconds() + 2e-6  # a timedelta has microseconds
    limiter.enter(ANA)


def test_principals_have_budgets_of_their_own() -> None:
    """One caller's flood does not cost another a call."""
    limiter = Limiter("/m", 0.001, 1, 1, Clock())
    limiter.enter(ANA)
    with pytest.raises(ResourceExhaustedError):
        limiter.enter(ANA)
    limiter.enter(BEN)
    assert limiter.in_flight == 2


def test_many_principals_are_forgotten_but_never_one_in_flight() -> None:
    """Memory is bounded, and the count of calls in flight stays right."""
    limiter = Limiter("/m", 1.0, 1, 1, Clock())
    held = limiter.enter(ANA)
    for number in range(25_000):
        limiter.leave(limiter.enter(Principal(f"p{number}", {})))
    assert len(limiter._budgets) <= 10_000
    assert limiter.in_flight == 1
    limiter.leave(held)
    assert limiter.in_flight == 0


def test_draining_ends_open_streams_and_those_that_come_later() -> None:
    """No stream outlives the drain."""
    budget = StreamBudget(2)
    first = budget.enter()
    assert not first.is_set()
    budget.drain()
    assert first.is_set()
    assert budget.enter().is_set()
