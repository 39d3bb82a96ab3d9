"""Starts exercises when they are due: in their windows, and never while anything real is under way."""

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

import structlog

from trimtab_service.domain.errors import FailedPreconditionError, NotFoundError
from trimtab_service.domain.failover import FailoverPlan, RunKind, RunMode, RunState
from trimtab_service.failover.admission import StartRequest
from trimtab_service.failover.run import Command, Steering, Trigger
from trimtab_service.rpc.failover_evaluation import LEFT_TO_OTHERS, PlanEvaluator, Sides
from trimtab_service.store.failover_plans import FailoverPlanStore, StoredPlan
from trimtab_service.store.failover_runs import FailoverRunStore
from trimtab_service.store.idempotency import RequestKey

SCHEDULE: Final = "schedule"
"""Who started an exercise that no person asked for."""

TAKEN_UP: Final = timedelta(hours=1)
"""A paused exercise that the schedule started waits so long for somebody."""

_REASON: Final = 1_000
_LOG: Final = structlog.get_logger("trimtab.failover")


class FailoverDrills:
    """The exercises of all plans that ask for some."""

    def __init__(  # noqa: PLR0913 - its collaborators, each a seam for a test
        self,
        plans: FailoverPlanStore,
        runs: FailoverRunStore,
        evaluator: PlanEvaluator,
        active_side: Callable[[FailoverPlan], str],
        *,
        clock: Callable[[], datetime],
        wake: Callable[[], None],
    ) -> None:
        """`active_side` tells where traffic points, empty where that is not known; `wake` that a run was started."""
        self._plans = plans
        self._runs = runs
        self._evaluator = evaluator
        self._active_side = active_side
        self._clock = clock
        self._wake = wake
        self._asking_for_none: dict[tuple[str, str], str] = {}

    def start_due(self, stop: threading.Event) -> int:
        """Start what is due and allowed now; how many. What is refused is asked again in the next round.

        Raises UnavailableError when the database does not answer.
        """
        started = 0
        for stored in self._asking(stop):
            plan, every = stored.plan, stored.plan.drills.every
            if every is None:
                continue
            self._end_forgotten(plan)
            # The first one so long after the plan was made: nobody is surprised.
            last = self._runs.last_begun(plan.project, plan.plan_id, RunKind.DRILL) or stored.create_time
            if self._clock() >= last + every:
                started += self._start(stored, last)
        return started

    def _asking(self, stop: threading.Event) -> Iterator[StoredPlan]:
        """Plans that ask for exercises. Most ask for none, and are read again only when they have changed."""
        etags = self._plans.etags()
        self._asking_for_none = {key: etag for key, etag in self._asking_for_none.items() if etags.get(key) == etag}
        for key in (key for key in etags if key not in self._asking_for_none):
            if stop.is_set():
                return
            begun = time.thread_time()
            try:
                stored = self._plans.get(*key)
            except NotFoundError:  # deleted meanwhile
                continue
            if stored.plan.drills.every is None:
                self._asking_for_none[key] = stored.etag
            else:
                yield stored
            stop.wait((time.thread_time() - begun) * LEFT_TO_OTHERS)

    def _end_forgotten(self, plan: FailoverPlan) -> None:
        """An exercise of the schedule that has stopped and that nobody takes up gives back what it took."""
        live = self._runs.service(plan.project, plan.service_id).live
        if live is None or live.trigger is not Trigger.DRILL:
            return
        run = self._runs.get(plan.project, live.run_id)
        if run.started_by != SCHEDULE or run.state is not RunState.PAUSED or self._clock() < run.update_time + TAKEN_UP:
            return
        said = Steering(Command.ABORT, SCHEDULE, reason=f"nobody took it up: {run.reason}"[:_REASON])
        with contextlib.suppress(FailedPreconditionError):  # somebody has, just now
            self._runs.steer(run.project, run.run_id, said, RequestKey(run.project, SCHEDULE, "", b""))
            self._wake()

    def _start(self, stored: StoredPlan, last: datetime) -> bool:
        plan = stored.plan
        sides = [side.side_id for side in plan.sides]
        from_side = self._active_side(plan) or sides[0]
        to_side = next(side for side in sides if side != from_side)
        sides_of_run = Sides(from_side, to_side, RunMode.GRACEFUL, RunKind.DRILL)
        evaluation = self._evaluator.before_start(stored, sides_of_run)
        asked = StartRequest(
            project=plan.project,
            plan_id=plan.plan_id,
            from_side=from_side,
            to_side=to_side,
            started_by=SCHEDULE,
            kind=RunKind.DRILL,
            mode=RunMode.GRACEFUL,
            trigger=Trigger.DRILL,
            errors=evaluation.errors,
            findings=evaluation.record,
        )
        # One id for one turn of the schedule: two processes that think it is due start one exercise.
        own = uuid.uuid5(uuid.NAMESPACE_URL, f"{plan.name}/{stored.etag}/{last.isoformat()}/{SCHEDULE}")
        try:
            run = self._runs.start(asked, RequestKey(plan.project, SCHEDULE, str(own), own.bytes))
        except FailedPreconditionError as refusal:
            _LOG.debug("failover_drill_not_now", plan=plan.name, refusal=refusal.metadata.get("refusal"))
            return False
        _LOG.info("failover_drill_started", run=run.name)
        self._wake()
        return True
