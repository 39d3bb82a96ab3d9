"""The spawned pool that runs CPU-heavy engine calls, so that they never take the serving process's GIL.

Tasks are functions importable by name; arguments and results are pickled. A worker keeps what it has opened (the
catalogue's mapped files) from one task to the next.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Final, ParamSpec, TypeVar

from trimtab_service.domain.errors import DeadlineExceededError, UnavailableError
from trimtab_service.domain.reasons import ErrorReason

P = ParamSpec("P")
T = TypeVar("T")

_NICENESS: Final = 10
"""Decisions go first."""

_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")


class WorkerPool:
    """`size` processes, started when first asked. Safe to use from any thread; `close` ends them."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError("a pool has at least one worker")
        self.size = size
        self._lock = threading.Lock()
        self._executor: ProcessPoolExecutor | None = None
        self._closed = False

    def submit(self, task: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `task` in a worker. Its future raises what the task raises, BrokenProcessPool where a worker died.

        Raises UnavailableError (SHUTTING_DOWN) after `close`.
        """
        try:
            return self._open().submit(task, *args, **kwargs)
        except BrokenProcessPool:
            # A worker died of an earlier task; this one has nothing to do with it.
            self._renew()
            return self._open().submit(task, *args, **kwargs)

    def run(self, timeout_s: float | None, task: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """`submit` and wait, at most `timeout_s`.

        Raises what the task raises; DeadlineExceededError when time ran out (a task that runs goes on to its end, for
        nobody); UnavailableError when its worker died, which a task too large for the machine brings about.
        """
        future = self.submit(task, *args, **kwargs)
        try:
            return future.result(timeout_s)
        except FutureTimeoutError:
            future.cancel()
            raise DeadlineExceededError(ErrorReason.DEADLINE_EXCEEDED, "the work did not end in time") from None
        except BrokenProcessPool:
            self._renew()
            raise UnavailableError(ErrorReason.INTERNAL, "the process that worked on it died") from None

    def close(self) -> None:
        """End the workers; what waits is cancelled, what runs is left to its end by a dying process."""
        with self._lock:
            self._closed = True
            executor, self._executor = self._executor, None
        if executor is not None:
            processes = list((executor._processes or {}).values())  # noqa: SLF001 - there is no public way to end one
            executor.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()

    def _open(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._closed:
                raise UnavailableError(ErrorReason.SHUTTING_DOWN, "the service is closing")
            if self._executor is None:
                context = multiprocessing.get_context("spawn")
                self._executor = ProcessPoolExecutor(self.size, mp_context=context, initializer=_begin)
            return self._executor

    def _renew(self) -> None:
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    """In the worker: step behind decisions, use one core, and do not outlive the service."""
    os.nice(_NICENESS)
    for name in _ONE_THREAD:
        os.environ.setdefault(name, "1")
    threading.Thread(target=_end_with_parent, name="trimtab-parent", daemon=True).start()


def _end_with_parent() -> None:
    # The pool's own pipes stay open in the workers, so a parent that is killed would leave them waiting for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
