"""What an applied recommendation really brought, beside what it promised. Money in exact integers.

Saved is the price before less the price after, over the hours the resource ran since it was applied; what was
promised by then is the promise of a month over the same share of a month. It got worse when it costs more than was
promised, or when the new capacity is exceeded more often than the upper end of the interval that was promised: then a
rollback is recommended.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final

from trimtab_service.domain.reasons import AdviceReason
from trimtab_service.domain.recommendations import (
    Impact,
    ImpactCategory,
    Kind,
    Outcome,
    Priority,
    RealizedImpact,
    Recommendation,
    RecommendationContent,
    State,
)
from trimtab_service.domain.resources import CloudResource
from trimtab_service.domain.rightsizing import Action, RightsizingOption
from trimtab_service.recommendations.application import way_back
from trimtab_service.recommendations.intake import monthly_saving_micros
from trimtab_service.recommendations.summary import dollars, shown_id

MEASURED_FROM_HOURS: Final = 24.0
"""Less than a day of measurements says nothing about how often a size is exceeded."""

EXCEEDS_BY: Final = 0.05
"""So many points above the promise is a regression whatever its interval says."""

LAST_MEASURE: Final = timedelta(days=30)
"""After this, what was applied is measured no more: its promise was of a month."""

_HOUR: Final = timedelta(hours=1)
_MICROSECOND: Final = timedelta(microseconds=1)
_SLACK: Final = Fraction(1, 20)
"""Costing up to a twentieth more than was promised is rounding and changed prices, not a regression."""


@dataclass(frozen=True, slots=True)
class Exceedance:
    """What was measured on the new size: the share of intervals above a capacity, and how many hours they cover."""

    share: float
    hours: float


Measure = Callable[[CloudResource, RightsizingOption, datetime], Exceedance | None]
"""Measures the series since an instant against an option on a resource; None where no series tells anything."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known since the apply. `running_hours` None: all of them. `price_after_nanos` None: as promised."""

    exceedance: Exceedance | None
    running_hours: float | None = None
    price_after_nanos_per_hour: int | None = None


def applied_time(recommendation: Recommendation) -> datetime:
    """When it was carried out: the end of its last operation, or when it was said to be."""
    ends = [
        entry.end_time
        for entry in recommendation.applied_operations
        if entry.end_time is not None and entry.outcome is Outcome.DONE and not entry.rollback
    ]
    marked = [step.time for step in recommendation.history if step.to_state is State.SUCCEEDED]
    return max(ends) if ends else max(marked, default=recommendation.update_time)


def resource_after(content: RecommendationContent) -> CloudResource:
    """The resource as it is once the advice was carried out."""
    option, resource = content.rightsizing_option, content.resource
    if option is None or option.action is Action.STOP:
        return resource
    return replace(
        resource,
        cloud=option.cloud,
        region=option.region,
        instance_type=option.instance_type or resource.instance_type,
        count=option.count,
        capacity=option.capacity,
        price_nanos_per_hour=None,
    )


def realized(recommendation: Recommendation, observed: Observation, now: datetime) -> RealizedImpact:
    """What it brought until `now`. Where nothing was measured long enough, `reason` says so and nothing regressed."""
    content, start = recommendation.content, applied_time(recommendation)
    elapsed = max(now - start, timedelta())
    hours = elapsed / _HOUR if observed.running_hours is None else observed.running_hours
    ran = (
        elapsed // _MICROSECOND if observed.running_hours is None else round(Fraction(hours) * (_HOUR // _MICROSECOND))
    )
    saving = _over(_saved_nanos_per_hour(content, observed), ran)
    month = content.primary_impact.duration // _MICROSECOND
    running = content.resource.running_hours_per_month
    if running is not None and running > 0:
        month = round(Fraction(str(running)) * (_HOUR // _MICROSECOND))
    promised = round(Fraction(monthly_saving_micros(content) * ran, month))
    monthly = round(Fraction(saving * month, ran)) if ran else 0
    told = _promised_exceedance(content)
    seen = observed.exceedance
    is_measured = seen is not None and seen.hours >= MEASURED_FROM_HOURS
    is_worse = ran > 0 and _costs_more(saving, promised)
    is_exceeded = is_measured and seen is not None and seen.share > told[1]
    reason = ""
    if is_exceeded:
        reason = AdviceReason.EXCEEDS_MORE.name
    elif is_worse or (ran and saving < promised):
        reason = AdviceReason.REALIZED_LESS.name
    elif not is_measured and not _is_stopped(content):
        reason = AdviceReason.NOT_MEASURED_YET.name
    before = recommendation.realized_impact
    return RealizedImpact(
        measure_time=now,
        start_time=start,
        running_hours=hours,
        saving_micros=saving,
        promised_saving_micros=promised,
        monthly_saving_micros=monthly,
        exceedance=0.0 if seen is None else seen.share,
        promised_exceedance=told[0],
        regression=is_worse or is_exceeded,
        rollback_recommendation="" if before is None else before.rollback_recommendation,
        reason=reason,
    )


def rollback_content(recommendation: Recommendation, impact: RealizedImpact) -> RecommendationContent | None:
    """The recommendation to undo one that made things worse; None where nothing was carried out by trimtab."""
    groups = way_back(recommendation.applied_operations)
    if not groups:
        return None
    content = recommendation.content
    resource = resource_after(content)
    lost = monthly_saving_micros(content)
    why = (
        f"the new size was exceeded in {impact.exceedance:.1%} of intervals, {impact.promised_exceedance:.1%} were "
        "promised"
        if impact.reason == AdviceReason.EXCEEDS_MORE.name
        else f"it saved {_signed(impact.saving_micros)} where {_signed(impact.promised_saving_micros)} were promised"
    )
    cost = Impact(ImpactCategory.COST, lost, content.primary_impact.duration)
    current, option = content.rightsizing_option, content.rightsizing_current
    risk = 0.0 if option is None else option.risk
    return RecommendationContent(
        identity=f"{content.resource.key}#{Kind.ROLLBACK}#{recommendation.recommendation_id}",
        kind=Kind.ROLLBACK,
        priority=Priority.P1 if impact.reason == AdviceReason.EXCEEDS_MORE.name else Priority.P2,
        resource=resource,
        primary_impact=replace(cost, category=ImpactCategory.PERFORMANCE, cost_micros=0, performance_risk=risk),
        additional_impacts=(cost,),
        exclusive_group=content.exclusive_group,
        operation_groups=groups,
        summary=f"Undo the change of {shown_id(content.resource)}: {why}.",
        reasons=(impact.reason,),
        confidence=1.0,
        catalog_version=content.catalog_version,
        telemetry_source=content.telemetry_source,
        rolls_back=recommendation.name,
        rightsizing_option=option,
        rightsizing_current=current,
    )


def _saved_nanos_per_hour(content: RecommendationContent, observed: Observation) -> int:
    """Price before less price after of all instances together, per hour they run."""
    before, after = content.rightsizing_current, content.rightsizing_option
    if before is None or after is None:
        return _nanos_per_hour(monthly_saving_micros(content), content.primary_impact.duration)
    was = before.price_nanos_per_hour * before.count
    if _is_stopped(content):
        return was
    price = (
        after.price_nanos_per_hour
        if observed.price_after_nanos_per_hour is None
        else observed.price_after_nanos_per_hour
    )
    return was - price * after.count


def _nanos_per_hour(monthly_micros: int, month: timedelta) -> int:
    return round(Fraction(monthly_micros * 1_000 * (_HOUR // _MICROSECOND), month // _MICROSECOND))


def _over(nanos_per_hour: int, ran_microseconds: int) -> int:
    """Micro-USD, ties to even."""
    return round(Fraction(nanos_per_hour * ran_microseconds, 1_000 * (_HOUR // _MICROSECOND)))


def _costs_more(saving: int, promised: int) -> bool:
    """Whether it costs more than now where less was promised, or clearly more than was said it would."""
    if promised >= 0:
        return saving < 0
    return Fraction(saving) < promised * (1 + _SLACK)


def _promised_exceedance(content: RecommendationContent) -> tuple[float, float]:
    """The share that was promised, and the most that is still within; nothing was promised: everything is within.

    That is the upper end of its interval, but no more than `EXCEEDS_BY` above the promise: an interval of few days is
    wide, and a workload in want should not wait for it.
    """
    option = content.rightsizing_option
    if option is None or option.back_test is None:
        return 0.0, 1.0
    test = option.back_test
    return test.exceedance, min(test.exceedance_high, test.exceedance + EXCEEDS_BY)


def _is_stopped(content: RecommendationContent) -> bool:
    return content.rightsizing_option is not None and content.rightsizing_option.action is Action.STOP


def _signed(micros: int) -> str:
    return f"-{dollars(micros)}" if micros < 0 else dollars(micros)
