"""Requests of the lifecycle, parsed: which move, with what, by whom."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from trimtab.v1 import recommendation_service_pb2 as pb
from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.recommendations import TransitionReason
from trimtab_service.recommendations.lifecycle import Actor, Move, Verb, reason_allowed
from trimtab_service.rpc import bounds, names
from trimtab_service.rpc.fields import Violations
from trimtab_service.rpc.recommendation_codec import REASON_OF
from trimtab_service.store.recommendation_totals import GroupBy

MAX_COMMENT: Final = 1_000
MAX_METADATA: Final = 64
MAX_KEY: Final = 128
MAX_VALUE: Final = 1_024
DEFAULT_APPROVAL: Final = timedelta(hours=24)
LONGEST_APPROVAL_S: Final = 30 * 86_400.0
MAX_GROUPING: Final = 5

_GROUP_BY: Final[Mapping[int, GroupBy]] = {
    getattr(pb.SummarizeRecommendationsRequest, f"GROUP_BY_{member.name}"): member for member in GroupBy
}


class _Change(Protocol):
    """What requests that move a recommendation have in common."""

    @property
    def name(self) -> str: ...
    @property
    def comment(self) -> str: ...
    @property
    def request_id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Target:
    """The recommendation that a request names, and the request's own id (empty: none)."""

    project: str
    own: str
    request_id: str


_DEFAULT: Final[Mapping[Verb, TransitionReason]] = {
    Verb.CLAIM: TransitionReason.TAKEN,
    Verb.MARK_SUCCEEDED: TransitionReason.DONE_ELSEWHERE,
    Verb.REOPEN: TransitionReason.JUDGED_ANEW,
}
"""Reasons of verbs that need none given."""


def parse_move(
    request: _Change,
    verb: Verb,
    actor: Actor,
    *,
    reason: int = 0,
    metadata: Mapping[str, str] | None = None,
) -> tuple[Target, Move]:
    """The target and the move of it. Raises InvalidArgumentError with every fault."""
    found = Violations()
    target = _target(request.name, request.request_id, found)
    comment = bounds.text(found, "comment", request.comment, MAX_COMMENT)
    entries = _metadata({} if metadata is None else dict(metadata), found)
    why = _reason(verb, reason, found)
    found.check()
    return target, Move(verb, actor, why, comment, entries)


def parse_approval(request: pb.ApproveRecommendationRequest) -> tuple[Target, timedelta, str]:
    """Target, how long the approval is good, and the comment. Raises InvalidArgumentError with every fault."""
    found = Violations()
    target = _target(request.name, request.request_id, found)
    if not request.etag:
        found.add("etag", ErrorReason.FIELD_REQUIRED, "must be the one that the approver has seen")
    comment = bounds.text(found, "comment", request.comment, MAX_COMMENT)
    valid_for = DEFAULT_APPROVAL
    if request.HasField("valid_for"):
        valid_for = timedelta(seconds=bounds.seconds(found, "valid_for", request.valid_for, LONGEST_APPROVAL_S))
    found.check()
    return target, valid_for, comment


def parse_application(name: str, request_id: str, *, execute: bool) -> Target:
    """The target. Raises InvalidArgumentError; what is executed needs a request id."""
    found = Violations()
    target = _target(name, request_id, found, required=execute)
    found.check()
    return target


def parse_grouping(values: "list[int]") -> tuple[GroupBy, ...]:
    """What totals are made per; kind and state where nothing is said. Raises InvalidArgumentError."""
    found = Violations()
    if bounds.few(found, "group_by", len(values), MAX_GROUPING):
        for index, value in enumerate(values):
            if value not in _GROUP_BY:
                found.add(f"group_by[{index}]", ErrorReason.UNKNOWN_VALUE, "must be one of the enum, but unspecified")
    found.check()
    return tuple(dict.fromkeys(_GROUP_BY[value] for value in values)) or (GroupBy.KIND, GroupBy.STATE)


def _target(name: str, request_id: str, found: Violations, *, required: bool = False) -> Target:
    project, own, checked = "", "", ""
    with found.gather():
        project, own = names.recommendation(name)
    with found.gather():
        checked = names.request_id(request_id, required=required)
    return Target(project, own, checked)


def _reason(verb: Verb, code: int, found: Violations) -> TransitionReason:
    default = _DEFAULT.get(verb)
    if not code:
        if default is None:
            found.add("reason", ErrorReason.FIELD_REQUIRED, "say why")
        return default or TransitionReason.OTHER
    reason = REASON_OF.get(code)
    if reason is None or not reason_allowed(verb, reason):
        shown = verb.value.replace("_", " ")
        found.add("reason", ErrorReason.UNKNOWN_VALUE, f"is no reason to {shown} a recommendation")
        return TransitionReason.OTHER
    return reason


def _metadata(given: Mapping[str, str], found: Violations) -> tuple[tuple[str, str], ...]:
    if not bounds.few(found, "state_metadata", len(given), MAX_METADATA):
        return ()
    for key, value in given.items():
        at = f"state_metadata[{key[:32]!r}]"
        if not key:
            found.add(at, ErrorReason.FIELD_REQUIRED, "a key is not empty")
        bounds.text(found, at, key, MAX_KEY)
        bounds.text(found, at, value, MAX_VALUE)
    return tuple(sorted(given.items()))


def too_many(entries: int) -> InvalidArgumentError:
    """What was there and what was added are more than fits."""
    why = f"has {entries} entries with those that are there; at most {MAX_METADATA}"
    return InvalidArgumentError([Violation("state_metadata", ErrorReason.TOO_LARGE, why)])
