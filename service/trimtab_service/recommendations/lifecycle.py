"""Where a recommendation may go from where it stands, and who may send it there. Pure: a state in, a state out.

The vocabulary is that of Google Cloud's Recommender; what it lacks is added: `REOPEN` exists, the service's own moves
(renew, expire, supersede) are verbs too, and each move that changes the state leaves a transition with its actor and
reason. A verb on a state that it leads back to itself (marking twice) changes nothing and leaves none.

Decisions:

- Who claimed holds it. Marking, dismissing, giving back and applying what another one has claimed needs the role
  operator; applying always needs the claimer. Claiming what another one holds is refused even to an operator: give it
  back first, so that the history shows both.
- What is dismissed or failed stays so over runs until it is reopened; what the service closed by itself (expired,
  superseded) opens again by itself when it is advised again.
- What succeeded is never reopened: its books are closed. The same finding made later is a new recommendation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from trimtab_service.domain.errors import FailedPreconditionError, PermissionDeniedError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.recommendations import Approval, Recommendation, State, Transition, TransitionReason

SERVICE: Final = "trimtab"
"""The actor of what the service does by itself."""


class Verb(StrEnum):
    """What may be done. The last three are the service's own."""

    CLAIM = "claim"
    MARK_SUCCEEDED = "mark_succeeded"
    MARK_FAILED = "mark_failed"
    DISMISS = "dismiss"
    REOPEN = "reopen"
    APPROVE = "approve"
    RENEW = "renew"
    EXPIRE = "expire"
    SUPERSEDE = "supersede"


_S = State
TRANSITIONS: Final[Mapping[Verb, Mapping[State, State]]] = {
    Verb.CLAIM: {_S.ACTIVE: _S.CLAIMED, _S.CLAIMED: _S.CLAIMED},
    Verb.MARK_SUCCEEDED: {
        _S.ACTIVE: _S.SUCCEEDED,
        _S.CLAIMED: _S.SUCCEEDED,
        _S.SUCCEEDED: _S.SUCCEEDED,
        _S.FAILED: _S.SUCCEEDED,
    },
    Verb.MARK_FAILED: {
        _S.ACTIVE: _S.FAILED,
        _S.CLAIMED: _S.FAILED,
        _S.SUCCEEDED: _S.FAILED,
        _S.FAILED: _S.FAILED,
    },
    Verb.DISMISS: {
        _S.ACTIVE: _S.DISMISSED,
        _S.CLAIMED: _S.DISMISSED,
        _S.FAILED: _S.DISMISSED,
        _S.DISMISSED: _S.DISMISSED,
    },
    Verb.REOPEN: {
        _S.ACTIVE: _S.ACTIVE,
        _S.CLAIMED: _S.ACTIVE,
        _S.FAILED: _S.ACTIVE,
        _S.DISMISSED: _S.ACTIVE,
    },
    Verb.APPROVE: {_S.CLAIMED: _S.CLAIMED},
    Verb.RENEW: {
        _S.ACTIVE: _S.ACTIVE,
        _S.DISMISSED: _S.DISMISSED,
        _S.EXPIRED: _S.ACTIVE,
        _S.SUPERSEDED: _S.ACTIVE,
    },
    Verb.EXPIRE: {_S.ACTIVE: _S.EXPIRED},
    Verb.SUPERSEDE: {_S.ACTIVE: _S.SUPERSEDED},
}
"""Verb, state before, state after. What is not here is refused."""

REFRESHED: Final = frozenset(TRANSITIONS[Verb.RENEW])
"""States in which a later run replaces the content; in the others it is frozen, or the books are closed."""

OPEN: Final = frozenset({State.ACTIVE, State.CLAIMED})
"""States that promise something."""

_REASONS: Final[Mapping[Verb, frozenset[TransitionReason]]] = {
    Verb.MARK_SUCCEEDED: frozenset({TransitionReason.APPLIED, TransitionReason.DONE_ELSEWHERE, TransitionReason.OTHER}),
    Verb.MARK_FAILED: frozenset(
        {
            TransitionReason.CLOUD_FAILED,
            TransitionReason.PRECONDITION_FAILED,
            TransitionReason.TOO_RISKY,
            TransitionReason.WRONG,
            TransitionReason.RESOURCE_GONE,
            TransitionReason.ROLLED_BACK,
            TransitionReason.OTHER,
        }
    ),
    Verb.DISMISS: frozenset(
        {
            TransitionReason.TOO_RISKY,
            TransitionReason.NOT_WORTH_IT,
            TransitionReason.WRONG,
            TransitionReason.LATER,
            TransitionReason.RESOURCE_GONE,
            TransitionReason.OTHER,
        }
    ),
    Verb.REOPEN: frozenset({TransitionReason.JUDGED_ANEW, TransitionReason.GIVEN_BACK, TransitionReason.OTHER}),
}
"""Reasons that a caller may give. Verbs that are not here have one reason, which the service writes."""

_HELD: Final = frozenset({Verb.MARK_SUCCEEDED, Verb.MARK_FAILED, Verb.DISMISS, Verb.REOPEN})
"""Verbs that only the claimer, or an operator, may use on what is claimed."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and whether the role operator is held in the project."""

    subject: str
    is_operator: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """A verb with what goes along. `metadata` is laid over the recommendation's own."""

    verb: Verb
    actor: Actor
    reason: TransitionReason
    comment: str = ""
    metadata: tuple[tuple[str, str], ...] = ()


def target(state: State, verb: Verb) -> State | None:
    """Where the verb leads from the state; None when it is refused."""
    return TRANSITIONS[verb].get(state)


def reason_allowed(verb: Verb, reason: TransitionReason) -> bool:
    """Whether a caller may give this reason with this verb."""
    return reason in _REASONS.get(verb, frozenset())


def move(recommendation: Recommendation, step: Move, now: datetime, lifetime: timedelta) -> Recommendation:
    """The recommendation after the step; the same object when nothing changes. `lifetime` is what ACTIVE lasts.

    Raises FailedPreconditionError (STATE_CONFLICT) when the state does not allow the verb, PermissionDeniedError when
    somebody else has claimed it.
    """
    before = recommendation.state
    after = target(before, step.verb)
    if after is None:
        raise _conflict(recommendation, f"{_words(step.verb)} is not possible while it is {before.value.upper()}")
    _check_holder(recommendation, step)
    metadata = tuple(sorted({**dict(recommendation.state_metadata), **dict(step.metadata)}.items()))
    if after is before:
        if metadata == recommendation.state_metadata:
            return recommendation
        return replace(recommendation, state_metadata=metadata, update_time=now)
    is_open = after is State.ACTIVE
    return replace(
        recommendation,
        state=after,
        update_time=now,
        expire_time=now + lifetime if is_open else None,
        state_metadata=metadata,
        claimed_by=_holder(recommendation, step, after),
        approval=recommendation.approval if after is State.CLAIMED else None,
        approval_source="" if is_open else recommendation.approval_source,
        superseded_by="" if is_open else recommendation.superseded_by,
        history=(
            *recommendation.history,
            Transition(now, before, after, step.actor.subject, step.reason, step.comment),
        ),
    )


def approve(recommendation: Recommendation, approver: str, now: datetime, valid_for: timedelta) -> Recommendation:
    """The recommendation with an approval of its frozen content, in the place of any earlier one.

    Raises FailedPreconditionError (STATE_CONFLICT) unless it is CLAIMED, PermissionDeniedError when the approver is
    who claimed it: nobody approves what he asks for.
    """
    if target(recommendation.state, Verb.APPROVE) is None:
        why = f"only what is CLAIMED is approved, and it is {recommendation.state.value.upper()}"
        raise _conflict(recommendation, why)
    if recommendation.claimed_by == approver:
        raise PermissionDeniedError(
            ErrorReason.PERMISSION_DENIED,
            "who claimed a recommendation may not approve it",
            metadata={"recommendation": recommendation.name, "claimed_by": approver},
        )
    given = Approval(approver, now, now + valid_for, recommendation.content_hash)
    return replace(recommendation, approval=given, update_time=now)


def _check_holder(recommendation: Recommendation, step: Move) -> None:
    if recommendation.state is not State.CLAIMED or recommendation.claimed_by == step.actor.subject:
        return
    if step.verb is Verb.CLAIM:
        raise _conflict(recommendation, f"{recommendation.claimed_by} has claimed it")
    if step.verb in _HELD and not step.actor.is_operator:
        raise PermissionDeniedError(
            ErrorReason.PERMISSION_DENIED,
            f"{recommendation.claimed_by} has claimed it; moving it needs the role operator",
            metadata={"recommendation": recommendation.name, "claimed_by": recommendation.claimed_by},
        )


def _holder(recommendation: Recommendation, step: Move, after: State) -> str:
    """Who has it in hand after the step; who carried it out stays written down."""
    if after is State.CLAIMED:
        return step.actor.subject
    return recommendation.claimed_by if after in {State.SUCCEEDED, State.FAILED} else ""


def _words(verb: Verb) -> str:
    return verb.value.replace("_", " ")


def _conflict(recommendation: Recommendation, why: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        ErrorReason.STATE_CONFLICT,
        why,
        metadata={"recommendation": recommendation.name, "state": recommendation.state.value.upper()},
    )
