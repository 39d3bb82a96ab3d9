"""Keeps an eye on every plan: its targets are read when it changes and again every few minutes; findings follow.

What was read is kept for all processes, so that a start, which must not wait for a cloud that is failing, is held
against the latest reading and not against a new one.
"""

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from trimtab_service.domain.errors import NotFoundError, TrimtabError
from trimtab_service.domain.failover import ChildPlan, FailoverPlan, RunKind, RunMode
from trimtab_service.failover.findings import Evaluation
from trimtab_service.failover.linter import Dependencies, Question, evaluate, steps_of
from trimtab_service.failover.ports import CapacityState, Targets
from trimtab_service.failover.schedule import Measured
from trimtab_service.failover.survey import Reading, TargetKind, TargetRef, survey
from trimtab_service.store.failover_evaluations import Evaluated, FailoverEvaluationStore, KeptReading
from trimtab_service.store.failover_plans import FailoverPlanStore, StoredPlan

EVERY: Final = timedelta(minutes=5)
_READ_FOR: Final = timedelta(seconds=10)
_AT_ONCE: Final = 4
LEFT_TO_OTHERS: Final = 8
"""Times as long as who reads plans that nobody waits for was at work, he rests: four of them take half a core."""

_TOGETHER: Final = 32
_LINGER_S: Final = 0.2
"""How many readings one commit keeps at most, and how long the first of them waits for company."""

_LOG: Final = structlog.get_logger("trimtab.failover")


@dataclass(frozen=True, slots=True)
class Sides:
    """Which side would be left, and which made active; empty: any."""

    from_side: str = ""
    to_side: str = ""
    mode: RunMode = RunMode.UNGRACEFUL
    kind: RunKind = RunKind.ACTIVATE


class PlanEvaluator:
    """Evaluates plans. Safe to use from many threads."""

    def __init__(  # noqa: PLR0913 - its collaborators, each a seam for a test
        self,
        plans: FailoverPlanStore,
        kept: FailoverEvaluationStore,
        targets: Targets,
        dependencies: Dependencies,
        measured: Callable[[str, str], Measured],
        *,
        clock: Callable[[], datetime],
        every: timedelta = EVERY,
    ) -> None:
        """`measured`: how long the steps of a plan (project, id) took when it was last carried out or rehearsed."""
        self._plans = plans
        self._kept = kept
        self._targets = targets
        self._dependencies = dependencies
        self._measured = measured
        self._clock = clock
        self._every = every

    def of_stored(self, stored: StoredPlan) -> Evaluation:
        """The plan against the latest reading of its targets, however old; they are read only where none is there."""
        return self._evaluate(stored.plan, self._latest(stored), Sides(), dry_run=False)

    def before_start(self, stored: StoredPlan, sides: Sides) -> Evaluation:
        """`of_stored` for a start between sides, which asks what stands against it and waits for nothing else.

        So how long steps took is read only where a target of the plan is held against it: `expected_rto` goes by what
        the plan says.
        """
        is_timed = stored.plan.rto_target is not None
        return self._evaluate(stored.plan, self._latest(stored), sides, dry_run=False, is_timed=is_timed)

    def of_plan(self, plan: FailoverPlan, sides: Sides, *, dry_run: bool) -> Evaluation:
        """A plan that need not be stored, read now."""
        return self._evaluate(plan, self._look(plan, ""), sides, dry_run=dry_run)

    def refresh(self, stored: StoredPlan) -> KeptReading:
        """Read the targets now, keep what was read, and tell when the findings are others than before."""
        read = self._refreshed(stored)
        self._keep([read])
        return read.reading

    def _refreshed(self, stored: StoredPlan) -> Evaluated:
        plan = stored.plan
        reading = _with_known(self._look(plan, stored.etag), self._kept.read(plan.project, plan.plan_id))
        return Evaluated(plan.project, plan.plan_id, reading, self._evaluate(plan, reading, Sides(), dry_run=False))

    def _keep(self, evaluated: Sequence[Evaluated]) -> None:
        changed = self._kept.keep(evaluated)
        for one in evaluated:
            if (one.project, one.plan_id) in changed:
                _LOG.info(
                    "failover_findings_changed",
                    plan=f"projects/{one.project}/failoverPlans/{one.plan_id}",
                    is_ready=one.evaluation.is_ready,
                    findings=[" ".join(found).strip() for found in one.evaluation.record],
                )

    def known_peak(self, plan: FailoverPlan, name: str) -> int | None:
        """The peak of a capacity target of a plan as it was last read: what a run scales by when nobody answers."""
        kept = self._kept.read(plan.project, plan.plan_id)
        reading = None if kept is None else kept.survey.get(TargetRef(TargetKind.CAPACITY, name))
        standing = None if reading is None else reading.standing
        return standing.peak if isinstance(standing, CapacityState) else None

    def refresh_due(self, stop: threading.Event) -> int:
        """Read what was changed, or read too long ago; how many plans. A few at once, so that one cannot hold the rest.

        Nobody waits for it, so callers come first: its threads leave most of the processor to them, and what was read
        of many plans is one commit. Raises UnavailableError when the database does not answer.
        """
        waiting: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        due = self._kept.due(self._every)
        for one in due:
            waiting.put(one)
        read: queue.SimpleQueue[Evaluated | None] = queue.SimpleQueue()
        given_up = threading.Event()

        def work() -> None:
            while not (stop.is_set() or given_up.is_set()):
                try:
                    project, plan_id = waiting.get_nowait()
                except queue.Empty:
                    break
                begun = time.thread_time()
                try:
                    read.put(self._refreshed(self._plans.get(project, plan_id)))
                except TrimtabError as error:
                    _LOG.warning("failover_plan_not_evaluated", project=project, plan=plan_id, cause=error.message)
                except Exception:  # noqa: BLE001 - one plan must not keep the others unread
                    _LOG.exception("failover_evaluation_broke", project=project, plan=plan_id)
                stop.wait((time.thread_time() - begun) * LEFT_TO_OTHERS)
            read.put(None)

        threads = [
            threading.Thread(target=work, name="trimtab-evaluation", daemon=True)
            for _ in range(min(_AT_ONCE, len(due)))
        ]
        for thread in threads:
            thread.start()
        try:
            for together in _gathered(read, len(threads)):
                self._keep(together)
        finally:
            given_up.set()
            for thread in threads:
                thread.join()
        return len(due)

    def _evaluate(
        self, plan: FailoverPlan, read: KeptReading, sides: Sides, *, dry_run: bool, is_timed: bool = True
    ) -> Evaluation:
        children = self._children(plan)
        question = self._question(plan, read, sides, children, is_timed=is_timed)
        of_children = {name: self._of_child(child, sides, dry_run=dry_run) for name, child in children.items()}
        return evaluate(question, dry_run=dry_run, of_children=of_children)

    def _of_child(self, child: StoredPlan, sides: Sides, *, dry_run: bool) -> Evaluation:
        """By itself: plans that name one another in a circle would be evaluated for ever."""
        kept = None if dry_run else self._kept.read(child.plan.project, child.plan.plan_id)
        read = kept if kept is not None and kept.etag == child.etag else self._look(child.plan, child.etag)
        question = self._question(child.plan, read, sides, self._children(child.plan), is_timed=False)
        return evaluate(question, dry_run=dry_run)

    def _question(
        self, plan: FailoverPlan, read: KeptReading, sides: Sides, children: Mapping[str, StoredPlan], *, is_timed: bool
    ) -> Question:
        return Question(
            plan=plan,
            survey=read.survey,
            now=read.read_time,
            children={name: child.plan for name, child in children.items()},
            dependencies=self._dependencies,
            measured=self._measured(plan.project, plan.plan_id) if is_timed else {},
            mode=sides.mode,
            kind=sides.kind,
            from_side=sides.from_side,
            to_side=sides.to_side,
        )

    def _children(self, plan: FailoverPlan) -> dict[str, StoredPlan]:
        found: dict[str, StoredPlan] = {}
        for step in steps_of(plan):
            if isinstance(step.action, ChildPlan) and step.action.failover_plan not in found:
                name = step.action.failover_plan
                try:
                    found[name] = self._plans.get(plan.project, name.rpartition("/")[2])
                except NotFoundError:
                    continue
        return found

    def _latest(self, stored: StoredPlan) -> KeptReading:
        kept = self._kept.read(stored.plan.project, stored.plan.plan_id)
        return kept if kept is not None and kept.etag == stored.etag else self.refresh(stored)

    def _look(self, plan: FailoverPlan, etag: str) -> KeptReading:
        now = self._clock()
        deadline = now + _READ_FOR
        read = survey(steps_of(plan), self._targets, plan.project, deadline, _READ_FOR.total_seconds())
        return KeptReading(etag, now, read)


def _gathered(read: "queue.SimpleQueue[Evaluated | None]", readers: int) -> Iterator[list[Evaluated]]:
    """What comes within a moment, together, until that many readers have ended: a slow one keeps nothing back."""
    while readers:
        together: list[Evaluated] = []
        give_up = math.inf
        while readers and len(together) < _TOGETHER and (left := give_up - time.monotonic()) > 0:
            try:
                one = read.get(timeout=None if left == math.inf else left)
            except queue.Empty:
                break
            if one is None:
                readers -= 1
            else:
                together.append(one)
                give_up = min(give_up, time.monotonic() + _LINGER_S)
        if together:
            yield together


def _with_known(read: KeptReading, before: KeptReading | None) -> KeptReading:
    """A group that does not answer keeps the capacity that it had when it was last read: its peak counts in a run."""
    if before is None:
        return read

    def known(ref: TargetRef, reading: Reading) -> Reading:
        earlier = before.survey.get(ref)
        if not reading.fault or earlier is None or not isinstance(earlier.standing, CapacityState):
            return reading
        return replace(reading, standing=earlier.standing)

    return replace(read, survey={ref: known(ref, reading) for ref, reading in read.survey.items()})
