"""Carries out one run that this process holds: begin-commit, effect, done-commit, stage by stage.

The end of one step and the beginning of the next are one commit. Nothing is kept in memory that the journal does not
have: whoever takes the run over goes on from there, and repeats under the same key what was begun and not done.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from trimtab_service.domain.errors import TrimtabError, UnavailableError
from trimtab_service.domain.failover import RunState, Step
from trimtab_service.failover.admission import workflow_of
from trimtab_service.failover.journal import ChildRuns, Held, LeaseLostError, RunJournal, Standing, Transition
from trimtab_service.failover.leases import Lease, LeaseView
from trimtab_service.failover.machine import advance, noted
from trimtab_service.failover.ports import StaleTokenError, Targets
from trimtab_service.failover.reach import DrillReach, ProductionReach, StepFailedError
from trimtab_service.failover.run import Change, Outcome, Run, StepRun, Verdict
from trimtab_service.failover.steps.call import (
    Call,
    Effect,
    HealthySides,
    Judged,
    KnownPeak,
    StoppedError,
    never_judged,
    never_read,
)
from trimtab_service.failover.steps.kinds import kind_of

_LOG: Final = structlog.get_logger("trimtab.failover")

_RETRY_FIRST_S: Final = 0.1
_RETRY_LAST_S: Final = 5.0
_RESTING: Final = frozenset({RunState.PAUSED, RunState.PENDING_APPROVAL})


@dataclass(frozen=True, slots=True)
class Conduct:
    """How runs are carried out here. `pace` is the time between two looks at a target that is not ready yet."""

    lease: timedelta = timedelta(seconds=10)
    heartbeat: timedelta = timedelta(seconds=3)
    poll: timedelta = timedelta(milliseconds=500)
    pace: timedelta = timedelta(milliseconds=500)
    capacity: int = 32


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every execution of a process shares."""

    journal: RunJournal
    targets: Targets
    children: ChildRuns
    healthy_sides: HealthySides
    owner: str
    clock: Callable[[], datetime]
    conduct: Conduct
    known_peak: KnownPeak = never_read
    judged: Judged = never_judged


class Execution:
    """One run in one process. `carry_out` ends when the run is over, rests, or is lost to another process."""

    def __init__(self, around: Surroundings, held: Held, lease: Lease) -> None:
        self._around = around
        self._run = held.run
        self._plan = held.plan
        self._lease = lease
        self._lock = threading.Lock()
        self._came: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        self._in_flight: set[tuple[str, bool]] = set()
        self._threads: list[threading.Thread] = []
        self._steps: Mapping[str, Step] = {step.step_id: step for step in workflow_of(held.plan, held.run.kind).steps}

    @property
    def run(self) -> Run:
        """As this process knows it."""
        return self._run

    def is_quiet(self, timeout_s: float) -> bool:
        """Whether every call to the outside has ended, waited for at most so long: after the hold was lost."""
        give_up = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, give_up - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def carry_out(self) -> Run:
        """Go on until there is nothing more to do here. Raises LeaseLostError when another has the run."""
        self._advance(())
        while not self._run.state.is_over:
            todo = [step for step in self._run.begun if (step.step_id, step.is_undoing) not in self._in_flight]
            if not todo and not self._in_flight:
                if self._rests():
                    break
                self._advance(())
            elif len(todo) == 1 and not self._in_flight:
                self._advance((self._done(todo[0]),))
            else:
                self._advance(self._gathered(todo))
        return self._run

    def _rests(self) -> bool:
        """Give the run back; False when somebody changed it meanwhile."""
        if self._run.state in _RESTING and self._around.journal.release(self._run):
            return True
        self._lease.wait(0.05)
        return False

    def _gathered(self, todo: list[StepRun]) -> tuple[Outcome, ...]:
        """Begin what is new, each in a thread of its own, and wait for whatever ends first."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        for step in todo:
            self._in_flight.add((step.step_id, step.is_undoing))
            name = f"trimtab-step-{step.step_id}"
            self._threads.append(threading.Thread(target=self._deliver, args=(step,), name=name, daemon=True))
            self._threads[-1].start()
        came = [self._came.get()]
        while not self._came.empty():
            came.append(self._came.get())
        outcomes: list[Outcome] = []
        for one in came:
            if isinstance(one, BaseException):
                raise one
            self._in_flight.discard((one.step_id, one.is_undo))
            outcomes.append(one)
        return tuple(outcomes)

    def _deliver(self, step: StepRun) -> None:
        try:
            self._came.put(self._done(step))
        except BaseException as error:  # noqa: BLE001 - raised again in the run's own thread
            self._came.put(error)

    def _done(self, step: StepRun) -> Outcome:
        """One step, or its undoing, tried until it is done, refused or out of time. Raises LeaseLostError."""
        call = self._call(step)
        pause_s = _RETRY_FIRST_S
        cause = ""
        while True:
            try:
                call.hold.check()
                return self._tried(call)
            except StoppedError as error:
                return Outcome(step.step_id, Verdict.STOPPED, f"given up: {error}", step.is_undoing)
            except UnavailableError as error:
                # The try that time cut short knows less than the one before it.
                if call.is_late():
                    return _failed(step, cause or error.message)
                cause = error.message
            self._lease.wait(pause_s)
            pause_s = min(2 * pause_s, _RETRY_LAST_S)

    def _tried(self, call: Call) -> Outcome:
        """Once. Raises UnavailableError when it is worth trying again, StoppedError, LeaseLostError."""
        try:
            return _outcome(call.step, self._effect(call))
        except (UnavailableError, StoppedError, LeaseLostError):
            raise
        except StaleTokenError:
            # If another has the run, this outcome is refused; if not, somebody must look at the target's fence.
            why = "the target has seen a newer fencing token"
        except (StepFailedError, TrimtabError) as error:
            why = str(error)
        except Exception:  # noqa: BLE001 - a step that breaks pauses its run, not the process
            _LOG.exception("failover_step_broke", run=self._run.name, step=call.step.step_id)
            why = "a fault of trimtab; the log has it"
        return _failed(call.step, why)

    def _effect(self, call: Call) -> Effect:
        kind = kind_of(self._steps[call.step.step_id].action)
        targets, project = self._around.targets, self._run.project
        if self._run.is_drill:
            rehearsal = DrillReach(targets, project)
            return kind.undo_rehearsal(call, rehearsal) if call.step.is_undoing else kind.rehearse(call, rehearsal)
        reach = ProductionReach(targets, project)
        return kind.undo(call, reach) if call.step.is_undoing else kind.run(call, reach)

    def _call(self, step: StepRun) -> Call:
        timeout = self._steps[step.step_id].timeout
        return Call(
            run=self._run,
            plan=self._plan,
            step=step,
            # The attempt has just begun. By this host's clock, for it is what deadlines are compared with here; the
            # database's, which stamps attempts, may differ from it.
            step_deadline=self._around.clock() + timeout,
            pace_s=self._around.conduct.pace.total_seconds(),
            clock=self._around.clock,
            hold=LeaseView(self._lease, is_undoing=step.is_undoing, graceful_only=step.graceful_only),
            note=partial(self._note, step.step_id),
            children=self._around.children,
            healthy_sides=self._around.healthy_sides,
            known_peak=self._around.known_peak,
            judged=self._around.judged,
        )

    def _note(self, step_id: str, memo: dict[str, object]) -> Mapping[str, object]:
        self._change(lambda run, _: noted(run, step_id, memo))
        kept = self._run.step(step_id)
        return memo if kept is None else kept.memo

    def _advance(self, outcomes: tuple[Outcome, ...]) -> None:
        self._change(lambda run, now: advance(run, outcomes, now))
        self._lease.standing = Standing(self._run.state, self._run.mode)

    def _change(self, transition: Transition) -> None:
        """Apply a rule; while the database does not answer, again under the same token, as long as the lease lasts."""
        around = self._around
        is_written = False

        def watched(run: Run, now: datetime) -> Change:
            nonlocal is_written
            change = transition(run, now)
            is_written = bool(change)
            return change

        with self._lock:
            while True:
                sent_at = time.monotonic()
                try:
                    self._run = around.journal.change(self._run, around.owner, around.conduct.lease, watched)
                except UnavailableError as error:
                    if not self._lease.is_held:
                        raise LeaseLostError from error
                    self._lease.wait(_RETRY_FIRST_S)
                else:
                    # What changes nothing writes nothing, so it renews no lease either.
                    if is_written:
                        self._lease.extend(sent_at)
                    return


def _outcome(step: StepRun, effect: Effect) -> Outcome:
    return Outcome(
        step.step_id,
        Verdict.DONE,
        effect.detail,
        step.is_undoing,
        effect.is_exception,
        effect.switched,
        effect.watermark_age,
        effect.data,
    )


def _failed(step: StepRun, why: str) -> Outcome:
    return Outcome(step.step_id, Verdict.FAILED, why, step.is_undoing)
