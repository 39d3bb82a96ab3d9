"""Merges the rules of all applicable policies into what holds.

Guardrails add up: each residency is to be met, allow lists intersect, limits take the least, required tags unite,
whatever level they stand on, so that a nearer level can only narrow. Preferences take the nearest level; within a
level the first by id. A policy that applies only because its condition could not be evaluated brings its
guardrails and not its preferences: failing closed means narrowing, and a preference narrows nothing.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from trimtab_service.domain.documents import to_document
from trimtab_service.domain.policy import EffectivePolicy, Rules, RuleSource
from trimtab_service.domain.preferences import RightsizingPreferences, missing_from, overlaid
from trimtab_service.policy import wording

T = TypeVar("T")
_KEY_BYTES: Final = 16
_UNTOLD: Final = (
    *("key", "revision", "sources", "not_applicable", "approval_source"),
    *("rightsizing", "apply_approval_threshold_micros", "apply_approval_source"),
)
"""Fields of an effective policy that say where it comes from, or that placement never reads."""


@dataclass(frozen=True, slots=True)
class Applicable:
    """Rules that hold, the policy's `name`, and `note`: why it holds although its condition did not say so."""

    name: str
    rules: Rules
    note: str = ""

    @property
    def source(self) -> str:
        """The policy, with the note."""
        return f"{self.name} ({self.note})" if self.note else self.name


def merge(policies: Sequence[Applicable], revision: int, not_applicable: tuple[str, ...] = ()) -> EffectivePolicy:
    """What holds. `policies` go from the farthest level (the deployment) to the nearest (the workload)."""
    sources: list[RuleSource] = []
    residencies = []
    for policy in policies:
        sources.extend(wording.list_sources(policy.rules, policy.source))
        if policy.rules.residency is not None:
            residencies.append(policy.rules.residency)
    nearest = sorted((policy for policy in policies if not policy.note), key=_nearest_first)
    approval = _least(policies, lambda rules: rules.approval_threshold_micros)
    apply_approval = _least(policies, lambda rules: rules.apply_approval_threshold_micros)
    limits = {
        "max_price_age": _least(policies, lambda rules: rules.max_price_age),
        "max_expected_interruptions": _least(policies, lambda rules: rules.max_expected_interruptions),
        "max_cost_micros": _least(policies, lambda rules: rules.max_cost_micros),
        "approval_threshold_micros": approval,
        "apply_approval_threshold_micros": apply_approval,
        "tolerance_fraction": _first(nearest, lambda rules: rules.tolerance_fraction),
        "minimum_gain_fraction": _first(nearest, lambda rules: rules.minimum_gain_fraction),
    }
    values: dict[str, Any] = {}
    for field, chosen in limits.items():
        if chosen is not None:
            value, policy = chosen
            values[field] = value
            sources.append(RuleSource(field.removesuffix("_micros"), _IN_WORDS[field](value), policy.source))
    preferred: RightsizingPreferences | None = None
    for policy in nearest:
        if policy.rules.rightsizing is not None:
            said = missing_from(preferred, policy.rules.rightsizing)
            sources.extend(wording.preference_sources(said, policy.source))
            preferred = overlaid(preferred, policy.rules.rightsizing)
    merged = EffectivePolicy(
        residencies=tuple(dict.fromkeys(residencies)),
        options=_common(rules.options for rules in (policy.rules for policy in policies)),
        price_bases=_common(rules.price_bases for rules in (policy.rules for policy in policies)),
        required_tags=frozenset[str]().union(*(policy.rules.required_tags or () for policy in policies)),
        approval_source=approval[1].name if approval is not None else "",
        apply_approval_source=apply_approval[1].name if apply_approval is not None else "",
        rightsizing=preferred,
        revision=revision,
        sources=tuple(sources),
        not_applicable=not_applicable,
        **values,
    )
    return replace(merged, key=_key(merged))


_IN_WORDS: Final[dict[str, Callable[[Any], str]]] = {
    "max_price_age": wording.duration,
    "max_expected_interruptions": wording.number,
    "max_cost_micros": wording.amount,
    "approval_threshold_micros": wording.amount,
    "apply_approval_threshold_micros": wording.amount,
    "tolerance_fraction": wording.number,
    "minimum_gain_fraction": wording.number,
}


def _nearest_first(policy: Applicable) -> tuple[int, str]:
    """Levels differ in the number of parts of the name: deployment, project, workload."""
    return -policy.name.count("/"), policy.name


def _least(policies: Sequence[Applicable], read: Callable[[Rules], Any]) -> tuple[Any, Applicable] | None:
    """The least value, with the farthest policy that sets it."""
    said = [(value, policy) for policy in policies if (value := read(policy.rules)) is not None]
    return min(said, key=lambda pair: pair[0]) if said else None


def _first(policies: Sequence[Applicable], read: Callable[[Rules], Any]) -> tuple[Any, Applicable] | None:
    return next(((value, policy) for policy in policies if (value := read(policy.rules)) is not None), None)


def _common(allowed: Iterable[frozenset[T] | None]) -> frozenset[T] | None:
    """What every list allows; None when nobody gives a list. Nothing in common allows nothing."""
    given = [values for values in allowed if values is not None]
    return given[0].intersection(*given[1:]) if given else None


def _key(merged: EffectivePolicy) -> str:
    """A name for what holds, equal in every process; empty when nothing is ruled."""
    document = {field: value for field, value in to_document(merged).items() if field not in _UNTOLD}
    if not document:
        return ""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=_KEY_BYTES).hexdigest()
