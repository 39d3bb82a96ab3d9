"""What holds for a request: merging over levels, sources, and the caches' keys."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from functools import partial

import pytest

from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.events import PolicyChanged
from trimtab_service.domain.offers import Cloud, PriceBasis, PurchaseOption
from trimtab_service.domain.policy import (
    NO_POLICY,
    EffectivePolicy,
    PolicyContent,
    PolicyDefinition,
    Rules,
    RuleSource,
)
from trimtab_service.domain.preferences import DimensionPreference, RightsizingPreferences
from trimtab_service.domain.workloads import RegionKey, Residency
from trimtab_service.policy.policy_set import PolicySet

DEPLOYMENT, PROJECT, WORKLOAD = "", "projects/p", "projects/p/workloads/w"
LEVELS = (DEPLOYMENT, PROJECT, WORKLOAD)
SPOT, ON_DEMAND, RESERVED = PurchaseOption.SPOT, PurchaseOption.ON_DEMAND, PurchaseOption.RESERVED_1Y


def policy(parent: str, own: str, rules: Rules, condition: str = "", *, disabled: bool = False) -> PolicyDefinition:
    """A policy of a level."""
    return PolicyDefinition(parent, own, PolicyContent(rules, condition, "", disabled))


def effective(
    *policies: PolicyDefinition, project: str = "p", workload: str = "w", attributes: Mapping[str, object] | None = None
) -> EffectivePolicy:
    """What holds under policies at revision 9."""
    return PolicySet.of(policies, 9).effective(project, workload, attributes or {})


def unasked() -> Mapping[str, object]:
    """Attributes that nobody may ask for."""
    raise AssertionError("no condition is to be asked")


EUROPE = Residency(countries=frozenset({"DE", "FR"}))
NO_AZURE = Residency(denied_clouds=frozenset({Cloud.AZURE}), regions=frozenset({RegionKey(Cloud.AWS, "eu-west-1")}))


@pytest.mark.parametrize(
    ("rules", "field", "value", "sources"),
    [
        (
            [Rules(options=frozenset({SPOT, ON_DEMAND})), Rules(options=frozenset({SPOT, RESERVED}))],
            "options",
            frozenset({SPOT}),
            [
                RuleSource("purchase_options", "on_demand, spot", "policies/a"),
                RuleSource("purchase_options", "reserved_1y, spot", "projects/p/policies/a"),
            ],
        ),
        (
            [Rules(options=frozenset({SPOT})), Rules(options=frozenset({ON_DEMAND}))],
            "options",
            frozenset[PurchaseOption](),
            [
                RuleSource("purchase_options", "spot", "policies/a"),
                RuleSource("purchase_options", "on_demand", "projects/p/policies/a"),
            ],
        ),
        (
            [Rules(price_bases=frozenset({PriceBasis.LIST, PriceBasis.CALLER})), Rules(tolerance_fraction=0.1)],
            "price_bases",
            frozenset({PriceBasis.LIST, PriceBasis.CALLER}),
            [
                RuleSource("price_bases", "caller, list", "policies/a"),
                RuleSource("tolerance_fraction", "0.1", "projects/p/policies/a"),
            ],
        ),
        (
            [Rules(residency=EUROPE), Rules(residency=NO_AZURE), Rules(residency=EUROPE)],
            "residencies",
            (EUROPE, NO_AZURE),
            [
                RuleSource("residency.countries", "DE, FR", "policies/a"),
                RuleSource("residency.denied_clouds", "azure", "projects/p/policies/a"),
                RuleSource("residency.regions", "aws:eu-west-1", "projects/p/policies/a"),
                RuleSource("residency.countries", "DE, FR", "projects/p/workloads/w/policies/a"),
            ],
        ),
        (
            [Rules(max_price_age=timedelta(days=2)), Rules(max_price_age=timedelta(days=9))],
            "max_price_age",
            timedelta(days=2),
            [RuleSource("max_price_age", "48 h", "policies/a")],
        ),
        (
            [Rules(max_expected_interruptions=2.5), Rules(max_expected_interruptions=1.0)],
            "max_expected_interruptions",
            1.0,
            [RuleSource("max_expected_interruptions", "1", "projects/p/policies/a")],
        ),
        (
            [Rules(max_cost_micros=5), Rules(max_cost_micros=1_234_567_890), Rules(max_cost_micros=7)],
            "max_cost_micros",
            5,
            [RuleSource("max_cost", "USD 0.000005", "policies/a")],
        ),
        (
            [Rules(required_tags=frozenset({"team"})), Rules(required_tags=frozenset({"env"}))],
            "required_tags",
            frozenset({"team", "env"}),
            [
                RuleSource("required_tags", "team", "policies/a"),
                RuleSource("required_tags", "env", "projects/p/policies/a"),
            ],
        ),
        (
            [Rules(approval_threshold_micros=1_000_000_000), Rules(approval_threshold_micros=500_000_000)],
            "approval_threshold_micros",
            500_000_000,
            [RuleSource("approval_threshold", "USD 500.000000", "projects/p/policies/a")],
        ),
        (
            [Rules(tolerance_fraction=0.1), Rules(tolerance_fraction=0.05), Rules(tolerance_fraction=0.2)],
            "tolerance_fraction",
            0.2,
            [RuleSource("tolerance_fraction", "0.2", "projects/p/workloads/w/policies/a")],
        ),
        (
            [Rules(minimum_gain_fraction=0.3), Rules(minimum_gain_fraction=0.0)],
            "minimum_gain_fraction",
            0.0,
            [RuleSource("minimum_gain_fraction", "0", "projects/p/policies/a")],
        ),
    ],
)
def test_levels_merge_by_the_kind_of_the_rule(
    rules: list[Rules], field: str, value: object, sources: list[RuleSource]
) -> None:
    """Guardrails add up, preferences take the nearest level, and every value says where it comes from."""
    held = effective(*(policy(level, "a", said) for level, said in zip(LEVELS, rules, strict=False)))
    assert getattr(held, field) == value
    assert list(held.sources) == sources
    assert held.revision == 9


def test_an_approval_names_the_policy_that_asks_for_it() -> None:
    """The least threshold's own policy, whichever level it is on."""
    held = effective(
        policy(DEPLOYMENT, "strict", Rules(approval_threshold_micros=1)),
        policy(WORKLOAD, "lax", Rules(approval_threshold_micros=9)),
    )
    assert held.approval_source == "policies/strict"


def test_a_level_speaks_on_its_own_workloads_only() -> None:
    """Another project, and another workload of the project, do not see it."""
    policies = [policy(level, "a", Rules(max_cost_micros=cost)) for level, cost in zip(LEVELS, (9, 5, 3), strict=True)]
    assert effective(*policies).max_cost_micros == 3
    assert effective(*policies, workload="other").max_cost_micros == 5
    assert effective(*policies, workload="").max_cost_micros == 5
    assert effective(*policies, project="q").max_cost_micros == 9
    assert effective(*policies[1:], project="q") == EffectivePolicy(revision=9)


@pytest.mark.parametrize(
    ("tags", "applies", "note"),
    [
        ({"env": "prod"}, True, ""),
        ({"env": "dev"}, False, ""),
        ({}, True, " (its condition could not be evaluated, so it applies)"),
    ],
)
def test_a_condition_selects_its_policy_and_doubt_keeps_it(tags: dict[str, str], applies: bool, note: str) -> None:
    """A guardrail must not fall because a caller left a tag out; the source says that this happened."""
    name = "projects/p/policies/prod"
    conditional = policy(PROJECT, "prod", Rules(max_cost_micros=5), 'request.tags["env"] == "prod"')
    held = effective(conditional, attributes={"tags": tags})
    assert held.max_cost_micros == (5 if applies else None)
    assert held.not_applicable == (() if applies else (name,))
    assert held.sources == ((RuleSource("max_cost", "USD 0.000005", name + note),) if applies else ())


def test_a_disabled_policy_neither_holds_nor_shows() -> None:
    """It is kept, and says nothing."""
    policies = PolicySet.of([policy(PROJECT, "a", Rules(max_cost_micros=1), disabled=True)], 4)
    assert policies.effective("p", "w", unasked) == EffectivePolicy(revision=4)
    assert policies.get(PROJECT, "a") is not None


def test_attributes_are_made_only_for_conditions_that_can_speak() -> None:
    """Nothing is asked of a request where no condition applies to its level."""
    policies = PolicySet.of(
        [
            policy(DEPLOYMENT, "a", Rules(max_cost_micros=1)),
            policy("projects/q", "b", Rules(max_cost_micros=2), "false"),
        ],
        1,
    )
    assert policies.effective("p", "w", unasked).max_cost_micros == 1
    assert PolicySet().effective("p", "w", unasked) is NO_POLICY
    with pytest.raises(AssertionError, match="no condition"):
        policies.effective("q", "w", unasked)


def test_the_same_outcomes_give_the_same_object() -> None:
    """What holds is merged once for each combination of outcomes."""
    policies = PolicySet.of(
        [
            policy(PROJECT, "a", Rules(max_cost_micros=1), "request.count > 1"),
            policy(PROJECT, "b", Rules(max_cost_micros=2), "request.count > 2"),
        ],
        1,
    )
    ask = partial(policies.effective, "p", "w")
    assert ask({"count": 5}) is ask({"count": 7})
    assert ask({"count": 2}) is not ask({"count": 3})
    assert ask({"count": 1}).not_applicable == ("projects/p/policies/a", "projects/p/policies/b")


def test_the_key_names_what_holds_and_not_where_it_comes_from() -> None:
    """Masks are kept by it: equal content has equal keys over policies, levels, projects and revisions."""
    here = PolicySet.of([policy(PROJECT, "a", Rules(residency=EUROPE))], 3).effective("p", "w", {})
    there = PolicySet.of([policy("projects/q", "b", Rules(residency=EUROPE))], 8).effective("q", "x", {})
    other = PolicySet.of([policy("projects/q", "b", Rules(residency=NO_AZURE))], 8).effective("q", "x", {})
    assert here.key == there.key != ""
    assert here.key != other.key
    assert effective(policy(PROJECT, "a", Rules(max_cost_micros=1), "false")).key == NO_POLICY.key == ""


def test_the_key_is_the_same_in_every_process() -> None:
    """It is made of the content, not of hashes that differ from run to run."""
    held = effective(policy(PROJECT, "a", Rules(residency=EUROPE, options=frozenset({SPOT, ON_DEMAND}))))
    assert held.key == "39269dbcc79af52c0fa502bcba037553"


def test_a_change_adds_replaces_and_removes() -> None:
    """The old set stays as it was; the revision is that of the change."""
    first = PolicySet().changed(policy(PROJECT, "a", Rules(max_cost_micros=5)), 2)
    second = first.changed(PolicyChanged(PROJECT, "a", PolicyContent(Rules(max_cost_micros=3))), 6)
    gone = second.changed(PolicyChanged(PROJECT, "a", None), 7)
    assert [s.effective("p", "w", {}).max_cost_micros for s in (first, second, gone)] == [5, 3, None]
    assert [s.effective("p", "w", {}).revision for s in (first, second, gone)] == [2, 6, 7]
    assert [s.revision for s in (PolicySet(), first, second, gone)] == [0, 2, 6, 7]
    assert gone.definitions == ()
    assert gone.changed(PolicyChanged(PROJECT, "never", None), 8).effective("p", "w", unasked).revision == 8


def test_a_level_that_is_none_is_refused() -> None:
    """A parent that no resource can have is a fault of the caller."""
    with pytest.raises(ValueError, match="not a level"):
        PolicySet().changed(policy("folders/f", "a", Rules(max_cost_micros=1)), 1)


def test_a_project_does_not_see_that_another_changed() -> None:
    """Neither what holds nor its revision moves by another project's policies; the deployment's move both."""
    policies = PolicySet().changed(policy("", "all", Rules(max_cost_micros=9)), 1)
    own = policies.changed(policy("projects/p", "own", Rules(max_cost_micros=5)), 2)
    assert own.effective("q", "", {"count": 3}) == policies.effective("q", "", {"count": 3})
    assert own.effective("p", "", {"count": 3}).revision == 2
    removed = own.changed(PolicyChanged("projects/p", "own", None), 3)
    assert removed.effective("p", "", {"count": 3}).revision == 3
    assert removed.effective("q", "", {"count": 3}).revision == 1


def test_preferences_of_rightsizing_take_the_nearest_level_field_by_field() -> None:
    """A nearer level hides only the fields that it sets itself; each value names the policy it comes from."""
    cpu, memory = Dimension.CPU, Dimension.MEMORY
    far = RightsizingPreferences(
        profile="safe",
        max_risk=1.0,
        dimensions=(DimensionPreference(cpu, 99.0, 0.2), DimensionPreference(memory, None, 0.1)),
    )
    near = RightsizingPreferences(max_risk=3.0, dimensions=(DimensionPreference(cpu, 95.0),))
    held = effective(policy(DEPLOYMENT, "a", Rules(rightsizing=far)), policy(PROJECT, "b", Rules(rightsizing=near)))
    assert held.rightsizing == RightsizingPreferences(
        profile="safe",
        max_risk=3.0,
        dimensions=(DimensionPreference(cpu, 95.0, 0.2), DimensionPreference(memory, None, 0.1)),
    )
    assert set(held.sources) == {
        RuleSource("rightsizing.max_risk", "3", "projects/p/policies/b"),
        RuleSource("rightsizing.dimensions.cpu.percentile", "95", "projects/p/policies/b"),
        RuleSource("rightsizing.profile", "safe", "policies/a"),
        RuleSource("rightsizing.dimensions.cpu.headroom_fraction", "0.2", "policies/a"),
        RuleSource("rightsizing.dimensions.memory.headroom_fraction", "0.1", "policies/a"),
    }


def test_rules_of_rightsizing_leave_placement_as_it_was() -> None:
    """Masks of placement are kept by `key`: a rule that placement never reads must not make them anew."""
    plain = Rules(max_cost_micros=5)
    more = Rules(max_cost_micros=5, rightsizing=RightsizingPreferences(max_risk=1.0), apply_approval_threshold_micros=9)
    assert effective(policy(PROJECT, "a", plain)).key == effective(policy(PROJECT, "a", more)).key
    assert effective(policy(PROJECT, "a", Rules(rightsizing=RightsizingPreferences(max_risk=1.0)))).key == ""


def test_the_least_threshold_of_approval_holds_and_names_its_policy() -> None:
    """A nearer level cannot lift the amount above which applying needs a second person."""
    levels = [Rules(apply_approval_threshold_micros=5), Rules(apply_approval_threshold_micros=9)]
    held = effective(*(policy(level, "a", rules) for level, rules in zip(LEVELS, levels, strict=False)))
    assert (held.apply_approval_threshold_micros, held.apply_approval_source) == (5, "policies/a")


def test_every_rule_reaches_what_holds() -> None:
    """A rule that is added to `Rules` and forgotten in merging would silently not hold."""
    said = Rules(
        residency=EUROPE,
        options=frozenset({SPOT}),
        price_bases=frozenset({PriceBasis.LIST}),
        max_price_age=timedelta(days=1),
        max_expected_interruptions=1.0,
        max_cost_micros=1,
        required_tags=frozenset({"team"}),
        approval_threshold_micros=1,
        tolerance_fraction=0.1,
        minimum_gain_fraction=0.1,
        rightsizing=RightsizingPreferences(max_risk=1.0),
        apply_approval_threshold_micros=1,
    )
    assert all(getattr(said, field.name) is not None for field in fields(Rules))
    held = effective(policy(PROJECT, "a", said))
    assert len(held.sources) == len(fields(Rules))
    unsaid = [f.name for f in fields(EffectivePolicy) if getattr(held, f.name) == getattr(NO_POLICY, f.name)]
    assert unsaid == ["not_applicable"]
