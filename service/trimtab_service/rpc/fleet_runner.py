"""Works on fleet analyses in the background: a few at a time in each process, each by one process at a time.

Whoever holds an analysis reads what has no result yet by chunks, has workers advise on each chunk, and commits
results, recommendations and progress chunk by chunk. A process that dies leaves at most a few chunks to be read again;
what it had committed stays, and is neither lost nor doubled.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from trimtab_service.domain.errors import AbortedError, TrimtabError, UnavailableError
from trimtab_service.rpc.fleet_job import FleetJob, Hold, Stopped
from trimtab_service.store.fleet import CANCELLED, FleetStore

_LOG: Final = structlog.get_logger("trimtab.fleet")

_IDLE_S: Final = 2.0
"""How soon an analysis is found that another process has taken in, or left."""

_AT_ONCE: Final = 2
"""Analyses of a process: one waits for clouds most of the time, and one whose cloud hangs must not hold up the rest."""


class FleetRunner:
    """The background threads of a process. `wake` has it look for work at once; `close` lets another go on."""

    def __init__(
        self,
        store: FleetStore,
        job: Callable[[Hold], FleetJob],
        *,
        owner: str,
        clock: Callable[[], datetime],
        lease: timedelta,
    ) -> None:
        """Past `lease` without a sign, another process takes over; it is renewed three times as often."""
        self._store = store
        self._job = job
        self._owner = owner
        self._clock = clock
        self._lease = lease
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._holds: list[Hold] = []
        self._threads = [
            threading.Thread(target=self._run, name=f"trimtab-fleet-{number}", daemon=True)
            for number in range(_AT_ONCE)
        ]

    def start(self) -> None:
        """Begin to look for work."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """There is work."""
        self._wake.set()

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop after the chunks in hand; the leases are given back."""
        give_up = time.monotonic() + timeout_s
        self._closing.set()
        self._wake.set()
        for hold in tuple(self._holds):
            hold.ended.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, give_up - time.monotonic()))

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                if not self._work_on_one():
                    self._wake.wait(_IDLE_S)
                    self._wake.clear()
            except UnavailableError as error:
                _LOG.warning("fleet_store_unavailable", cause=error.message)
                self._closing.wait(_IDLE_S)

    def _work_on_one(self) -> bool:
        record = self._store.claim(self._owner, self._clock(), self._lease)
        if record is None:
            return False
        hold = Hold(record, threading.Event())
        self._holds.append(hold)
        if self._closing.is_set():
            hold.ended.set()
        keeper = threading.Thread(target=self._keep, args=(hold,), name="trimtab-fleet-lease", daemon=True)
        keeper.start()
        name = f"projects/{record.project}/fleetAnalyses/{record.analysis_id}"
        _LOG.info("fleet_analysis_taken", fleet_analysis=name, done=record.resources_done)
        try:
            state = self._job(hold).run()
            _LOG.info("fleet_analysis_over", fleet_analysis=name, state=state)
        except Stopped:
            self._stop(hold)
        except AbortedError:
            _LOG.warning("fleet_analysis_lost", fleet_analysis=name)
        except TrimtabError as error:
            # The store or a worker failed; whoever takes it next goes on from what was committed.
            _LOG.warning("fleet_analysis_interrupted", fleet_analysis=name, cause=error.message)
            self._closing.wait(_IDLE_S)
            self._store.release(hold.record)
        except Exception:  # noqa: BLE001 - the last stand of a background thread
            # A fault of ours would meet the next holder too: it is told, and ends the analysis.
            _LOG.exception("fleet_analysis_broke", fleet_analysis=name)
            self._job(hold).fail()
        finally:
            hold.ended.set()
            keeper.join()
            self._holds.remove(hold)
        return True

    def _stop(self, hold: Hold) -> None:
        if hold.is_lost:
            return
        if hold.is_cancelled:
            self._store.finish(hold.record, CANCELLED, self._store.get(*_key(hold)).progress, self._clock())
        else:
            self._store.release(hold.record)

    def _keep(self, hold: Hold) -> None:
        """Renew the lease until the work ends; what is learnt by it is told to the work."""
        while not hold.ended.wait(self._lease.total_seconds() / 3):
            try:
                hold.is_cancelled = self._store.renew(hold.record, self._lease).is_cancelling
            except AbortedError:
                hold.is_lost = True
            except UnavailableError:
                continue
            if hold.is_lost or hold.is_cancelled:
                hold.ended.set()


def _key(hold: Hold) -> tuple[str, str]:
    return hold.record.project, hold.record.analysis_id
