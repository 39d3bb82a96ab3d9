"""Where a recommendation may go, for every state and every verb."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from tests.support.findings import NOW, recommendation
from trimtab_service.domain.errors import FailedPreconditionError, PermissionDeniedError
from trimtab_service.domain.recommendations import State, TransitionReason
from trimtab_service.recommendations.lifecycle import Actor, Move, Verb, approve, move, reason_allowed, target

LIFE: Final = timedelta(days=14)
ADA: Final = Actor("ada")
BOB: Final = Actor("bob")
OPERATOR: Final = Actor("olga", is_operator=True)
S: Final = State

EXPECTED: Final[dict[Verb, dict[State, State]]] = {
    Verb.CLAIM: {S.ACTIVE: S.CLAIMED, S.CLAIMED: S.CLAIMED},
    Verb.MARK_SUCCEEDED: {
        S.ACTIVE: S.SUCCEEDED,
        S.CLAIMED: S.SUCCEEDED,
        S.SUCCEEDED: S.SUCCEEDED,
        S.FAILED: S.SUCCEEDED,
    },
    Verb.MARK_FAILED: {S.ACTIVE: S.FAILED, S.CLAIMED: S.FAILED, S.SUCCEEDED: S.FAILED, S.FAILED: S.FAILED},
    Verb.DISMISS: {
        S.ACTIVE: S.DISMISSED,
        S.CLAIMED: S.DISMISSED,
        S.FAILED: S.DISMISSED,
        S.DISMISSED: S.DISMISSED,
    },
    Verb.REOPEN: {S.ACTIVE: S.ACTIVE, S.CLAIMED: S.ACTIVE, S.FAILED: S.ACTIVE, S.DISMISSED: S.ACTIVE},
    Verb.APPROVE: {S.CLAIMED: S.CLAIMED},
    Verb.RENEW: {S.ACTIVE: S.ACTIVE, S.DISMISSED: S.DISMISSED, S.EXPIRED: S.ACTIVE, S.SUPERSEDED: S.ACTIVE},
    Verb.EXPIRE: {S.ACTIVE: S.EXPIRED},
    Verb.SUPERSEDE: {S.ACTIVE: S.SUPERSEDED},
}


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("state", State)
def test_a_verb_leads_where_the_table_says_or_is_refused(state: State, verb: Verb) -> None:
    """Every pair: the state after, one transition where it changes, none where it does not, a refusal elsewhere."""
    before = recommendation(state)
    step = Move(verb, ADA, TransitionReason.OTHER, "because")
    wanted = EXPECTED[verb].get(state)
    assert target(state, verb) is wanted
    if wanted is None:
        with pytest.raises(FailedPreconditionError) as refused:
            move(before, step, NOW, LIFE)
        assert refused.value.metadata["state"] == state.name
        return
    after = move(before, step, NOW + timedelta(hours=1), LIFE)
    assert after.state is wanted
    if wanted is state:
        assert after is before
        return
    (made,) = after.history
    assert (made.from_state, made.to_state, made.actor, made.reason, made.comment) == (
        state,
        wanted,
        "ada",
        TransitionReason.OTHER,
        "because",
    )
    assert (after.expire_time is not None) is (wanted is State.ACTIVE)


@pytest.mark.parametrize("verb", [Verb.MARK_SUCCEEDED, Verb.MARK_FAILED, Verb.DISMISS, Verb.REOPEN])
def test_what_one_has_claimed_another_moves_only_as_operator(verb: Verb) -> None:
    """The claimer and an operator may; anybody else is refused and learns who holds it."""
    claimed = recommendation(State.CLAIMED)
    for actor in (ADA, OPERATOR):
        assert move(claimed, Move(verb, actor, TransitionReason.OTHER), NOW, LIFE).state is EXPECTED[verb][S.CLAIMED]
    with pytest.raises(PermissionDeniedError) as refused:
        move(claimed, Move(verb, BOB, TransitionReason.OTHER), NOW, LIFE)
    assert refused.value.metadata["claimed_by"] == "ada"


@pytest.mark.parametrize("actor", [BOB, OPERATOR])
def test_nobody_claims_what_another_holds(actor: Actor) -> None:
    """Not even an operator: it is given back first, so that both steps are written down."""
    with pytest.raises(FailedPreconditionError):
        move(recommendation(State.CLAIMED), Move(Verb.CLAIM, actor, TransitionReason.TAKEN), NOW, LIFE)


def test_reopening_forgets_claimer_and_approval() -> None:
    """What is active again is nobody's."""
    claimed = approve(recommendation(State.CLAIMED), "grace", NOW, timedelta(hours=1))
    after = move(claimed, Move(Verb.REOPEN, ADA, TransitionReason.GIVEN_BACK), NOW, LIFE)
    assert (after.claimed_by, after.approval, after.approval_source) == ("", None, "")
    assert after.expire_time == NOW + LIFE


def test_metadata_is_laid_over_what_is_there() -> None:
    """Marking twice adds what is new, without another transition."""
    once = move(
        recommendation(State.CLAIMED),
        Move(Verb.MARK_SUCCEEDED, ADA, TransitionReason.APPLIED, metadata=(("a", "1"), ("b", "2"))),
        NOW,
        LIFE,
    )
    twice = move(once, Move(Verb.MARK_SUCCEEDED, ADA, TransitionReason.APPLIED, metadata=(("b", "3"),)), NOW, LIFE)
    assert twice.state_metadata == (("a", "1"), ("b", "3"))
    assert twice.history == once.history


def test_an_approval_is_of_this_content_by_somebody_else() -> None:
    """It carries the hash of what was seen, and its end; the claimer cannot give it."""
    claimed = recommendation(State.CLAIMED)
    approved = approve(claimed, "grace", NOW, timedelta(hours=2))
    assert approved.approval is not None
    assert (approved.approval.content_hash, approved.approval.expire_time) == ("h1", NOW + timedelta(hours=2))
    with pytest.raises(PermissionDeniedError):
        approve(claimed, "ada", NOW, timedelta(hours=2))


@pytest.mark.parametrize("state", [state for state in State if state is not State.CLAIMED])
def test_only_what_is_claimed_is_approved(state: State) -> None:
    """Its content would else not be frozen."""
    with pytest.raises(FailedPreconditionError):
        approve(replace(recommendation(state), claimed_by="ada"), "grace", NOW, timedelta(hours=1))


def test_the_services_own_reasons_cannot_be_given_by_callers() -> None:
    """ADVISED, TAKEN, REPLACED and NOT_CONFIRMED are written by the service alone."""
    own = {
        TransitionReason.ADVISED,
        TransitionReason.TAKEN,
        TransitionReason.REPLACED,
        TransitionReason.NOT_CONFIRMED,
    }
    assert not any(reason_allowed(verb, reason) for verb in Verb for reason in own)
