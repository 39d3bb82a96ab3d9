"""Recommendations taken into a store, moved by verbs and listed, in the project `p`."""

from datetime import datetime, timedelta
from typing import Final

from tests.support.findings import NOW
from trimtab_service.domain.recommendations import (
    Recommendation,
    RecommendationContent,
    TransitionReason,
)
from trimtab_service.recommendations.lifecycle import Actor, Move, Verb, move
from trimtab_service.rpc.ids import new_ulid
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.pages import ListRequest
from trimtab_service.store.recommendations import RecommendationStore

LIFE: Final = timedelta(days=14)
NEVER: Final = RequestKey("p", "M", "", b"")
ADA: Final = Actor("ada")


def take(store: RecommendationStore, *contents: RecommendationContent, now: datetime = NOW) -> list[Recommendation]:
    """One run's findings."""
    return [store.get("p", own) for own in store.take_in("p", contents, now, new_ulid)]


def do(
    store: RecommendationStore,
    own: str,
    verb: Verb,
    now: datetime = NOW,
    actor: Actor = ADA,
    etag: str = "",
    request: RequestKey = NEVER,
) -> Recommendation:
    """A verb on a recommendation; what it is after it, read from the store."""
    step = Move(verb, actor, TransitionReason.OTHER)
    store.change("p", own, etag, lambda stands: move(stands, step, now, LIFE), now, request, lambda made: b"done")
    return store.get("p", own)


def listed(store: RecommendationStore, filter_text: str = "", order: str = "", size: int = 1_000) -> list[str]:
    """Ids of all pages."""
    ids: list[str] = []
    token = ""
    while True:
        page = store.list("p", ListRequest("L", "projects/p", filter_text, size, token), order)
        ids += [row.recommendation_id for row in page.items]
        token = page.next_page_token
        if not token:
            return ids
