"""What a purchase plan is asked with, and what in it cannot be right: every fault is named, none thrown one by one."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.purchasing import (
    DeclaredChange,
    OwnedLevel,
    PlanOffer,
    PlanTerms,
    Preference,
    PurchaseLimits,
    RiskAim,
    Scenario,
    SpotShare,
)
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.purchasing.demand import HourlyUsage
from trimtab_service.purchasing.memory import DEFAULT_LIMIT_BYTES

_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class PlanRequest:
    """What is asked. `scenarios` matter to the aims other than expected cost of the usage as it is."""

    usage: HourlyUsage
    offers: tuple[PlanOffer, ...]
    terms: PlanTerms
    owned: tuple[OwnedLevel, ...] = ()
    spot: tuple[SpotShare, ...] = ()
    changes: tuple[DeclaredChange, ...] = ()
    limits: PurchaseLimits = field(default_factory=PurchaseLimits)
    aim: RiskAim = field(default_factory=RiskAim)
    scenarios: tuple[Scenario, ...] = ()
    with_risk: bool = True
    memory_limit_bytes: int = DEFAULT_LIMIT_BYTES


def require_sound(request: PlanRequest) -> None:
    """Raises InvalidArgumentError with every violation there is."""
    violations = [*_terms(request), *_owned(request), *_spot_and_changes(request), *_scenarios(request)]
    if violations:
        raise InvalidArgumentError(violations)


def _terms(request: PlanRequest) -> Iterator[Violation]:
    if request.terms.horizon < timedelta(hours=1):
        yield Violation("horizon", ErrorReason.OUT_OF_RANGE, "a plan needs an hour at least")
    if not 0.0 <= request.terms.cost_of_capital <= 1.0:
        text = f"{request.terms.cost_of_capital} is not a yearly share between 0 and 1"
        yield Violation("cost_of_capital", ErrorReason.OUT_OF_RANGE, text)
    if request.usage.hours == 0 or not request.usage.keys:
        yield Violation("usage", ErrorReason.FIELD_REQUIRED, "no hour of usage is given")
    limit = request.limits.commitment_per_hour
    if limit is not None and not limit >= 0.0:
        yield Violation("limits.commitment_per_hour", ErrorReason.OUT_OF_RANGE, f"{limit} is not an amount")


def _owned(request: PlanRequest) -> Iterator[Violation]:
    seen: set[str] = set()
    for index, level in enumerate(request.owned):
        if level.end_time <= level.start_time or not level.per_hour >= 0.0:
            text = "an owned commitment has a term and an amount that is not negative"
            yield Violation(f"owned[{index}]", ErrorReason.OUT_OF_RANGE, text)
        if level.commitment_id in seen:
            text = f"the commitment {level.commitment_id!r} is given twice; overlapping ones have ids of their own"
            yield Violation(f"owned[{index}]", ErrorReason.CONTRADICTION, text)
        seen.add(level.commitment_id)


def _spot_and_changes(request: PlanRequest) -> Iterator[Violation]:
    for index, spot in enumerate(request.spot):
        if not (0.0 <= spot.share <= 1.0 and 0.0 <= spot.price <= 1.0):
            yield Violation(f"spot[{index}]", ErrorReason.OUT_OF_RANGE, "share and price are between 0 and 1")
    for index, change in enumerate(request.changes):
        if not change.factor >= 0.0:
            yield Violation(f"changes[{index}].factor", ErrorReason.OUT_OF_RANGE, f"{change.factor} is not a factor")


def _scenarios(request: PlanRequest) -> Iterator[Violation]:
    if request.aim.preference is not Preference.EXPECTED_COST and not request.scenarios:
        yield Violation("scenarios", ErrorReason.FIELD_REQUIRED, "this aim is over scenarios")
    total = sum(scenario.probability for scenario in request.scenarios)
    negative = any(not scenario.probability >= 0.0 for scenario in request.scenarios)
    if request.scenarios and (negative or abs(total - 1.0) > _ROUNDING):
        yield Violation("scenarios", ErrorReason.OUT_OF_RANGE, f"probabilities sum to {total}, not to 1")
    if not 0.0 < request.aim.tail <= 1.0:
        yield Violation("aim.tail", ErrorReason.OUT_OF_RANGE, f"{request.aim.tail} is not in (0, 1]")
