"""Tokens of `WatchRecommendations`, and the loop that follows a project's changes."""

import base64
import binascii
from collections.abc import Iterator
from typing import Final

from trimtab.v1 import recommendation_service_pb2 as pb
from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.rpc.call import Call
from trimtab_service.rpc.recommendation_codec import encode_recommendation
from trimtab_service.store.pages import ListRequest, seal_of
from trimtab_service.store.recommendations import RecommendationStore

_PAGE: Final = 200
_BYTES: Final = 8
_SEAL: Final = 12
_LARGEST: Final = 2**63 - 1


def token_of(parent: str, number: int) -> str:
    """The token of the change of this number; it belongs to the parent and to any filter."""
    payload = number.to_bytes(_BYTES, "big")
    return base64.urlsafe_b64encode(_seal(parent, payload) + payload).decode().rstrip("=")


def number_of(parent: str, token: str, last: int) -> int:
    """The number of a token; of none, the last change there is.

    Raises InvalidArgumentError (PAGE_TOKEN_INVALID) for a token of another parent, or of a change that this database
    has not seen: it was put back to an older copy, and what to resume from is lost.
    """
    if not token:
        return last
    try:
        raw = base64.b64decode((token + "=" * (-len(token) % 4)).encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _refused("was not issued for this parent") from None
    seal, payload = raw[:_SEAL], raw[_SEAL:]
    if len(payload) != _BYTES or seal != _seal(parent, payload):
        raise _refused("was not issued for this parent")
    number = int.from_bytes(payload, "big")
    if number > min(last, _LARGEST):
        raise _refused("is of a change that the store does not have; list again, then watch without a token")
    return number


def follow(
    store: RecommendationStore, project: str, request: pb.WatchRecommendationsRequest, call: Call, poll_s: float
) -> Iterator[pb.RecommendationEvent]:
    """Changes in the order of their last one, from any process, until the caller leaves or the server drains."""
    number = number_of(request.parent, request.resume_token, store.last_change(project))
    while True:
        changed, number = store.changes_after(project, number, request.filter, _PAGE)
        for at, recommendation in changed:
            yield pb.RecommendationEvent(
                resume_token=token_of(request.parent, at), recommendation=encode_recommendation(recommendation)
            )
        if not call.active() or (len(changed) < _PAGE and not call.wait(poll_s)):
            return


def _seal(parent: str, payload: bytes) -> bytes:
    return seal_of(payload, ListRequest("WatchRecommendations", parent))


def _refused(why: str) -> InvalidArgumentError:
    return InvalidArgumentError([Violation("resume_token", ErrorReason.PAGE_TOKEN_INVALID, why)])
