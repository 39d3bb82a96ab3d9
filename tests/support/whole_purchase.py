"""Whole requests of purchasing."""

from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from tests.support.whole_values import UUID
from trimtab.v1 import commitment_service_pb2, purchasing_service_pb2


def whole_purchase(project: str = "vision") -> purchasing_service_pb2.OptimizePurchasePlanRequest:
    """A plan with everything that may be said of one, of two days."""
    hours = [float(5 + hour % 24) for hour in range(48)]
    offer: dict[str, Any] = {
        "offerId": "m5-1y",
        "kind": "KIND_AWS_EC2_INSTANCE_SAVINGS_PLAN",
        "cloud": "CLOUD_AWS",
        "family": "m5",
        "region": "us-east-1",
        "term": "31536000s",
        "payment": "PAYMENT_OPTION_PARTIAL_UPFRONT",
        "upfrontFraction": 0.5,
        "rate": 0.6,
        "rates": {"m5.large": 0.61},
        "commitmentBasis": "COMMITMENT_BASIS_DISCOUNTED",
        "unitPricePerHour": {"currencyCode": "USD", "nanos": 10_000_000},
        "quote": {"usageType": "BoxUsage:m5.large", "rate": {"currencyCode": "USD", "nanos": 60_000_000}},
    }
    owned = {
        "commitmentId": "old",
        "offer": {**offer, "offerId": ""},
        "commitmentPerHour": {"currencyCode": "USD", "units": "1"},
        "startTime": "2026-01-01T00:00:00Z",
        "endTime": "2027-01-01T00:00:00Z",
        "account": "123456789012",
    }
    return ParseDict(
        {
            "parent": f"projects/{project}",
            "demand": {
                "currencyCode": "USD",
                "startTime": "2026-01-05T00:00:00Z",
                "series": [
                    {
                        "cloud": "CLOUD_AWS",
                        "family": "m5",
                        "region": "us-east-1",
                        "sku": "m5.large",
                        "account": "123456789012",
                        "hourlyUsage": hours,
                        "unitPrice": {"currencyCode": "USD", "nanos": 96_000_000},
                        "epochSeconds": [str(1_767_571_200 + 3_600 * hour) for hour in range(48)],
                    }
                ],
            },
            "offers": [offer],
            "onlyGivenOffers": True,
            "owned": [owned],
            "spot": [{"cloud": "CLOUD_AWS", "family": "c5", "region": "r", "share": 0.5, "onDemandFraction": 0.4}],
            "changes": [
                {
                    "kind": "KIND_MIGRATES",
                    "cloud": "CLOUD_AWS",
                    "family": "m5",
                    "region": "us-east-1",
                    "effectiveTime": "2030-01-01T00:00:00Z",
                    "factor": 0.9,
                    "toFamily": "m6i",
                }
            ],
            "scenarios": [{"scenarioId": "one", "probability": 1.0, "scale": 0.9, "familyScales": {"m5": 1.1}}],
            "limits": {
                "maxCommitmentPerHour": {"currencyCode": "USD", "units": "100"},
                "terms": ["31536000s"],
                "payments": ["PAYMENT_OPTION_PARTIAL_UPFRONT"],
            },
            "riskPreference": "RISK_PREFERENCE_CVAR",
            "riskTail": 0.1,
            "annualCapitalFraction": 0.05,
            "horizon": "172800s",
            "purchaseTimes": ["2030-01-01T00:00:00Z"],
            "notRenewed": True,
            "skipBacktest": True,
            "requestId": UUID,
            "maxEvidenceBytes": "1000",
        },
        purchasing_service_pb2.OptimizePurchasePlanRequest(),
    )


def whole_purchasing_requests(project: str) -> dict[str, list[Message]]:
    """Requests of every RPC of `PurchasingService`."""
    r, whole = purchasing_service_pb2, whole_purchase(project)
    named: dict[str, Any] = {"parent": whole.parent, "demand": whole.demand}
    backtest = r.BacktestPurchasePolicyRequest(**named, rate=0.6, family_locked=True, policy_ids=["drift"])
    backtest.term.seconds = 86_400
    ladder = r.PlanLadderRequest(**named, offer=whole.offers[0], owned=whole.owned, changes=whole.changes, steps=3)
    ladder.cadence.seconds = 2_628_000
    fetch = r.FetchProviderRecommendationRequest(
        parent=whole.parent,
        telemetry_source="prod",
        kind=commitment_service_pb2.Commitment.KIND_AWS_COMPUTE_SAVINGS_PLAN,
        payment=r.PAYMENT_OPTION_NO_UPFRONT,
    )
    fetch.term.seconds, fetch.lookback.seconds = 31_536_000, 2_592_000
    evaluate = r.EvaluatePurchasePlanRequest(**named, plans=whole.owned, include_project_commitments=True, hourly=True)
    shadow = r.GetShadowPricesRequest(**named, plans=whole.owned)
    service = "/trimtab.v1.PurchasingService/"
    return {
        service + "OptimizePurchasePlan": [whole],
        service + "StreamOptimizePurchasePlan": [r.StreamOptimizePurchasePlanRequest(request=whole)],
        service + "EvaluatePurchasePlan": [evaluate],
        service + "StreamEvaluatePurchasePlan": [r.StreamEvaluatePurchasePlanRequest(request=evaluate)],
        service + "BacktestPurchasePolicy": [backtest],
        service + "PlanLadder": [ladder],
        service + "GetShadowPrices": [shadow],
        service + "StreamGetShadowPrices": [r.StreamGetShadowPricesRequest(request=shadow)],
        service + "FetchProviderRecommendation": [fetch],
    }
