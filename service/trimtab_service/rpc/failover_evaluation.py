"""Keeps an eye on every plan: its targets are read when it changes and again every few minutes; findings follow.

What was read is kept by plan version, so that a start, which must not wait for a cloud that is failing, is held against
the latest reading and not against a new one.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trimtab_service.domain.errors import NotFoundError, TrimtabError
from trimtab_service.domain.failover import ChildPlan, FailoverPlan, RunKind, RunMode
from trimtab_service.failover.findings import Evaluation
from trimtab_service.failover.linter import Dependencies, Question, evaluate, steps_of
from trimtab_service.failover.ports import Targets
from trimtab_service.failover.survey import Survey, survey
from trimtab_service.store.failover_plans import FailoverPlanStore, StoredPlan

EVERY: Final = timedelta(minutes=5)
_READ_FOR: Final = timedelta(seconds=10)
_MOST_KEPT: Final = 4_096


@dataclass(frozen=True, slots=True)
class Sides:
    """Which side would be left, and which made active; empty: any."""

    from_side: str = ""
    to_side: str = ""
    mode: RunMode = RunMode.UNGRACEFUL
    kind: RunKind = RunKind.ACTIVATE


@dataclass(frozen=True, slots=True)
class _Read:
    etag: str
    time: datetime
    survey: Survey


class PlanEvaluator:
    """Evaluates plans. Safe to use from many threads."""

    def __init__(
        self,
        plans: FailoverPlanStore,
        targets: Targets,
        dependencies: Dependencies,
        *,
        clock: Callable[[], datetime],
        every: timedelta = EVERY,
    ) -> None:
        self._plans = plans
        self._targets = targets
        self._dependencies = dependencies
        self._clock = clock
        self._every = every
        self._read: dict[tuple[str, str], _Read] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_reading, name="failover-evaluation", daemon=True)

    def start(self) -> None:
        """Begin to read every plan again and again."""
        self._thread.start()

    def close(self) -> None:
        """Stop; a reading that is under way is not waited for beyond its own deadline."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def of_stored(self, stored: StoredPlan, sides: Sides | None = None, *, fresh: bool = False) -> Evaluation:
        """The plan against the latest reading of its targets, or a `fresh` one."""
        read = self._latest(stored, fresh=fresh)
        return self._evaluate(stored.plan, read, sides or Sides(), dry_run=False)

    def of_plan(self, plan: FailoverPlan, sides: Sides, *, dry_run: bool) -> Evaluation:
        """A plan that need not be stored, read now."""
        return self._evaluate(plan, self._look(plan, ""), sides, dry_run=dry_run)

    def _evaluate(self, plan: FailoverPlan, read: _Read, sides: Sides, *, dry_run: bool) -> Evaluation:
        question = Question(
            plan=plan,
            survey=read.survey,
            now=read.time,
            children=self._children(plan),
            dependencies=self._dependencies,
            mode=sides.mode,
            kind=sides.kind,
            from_side=sides.from_side,
            to_side=sides.to_side,
        )
        return evaluate(question, dry_run=dry_run)

    def _children(self, plan: FailoverPlan) -> dict[str, FailoverPlan]:
        found: dict[str, FailoverPlan] = {}
        for step in steps_of(plan):
            if isinstance(step.action, ChildPlan) and step.action.failover_plan not in found:
                name = step.action.failover_plan
                try:
                    found[name] = self._plans.get(plan.project, name.rpartition("/")[2]).plan
                except NotFoundError:
                    continue
        return found

    def _latest(self, stored: StoredPlan, *, fresh: bool) -> _Read:
        key = (stored.plan.project, stored.plan.plan_id)
        kept = self._read.get(key)
        if not fresh and kept is not None and kept.etag == stored.etag and self._clock() - kept.time < self._every * 2:
            return kept
        read = self._look(stored.plan, stored.etag)
        if len(self._read) >= _MOST_KEPT:
            self._read.clear()
        self._read[key] = read
        return read

    def _look(self, plan: FailoverPlan, etag: str) -> _Read:
        now = self._clock()
        return _Read(etag, now, survey(steps_of(plan), self._targets, plan.project, now + _READ_FOR))

    def _keep_reading(self) -> None:
        while not self._stop.wait(self._every.total_seconds()):
            try:
                stored = self._plans.all()
            except TrimtabError:
                continue  # the database does not answer; the next round asks again
            for one in stored:
                if self._stop.is_set():
                    return
                self._latest(one, fresh=True)
