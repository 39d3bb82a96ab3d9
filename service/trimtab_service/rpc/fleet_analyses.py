"""The fleet analyses of the rightsizing service: asked for, followed, stopped."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from google.rpc import code_pb2

from trimtab.v1 import rightsizing_service_pb2 as pb
from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.preferences import DEFAULT_PREFERENCES, RightsizingPreferences
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.rightsizing import Finding
from trimtab_service.rightsizing.ports import TelemetrySource, TelemetrySources, Window
from trimtab_service.rpc import bounds, names
from trimtab_service.rpc.call import Call
from trimtab_service.rpc.fields import Violations
from trimtab_service.rpc.fleet_listing import list_all
from trimtab_service.rpc.fleet_progress import FleetProgress, SourceCost, SourceFault
from trimtab_service.rpc.fleet_reading import cost_of
from trimtab_service.rpc.fleet_request import refusal_by_cost, scope_of
from trimtab_service.rpc.ids import NewId
from trimtab_service.rpc.preferences_parser import parse_preferences
from trimtab_service.rpc.size_parser import region_key
from trimtab_service.rpc.sizing_vocabulary import FINDING_CODE
from trimtab_service.rpc.vocabulary import Vocabulary, set_micros, set_nanos, set_timestamp
from trimtab_service.store.fleet import FleetAnalysisRecord, FleetStore, NewAnalysis
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.pages import ListRequest

_MOST_SOURCES: Final = 64
_MOST_TAGS: Final = 64
_MOST_REGIONS: Final = 512
_WATCH_PAGE: Final = 200
_WATCH_S: Final = 0.25
_LONGEST_LISTING_S: Final = 600.0
_LISTING_SHARE: Final = 0.8
"""Of the caller's time: the rest is for an answer that says which sources did not list theirs."""

_TOKEN: Final = re.compile(r"after-(\d{1,18})\Z")

_STATE_CODE: Final = {
    "pending": pb.FleetAnalysis.STATE_PENDING,
    "running": pb.FleetAnalysis.STATE_RUNNING,
    "succeeded": pb.FleetAnalysis.STATE_SUCCEEDED,
    "failed": pb.FleetAnalysis.STATE_FAILED,
    "cancelled": pb.FleetAnalysis.STATE_CANCELLED,
}


class FleetAnalyses:
    """Answers from the store; the runner of some process does the work."""

    def __init__(  # noqa: PLR0913 - its collaborators, each a seam for a test
        self,
        store: FleetStore,
        sources: TelemetrySources,
        vocabulary: Callable[[], Vocabulary],
        *,
        wake: Callable[[], None],
        clock: Callable[[], datetime],
        new_id: NewId,
    ) -> None:
        self._store = store
        self._sources = sources
        self._vocabulary = vocabulary
        self._wake = wake
        self._clock = clock
        self._new_id = new_id

    def start_fleet_analysis(self, request: pb.StartFleetAnalysisRequest, call: Call) -> pb.FleetAnalysis:
        """Take it in; with `validate_only` list the fleet and price the reading instead."""
        names.project_id(request.parent)
        now = self._clock()
        key = _key(request, call)
        sources, asked = self._parse(request, call.project)
        if request.validate_only:
            return self._priced(request, sources, asked, call)
        new = NewAnalysis(
            call.project,
            self._new_id(now),
            request.SerializeToString(deterministic=True),
            _scope_hash(request),
            call.principal.subject,
        )
        record = self._store.create(new, now, key, call.time_remaining())
        self._wake()
        return encode_analysis(record)

    def get_fleet_analysis(self, request: pb.GetFleetAnalysisRequest, call: Call) -> pb.FleetAnalysis:
        """One."""
        del call
        return encode_analysis(self._store.get(*names.fleet_analysis(request.name)))

    def list_fleet_analyses(self, request: pb.ListFleetAnalysesRequest, call: Call) -> pb.ListFleetAnalysesResponse:
        """A page, newest first."""
        names.project_id(request.parent)
        asked = ListRequest(call.method, request.parent, request.filter, request.page_size, request.page_token)
        page = self._store.list(call.project, asked)
        return pb.ListFleetAnalysesResponse(
            fleet_analyses=[encode_analysis(record) for record in page.items], next_page_token=page.next_page_token
        )

    def cancel_fleet_analysis(self, request: pb.CancelFleetAnalysisRequest, call: Call) -> pb.FleetAnalysis:
        """Ask that it stops; what it has advised stays."""
        project, own = names.fleet_analysis(request.name)
        return encode_analysis(
            self._store.cancel(project, own, self._clock(), _key(request, call), call.time_remaining())
        )

    def watch_fleet_analysis(
        self, request: pb.WatchFleetAnalysisRequest, call: Call
    ) -> Iterator[pb.FleetAnalysisEvent]:
        """Every result once, in order, progress in between, and the end."""
        project, own = names.fleet_analysis(request.name)
        after = _after(request.resume_token)
        version = 0
        while True:
            # Read before the results: when it is over, no result comes after those that are read now.
            record = self._store.get(project, own)
            results = self._store.results(project, own, after, _WATCH_PAGE)
            for result in results:
                after = result.sequence
                event = pb.FleetAnalysisEvent(resume_token=_token(after))
                event.advice.ParseFromString(result.advice)
                yield event
            if len(results) == _WATCH_PAGE:
                call.check()
                continue
            if record.version != version:
                version = record.version
                yield pb.FleetAnalysisEvent(resume_token=_token(after), fleet_analysis=encode_analysis(record))
            if record.is_over or not call.wait(_WATCH_S):
                return

    def _parse(
        self, request: pb.StartFleetAnalysisRequest, project: str
    ) -> tuple[list[TelemetrySource], RightsizingPreferences]:
        """Every fault of the request at once."""
        found = Violations()
        sources: list[TelemetrySource] = []
        if not request.telemetry_sources:
            found.add("telemetry_sources", ErrorReason.FIELD_REQUIRED, "name at least one source")
        bounds.few(found, "tags", len(request.tags), _MOST_TAGS)
        if bounds.few(found, "telemetry_sources", len(request.telemetry_sources), _MOST_SOURCES):
            sources = self._named(request.telemetry_sources, project, found)
        vocabulary = self._vocabulary()
        if bounds.few(found, "regions", len(request.regions), _MOST_REGIONS):
            for place, region in enumerate(request.regions):
                region_key(region, vocabulary, found, ("regions", f"[{place}]"))
        if request.HasField("max_read_cost"):
            bounds.micros(found, "max_read_cost", request.max_read_cost)
        asked = parse_preferences(request.preferences, vocabulary, found, "preferences")
        found.check()
        return sources, asked

    def _named(self, asked: Sequence[str], project: str, found: Violations) -> list[TelemetrySource]:
        sources: list[TelemetrySource] = []
        for place, name in enumerate(asked):
            source = self._sources.get(project, name)
            at = ("telemetry_sources", f"[{place}]")
            if source is None:
                known = ", ".join(one.name for one in self._sources.of_project(project)) or "none"
                why = f"{name[:64]!r} is no source of this project; there are: {known}"
                found.add(at, ErrorReason.UNKNOWN_VALUE, why)
            elif any(one.name == name for one in sources):
                found.add(at, ErrorReason.CONTRADICTION, "is named twice")
            else:
                sources.append(source)
        return sources

    def _priced(
        self,
        request: pb.StartFleetAnalysisRequest,
        sources: Sequence[TelemetrySource],
        asked: RightsizingPreferences,
        call: Call,
    ) -> pb.FleetAnalysis:
        now = self._clock()
        lookback = asked.lookback or DEFAULT_PREFERENCES.lookback or timedelta()
        deadline = now + timedelta(seconds=min(_LISTING_SHARE * call.time_remaining(), _LONGEST_LISTING_S))
        progress, seen = FleetProgress(), 0
        costs: list[SourceCost] = []
        for one in list_all(sources, scope_of(request), deadline, lambda: False):
            if one.failure is not None:
                progress = progress.failed(one.source.name, one.failure)
                continue
            seen += len(one.resources)
            costs.append(cost_of(one.source.name, one.source.estimate(one.resources, Window(now - lookback, now))))
        refused = refusal_by_cost(request, costs, partial(self._sources.max_read_cost_nanos, call.project))
        if refused is not None:
            progress = progress.failed("", refused)
        message = pb.FleetAnalysis(request=request, resources=seen)
        for cost in costs:
            _fill_cost(message.estimated_reads.add(), cost)
        _fill_faults(message, progress.faults)
        return message


def encode_analysis(record: FleetAnalysisRecord) -> pb.FleetAnalysis:
    """The message of a stored analysis."""
    progress = FleetProgress.from_json(record.progress)
    message = pb.FleetAnalysis(
        name=f"projects/{record.project}/fleetAnalyses/{record.analysis_id}",
        etag=f"{record.version:x}",
        state=_STATE_CODE[record.state],
        resources=record.resources,
        resources_done=record.resources_done,
    )
    message.request.ParseFromString(record.request)
    set_timestamp(message.create_time, record.create_time)
    set_timestamp(message.update_time, record.update_time)
    if record.end_time is not None:
        set_timestamp(message.end_time, record.end_time)
    for finding, count in progress.findings:
        message.findings.add(finding=FINDING_CODE[Finding(finding)], count=count)
    set_micros(message.monthly_saving, progress.saving_micros)
    for cost in progress.estimated:
        _fill_cost(message.estimated_reads.add(), cost)
    for cost in progress.actual:
        _fill_cost(message.actual_reads.add(), cost)
    _fill_faults(message, progress.faults)
    return message


def _fill_cost(message: pb.ReadCost, cost: SourceCost) -> None:
    message.telemetry_source = cost.source
    message.api_calls = cost.api_calls
    message.metrics = cost.metrics
    set_nanos(message.cost, cost.cost_nanos)


def _fill_faults(message: pb.FleetAnalysis, faults: Sequence[SourceFault]) -> None:
    for fault in faults:
        told = f"{fault.source}: {fault.message}" if fault.source else fault.message
        code = code_pb2.FAILED_PRECONDITION if fault.reason in _REFUSALS else code_pb2.UNAVAILABLE
        message.errors.add(code=code, message=f"{told} ({fault.reason})")


_REFUSALS: Final = frozenset({ErrorReason.READ_COST_CAP.name, ErrorReason.NOT_FOUND.name})


def _scope_hash(request: pb.StartFleetAnalysisRequest) -> str:
    """Equal for requests that would read and advise on the same."""
    scope = pb.StartFleetAnalysisRequest()
    scope.CopyFrom(request)
    scope.ClearField("request_id")
    scope.ClearField("max_read_cost")
    return hashlib.sha256(scope.SerializeToString(deterministic=True)).hexdigest()[:32]


def _token(sequence: int) -> str:
    return f"after-{sequence}"


def _after(token: str) -> int:
    if not token:
        return 0
    found = _TOKEN.match(token)
    if found is None:
        why = "was not given by WatchFleetAnalysis"
        raise InvalidArgumentError([Violation("resume_token", ErrorReason.PAGE_TOKEN_INVALID, why)])
    return int(found[1])


def _key(request: pb.StartFleetAnalysisRequest | pb.CancelFleetAnalysisRequest, call: Call) -> RequestKey:
    request_id = names.request_id(request.request_id)
    body = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    return RequestKey(call.project, call.method.rpartition("/")[2], request_id, body)
