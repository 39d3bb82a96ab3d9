"""The recommendation service."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

from google.protobuf.message import Message

from trimtab.v1 import recommendation_service_pb2 as pb
from trimtab_service.domain.errors import AbortedError
from trimtab_service.domain.filters import parse_filter
from trimtab_service.domain.identity import Role
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.recommendations import Kind, Recommendation, State
from trimtab_service.recommendations.lifecycle import Actor, Move, Verb, approve, move
from trimtab_service.recommendations.preconditions import approval_source
from trimtab_service.rpc import names
from trimtab_service.rpc.advice_keeping import Kept
from trimtab_service.rpc.call import Call
from trimtab_service.rpc.recommendation_codec import (
    KIND_CODE,
    STATE_CODE,
    encode_application,
    encode_recommendation,
)
from trimtab_service.rpc.recommendation_parser import (
    MAX_METADATA,
    Target,
    parse_application,
    parse_approval,
    parse_grouping,
    parse_move,
    too_many,
)
from trimtab_service.rpc.recommendation_runner import Runner
from trimtab_service.rpc.recommendation_verifier import Verifier
from trimtab_service.rpc.recommendation_watch import follow
from trimtab_service.rpc.vocabulary import CLOUD_CODE, set_micros
from trimtab_service.store.filters import kinds
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.pages import ListRequest
from trimtab_service.store.recommendation_rows import FIELDS
from trimtab_service.store.recommendation_totals import GroupBy, Totals
from trimtab_service.store.recommendations import RecommendationStore

_LONGEST_WAIT_S: Final = 3_600.0


class RecommendationServicer:
    """Answers from the store; what is carried out is the runner's, what is measured the verifier's."""

    def __init__(
        self,
        store: RecommendationStore,
        runner: Runner,
        verifier: Verifier,
        *,
        clock: Callable[[], datetime],
        poll_s: float,
    ) -> None:
        """`poll_s` is how often a watch looks for changes."""
        self._store = store
        self._runner = runner
        self._verifier = verifier
        self._clock = clock
        self._poll_s = poll_s

    def get_recommendation(self, request: pb.GetRecommendationRequest, call: Call) -> pb.Recommendation:
        """One, with its history."""
        del call
        return encode_recommendation(self._store.get(*names.recommendation(request.name)))

    def list_recommendations(
        self, request: pb.ListRecommendationsRequest, call: Call
    ) -> pb.ListRecommendationsResponse:
        """A page, without histories."""
        project = names.project_id(request.parent)
        asked = ListRequest(
            "ListRecommendations", request.parent, request.filter, request.page_size, request.page_token
        )
        page = self._store.list(project, asked, request.order_by)
        done = self._store.operations(project, [row.recommendation_id for row in page.items])
        answer = pb.ListRecommendationsResponse(next_page_token=page.next_page_token)
        for index, row in enumerate(page.items):
            if index % 64 == 0:
                call.check()
            found = row.recommendation(operations=done.get(row.recommendation_id, ()))
            answer.recommendations.append(encode_recommendation(found, with_history=False))
        return answer

    def watch_recommendations(
        self, request: pb.WatchRecommendationsRequest, call: Call
    ) -> Iterator[pb.RecommendationEvent]:
        """What comes and what changes, in every process."""
        project = names.project_id(request.parent)
        parse_filter(request.filter, kinds(FIELDS))
        return follow(self._store, project, request, call, self._poll_s)

    def claim_recommendation(self, request: pb.ClaimRecommendationRequest, call: Call) -> Kept:
        """Freeze it, and note whether its policy asks for an approval."""
        target, step = parse_move(request, Verb.CLAIM, self._actor(call), metadata=request.state_metadata)
        rule = self._runner.rule_of(self._store.get(target.project, target.own))

        def claim(stands: Recommendation) -> Recommendation:
            claimed = self._moved(stands, step)
            if stands.state is State.CLAIMED:
                return claimed
            return replace(claimed, approval_source=approval_source(claimed, rule))

        return self._change(target, request, request.etag, call, claim)

    def mark_recommendation_succeeded(self, request: pb.MarkRecommendationSucceededRequest, call: Call) -> Kept:
        """It was carried out."""
        target, step = parse_move(
            request,
            Verb.MARK_SUCCEEDED,
            self._actor(call),
            reason=request.reason,
            metadata=request.state_metadata,
        )
        return self._change(target, request, request.etag, call, partial(self._moved, step=step))

    def mark_recommendation_failed(self, request: pb.MarkRecommendationFailedRequest, call: Call) -> Kept:
        """It was not."""
        target, step = parse_move(
            request, Verb.MARK_FAILED, self._actor(call), reason=request.reason, metadata=request.state_metadata
        )
        return self._change(target, request, request.etag, call, partial(self._moved, step=step))

    def dismiss_recommendation(self, request: pb.DismissRecommendationRequest, call: Call) -> Kept:
        """Set aside until it is reopened."""
        target, step = parse_move(request, Verb.DISMISS, self._actor(call), reason=request.reason)
        return self._change(target, request, request.etag, call, partial(self._moved, step=step))

    def reopen_recommendation(self, request: pb.ReopenRecommendationRequest, call: Call) -> Kept:
        """Active again."""
        target, step = parse_move(request, Verb.REOPEN, self._actor(call), reason=request.reason)
        return self._change(target, request, request.etag, call, partial(self._moved, step=step))

    def approve_recommendation(self, request: pb.ApproveRecommendationRequest, call: Call) -> Kept:
        """Somebody else agrees to the content as it stands."""
        target, valid_for, comment = parse_approval(request)
        now = self._clock()

        def agree(stands: Recommendation) -> Recommendation:
            approved = approve(stands, call.principal.subject, now, valid_for)
            if not comment:
                return approved
            metadata = {**dict(approved.state_metadata), "approval_comment": comment}
            return replace(approved, state_metadata=tuple(sorted(metadata.items())))

        return self._change(target, request, request.etag, call, agree)

    def apply_recommendation(
        self, request: pb.ApplyRecommendationRequest, call: Call
    ) -> pb.ApplyRecommendationResponse | Kept:
        """Dry run, or the real thing."""
        return self._apply(request, call, is_rollback=False)

    def roll_back_recommendation(
        self, request: pb.RollBackRecommendationRequest, call: Call
    ) -> pb.ApplyRecommendationResponse | Kept:
        """The way back, dry or real."""
        return self._apply(request, call, is_rollback=True)

    def verify_recommendation(self, request: pb.VerifyRecommendationRequest, call: Call) -> Kept:
        """Measured now; kept beside the promise."""
        return Kept(self._verifier.verify(request, partial(_key, request, call), call.time_remaining()))

    def summarize_recommendations(
        self, request: pb.SummarizeRecommendationsRequest, call: Call
    ) -> pb.SummarizeRecommendationsResponse:
        """Totals."""
        del call
        project = names.project_id(request.parent)
        grouping = parse_grouping(list(request.group_by))
        rows, total = self._store.totals(project, request.filter, grouping)
        answer = pb.SummarizeRecommendationsResponse()
        for row in rows:
            _fill_totals(answer.rows.add(), row, grouping)
        _fill_totals(answer.total, total, ())
        return answer

    def _apply(
        self,
        request: pb.ApplyRecommendationRequest | pb.RollBackRecommendationRequest,
        call: Call,
        *,
        is_rollback: bool,
    ) -> pb.ApplyRecommendationResponse | Kept:
        target = parse_application(request.name, request.request_id, execute=request.execute)
        found = self._store.get(target.project, target.own)
        actor = call.principal.subject
        if request.execute:
            key = _key(request, call)
            if not self._runner.is_known(key):
                _check_etag(found, request.etag)
            wait_s = min(call.time_remaining(), _LONGEST_WAIT_S)
            return Kept(self._runner.execute(found, key, actor, is_rollback=is_rollback, wait_s=wait_s))
        _check_etag(found, request.etag)
        seen = self._runner.look(found, actor, is_rollback=is_rollback)
        return encode_application(found, seen.operations, seen.obstacles, executed=False)

    def _change(
        self,
        target: Target,
        request: Message,
        etag: str,
        call: Call,
        revise: Callable[[Recommendation], Recommendation],
    ) -> Kept:
        return Kept(
            self._store.change(
                target.project,
                target.own,
                etag,
                revise,
                self._clock(),
                _key(request, call),
                lambda stands: encode_recommendation(stands).SerializeToString(),
                call.time_remaining(),
            )
        )

    def _moved(self, stands: Recommendation, step: Move) -> Recommendation:
        moved = move(stands, step, self._clock(), self._store.lifetime)
        if len(moved.state_metadata) > MAX_METADATA:
            raise too_many(len(moved.state_metadata))
        return moved

    @staticmethod
    def _actor(call: Call) -> Actor:
        return Actor(call.principal.subject, call.principal.may(Role.OPERATOR, call.project))


def _check_etag(found: Recommendation, etag: str) -> None:
    if etag and etag != found.etag:
        message = f"recommendation {found.recommendation_id!r} was changed since it was read"
        raise AbortedError(
            ErrorReason.ETAG_MISMATCH,
            message,
            metadata={"recommendation": found.recommendation_id, "etag": found.etag},
        )


def _fill_totals(message: pb.RecommendationTotals, totals: Totals, grouping: tuple[GroupBy, ...]) -> None:
    by = dict(zip(grouping, totals.by, strict=True))
    message.team = by.get(GroupBy.TEAM, "")
    message.account = by.get(GroupBy.ACCOUNT, "")
    if GroupBy.KIND in by:
        message.kind = KIND_CODE[Kind(by[GroupBy.KIND])]
    if GroupBy.STATE in by:
        message.state = STATE_CODE[State(by[GroupBy.STATE])]
    if GroupBy.CLOUD in by:
        message.cloud = CLOUD_CODE[Cloud(by[GroupBy.CLOUD])]
    message.count = totals.number
    message.excluded_count = totals.excluded_count
    set_micros(message.promised_monthly_saving, totals.promised_micros)
    set_micros(message.applied_monthly_saving, totals.applied_micros)
    set_micros(message.realized_monthly_saving, totals.realized_micros)


def _key(request: Message, call: Call) -> RequestKey:
    """Whose request this is, for idempotency."""
    request_id = names.request_id(str(getattr(request, "request_id", "")))
    body = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    return RequestKey(call.project, call.method.rpartition("/")[2], request_id, body)
