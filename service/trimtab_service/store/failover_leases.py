"""The journal of runs under lease and token: `failover.journal.RunJournal` on both engines.

A change reads nothing when the run is still as its holder knows it: the guarded UPDATE decides. Only when somebody else
changed it is it read again, and then the token decides.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Select, and_, or_, select, tuple_, update

from trimtab_service.domain.failover import FailoverPlan, RunKind, RunMode, RunState
from trimtab_service.failover.admission import StartRequest
from trimtab_service.failover.journal import Held, LeaseLostError, Standing, Transition
from trimtab_service.failover.machine import CLAIMABLE, claimed
from trimtab_service.failover.run import Change, Command, Run, Steering, Trigger
from trimtab_service.store import failover_services as services
from trimtab_service.store.engines import Database, Dialect
from trimtab_service.store.failover_commit import save_at_once
from trimtab_service.store.failover_plans import FailoverPlanStore
from trimtab_service.store.failover_rows import NEVER, RunMovedError, load, load_all, save, save_all
from trimtab_service.store.failover_runs import FailoverRunStore, instant_of
from trimtab_service.store.failover_tables import FAILOVER_RUNS
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.writer import GroupCommitWriter

T = TypeVar("T")

_R: Final = FAILOVER_RUNS.c
_KEPT_PLANS: Final = 64
_AT_ONCE: Final[Mapping[Dialect, int]] = {"postgresql": 3, "sqlite": 8}
"""Commits of runs at a time: a hundred runs must not take the connections, nor the cores, that calls are answered with.

On PostgreSQL one more makes a tenth more steps a second, and calls wait a quarter longer meanwhile. On SQLite these
share a commit; all hundred at once make no more steps, and calls wait twice as long when all wake up together.
"""


class StoredRunJournal:
    """Safe to use from many threads."""

    def __init__(
        self, database: Database, writer: GroupCommitWriter, plans: FailoverPlanStore, clock: Callable[[], datetime]
    ) -> None:
        """`clock` times leases on SQLite, where all processes share a machine; PostgreSQL has its own."""
        self._database = database
        self._writer = writer
        self._plans = plans
        self._clock = clock
        self._at_once = threading.BoundedSemaphore(_AT_ONCE[database.dialect])
        self._kept: dict[tuple[str, str, int], FailoverPlan] = {}

    def claim(self, owner: str, lease: timedelta, most: int, *, children_only: bool) -> tuple[Held, ...]:
        """As the port says. Two processes that ask at once take different runs."""
        with self._database.read() as conn:
            # Mostly there is none, and nobody should have to wait for a lock to be told so.
            if conn.execute(_waiting(instant_of(conn, self._clock), 1, children_only=children_only)).first() is None:
                return ()

        def take(conn: Connection) -> tuple[Run, ...]:
            now = instant_of(conn, self._clock)
            query = _waiting(now, most, children_only=children_only).with_for_update(skip_locked=True)
            found = load_all(conn, [(row.project, row.run_id) for row in conn.execute(query)])
            tokens = services.next_tokens(conn, found)
            changes = [
                (run, claimed(run, owner, token, _after(run, now))) for run, token in zip(found, tokens, strict=True)
            ]
            return save_all(conn, changes, now, (owner, now + lease))

        return tuple(Held(run, self._plan(run)) for run in self._written(take))

    def renew(self, held: Sequence[Run], lease: timedelta) -> Mapping[str, Standing]:
        """As the port says, in one statement."""
        own = [(run.project, run.run_id, run.token) for run in held]
        # What was given back meanwhile stays so: nobody would take it up before that lease is over.
        ours = and_(tuple_(_R.project, _R.run_id, _R.token).in_(own), _R.end_time.is_(None), _R.lease_until > NEVER)

        def renewed(conn: Connection) -> dict[str, Standing]:
            longer = update(FAILOVER_RUNS).where(ours).values(lease_until=instant_of(conn, self._clock) + lease)
            rows = conn.execute(longer.returning(_R.project, _R.run_id, _R.state, _R.mode))
            return {
                f"projects/{row.project}/failoverRuns/{row.run_id}": Standing(RunState(row.state), RunMode(row.mode))
                for row in rows
            }

        return self._written(renewed)

    def change(self, run: Run, owner: str, lease: timedelta, transition: Transition) -> Run:
        """As the port says."""
        known = run
        while True:
            try:
                return self._committed(known, owner, lease, transition)
            except RunMovedError:
                with self._database.read() as conn:
                    known = load(conn, run.project, run.run_id)
                if known.token != run.token:
                    raise LeaseLostError from None

    def release(self, run: Run) -> bool:
        """As the port says."""
        ours = and_(
            _R.project == run.project, _R.run_id == run.run_id, _R.token == run.token, _R.version == run.version
        )
        given_back = update(FAILOVER_RUNS).where(ours).values(lease_until=NEVER)
        with self._at_once:
            return self._written(lambda conn: conn.execute(given_back).rowcount == 1)

    def _written(self, unit: Callable[[Connection], T]) -> T:
        """SQLite has one writer at a time, so threads share its commits; PostgreSQL's need not queue for each other.

        Whoever finds a SQLite file locked sleeps up to a tenth of a second before he looks again.
        """
        if self._database.dialect == "sqlite":
            return self._writer.run(unit)
        with self._database.write() as conn:
            return unit(conn)

    def _committed(self, known: Run, owner: str, lease: timedelta, transition: Transition) -> Run:
        with self._at_once:
            if self._database.dialect == "sqlite":
                return self._written(lambda conn: self._change(conn, known, owner, lease, transition))
            with self._database.read() as conn:
                now = _after(known, instant_of(conn, self._clock))
                change = transition(known, now)
                if not change:
                    return _still(conn, known)
                if not _tells(change):
                    return save_at_once(conn, known, change, now, (owner, lease))
            with self._database.write() as conn:
                return self._change(conn, known, owner, lease, transition)

    def _change(self, conn: Connection, known: Run, owner: str, lease: timedelta, transition: Transition) -> Run:
        instant = instant_of(conn, self._clock)
        now = _after(known, instant)
        change = transition(known, now)
        if not change:
            return _still(conn, known)
        # A clock that was ahead for a while must not have given out a lease that nobody can wait for.
        saved = save(conn, known, change, now, (owner, instant + lease))
        if _tells(change):
            services.tell(conn, replace(change, run=saved), now)
        return saved

    def _plan(self, run: Run) -> FailoverPlan:
        key = (run.project, run.plan_id, run.plan_revision)
        found = self._kept.get(key)
        if found is None:
            found = self._plans.version(*key).plan
            if len(self._kept) >= _KEPT_PLANS:
                self._kept.clear()
            self._kept[key] = found
        return found


class StoredChildRuns:
    """`failover.journal.ChildRuns` over the store."""

    def __init__(self, database: Database, runs: FailoverRunStore) -> None:
        self._database = database
        self._runs = runs

    def start(self, parent: Run, plan_id: str) -> Run:
        """The one that is under way or has succeeded; else a new one, as who started the parent."""
        found = self.find(parent, plan_id)
        ended_badly = {RunState.FAILED, RunState.ABORTED, RunState.INTERRUPTED}
        if found is not None and found.state not in ended_badly:
            return found
        asked = StartRequest(
            project=parent.project,
            plan_id=plan_id,
            from_side=parent.from_side,
            to_side=parent.to_side,
            started_by=parent.started_by,
            kind=RunKind.DRILL if parent.is_drill else parent.kind,
            mode=parent.mode,
            trigger=parent.trigger,
            override_reason=parent.override_reason,
            parent_run=parent.run_id,
        )
        return self._runs.start(asked, _unremembered(parent))

    def find(self, parent: Run, plan_id: str) -> Run | None:
        """The newest one."""
        query = (
            select(_R.run_id)
            .where(_R.project == parent.project, _R.parent_run == parent.run_id, _R.plan_id == plan_id)
            .order_by(_R.create_time.desc(), _R.run_id.desc())
            .limit(1)
        )
        with self._database.read() as conn:
            run_id = conn.execute(query).scalar()
            return None if run_id is None else load(conn, parent.project, run_id)

    def get(self, run: Run) -> Run:
        """As it stands now."""
        return self._runs.get(run.project, run.run_id)

    def abort(self, run: Run, reason: str) -> None:
        """Unless it is over or on its way back already."""
        now_stands = self.get(run)
        if now_stands.state.is_over or now_stands.state is RunState.ABORTING:
            return
        said = Steering(Command.ABORT, run.started_by, reason=reason)
        self._runs.steer(run.project, run.run_id, said, _unremembered(run))

    def switch_mode(self, run: Run, mode: RunMode) -> None:
        """With its parent, in the name of whoever started that."""
        now_stands = self.get(run)
        if now_stands.state.is_over or now_stands.state is RunState.ABORTING or now_stands.mode is mode:
            return
        said = Steering(Command.SWITCH_MODE, run.started_by, mode=mode, reason=f"its parent {run.parent_run} did")
        self._runs.steer(run.project, run.run_id, said, _unremembered(run))


def _after(run: Run, instant: datetime) -> datetime:
    """Now, for a run: a clock that was set back must not turn the order of its events round."""
    return max(instant, run.update_time)


def _still(conn: Connection, known: Run) -> Run:
    """It, unless somebody else has changed it: what a rule leaves as it is may be another run by now."""
    ours = and_(_R.project == known.project, _R.run_id == known.run_id)
    if conn.execute(select(_R.version).where(ours)).scalar_one() != known.version:
        raise RunMovedError
    return known


def _tells(change: Change) -> bool:
    """Whether the change means something for the run's service."""
    return bool(change.active_side) or change.run.state.is_over


def _unremembered(run: Run) -> RequestKey:
    return RequestKey(run.project, "ChildRun", "", b"")


def _waiting(now: datetime, most: int, *, children_only: bool) -> Select[Any]:
    """Runs with something to do that nobody works on: real ones before drills, oldest first."""
    expired = and_(_R.state == RunState.PENDING_APPROVAL.value, _R.wake_time <= now)
    query = (
        select(_R.project, _R.run_id)
        .where(
            _R.end_time.is_(None),
            _R.lease_until <= now,
            or_(_R.state.in_([state.value for state in CLAIMABLE]), expired),
        )
        .order_by(_R.trigger == Trigger.DRILL.value, _R.create_time)
        .limit(most)
    )
    return query.where(_R.parent_run != "") if children_only else query
