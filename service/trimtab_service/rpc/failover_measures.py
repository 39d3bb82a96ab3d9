"""What the runs of a plan measured: how long its steps took, and how an exercise compares with the one before."""

from datetime import timedelta
from typing import Final

import orjson

from trimtab_service.domain.failover import RunKind
from trimtab_service.failover.comparison import Comparison, compared
from trimtab_service.failover.evidence import step_times
from trimtab_service.failover.run import Run
from trimtab_service.failover.schedule import Measured
from trimtab_service.store.failover_runs import FailoverRunStore

_MEASURED: Final = (RunKind.DRILL, RunKind.ACTIVATE)
_ONLY_LOOKED_AT: Final = frozenset({"switch_traffic", "promote_data_store", "lower_ttl", "child_plan"})
"""An exercise does these only in part: their times say nothing about a run that is meant."""

_MOST_EVENTS: Final = 5_000
_MOST_KEPT: Final = 256


class FailoverMeasures:
    """Reads the chains of runs that ended well. Raises UnavailableError when the database does not answer."""

    def __init__(self, runs: FailoverRunStore) -> None:
        self._runs = runs
        self._known: dict[str, Measured] = {}

    def of_plan(self, project: str, plan_id: str) -> Measured:
        """How long each step took in the last drill or activation that ended well; empty: there is none."""
        last = self._runs.last_served(project, plan_id, _MEASURED)
        if last is None:
            return {}
        rehearsed = {step.step_id for step in last.steps if last.is_drill and step.kind in _ONLY_LOOKED_AT}
        return {step_id: took for step_id, took in self.of_run(last).items() if step_id not in rehearsed}

    def of_run(self, run: Run) -> Measured:
        """By its chain. A run that is over never changes, so the last few are remembered."""
        kept = self._known.get(run.name)
        if kept is not None:
            return kept
        events = [orjson.loads(link.body) for link in self._runs.events(run.project, run.run_id, 0, _MOST_EVENTS)]
        took = {
            one.step_id: timedelta(microseconds=one.done_us - one.begin_us)
            for one in step_times(events)
            if one.done_us is not None
        }
        if run.state.is_over:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            self._known[run.name] = took
        return took

    def with_last_drill(self, run: Run) -> Comparison | None:
        """An exercise against the last one before it of the same plan that ended well; None where there is none."""
        if not run.is_drill or not run.state.is_over:
            return None
        last = self._runs.last_served(run.project, run.plan_id, (RunKind.DRILL,), before=run)
        return None if last is None else compared(run, self.of_run(run), last, self.of_run(last))
