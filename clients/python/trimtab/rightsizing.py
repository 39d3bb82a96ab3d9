"""Methods of `RightsizingService` that advise on single resources."""

from collections.abc import Iterable, Iterator
from functools import partial

import grpc

from trimtab.calls import Caller, fresh_request_id, walk_pages
from trimtab.errors import CallError, from_status
from trimtab.v1 import rightsizing_service_pb2 as pb
from trimtab.v1.rightsizing_service_pb2_grpc import RightsizingServiceStub

_PATH = "/trimtab.v1.RightsizingService/"


class Rightsizing:
    """How big resources should be. Every method raises `trimtab.errors.CallError` when the call fails.

    Nothing to do, not enough data, unsupported and source failed are findings of an advice, not errors.
    """

    __slots__ = ("_caller", "_stub")

    def __init__(self, channel: grpc.Channel, caller: Caller) -> None:
        self._stub = RightsizingServiceStub(channel)
        self._caller = caller

    def rightsize(
        self, request: pb.RightsizeRequest, *, validate_only: bool | None = None, timeout: float | None = None
    ) -> pb.RightsizingAdvice:
        """Advise on one resource. The advice is stored as a recommendation, unless `validate_only`."""
        return self._caller.unary(
            self._stub.Rightsize, _PATH + "Rightsize", self._whole(request, validate_only), timeout
        )

    def batch_rightsize(
        self,
        requests: Iterable[pb.RightsizeRequest],
        *,
        validate_only: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> list[pb.RightsizingAdvice | CallError]:
        """Advise on up to 256 resources in one call: an advice or an error (not raised) for each, in the same order."""
        batch = pb.BatchRightsizeRequest(
            parent=self._caller.parent(),
            requests=requests,
            validate_only=validate_only,
            request_id="" if validate_only else request_id or fresh_request_id(),
        )
        reply = self._caller.unary(self._stub.BatchRightsize, _PATH + "BatchRightsize", batch, timeout)
        return [
            from_status(result.error) if result.WhichOneof("result") == "error" else result.advice
            for result in reply.results
        ]

    def stream_rightsize(
        self,
        request: pb.RightsizeRequest,
        points: Iterable[pb.SeriesPoints],
        *,
        validate_only: bool | None = None,
        timeout: float | None = None,
    ) -> pb.RightsizingAdvice:
        """Advise on one resource whose series are larger than a message: the request names them, `points` follow."""

        def parts() -> Iterator[pb.StreamRightsizeRequest]:
            yield pb.StreamRightsizeRequest(request=whole)
            for one in points:
                yield pb.StreamRightsizeRequest(points=one)

        whole = self._whole(request, validate_only)
        return self._caller.upload(self._stub.StreamRightsize, _PATH + "StreamRightsize", parts(), timeout)

    def list_telemetry_sources(
        self, *, where: str = "", page_size: int = 0, timeout: float | None = None
    ) -> Iterator[pb.TelemetrySource]:
        """The sources that the project may use, by name; `where` is AIP-160."""
        request = pb.ListTelemetrySourcesRequest(parent=self._caller.parent(), filter=where, page_size=page_size)
        call = partial(
            self._caller.unary, self._stub.ListTelemetrySources, _PATH + "ListTelemetrySources", timeout=timeout
        )
        return walk_pages(call, request, lambda reply: reply.telemetry_sources)

    def _whole(self, given: pb.RightsizeRequest, validate_only: bool | None) -> pb.RightsizeRequest:  # noqa: FBT001 - as given
        """The request as it is sent: a new message; what was given is not changed."""
        request = pb.RightsizeRequest()
        request.CopyFrom(given)
        request.parent = self._caller.parent(given.parent)
        if validate_only is not None:
            request.validate_only = validate_only
        if not request.request_id and not request.validate_only:
            request.request_id = fresh_request_id()
        return request
