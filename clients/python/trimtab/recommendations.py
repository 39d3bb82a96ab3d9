"""Methods of `RecommendationService`."""

from collections.abc import Generator, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import partial

import grpc

from trimtab.calls import Caller, follow, fresh_request_id, walk_pages
from trimtab.v1 import recommendation_service_pb2 as pb
from trimtab.v1 import rightsizing_pb2
from trimtab.v1.recommendation_service_pb2_grpc import RecommendationServiceStub

_PATH = "/trimtab.v1.RecommendationService/"
_NONE: Mapping[str, str] = {}


class Recommendations:
    """What trimtab advises, and what became of it. Every method raises `trimtab.errors.CallError` when it fails.

    Recommendations are named by their resource name or their id. Changes are made once: without a `request_id` each
    call has a fresh one, so that retries of the transport repeat nothing.
    """

    __slots__ = ("_caller", "_stub")

    def __init__(self, channel: grpc.Channel, caller: Caller) -> None:
        self._stub = RecommendationServiceStub(channel)
        self._caller = caller

    def get_recommendation(self, name: str, *, timeout: float | None = None) -> pb.Recommendation:
        """Read one, with its whole history."""
        request = pb.GetRecommendationRequest(name=self._name(name))
        return self._caller.unary(self._stub.GetRecommendation, _PATH + "GetRecommendation", request, timeout)

    def list_recommendations(
        self, *, where: str = "", order_by: str = "", page_size: int = 0, timeout: float | None = None
    ) -> Iterator[pb.Recommendation]:
        """The project's recommendations, asked for page by page. `where` is an AIP-160 filter."""
        request = pb.ListRecommendationsRequest(
            parent=self._caller.parent(), filter=where, order_by=order_by, page_size=page_size
        )
        return walk_pages(
            partial(self.list_recommendations_page, timeout=timeout), request, lambda page: page.recommendations
        )

    def list_recommendations_page(
        self, request: pb.ListRecommendationsRequest, *, timeout: float | None = None
    ) -> pb.ListRecommendationsResponse:
        """One page."""
        return self._caller.unary(self._stub.ListRecommendations, _PATH + "ListRecommendations", request, timeout)

    def watch_recommendations(
        self, *, where: str = "", resume_token: str = "", timeout: float | None = None
    ) -> Iterator[pb.RecommendationEvent]:
        """What comes and changes, as it does, over as many connections as it takes.

        Give the last event's token back to go on after it. Without one it is from now on, and until the first event
        also when a connection is followed by another.
        """

        def stream(token: str, left: float | None) -> Generator[pb.RecommendationEvent, None, None]:
            request = pb.WatchRecommendationsRequest(parent=self._caller.parent(), filter=where, resume_token=token)
            return self._caller.stream(self._stub.WatchRecommendations, _PATH + "WatchRecommendations", request, left)

        return follow(stream, resume_token, timeout)

    def claim_recommendation(  # noqa: PLR0913 - the fields of its request
        self,
        name: str,
        *,
        etag: str = "",
        comment: str = "",
        state_metadata: Mapping[str, str] = _NONE,
        request_id: str = "",
        timeout: float | None = None,
    ) -> pb.Recommendation:
        """Take it in hand; its content is frozen from then on."""
        request = pb.ClaimRecommendationRequest(
            name=self._name(name),
            etag=etag,
            comment=comment,
            state_metadata=state_metadata,
            request_id=request_id or fresh_request_id(),
        )
        return self._caller.unary(self._stub.ClaimRecommendation, _PATH + "ClaimRecommendation", request, timeout)

    def mark_recommendation_succeeded(  # noqa: PLR0913 - the fields of its request
        self,
        name: str,
        *,
        reason: "pb.TransitionReason.ValueType" = pb.TRANSITION_REASON_UNSPECIFIED,
        etag: str = "",
        comment: str = "",
        state_metadata: Mapping[str, str] = _NONE,
        request_id: str = "",
        timeout: float | None = None,
    ) -> pb.Recommendation:
        """It was carried out elsewhere."""
        request = pb.MarkRecommendationSucceededRequest(
            name=self._name(name),
            reason=reason,
            etag=etag,
            comment=comment,
            state_metadata=state_metadata,
            request_id=request_id or fresh_request_id(),
        )
        path = _PATH + "MarkRecommendationSucceeded"
        return self._caller.unary(self._stub.MarkRecommendationSucceeded, path, request, timeout)

    def mark_recommendation_failed(  # noqa: PLR0913 - the fields of its request
        self,
        name: str,
        reason: "pb.TransitionReason.ValueType",
        *,
        etag: str = "",
        comment: str = "",
        state_metadata: Mapping[str, str] = _NONE,
        request_id: str = "",
        timeout: float | None = None,
    ) -> pb.Recommendation:
        """Carrying it out failed."""
        request = pb.MarkRecommendationFailedRequest(
            name=self._name(name),
            reason=reason,
            etag=etag,
            comment=comment,
            state_metadata=state_metadata,
            request_id=request_id or fresh_request_id(),
        )
        path = _PATH + "MarkRecommendationFailed"
        return self._caller.unary(self._stub.MarkRecommendationFailed, path, request, timeout)

    def dismiss_recommendation(  # noqa: PLR0913 - the fields of its request
        self,
        name: str,
        reason: "pb.TransitionReason.ValueType",
        *,
        etag: str = "",
        comment: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> pb.Recommendation:
        """Set it aside until it is reopened."""
        request = pb.DismissRecommendationRequest(
            name=self._name(name),
            reason=reason,
            etag=etag,
            comment=comment,
            request_id=request_id or fresh_request_id(),
        )
        return self._caller.unary(self._stub.DismissRecommendation, _PATH + "DismissRecommendation", request, timeout)

    def reopen_recommendation(  # noqa: PLR0913 - the fields of its request
        self,
        name: str,
        *,
        reason: "pb.TransitionReason.ValueType" = pb.TRANSITION_REASON_UNSPECIFIED,
        etag: str = "",
        comment: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> pb.Recommendation:
        """Make it active again."""
        request = pb.ReopenRecommendationRequest(
            name=self._name(name),
            reason=reason,
            etag=etag,
            comment=comment,
            request_id=request_id or fresh_request_id(),
        )
        return self._caller.unary(self._stub.ReopenRecommendation, _PATH + "ReopenRecommendation", request, timeout)

    def approve_recommendation(  # noqa: PLR0913 - the fields of its request
        self,
        name: str,
        etag: str,
        *,
        valid_for: timedelta | None = None,
        comment: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> pb.Recommendation:
        """Approve the content of that etag; None is good for 24 hours."""
        request = pb.ApproveRecommendationRequest(
            name=self._name(name), etag=etag, comment=comment, request_id=request_id or fresh_request_id()
        )
        if valid_for is not None:
            request.valid_for.FromTimedelta(valid_for)
        return self._caller.unary(self._stub.ApproveRecommendation, _PATH + "ApproveRecommendation", request, timeout)

    def apply_recommendation(
        self,
        name: str,
        *,
        execute: bool = False,
        etag: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> pb.ApplyRecommendationResponse:
        """Carry it out; without `execute` only say what would be done. Waits for the clouds: give it minutes.

        After DEADLINE_EXCEEDED it goes on; the same `request_id` waits for it again.
        """
        request = pb.ApplyRecommendationRequest(
            name=self._name(name), execute=execute, etag=etag, request_id=request_id or fresh_request_id()
        )
        return self._caller.unary(self._stub.ApplyRecommendation, _PATH + "ApplyRecommendation", request, timeout)

    def roll_back_recommendation(
        self,
        name: str,
        *,
        execute: bool = False,
        etag: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> pb.ApplyRecommendationResponse:
        """Undo what was applied; without `execute` only say what would be done. As `apply_recommendation`."""
        request = pb.RollBackRecommendationRequest(
            name=self._name(name), execute=execute, etag=etag, request_id=request_id or fresh_request_id()
        )
        path = _PATH + "RollBackRecommendation"
        return self._caller.unary(self._stub.RollBackRecommendation, path, request, timeout)

    def verify_recommendation(  # noqa: PLR0913 - the fields of its request
        self,
        name: str,
        *,
        telemetry: rightsizing_pb2.Telemetry | None = None,
        telemetry_source: str = "",
        running_hours: float | None = None,
        request_id: str = "",
        timeout: float | None = None,
    ) -> pb.Recommendation:
        """Measure what it brought, by the telemetry given or a source's."""
        request = pb.VerifyRecommendationRequest(
            name=self._name(name),
            telemetry=telemetry,
            telemetry_source=telemetry_source,
            running_hours=running_hours,
            request_id=request_id or fresh_request_id(),
        )
        return self._caller.unary(self._stub.VerifyRecommendation, _PATH + "VerifyRecommendation", request, timeout)

    def summarize_recommendations(
        self,
        *,
        where: str = "",
        group_by: "Iterable[pb.SummarizeRecommendationsRequest.GroupBy.ValueType]" = (),
        timeout: float | None = None,
    ) -> pb.SummarizeRecommendationsResponse:
        """Totals: promised, applied, realised."""
        request = pb.SummarizeRecommendationsRequest(parent=self._caller.parent(), filter=where, group_by=group_by)
        path = _PATH + "SummarizeRecommendations"
        return self._caller.unary(self._stub.SummarizeRecommendations, path, request, timeout)

    def _name(self, name: str) -> str:
        return self._caller.name("recommendations", name)
