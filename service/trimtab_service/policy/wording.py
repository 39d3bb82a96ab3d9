"""Rules in words: what `GetEffectivePolicy` and refusals show."""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import timedelta

from trimtab_service.domain.money import Money
from trimtab_service.domain.policy import Rules, RuleSource
from trimtab_service.domain.preferences import RightsizingPreferences
from trimtab_service.domain.workloads import RegionKey, Residency

_HOUR = timedelta(hours=1)


def residency_sources(residency: Residency, source: str, field: str = "residency") -> Iterator[RuleSource]:
    """One value for each list that is not empty, under the names of the contract."""
    for part in Residency.__dataclass_fields__:
        values: frozenset[str] | frozenset[RegionKey] = getattr(residency, part)
        if values:
            yield RuleSource(f"{field}.{part}", names(values), source)


def list_sources(rules: Rules, source: str) -> Iterator[RuleSource]:
    """What adds up over policies: each one's lists stand beside the others'."""
    if rules.residency is not None:
        yield from residency_sources(rules.residency, source)
    if rules.options is not None:
        yield RuleSource("purchase_options", names(rules.options), source)
    if rules.price_bases is not None:
        yield RuleSource("price_bases", names(rules.price_bases), source)
    if rules.required_tags:
        yield RuleSource("required_tags", names(rules.required_tags), source)


def preference_sources(preferences: RightsizingPreferences, source: str) -> Iterator[RuleSource]:
    """One value for each preference of rightsizing that is set, under the contract's names after `rightsizing.`."""
    for part in fields(RightsizingPreferences):
        value = getattr(preferences, part.name)
        if part.name == "dimensions":
            for preference in preferences.dimensions:
                prefix = f"rightsizing.dimensions.{preference.dimension.value}"
                if preference.percentile is not None:
                    yield RuleSource(f"{prefix}.percentile", number(preference.percentile), source)
                if preference.headroom_fraction is not None:
                    yield RuleSource(f"{prefix}.headroom_fraction", number(preference.headroom_fraction), source)
        elif value is not None:
            yield RuleSource(f"rightsizing.{part.name.removesuffix('_micros')}", _preferred(part.name, value), source)


def _preferred(field: str, value: object) -> str:
    """A preference in words."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return duration(value)
    if isinstance(value, frozenset):
        return ", ".join(sorted(item if isinstance(item, str) else ":".join(item) for item in value))
    if isinstance(value, int) and field.endswith("_micros"):
        return amount(value)
    return number(value) if isinstance(value, float) else str(value)


def names(values: Iterable[str | RegionKey]) -> str:
    """A set, in order."""
    return ", ".join(sorted(_name(value) for value in values))


def _name(value: str | RegionKey) -> str:
    return f"{value.cloud.value}:{value.region}" if isinstance(value, RegionKey) else str(value)


def duration(age: timedelta) -> str:
    """Hours, as durations are given in requests."""
    return f"{age / _HOUR:g} h"


def amount(micros: int) -> str:
    """US dollars, exactly."""
    return f"USD {Money(micros).usd:,f}"


def number(value: float) -> str:
    """The shortest text that reads back as the same number; nought has no sign."""
    return repr(value or 0).removesuffix(".0")
