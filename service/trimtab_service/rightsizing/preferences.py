"""The preferences that hold for one resource, each with the level that says so."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from trimtab_service.domain.policy import EffectivePolicy, RuleSource
from trimtab_service.domain.preferences import (
    DEFAULT_PREFERENCES,
    RightsizingPreferences,
    missing_from,
    overlaid,
)
from trimtab_service.policy import wording

REQUEST: Final = "request"
DEFAULT: Final = "default"

_PREFIX: Final = "rightsizing."
_NOTHING: Final = RightsizingPreferences()


@dataclass(frozen=True, slots=True)
class EffectivePreferences:
    """Merged preferences: what `DEFAULT_PREFERENCES` sets is never None here. `sources` has one entry a value."""

    values: RightsizingPreferences
    sources: tuple[RuleSource, ...]


def merge_preferences(request: RightsizingPreferences | None, policy: EffectivePolicy) -> EffectivePreferences:
    """What holds: the request, then the policies (already merged over their levels), then the defaults.

    Field by field, of a dimension member by member.
    """
    said = tuple(rule for rule in policy.sources if rule.field.startswith(_PREFIX))
    return _merged(request or _NOTHING, policy.rightsizing, said)


@lru_cache(maxsize=1_024)
def _merged(
    asked: RightsizingPreferences, ruling: RightsizingPreferences | None, ruled_by: tuple[RuleSource, ...]
) -> EffectivePreferences:
    """As `merge_preferences`; few sets of preferences are in use at a time."""
    sources = list(wording.preference_sources(asked, REQUEST))
    said = {rule.field for rule in sources}
    sources += [rule for rule in ruled_by if rule.field not in said]
    ruled = overlaid(asked, ruling) if ruling is not None else asked
    sources += wording.preference_sources(missing_from(ruled, DEFAULT_PREFERENCES), DEFAULT)
    return EffectivePreferences(overlaid(ruled, DEFAULT_PREFERENCES), tuple(sources))
