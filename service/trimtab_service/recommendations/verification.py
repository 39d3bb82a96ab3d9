"""What an applied recommendation really brought, beside what it promised. Money in exact integers.

The promise, net of owned commitments, is that of a month over the same share of a month that the resource ran since it
was applied. Saved is that, less what the new size costs more by now than when it was advised. A schedule saves in the
hours that it does not run, and promised those that it is not used in. It got worse when it costs more than was
promised, or when the new capacity is exceeded more often than the upper end of the interval that was promised: then a
rollback is recommended.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final

from trimtab_service.domain.commitments import HOURS_OF_WEEK
from trimtab_service.domain.offers import PriceBasis
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
    """The resource as it is once the advice was carried out; with its price where the catalogue does not tell that."""
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
        price_nanos_per_hour=(option.price_nanos_per_hour or None) if _has_own_price(option) else None,
    )


def realized(recommendation: Recommendation, observed: Observation, now: datetime) -> RealizedImpact:
    """What it brought until `now`. Where nothing was measured long enough, `reason` says so and nothing regressed."""
    content, start = recommendation.content, applied_time(recommendation)
    counted = _counted(content, observed, start, max(start, now))
    a_month = monthly_saving_micros(content)
    promised = _share_of(a_month, counted.due, counted.of)
    saving = _share_of(a_month, counted.kept, counted.of) - _dearer_micros(content, observed, counted)
    monthly = _share_of(saving, _month(content), counted.span) if counted.span else 0
    told = _promised_exceedance(content)
    seen = observed.exceedance
    is_measured = seen is not None and seen.hours >= MEASURED_FROM_HOURS
    is_worse = bool(counted.span) and _costs_more(saving, promised)
    is_exceeded = is_measured and seen is not None and seen.share > told[1]
    reason = ""
    if is_exceeded:
        reason = AdviceReason.EXCEEDS_MORE.name
    elif is_worse or (counted.is_known and saving < promised):
        reason = AdviceReason.REALIZED_LESS.name
    elif not is_measured and not _is_stopped(content):
        reason = AdviceReason.NOT_MEASURED_YET.name
    before = recommendation.realized_impact
    return RealizedImpact(
        measure_time=now,
        start_time=start,
        running_hours=counted.ran / _HOUR,
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


@dataclass(frozen=True, slots=True)
class _Counted:
    """Time since the apply: what a month promised is kept for `kept` out of `of`, and due for `due` out of `of`.

    `ran` is how long it ran, `span` what a month of savings is told by. Not `is_known`: how long it ran is a guess.
    """

    ran: timedelta
    kept: timedelta
    due: timedelta
    of: timedelta
    span: timedelta
    is_known: bool = True


def _counted(content: RecommendationContent, observed: Observation, start: datetime, now: datetime) -> _Counted:
    elapsed, option = now - start, content.rightsizing_option
    hours = observed.running_hours
    if option is None or option.action is not Action.SCHEDULE or len(option.used_hours) >= HOURS_OF_WEEK:
        ran = elapsed if hours is None else _span(hours)
        return _Counted(ran=ran, kept=ran, due=ran, of=_month(content), span=ran)
    if hours is None and observed.exceedance is not None:
        hours = observed.exceedance.hours
    ran = elapsed if hours is None else _span(hours)
    unused = _month(content) * (HOURS_OF_WEEK - len(option.used_hours)) // HOURS_OF_WEEK
    return _Counted(
        ran=ran,
        kept=max(elapsed - ran, timedelta()),
        due=_outside(frozenset(option.used_hours), start, now),
        of=unused,
        span=elapsed,
        is_known=hours is not None,
    )


def _outside(used: frozenset[int], start: datetime, end: datetime) -> timedelta:
    """How much of a time lies outside the hours of the week (0 is Monday 00:00 UTC)."""
    total, at = timedelta(), start
    while at < end:
        until = min(end, at.replace(minute=0, second=0, microsecond=0) + _HOUR)
        if at.weekday() * 24 + at.hour not in used:
            total += until - at
        at = until
    return total


def _month(content: RecommendationContent) -> timedelta:
    """The time that the resource runs in a month."""
    running = content.resource.running_hours_per_month
    return _span(running) if running is not None and running > 0 else content.primary_impact.duration


def _span(hours: float) -> timedelta:
    return timedelta(microseconds=round(Fraction(str(hours)) * (_HOUR // _MICROSECOND)))


def _share_of(micros: int, part: timedelta, whole: timedelta) -> int:
    """Micro-USD, ties to even."""
    return round(Fraction(micros * (part // _MICROSECOND), whole // _MICROSECOND))


def _dearer_micros(content: RecommendationContent, observed: Observation, counted: _Counted) -> int:
    """What the new size costs more by now than when it was advised: all instances together, over the time they ran."""
    after, now = content.rightsizing_option, observed.price_after_nanos_per_hour
    if after is None or now is None or _is_stopped(content):
        return 0
    nanos = (now - after.price_nanos_per_hour) * after.count * (counted.ran // _MICROSECOND)
    return round(Fraction(nanos, 1_000 * (_HOUR // _MICROSECOND)))


def _has_own_price(option: RightsizingOption) -> bool:
    """Whether the catalogue does not tell what it costs: the caller's price, or a part of a machine's."""
    return bool(option.gpu_share) or option.price_basis in {PriceBasis.CALLER, PriceBasis.ESTIMATED_NODE_SHARE}


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
