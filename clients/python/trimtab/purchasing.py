"""Methods of `PurchasingService`."""

import copy
from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeVar

import grpc

from trimtab.calls import Caller, fresh_request_id
from trimtab.commitments import Commitments
from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab.v1.purchasing_service_pb2_grpc import PurchasingServiceStub

_PATH: Final = "/trimtab.v1.PurchasingService/"
_HOURS_A_MESSAGE: Final = 100_000
MOST_MESSAGE_BYTES: Final = 3_500_000
"""A larger request is sent in parts: servers take 4 MiB in one message."""


class _Addressed(Protocol):
    """A request of a project."""

    parent: str


_Request = TypeVar("_Request", bound=_Addressed)
_MOST_IMPORTED: Final = 1_000
_Part = TypeVar("_Part")
_WithUsage = pb.OptimizePurchasePlanRequest | pb.EvaluatePurchasePlanRequest | pb.GetShadowPricesRequest


class Purchasing:
    """How capacity should be bought. Every method raises `trimtab.errors.CallError` when the call fails.

    Requests are sent as they are, but for `parent`, which is the client's project where none is given.
    """

    __slots__ = ("_caller", "_stub")

    def __init__(self, channel: grpc.Channel, caller: Caller) -> None:
        self._stub = PurchasingServiceStub(channel)
        self._caller = caller

    def optimize_purchase_plan(
        self, request: pb.OptimizePurchasePlanRequest, *, timeout: float | None = None
    ) -> pb.PurchasePlan:
        """The cheapest portfolio, with its proof. Stored as a recommendation, unless `validate_only`."""
        return self._caller.unary(
            self._stub.OptimizePurchasePlan, _PATH + "OptimizePurchasePlan", self._whole(request), timeout
        )

    def stream_optimize_purchase_plan(
        self, request: pb.OptimizePurchasePlanRequest, *, timeout: float | None = None
    ) -> pb.PurchasePlan:
        """As `optimize_purchase_plan`, with the hours of usage sent in parts: for more than fits into one message."""
        path = _PATH + "StreamOptimizePurchasePlan"
        whole = self._whole(request)
        messages = _parts(whole, pb.StreamOptimizePurchasePlanRequest)
        return self._caller.upload(self._stub.StreamOptimizePurchasePlan, path, messages, timeout)

    def evaluate_purchase_plan(
        self, request: pb.EvaluatePurchasePlanRequest, *, timeout: float | None = None
    ) -> pb.PurchaseBill:
        """What usage costs under a portfolio, to the last digit."""
        return self._caller.unary(
            self._stub.EvaluatePurchasePlan, _PATH + "EvaluatePurchasePlan", self._addressed(request), timeout
        )

    def stream_evaluate_purchase_plan(
        self, request: pb.EvaluatePurchasePlanRequest, *, timeout: float | None = None
    ) -> pb.PurchaseBill:
        """As `evaluate_purchase_plan`, with the hours of usage sent in parts."""
        path = _PATH + "StreamEvaluatePurchasePlan"
        messages = _parts(self._addressed(request), pb.StreamEvaluatePurchasePlanRequest)
        return self._caller.upload(self._stub.StreamEvaluatePurchasePlan, path, messages, timeout)

    def backtest_purchase_policy(
        self, request: pb.BacktestPurchasePolicyRequest, *, timeout: float | None = None
    ) -> pb.BacktestPurchasePolicyResponse:
        """What each policy would have cost on a history, against hindsight."""
        return self._caller.unary(
            self._stub.BacktestPurchasePolicy, _PATH + "BacktestPurchasePolicy", self._addressed(request), timeout
        )

    def plan_ladder(self, request: pb.PlanLadderRequest, *, timeout: float | None = None) -> pb.PurchaseLadder:
        """Purchases over the coming months."""
        return self._caller.unary(self._stub.PlanLadder, _PATH + "PlanLadder", self._addressed(request), timeout)

    def get_shadow_prices(self, request: pb.GetShadowPricesRequest, *, timeout: float | None = None) -> pb.ShadowPrices:
        """When a committed dollar is idle."""
        return self._caller.unary(
            self._stub.GetShadowPrices, _PATH + "GetShadowPrices", self._addressed(request), timeout
        )

    def stream_get_shadow_prices(
        self, request: pb.GetShadowPricesRequest, *, timeout: float | None = None
    ) -> pb.ShadowPrices:
        """As `get_shadow_prices`, with the hours of usage sent in parts."""
        path = _PATH + "StreamGetShadowPrices"
        messages = _parts(self._addressed(request), pb.StreamGetShadowPricesRequest)
        return self._caller.upload(self._stub.StreamGetShadowPrices, path, messages, timeout)

    def fetch_provider_recommendation(
        self, request: pb.FetchProviderRecommendationRequest, *, timeout: float | None = None
    ) -> pb.ProviderRecommendation:
        """What the provider itself recommends."""
        return self._caller.unary(
            self._stub.FetchProviderRecommendation,
            _PATH + "FetchProviderRecommendation",
            self._addressed(request),
            timeout,
        )

    def _addressed(self, given: _Request) -> _Request:
        """A new message with its parent; what was given is not changed."""
        made = copy.deepcopy(given)
        made.parent = self._caller.parent(given.parent)
        return made

    def _whole(self, given: pb.OptimizePurchasePlanRequest) -> pb.OptimizePurchasePlanRequest:
        request = self._addressed(given)
        if not request.request_id and not request.validate_only:
            request.request_id = fresh_request_id()
        return request


class _KeepsCommitments(Protocol):
    """A client, as far as `keep_use` needs one."""

    @property
    def commitments(self) -> Commitments:
        """What the project owns."""
        ...


def keep_use(client: _KeepsCommitments, prices: pb.ShadowPrices) -> int:
    """Enter how far each of the project's commitments is used by the hour of the week, so that placement knows it.

    Returns with how many it was entered. Plans that are none of the project's are passed over, as are those that ended.
    """
    used = {one.commitment_id: one.used_by_hour_of_week for one in prices.commitments}
    changed = []
    for commitment in client.commitments.list_commitments():
        shares = used.get(commitment.name.rpartition("/")[2])
        if shares is not None and not commitment.HasField("ended_time"):
            del commitment.used_by_hour_of_week[:]
            commitment.used_by_hour_of_week.extend(shares)
            changed.append(commitment)
    for begin in range(0, len(changed), _MOST_IMPORTED):
        client.commitments.import_commitments(changed[begin : begin + _MOST_IMPORTED])
    return len(changed)


def _parts(request: _WithUsage, part: Callable[..., _Part]) -> Iterator[_Part]:
    """The request without its hours, then those, series by series."""
    head = copy.deepcopy(request)
    for series in head.demand.series:
        del series.hourly_usage[:]
        del series.epoch_seconds[:]
    yield part(request=head)
    for index, series in enumerate(request.demand.series):
        for begin in range(0, len(series.hourly_usage), _HOURS_A_MESSAGE):
            end = begin + _HOURS_A_MESSAGE
            yield part(
                hours=pb.DemandHours(
                    series=index,
                    hourly_usage=series.hourly_usage[begin:end],
                    epoch_seconds=series.epoch_seconds[begin:end],
                )
            )
