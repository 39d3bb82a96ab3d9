"""Probes of the service's own: each at its pace, never two of one at once, none that outlives its process."""

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from trimtab_service.clouds.simulated.failover import Layout, SimulatedClouds
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.failover.ports import Probe
from trimtab_service.failover.watching import Pace, Seen, Watch, Watcher, duty_of

_TICK = timedelta(milliseconds=20)


def _now() -> datetime:
    return datetime.now(UTC)


class _Probes(SimulatedClouds):
    """A world of probes only, each a function."""

    def __init__(self, probes: dict[str, Callable[[], bool]]) -> None:
        super().__init__(Layout(), clock=_now)
        self.made = probes

    def probe(self, project: str, name: str) -> Probe | None:
        found = self.made.get(name)
        return None if found is None else _Probe(found)


class _Probe:
    def __init__(self, answer: Callable[[], bool]) -> None:
        self._answer = answer

    def check(self, deadline: datetime) -> bool:
        return self._answer()


class _Duties:
    """Gives what it is told to give; `gone` while the database does not answer."""

    def __init__(self, given: Collection[str] | None = None) -> None:
        self.given = given
        self.gone = False

    def hold(self, names: Collection[str], lease: timedelta) -> frozenset[str]:
        if self.gone:
            raise UnavailableError(ErrorReason.STORE_UNAVAILABLE, "gone")
        return frozenset(names if self.given is None else self.given)


def _watch(name: str, **fields: object) -> Watch:
    given = {
        "name": name,
        "project": "p",
        "service_id": "s",
        "side_id": "a",
        "observer_id": "o",
        "cloud": Cloud.AWS,
        "target": name,
        "interval": _TICK,
        "timeout": timedelta(seconds=60),
    }
    return Watch(**{**given, **fields})  # type: ignore[arg-type] # the caller's own values


@contextmanager
def _watching(
    watches: list[Watch],
    probes: dict[str, Callable[[], bool]],
    duties: _Duties | None = None,
    pace: Pace | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[list[Seen]]:
    came: list[Seen] = []
    quick = pace or Pace(lease=timedelta(milliseconds=300), heartbeat=_TICK)
    watcher = Watcher(
        watches,
        _Probes(probes),
        duties or _Duties(),
        came.append,
        clock=_now,
        spread=lambda: 0.5,
        pace=quick,
        monotonic=monotonic,
    )
    watcher.start()
    try:
        yield came
    finally:
        watcher.close()


def _until(wanted: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60
    while not wanted():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def test_what_a_probe_says_is_reported_again_and_again() -> None:
    """Of each side by itself."""
    with _watching([_watch("up"), _watch("down")], {"up": lambda: True, "down": lambda: False}) as came:
        _until(lambda: len(came) > 10)
    told = {(seen.watch.name, seen.is_healthy) for seen in came}
    assert told == {("up", True), ("down", False)}


def test_so_many_of_the_last_checks_must_fail() -> None:
    """Two of three: one failure in a while says nothing, the second says that the side is down."""
    answers = iter([True, False, True, False, False, True, True, True])
    with _watching([_watch("x", fails=2, of=3)], {"x": lambda: next(answers, True)}) as came:
        _until(lambda: len(came) >= 8)
    assert [seen.is_healthy for seen in came[:8]] == [True, True, True, False, False, False, True, True]


def test_a_check_that_hangs_has_failed_and_is_not_made_twice() -> None:
    """Its time is over: that is reported, and the others are made meanwhile."""
    hangs, begun = threading.Event(), []

    def hang() -> bool:
        begun.append(1)
        hangs.wait(120)
        return True

    watches = [_watch("hangs", timeout=timedelta(milliseconds=10)), _watch("up")]
    with _watching(watches, {"hangs": hang, "up": lambda: True}) as came:
        _until(lambda: any(not seen.is_healthy for seen in came))
        others = len(came)
        _until(lambda: len(came) > others + 5)
    told = [seen.detail for seen in came if seen.watch.name == "hangs"]
    hangs.set()
    assert set(told) == {"no answer in time"}
    assert len(begun) <= 2


def test_a_storm_of_probes_waits_its_turn_and_blames_no_side() -> None:
    """A hundred slow probes, two at a time: never more under way, and the wait for a turn is no failure."""
    lock, now, most = threading.Lock(), [0], [0]

    def slow() -> bool:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.002)
        with lock:
            now[0] -= 1
        return True

    names = [f"probe-{number}" for number in range(100)]
    pace = Pace(lease=timedelta(seconds=5), heartbeat=timedelta(seconds=1), at_once=2)
    watches = [_watch(name, timeout=timedelta(seconds=60)) for name in names]
    with _watching(watches, dict.fromkeys(names, slow), pace=pace) as came:
        _until(lambda: len({seen.watch.name for seen in came}) == 100)
    assert most[0] <= 2
    assert all(seen.is_healthy for seen in came)


def test_only_what_this_process_has_is_probed() -> None:
    """Another has the rest; when nobody can tell any more, nothing is probed once the lease is over."""
    duties = _Duties([duty_of("mine")])
    with _watching([_watch("mine"), _watch("yours")], {"mine": lambda: True, "yours": lambda: True}, duties) as came:
        _until(lambda: len(came) > 3)
        assert {seen.watch.name for seen in came} == {"mine"}
        duties.gone = True
        _until(lambda: (_now() - came[-1].time) > timedelta(milliseconds=400))


def test_a_probe_that_cannot_be_made_says_nothing_of_the_side() -> None:
    """It is not configured, or breaks, or its own credential is gone: that is no outage."""

    def breaks() -> bool:
        raise ZeroDivisionError

    def refused() -> bool:
        raise UnavailableError(ErrorReason.SOURCE_FAILED, "no credential")

    watches = [_watch(name) for name in ("up", "breaks", "refused", "nowhere")]
    with _watching(watches, {"up": lambda: True, "breaks": breaks, "refused": refused}) as came:
        _until(lambda: len(came) > 5)
    assert {seen.watch.name for seen in came} == {"up"}


def test_closing_waits_for_no_hanging_check_and_reports_nothing_more() -> None:
    """A rolling restart is not held up by a server that does not answer."""
    hangs = threading.Event()
    entered = threading.Event()

    def hang() -> bool:
        entered.set()
        hangs.wait(120)
        return False

    with _watching([_watch("hangs", timeout=timedelta(seconds=120))], {"hangs": hang}) as came:
        assert entered.wait(60)
    hangs.set()
    time.sleep(0.02)
    assert came == []


def test_a_process_that_stood_still_blames_no_side() -> None:
    """Stopped in the middle of a check, which then fails for want of time: the next one is the next word."""
    away, looks, begun, go_on = [0.0], threading.Semaphore(0), threading.Event(), threading.Event()

    def monotonic() -> float:
        looks.release()
        return time.monotonic() + away[0]

    def check() -> bool:
        if begun.is_set():
            return True
        begun.set()
        return not go_on.wait(60)

    with _watching([_watch("x")], {"x": check}, pace=Pace(), monotonic=monotonic) as came:
        assert begun.wait(60)
        away[0] = 3_600.0
        while looks.acquire(blocking=False):
            pass
        for _ in range(20):  # the scheduler has looked since, and would have given the check up
            assert looks.acquire(timeout=60)
        go_on.set()
        _until(lambda: bool(came))
    assert all(seen.is_healthy for seen in came)
