"""The placement service."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from trimtab.v1 import placement_service_pb2 as pb
from trimtab_service.domain.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    TrimtabError,
    Violation,
)
from trimtab_service.domain.events import body as body_of
from trimtab_service.domain.identity import Principal
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.rpc import names
from trimtab_service.rpc.call import Call
from trimtab_service.rpc.decision_log import NO_DRAWS, logged_decision
from trimtab_service.rpc.desk import Answer, PlacementDesk
from trimtab_service.rpc.place_parser import check_batch, parse_outcomes
from trimtab_service.rpc.plain_desk import plain_method
from trimtab_service.rpc.replay import Replayer
from trimtab_service.rpc.service import PlainMethod
from trimtab_service.rpc.splicing import field_bytes
from trimtab_service.rpc.status import status_of
from trimtab_service.rpc.world import World
from trimtab_service.store import outcomes, reservations
from trimtab_service.store.decisions import DecisionLog, mark_outcome, mark_released
from trimtab_service.store.idempotency import RequestKey, once
from trimtab_service.store.pages import ListRequest
from trimtab_service.store.writer import GroupCommitWriter

_CHECK_EVERY: Final = 16
"""Items of a batch between two looks at the deadline."""

_RESULTS: Final = pb.BatchPlaceResponse.RESULTS_FIELD_NUMBER
_DECISION: Final = pb.BatchPlaceResult.DECISION_FIELD_NUMBER


class PlacementServicer:
    """Answers from the desk and the log."""

    def __init__(  # noqa: PLR0913 - its collaborators
        self,
        desk: PlacementDesk,
        world: World,
        log: DecisionLog,
        writer: GroupCommitWriter,
        replayer: Replayer,
        *,
        clock: Callable[[], datetime],
        batch_cap: int,
    ) -> None:
        """`batch_cap` is the most items of a batch."""
        self._desk = desk
        self._world = world
        self._log = log
        self._writer = writer
        self._replayer = replayer
        self._clock = clock
        self._batch_cap = batch_cap

    def plain_place(self, may: Callable[[Principal, str], bool]) -> PlainMethod | None:
        """The short way of `place`, for callers that `may`; None where it is not built."""
        return plain_method(self._desk.plain, may)

    def place(self, request: pb.PlaceRequest, call: Call) -> Answer:
        """One decision."""
        return self._desk.place(request, names.project_id(request.parent), timeout_s=call.time_remaining())

    def batch_place(self, request: pb.BatchPlaceRequest, call: Call) -> Answer:
        """Each item decided or refused on its own, in order; jointly, each sees what those before it drew.

        The answer is a serialised `BatchPlaceResponse`, put together from the decisions' bytes as they are logged.
        """
        names.project_id(request.parent)
        check_batch(request, self._batch_cap)
        results: list[bytes] = []
        drawn = NO_DRAWS if request.joint else None
        for index, item in enumerate(request.requests):
            if index % _CHECK_EVERY == 0:
                call.check()
            try:
                made = self._desk.place(
                    item,
                    call.project,
                    timeout_s=call.time_remaining(),
                    at=f"requests[{index}]",
                    prior=drawn,
                )
            except TrimtabError as error:
                result = pb.BatchPlaceResult()
                result.error.CopyFrom(status_of(error))
                results.append(field_bytes(_RESULTS, result.SerializeToString()))
                continue
            results.append(field_bytes(_RESULTS, field_bytes(_DECISION, made.data)))
            if drawn is not None:
                drawn += made.draws
        return Answer(b"".join(results))

    def explain_placement(self, request: pb.ExplainPlacementRequest, call: Call) -> pb.ExplainPlacementResponse:
        """A decision made now or logged before, with every offer accounted for."""
        names.project_id(request.parent)
        subject = request.WhichOneof("subject")
        if subject == "decision":
            project, decision_id = names.decision(request.decision, "decision")
            if project != call.project:
                raise InvalidArgumentError(
                    [Violation("decision", ErrorReason.CONTRADICTION, "belongs to another project than parent")]
                )
            record = self._log.get(project, decision_id)
            call.check()
            again, explained = self._replayer.replay(record)
            return pb.ExplainPlacementResponse(
                decision=explained,
                replay_identical=again == record.response,
                logged_request=pb.PlaceRequest.FromString(record.request),
            )
        if subject is None:
            missing = Violation("request", ErrorReason.FIELD_REQUIRED, "give a request or a decision")
            raise InvalidArgumentError([missing])
        if request.request.parent not in {"", request.parent}:
            raise InvalidArgumentError(
                [Violation("request.parent", ErrorReason.CONTRADICTION, "must be empty or the same as parent")]
            )
        asked = pb.PlaceRequest()
        asked.CopyFrom(request.request)
        asked.explain = True
        asked.reserve = False
        return pb.ExplainPlacementResponse(decision=self._desk.look(asked, call.project).message)

    def report_outcome(self, request: pb.ReportOutcomeRequest, call: Call) -> pb.ReportOutcomeResponse:
        """Durable before the answer, and in force in this process when the answer leaves."""
        project, now = names.project_id(request.parent), self._clock()
        decision_id = ""
        if request.decision:
            owner, decision_id = names.decision(request.decision, "decision")
            if owner != project:
                raise InvalidArgumentError(
                    [Violation("decision", ErrorReason.CONTRADICTION, "belongs to another project than parent")]
                )
        reported = parse_outcomes(request, self._world.view(project).vocabulary, now)
        body = request.SerializeToString(deterministic=True)
        key = RequestKey(project, "ReportOutcome", request.request_id.lower(), hashlib.sha256(body).digest())

        def enter(conn: Connection) -> bytes:
            if decision_id:
                mark_outcome(conn, project, decision_id, _summary(request))
            revision = outcomes.record(conn, project, [body_of(outcome) for outcome in reported], now, decision_id)
            return pb.ReportOutcomeResponse(learned_revision=revision).SerializeToString()

        answer = self._writer.run(lambda conn: once(conn, key, now, lambda: enter(conn)), call.time_remaining())
        response = pb.ReportOutcomeResponse.FromString(answer)
        self._world.sync_to(response.learned_revision)
        return response

    def get_decision(self, request: pb.GetDecisionRequest, call: Call) -> pb.Decision:
        """One decision of the log."""
        del call
        return logged_decision(self._log.get(*names.decision(request.name)))

    def list_decisions(self, request: pb.ListDecisionsRequest, call: Call) -> pb.ListDecisionsResponse:
        """A page of the log."""
        del call
        asked = ListRequest("ListDecisions", request.parent, request.filter, request.page_size, request.page_token)
        page = self._log.list(names.project_id(request.parent), asked)
        return pb.ListDecisionsResponse(
            decisions=[logged_decision(record) for record in page.items], next_page_token=page.next_page_token
        )

    def release_decision(self, request: pb.ReleaseDecisionRequest, call: Call) -> pb.Decision:
        """Give back what a decision holds; giving back twice is giving back once."""
        names.request_id(request.request_id)
        project, decision_id = names.decision(request.name)
        record = self._log.get(project, decision_id)
        now = self._clock()

        def free(conn: Connection) -> int | None:
            revision = reservations.release(conn, project, decision_id, now)
            mark_released(conn, project, decision_id, now)
            return revision

        try:
            revision = self._writer.run(free, call.time_remaining())
        except NotFoundError:
            raise FailedPreconditionError(
                ErrorReason.STATE_CONFLICT,
                "the decision holds no reservation",
                metadata={"decision": request.name, "reserved": str(record.reserved).lower()},
            ) from None
        if revision is None:
            self._world.catch_up()
        else:
            self._world.sync_to(revision)
        return logged_decision(self._log.get(project, decision_id))


def _summary(request: pb.ReportOutcomeRequest) -> str:
    """What the log shows beside a decision: the last outcome reported for it, in a word."""
    last = request.outcomes[-1]
    if last.capacity_failure:
        return "capacity_failure"
    if last.interruptions:
        return "interrupted"
    return "capacity_success" if last.capacity_success else "ran"
