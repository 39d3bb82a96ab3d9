"""The rightsizing service."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from google.protobuf.message import Message

from trimtab.v1 import rightsizing_service_pb2 as pb
from trimtab_service.domain.errors import TrimtabError
from trimtab_service.rightsizing.ports import TelemetrySources
from trimtab_service.rpc import names
from trimtab_service.rpc.advice_codec import encode_advice
from trimtab_service.rpc.advice_keeping import AdviceKeeper, Kept, Measured
from trimtab_service.rpc.call import Call
from trimtab_service.rpc.rightsize_parser import SizingQuery, check_batch
from trimtab_service.rpc.sizing_desk import SizingDesk
from trimtab_service.rpc.status import status_of
from trimtab_service.rpc.telemetry_sources import list_sources
from trimtab_service.store.idempotency import RequestKey

_CHECK_EVERY: Final = 16
"""Messages of a stream, or items of a batch, between two looks at the deadline."""


class Analyses(Protocol):
    """The fleet's part of the service: `rpc.fleet_analyses.FleetAnalyses` in production."""

    def start_fleet_analysis(self, request: pb.StartFleetAnalysisRequest, call: Call) -> pb.FleetAnalysis:
        """Begin one, or say what it would read."""
        ...

    def get_fleet_analysis(self, request: pb.GetFleetAnalysisRequest, call: Call) -> pb.FleetAnalysis:
        """One."""
        ...

    def list_fleet_analyses(self, request: pb.ListFleetAnalysesRequest, call: Call) -> pb.ListFleetAnalysesResponse:
        """A page."""
        ...

    def cancel_fleet_analysis(self, request: pb.CancelFleetAnalysisRequest, call: Call) -> pb.FleetAnalysis:
        """Stop one."""
        ...

    def watch_fleet_analysis(
        self, request: pb.WatchFleetAnalysisRequest, call: Call
    ) -> Iterator[pb.FleetAnalysisEvent]:
        """Follow one."""
        ...


class RightsizingServicer:
    """Answers from the desk; what it recommends is stored durably before the answer.

    Analyses of fleets are another object's work: five methods are handed on to it as they are.
    """

    def __init__(
        self,
        desk: SizingDesk,
        keeper: AdviceKeeper,
        sources: TelemetrySources,
        analyses: Analyses,
        *,
        batch_cap: int,
    ) -> None:
        """`batch_cap` is the most items of a batch."""
        self._desk = desk
        self._keeper = keeper
        self._sources = sources
        self._batch_cap = batch_cap
        self.start_fleet_analysis = analyses.start_fleet_analysis
        self.get_fleet_analysis = analyses.get_fleet_analysis
        self.list_fleet_analyses = analyses.list_fleet_analyses
        self.cancel_fleet_analysis = analyses.cancel_fleet_analysis
        self.watch_fleet_analysis = analyses.watch_fleet_analysis

    def rightsize(self, request: pb.RightsizeRequest, call: Call) -> pb.RightsizingAdvice | Kept:
        """One resource."""
        project = names.project_id(request.parent)
        query = self._desk.parser(project).parse(request)
        return self._one(query, request, _Body(request), call)

    def stream_rightsize(
        self, first: pb.StreamRightsizeRequest, more: Iterator[pb.StreamRightsizeRequest], call: Call
    ) -> pb.RightsizingAdvice | Kept:
        """One resource, whose series come in parts; memory is bounded by the cap on points."""
        project = names.project_id(first.request.parent, "request.parent")
        parser = self._desk.parser(project)
        pending = parser.begin(first)
        body = _Body(first.request)
        for index, message in enumerate(more):
            if index % _CHECK_EVERY == 0:
                call.check()
            parser.add(pending, message)
            body.add(message)
        return self._one(pending.finish(), first.request, body, call)

    def batch_rightsize(self, request: pb.BatchRightsizeRequest, call: Call) -> pb.BatchRightsizeResponse | Kept:
        """Each item advised on or refused on its own, in order; what is recommended is stored in one transaction."""
        project = names.project_id(request.parent)
        check_batch(request, self._batch_cap)
        answers = self._advise_items(request, project, call)
        if request.validate_only:
            response = pb.BatchRightsizeResponse()
            for answer in answers:
                result = response.results.add()
                if isinstance(answer, TrimtabError):
                    result.error.CopyFrom(status_of(answer))
                else:
                    result.advice.CopyFrom(encode_advice(answer.advice))
            return response

        def told(encoded: Sequence[bytes]) -> bytes:
            waiting = iter(encoded)
            whole = pb.BatchRightsizeResponse()
            for answer in answers:
                result = whole.results.add()
                if isinstance(answer, TrimtabError):
                    result.error.CopyFrom(status_of(answer))
                else:
                    result.advice.ParseFromString(next(waiting))
            return whole.SerializeToString()

        found = [answer for answer in answers if not isinstance(answer, TrimtabError)]
        return self._keeper.keep(
            _Body(request).key(call), found, told, now=self._desk.now(), timeout_s=call.time_remaining()
        )

    def list_telemetry_sources(
        self, request: pb.ListTelemetrySourcesRequest, call: Call
    ) -> pb.ListTelemetrySourcesResponse:
        """A page of what the project may read."""
        del call
        return list_sources(self._sources, names.project_id(request.parent), request)

    def _one(
        self, query: SizingQuery, request: pb.RightsizeRequest, body: "_Body", call: Call
    ) -> pb.RightsizingAdvice | Kept:
        advice = self._desk.advise(call.project, query, call.time_remaining())
        if request.validate_only:
            return encode_advice(advice)
        return self._keeper.keep(
            body.key(call),
            [Measured(advice, query.source)],
            lambda encoded: encoded[0],
            now=self._desk.now(),
            timeout_s=call.time_remaining(),
        )

    def _advise_items(
        self, request: pb.BatchRightsizeRequest, project: str, call: Call
    ) -> list[Measured | TrimtabError]:
        """An advice or a fault an item."""
        parser = self._desk.parser(project)
        parsed: list[SizingQuery | TrimtabError] = []
        for index, item in enumerate(request.requests):
            try:
                parsed.append(parser.parse(item, f"requests[{index}]"))
            except TrimtabError as error:
                parsed.append(error)
        call.check()
        queries = [query for query in parsed if not isinstance(query, TrimtabError)]
        advised = self._desk.advise_all(project, queries, call.time_remaining())
        answers: list[Measured | TrimtabError] = []
        for index, query in enumerate(parsed):
            if index % _CHECK_EVERY == 0:
                call.check()
            if isinstance(query, TrimtabError):
                answers.append(query)
                continue
            advice = next(advised)
            answers.append(advice if isinstance(advice, TrimtabError) else Measured(advice, query.source))
        return answers


class _Body:
    """What was asked, hashed as it comes, so that a request id used for something else is found out."""

    def __init__(self, request: pb.RightsizeRequest | pb.BatchRightsizeRequest) -> None:
        self._request_id = request.request_id.lower()
        self._hash = hashlib.sha256()
        self.add(request)

    def add(self, message: Message) -> None:
        """One more part of the request; without a request id nobody will ask."""
        if self._request_id:
            self._hash.update(message.SerializeToString(deterministic=True))

    def key(self, call: Call) -> RequestKey:
        """Whose request this is."""
        return RequestKey(call.project, call.method.rpartition("/")[2], self._request_id, self._hash.digest())
