"""Threads that read and copy side by side, and that a process which ends does not wait for: a store may hang."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
_Job = tuple[Callable[[], Any], Future[Any]]


class Crew:
    """Of a fixed size. `close` leaves alone what was not begun; what was begun ends by itself."""

    def __init__(self, size: int) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"trimtab-copy-{number}", daemon=True) for number in range(size)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Do it when a thread is free."""
        future: Future[T] = Future()
        self._jobs.put((work, future))
        return future

    def close(self) -> None:
        """No more."""
        self._closed.set()
        for _ in self._threads:
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, future = job
            if self._closed.is_set():
                future.cancel()
                continue
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is raised for who waits
                future.set_exception(error)
