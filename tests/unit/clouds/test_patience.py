"""Waiting for a cloud: again and again, but never past the deadline."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.clocks import StoppedClock
from trimtab_service.clouds.patience import PassingFault, Patience
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.reasons import ErrorReason

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def patience(clock: StoppedClock, spread: float = 1.0) -> Patience:
    """Patience by a stopped clock, with its longest waits."""
    return Patience(clock=clock, sleep=clock.sleep, spread=lambda: spread)


def test_a_fault_that_passes_is_asked_again_after_growing_waits() -> None:
    """Waits double from half a second."""
    clock = StoppedClock(NOW)
    faults = iter([PassingFault("busy"), PassingFault("busy"), PassingFault("busy")])

    def call(timeout: float) -> str:
        fault = next(faults, None)
        if fault:
            raise fault
        return "answer"

    assert patience(clock).ask(call, NOW + timedelta(minutes=5)) == "answer"
    assert clock.slept == [0.5, 1.0, 2.0]


def test_a_wait_the_cloud_asks_for_is_kept_to() -> None:
    """Retry-After above the own back-off wins."""
    clock = StoppedClock(NOW)
    faults = iter([PassingFault("throttled", wait_s=17.0)])

    def call(timeout: float) -> int:
        for fault in faults:
            raise fault
        return 1

    patience(clock).ask(call, NOW + timedelta(minutes=5))
    assert clock.slept == [17.0]


def test_no_wait_outlasts_the_deadline() -> None:
    """A Retry-After beyond the deadline fails at once, and says the cause."""
    clock = StoppedClock(NOW)

    def call(timeout: float) -> None:
        raise PassingFault("throttled by the cloud", wait_s=600.0)

    with pytest.raises(UnavailableError, match="throttled by the cloud") as caught:
        patience(clock).ask(call, NOW + timedelta(seconds=60))
    assert caught.value.reason is ErrorReason.SOURCE_FAILED
    assert clock.slept == []


def test_nothing_is_asked_past_the_deadline() -> None:
    """A deadline that has passed asks nothing."""
    clock = StoppedClock(NOW)
    asked: list[float] = []
    with pytest.raises(UnavailableError, match="deadline"):
        patience(clock).ask(asked.append, NOW)
    assert asked == []


@pytest.mark.parametrize(("left_s", "expected"), [(10.0, 10.0), (3_600.0, 60.0)])
def test_one_call_gets_what_is_left_but_never_more_than_a_minute(left_s: float, expected: float) -> None:
    """A hanging call cannot use up a long deadline."""
    clock = StoppedClock(NOW)
    given: list[float] = []
    patience(clock).ask(given.append, NOW + timedelta(seconds=left_s))
    assert given == [expected]


def test_an_account_may_ask_for_shorter_calls_but_not_for_longer_ones() -> None:
    """`call_timeout` of the account, under the minute of all."""
    clock = StoppedClock(NOW)
    for asked, expected in ((5, 5.0), (600, 60.0)):
        shorter = patience(clock).with_calls_of(timedelta(seconds=asked))
        assert shorter.call_timeout_s(NOW + timedelta(hours=1)) == expected
