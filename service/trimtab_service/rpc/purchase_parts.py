"""Usage that comes in parts: the request first, then hours until the client closes."""

import hashlib
from collections.abc import Iterator
from typing import Final, Protocol

from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.rpc.call import Call
from trimtab_service.rpc.demand_parser import PendingDemand
from trimtab_service.rpc.fields import Violations

_CHECK_EVERY: Final = 16

First = pb.StreamOptimizePurchasePlanRequest | pb.StreamEvaluatePurchasePlanRequest | pb.StreamGetShadowPricesRequest
"""Messages of the streams: each is a request, or hours."""


class Digest(Protocol):
    """What of hashlib is needed."""

    def digest(self) -> bytes:
        """The hash."""
        ...


def gathered(first: First, more: Iterator[First], demand: PendingDemand, call: Call) -> Digest:
    """Takes over the hours of all parts; the hash is of everything that was sent.

    Memory is bounded by the cap on hours. Raises InvalidArgumentError for a part that is none, DeadlineExceededError
    when the caller leaves.
    """
    body = hashlib.sha256(first.SerializeToString(deterministic=True))
    for index, message in enumerate(more):
        if index % _CHECK_EVERY == 0:
            call.check()
        found = Violations()
        if not message.HasField("hours"):
            found.add("hours", ErrorReason.FIELD_REQUIRED, "after the request come hours")
        demand.add(message.hours.series, message.hours, found, "hours")
        found.check()
        body.update(message.SerializeToString(deterministic=True))
    return body
