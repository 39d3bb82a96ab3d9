"""Takes runs and carries them out: any process may go on with any run whose lease has ended."""

import threading
import time
from typing import Final

import structlog

from trimtab_service.domain.errors import TrimtabError
from trimtab_service.failover.execution import Execution, Surroundings
from trimtab_service.failover.journal import Held, LeaseLostError
from trimtab_service.failover.leases import LeaseKeeper

_LOG: Final = structlog.get_logger("trimtab.failover")

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

    def close(self, timeout_s: float = 5.0) -> None:
        """Take nothing more and let go; what is under way is gone on with by another process, or the next start."""
        self._stop.set()
        self._woken.set()
        self._keeper.close()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

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
        try:
            run = Execution(self._around, held, lease).carry_out()
            _LOG.info("failover_run", run=run.name, state=run.state.value, token=run.token)
        except LeaseLostError:
            _LOG.warning("failover_run_lost", run=held.run.name, token=held.run.token)
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
