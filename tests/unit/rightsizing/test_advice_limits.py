"""What preferences, policies and guardrails leave of the advice."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.sizing import (
    CPU,
    M5_4XLARGE,
    TWO_WEEKS,
    advice,
    flat,
    instance,
    peaks,
    series,
)
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.dimensions import Metric
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.policy import EffectivePolicy, RuleSource
from trimtab_service.domain.preferences import RightsizingPreferences
from trimtab_service.domain.reasons import AdviceReason as Why
from trimtab_service.domain.resources import CloudResource
from trimtab_service.domain.rightsizing import Action, Finding, MigrationEffort
from trimtab_service.domain.workloads import RegionKey, Residency


@pytest.mark.parametrize(
    ("preferences", "reason"),
    [
        (RightsizingPreferences(never_shrink=True), Why.SHRINK_FORBIDDEN),
        (RightsizingPreferences(families=frozenset({"x99"})), Why.FAMILY_NOT_ALLOWED),
        (RightsizingPreferences(minimum_monthly_saving_micros=10**12), Why.SAVING_UNDER_FLOOR),
        (RightsizingPreferences(minimum_saving_to_disruption=100.0), Why.NOT_WORTH_THE_DISRUPTION),
    ],
)
def test_a_preference_that_forbids_everything_leaves_all_as_it_is(
    starter: CatalogSnapshot, preferences: RightsizingPreferences, reason: Why
) -> None:
    """Nothing is offered that was excluded, and the counts say why."""
    found = advice(starter, M5_4XLARGE, [flat(Metric.CPU, 10), flat(Metric.MEMORY, 20)], preferences)
    assert dict(found.rejections)[reason] > 0
    if reason is not Why.SHRINK_FORBIDDEN:
        assert found.finding is Finding.OPTIMIZED
    for option in found.options:
        assert (option.capacity.vcpus or 0) >= 16
        assert (option.capacity.memory_gib or 0) >= 64


def test_the_limit_of_risk_holds(starter: CatalogSnapshot) -> None:
    """A share of hours above the capacity is a risk; a lower limit takes such sizes out."""
    cpu = np.full(TWO_WEEKS, 20.0)
    cpu[::100] = 60.0
    measured = [series(Metric.CPU, cpu), flat(Metric.MEMORY, 10)]
    low = tuple(replace(one, percentile=90.0) if one.dimension is CPU else one for one in peaks().dimensions)
    risky = advice(starter, M5_4XLARGE, measured, replace(peaks(), dimensions=low, max_risk=3.0))
    assert risky.options[0].risk > 2
    assert risky.options[0].back_test is not None
    assert risky.options[0].back_test.exceedance == pytest.approx(4 / TWO_WEEKS)
    careful = advice(starter, M5_4XLARGE, measured, replace(peaks(), dimensions=low, max_risk=1.0))
    assert all(option.risk <= 1 for option in careful.options)
    assert dict(careful.rejections)[Why.RISK_LIMIT] > 0


@pytest.mark.parametrize(
    "residency",
    [
        Residency(clouds=frozenset({Cloud.GCP})),
        Residency(denied_regions=frozenset({RegionKey(Cloud.AWS, "us-east-1")})),
        Residency(countries=frozenset({"DE"})),
        Residency(families=frozenset({"x99"})),
        Residency(instance_types=frozenset({"x99.large"})),
    ],
)
def test_guardrails_hold_for_sizes_too(starter: CatalogSnapshot, residency: Residency) -> None:
    """What placement may not choose, sizing does not offer."""
    policy = EffectivePolicy(residencies=(residency,))
    found = advice(starter, M5_4XLARGE, [flat(Metric.CPU, 10), flat(Metric.MEMORY, 20)], None, policy)
    assert not found.options
    assert dict(found.rejections)[Why.POLICY] > 0


def test_preferences_of_policy_name_their_source(starter: CatalogSnapshot) -> None:
    """The request goes before the policy, the policy before the default; each value says whose it is."""
    ruled = RightsizingPreferences(max_risk=1.0, profile="safe")
    policy = EffectivePolicy(
        rightsizing=ruled,
        sources=(
            RuleSource("rightsizing.max_risk", "1", "policies/a"),
            RuleSource("rightsizing.profile", "safe", "policies/a"),
        ),
    )
    measured = [flat(Metric.CPU, 10), flat(Metric.MEMORY, 20)]
    found = advice(starter, M5_4XLARGE, measured, RightsizingPreferences(profile="economy"), policy)
    told = {rule.field: (rule.value, rule.source) for rule in found.preferences}
    assert told["rightsizing.profile"] == ("economy", "request")
    assert told["rightsizing.max_risk"] == ("1", "policies/a")
    assert told["rightsizing.lookback"] == ("336 h", "default")
    assert len(told) == len(found.preferences)


def test_arm_is_offered_only_where_it_is_known_or_asked_for(starter: CatalogSnapshot) -> None:
    """It takes little effort where the workload is known to run on it, and medium where it is not."""
    measured = [flat(Metric.CPU, 10), flat(Metric.MEMORY, 20)]
    many = RightsizingPreferences(max_options=20)

    def efforts(resource: CloudResource, preferences: RightsizingPreferences) -> set[MigrationEffort]:
        options = advice(starter, resource, measured, preferences).options
        return {one.migration_effort for one in options if one.action is Action.CHANGE_ARCHITECTURE}

    assert efforts(M5_4XLARGE, many) == set()
    assert efforts(replace(M5_4XLARGE, arm_ready=True), many) == {MigrationEffort.LOW}
    assert efforts(M5_4XLARGE, replace(many, allow_architecture_change=True)) == {MigrationEffort.MEDIUM}
    forbidden = replace(many, allow_architecture_change=False)
    assert efforts(replace(M5_4XLARGE, arm_ready=True), forbidden) == set()


def test_other_regions_are_moves_of_high_effort(starter: CatalogSnapshot) -> None:
    """Only those asked for; a move has to save 40 % with the default worth of a disruption."""
    dear = instance("m5.4xlarge", region="sa-east-1")
    measured = [flat(Metric.CPU, 80), flat(Metric.MEMORY, 80)]
    asked = RightsizingPreferences(
        regions=frozenset({(Cloud.AWS, "us-east-1")}), minimum_saving_to_disruption=0.0, max_options=20
    )
    moves = [option for option in advice(starter, dear, measured, asked).options if option.region == "us-east-1"]
    assert moves
    assert all((option.action, option.migration_effort) == (Action.MOVE, MigrationEffort.HIGH) for option in moves)
