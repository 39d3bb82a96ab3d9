"""Fleet analyses as they are kept: a job with a lease, its results in order, and what it has read.

Whoever works on an analysis holds its lease: an owner, a token that grows with every change of hands, an end by the
database's clock. Everything that is written for an analysis carries the token and is refused once another holds the
lease, so a worker that was paused and wakes up changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, and_, delete, func, insert, select, tuple_, update

from trimtab_service.domain.errors import AbortedError, AlreadyExistsError, FailedPreconditionError, NotFoundError
from trimtab_service.domain.filters import FieldKind
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.store.engines import Database
from trimtab_service.store.filters import Filterable
from trimtab_service.store.idempotency import RequestKey, once
from trimtab_service.store.pages import Listing, ListRequest, Page, read_page
from trimtab_service.store.tables import FLEET_ANALYSES, FLEET_RESULTS
from trimtab_service.store.writer import GroupCommitWriter

PENDING: Final = "pending"
RUNNING: Final = "running"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
_OPEN: Final = (PENDING, RUNNING)

_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


class FleetAnalysisRecord(NamedTuple):
    """An analysis as stored. `request` and `progress` are the caller's bytes; `version` counts its changes."""

    project: str
    analysis_id: str
    create_time: datetime
    update_time: datetime
    end_time: datetime | None
    state: str
    version: int
    request: bytes
    scope_hash: str
    actor: str
    resources: int
    resources_done: int
    progress: bytes
    is_cancelling: bool
    lease_owner: str
    lease_token: int
    lease_until: datetime

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state not in _OPEN


class FleetResult(NamedTuple):
    """What was found for one resource; `sequence` 0 until it is stored."""

    resource_key: str
    finding: str
    advice: bytes
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class NewAnalysis:
    """What is asked for. `scope_hash` is equal for requests that would read and advise on the same."""

    project: str
    analysis_id: str
    request: bytes
    scope_hash: str
    actor: str


_COLUMNS: Final = FleetAnalysisRecord._fields
_SELECTED: Final = select(*(FLEET_ANALYSES.c[name] for name in _COLUMNS))
_FIELDS: Final = {
    "state": Filterable(FieldKind.TEXT, FLEET_ANALYSES.c.state),
    "create_time": Filterable(FieldKind.TIMESTAMP, FLEET_ANALYSES.c.create_time),
}


class FleetStore:
    """The analyses of all projects. Every method raises UnavailableError when the database does not answer."""

    __slots__ = ("_clock", "_database", "_writer")

    def __init__(self, database: Database, writer: GroupCommitWriter, clock: Callable[[], datetime]) -> None:
        """`clock` times leases on SQLite, where all processes share a machine; PostgreSQL has its own."""
        self._database = database
        self._writer = writer
        self._clock = clock

    def create(
        self, new: NewAnalysis, now: datetime, key: RequestKey, timeout_s: float | None = None
    ) -> FleetAnalysisRecord:
        """Ask for an analysis; the same request again returns the first one.

        Raises AlreadyExistsError while one of the same scope is under way in the project: it would only read twice.
        """

        def unit(conn: Connection) -> str:
            return once(conn, key, now, lambda: _create(conn, new, now).encode()).decode()

        return self.get(new.project, self._writer.run(unit, timeout_s))

    def get(self, project: str, analysis_id: str) -> FleetAnalysisRecord:
        """One. Raises NotFoundError."""
        with self._database.read() as conn:
            return _get(conn, project, analysis_id)

    def list(self, project: str, request: ListRequest) -> Page[FleetAnalysisRecord]:
        """Those of a project, newest first. Raises InvalidArgumentError for a bad filter or token."""
        listing = Listing(
            query=_SELECTED.where(FLEET_ANALYSES.c.project == project),
            time=FLEET_ANALYSES.c.create_time,
            id=FLEET_ANALYSES.c.analysis_id,
            fields=_FIELDS,
            read=_read,
        )
        with self._database.read() as conn:
            return read_page(conn, listing, request)

    def cancel(
        self, project: str, analysis_id: str, now: datetime, key: RequestKey, timeout_s: float | None = None
    ) -> FleetAnalysisRecord:
        """Ask that it stops: at once where nobody works on it, else when its worker hears of it.

        Raises NotFoundError, and FailedPreconditionError (STATE_CONFLICT) when it is over already.
        """

        def unit(conn: Connection) -> bytes:
            return once(conn, key, now, lambda: self._cancel(conn, project, analysis_id, now))

        self._writer.run(unit, timeout_s)
        return self.get(project, analysis_id)

    def claim(self, owner: str, now: datetime, lease: timedelta) -> FleetAnalysisRecord | None:
        """Take the oldest analysis that nobody works on; None when there is none."""
        with self._database.read() as conn:
            # Mostly there is none, and nobody should have to wait for a lock to be told so.
            if conn.execute(_waiting(self._instant(conn))).first() is None:
                return None
        with self._database.write() as conn:
            instant = self._instant(conn)
            row = conn.execute(_waiting(instant).with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            found = _read(row)
            claimed = found._replace(
                state=RUNNING,
                version=found.version + 1,
                update_time=now,
                lease_owner=owner,
                lease_token=found.lease_token + 1,
                lease_until=instant + lease,
            )
            _write(conn, claimed)
            return claimed

    def renew(self, held: FleetAnalysisRecord, lease: timedelta) -> FleetAnalysisRecord:
        """Hold on. The answer says whether it is to be stopped. Raises AbortedError when another holds it."""
        with self._database.write() as conn:
            current = _held(conn, held)
            renewed = current._replace(lease_until=self._instant(conn) + lease)
            _write(conn, renewed)
            return renewed

    def record(
        self,
        held: FleetAnalysisRecord,
        results: Callable[[Connection], Sequence[FleetResult]],
        progress: bytes,
        resources: int,
        now: datetime,
    ) -> FleetAnalysisRecord:
        """Add results and progress in one transaction. A resource that has a result keeps it.

        `results` is called in the transaction and may write what belongs to them. Raises AbortedError when another
        holds the lease: then nothing was written.
        """
        with self._database.write() as conn:
            current = _held(conn, held)
            done = current.resources_done + _add(conn, held, results(conn), current.resources_done)
            changed = current._replace(
                resources=resources,
                resources_done=done,
                progress=progress,
                version=current.version + 1,
                update_time=now,
            )
            _write(conn, changed)
            return changed

    def finish(self, held: FleetAnalysisRecord, state: str, progress: bytes, now: datetime) -> FleetAnalysisRecord:
        """End it and give the lease back. Raises AbortedError when another holds it."""
        with self._database.write() as conn:
            over = _held(conn, held)._replace(state=state, progress=progress, end_time=now, lease_until=_NEVER)
            over = over._replace(version=over.version + 1, update_time=now)
            _write(conn, over)
            return over

    def release(self, held: FleetAnalysisRecord) -> None:
        """Give the lease back unfinished: another goes on at once. Does nothing when another holds it already."""
        with self._database.write() as conn:
            ours = and_(_is(held.project, held.analysis_id), FLEET_ANALYSES.c.lease_token == held.lease_token)
            conn.execute(update(FLEET_ANALYSES).where(ours).values(lease_until=_NEVER))

    def results(self, project: str, analysis_id: str, after: int, limit: int) -> tuple[FleetResult, ...]:
        """Results in order, from the one after `after`."""
        query = (
            select(
                FLEET_RESULTS.c.resource_key, FLEET_RESULTS.c.finding, FLEET_RESULTS.c.advice, FLEET_RESULTS.c.sequence
            )
            .where(FLEET_RESULTS.c.project == project, FLEET_RESULTS.c.analysis_id == analysis_id)
            .where(FLEET_RESULTS.c.sequence > after)
            .order_by(FLEET_RESULTS.c.sequence)
            .limit(limit)
        )
        with self._database.read() as conn:
            return tuple(FleetResult(*row) for row in conn.execute(query))

    def done(self, held: FleetAnalysisRecord) -> frozenset[str]:
        """Keys of the resources that have a result."""
        with self._database.read() as conn:
            return frozenset(conn.execute(_keys_of(held)).scalars())

    def _cancel(self, conn: Connection, project: str, analysis_id: str, now: datetime) -> bytes:
        found = _get(conn, project, analysis_id, lock=True)
        if found.is_over:
            message = f"the analysis is {found.state} already"
            raise FailedPreconditionError(ErrorReason.STATE_CONFLICT, message, metadata={"state": found.state})
        stopped = found._replace(is_cancelling=True, version=found.version + 1, update_time=now)
        if found.lease_until <= self._instant(conn):
            stopped = stopped._replace(state=CANCELLED, end_time=now, lease_token=found.lease_token + 1)
        _write(conn, stopped)
        return analysis_id.encode()

    def _instant(self, conn: Connection) -> datetime:
        if conn.dialect.name != "postgresql":
            return self._clock()
        instant: datetime = conn.execute(select(func.clock_timestamp())).scalar_one()
        return instant.astimezone(UTC)


def prune(conn: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` rows of analyses that ended before `before`: results first, then the analyses."""
    over = and_(FLEET_ANALYSES.c.end_time < before)
    ended = select(FLEET_ANALYSES.c.project, FLEET_ANALYSES.c.analysis_id).where(over)
    key = (FLEET_RESULTS.c.project, FLEET_RESULTS.c.analysis_id, FLEET_RESULTS.c.sequence)
    old = select(*key).where(tuple_(FLEET_RESULTS.c.project, FLEET_RESULTS.c.analysis_id).in_(ended)).limit(limit)
    pruned = conn.execute(delete(FLEET_RESULTS).where(tuple_(*key).in_(old))).rowcount
    if pruned < limit:
        own = (FLEET_ANALYSES.c.project, FLEET_ANALYSES.c.analysis_id)
        last = select(*own).where(over).limit(limit - pruned)
        pruned += conn.execute(delete(FLEET_ANALYSES).where(tuple_(*own).in_(last))).rowcount
    return pruned


def _create(conn: Connection, new: NewAnalysis, now: datetime) -> str:
    same = select(FLEET_ANALYSES.c.analysis_id).where(
        FLEET_ANALYSES.c.project == new.project,
        FLEET_ANALYSES.c.scope_hash == new.scope_hash,
        FLEET_ANALYSES.c.state.in_(_OPEN),
    )
    running = conn.execute(same).scalar()
    if running is not None:
        name = f"projects/{new.project}/fleetAnalyses/{running}"
        message = f"{name} of the same sources and preferences is under way"
        raise AlreadyExistsError(ErrorReason.ALREADY_EXISTS, message, metadata={"fleet_analysis": name})
    made = FleetAnalysisRecord(
        new.project,
        new.analysis_id,
        create_time=now,
        update_time=now,
        end_time=None,
        state=PENDING,
        version=1,
        request=new.request,
        scope_hash=new.scope_hash,
        actor=new.actor,
        resources=0,
        resources_done=0,
        progress=b"{}",
        is_cancelling=False,
        lease_owner="",
        lease_token=0,
        lease_until=_NEVER,
    )
    conn.execute(insert(FLEET_ANALYSES), made._asdict())
    return new.analysis_id


def _get(conn: Connection, project: str, analysis_id: str, *, lock: bool = False) -> FleetAnalysisRecord:
    wanted = _SELECTED.where(_is(project, analysis_id))
    row = conn.execute(wanted.with_for_update() if lock else wanted).first()
    if row is None:
        message = f"fleet analysis {analysis_id!r} does not exist"
        raise NotFoundError(ErrorReason.NOT_FOUND, message, metadata={"fleet_analysis": analysis_id})
    return _read(row)


def _held(conn: Connection, held: FleetAnalysisRecord) -> FleetAnalysisRecord:
    """The analysis as it is, locked, if `held` is still the one that works on it."""
    current = _get(conn, held.project, held.analysis_id, lock=True)
    if current.lease_token != held.lease_token or current.is_over:
        raise AbortedError(ErrorReason.STATE_CONFLICT, "another process works on the analysis now")
    return current


def _add(conn: Connection, held: FleetAnalysisRecord, results: Sequence[FleetResult], done: int) -> int:
    """Insert those that are new, numbered on from `done`; says how many."""
    keys = [result.resource_key for result in results]
    if not keys:
        return 0
    known = set(conn.execute(_keys_of(held).where(FLEET_RESULTS.c.resource_key.in_(keys))).scalars())
    rows = [
        {
            "project": held.project,
            "analysis_id": held.analysis_id,
            "sequence": done + place,
            "resource_key": result.resource_key,
            "finding": result.finding,
            "advice": result.advice,
        }
        for place, result in enumerate((one for one in results if one.resource_key not in known), start=1)
    ]
    if rows:
        conn.execute(insert(FLEET_RESULTS), rows)
    return len(rows)


def _write(conn: Connection, record: FleetAnalysisRecord) -> None:
    conn.execute(update(FLEET_ANALYSES).where(_is(record.project, record.analysis_id)).values(**record._asdict()))


def _waiting(instant: datetime) -> Any:  # noqa: ANN401 - a Select
    return (
        _SELECTED.where(FLEET_ANALYSES.c.state.in_(_OPEN), FLEET_ANALYSES.c.lease_until <= instant)
        .order_by(FLEET_ANALYSES.c.create_time)
        .limit(1)
    )


def _keys_of(held: FleetAnalysisRecord) -> Any:  # noqa: ANN401 - a Select
    return select(FLEET_RESULTS.c.resource_key).where(
        FLEET_RESULTS.c.project == held.project, FLEET_RESULTS.c.analysis_id == held.analysis_id
    )


def _is(project: str, analysis_id: str) -> Any:  # noqa: ANN401 - a ColumnElement
    return and_(FLEET_ANALYSES.c.project == project, FLEET_ANALYSES.c.analysis_id == analysis_id)


def _read(row: Any) -> FleetAnalysisRecord:  # noqa: ANN401 - a Row of `_SELECTED`
    return FleetAnalysisRecord(*row)
