"""Savings Plans and Cost Explorer of one AWS account on a real port: knows the calls below, and refuses all else.

Shapes, patterns and limits are those of the services' published models; a client token is honoured, a second purchase
with it and other contents is a conflict.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tests.support.http_fake import Answer, HttpFake, Seen
from tests.support.reserved_instances_api import ReservedInstancesApi
from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.domain.offers import Cloud
from trimtab_service.rightsizing.ports import SourceKind

ACCOUNT: Final = "123456789012"
_AMOUNT: Final = re.compile(r"\d+(\.\d{1,5})?")
_KNOWN: Final = {
    "/DescribeSavingsPlans": {"states", "maxResults", "nextToken"},
    "/DescribeSavingsPlansOfferings": {
        "planTypes",
        "paymentOptions",
        "durations",
        "currencies",
        "filters",
        "maxResults",
        "nextToken",
    },
    "/DescribeSavingsPlansOfferingRates": {"savingsPlanOfferingIds", "usageTypes", "maxResults", "nextToken"},
    "/CreateSavingsPlan": {"savingsPlanOfferingId", "commitment", "upfrontPaymentAmount", "clientToken", "tags"},
}
_ADVICE: Final = "AWSInsightsIndexService.GetSavingsPlansPurchaseRecommendation"
_ADVICE_KEYS: Final = {"SavingsPlansType", "TermInYears", "PaymentOption", "LookbackPeriodInDays"}


@dataclass(slots=True)
class SavingsPlansApi:
    """What the account has and is offered. `rates` are USD an hour by offering and usage type."""

    offerings: list[dict[str, Any]] = field(default_factory=list)
    rates: dict[tuple[str, str], str] = field(default_factory=dict)
    plans: list[dict[str, Any]] = field(default_factory=list)
    tokens: dict[str, tuple[dict[str, Any], str]] = field(default_factory=dict)
    advice: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    reserved: ReservedInstancesApi = field(default_factory=ReservedInstancesApi)

    def respond(self, seen: Seen) -> Answer:  # noqa: PLR0911 - an answer a call
        """The answer of AWS."""
        if seen.path == "/" and "x-amz-target" not in seen.headers:
            return self.reserved.respond(seen.body)
        body = seen.json or {}
        if seen.path == "/":
            return self._advised(seen, body)
        if seen.method != "POST" or seen.path not in _KNOWN or set(body) - _KNOWN[seen.path]:
            return _invalid(f"unknown call or field: {seen.path} {sorted(body)}")
        self.asked.append(seen.path[1:])
        if "maxResults" in body and not 1 <= body["maxResults"] <= 1_000:
            return _invalid("maxResults")
        if seen.path == "/DescribeSavingsPlans":
            return Answer({"savingsPlans": [plan for plan in self.plans if plan["state"] in body["states"]]})
        if seen.path == "/DescribeSavingsPlansOfferings":
            return Answer({"searchResults": [one for one in self.offerings if _offered(one, body)]})
        if seen.path == "/DescribeSavingsPlansOfferingRates":
            wanted = {(o, u) for o in body["savingsPlanOfferingIds"] for u in body["usageTypes"]}
            rows = [
                {"savingsPlanOffering": {"offeringId": key[0]}, "usageType": key[1], "rate": rate, "unit": "Hrs"}
                for key, rate in self.rates.items()
                if key in wanted
            ]
            return Answer({"searchResults": rows})
        return self._created(body)

    def _created(self, body: dict[str, Any]) -> Answer:
        offering = next((one for one in self.offerings if one["offeringId"] == body["savingsPlanOfferingId"]), None)
        if offering is None or not _AMOUNT.fullmatch(body["commitment"]):
            return _invalid("offering or commitment")
        if len(body.get("tags", {})) > 50 or any(len(value) > 256 for value in body.get("tags", {}).values()):
            return _invalid("tags")
        if ("upfrontPaymentAmount" in body) != (offering["paymentOption"] == "Partial Upfront"):
            return _invalid("upfrontPaymentAmount goes with Partial Upfront")
        known = self.tokens.get(body["clientToken"])
        if known is not None:
            return Answer({"savingsPlanId": known[1]}) if known[0] == body else _invalid("the token was used before")
        made = f"sp-{len(self.plans) + 1}"
        self.tokens[body["clientToken"]] = (body, made)
        start = datetime.now(UTC)
        self.plans.append(
            {
                "savingsPlanId": made,
                "offeringId": offering["offeringId"],
                "state": "payment-pending",
                "commitment": body["commitment"],
                "start": f"{start:%Y-%m-%dT%H:%M:%S.000Z}",
                "end": f"{start + timedelta(days=365):%Y-%m-%dT%H:%M:%S.000Z}",
                "tags": body.get("tags", {}),
            }
        )
        return Answer({"savingsPlanId": made})

    def _advised(self, seen: Seen, body: dict[str, Any]) -> Answer:
        if seen.headers.get("x-amz-target") != _ADVICE or set(body) != _ADVICE_KEYS:
            return Answer({"__type": "ValidationException", "message": f"{sorted(body)}"}, 400)
        self.asked.append("GetSavingsPlansPurchaseRecommendation")
        return Answer(self.advice)


def offering(name: str, plan_type: str = "Compute", payment: str = "No Upfront", **properties: str) -> dict[str, Any]:
    """An offering of one year."""
    return {
        "offeringId": name,
        "planType": plan_type,
        "paymentOption": payment,
        "durationSeconds": 31_536_000,
        "currency": "USD",
        "properties": [{"name": key, "value": value} for key, value in properties.items()],
    }


@contextmanager
def aws_account(api: SavingsPlansApi, directory: Path, **configured: Any) -> Iterator[CloudAccount]:  # noqa: ANN401 - fields of the account
    """An account whose Savings Plans and Cost Explorer are the fake's."""
    credentials = directory / "credentials"
    credentials.write_text("[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = example\n")
    with HttpFake(api.respond) as fake:
        chosen: dict[str, Any] = {
            "changes": True,
            "max_purchase_nanos_per_hour": 50 * 10**9,
            "max_daily_purchase_nanos_per_hour": 80 * 10**9,
            **configured,
        }
        yield CloudAccount(
            name="prod",
            kind=SourceKind.CLOUDWATCH,
            account=ACCOUNT,
            projects=frozenset({"*"}),
            cloud=Cloud.AWS,
            regions=("us-east-1",),
            credentials_file=credentials,
            endpoint_url=fake.url,
            **chosen,
        )


def _offered(one: dict[str, Any], body: dict[str, Any]) -> bool:
    properties = {entry["name"]: entry["value"] for entry in one["properties"]}
    return (
        one["planType"] in body.get("planTypes", [one["planType"]])
        and one["paymentOption"] in body.get("paymentOptions", [one["paymentOption"]])
        and one["durationSeconds"] in body.get("durations", [one["durationSeconds"]])
        and all(properties.get(f["name"]) in f["values"] for f in body.get("filters", []))
    )


def _invalid(text: str) -> Answer:
    return Answer({"message": text}, 400, {"x-amzn-ErrorType": "ValidationException"})
