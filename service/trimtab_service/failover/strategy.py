"""Which of the four ways to keep a standby is the cheapest that is fast enough: standby and expected loss together.

Default times are the upper ends of what AWS states in "Disaster recovery options in the cloud" (hours; tens of minutes
to hours; minutes; seconds); what a drill measured goes before them. Expected loss a year is
outages x (recovery time + (1 - probability of capacity) x wait for capacity) x loss an hour.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from trimtab_service.domain.money import micros_from_nanos
from trimtab_service.failover.run import Run, StepRun


class Strategy(StrEnum):
    """How a standby is kept, by rising readiness."""

    BACKUP_AND_RESTORE = "backup_and_restore"
    PILOT_LIGHT = "pilot_light"
    WARM_STANDBY = "warm_standby"
    ACTIVE_ACTIVE = "active_active"


@dataclass(frozen=True, slots=True)
class Times:
    """Recovery time, and age of the data afterwards."""

    rto: timedelta
    rpo: timedelta


DEFAULT_TIMES: Final[Mapping[Strategy, Times]] = MappingProxyType(
    {
        Strategy.BACKUP_AND_RESTORE: Times(timedelta(hours=24), timedelta(hours=24)),
        Strategy.PILOT_LIGHT: Times(timedelta(hours=4), timedelta(minutes=10)),
        Strategy.WARM_STANDBY: Times(timedelta(minutes=15), timedelta(seconds=30)),
        Strategy.ACTIVE_ACTIVE: Times(timedelta(seconds=60), timedelta(seconds=1)),
    }
)
"""Where no drill has measured."""


class Criticality(StrEnum):
    """How critical a service is, by rising need."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    MISSION = "mission"


TARGETS_OF: Final[Mapping[Criticality, Times]] = MappingProxyType(
    dict(zip(Criticality, DEFAULT_TIMES.values(), strict=True))
)
"""Targets of a service that says how critical it is and nothing more: what the four strategies keep, in their order."""

RUNNING_PERCENT: Final[Mapping[Strategy, int]] = MappingProxyType(
    {
        Strategy.BACKUP_AND_RESTORE: 0,
        Strategy.PILOT_LIGHT: 0,
        Strategy.WARM_STANDBY: 20,
        Strategy.ACTIVE_ACTIVE: 100,
    }
)
"""Share of the primary's instances that runs at the standby, in percent; whole instances, rounded up."""

CAPACITY_WAIT: Final = timedelta(hours=4)
"""How long an outage lasts beyond the recovery time where the capacity was not to be had."""

HOURS_PER_MONTH: Final = 730.0
MONTHS_PER_YEAR: Final = 12
DEFAULT_OUTAGES_PER_YEAR: Final = 0.2
DEFAULT_GPU_PROBABILITY: Final = 0.9
DEFAULT_PROBABILITY: Final = 0.99


@dataclass(frozen=True, slots=True)
class StandbyPrices:
    """What the standby would cost: one instance an hour, a GiB of storage a month, the traffic of one month.

    `transfer_micros` is of all changes going from the primary to the standby, `return_transfer_micros` of half of
    them going back and `half_transfer_micros` of half of them going out: sides that both serve change half each.
    """

    instance_nanos_per_hour: int
    storage_nanos_per_gib_month: int
    transfer_micros: int
    half_transfer_micros: int
    return_transfer_micros: int


@dataclass(frozen=True, slots=True)
class StrategyQuestion:
    """What is asked. `loss_micros_per_hour` is USD micros for every hour down; `drills` what was measured."""

    instances: int
    data_gib: float
    target: Times
    prices: StandbyPrices
    loss_micros_per_hour: int = 0
    outages_per_year: float = DEFAULT_OUTAGES_PER_YEAR
    capacity_probability: float = DEFAULT_PROBABILITY
    drills: Mapping[Strategy, Times] = field(default_factory=dict)
    hours_per_month: float = HOURS_PER_MONTH


@dataclass(frozen=True, slots=True)
class StrategyOption:
    """One strategy, in USD micros a month and (loss) a year. `is_measured`: its times come from a drill."""

    strategy: Strategy
    running: int
    capacity_micros: int
    storage_micros: int
    transfer_micros: int
    times: Times
    is_measured: bool
    meets_targets: bool
    capacity_probability: float
    expected_loss_micros: int

    @property
    def monthly_micros(self) -> int:
        """All of it."""
        return self.capacity_micros + self.storage_micros + self.transfer_micros

    @property
    def yearly_micros(self) -> int:
        """Twelve months and the loss expected in them: what the service pays for the choice."""
        return MONTHS_PER_YEAR * self.monthly_micros + self.expected_loss_micros


@dataclass(frozen=True, slots=True)
class StrategyAdvice:
    """All four, the fast enough first, each group by cost a year with its loss; None advised when none is fast enough.

    `frontier` are those that no other one beats in monthly cost and recovery time, by rising cost.
    """

    options: tuple[StrategyOption, ...]
    advised: Strategy | None
    frontier: tuple[Strategy, ...]


def advise_strategy(question: StrategyQuestion) -> StrategyAdvice:
    """Weigh the four."""
    options = sorted((_option(question, strategy) for strategy in Strategy), key=_order)
    first = options[0]
    return StrategyAdvice(tuple(options), first.strategy if first.meets_targets else None, _frontier(options))


def strategy_of(run: Run) -> Strategy:
    """What a run carried out: from no machine a pilot light, from some a warm standby.

    Without a step that scales, one that promotes is a pilot light too; without either both sides served already.
    """
    before = [_before(step) for step in run.steps if step.kind in {"scale_capacity", "acquire_capacity"}]
    if before:
        return Strategy.WARM_STANDBY if any(before) else Strategy.PILOT_LIGHT
    promotes = any(step.kind == "promote_data_store" for step in run.steps)
    return Strategy.PILOT_LIGHT if promotes else Strategy.ACTIVE_ACTIVE


def _before(step: StepRun) -> bool:
    """Whether machines were there before a step asked for more; so it is taken where it noted nothing."""
    noted = [step.memo["before"]] if "before" in step.memo else list(step.memo.values())
    return not noted or any(bool(number) for number in noted)


def _option(question: StrategyQuestion, strategy: Strategy) -> StrategyOption:
    prices = question.prices
    percent = RUNNING_PERCENT[strategy]
    running = math.ceil(Fraction(question.instances * percent, 100))
    transfer = prices.transfer_micros
    if strategy is Strategy.ACTIVE_ACTIVE:
        transfer = prices.half_transfer_micros + prices.return_transfer_micros
    times = question.drills.get(strategy, DEFAULT_TIMES[strategy])
    # What already runs need not be found.
    probability = 1.0 if running >= question.instances else question.capacity_probability
    down = Fraction(times.rto // timedelta(microseconds=1)) + (1 - Fraction(str(probability))) * Fraction(
        CAPACITY_WAIT // timedelta(microseconds=1)
    )
    hours = down / (3_600 * 10**6)
    hourly = running * prices.instance_nanos_per_hour
    return StrategyOption(
        strategy=strategy,
        running=running,
        capacity_micros=micros_from_nanos(round(hourly * Fraction(str(question.hours_per_month)))),
        storage_micros=micros_from_nanos(round(Fraction(str(question.data_gib)) * prices.storage_nanos_per_gib_month)),
        transfer_micros=transfer,
        times=times,
        is_measured=strategy in question.drills,
        meets_targets=times.rto <= question.target.rto and times.rpo <= question.target.rpo,
        capacity_probability=probability,
        expected_loss_micros=round(Fraction(str(question.outages_per_year)) * hours * question.loss_micros_per_hour),
    )


def _order(option: StrategyOption) -> tuple[bool, int, timedelta]:
    return not option.meets_targets, option.yearly_micros, option.times.rto


def _frontier(options: Sequence[StrategyOption]) -> tuple[Strategy, ...]:
    kept: list[StrategyOption] = []
    for option in sorted(options, key=lambda one: (one.monthly_micros, one.times.rto)):
        if not kept or option.times.rto < kept[-1].times.rto:
            kept.append(option)
    return tuple(option.strategy for option in kept)
