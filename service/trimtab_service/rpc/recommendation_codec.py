"""Recommendations as messages, and the enums of the lifecycle both ways."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar

from trimtab.v1 import recommendation_service_pb2 as pb
from trimtab_service.domain.recommendations import (
    AppliedOperation,
    Impact,
    ImpactCategory,
    Kind,
    Operation,
    OperationKind,
    Outcome,
    Priority,
    RealizedImpact,
    Recommendation,
    RecommendationContent,
    State,
    Transition,
    TransitionReason,
)
from trimtab_service.recommendations.ports import Obstacle
from trimtab_service.recommendations.summary import card_of
from trimtab_service.rpc.advice_codec import fill_option
from trimtab_service.rpc.resource_encoder import fill_resource
from trimtab_service.rpc.vocabulary import set_micros, set_timestamp

E = TypeVar("E", bound=StrEnum)


def _codes(scope: object, prefix: str, members: Iterable[E]) -> Mapping[E, Any]:
    """Each member's number in the contract. Raises AttributeError when the contract lacks one."""
    return {member: getattr(scope, f"{prefix}_{member.name}") for member in members}


STATE_CODE: Final["Mapping[State, pb.Recommendation.State.ValueType]"] = _codes(pb.Recommendation, "STATE", State)
KIND_CODE: Final["Mapping[Kind, pb.Recommendation.Kind.ValueType]"] = _codes(pb.Recommendation, "KIND", Kind)
PRIORITY_CODE: Final["Mapping[Priority, pb.Recommendation.Priority.ValueType]"] = _codes(
    pb.Recommendation, "PRIORITY", Priority
)
CATEGORY_CODE: Final["Mapping[ImpactCategory, pb.Impact.Category.ValueType]"] = _codes(
    pb.Impact, "CATEGORY", ImpactCategory
)
OPERATION_CODE: Final["Mapping[OperationKind, pb.Operation.Kind.ValueType]"] = _codes(
    pb.Operation, "KIND", OperationKind
)
REASON_CODE: Final["Mapping[TransitionReason, pb.TransitionReason.ValueType]"] = _codes(
    pb, "TRANSITION_REASON", TransitionReason
)
REASON_OF: Final[Mapping[int, TransitionReason]] = {code: member for member, code in REASON_CODE.items()}
OUTCOME_CODE: Final["Mapping[Outcome, pb.AppliedOperation.Outcome.ValueType]"] = {
    Outcome.UNDER_WAY: pb.AppliedOperation.OUTCOME_UNSPECIFIED,
    Outcome.DONE: pb.AppliedOperation.OUTCOME_DONE,
    Outcome.UNCHANGED: pb.AppliedOperation.OUTCOME_UNCHANGED,
    Outcome.FAILED: pb.AppliedOperation.OUTCOME_FAILED,
}


def encode_recommendation(recommendation: Recommendation, *, with_history: bool = True) -> pb.Recommendation:
    """The message of a recommendation; lists leave its history out."""
    message = pb.Recommendation(
        name=recommendation.name,
        etag=recommendation.etag,
        state=STATE_CODE[recommendation.state],
        claimed_by=recommendation.claimed_by,
        approval_source=recommendation.approval_source,
        superseded_by=recommendation.superseded_by,
    )
    set_timestamp(message.create_time, recommendation.create_time)
    set_timestamp(message.update_time, recommendation.update_time)
    set_timestamp(message.refresh_time, recommendation.refresh_time)
    if recommendation.expire_time is not None:
        set_timestamp(message.expire_time, recommendation.expire_time)
    _fill_content(message, recommendation.content)
    card = card_of(recommendation)
    message.card.title = card.title
    message.card.lines.extend(card.lines)
    for label, method in card.actions:
        message.card.actions.add(label=label, method=method)
    if with_history:
        for step in recommendation.history:
            _fill_transition(message.history.add(), step)
    for key, value in recommendation.state_metadata:
        message.state_metadata[key] = value
    approval = recommendation.approval
    if approval is not None:
        message.approval.approver = approval.approver
        message.approval.content_hash = approval.content_hash
        set_timestamp(message.approval.time, approval.time)
        set_timestamp(message.approval.expire_time, approval.expire_time)
    for entry in recommendation.applied_operations:
        fill_applied(message.applied_operations.add(), entry)
    if recommendation.realized_impact is not None:
        _fill_realized(message.realized_impact, recommendation.realized_impact)
    return message


def fill_applied(message: pb.AppliedOperation, entry: AppliedOperation) -> None:
    """An entry of the journal, or of a dry run."""
    _fill_operation(message.operation, entry.operation)
    set_timestamp(message.start_time, entry.start_time)
    if entry.end_time is not None:
        set_timestamp(message.end_time, entry.end_time)
    message.outcome = OUTCOME_CODE[entry.outcome]
    message.detail = entry.detail
    message.rollback = entry.rollback


def encode_application(
    recommendation: Recommendation,
    operations: Iterable[AppliedOperation],
    obstacles: Iterable[Obstacle] = (),
    *,
    executed: bool,
) -> pb.ApplyRecommendationResponse:
    """What was done, or would be. The same obstacle of several operations is told once."""
    met = tuple(obstacles)
    message = pb.ApplyRecommendationResponse(
        recommendation=encode_recommendation(recommendation),
        executed=executed,
        obstacles=dict.fromkeys(obstacle.reason.name for obstacle in met),
        obstacle_details=dict.fromkeys(obstacle.detail for obstacle in met if obstacle.detail),
    )
    for entry in operations:
        fill_applied(message.operations.add(), entry)
    return message


def _fill_content(message: pb.Recommendation, content: RecommendationContent) -> None:
    message.kind = KIND_CODE[content.kind]
    message.priority = PRIORITY_CODE[content.priority]
    fill_resource(message.resource, content.resource)
    _fill_impact(message.primary_impact, content.primary_impact)
    for impact in content.additional_impacts:
        _fill_impact(message.additional_impacts.add(), impact)
    message.exclusive_group = content.exclusive_group
    for group in content.operation_groups:
        operations = message.operation_groups.add().operations
        for operation in group.operations:
            _fill_operation(operations.add(), operation)
    message.summary = content.summary
    if content.rightsizing_option is not None:
        fill_option(message.rightsizing_option, content.rightsizing_option)
    if content.rightsizing_current is not None:
        fill_option(message.rightsizing_current, content.rightsizing_current)
    for option in content.rightsizing_alternatives:
        fill_option(message.rightsizing_alternatives.add(), option)
    message.reasons.extend(content.reasons)
    message.confidence = content.confidence
    message.catalog_version = content.catalog_version
    message.rolls_back = content.rolls_back


def _fill_impact(message: pb.Impact, impact: Impact) -> None:
    message.category = CATEGORY_CODE[impact.category]
    set_micros(message.cost, impact.cost_micros)
    message.duration.FromTimedelta(impact.duration)
    message.performance_risk = impact.performance_risk
    message.reliability_reasons.extend(impact.reliability_reasons)
    if impact.carbon_kg is not None:
        message.carbon_kg = impact.carbon_kg


def _fill_operation(message: pb.Operation, operation: Operation) -> None:
    message.kind = OPERATION_CODE[operation.kind]
    message.resource_id = operation.resource_id
    for change in operation.changes:
        message.changes.add(field=change.field, before=change.before, after=change.after)


def _fill_transition(message: pb.Transition, step: Transition) -> None:
    set_timestamp(message.time, step.time)
    if step.from_state is not None:
        message.from_state = STATE_CODE[step.from_state]
    message.to_state = STATE_CODE[step.to_state]
    message.actor = step.actor
    message.reason = REASON_CODE[step.reason]
    message.comment = step.comment


def _fill_realized(message: pb.RealizedImpact, impact: RealizedImpact) -> None:
    set_timestamp(message.measure_time, impact.measure_time)
    set_timestamp(message.start_time, impact.start_time)
    message.running_hours = impact.running_hours
    set_micros(message.saving, impact.saving_micros)
    set_micros(message.promised_saving, impact.promised_saving_micros)
    set_micros(message.monthly_saving, impact.monthly_saving_micros)
    message.exceedance = impact.exceedance
    message.promised_exceedance = impact.promised_exceedance
    message.regression = impact.regression
    message.rollback_recommendation = impact.rollback_recommendation
    message.reason = impact.reason
