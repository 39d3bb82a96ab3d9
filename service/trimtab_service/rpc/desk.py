"""Makes a placement decision: the request, the world and the policy go to the engine, the answer to the log.

The same composition serves a call, an item of a batch, an explanation and a replay: they differ in where the
world, the instant and the id come from.
"""

import hashlib
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import Connection

from trimtab.v1 import placement_service_pb2 as pb
from trimtab_service.domain.commitments import Draw
from trimtab_service.domain.decisions import Decision
from trimtab_service.domain.errors import AbortedError, InvalidArgumentError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.placement.engine import decide
from trimtab_service.placement.stability import holds_all_day
from trimtab_service.placement.start_times import start_advice
from trimtab_service.policy.attributes import attributes_of
from trimtab_service.rpc.decision_encoder import encode_decision, fill_start_advice
from trimtab_service.rpc.decision_log import NO_DRAWS, record_of, revisions_bytes
from trimtab_service.rpc.ids import NewId
from trimtab_service.rpc.memo import DecisionMemo, key_of
from trimtab_service.rpc.place_parser import PlaceParser, missing_tags
from trimtab_service.rpc.plain_codec import read_plain, write_plain
from trimtab_service.rpc.plain_desk import plain_desk
from trimtab_service.rpc.vocabulary import set_timestamp
from trimtab_service.rpc.world import View, World
from trimtab_service.store.decisions import DECISION_SINK, DecisionLog, DecisionRecord
from trimtab_service.store.idempotency import RequestKey, once
from trimtab_service.store.reservations import Reservation, reserve
from trimtab_service.store.writer import GroupCommitWriter

_ATTEMPTS: Final = 8
"""How often a reservation decides anew after another caller took the room."""

_PLACE: Final = "Place"


class Made(NamedTuple):
    """A decision made: as the engine gave it, as it is answered, and as it is logged."""

    decision: Decision
    record: DecisionRecord
    stands: bool = False
    """Whether it is the same all day, for as long as nothing that it was made with changes."""

    @property
    def message(self) -> pb.Decision:
        """As a message, parsed from the bytes that are logged."""
        return pb.Decision.FromString(self.record.response)


class Answer(NamedTuple):
    """What a caller gets: a serialised `Decision`.

    `draws` is what a later item of a joint batch must leave alone though the store does not hold it.
    """

    data: bytes
    draws: tuple[Draw, ...] = NO_DRAWS

    def SerializeToString(self) -> bytes:  # noqa: N802 - how the pipeline asks a message for its bytes
        """The bytes that were logged: a decision is serialised once."""
        return self.data


def make(  # noqa: PLR0913 - all that a decision depends on
    request: pb.PlaceRequest,
    view: View,
    *,
    project: str,
    instant: datetime,
    decision_id: str,
    prior: tuple[Draw, ...] = (),
    hold: timedelta | None = None,
    at: str = "",
) -> Made:
    """Decide. The same arguments give the same bytes.

    `hold` is how long a reservation lasts, for requests that reserve; `prior` what earlier items of a joint batch
    have drawn; `at` where the request stands in a batch.

    Raises:
        InvalidArgumentError: the request is at fault, or lacks tags that policy asks for.

    """
    data = request.SerializeToString(deterministic=True)
    query = read_plain(view.vocabulary, data, project)
    if query is None:
        query = PlaceParser(view.vocabulary, instant).parse(request, project, at)
    policy = view.policies.effective(project, query.workload.workload_id, partial(attributes_of, query))
    if policy.required_tags:
        missing_tags(policy.required_tags, query)
    state = view.state
    if prior:
        state = state.less(prior, instant)
    decision = decide(query, view.snapshot, policy, state, instant)
    workload = query.workload
    start = None
    if workload.latest_start is not None:
        start = start_advice(query, view.snapshot, policy, state, instant)
    revisions = (policy.revision, state.learned_revision, state.commitment_revision)
    version = view.snapshot.version
    name = f"projects/{project}/decisions/{decision_id}"
    depended = revisions_bytes(version, *revisions, workload.hours_per_month, workload.hours_per_year)
    reserved = bool(query.reserve and hold is not None and decision.chosen is not None and decision.chosen.draws)
    response = None
    if not reserved and start is None:
        response = write_plain(
            decision, name=name, instant=instant, workload_id=workload.workload_id, revisions=depended
        )
    if response is None:
        message = encode_decision(
            decision, name=name, instant=instant, workload_id=workload.workload_id, revisions=depended
        )
        if start is not None:
            fill_start_advice(message.start_advice, start)
        if reserved and hold is not None:
            message.reserved = True
            lasts = hold if query.reserve_seconds is None else timedelta(seconds=query.reserve_seconds)
            set_timestamp(message.valid_until, instant + lasts)
        response = message.SerializeToString(deterministic=True)
    record = record_of(
        project=project,
        decision_id=decision_id,
        instant=instant,
        request=data,
        response=response,
        workload_id=workload.workload_id,
        catalog_version=version,
        revisions=revisions,
        decision=decision,
        reserved=reserved,
        prior_draws=prior,
    )
    stands = not (query.reserve or query.explain or prior) and holds_all_day(workload, state, instant)
    return Made(decision, record, stands=stands)


class PlacementDesk:
    """Decides for callers: reads the world of this process, logs, and draws room where that is asked for."""

    def __init__(  # noqa: PLR0913 - its collaborators, each a seam for a test
        self,
        world: World,
        log: DecisionLog,
        writer: GroupCommitWriter,
        *,
        clock: Callable[[], datetime],
        new_id: NewId,
        hold: timedelta,
        memo: DecisionMemo,
    ) -> None:
        """`hold` is how long a reservation lasts when the caller does not say."""
        self._memo = memo
        self._world = world
        self._log = log
        self._writer = writer
        self._clock = clock
        self._new_id = new_id
        self._hold = hold
        self.plain = plain_desk(view=world.view, append=log.append, clock=clock, new_id=new_id, memo=memo)
        """The short way, for plain requests; None where it is not built."""

    def place(
        self,
        request: pb.PlaceRequest,
        project: str,
        *,
        timeout_s: float,
        at: str = "",
        prior: tuple[Draw, ...] | None = None,
    ) -> Answer:
        """One decision, logged soon (or, when it reserves, durably with what it draws, in `timeout_s` at the most).

        `prior` is for items of a batch that compete for room: what those before it draw. The answer then says what this
        one does.

        Raises:
            InvalidArgumentError: the request is at fault.
            AbortedError: other callers kept taking the room.
            UnavailableError: no catalogue, or (only when it reserves) no database.
            DeadlineExceededError: only when it reserves; the draw may still be made.

        """
        if request.reserve:
            return self._reserve(request, project, timeout_s, at, prior or NO_DRAWS)
        data = request.SerializeToString(deterministic=True)
        # The short way tells nobody what a decision would draw.
        answer = None if self.plain is None or prior is not None else self.plain.answer(data, project)
        if answer is not None:
            return Answer(answer)
        instant = self._clock()
        view = self._world.view(project)
        decision_id = self._new_id(instant)
        key = None if prior or request.explain else key_of(request)
        kept = None if key is None else self._memo.find(key, view, project, instant)
        if kept is None:
            made = make(
                request,
                view,
                project=project,
                instant=instant,
                decision_id=decision_id,
                prior=prior or NO_DRAWS,
                at=at,
            )
            if key is not None and made.stands:
                self._memo.keep(key, view, project, instant, made.record)
            self._log.append(made.record)
            return _answer(made)
        record = kept.again(data, project, instant, decision_id)
        self._log.append(record)
        return Answer(record.response)

    def look(self, request: pb.PlaceRequest, project: str) -> Made:
        """One decision that draws nothing, for an explanation; logged like any other."""
        instant = self._clock()
        made = make(
            request, self._world.view(project), project=project, instant=instant, decision_id=self._new_id(instant)
        )
        self._log.append(made.record)
        return made

    def _reserve(
        self, request: pb.PlaceRequest, project: str, timeout_s: float, at: str, prior: tuple[Draw, ...]
    ) -> Answer:
        ends = time.monotonic() + timeout_s
        body_hash = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
        key = RequestKey(project, _PLACE, request.request_id.lower(), body_hash)
        for attempt in range(_ATTEMPTS):
            instant = self._clock()
            try:
                made = make(
                    request,
                    self._world.view(project),
                    project=project,
                    instant=instant,
                    decision_id=self._new_id(instant),
                    prior=prior,
                    hold=self._hold,
                    at=at,
                )
            except InvalidArgumentError as fault:
                if any(violation.field.endswith("request_id") for violation in fault.violations):
                    raise  # it cannot have come before
                return self._answered_before(key, instant, fault, ends)
            drawing = _Drawing(made, key, instant)
            try:
                answer = self._writer.run(drawing, max(0.0, ends - time.monotonic()))
            except AbortedError as error:
                if error.reason is not ErrorReason.ROOM_CONFLICT or attempt == _ATTEMPTS - 1:
                    raise
                self._world.catch_up()
                continue
            if drawing.revision is not None:
                self._world.sync_to(drawing.revision)
            if answer == made.record.response:
                return _answer(made)
            # Made before, maybe by another replica: what it drew is in force here too when the answer leaves.
            self._world.catch_up()
            return Answer(answer)
        raise AssertionError  # the last attempt returns or raises

    def _answered_before(self, key: RequestKey, instant: datetime, fault: InvalidArgumentError, ends: float) -> Answer:
        """The first answer to a request that has become wrong since (its deadline passed); else the fault."""

        def refuse() -> bytes:
            raise fault

        answer = self._writer.run(lambda conn: once(conn, key, instant, refuse), max(0.0, ends - time.monotonic()))
        self._world.catch_up()
        return Answer(answer)


def _answer(made: Made) -> Answer:
    chosen = made.decision.chosen
    return Answer(made.record.response, NO_DRAWS if chosen is None or made.record.reserved else chosen.draws)


class _Drawing:
    """The writer's unit of one reservation: the draws, the log entry and the stored answer, all or none."""

    def __init__(self, made: Made, key: RequestKey, instant: datetime) -> None:
        self._made = made
        self._key = key
        self._instant = instant
        self.revision: int | None = None

    def __call__(self, conn: Connection) -> bytes:
        return once(conn, self._key, self._instant, lambda: self._draw(conn))

    def _draw(self, conn: Connection) -> bytes:
        record, chosen = self._made.record, self._made.decision.chosen
        if record.reserved and chosen is not None:
            until = self._made.message.valid_until.ToDatetime(self._instant.tzinfo)
            drawn = Reservation(record.project, record.decision_id, chosen.draws, until)
            self.revision = reserve(conn, drawn, self._instant)
        DECISION_SINK.write(conn, [record])
        return record.response
