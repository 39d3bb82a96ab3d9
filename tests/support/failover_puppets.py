"""Processes that carry runs out one move at a time: the real engine in a thread that stands still at every door.

A door is a call to a target, or a commit. Only one puppet moves at any moment, so a schedule is a list of moves, and it
happens the same way every time.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from trimtab_service.failover.execution import Execution, Surroundings
from trimtab_service.failover.journal import Held, LeaseLostError, RunJournal, Transition
from trimtab_service.failover.leases import Lease
from trimtab_service.failover.ports import Targets
from trimtab_service.failover.run import Run

_STUCK_S: Final = 60.0
_LEASE: Final = timedelta(hours=5)
"""No lease ends by a clock here, only when a schedule says so."""


class KilledError(BaseException):
    """The process is gone: nothing may catch it."""


class Puppet:
    """One process. `door` is where it stands; empty: it has nothing in hand."""

    def __init__(self, name: str, around: Callable[[Callable[[str], None]], Surroundings]) -> None:
        """`around` makes what it works with; doors are to call what it is given."""
        self.name = name
        self.door = ""
        self._around = around(self.stop_at)
        self._thread: threading.Thread | None = None
        self._go, self._stands = threading.Semaphore(0), threading.Semaphore(0)
        self._dying = False
        self._fault: BaseException | None = None

    def take(self) -> None:
        """Look for a run, and come to the first door with it."""
        assert not self.door
        self._thread = threading.Thread(target=self._live, name=self.name, daemon=True)
        self._thread.start()
        self._until_it_stands()

    def move(self) -> None:
        """Through the door, and on to the next."""
        assert self.door
        self._go.release()
        self._until_it_stands()

    def kill(self) -> None:
        """It is gone at the door, and nobody is told."""
        if self.door:
            self._dying = True
            self.move()
            self._dying = False

    def stop_at(self, door: str) -> None:
        """Called at a door, by its own thread."""
        if threading.current_thread() is not self._thread:
            return
        self.door = door
        self._stands.release()
        self._go.acquire()
        if self._dying:
            raise KilledError

    def _until_it_stands(self) -> None:
        assert self._stands.acquire(timeout=_STUCK_S), f"{self.name} came to no door after {self.door}"
        if self._fault is not None:
            raise self._fault

    def _live(self) -> None:
        around = self._around
        try:
            with contextlib.suppress(LeaseLostError, KilledError):
                for held in around.journal.claim(around.owner, _LEASE, 1, children_only=False):
                    lease = _Patient(held.run, _LEASE.total_seconds(), time.monotonic(), time.monotonic)
                    Execution(around, held, lease).carry_out()
        except BaseException as error:  # noqa: BLE001 - raised again where the schedule is
            self._fault = error
        finally:
            self.door = ""
            self._stands.release()


class _Patient(Lease):
    """Waits for nothing: time passes when the schedule says so."""

    __slots__ = ()

    def wait(self, seconds: float) -> None:
        """At once."""


class DooredJournal:
    """A journal whose commits are doors."""

    def __init__(self, journal: RunJournal, stop_at: Callable[[str], None]) -> None:
        self._journal = journal
        self._stop_at = stop_at

    def claim(self, owner: str, lease: timedelta, most: int, *, children_only: bool) -> tuple[Held, ...]:
        """At once."""
        return self._journal.claim(owner, lease, most, children_only=children_only)

    def renew(self, held: Sequence[Run], lease: timedelta) -> Mapping[str, Any]:
        """At once."""
        return self._journal.renew(held, lease)

    def change(self, run: Run, owner: str, lease: timedelta, transition: Transition) -> Run:
        """At a door."""
        self._stop_at("commit")
        return self._journal.change(run, owner, lease, transition)

    def release(self, run: Run) -> bool:
        """At a door."""
        self._stop_at("release")
        return self._journal.release(run)


class DooredTargets:
    """Targets whose every method is behind a door. `unfenced`: they take the newest token that there is for any."""

    def __init__(self, targets: Targets, stop_at: Callable[[str], None], *, unfenced: bool = False) -> None:
        self._targets = targets
        self._stop_at = stop_at
        self._unfenced = unfenced

    def __getattr__(self, kind: str) -> Any:  # noqa: ANN401 - traffic, capacity, ...
        opened = getattr(self._targets, kind)
        if kind == "cloud_of":
            return opened

        def named(project: str, name: str) -> object | None:
            found = opened(project, name)
            return None if found is None else _Doored(found, self._stop_at, self._unfenced)

        return named


class _Doored:
    def __init__(self, target: object, stop_at: Callable[[str], None], unfenced: bool) -> None:
        self._target = target
        self._stop_at = stop_at
        self._unfenced = unfenced

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a method of its port
        found = getattr(self._target, name)
        if not callable(found):
            return found

        def called(*given: Any) -> Any:  # noqa: ANN401
            self._stop_at(name)
            if self._unfenced and name == "switch":
                side, weight, _, key, deadline = given
                newest = self._target.observe(deadline).token  # type: ignore[attr-defined] # a traffic target
                return found(side, weight, newest, key, deadline)
            return found(*given)

        return called


class SetClock:
    """A clock that moves when it is told to."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """Now."""
        return self.now
