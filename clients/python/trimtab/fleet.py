"""Fleet analyses of `RightsizingService`."""

from collections.abc import Generator, Iterator
from functools import partial

import grpc

from trimtab.calls import Caller, follow, fresh_request_id, walk_pages
from trimtab.v1 import rightsizing_service_pb2 as pb
from trimtab.v1.rightsizing_service_pb2_grpc import RightsizingServiceStub

_PATH = "/trimtab.v1.RightsizingService/"


class FleetAnalyses:
    """Analyses of everything that telemetry sources see. Every method raises `trimtab.errors.CallError` on failure."""

    __slots__ = ("_caller", "_stub")

    def __init__(self, channel: grpc.Channel, caller: Caller) -> None:
        self._stub = RightsizingServiceStub(channel)
        self._caller = caller

    def start_fleet_analysis(
        self, request: pb.StartFleetAnalysisRequest, *, request_id: str = "", timeout: float | None = None
    ) -> pb.FleetAnalysis:
        """Start one; with `request.validate_only` only say what would be read, and its price. Fills the parent in."""
        asked = pb.StartFleetAnalysisRequest()
        asked.CopyFrom(request)
        asked.parent = self._caller.parent(request.parent)
        asked.request_id = request_id or request.request_id or fresh_request_id()
        return self._caller.unary(self._stub.StartFleetAnalysis, _PATH + "StartFleetAnalysis", asked, timeout)

    def get_fleet_analysis(self, name: str, *, timeout: float | None = None) -> pb.FleetAnalysis:
        """One, by name or id."""
        request = pb.GetFleetAnalysisRequest(name=self._caller.name("fleetAnalyses", name))
        return self._caller.unary(self._stub.GetFleetAnalysis, _PATH + "GetFleetAnalysis", request, timeout)

    def list_fleet_analyses(self, *, where: str = "", timeout: float | None = None) -> Iterator[pb.FleetAnalysis]:
        """All of the project, newest first; `where` is AIP-160."""
        request = pb.ListFleetAnalysesRequest(parent=self._caller.parent(), filter=where)
        call = partial(self._caller.unary, self._stub.ListFleetAnalyses, _PATH + "ListFleetAnalyses", timeout=timeout)
        return walk_pages(call, request, lambda reply: reply.fleet_analyses)

    def cancel_fleet_analysis(
        self, name: str, *, request_id: str = "", timeout: float | None = None
    ) -> pb.FleetAnalysis:
        """Stop one. What it has advised so far stays."""
        request = pb.CancelFleetAnalysisRequest(
            name=self._caller.name("fleetAnalyses", name), request_id=request_id or fresh_request_id()
        )
        return self._caller.unary(self._stub.CancelFleetAnalysis, _PATH + "CancelFleetAnalysis", request, timeout)

    def watch_fleet_analysis(
        self, name: str, *, resume_token: str = "", timeout: float | None = None
    ) -> Iterator[pb.FleetAnalysisEvent]:
        """Follow one to its end, over as many connections as it takes. The token of the last event goes on after it."""
        own = self._caller.name("fleetAnalyses", name)

        def stream(token: str, left: float | None) -> Generator[pb.FleetAnalysisEvent, None, None]:
            request = pb.WatchFleetAnalysisRequest(name=own, resume_token=token)
            return self._caller.stream(self._stub.WatchFleetAnalysis, _PATH + "WatchFleetAnalysis", request, left)

        return follow(stream, resume_token, timeout)
