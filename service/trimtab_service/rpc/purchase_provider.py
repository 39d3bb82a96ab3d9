"""What a provider itself recommends: the question parsed, its answer as a message."""

from datetime import timedelta
from typing import Final

from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab_service.domain.commitments import CommitmentKind
from trimtab_service.domain.purchasing import Payment
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.purchasing.ports import ProviderAdvice, ProviderQuestion
from trimtab_service.rpc import bounds
from trimtab_service.rpc.commitment_codec import KINDS
from trimtab_service.rpc.fields import Violations
from trimtab_service.rpc.purchase_parser import PAYMENTS
from trimtab_service.rpc.vocabulary import money_of_nanos, set_timestamp

_YEAR: Final = timedelta(days=365)
_LOOKBACK: Final = timedelta(days=30)
_MOST_H: Final = 5 * 8_784.0


def provider_question(request: pb.FetchProviderRecommendationRequest) -> ProviderQuestion:
    """Raises InvalidArgumentError with every fault."""
    found = Violations()
    if not request.telemetry_source:
        found.add("telemetry_source", ErrorReason.FIELD_REQUIRED, "name a configured account")
    kind, payment = KINDS.get(request.kind), PAYMENTS.get(request.payment)
    if kind is None:
        found.add("kind", ErrorReason.FIELD_REQUIRED, "say the provider's product")
    if payment is None:
        found.add("payment", ErrorReason.UNKNOWN_VALUE, "not a payment option")
    term, lookback = _YEAR, _LOOKBACK
    if request.HasField("term"):
        term = timedelta(hours=bounds.hours(found, "term", request.term, most=_MOST_H, positive=True))
    if request.HasField("lookback"):
        lookback = timedelta(hours=bounds.hours(found, "lookback", request.lookback, most=_MOST_H, positive=True))
    found.check()
    return ProviderQuestion(
        kind or CommitmentKind.AWS_COMPUTE_SAVINGS_PLAN, term, payment or Payment.NO_UPFRONT, lookback
    )


def provider_answer(advice: ProviderAdvice) -> pb.ProviderRecommendation:
    """The message."""
    message = pb.ProviderRecommendation(utilization=advice.utilisation)
    message.commitment_per_hour.CopyFrom(money_of_nanos(advice.commitment_nanos_per_hour))
    message.monthly_saving.CopyFrom(money_of_nanos(advice.monthly_saving_nanos))
    message.upfront_cost.CopyFrom(money_of_nanos(advice.upfront_nanos))
    if advice.as_of is not None:
        set_timestamp(message.as_of, advice.as_of)
    return message
