"""Typed rules of policies and what results from them for one request.

Guardrails of all applicable policies add up (allow lists intersect, deny lists unite, limits take the least);
preferences take the nearest level: request, workload, project, deployment.
"""

from dataclasses import dataclass, field
from datetime import timedelta

from trimtab_service.domain.offers import PriceBasis, PurchaseOption
from trimtab_service.domain.preferences import RightsizingPreferences
from trimtab_service.domain.workloads import Residency


@dataclass(frozen=True, slots=True)
class Rules:
    """One policy's rules; None says nothing."""

    residency: Residency | None = None
    options: frozenset[PurchaseOption] | None = None
    price_bases: frozenset[PriceBasis] | None = None
    max_price_age: timedelta | None = None
    max_expected_interruptions: float | None = None
    max_cost_micros: int | None = None
    required_tags: frozenset[str] | None = None
    approval_threshold_micros: int | None = None
    tolerance_fraction: float | None = None
    minimum_gain_fraction: float | None = None
    rightsizing: RightsizingPreferences | None = None
    apply_approval_threshold_micros: int | None = None


@dataclass(frozen=True, slots=True)
class PolicyContent:
    """A policy as its author wrote it, without name and versions. An empty `condition` always holds."""

    rules: Rules
    condition: str = ""
    description: str = ""
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class PolicyDefinition:
    """A policy at its level: `parent` is empty (the deployment), `projects/p` or `projects/p/workloads/w`."""

    parent: str
    policy_id: str
    content: PolicyContent

    @property
    def name(self) -> str:
        """The resource name."""
        return f"{self.parent}/policies/{self.policy_id}" if self.parent else f"policies/{self.policy_id}"


@dataclass(frozen=True, slots=True)
class RuleSource:
    """A value that holds, in words, and the policy (`request`, `default`) it comes from."""

    field: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class EffectivePolicy:
    """What holds for one request. `key` identifies what placement reads of it: masks made from it are cached by it.

    `residencies` are each to be met (their intersection holds). `sources` has every value with its source.
    `rightsizing` is merged over the levels field by field; None where no policy prefers anything of it.
    """

    key: str = ""
    residencies: tuple[Residency, ...] = ()
    options: frozenset[PurchaseOption] | None = None
    price_bases: frozenset[PriceBasis] | None = None
    max_price_age: timedelta | None = None
    max_expected_interruptions: float | None = None
    max_cost_micros: int | None = None
    required_tags: frozenset[str] = frozenset()
    approval_threshold_micros: int | None = None
    approval_source: str = ""
    tolerance_fraction: float = 0.0
    minimum_gain_fraction: float = 0.0
    revision: int = 0
    sources: tuple[RuleSource, ...] = ()
    not_applicable: tuple[str, ...] = field(default=())
    rightsizing: RightsizingPreferences | None = None
    apply_approval_threshold_micros: int | None = None
    apply_approval_source: str = ""


NO_POLICY = EffectivePolicy()
"""Nothing is ruled; the defaults hold."""
