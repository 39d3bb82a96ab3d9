"""All policies of a deployment at one revision, and what holds for a request.

Immutable: a change makes a new set, so a decision in flight keeps the policies that it started with, and the same
changes in the same order make the same set in every process.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from trimtab_service.domain.events import PolicyChanged
from trimtab_service.domain.policy import NO_POLICY, EffectivePolicy, PolicyDefinition, Rules
from trimtab_service.policy.conditions import Condition, Outcome, Questionnaire, recompile
from trimtab_service.policy.merging import Applicable, merge

Attributes = Mapping[str, object] | Callable[[], Mapping[str, object]]
"""The attributes of a request, or what makes them (called only when a condition is to be asked)."""

_LEVEL: Final = re.compile(r"(?:projects/([^/]+)(?:/workloads/([^/]+))?)?\Z")
_NO_OUTCOMES: Final = ()
_KEPT: Final = 256
"""Combinations of outcomes that a chain keeps merged."""

_UNEVALUATED: Final = "its condition could not be evaluated, so it applies"

_LevelKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Policy:
    """A policy in force. `condition` None: always."""

    name: str
    rules: Rules
    condition: Condition | None


class _Chain:
    """The policies that can speak on one workload, farthest level first."""

    __slots__ = ("_merged", "_policies", "_questions", "_revision", "fixed")

    def __init__(self, policies: tuple[_Policy, ...], revision: int) -> None:
        self._policies = policies
        self._revision = revision
        conditions = tuple(policy.condition for policy in policies if policy.condition is not None)
        self._questions = Questionnaire(conditions)
        self._merged: dict[tuple[Outcome, ...], EffectivePolicy] = {}
        self.fixed = None if conditions else self._of(_NO_OUTCOMES)
        """What holds when no policy has a condition."""

    def effective(self, attributes: Mapping[str, object]) -> EffectivePolicy:
        """What holds for a request."""
        outcomes = self._questions.ask(attributes)
        known = self._merged.get(outcomes)
        if known is None:
            known = self._of(outcomes)
            if len(self._merged) >= _KEPT:
                self._merged.clear()
            self._merged[outcomes] = known
        return known

    def _of(self, outcomes: tuple[Outcome, ...]) -> EffectivePolicy:
        said = iter(outcomes)
        applicable: list[Applicable] = []
        others: list[str] = []
        for policy in self._policies:
            outcome = True if policy.condition is None else next(said)
            if outcome is False:
                others.append(policy.name)
            else:  # when in doubt a policy applies: a guardrail must not fall because of what a caller left out
                note = _UNEVALUATED if outcome is None else ""
                applicable.append(Applicable(policy.name, policy.rules, note))
        return merge(applicable, self._revision, tuple(others))


class PolicySet:
    """Policies by level. `revision` is the journal's, of the last change of any policy.

    What holds for a project carries the revision of the last change that the project can see: the deployment's or its
    own. Another project's changes show nowhere.
    """

    __slots__ = ("_base", "_chains", "_definitions", "_levels", "_nothing", "_nothings", "_revisions", "revision")

    def __init__(self) -> None:
        """No policies, at revision 0."""
        self._definitions: dict[tuple[str, str], PolicyDefinition] = {}
        self._levels: dict[_LevelKey, tuple[_Policy, ...]] = {}
        self._chains: dict[_LevelKey, _Chain] = {}
        self._revisions: dict[str, int] = {}
        self._base = 0
        self._nothing = NO_POLICY
        self._nothings: dict[str, EffectivePolicy] = {}
        self.revision = 0

    @classmethod
    def of(cls, definitions: Iterable[PolicyDefinition], revision: int) -> "PolicySet":
        """A set of policies, the last change of which was `revision` (the removal of another one, maybe).

        Every project sees that revision, which is right for a replay; `revised` says better.
        """
        known = {(definition.parent, definition.policy_id): definition for definition in definitions}
        levels: dict[_LevelKey, list[_Policy]] = {}
        for parent, own in sorted(known):
            definition = known[parent, own]
            if not definition.content.disabled:
                levels.setdefault(_level_of(parent), []).append(_in_force(definition))
        ruling = {level: tuple(policies) for level, policies in levels.items()}
        return cls._made(known, ruling, revision, {}, base=revision)

    @classmethod
    def _made(
        cls,
        definitions: dict[tuple[str, str], PolicyDefinition],
        levels: dict[_LevelKey, tuple[_Policy, ...]],
        revision: int,
        revisions: dict[str, int],
        *,
        base: int = 0,
    ) -> "PolicySet":
        made = cls()
        made._definitions = definitions
        made._levels = levels
        made._revisions = revisions
        made._base = base
        made._nothing = replace(NO_POLICY, revision=made._seen_by(""))
        made._nothings = {project: replace(NO_POLICY, revision=made._seen_by(project)) for project in revisions}
        made.revision = revision
        return made

    @property
    def revisions(self) -> dict[str, int]:
        """Revision of the last change by project (empty: the deployment), as far as it is known one by one."""
        return dict(self._revisions)

    def revised(self, revisions: Mapping[str, int]) -> "PolicySet":
        """The same policies, with the revisions that `revisions` gave when they were kept."""
        return self._made(self._definitions, self._levels, self.revision, dict(revisions))

    def _seen_by(self, project: str) -> int:
        """Revision of the last change that a project can see."""
        return max(self._base, self._revisions.get("", 0), self._revisions.get(project, 0))

    def changed(self, change: PolicyChanged | PolicyDefinition, revision: int) -> "PolicySet":
        """The set after a change: a policy added or replaced, or (an event without content) removed.

        Only the changed policy's level is made anew, and its condition compiled only when it is a new one.
        """
        definitions = dict(self._definitions)
        if change.content is None:
            definitions.pop((change.parent, change.policy_id), None)
        else:
            definitions[change.parent, change.policy_id] = PolicyDefinition(
                change.parent, change.policy_id, change.content
            )
        level = _level_of(change.parent)
        beside = [definition for (parent, _), definition in definitions.items() if parent == change.parent]
        policies = tuple(
            _in_force(definition)
            for definition in sorted(beside, key=lambda definition: definition.policy_id)
            if not definition.content.disabled
        )
        levels = {**self._levels, level: policies}
        if not policies:
            del levels[level]
        return self._made(definitions, levels, revision, {**self._revisions, level[0]: revision}, base=self._base)

    def get(self, parent: str, policy_id: str) -> PolicyDefinition | None:
        """One policy, disabled or not."""
        return self._definitions.get((parent, policy_id))

    @property
    def definitions(self) -> tuple[PolicyDefinition, ...]:
        """Every policy, disabled ones too, ordered by parent and id."""
        return tuple(self._definitions[key] for key in sorted(self._definitions))

    def effective(self, project: str, workload_id: str, attributes: Attributes) -> EffectivePolicy:
        """What holds for a request. `attributes` are those of `policy.attributes`."""
        if not self._levels:
            return self._nothings.get(project, self._nothing)
        key = (project, workload_id)
        if key not in self._levels:
            key = (project, "")
        chain = self._chains.get(key) or self._chain(key)
        if chain is None:
            return self._nothings.get(project, self._nothing)
        if chain.fixed is not None:
            return chain.fixed
        return chain.effective(attributes() if callable(attributes) else attributes)

    def _chain(self, key: _LevelKey) -> _Chain | None:
        """The chain of a project, or of a workload that has policies; None when nobody speaks.

        Projects that never had policies share the deployment's, so that strangers cannot fill the memory.
        """
        project, workload_id = key
        if workload_id == "" and project not in self._revisions and key not in self._levels:
            project = ""
        levels = dict.fromkeys((("", ""), (project, ""), (project, workload_id)))
        found = self._chains.get((project, workload_id))
        if found is None:
            policies = tuple(policy for level in levels for policy in self._levels.get(level, ()))
            if not policies:
                return None
            found = self._chains[project, workload_id] = _Chain(policies, self._seen_by(project))
        return found


def _in_force(definition: PolicyDefinition) -> _Policy:
    content = definition.content
    return _Policy(definition.name, content.rules, recompile(content.condition) if content.condition else None)


def _level_of(parent: str) -> _LevelKey:
    found = _LEVEL.match(parent)
    if found is None:
        raise ValueError(f"not a level of policies: {parent!r}")
    return found[1] or "", found[2] or ""
