"""Why a logged place would not be chosen any more, and what a request says beside its policies."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from trimtab_service.domain.offers import Cloud, PriceBasis, PurchaseOption
from trimtab_service.domain.policy import EffectivePolicy, RuleSource
from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.domain.workloads import CurrentPlace, Interruption, RegionKey, Residency, Size, Workload
from trimtab_service.policy.exclusions import Place, exclusions
from trimtab_service.policy.request_rules import rules_with_request

TODAY = date(2025, 6, 10)
IRELAND = RegionKey(Cloud.AWS, "eu-west-1")
PLACE = Place(
    location=IRELAND,
    country="IE",
    family="m7i",
    instance_type="m7i.large",
    option=PurchaseOption.SPOT,
    basis=PriceBasis.LIST,
    as_of=TODAY - timedelta(days=3),
    expected_interruptions=0.5,
    cost_micros=1_000,
)


@pytest.mark.parametrize(
    ("policy", "reasons"),
    [
        (EffectivePolicy(), []),
        (EffectivePolicy(residencies=(Residency(countries=frozenset({"IE"})),)), []),
        (EffectivePolicy(residencies=(Residency(countries=frozenset({"DE"})),)), ["RESIDENCY"]),
        (EffectivePolicy(residencies=(Residency(denied_countries=frozenset({"IE"})),)), ["RESIDENCY"]),
        (EffectivePolicy(residencies=(Residency(clouds=frozenset({Cloud.GCP})),)), ["CLOUD_NOT_ALLOWED"]),
        (EffectivePolicy(residencies=(Residency(denied_clouds=frozenset({Cloud.AWS})),)), ["CLOUD_NOT_ALLOWED"]),
        (EffectivePolicy(residencies=(Residency(denied_regions=frozenset({IRELAND})),)), ["REGION_NOT_ALLOWED"]),
        (EffectivePolicy(residencies=(Residency(families=frozenset({"c7i"})),)), ["FAMILY_NOT_ALLOWED"]),
        (
            EffectivePolicy(residencies=(Residency(denied_instance_types=frozenset({"m7i.large"})),)),
            ["TYPE_NOT_ALLOWED"],
        ),
        (EffectivePolicy(options=frozenset({PurchaseOption.ON_DEMAND})), ["PURCHASE_OPTION_NOT_ALLOWED"]),
        (EffectivePolicy(options=frozenset()), ["PURCHASE_OPTION_NOT_ALLOWED"]),
        (EffectivePolicy(price_bases=frozenset({PriceBasis.CALLER})), ["PRICE_BASIS"]),
        (EffectivePolicy(max_price_age=timedelta(days=3)), []),
        (EffectivePolicy(max_price_age=timedelta(days=2)), ["PRICE_STALE"]),
        (EffectivePolicy(max_expected_interruptions=0.5), []),
        (EffectivePolicy(max_expected_interruptions=0.4), ["INTERRUPTION_RISK"]),
        (EffectivePolicy(max_cost_micros=1_000), []),
        (EffectivePolicy(max_cost_micros=999), ["COST_LIMIT"]),
        (
            EffectivePolicy(
                residencies=(Residency(countries=frozenset({"DE"})), Residency(countries=frozenset({"FR"}))),
                max_cost_micros=1,
            ),
            ["RESIDENCY", "COST_LIMIT"],
        ),
    ],
)
def test_each_broken_guardrail_is_a_reason(policy: EffectivePolicy, reasons: list[str]) -> None:
    """Once each, and none for a guardrail that the place keeps."""
    assert exclusions(policy, PLACE, TODAY) == tuple(RejectionReason[reason] for reason in reasons)


WORKLOAD = Workload(Size(vcpus=1), 1.0)


def test_what_nobody_says_is_shown_as_default() -> None:
    """The whole of what holds: defaults too."""
    assert rules_with_request(EffectivePolicy(), WORKLOAD, options_given=False) == (
        RuleSource("purchase_options", "on_demand", "default"),
        RuleSource("tolerance_fraction", "0", "default"),
        RuleSource("minimum_gain_fraction", "0", "default"),
    )


def test_a_request_narrows_guardrails_and_overrules_preferences() -> None:
    """Guardrails of the policies stay beside the request's; its preferences replace theirs."""
    cost = RuleSource("max_expected_interruptions", "2", "policies/a")
    effective = EffectivePolicy(
        sources=(cost, RuleSource("tolerance_fraction", "0.1", "policies/a")), tolerance_fraction=0.1
    )
    workload = replace(
        WORKLOAD,
        residency=Residency(countries=frozenset({"DE"})),
        interruption=Interruption(max_expected_interruptions=1.0),
        tolerance_fraction=0.25,
        current=CurrentPlace(IRELAND, minimum_gain_fraction=0.5),
    )
    assert rules_with_request(effective, workload, options_given=True) == (
        cost,
        RuleSource("residency.countries", "DE", "request"),
        RuleSource("purchase_options", "on_demand", "request"),
        RuleSource("max_expected_interruptions", "1", "request"),
        RuleSource("tolerance_fraction", "0.25", "request"),
        RuleSource("minimum_gain_fraction", "0.5", "request"),
    )


def test_a_policy_preference_stands_where_the_request_names_none() -> None:
    """Neither replaced nor shown twice."""
    said = RuleSource("tolerance_fraction", "0.1", "policies/a")
    shown = rules_with_request(EffectivePolicy(sources=(said,)), WORKLOAD, options_given=False)
    assert [rule for rule in shown if rule.field == "tolerance_fraction"] == [said]
