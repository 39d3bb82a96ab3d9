"""Turns the engine's advice into the contract's messages: options, back-tests, what the series held.

Messages are filled in place: handing a nested message to a constructor makes the runtime serialise and parse it again
on every level.
"""

from datetime import UTC, date, datetime, time
from functools import lru_cache

from trimtab.v1 import rightsizing_pb2 as pb
from trimtab.v1 import rightsizing_service_pb2 as service_pb
from trimtab_service.domain.dimensions import UNITS
from trimtab_service.domain.rightsizing import (
    Advice,
    BackTest,
    DimensionProjection,
    RightsizingOption,
    SeriesSummary,
    TelemetrySummary,
)
from trimtab_service.rpc.resource_encoder import fill_autoscaling, fill_capacity, fill_resource
from trimtab_service.rpc.sizing_vocabulary import (
    ACTION_CODE,
    DIMENSION_CODE,
    EFFORT_CODE,
    FINDING_CODE,
    METRIC_CODE,
)
from trimtab_service.rpc.vocabulary import BASIS_CODE, CLOUD_CODE, set_micros, set_nanos, set_timestamp


def encode_option(option: RightsizingOption) -> pb.RightsizingOption:
    """The message of an option."""
    message = pb.RightsizingOption()
    fill_option(message, option)
    return message


def fill_option(message: pb.RightsizingOption, option: RightsizingOption) -> None:
    """As `encode_option`, in place."""
    message.rank = option.rank
    message.action = ACTION_CODE[option.action]
    message.cloud = CLOUD_CODE[option.cloud]
    message.region = option.region
    message.instance_type = option.instance_type
    message.count = option.count
    fill_capacity(message.capacity, option.capacity)
    message.gpu_share = option.gpu_share
    set_nanos(message.price_per_hour, option.price_nanos_per_hour)
    message.price_basis = BASIS_CODE[option.price_basis]
    set_timestamp(message.price_as_of, _midnight(option.price_as_of))
    set_micros(message.monthly_cost, option.monthly_cost_micros)
    set_micros(message.monthly_net_cost, option.monthly_net_cost_micros)
    set_micros(message.monthly_saving, option.monthly_saving_micros)
    set_micros(message.monthly_net_saving, option.monthly_net_saving_micros)
    for projection in option.dimensions:
        _fill_projection(message.dimensions.add(), projection)
    message.risk = option.risk
    if option.binding_dimension is not None:
        message.binding_dimension = DIMENSION_CODE[option.binding_dimension]
    message.migration_effort = EFFORT_CODE[option.migration_effort]
    message.restart_needed = option.restart_needed
    message.rollback_possible = option.rollback_possible
    if option.reasons:
        message.reasons.extend([reason.name for reason in option.reasons])
    if option.back_test is not None:
        fill_back_test(message.back_test, option.back_test)
    if option.autoscaling is not None:
        fill_autoscaling(message.autoscaling, option.autoscaling)
    if option.limits is not None:
        fill_capacity(message.limits, option.limits)
    if option.used_hours:
        message.used_hours.extend(option.used_hours)


def fill_back_test(message: pb.BackTest, test: BackTest) -> None:
    """How a capacity, and the rule that chose it, did on the past."""
    message.SetInParent()
    message.exceedance = test.exceedance
    message.exceedance_low = test.exceedance_low
    message.exceedance_high = test.exceedance_high
    message.confidence_level = test.confidence_level
    message.slack = test.slack
    message.windows = test.windows
    message.windows_exceeded = test.windows_exceeded
    message.rule_exceedance = test.rule_exceedance
    message.rule_slack = test.rule_slack


def encode_advice(advice: Advice, recommendation: str = "") -> service_pb.RightsizingAdvice:
    """The message of an advice; `recommendation` is the name it was stored under. Same arguments, same message."""
    message = service_pb.RightsizingAdvice(finding=FINDING_CODE[advice.finding])
    if advice.reasons:
        message.reasons.extend([reason.name for reason in advice.reasons])
    if advice.missing:
        message.missing.extend(advice.missing)
    fill_resource(message.resource, advice.resource)
    if advice.current is not None:
        fill_option(message.current, advice.current)
    for option in advice.options:
        fill_option(message.options.add(), option)
    _fill_telemetry(message.telemetry, advice.telemetry)
    for rule in advice.preferences:
        message.preferences.add(field=rule.field, value=rule.value, source=rule.source)
    message.confidence = advice.confidence
    message.catalog_version = advice.catalog_version
    set_timestamp(message.as_of, advice.as_of)
    message.recommendation = recommendation
    for reason, count in advice.rejections:
        message.rejections.add(reason=reason.name, count=count)
    message.policy_revision = advice.policy_revision
    message.hours_per_month = advice.hours_per_month
    return message


def _fill_projection(message: pb.DimensionProjection, projection: DimensionProjection) -> None:
    message.dimension = DIMENSION_CODE[projection.dimension]
    message.capacity = projection.capacity
    message.demand = projection.demand
    message.unit = UNITS[projection.dimension]
    message.mean_utilization = projection.mean_utilization
    message.p95_utilization = projection.p95_utilization
    message.max_utilization = projection.max_utilization
    message.risk = projection.risk
    if projection.back_test is not None:
        fill_back_test(message.back_test, projection.back_test)
    message.assumed = projection.assumed


def _fill_telemetry(message: service_pb.TelemetrySummary, summary: TelemetrySummary) -> None:
    message.SetInParent()
    if summary.start_time is not None:
        set_timestamp(message.start_time, summary.start_time)
    if summary.end_time is not None:
        set_timestamp(message.end_time, summary.end_time)
    for series in summary.series:
        _fill_series(message.series.add(), series)


def _fill_series(message: service_pb.SeriesSummary, series: SeriesSummary) -> None:
    message.metric = METRIC_CODE[series.metric]
    message.points = series.points
    message.used_points = series.used_points
    message.step.FromTimedelta(series.step)
    message.gap_fraction = series.gap_fraction
    if series.notes:
        message.notes.extend([note.name for note in series.notes])


@lru_cache(maxsize=4_096)
def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(tzinfo=UTC))
