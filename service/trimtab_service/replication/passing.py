"""One pass over all keys, from where the last process left it to the canary at its end.

The canary is written at the source before the first listing, and handed over after the last key was settled: whoever
reads it at the destination knows that everything older is there. A pass that failed for one key hands nothing over.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from threading import BoundedSemaphore
from typing import Final

import structlog

from trimtab_service.domain.errors import TrimtabError, UnavailableError
from trimtab_service.replication.alignment import Pair, Position, Stretch, align
from trimtab_service.replication.canary import write_canary
from trimtab_service.replication.copying import Around, give_up
from trimtab_service.replication.crew import Crew
from trimtab_service.replication.deciding import same_as_listed
from trimtab_service.replication.definition import Deletes, Replication
from trimtab_service.replication.journal import LeaseLostError
from trimtab_service.replication.ports import Listed, NotAcceptedError, ObjectStore
from trimtab_service.replication.progress import Counts, Done, Failure, Outcome, PassState, Progress
from trimtab_service.replication.settling import Settler, cause_of

_LOG: Final = structlog.get_logger("trimtab.replication")
_FAILURES_KEPT: Final = 20
_FAILURES_IN_A_ROW: Final = 8
"""As many keys that a store does not answer for, one after another: it is the store, and the pass ends."""
_SAVE_EVERY: Final = timedelta(seconds=1)
_SKEW: Final = timedelta(minutes=5)
"""Clocks of clouds differ by less."""


@dataclass(slots=True)
class _Open:
    """A stretch whose keys are being settled. `counts` are those that needed no call, `originals` those of the source.

    Of the others nothing is kept: many stretches may wait for one large object.
    """

    then: Position | None
    originals: int
    counts: Counts
    left: list[tuple[Pair, Future[Done]]]

    @property
    def is_done(self) -> bool:
        return all(future.done() for _, future in self.left)


class Pass:
    """Runs once. `progress` is what was kept last."""

    def __init__(self, definition: Replication, around: Around, progress: Progress) -> None:
        self.progress = progress
        self._definition = definition
        self._around = around
        now = around.clock()
        self._state = progress.current or PassState(now)
        since = progress.complete_since
        self._since = None if since is None else since - _SKEW
        self._room = BoundedSemaphore(2 * definition.concurrency)
        self._originals = self._state.source_objects
        self._saved_at = now
        self._in_a_row = 0
        self._lost: Exception | None = None

    def run(self) -> Progress:
        """All that is left, and the canary. Raises LeaseLostError; UnavailableError when a store does not answer."""
        around, definition = self._around, self._definition
        if self.progress.current is None:
            self._write_canary(around.source)
            self._save()
        open_stretches: deque[_Open] = deque()
        with closing(Crew(definition.concurrency)) as crew:
            for stretch in align(self._pages(around.source), self._pages(around.destination), self._state.position):
                open_stretches.append(self._begun(stretch, crew))
                while open_stretches and open_stretches[0].is_done:
                    self._settle(open_stretches.popleft())
            while open_stretches:
                self._settle(open_stretches.popleft())
        self._clear_uploads()
        return self._ended()

    def _pages(self, store: ObjectStore) -> Callable[[str], Listed]:
        def page(token: str) -> Listed:
            self._around.check()
            listed = store.page(self._definition.prefix, token, self._around.deadline())
            own = self._definition.reserved
            return replace(listed, heads=tuple(one for one in listed.heads if not one.key.startswith(own)))

        return page

    def _begun(self, stretch: Stretch, crew: Crew) -> _Open:
        originals = sum(pair.source is not None for pair in stretch.pairs)
        self._originals += originals
        # A source that shows nothing at all is more likely to be the wrong one than to have been emptied.
        shows = self._originals or (stretch.then is not None and stretch.then.is_within)
        deletes = self._definition.deletes if shows else Deletes.KEEP
        settler = Settler(self._around, deletes, f"{self._definition.reserved}deleted/{self._definition.name}/")
        same = extra = 0
        left: list[tuple[Pair, Future[Done]]] = []
        for pair in stretch.pairs:
            source, destination = pair.source, pair.destination
            if source is not None and destination is not None and same_as_listed(source, destination, self._since):
                same += 1
            elif source is None and deletes is Deletes.KEEP:
                extra += 1
            else:
                left.append((pair, self._submitted(crew, partial(settler.settle, pair))))
        return _Open(stretch.then, originals, Counts(same=same, extra=extra), left)

    def _submitted(self, crew: Crew, work: Callable[[], Done]) -> Future[Done]:
        self._around.check()
        self._room.acquire()
        if self._lost is not None:
            self._room.release()
            raise self._lost

        def run() -> Done:
            try:
                done = work()
                self._in_a_row = 0
            except LeaseLostError as error:
                self._lost = error
                raise
            except UnavailableError as error:
                self._in_a_row += 1
                if self._in_a_row >= _FAILURES_IN_A_ROW:
                    self._lost = error
                raise
            finally:
                self._room.release()
            return done

        return crew.submit(run)

    def _settle(self, one: _Open) -> None:
        """Wait for its keys, count them, and remember that they need not be looked at again."""
        counts, failures = one.counts, list(self._state.failures)
        for pair, future in one.left:
            try:
                counts = counts.plus(Counts.of(future.result()))
            except LeaseLostError:
                raise
            except Exception as error:  # noqa: BLE001 - one object must not hold up all others, whatever its fault is
                if not isinstance(error, TrimtabError | NotAcceptedError):
                    _LOG.exception("replication_object_broke", key=pair.key)
                counts = counts.plus(Counts.of(Done(Outcome.FAILED)))
                failures = [*failures, Failure(pair.key, cause_of(error))][-_FAILURES_KEPT:]
        if self._lost is not None:
            raise self._lost
        position = one.then or self._state.position
        self._state = replace(
            self._state,
            position=position,
            source_objects=self._state.source_objects + one.originals,
            counts=self._state.counts.plus(counts),
            failures=tuple(failures),
        )
        if self._around.clock() - self._saved_at >= _SAVE_EVERY or counts.copied:
            self._save()

    def _clear_uploads(self) -> None:
        """No copy is under way now, so what is left of any is of no use."""
        for key, kept in self._around.journal.uploads(self._around.held.name).items():
            give_up(self._around, key, kept)

    def _ended(self) -> Progress:
        self._around.check()
        over = replace(self._state, end_time=self._around.clock())
        failed = over.counts.failed
        if failed:
            fault = f"{failed} objects could not be settled; the first known is {over.failures[0].key!r}"
            return replace(self.progress, current=None, last=over, fault=fault)
        self._write_canary(self._around.destination)
        return Progress(None, over, over.begin_time, over.begin_time)

    def _write_canary(self, store: ObjectStore) -> None:
        around = self._around
        write_canary(store, self._definition.canary, self._state.begin_time, around.deadline(), around.crc32c)

    def _save(self) -> None:
        self.progress = replace(self.progress, current=self._state)
        self._around.journal.save(self._around.held, self.progress)
        self._saved_at = self._around.clock()
