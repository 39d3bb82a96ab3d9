"""From an engine's advice to what a recommendation says."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from trimtab_service.domain.reasons import AdviceReason
from trimtab_service.domain.recommendations import Impact, ImpactCategory, Kind, RecommendationContent
from trimtab_service.domain.rightsizing import Action, Advice, Finding, RightsizingOption
from trimtab_service.recommendations.identity import exclusive_group_of, identity_of
from trimtab_service.recommendations.operations import operations_of
from trimtab_service.recommendations.priority import priority_of
from trimtab_service.recommendations.summary import sizing_summary

ADVISING: Final = frozenset({Finding.OVER_PROVISIONED, Finding.UNDER_PROVISIONED, Finding.NOT_OPTIMIZED, Finding.IDLE})
"""Findings that something should be done. The others make no recommendation, whatever options they carry."""

RETIRING: Final = frozenset({Finding.OPTIMIZED})
"""Findings that say that nothing is to be done any more. Too little data and a source that failed say nothing."""

_RELIABILITY: Final = frozenset({AdviceReason.MEMORY_KILLS, AdviceReason.CPU_THROTTLED})
_KINDS: Final = {Action.STOP: Kind.STOP, Action.SCHEDULE: Kind.SCHEDULE, Action.MOVE: Kind.MOVE}


def content_of(advice: Advice, telemetry_source: str) -> RecommendationContent | None:
    """What is recommended: the first option of the advice, with the others as alternatives.

    None where the advice is no call to act: nothing to do, not enough data, unsupported, or a source that failed.
    `telemetry_source` is the name of the source measured by; empty for what the caller sent along.
    """
    options = tuple(option for option in advice.options if option.action is not Action.KEEP)
    if advice.finding not in ADVISING or not options:
        return None
    option, resource = options[0], advice.resource
    kind, saving = _KINDS.get(option.action, Kind.RIGHTSIZE), option.monthly_net_saving_micros
    reasons = (*advice.reasons, *(reason for reason in option.reasons if reason not in advice.reasons))
    primary, additional = _impacts(advice, option, saving, reasons)
    return RecommendationContent(
        identity=identity_of(kind, resource),
        kind=kind,
        priority=priority_of(
            advice.finding, reasons, 0.0 if advice.current is None else advice.current.risk, saving, advice.confidence
        ),
        resource=resource,
        primary_impact=primary,
        additional_impacts=additional,
        exclusive_group=exclusive_group_of(resource),
        operation_groups=operations_of(resource, option),
        summary=sizing_summary(resource, option, saving),
        reasons=tuple(reason.name for reason in reasons),
        confidence=advice.confidence,
        catalog_version=advice.catalog_version,
        telemetry_source=telemetry_source,
        rightsizing_option=option,
        rightsizing_current=advice.current,
        rightsizing_alternatives=options[1:],
    )


def monthly_saving_micros(content: RecommendationContent) -> int:
    """What a month saves, in micros; negative where it costs more. Net of owned commitments where they are known."""
    return -sum(impact.cost_micros for impact in (content.primary_impact, *content.additional_impacts))


def risk_of(content: RecommendationContent) -> float:
    """The largest performance risk among the impacts, 0 to 4."""
    return max(impact.performance_risk for impact in (content.primary_impact, *content.additional_impacts))


def _impacts(
    advice: Advice, option: RightsizingOption, saving: int, reasons: Iterable[AdviceReason]
) -> tuple[Impact, tuple[Impact, ...]]:
    """The cost, the performance and, where failures are behind it, the reliability; what it is made for comes first.

    No factors of carbon are known here, so none is claimed.
    """
    month = timedelta(hours=advice.hours_per_month)
    cost = Impact(ImpactCategory.COST, -saving, month, option.risk)
    performance = Impact(ImpactCategory.PERFORMANCE, 0, month, option.risk)
    failures = tuple(reason.name for reason in reasons if reason in _RELIABILITY)
    reliability = (Impact(ImpactCategory.RELIABILITY, 0, month, option.risk, failures),) if failures else ()
    if advice.finding is Finding.UNDER_PROVISIONED:
        return performance, (cost, *reliability)
    return cost, reliability
