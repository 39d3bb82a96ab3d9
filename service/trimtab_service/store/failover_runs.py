"""Runs as people and callers see them: start, steer, decide, read, follow.

A change takes the turn only where a request id is to be remembered; all other changes lock the run's row, then its
service's, in that order. Instants are the database's on PostgreSQL, so replicas agree on cooldowns and expiry.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select

from trimtab_service.domain.errors import AbortedError
from trimtab_service.domain.failover import RunKind
from trimtab_service.domain.filters import FieldKind
from trimtab_service.domain.reasons import ErrorReason, RunRefusal
from trimtab_service.failover.admission import Load, ServiceRecord, StartRequest, admit, nests_too_deep, started
from trimtab_service.failover.chain import Link
from trimtab_service.failover.machine import interrupted
from trimtab_service.failover.refusals import refused
from trimtab_service.failover.run import Change, Decision, Run, Steering
from trimtab_service.failover.steering import decide, steer
from trimtab_service.store import failover_services as services
from trimtab_service.store.engines import Database
from trimtab_service.store.failover_plans import current, pinned
from trimtab_service.store.failover_rows import RUNS_SELECTED, add, bare_run, load, save, whole
from trimtab_service.store.failover_tables import FAILOVER_APPROVALS, FAILOVER_EVENTS, FAILOVER_RUNS
from trimtab_service.store.filters import Filterable
from trimtab_service.store.idempotency import RequestKey, once
from trimtab_service.store.pages import Listing, ListRequest, Page, read_page
from trimtab_service.store.serial import take_turn
from trimtab_service.store.writer import GroupCommitWriter

MAXIMUM_RUNS: Final = 16
"""Runs under way in a deployment, child runs not counted."""

_R: Final = FAILOVER_RUNS.c
_FIELDS: Final = {
    "state": Filterable(FieldKind.TEXT, _R.state),
    "kind": Filterable(FieldKind.TEXT, _R.kind),
    "service_id": Filterable(FieldKind.TEXT, _R.service_id),
    "failover_plan": Filterable(FieldKind.TEXT, _R.plan_id),
    "create_time": Filterable(FieldKind.TIMESTAMP, _R.create_time),
}


class FailoverRunStore:
    """The runs of all projects. Every method raises UnavailableError when the database does not answer."""

    __slots__ = ("_clock", "_database", "_maximum", "_new_id", "_writer")

    def __init__(
        self,
        database: Database,
        writer: GroupCommitWriter,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[datetime], str],
        maximum: int = MAXIMUM_RUNS,
    ) -> None:
        """`clock` is used on SQLite, where all processes share a machine; PostgreSQL has its own."""
        self._database = database
        self._writer = writer
        self._clock = clock
        self._new_id = new_id
        self._maximum = maximum

    def start(self, asked: StartRequest, key: RequestKey, timeout_s: float | None = None) -> Run:
        """Take a run in, durably; the same request again returns the first one. A worker carries it out.

        Raises NotFoundError for the plan, AbortedError (ETAG_MISMATCH), FailedPreconditionError with a `RunRefusal` in
        `metadata["refusal"]` (and the run that stands against it in `metadata["failover_run"]`).
        """

        def unit(conn: Connection) -> str | Run:
            take_turn(conn)
            now = instant_of(conn, self._clock)
            made: list[Run] = []

            def make() -> bytes:
                made.append(self._start(conn, asked, now))
                return made[0].run_id.encode()

            known = once(conn, key, now, make).decode()
            return made[0] if made else known

        answer = self._writer.run(unit, timeout_s)
        return answer if isinstance(answer, Run) else self.get(asked.project, answer)

    def steer(self, project: str, run_id: str, said: Steering, key: RequestKey, timeout_s: float | None = None) -> Run:
        """Do as a person says. Raises NotFoundError, FailedPreconditionError with a `RunRefusal`."""
        return self._changed(project, run_id, key, timeout_s, lambda _, run, now: steer(run, said, now))

    def decide(self, project: str, run_id: str, said: Decision, key: RequestKey, timeout_s: float | None = None) -> Run:
        """Approve or reject the step that waits. Raises as `steer`."""

        def change(conn: Connection, run: Run, now: datetime) -> Change:
            decided = decide(run, said, now)
            step = decided.run.step(said.step_id)
            row = {
                "project": project,
                "run_id": run_id,
                "step_id": said.step_id,
                "attempt": 0 if step is None else step.attempts,
                "approved": said.approved,
                "actor": said.actor,
                "comment": said.comment,
                "plan_hash": said.plan_hash,
                "create_time": now,
            }
            conn.execute(insert(FAILOVER_APPROVALS), row)
            return decided

        return self._changed(project, run_id, key, timeout_s, change)

    def get(self, project: str, run_id: str) -> Run:
        """One, with its steps. Raises NotFoundError."""
        with self._database.read() as conn:
            return load(conn, project, run_id)

    def list(self, project: str, request: ListRequest) -> Page[Run]:
        """Those of a project, newest first. Raises InvalidArgumentError for a bad filter or token."""
        listing = Listing(
            query=RUNS_SELECTED.where(_R.project == project),
            time=_R.create_time,
            id=_R.run_id,
            fields=_FIELDS,
            read=bare_run,
        )
        with self._database.read() as conn:
            page = read_page(conn, listing, request)
            return Page(whole(conn, project, page.items), page.next_page_token)

    def events(self, project: str, run_id: str, after: int = 0, limit: int = 1_000) -> tuple[Link, ...]:
        """Links of the chain in order, from the one after sequence `after`: the resume token of a watcher."""
        columns = FAILOVER_EVENTS.c
        query = (
            select(
                *(columns[name] for name in ("sequence", "time", "kind", "step_id", "actor", "detail", "body", "hash"))
            )
            .where(columns.project == project, columns.run_id == run_id, columns.sequence > after)
            .order_by(columns.sequence)
            .limit(limit)
        )
        with self._database.read() as conn:
            return tuple(Link(*row) for row in conn.execute(query))

    def last_served(
        self, project: str, plan_id: str, kinds: Sequence[RunKind], before: Run | None = None
    ) -> Run | None:
        """The newest run of a plan, of these kinds, that did what it was for (and is older than `before`), if any."""
        query = RUNS_SELECTED.where(
            _R.project == project,
            _R.plan_id == plan_id,
            _R.kind.in_([kind.value for kind in kinds]),
            _R.state.in_([state.value for state in services.SERVED]),
        )
        if before is not None:
            query = query.where(_R.create_time < before.create_time)
        with self._database.read() as conn:
            row = conn.execute(query.order_by(_R.create_time.desc(), _R.run_id.desc()).limit(1)).first()
            return None if row is None else whole(conn, project, [bare_run(row)])[0]

    def last_begun(self, project: str, plan_id: str, kind: RunKind) -> datetime | None:
        """When the newest run of a plan of that kind was taken in; None: there is none."""
        query = select(func.max(_R.create_time)).where(
            _R.project == project, _R.plan_id == plan_id, _R.kind == kind.value
        )
        with self._database.read() as conn:
            return conn.execute(query).scalar()

    def service(self, project: str, service_id: str) -> ServiceRecord:
        """What is known of a service; one that never ran is all empty."""
        with self._database.read() as conn:
            return services.read(conn, project, service_id) or ServiceRecord(project, service_id)

    def _start(self, conn: Connection, asked: StartRequest, now: datetime) -> Run:
        stored = current(conn, asked.project, asked.plan_id)
        if asked.etag and asked.etag != stored.etag:
            message = f"failover_plan {asked.plan_id!r} was changed since it was read"
            raise AbortedError(ErrorReason.ETAG_MISMATCH, message, metadata={"etag": stored.etag})
        parent = load(conn, asked.project, asked.parent_run) if asked.parent_run else None
        if nests_too_deep(asked, stored.plan, parent):
            raise refused(RunRefusal.CHILD_TOO_DEEP)
        service = _locked(conn, asked.project, stored.plan.service_id)
        under_way = select(func.count()).where(_R.end_time.is_(None), _R.parent_run == "")
        runs = Load(conn.execute(under_way).scalar_one(), self._maximum)
        gives_way = admit(asked, stored.plan, service, runs, now)
        run_id = self._new_id(now)
        if gives_way is not None:
            drill = load(conn, asked.project, gives_way.run_id, lock=True)
            ended = interrupted(drill, f"projects/{asked.project}/failoverRuns/{run_id}", now)
            save(conn, drill, ended, now)
        run = add(conn, started(asked, pinned(stored), run_id, now), now)
        services.occupy(conn, run)
        return run

    def _changed(
        self,
        project: str,
        run_id: str,
        key: RequestKey,
        timeout_s: float | None,
        change: Callable[[Connection, Run, datetime], Change],
    ) -> Run:
        def made(conn: Connection, now: datetime) -> bytes:
            run = load(conn, project, run_id, lock=True)
            changed = change(conn, run, now)
            save(conn, run, changed, now)
            services.tell(conn, changed, now)
            return b"{}"

        def unit(conn: Connection) -> bytes:
            take_turn(conn)
            now = instant_of(conn, self._clock)
            return once(conn, key, now, lambda: made(conn, now))

        self._writer.run(unit, timeout_s)
        return self.get(project, run_id)


def instant_of(conn: Connection, clock: Callable[[], datetime]) -> datetime:
    """Now, by the one clock that all processes share."""
    if conn.dialect.name != "postgresql":
        return clock()
    instant: datetime = conn.execute(_DATABASE_CLOCK).scalar_one()
    return instant.astimezone(UTC)


_DATABASE_CLOCK: Final[Any] = select(func.clock_timestamp())


def _locked(conn: Connection, project: str, service_id: str) -> ServiceRecord:
    """The service's row, locked after the run that is under way: the order in which everyone locks the two."""
    seen = services.read(conn, project, service_id)
    if seen is None:
        return services.create(conn, project, service_id)
    # Only a start, which has the turn, puts a run there; meanwhile it can only have ended.
    if seen.live is None:
        return seen
    load(conn, project, seen.live.run_id, lock=True)
    return services.read(conn, project, service_id, lock=True) or replace(seen, live=None)
