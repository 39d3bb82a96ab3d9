"""Methods of `PlacementService`."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import partial

import grpc

from trimtab.calls import Caller, fresh_request_id, walk_pages
from trimtab.errors import CallError, from_status
from trimtab.v1 import placement_service_pb2 as pb
from trimtab.v1.placement_service_pb2_grpc import PlacementServiceStub

_PATH = "/trimtab.v1.PlacementService/"


class Placement:
    """Where workloads should run. Every method raises `trimtab.errors.CallError` when the call fails."""

    __slots__ = ("_caller", "_stub")

    def __init__(self, channel: grpc.Channel, caller: Caller) -> None:
        self._stub = PlacementServiceStub(channel)
        self._caller = caller

    def place(  # noqa: PLR0913 - the fields of the request, each optional
        self,
        what: pb.Workload | pb.PlaceRequest,
        *,
        reserve: bool | None = None,
        reserve_for: timedelta | None = None,
        request_id: str = "",
        max_fallbacks: int | None = None,
        explain: bool | None = None,
        timeout: float | None = None,
    ) -> pb.Decision:
        """Decide where a workload should run. Infeasible and unsupported are answers (`verdict`), not errors.

        Args:
            what: the workload, or a whole request, whose fields the arguments below override where given.
            reserve: draw commitment room and quota durably.
            reserve_for: how long what is drawn is kept.
            request_id: UUID that makes a reservation happen once; made here when empty.
            max_fallbacks: ordered fallbacks wanted, 0 to 8.
            explain: add an explanation to the answer.
            timeout: seconds, retries included.

        """
        request = self.request(
            what,
            reserve=reserve,
            reserve_for=reserve_for,
            request_id=request_id,
            max_fallbacks=max_fallbacks,
            explain=explain,
        )
        return self._caller.unary(self._stub.Place, _PATH + "Place", request, timeout)

    def request(  # noqa: PLR0913 - as `place`
        self,
        what: pb.Workload | pb.PlaceRequest,
        *,
        reserve: bool | None = None,
        reserve_for: timedelta | None = None,
        request_id: str = "",
        max_fallbacks: int | None = None,
        explain: bool | None = None,
    ) -> pb.PlaceRequest:
        """The request that `place` sends for the same arguments: a new message; `what` is not changed."""
        if isinstance(what, pb.PlaceRequest):
            request = pb.PlaceRequest()
            request.CopyFrom(what)
        else:
            request = pb.PlaceRequest(workload=what)
        request.parent = self._caller.parent(request.parent)
        if reserve is not None:
            request.reserve = reserve
        if reserve_for is not None:
            request.reserve_duration.FromTimedelta(reserve_for)
        if max_fallbacks is not None:
            request.max_fallbacks = max_fallbacks
        if explain is not None:
            request.explain = explain
        if request_id:
            request.request_id = request_id
        elif request.reserve and not request.request_id:
            request.request_id = fresh_request_id()
        return request

    def batch_place(
        self, items: Iterable[pb.Workload | pb.PlaceRequest], *, joint: bool = False, timeout: float | None = None
    ) -> list[pb.Decision | CallError]:
        """Decide up to 256 placements in one call: a decision or an error (not raised) for each, in the same order.

        With `joint` the items compete, in order, for quota and commitment room.
        """
        request = pb.BatchPlaceRequest(
            parent=self._caller.parent(), requests=(self.request(item) for item in items), joint=joint
        )
        reply = self._caller.unary(self._stub.BatchPlace, _PATH + "BatchPlace", request, timeout)
        return [
            from_status(result.error) if result.WhichOneof("result") == "error" else result.decision
            for result in reply.results
        ]

    def explain_placement(
        self, what: pb.Workload | pb.PlaceRequest | str, *, timeout: float | None = None
    ) -> pb.ExplainPlacementResponse:
        """Explain a decision to be made now, or (given its name or id) a logged one, which is made again for it."""
        request = pb.ExplainPlacementRequest(parent=self._caller.parent())
        if isinstance(what, str):
            request.decision = self._caller.name("decisions", what)
        else:
            request.request.CopyFrom(self.request(what))
            request.parent = request.request.parent
        return self._caller.unary(self._stub.ExplainPlacement, _PATH + "ExplainPlacement", request, timeout)

    def report_outcome(
        self,
        outcomes: Iterable[pb.Outcome],
        *,
        decision: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> int:
        """Tell what happened; answers the revision of the learned state that holds it.

        `decision` is the name or id of the decision that it belongs to, if any.
        """
        request = pb.ReportOutcomeRequest(
            parent=self._caller.parent(),
            decision=self._caller.name("decisions", decision) if decision else "",
            outcomes=outcomes,
            request_id=request_id or fresh_request_id(),
        )
        return self._caller.unary(self._stub.ReportOutcome, _PATH + "ReportOutcome", request, timeout).learned_revision

    def get_decision(self, name: str, *, timeout: float | None = None) -> pb.Decision:
        """Read a decision of the log by name or id."""
        request = pb.GetDecisionRequest(name=self._caller.name("decisions", name))
        return self._caller.unary(self._stub.GetDecision, _PATH + "GetDecision", request, timeout)

    def list_decisions(
        self, *, where: str = "", page_size: int = 0, timeout: float | None = None
    ) -> Iterator[pb.Decision]:
        """The project's decisions, newest first, asked for page by page. `where` is an AIP-160 filter."""
        request = pb.ListDecisionsRequest(parent=self._caller.parent(), filter=where, page_size=page_size)
        return walk_pages(partial(self.list_decisions_page, timeout=timeout), request, lambda page: page.decisions)

    def list_decisions_page(
        self, request: pb.ListDecisionsRequest, *, timeout: float | None = None
    ) -> pb.ListDecisionsResponse:
        """One page of decisions."""
        return self._caller.unary(self._stub.ListDecisions, _PATH + "ListDecisions", request, timeout)

    def release_decision(self, name: str, *, request_id: str = "", timeout: float | None = None) -> pb.Decision:
        """Give back what a decision reserved."""
        request = pb.ReleaseDecisionRequest(
            name=self._caller.name("decisions", name), request_id=request_id or fresh_request_id()
        )
        return self._caller.unary(self._stub.ReleaseDecision, _PATH + "ReleaseDecision", request, timeout)
