"""What tests of the purchasing service ask, and what they read of the answer."""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import grpc
import pytest

from tests.support.contract import Refusal, refusal_of
from tests.support.service import RunningService
from trimtab import certificates
from trimtab.v1 import purchasing_service_pb2 as pb

POINT_CAP = 2_000_000
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PLAN = pb.PurchasePlan


def planned(service: RunningService, request: pb.OptimizePurchasePlanRequest, timeout: float = 60) -> pb.PurchasePlan:
    """The plan."""
    answer: pb.PurchasePlan = service.purchasing.OptimizePurchasePlan(request, timeout=timeout)
    return answer


def refused(service: RunningService, request: pb.OptimizePurchasePlanRequest) -> Refusal:
    """The refusal of a request that must be refused."""
    with pytest.raises(grpc.RpcError) as caught:
        service.purchasing.OptimizePurchasePlan(request, timeout=60)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT, caught.value
    return refusal_of(caught.value)


def amount(money: object) -> Decimal:
    """A Money as it is."""
    return Decimal(getattr(money, "units", 0)) + Decimal(getattr(money, "nanos", 0)).scaleb(-9)


def proof_of(plan: pb.PurchasePlan) -> tuple[float, float]:
    """Cost and bound by the independent checker, from the reply alone."""
    document = json.loads(gzip.decompress(plan.certificate.evidence))
    cost = sum(
        certificates.cost(problem, amounts)
        for problem, amounts in zip(document["problems"], document["amounts"], strict=True)
    )
    bound = sum(
        certificates.lower_bound(problem, prices)
        for problem, prices in zip(document["problems"], document["prices"], strict=True)
    )
    return cost, bound


def parts(request: pb.OptimizePurchasePlanRequest, size: int = 100) -> Iterator[pb.StreamOptimizePurchasePlanRequest]:
    """A request as a stream: its heads, then hours in turn."""
    head = pb.OptimizePurchasePlanRequest()
    head.CopyFrom(request)
    for series in head.demand.series:
        del series.hourly_usage[:]
    yield pb.StreamOptimizePurchasePlanRequest(request=head)
    longest = max(len(series.hourly_usage) for series in request.demand.series)
    for begin in range(0, longest, size):
        for index, series in enumerate(request.demand.series):
            hours = pb.DemandHours(series=index, hourly_usage=series.hourly_usage[begin : begin + size])
            yield pb.StreamOptimizePurchasePlanRequest(hours=hours)
