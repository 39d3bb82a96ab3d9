"""Takes runs and carries them out: any process may go on with any run whose lease has ended."""

import contextlib
import threading
import time
from typing import Final

import structlog

from trimtab_service.domain.errors import TrimtabError
from trimtab_service.failover.execution import Execution, Surroundings
from trimtab_service.failover.journal import Held, LeaseLostError
from trimtab_service.failover.leases import LeaseKeeper
from trimtab_service.failover.run import Run

_LOG: Final = structlog.get_logger("trimtab.failover")

_CLOSING_S: Final = 5.0
_LOOK_S: Final = 0.02
_AT_ONCE: Final = 8
"""Runs that are taken in one commit: many that wait are begun soon, and other processes get theirs."""


class Runner:
    """One a process. `start` it, `wake` it when there may be something to do, `close` it.

    Above `conduct.capacity` runs it takes only children of other runs, which somebody waits for.
    """

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._keeper = LeaseKeeper(around.journal, around.conduct.lease, around.conduct.heartbeat)
        self._woken = threading.Event()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._busy = 0
        self._thread = threading.Thread(target=self._loop, name="trimtab-failover", daemon=True)

    def start(self) -> None:
        """Begin to take runs."""
        self._keeper.start()
        self._thread.start()

    def wake(self) -> None:
        """Look now: a run was started, steered or decided on. Cheap, and never needed for correctness."""
        self._woken.set()

    def close(self, timeout_s: float = _CLOSING_S) -> None:
        """Take nothing more and give every run back, so that another process goes on with it at once.

        A step that is in a call keeps its run until the call ends; one that outlasts `timeout_s` keeps it until its
        lease is over.
        """
        give_up = time.monotonic() + timeout_s
        self._stop.set()
        self._woken.set()
        # First the taking ends, so that no run is taken that nobody lets go of.
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._keeper.close()
        while self._busy and time.monotonic() < give_up:
            time.sleep(_LOOK_S)

    @property
    def busy(self) -> int:
        """Runs in hand."""
        return self._busy

    def take(self) -> bool:
        """Claim what there is room for, and carry each out in a thread of its own. Raises UnavailableError."""
        around = self._around
        sent_at = time.monotonic()
        room = around.conduct.capacity - self._busy
        most = min(max(1, room), _AT_ONCE)
        taken = around.journal.claim(around.owner, around.conduct.lease, most, children_only=room <= 0)
        with self._lock:
            self._busy += len(taken)
        for held in taken:
            threading.Thread(
                target=self._carry_out, args=(held, sent_at), name=f"trimtab-run-{held.run.run_id}", daemon=True
            ).start()
        return bool(taken)

    def _loop(self) -> None:
        poll_s = self._around.conduct.poll.total_seconds()
        while not self._stop.is_set():
            self._woken.clear()
            try:
                while not self._stop.is_set() and self.take():
                    pass
            except TrimtabError as error:
                _LOG.warning("failover_runs_not_read", cause=error.message)
            except Exception:  # noqa: BLE001 - the loop must outlive any fault of one run
                _LOG.exception("failover_claim_broke")
            self._woken.wait(poll_s)

    def _carry_out(self, held: Held, sent_at: float) -> None:
        lease = self._keeper.hold(held.run, sent_at)
        execution = Execution(self._around, held, lease)
        try:
            run = execution.carry_out()
            _LOG.info("failover_run", run=run.name, state=run.state.value, token=run.token)
        except LeaseLostError:
            if not self._stop.is_set():
                _LOG.warning("failover_run_lost", run=held.run.name, token=held.run.token)
            elif execution.is_quiet(_CLOSING_S):
                self._give_back(execution.run)
        except TrimtabError as error:
            # The run stays as it is, and is taken again when its lease has ended.
            _LOG.warning("failover_run_left", run=held.run.name, cause=error.message)
        except Exception:  # noqa: BLE001 - the last stand of a background thread
            _LOG.exception("failover_run_broke", run=held.run.name)
        finally:
            self._keeper.drop(lease)
            with self._lock:
                self._busy -= 1
            self._woken.set()

    def _give_back(self, run: Run) -> None:
        """Where somebody has changed the run meanwhile, or the database is silent, its lease runs out by itself."""
        with contextlib.suppress(TrimtabError):
            given = self._around.journal.release(run)
            _LOG.info("failover_run_given_back", run=run.name, token=run.token, at_once=given)
