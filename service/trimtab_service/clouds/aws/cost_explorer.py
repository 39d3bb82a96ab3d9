"""What AWS Cost Explorer itself recommends to buy."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.faults import RefusedError, refused
from trimtab_service.clouds.aws.savings_plans import HOME
from trimtab_service.clouds.patience import source_failed
from trimtab_service.domain.commitments import CommitmentKind
from trimtab_service.domain.errors import UnsupportedError
from trimtab_service.domain.purchasing import Payment
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.purchasing.ports import ProviderAdvice, ProviderQuestion

_TYPES: Final[Mapping[CommitmentKind, str]] = {
    CommitmentKind.AWS_COMPUTE_SAVINGS_PLAN: "COMPUTE_SP",
    CommitmentKind.AWS_EC2_INSTANCE_SAVINGS_PLAN: "EC2_INSTANCE_SP",
    CommitmentKind.AWS_SAGEMAKER_SAVINGS_PLAN: "SAGEMAKER_SP",
}
_LOOKBACKS: Final[Mapping[int, str]] = {7: "SEVEN_DAYS", 30: "THIRTY_DAYS", 60: "SIXTY_DAYS"}
_TERMS: Final[Mapping[int, str]] = {1: "ONE_YEAR", 3: "THREE_YEARS"}
_YEAR: Final = timedelta(days=365)
_NANOS: Final = 1_000_000_000
_HUNDRED: Final = 100.0


@dataclass(frozen=True, slots=True)
class CostExplorer:
    """A `ProviderAdvisor`. Every call of Cost Explorer costs 0.01 USD."""

    calls: AwsCalls

    def recommend(self, question: ProviderQuestion, deadline: datetime) -> ProviderAdvice:
        """As the port says."""
        kind, term = _TYPES.get(question.kind), _TERMS.get(round(question.term / _YEAR))
        lookback = _LOOKBACKS.get(question.lookback.days)
        if kind is None or term is None or lookback is None:
            text = "Cost Explorer recommends Savings Plans of 1 or 3 years, from the last 7, 30 or 60 days"
            raise UnsupportedError(ErrorReason.UNSUPPORTED, text)
        asked = {
            "SavingsPlansType": kind,
            "TermInYears": term,
            "PaymentOption": question.payment.value.upper(),
            "LookbackPeriodInDays": lookback,
        }
        try:
            answer = self.calls.call("ce", HOME, "GetSavingsPlansPurchaseRecommendation", asked, deadline)
        except RefusedError as error:
            raise refused(str(error)) from error
        found = answer.get("SavingsPlansPurchaseRecommendation") or {}
        details = found.get("SavingsPlansPurchaseRecommendationDetails") or ()
        summary = found.get("SavingsPlansPurchaseRecommendationSummary") or {}
        commitment = _nanos(summary, "HourlyCommitmentToPurchase")
        years = round(question.term / _YEAR)
        share = {Payment.NO_UPFRONT: Decimal(0), Payment.ALL_UPFRONT: Decimal(1)}.get(question.payment, Decimal("0.5"))
        told = sum(_nanos(one, "UpfrontCost") for one in details)
        return ProviderAdvice(
            commitment_nanos_per_hour=commitment,
            monthly_saving_nanos=_nanos(summary, "EstimatedMonthlySavingsAmount"),
            utilisation=_utilisation(details, commitment),
            upfront_nanos=told or round(commitment * 8_760 * years * share),
            as_of=_stamp(answer.get("Metadata") or {}),
        )


def _utilisation(details: Any, commitment: int) -> float:  # noqa: ANN401 - rows as botocore parses them
    """The mean over what is recommended, weighted by commitment."""
    if commitment <= 0:
        return 0.0
    used = sum(
        _number(one, "EstimatedAverageUtilization") * _nanos(one, "HourlyCommitmentToPurchase") for one in details
    )
    return min(used / commitment / _HUNDRED, 1.0)


def _nanos(row: Mapping[str, Any], field: str) -> int:
    try:
        return int((Decimal(str(row.get(field) or "0")) * _NANOS).to_integral_value())
    except InvalidOperation:
        raise source_failed(f"Cost Explorer answered a {field} that is no number") from None


def _number(row: Mapping[str, Any], field: str) -> float:
    return _nanos(row, field) / _NANOS


def _stamp(metadata: Mapping[str, Any]) -> datetime | None:
    text = str(metadata.get("GenerationTimestamp") or "")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
