"""What makes carrying out durable: a run is begun, journalled and ended in transactions of the group-commit writer.

None of them is held across a call to a cloud. Each carries the lease's token, so a process that was taken over is
stopped at its next word.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select

from trimtab_service.domain.recommendations import Operation, OperationGroup, Outcome, Recommendation
from trimtab_service.store import recommendation_leases as leases
from trimtab_service.store import recommendation_runs as runs
from trimtab_service.store.engines import Database
from trimtab_service.store.idempotency import RequestKey, once
from trimtab_service.store.recommendation_leases import LEASE
from trimtab_service.store.recommendation_runs import JournalledOperation, RunRecord
from trimtab_service.store.recommendation_tables import RECOMMENDATION_RUNS
from trimtab_service.store.recommendations import change_one, read_one
from trimtab_service.store.writer import GroupCommitWriter

_MOST_RESUMED: Final = 64
_RUN: Final = RECOMMENDATION_RUNS.c


@dataclass(frozen=True, slots=True)
class Held:
    """A run and the lease that it is carried out under."""

    record: RunRecord
    resource_key: str
    token: int


@dataclass(frozen=True, slots=True)
class StoredJournal:
    """Implements `recommendations.application.RunJournal`: every word renews the lease and needs it."""

    writer: GroupCommitWriter
    held: Held
    clock: Callable[[], datetime]
    lease: timedelta = LEASE

    def begin(self, operation: Operation, *, is_rollback: bool) -> int:
        """As the port says."""

        def unit(conn: Connection) -> int:
            self._renew(conn)
            record = self.held.record
            # What undoes an undoing is no undoing: a run that rolls back is itself one from end to end.
            undoes = is_rollback != record.is_rollback
            return runs.begin_operation(conn, record, operation, self.clock(), is_rollback=undoes)

        return self.writer.run(unit)

    def end(self, number: int, outcome: Outcome, detail: str) -> None:
        """As the port says."""

        def unit(conn: Connection) -> None:
            self._renew(conn)
            runs.end_operation(conn, self.held.record, number, outcome, detail, self.clock())

        self.writer.run(unit)

    def renew(self) -> None:
        """Keep the lease while an operation takes its time. Raises AbortedError when it was taken over."""
        self.writer.run(self._renew)

    def _renew(self, conn: Connection) -> None:
        held = self.held
        leases.renew(conn, held.record.project, held.resource_key, held.token, self.lease)


class ApplyStore:
    """Runs of all projects. Everything raises UnavailableError when the database does not answer."""

    __slots__ = ("_database", "_writer", "lease")

    def __init__(self, database: Database, writer: GroupCommitWriter, lease: timedelta = LEASE) -> None:
        self._database = database
        self._writer = writer
        self.lease = lease

    def journal(self, held: Held, clock: Callable[[], datetime]) -> StoredJournal:
        """The journal of a run that is held."""
        return StoredJournal(self._writer, held, clock, self.lease)

    def answered(self, key: RequestKey, now: datetime) -> bytes | None:
        """What a run of this request was answered with; None when it has no answer (yet).

        Raises InvalidArgumentError (REQUEST_ID_REUSED) for another body.
        """

        def never() -> bytes:
            raise LookupError(key.request_id)

        try:
            return self._writer.run(lambda conn: once(conn, key, now, never))
        except LookupError:
            return None

    def find(self, key: RequestKey) -> RunRecord | None:
        """The run that the request began. Raises InvalidArgumentError (REQUEST_ID_REUSED) for another body."""
        with self._database.read() as conn:
            return runs.run_of_request(conn, key.project, key.request_id, key.body_hash)

    def begin(  # noqa: PLR0913 - what a run begins with
        self,
        recommendation: Recommendation,
        key: RequestKey,
        groups: tuple[OperationGroup, ...],
        actor: str,
        now: datetime,
        *,
        is_rollback: bool,
    ) -> Held | None:
        """Begin a run, using up the approval: all durable when it returns. None: the resource is being changed.

        Raises AbortedError (ETAG_MISMATCH) when the recommendation changed since it was read.
        """
        own, project = recommendation.recommendation_id, recommendation.project
        resource_key = recommendation.content.exclusive_group or recommendation.content.resource.key

        def unit(conn: Connection) -> Held | None:
            token = leases.acquire(conn, project, resource_key, own, self.lease)
            if token is None:
                return None
            change_one(conn, project, own, recommendation.etag, _spend_approval, now, holder=own)
            detail = "" if recommendation.approval is None else f"approved by {recommendation.approval.approver}"
            record = RunRecord(
                project,
                own,
                0,
                key.request_id,
                key.body_hash,
                is_rollback,
                actor,
                now,
                None,
                Outcome.UNDER_WAY.value,
                detail,
                runs.plan_bytes(groups),
            )
            return Held(runs.begin_run(conn, record), resource_key, token)

        return self._writer.run(unit)

    def resume(self, record: RunRecord) -> tuple[Held, list[JournalledOperation]] | None:
        """Take over a run whose process is gone; None while somebody holds its resource, or when it has ended."""
        with self._database.read() as conn:
            recommendation = read_one(conn, record.project, record.recommendation_id)
        resource_key = recommendation.content.exclusive_group or recommendation.content.resource.key

        def unit(conn: Connection) -> tuple[Held, list[JournalledOperation]] | None:
            ours = (_RUN.project == record.project) & (_RUN.recommendation_id == record.recommendation_id)
            ended = conn.execute(select(_RUN.end_time).where(ours, _RUN.number == record.number)).scalar()
            if ended is not None:
                return None
            token = leases.acquire(conn, record.project, resource_key, record.recommendation_id, self.lease)
            if token is None:
                return None
            return Held(record, resource_key, token), runs.operations_of_run(conn, record)

        return self._writer.run(unit)

    def left_over(self) -> list[RunRecord]:
        """Runs without an end: carried out at this moment, or left by a process that is gone."""
        with self._database.read() as conn:
            return runs.runs_under_way(conn, _MOST_RESUMED)

    def is_ended(self, record: RunRecord) -> bool:
        """Whether a run has ended."""
        ours = (_RUN.project == record.project) & (_RUN.recommendation_id == record.recommendation_id)
        with self._database.read() as conn:
            return conn.execute(select(_RUN.end_time).where(ours, _RUN.number == record.number)).scalar() is not None

    def operations(self, record: RunRecord) -> list[JournalledOperation]:
        """What a run has done so far."""
        with self._database.read() as conn:
            return runs.operations_of_run(conn, record)

    def finish(  # noqa: PLR0913, PLR0917 - how a run ends
        self,
        held: Held,
        outcome: Outcome,
        detail: str,
        revise: Callable[[Recommendation], Recommendation],
        now: datetime,
        answer: Callable[[Recommendation], bytes],
        *,
        also: tuple[str, Callable[[Recommendation], Recommendation]] | None = None,
    ) -> bytes:
        """End a run and move its recommendation, durably together; the answer is kept for the request.

        `also` is another recommendation that is moved by it. Raises AbortedError when the run was taken over.
        """
        record = held.record
        key = RequestKey(record.project, _method(record), record.request_id, record.body_hash)

        def unit(conn: Connection) -> bytes:
            leases.renew(conn, record.project, held.resource_key, held.token, self.lease)
            runs.end_run(conn, record, outcome, detail, now)
            own = record.recommendation_id
            change_one(conn, record.project, own, "", revise, now, holder=own)
            if also is not None:
                change_one(conn, record.project, also[0], "", also[1], now, holder=also[0])
            leases.release(conn, record.project, held.resource_key, held.token)
            return once(conn, key, now, lambda: answer(read_one(conn, record.project, own)))

        return self._writer.run(unit)


def _method(record: RunRecord) -> str:
    return "RollBackRecommendation" if record.is_rollback else "ApplyRecommendation"


def _spend_approval(recommendation: Recommendation) -> Recommendation:
    """An approval is good for one attempt; also marks the recommendation as changed, so that watchers see it begin."""
    return replace(recommendation, approval=None)
