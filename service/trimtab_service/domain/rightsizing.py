"""The advice that rightsizing gives."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from trimtab_service.domain.dimensions import Dimension, Metric
from trimtab_service.domain.offers import Cloud, PriceBasis
from trimtab_service.domain.policy import RuleSource
from trimtab_service.domain.reasons import AdviceReason, SeriesNote
from trimtab_service.domain.resources import Autoscaling, Capacity, CloudResource


class Finding(StrEnum):
    """What was found. The last three are no statement about savings at all."""

    OPTIMIZED = "optimized"
    OVER_PROVISIONED = "over_provisioned"
    UNDER_PROVISIONED = "under_provisioned"
    NOT_OPTIMIZED = "not_optimized"
    IDLE = "idle"
    INSUFFICIENT_DATA = "insufficient_data"
    UNSUPPORTED = "unsupported"
    SOURCE_FAILED = "source_failed"


class Action(StrEnum):
    """What carrying an option out does."""

    KEEP = "keep"
    RESIZE = "resize"
    CHANGE_FAMILY = "change_family"
    CHANGE_ARCHITECTURE = "change_architecture"
    CHANGE_GPU = "change_gpu"
    SHARE_GPU = "share_gpu"
    SCALE_IN = "scale_in"
    SCALE_OUT = "scale_out"
    STOP = "stop"
    SCHEDULE = "schedule"
    SET_REQUESTS = "set_requests"
    MOVE = "move"


class MigrationEffort(StrEnum):
    """AWS Compute Optimizer's words."""

    VERY_LOW = "very_low"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class BackTest:
    """How a capacity, and the rule that chose it, did on the caller's own past. All shares 0 to 1.

    `exceedance` is the share of measured intervals above the capacity, with its interval at `confidence_level`;
    `rule_exceedance` and `rule_slack` are of the rule walking forward, knowing only the past of each window.
    """

    exceedance: float
    exceedance_low: float
    exceedance_high: float
    confidence_level: float
    slack: float
    windows: int
    windows_exceeded: int
    rule_exceedance: float
    rule_slack: float


@dataclass(frozen=True, slots=True)
class DimensionProjection:
    """One dimension under an option, in the dimension's unit. `assumed`: nothing was measured."""

    dimension: Dimension
    capacity: float
    demand: float
    mean_utilization: float
    p95_utilization: float
    max_utilization: float
    risk: float
    back_test: BackTest | None
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class RightsizingOption:
    """A size, its price, its risk, and how it would have done. `rank` 0 is the present size.

    `autoscaling` are the bounds of a group that scales by itself, `limits` what a container may burst to. `used_hours`
    are the hours of the week to run in (0 is Monday 00:00 UTC, to 167) where the action is to run by schedule.
    """

    rank: int
    action: Action
    cloud: Cloud
    region: str
    instance_type: str
    count: int
    capacity: Capacity
    price_nanos_per_hour: int
    price_basis: PriceBasis
    price_as_of: date
    monthly_cost_micros: int
    monthly_net_cost_micros: int
    monthly_saving_micros: int
    monthly_net_saving_micros: int
    dimensions: tuple[DimensionProjection, ...]
    risk: float
    binding_dimension: Dimension | None
    migration_effort: MigrationEffort
    restart_needed: bool
    rollback_possible: bool
    reasons: tuple[AdviceReason, ...] = ()
    gpu_share: str = ""
    back_test: BackTest | None = None
    autoscaling: Autoscaling | None = None
    limits: Capacity | None = None
    used_hours: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """What one series held and what had to be done to it."""

    metric: Metric
    points: int
    used_points: int
    step: timedelta
    gap_fraction: float
    notes: tuple[SeriesNote, ...] = ()


@dataclass(frozen=True, slots=True)
class TelemetrySummary:
    """What all series of one resource held together."""

    start_time: datetime | None
    end_time: datetime | None
    series: tuple[SeriesSummary, ...]


@dataclass(frozen=True, slots=True)
class Advice:
    """What is advised for one resource. `options` is empty when nothing beats the present size."""

    finding: Finding
    resource: CloudResource
    reasons: tuple[AdviceReason, ...]
    missing: tuple[str, ...]
    current: RightsizingOption | None
    options: tuple[RightsizingOption, ...]
    telemetry: TelemetrySummary
    preferences: tuple[RuleSource, ...]
    confidence: float
    catalog_version: str
    policy_revision: int
    as_of: datetime
    hours_per_month: float
    rejections: tuple[tuple[AdviceReason, int], ...] = ()
