"""What the engine needs of the store: runs claimed, kept and changed under a lease and a fencing token.

Every method raises UnavailableError when the database does not answer. It is then not known whether a change was made:
it is made again, under the same token, and what was made already changes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from trimtab_service.domain.failover import FailoverPlan, RunMode, RunState
from trimtab_service.failover.run import Change, Run

Transition = Callable[[Run, datetime], Change]
"""A rule of `failover.machine`, applied to the run as it stands and the database's instant."""


class LeaseLostError(Exception):
    """Another process has the run, or it ended: whoever gets this stops at once and writes nothing more."""


class Held(NamedTuple):
    """A run that was taken, and the version of its plan."""

    run: Run
    plan: FailoverPlan


class Standing(NamedTuple):
    """What may be decided about a run elsewhere while a process has it in hand."""

    state: RunState
    mode: RunMode


class RunJournal(Protocol):
    """The journal of all runs. Leases last by the database's clock, tokens only ever grow."""

    def claim(self, owner: str, lease: timedelta, most: int, *, children_only: bool) -> tuple[Held, ...]:
        """Take runs that nobody works on, each with a new token, the oldest first; empty when there is none.

        `children_only`: only runs that another one waits for.
        """
        ...

    def renew(self, held: Sequence[Run], lease: timedelta) -> Mapping[str, Standing]:
        """Hold on to runs; how those stand, by name, which are still held under their token and not over."""
        ...

    def change(self, run: Run, owner: str, lease: timedelta, transition: Transition) -> Run:
        """Apply a rule, durably, and renew the lease. Raises LeaseLostError unless `run.token` is still in force."""
        ...

    def release(self, run: Run) -> bool:
        """Give the lease back, for there is nothing to do; False: the run was changed meanwhile, look again."""
        ...


class ChildRuns(Protocol):
    """Runs that a step of another run starts and waits for."""

    def start(self, parent: Run, plan_id: str) -> Run:
        """The child run of the plan: the one that is under way or has succeeded, else a new one."""
        ...

    def find(self, parent: Run, plan_id: str) -> Run | None:
        """The newest one of the plan that the parent started; None: there is none."""
        ...

    def get(self, run: Run) -> Run:
        """As it stands now."""
        ...

    def abort(self, run: Run, reason: str) -> None:
        """Send it back to its safe state; nothing when it is over."""
        ...

    def switch_mode(self, run: Run, mode: RunMode) -> None:
        """Let it go on in that mode; nothing when it does already, is over or on its way back."""
        ...
