"""Reading many resources by batches at once: one reading each, whatever happens to a batch."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.errors import TrimtabError
from trimtab_service.domain.resources import CloudResource
from trimtab_service.rightsizing.ports import Reading

READERS: Final = 4
"""Batches in flight of one source: enough to hide a slow answer, few enough not to be throttled for it."""

ReadBatch = Callable[[Sequence[CloudResource], datetime], Mapping[str, Reading]]
"""Readings by `CloudResource.key`. May raise TrimtabError: then the whole batch failed."""

_LATE: Final = "the monitoring API did not answer before the deadline"


@dataclass(frozen=True, slots=True)
class _Done:
    batch: int
    readings: Mapping[str, Reading]


def read_in_batches(
    batches: Iterable[Sequence[CloudResource]],
    read: ReadBatch,
    patience: Patience,
    deadline: datetime,
    readers: int = READERS,
) -> Iterator[Reading]:
    """Exactly one reading for each resource of `batches`, as batches come in.

    A batch whose `read` raises, or that leaves a resource out, reads as failed for those resources and for no others.
    What is not in at the deadline reads as failed too; its thread is left to end by its own timeouts, since a call
    that hangs in an SDK cannot be interrupted. A resource given twice is read once.
    """
    todo = dict(enumerate(_distinct(batches)))
    crew = _Crew(todo, read, deadline)
    crew.start(min(readers, len(todo)))
    try:
        while todo:
            finished = crew.next_done(patience.remaining_s(deadline))
            if finished is None:
                # An elapsed wait is judged by the source's own clock, which a test may have stopped.
                if patience.remaining_s(deadline) > 0:
                    continue
                break
            for resource in todo.pop(finished.batch):
                yield finished.readings.get(resource.key) or failed(resource, "the source gave no answer for it")
        yield from (failed(resource, _LATE) for batch in todo.values() for resource in batch)
    finally:
        crew.stop()


class _Crew:
    """Threads that read the batches of one call."""

    def __init__(self, batches: Mapping[int, Sequence[CloudResource]], read: ReadBatch, deadline: datetime) -> None:
        self._read = read
        self._deadline = deadline
        self._todo: queue.SimpleQueue[tuple[int, Sequence[CloudResource]]] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[_Done] = queue.SimpleQueue()
        self._stopped = threading.Event()
        for entry in batches.items():
            self._todo.put(entry)

    def start(self, threads: int) -> None:
        """Daemons: a call that hangs must not keep the process from ending."""
        for index in range(threads):
            threading.Thread(target=self._serve, name=f"telemetry-{index}", daemon=True).start()

    def next_done(self, timeout_s: float) -> _Done | None:
        """The next batch that is in, or None when none came in time."""
        try:
            return self._done.get(timeout=max(0.01, timeout_s))
        except queue.Empty:
            return None

    def stop(self) -> None:
        """No further batch is begun."""
        self._stopped.set()

    def _serve(self) -> None:
        while not self._stopped.is_set():
            try:
                number, batch = self._todo.get_nowait()
            except queue.Empty:
                return
            self._done.put(_Done(number, _guarded(self._read, batch, self._deadline)))


def failed(resource: CloudResource, words: str) -> Reading:
    """The reading of a resource that the source could not tell about."""
    return Reading(resource, None, failure=words)


def _guarded(read: ReadBatch, batch: Sequence[CloudResource], deadline: datetime) -> Mapping[str, Reading]:
    try:
        return read(batch, deadline)
    except TrimtabError as error:
        return {resource.key: failed(resource, error.message) for resource in batch}
    except Exception as error:  # noqa: BLE001 - whatever an SDK raises, the other batches go on; its text may hold secrets
        words = f"reading failed unexpectedly ({type(error).__name__})"
        return {resource.key: failed(resource, words) for resource in batch}


def _distinct(batches: Iterable[Sequence[CloudResource]]) -> list[Sequence[CloudResource]]:
    seen: set[str] = set()
    found: list[Sequence[CloudResource]] = []
    for batch in batches:
        fresh: list[CloudResource] = []
        for resource in batch:
            if resource.key not in seen:
                seen.add(resource.key)
                fresh.append(resource)
        if fresh:
            found.append(fresh)
    return found


def split(resources: Sequence[CloudResource], size: int) -> Iterator[Sequence[CloudResource]]:
    """Slices of at most `size`, in order."""
    for start in range(0, len(resources), size):
        yield resources[start : start + size]
