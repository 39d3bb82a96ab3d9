"""Carries recommendations out in the background: calls to clouds take minutes, and outlive the caller who asked.

A run belongs to the process that holds its resource's lease. Its caller waits as long as it likes; who asks again with
the same request id waits for the same run, in whatever process. A run whose process died is taken over once its lease
has ended, by the next one that asks or by the sweep.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from trimtab_service.domain.errors import AbortedError, DeadlineExceededError, TrimtabError
from trimtab_service.domain.reasons import ErrorReason, ObstacleReason
from trimtab_service.domain.recommendations import (
    AppliedOperation,
    OperationGroup,
    Outcome,
    Recommendation,
    State,
    TransitionReason,
    recommendation_name,
)
from trimtab_service.domain.resources import CloudResource
from trimtab_service.recommendations.application import Ending, Look, Run, carry_out, look, way_back
from trimtab_service.recommendations.lifecycle import SERVICE, Actor, Move, Verb, move
from trimtab_service.recommendations.operations import MEMBER_FIELDS
from trimtab_service.recommendations.ports import Actuators, Obstacle
from trimtab_service.recommendations.preconditions import ApprovalRule, obstacles_of
from trimtab_service.recommendations.windows import ChangeWindow
from trimtab_service.rpc import names
from trimtab_service.rpc.recommendation_codec import encode_application
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.recommendation_applying import ApplyStore, Held, StoredJournal
from trimtab_service.store.recommendation_runs import JournalledOperation, RunRecord
from trimtab_service.store.recommendations import RecommendationStore

_LOG: Final = structlog.get_logger("trimtab.recommendations")

_POLL_S: Final = 0.1
_TENTHS: Final = 10
_LOOK_S: Final = 30.0
"""A dry run asks each resource once; a cloud that takes longer has failed."""

RuleOf = Callable[[str, CloudResource], ApprovalRule]
"""What the policies of a project ask for a resource."""


@dataclass(frozen=True, slots=True)
class Conduct:
    """How changes are made in this deployment. `timeout` bounds all calls to clouds of one run."""

    windows: tuple[ChangeWindow, ...] = ()
    timeout: timedelta = timedelta(minutes=20)
    threads: int = 4

    def timeout_of(self, groups: tuple[OperationGroup, ...]) -> timedelta:
        """What a run may take. The instances of a group are replaced a tenth at a time, and each may take as long."""
        fields = {change.field for group in groups for one in group.operations for change in one.changes}
        return _TENTHS * self.timeout if fields & MEMBER_FIELDS else self.timeout


class Runner:
    """Looks, carries out, takes over. Safe to use from many threads; `close` lets running operations end."""

    def __init__(  # noqa: PLR0913 - its collaborators
        self,
        store: RecommendationStore,
        runs: ApplyStore,
        actuators: Actuators,
        rule_of: RuleOf,
        conduct: Conduct,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._runs = runs
        self._actuators = actuators
        self._rule_of = rule_of
        self._conduct = conduct
        self._clock = clock
        self._pool = ThreadPoolExecutor(conduct.threads, thread_name_prefix="trimtab-apply")
        self._closing = threading.Event()

    def rule_of(self, recommendation: Recommendation) -> ApprovalRule:
        """What the policies ask for its resource now."""
        return self._rule_of(recommendation.project, recommendation.content.resource)

    def groups_of(self, recommendation: Recommendation, *, is_rollback: bool) -> tuple[OperationGroup, ...]:
        """What would be done, or what would undo what was done."""
        if is_rollback:
            return way_back(recommendation.applied_operations)
        return recommendation.content.operation_groups

    def look(self, recommendation: Recommendation, actor: str, *, is_rollback: bool) -> Look:
        """The dry run, with every obstacle. Raises UnavailableError (SOURCE_FAILED) when a cloud does not answer."""
        now = self._clock()
        if is_rollback:
            applied = recommendation.state is State.SUCCEEDED and bool(way_back(recommendation.applied_operations))
            if not applied:
                return Look((), (Obstacle(ObstacleReason.NOT_APPLIED),))
            own: tuple[Obstacle, ...] = ()
        else:
            own = obstacles_of(recommendation, actor, self.rule_of(recommendation), self._conduct.windows, now)
        groups = self.groups_of(recommendation, is_rollback=is_rollback)
        seen = look(self._run(recommendation, groups, "look", now + timedelta(seconds=_LOOK_S)))
        return Look(seen.operations, (*own, *seen.obstacles))

    def is_known(self, key: RequestKey) -> bool:
        """Whether this request began a run before: then it waits for that one, whatever the etag is by now."""
        return self._runs.find(key) is not None

    def execute(
        self,
        recommendation: Recommendation,
        key: RequestKey,
        actor: str,
        *,
        is_rollback: bool,
        wait_s: float,
    ) -> bytes:
        """Carry it out and wait for the end; the serialised answer.

        Raises DeadlineExceededError when the caller's time is up first: it goes on, and the same request id waits
        for it again. Raises AbortedError (ETAG_MISMATCH) when the recommendation changed in between.
        """
        give_up = time.monotonic() + wait_s
        answered = self._runs.answered(key, self._clock())
        if answered is not None:
            return answered
        record = self._runs.find(key)
        if record is None:
            seen = self.look(recommendation, actor, is_rollback=is_rollback)
            if seen.obstacles:
                return _answer(recommendation, seen.operations, seen.obstacles, executed=False)
            groups = self.groups_of(recommendation, is_rollback=is_rollback)
            held = self._runs.begin(recommendation, key, groups, actor, self._clock(), is_rollback=is_rollback)
            if held is None:
                busy = (Obstacle(ObstacleReason.BUSY),)
                return _answer(recommendation, seen.operations, busy, executed=False)
            self._pool.submit(self._carry_out, held, [])
            record = held.record
        return self._await(record, key, give_up)

    def resume_left_over(self) -> int:
        """Take over runs whose process is gone; returns how many."""
        taken = 0
        for record in self._runs.left_over():
            taken += self._take_over(record)
        return taken

    def close(self, timeout_s: float = 5.0) -> None:
        """Begin nothing more. What is under way is taken over by another process, or by the next start."""
        self._closing.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        del timeout_s

    def _await(self, record: RunRecord, key: RequestKey, give_up: float) -> bytes:
        while time.monotonic() < give_up:
            if self._runs.is_ended(record):
                answered = self._runs.answered(key, self._clock())
                if answered is not None:
                    return answered
                # The answer is kept for a day only; the run for as long as its recommendation.
                found = self._store.get(record.project, record.recommendation_id)
                done = [entry.applied for entry in self._runs.operations(record)]
                return _answer(found, done, (), executed=True)
            self._take_over(record)
            time.sleep(_POLL_S)
        raise DeadlineExceededError(
            ErrorReason.DEADLINE_EXCEEDED,
            "it is still being carried out, and goes on; ask again with the same request_id",
            metadata={"request_id": record.request_id},
        )

    def _take_over(self, record: RunRecord) -> int:
        if self._closing.is_set():
            return 0
        resumed = self._runs.resume(record)
        if resumed is None:
            return 0
        held, begun = resumed
        _LOG.warning("apply_resumed", recommendation=_name(record), run=record.number, begun=len(begun))
        self._pool.submit(self._carry_out, held, begun)
        return 1

    def _carry_out(self, held: Held, begun: list[JournalledOperation]) -> None:
        """One run, in a thread of its own. Whatever it meets is in the log and in the journal, never raised."""
        record, journal = held.record, self._runs.journal(held, self._clock)
        ended = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(journal, ended), name="trimtab-apply-lease", daemon=True)
        keeper.start()
        try:
            recommendation = self._store.get(record.project, record.recommendation_id)
            deadline = self._clock() + self._conduct.timeout_of(record.groups)
            run = self._run(recommendation, record.groups, f"{record.recommendation_id}-{record.number}", deadline)
            ending = carry_out(run, journal, [_as_begun(record, entry) for entry in begun])
            self._finish(held, ending, recommendation)
            _LOG.info("applied", recommendation=_name(record), outcome=ending.outcome.value, detail=ending.detail)
        except AbortedError:
            _LOG.warning("apply_lost", recommendation=_name(record), run=record.number)
        except TrimtabError as error:
            # The store is gone: the run stays as it is, and is taken over when it is back.
            _LOG.warning("apply_interrupted", recommendation=_name(record), cause=error.message)
        except Exception:  # noqa: BLE001 - the last stand of a background thread
            _LOG.exception("apply_broke", recommendation=_name(record))
        finally:
            ended.set()
            keeper.join()

    def _finish(self, held: Held, ending: Ending, recommendation: Recommendation) -> None:
        record, now = held.record, self._clock()
        is_done = ending.outcome is Outcome.DONE
        step = Move(
            Verb.MARK_SUCCEEDED if is_done and not record.is_rollback else Verb.MARK_FAILED,
            Actor(record.actor, is_operator=True),
            _reason(record, is_done=is_done),
            "; ".join(part for part in (ending.detail, record.detail) if part)[:1_000],
        )

        def revise(now_stands: Recommendation) -> Recommendation:
            if record.is_rollback and not is_done:
                return now_stands  # what it tried to undo still holds
            return move(now_stands, step, now, self._store.lifetime)

        done = [entry.applied for entry in self._runs.operations(record)]

        def answer(stands: Recommendation) -> bytes:
            return _answer(stands, done, (), executed=True)

        undone = recommendation.content.rolls_back
        also = None
        if undone and is_done and not record.is_rollback:
            back = Move(Verb.MARK_FAILED, Actor(SERVICE, is_operator=True), TransitionReason.ROLLED_BACK)
            also = (names.recommendation(undone)[1], partial(_rolled_back, back, now, self._store.lifetime))
        self._runs.finish(held, ending.outcome, ending.detail, revise, now, answer, also=also)

    def _keep(self, journal: StoredJournal, ended: threading.Event) -> None:
        """Renew the lease while a cloud takes its time."""
        while not ended.wait(journal.lease.total_seconds() / 3):
            try:
                journal.renew()
            except TrimtabError as error:
                _LOG.warning("apply_lease_not_renewed", cause=error.message)

    def _run(
        self, recommendation: Recommendation, groups: tuple[OperationGroup, ...], token: str, deadline: datetime
    ) -> Run:
        find = partial(self._actuators.find, recommendation.project)
        return Run(recommendation.content.resource, groups, find, token, deadline, self._clock)


def _as_begun(record: RunRecord, entry: JournalledOperation) -> tuple[int, AppliedOperation]:
    """As the run itself saw it: within a run that rolls back, putting back is what its journal calls no rollback."""
    return entry.number, replace(entry.applied, rollback=entry.applied.rollback != record.is_rollback)


def _rolled_back(step: Move, now: datetime, lifetime: timedelta, recommendation: Recommendation) -> Recommendation:
    if recommendation.state is not State.SUCCEEDED:
        return recommendation
    return move(recommendation, step, now, lifetime)


def _reason(record: RunRecord, *, is_done: bool) -> TransitionReason:
    if record.is_rollback:
        return TransitionReason.ROLLED_BACK
    return TransitionReason.APPLIED if is_done else TransitionReason.CLOUD_FAILED


def _answer(
    recommendation: Recommendation,
    operations: "list[AppliedOperation] | tuple[AppliedOperation, ...]",
    obstacles: tuple[Obstacle, ...],
    *,
    executed: bool,
) -> bytes:
    return encode_application(recommendation, operations, obstacles, executed=executed).SerializeToString()


def _name(record: RunRecord) -> str:
    return recommendation_name(record.project, record.recommendation_id)
