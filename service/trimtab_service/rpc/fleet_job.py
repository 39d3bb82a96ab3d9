"""One analysis, from what was asked to its end: inventory, price of reading, chunks, results."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import Connection

from trimtab.v1 import rightsizing_service_pb2 as pb
from trimtab_service.domain.errors import FailedPreconditionError, UnavailableError
from trimtab_service.domain.preferences import DEFAULT_PREFERENCES
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.resources import CloudResource
from trimtab_service.rightsizing.ports import TelemetrySource, TelemetrySources, Window
from trimtab_service.rpc.fleet_intake import FleetIntake
from trimtab_service.rpc.fleet_listing import list_all
from trimtab_service.rpc.fleet_progress import FleetProgress, SourceCost
from trimtab_service.rpc.fleet_reading import CHUNK, CaseDesk, Chunk, SourceReader, cost_of
from trimtab_service.rpc.fleet_request import preferences_of, refusal_by_cost, scope_of
from trimtab_service.rpc.fleet_task import FleetFound, advise_on
from trimtab_service.rpc.side_by_side import SideBySide
from trimtab_service.rpc.vocabulary import Vocabulary
from trimtab_service.store.fleet import FAILED, SUCCEEDED, FleetAnalysisRecord, FleetResult, FleetStore
from trimtab_service.store.profiles import ProfileStore
from trimtab_service.workers import WorkerPool

_INVENTORY_TIME: Final = timedelta(minutes=5)
"""Of all sources together; until then nothing is read, since what all of it costs is not known."""

_MOST_READERS: Final = 8


class Stopped(Exception):  # noqa: N818 - not an error: the holder was asked to let go
    """The work was to stop."""


@dataclass(slots=True)
class Hold:
    """The lease on an analysis, renewed in the background; `ended` is set when the work is to stop."""

    record: FleetAnalysisRecord
    ended: threading.Event
    is_lost: bool = False
    is_cancelled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a job works with."""

    store: FleetStore
    profiles: ProfileStore
    sources: TelemetrySources
    desk: CaseDesk
    vocabulary: Callable[[], Vocabulary]
    pool: WorkerPool
    intake: FleetIntake
    clock: Callable[[], datetime]
    chunk: int = CHUNK


@dataclass(frozen=True, slots=True)
class _Listed:
    """What one source lists, without what is done and what another source listed before it."""

    source: TelemetrySource
    resources: tuple[CloudResource, ...]


class FleetJob:
    """Runs once. Raises Stopped when the hold ends, AbortedError when another holds the analysis."""

    def __init__(self, hold: Hold, surroundings: Surroundings) -> None:
        self._hold = hold
        self._with = surroundings
        self._project = hold.record.project
        self._request = pb.StartFleetAnalysisRequest.FromString(hold.record.request)
        self._asked = preferences_of(self._request, surroundings.vocabulary())
        self._progress = FleetProgress.from_json(hold.record.progress)
        self._total = 0

    def run(self) -> str:
        """Do all that is left and end the analysis; returns its last state."""
        listed = self._list()
        if not listed:
            return self._end(FAILED)
        estimated = tuple(self._estimate(one) for one in listed)
        if not self._progress.estimated:  # who goes on with another's work estimates only what that one left
            self._progress = replace(self._progress, estimated=estimated)
        refused = refusal_by_cost(
            self._request, estimated, partial(self._with.sources.max_read_cost_nanos, self._project)
        )
        if refused is not None:
            self._progress = self._progress.failed("", refused)
            return self._end(FAILED)
        self._record(_nothing)
        self._advise(listed)
        return self._end(SUCCEEDED)

    def fail(self) -> None:
        """End it for a fault of ours: the log has the traceback."""
        fault = UnavailableError(ErrorReason.INTERNAL, "a fault of trimtab ended the analysis")
        self._progress = self._progress.failed("", fault)
        self._end(FAILED)

    def _list(self) -> list[_Listed]:
        """What is left to do by source; empty when no source could be listed."""
        seen = set(self._with.store.done(self._hold.record))
        self._total = len(seen)
        listed: list[_Listed] = []
        deadline = self._with.clock() + _INVENTORY_TIME
        for one in list_all(self._sources(), scope_of(self._request), deadline, self._hold.ended.is_set):
            if one.failure is not None:
                self._progress = self._progress.failed(one.source.name, one.failure)
                continue
            fresh = tuple({each.key: each for each in one.resources if each.key not in seen}.values())
            seen.update(each.key for each in fresh)
            self._total += len(fresh)
            listed.append(_Listed(one.source, fresh))
        self._go_on()
        return listed

    def _sources(self) -> list[TelemetrySource]:
        """Those that are asked for and configured still."""
        sources = []
        for name in self._request.telemetry_sources:
            source = self._with.sources.get(self._project, name)
            if source is None:
                gone = FailedPreconditionError(ErrorReason.NOT_FOUND, f"{name!r} is not configured any more")
                self._progress = self._progress.failed(name, gone)
            else:
                sources.append(source)
        return sources

    def _estimate(self, listed: _Listed) -> SourceCost:
        now = self._with.clock()
        lookback = self._asked.lookback or DEFAULT_PREFERENCES.lookback or timedelta()
        return cost_of(listed.source.name, listed.source.estimate(listed.resources, Window(now - lookback, now)))

    def _advise(self, listed: Sequence[_Listed]) -> None:
        """Read all sources at once, so that one that hangs holds up nothing but itself; settle chunk by chunk."""
        waiting: deque[tuple[Chunk, Future[tuple[FleetFound, ...]]]] = deque()
        reading = SideBySide(
            [partial(self._reader(one.source).chunks, one.resources) for one in listed],
            most=_MOST_READERS,
            held=self._with.pool.size,
            is_over=self._hold.ended.is_set,
        )
        for chunk in reading:
            waiting.append((chunk, self._with.pool.submit(advise_on, chunk.batch)))
            while waiting and (len(waiting) > self._with.pool.size or waiting[0][1].done()):
                self._settle(*waiting.popleft())
        self._go_on()
        while waiting:
            self._settle(*waiting.popleft())

    def _reader(self, source: TelemetrySource) -> SourceReader:
        around = self._with
        return SourceReader(
            self._project, source, self._asked, around.desk, around.profiles, around.clock, around.chunk
        )

    def _settle(self, chunk: Chunk, answer: Future[tuple[FleetFound, ...]]) -> None:
        """Commit what was found of a chunk, with what is to be recommended; then what need not be read again."""
        found = self._answered(chunk, answer)
        self._go_on()
        now = self._with.clock()
        progress = self._progress.spent(chunk.cost)
        for one in found:
            progress = progress.counted(one.finding, one.monthly_saving_micros)
        self._progress = progress
        self._record(partial(self._enter, found, now))
        self._with.profiles.save(self._project, chunk.batch.source, chunk.profiles, now)

    def _enter(self, found: Sequence[FleetFound], now: datetime, conn: Connection) -> Sequence[FleetResult]:
        contents = [one.content for one in found if one.content is not None]
        names = iter(self._with.intake.take_in(conn, self._project, contents, now) if contents else ())
        settled = [one.resource for one in found if one.is_settled]
        if settled:
            self._with.intake.retire(conn, self._project, settled, now)
        results = []
        for one in found:
            advice = one.advice
            if one.content is not None:
                # Serialised messages concatenate: this sets one field of the advice without parsing it.
                advice += pb.RightsizingAdvice(recommendation=next(names)).SerializeToString()
            results.append(FleetResult(one.resource.key, one.finding, advice))
        return results

    def _answered(self, chunk: Chunk, answer: Future[tuple[FleetFound, ...]]) -> tuple[FleetFound, ...]:
        """A worker that dies may have died of another's task: the chunk is tried once more."""
        try:
            return answer.result()
        except BrokenProcessPool:
            self._go_on()
            return self._with.pool.run(None, advise_on, chunk.batch)

    def _record(self, results: Callable[[Connection], Sequence[FleetResult]]) -> None:
        self._hold.record = self._with.store.record(
            self._hold.record, results, self._progress.to_json(), self._total, self._with.clock()
        )

    def _end(self, state: str) -> str:
        self._with.store.finish(self._hold.record, state, self._progress.to_json(), self._with.clock())
        return state

    def _go_on(self) -> None:
        if self._hold.ended.is_set():
            raise Stopped


def _nothing(conn: Connection) -> Sequence[FleetResult]:
    del conn
    return ()
