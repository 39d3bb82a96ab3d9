"""What must hold before a recommendation is carried out, apart from what its cloud says."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from trimtab_service.domain.reasons import ObstacleReason
from trimtab_service.domain.recommendations import Kind, Recommendation, State
from trimtab_service.recommendations.intake import monthly_saving_micros
from trimtab_service.recommendations.ports import Obstacle
from trimtab_service.recommendations.windows import ChangeWindow, may_change

_PURCHASES: Final = "the rule that purchases are approved"


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """What the effective policy says: from which amount a month (either way) an approval is needed, and who says so."""

    threshold_micros: int | None = None
    source: str = ""


def approval_source(recommendation: Recommendation, rule: ApprovalRule) -> str:
    """The policy that asks for an approval; empty where none is needed.

    What was asked for when it was claimed stays asked for: a policy loosened since does not let it through. A purchase
    has no way back, so it always needs one.
    """
    if recommendation.content.kind is Kind.PURCHASE:
        return rule.source or _PURCHASES
    if rule.threshold_micros is not None and abs(monthly_saving_micros(recommendation.content)) > rule.threshold_micros:
        return rule.source or "policy"
    return recommendation.approval_source


def obstacles_of(
    recommendation: Recommendation,
    actor: str,
    rule: ApprovalRule,
    windows: tuple[ChangeWindow, ...],
    now: datetime,
) -> tuple[Obstacle, ...]:
    """Why it may not be carried out by `actor` now."""
    found = []
    if recommendation.state is not State.CLAIMED or recommendation.claimed_by != actor:
        found.append(Obstacle(ObstacleReason.NOT_CLAIMED))
    if source := approval_source(recommendation, rule):
        found += _approval(recommendation, actor, source, now)
    if not may_change(windows, now):
        found.append(Obstacle(ObstacleReason.OUTSIDE_WINDOW))
    return tuple(found)


def _approval(recommendation: Recommendation, actor: str, source: str, now: datetime) -> list[Obstacle]:
    """An approval counts when somebody else gave it, for this very content, and it has not run out."""
    approval = recommendation.approval
    if approval is None:
        return [Obstacle(ObstacleReason.APPROVAL_REQUIRED, f"asked for by {source}")]
    if approval.approver in {actor, recommendation.claimed_by}:
        return [Obstacle(ObstacleReason.APPROVAL_REQUIRED, "the approver is not who asks for it")]
    if approval.content_hash != recommendation.content_hash:
        return [Obstacle(ObstacleReason.APPROVAL_REQUIRED, "the approval is of another content")]
    if approval.expire_time <= now:
        return [Obstacle(ObstacleReason.APPROVAL_EXPIRED)]
    return []
