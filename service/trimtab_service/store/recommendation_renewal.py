"""What a newer plan does to an older one that somebody has in hand: the claim is given back, the approval is void."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from trimtab_service.domain.recommendations import Recommendation, RecommendationContent, State, TransitionReason
from trimtab_service.recommendations.lifecycle import SERVICE, Actor, Move, Verb, move
from trimtab_service.store.recommendation_leases import is_busy
from trimtab_service.store.recommendation_rows import Prepared
from trimtab_service.store.recommendation_tables import RECOMMENDATIONS
from trimtab_service.store.recommendations import change_one
from trimtab_service.store.serial import take_turn

_R = RECOMMENDATIONS.c
_OURS = Actor(SERVICE, is_operator=True)
_REPLACED = "a newer plan of the same scope was made"


def give_back_stale(
    conn: Connection, project: str, content: RecommendationContent, now: datetime, lifetime: timedelta
) -> None:
    """Give back the claim on a recommendation of the same identity and another content, in the caller's transaction.

    It is then refreshed as any that nobody holds, and has to be claimed and approved as it stands. One that is being
    carried out at this moment is left alone.
    """
    digest = Prepared.of(content).content_hash

    def revise(stands: Recommendation) -> Recommendation:
        if stands.content_hash == digest:
            return stands
        return move(stands, Move(Verb.REOPEN, _OURS, TransitionReason.REPLACED, _REPLACED), now, lifetime)

    _revise_live(conn, project, content.identity, State.CLAIMED, revise, now)


def withdraw(conn: Connection, project: str, identity: str, now: datetime, lifetime: timedelta) -> None:
    """A newer run found that there is nothing to do: what was advised before is over, claimed or not."""
    give = Move(Verb.REOPEN, _OURS, TransitionReason.REPLACED, _REPLACED)
    end = Move(Verb.EXPIRE, _OURS, TransitionReason.NOT_CONFIRMED)
    _revise_live(conn, project, identity, State.CLAIMED, lambda stands: move(stands, give, now, lifetime), now)
    _revise_live(conn, project, identity, State.ACTIVE, lambda stands: move(stands, end, now, lifetime), now)


def _revise_live(  # noqa: PLR0913, PLR0917 - whose, which, and what becomes of it
    conn: Connection,
    project: str,
    identity: str,
    state: State,
    revise: Callable[[Recommendation], Recommendation],
    now: datetime,
) -> None:
    take_turn(conn)
    wanted = select(_R.recommendation_id, _R.exclusive_group).where(
        _R.project == project,
        _R.identity == identity,
        _R.is_live,
        _R.state == state.value,
    )
    for own, group in conn.execute(wanted).all():
        if not is_busy(conn, project, group):
            change_one(conn, project, own, "", revise, now)
