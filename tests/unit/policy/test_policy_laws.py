"""Laws of policies: what holds whatever policies there are."""

from collections.abc import Mapping
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab_service.domain.documents import from_document, to_document
from trimtab_service.domain.events import PolicyChanged
from trimtab_service.domain.offers import Cloud, PriceBasis, PurchaseOption
from trimtab_service.domain.policy import (
    EffectivePolicy,
    PolicyContent,
    PolicyDefinition,
    Rules,
)
from trimtab_service.domain.workloads import RegionKey, Residency
from trimtab_service.policy.policy_set import PolicySet

LEVELS = ("", "projects/p", "projects/p/workloads/w")
SPOT, ON_DEMAND, RESERVED = PurchaseOption.SPOT, PurchaseOption.ON_DEMAND, PurchaseOption.RESERVED_1Y


ids = st.sampled_from(["a", "b", "c"])
rules_strategy = st.builds(
    Rules,
    residency=st.none()
    | st.builds(
        Residency,
        countries=st.frozensets(st.sampled_from(["DE", "FR", "US"])),
        denied_clouds=st.frozensets(st.sampled_from(list(Cloud))),
        regions=st.frozensets(st.builds(RegionKey, st.sampled_from(list(Cloud)), st.sampled_from(["r1", "r2"]))),
    ),
    options=st.none() | st.frozensets(st.sampled_from([SPOT, ON_DEMAND, RESERVED]), min_size=1),
    price_bases=st.none() | st.frozensets(st.sampled_from(list(PriceBasis)), min_size=1),
    max_price_age=st.none() | st.integers(0, 10**9).map(lambda us: timedelta(microseconds=us)),
    max_expected_interruptions=st.none() | st.floats(0, 100),
    max_cost_micros=st.none() | st.integers(0, 10**15),
    required_tags=st.none() | st.frozensets(st.text(max_size=4), min_size=1),
    approval_threshold_micros=st.none() | st.integers(0, 10**15),
    tolerance_fraction=st.none() | st.floats(0, 1),
    minimum_gain_fraction=st.none() | st.floats(0, 1),
)
conditions = st.sampled_from(
    ["", "true", "false", "request.count > 2", '"x" in request.tags', 'request.tags["x"] == "y"']
)
definitions = st.lists(
    st.builds(
        PolicyDefinition,
        st.sampled_from([*LEVELS, "projects/q"]),
        ids,
        st.builds(PolicyContent, rules_strategy, conditions, st.text(max_size=5), st.booleans()),
    ),
    max_size=8,
    unique_by=lambda one: (one.parent, one.policy_id),
)
ATTRIBUTES: Mapping[str, object] = {"count": 3, "tags": {"x": "z"}}


def is_as_strict(new: EffectivePolicy, old: EffectivePolicy) -> bool:
    """Whether no guardrail of `old` is looser in `new`."""

    def under(field: str) -> bool:
        least, limit = getattr(new, field), getattr(old, field)
        return limit is None or (least is not None and least <= limit)

    def within(field: str) -> bool:
        allowed, limit = getattr(new, field), getattr(old, field)
        return limit is None or (allowed is not None and allowed <= limit)

    return (
        set(old.residencies) <= set(new.residencies)
        and within("options")
        and within("price_bases")
        and old.required_tags <= new.required_tags
        and all(
            under(field)
            for field in (
                "max_price_age",
                "max_expected_interruptions",
                "max_cost_micros",
                "approval_threshold_micros",
            )
        )
    )


@given(definitions, st.sampled_from(LEVELS), rules_strategy, conditions)
@settings(max_examples=150, deadline=None)
def test_no_policy_loosens_a_guardrail(
    present: list[PolicyDefinition], level: str, rules: Rules, condition: str
) -> None:
    """Whatever a new policy says, on whatever level: what was forbidden stays forbidden."""
    before = PolicySet.of(present, 1)
    after = before.changed(PolicyDefinition(level, "new", PolicyContent(rules, condition, "", disabled=False)), 2)
    assert is_as_strict(after.effective("p", "w", ATTRIBUTES), before.effective("p", "w", ATTRIBUTES))


@given(definitions)
@settings(max_examples=100, deadline=None)
def test_a_set_made_at_once_is_the_set_made_change_by_change(present: list[PolicyDefinition]) -> None:
    """Replay makes it from kept versions, a serving process from the journal: they must agree."""
    folded = PolicySet()
    for revision, definition in enumerate(present, 1):
        folded = folded.changed(PolicyChanged(definition.parent, definition.policy_id, definition.content), revision)
    kept = PolicySet.of(present, len(present)).revised(folded.revisions)
    for project, workload in (("p", "w"), ("p", ""), ("q", "w"), ("r", "")):
        serving = folded.effective(project, workload, ATTRIBUTES)
        replayed = PolicySet.of(present[: serving.revision], serving.revision)
        assert serving == replayed.effective(project, workload, ATTRIBUTES)
        assert serving == kept.effective(project, workload, ATTRIBUTES)
    assert folded.definitions == kept.definitions


@given(definitions)
@settings(max_examples=100, deadline=None)
def test_every_policy_comes_back_from_its_document(present: list[PolicyDefinition]) -> None:
    """Journal and store keep policies as JSON: nothing may be lost or changed on the way."""
    for definition in present:
        assert from_document(PolicyContent, to_document(definition.content)) == definition.content
