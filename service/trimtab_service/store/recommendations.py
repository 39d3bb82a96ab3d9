"""Recommendations as they are kept."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import zip_longest
from typing import Final

from sqlalchemy import Connection, Update, select, update

from trimtab_service.domain.errors import AbortedError, FailedPreconditionError, NotFoundError
from trimtab_service.domain.filters import parse_filter
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.recommendations import (
    AppliedOperation,
    Recommendation,
    RecommendationContent,
    State,
    TransitionReason,
)
from trimtab_service.store import recommendation_sweeps as sweeps
from trimtab_service.store.engines import Database
from trimtab_service.store.filters import compile_filter, kinds
from trimtab_service.store.idempotency import RequestKey, once
from trimtab_service.store.pages import ListRequest, Page
from trimtab_service.store.recommendation_intake import CHUNK, Intake, is_taken
from trimtab_service.store.recommendation_leases import is_held
from trimtab_service.store.recommendation_pages import read_recommendations
from trimtab_service.store.recommendation_rows import (
    FIELDS,
    SELECTED,
    VERIFY_AFTER,
    Prepared,
    StoredRecommendation,
    body_of,
    etag_of,
    packed,
)
from trimtab_service.store.recommendation_runs import operations_of
from trimtab_service.store.recommendation_tables import RECOMMENDATIONS
from trimtab_service.store.recommendation_totals import GroupBy, Totals, totals_of
from trimtab_service.store.recommendation_writes import (
    add_transitions,
    expect_many,
    last_number,
    new_transition,
    replace_rows,
    take_numbers,
    transitions_of,
)
from trimtab_service.store.serial import take_turn
from trimtab_service.store.writer import GroupCommitWriter

DEFAULT_LIFETIME: Final = timedelta(days=14)
"""What is not confirmed by a run for so long expires."""

FEW: Final = 100
"""Up to this many findings are taken in without further ado."""

_TAKEN_FOR: Final = timedelta(hours=1)
"""What one process is about to measure, no other one does."""

EXPIRED_AT_ONCE: Final = 500
"""Rows of one transaction of the sweep."""

Revise = Callable[[Recommendation], Recommendation]

_R: Final = RECOMMENDATIONS.c


class RecommendationStore:
    """The recommendations of all projects. Everything raises UnavailableError when the database does not answer."""

    __slots__ = ("_database", "_writer", "lifetime")

    def __init__(self, database: Database, writer: GroupCommitWriter, lifetime: timedelta = DEFAULT_LIFETIME) -> None:
        self._database = database
        self._writer = writer
        self.lifetime = lifetime

    def take_in(
        self,
        project: str,
        contents: Sequence[RecommendationContent],
        now: datetime,
        new_id: Callable[[datetime], str],
    ) -> tuple[str, ...]:
        """Upsert what a run advises, by identity; the id of each, in order. Of one identity twice, the last counts.

        Each 2,000 are one transaction of their own, beside the writer's thread: a run that dies in between has taken
        in the first ones, and taking all of them in again changes nothing about those. While one part is written, the
        next is made ready. Raises ValueError for texts that a database cannot keep.
        """
        distinct = list({content.identity: content for content in contents}.values())
        parts = [distinct[begin : begin + CHUNK] for begin in range(0, len(distinct), CHUNK)]
        intake = Intake(project, now, self.lifetime, new_id)
        ids: dict[str, str] = {}
        many = len(distinct) > FEW
        with ThreadPoolExecutor(1, "recommendation-intake") as ahead:
            prepared = _prepared(parts[0] if parts else (), is_new=True)
            for part, following in zip_longest(parts, parts[1:]):
                with self._database.change() as conn:
                    if many:
                        expect_many(conn)
                    plan = intake.plan(conn, prepared)
                    # Only now: until here it is this thread that needs the interpreter, and gives it up at every row.
                    # What this part is, the next one most likely is.
                    is_new = len(plan.confirmed) * 2 < len(part)
                    waiting = ahead.submit(_prepared, following or (), is_new=is_new)
                    intake.write(conn, plan)
                ids |= zip((content.identity for content in part), plan.ids, strict=True)
                prepared = waiting.result()
        return tuple([ids[content.identity] for content in contents])

    def retire(
        self,
        project: str,
        resource_keys: Sequence[str],
        now: datetime,
        reason: TransitionReason = TransitionReason.NOT_CONFIRMED,
    ) -> int:
        """Expire the ACTIVE sizing advice on resources that a run found to need none; returns how many.

        Only for what was looked at and found in order, or gone (RESOURCE_GONE): neither too little data nor a source
        that failed is a reason to take anything back.
        """
        gone = 0
        for begin in range(0, len(resource_keys), CHUNK):
            part = list(resource_keys[begin : begin + CHUNK])
            with self._database.change() as conn:
                gone += sweeps.retire(conn, project, part, now, reason)
        return gone

    def expire(self, now: datetime) -> int:
        """Expire what was not confirmed in time, batch by batch; returns how many."""
        gone = 0
        while True:
            with self._database.change() as conn:
                batch = sweeps.expire(conn, now, EXPIRED_AT_ONCE)
            gone += batch
            if batch < EXPIRED_AT_ONCE:
                return gone

    def get(self, project: str, own: str) -> Recommendation:
        """One, with its whole history. Raises NotFoundError."""
        with self._database.read() as conn:
            return read_one(conn, project, own)

    def list(self, project: str, request: ListRequest, order_by: str = "") -> Page[StoredRecommendation]:
        """A page. Raises InvalidArgumentError for a bad filter, order, size or token."""
        with self._database.read() as conn:
            return read_recommendations(conn, project, request, order_by)

    def operations(self, project: str, ids: Sequence[str]) -> dict[str, tuple[AppliedOperation, ...]]:
        """What was applied, by recommendation."""
        with self._database.read() as conn:
            return {own: tuple(made) for own, made in operations_of(conn, project, ids).items()}

    def totals(self, project: str, filter_text: str, group_by: Sequence[GroupBy]) -> tuple[tuple[Totals, ...], Totals]:
        """Rows and their sum. Raises InvalidArgumentError for a bad filter."""
        with self._database.read() as conn:
            return totals_of(conn, project, filter_text, group_by)

    def change(  # noqa: PLR0913, PLR0917 - what changing a resource takes
        self,
        project: str,
        own: str,
        etag: str,
        revise: Revise,
        now: datetime,
        request: RequestKey,
        answer: Callable[[Recommendation], bytes],
        timeout_s: float | None = None,
    ) -> bytes:
        """Put in its place what `revise` makes of it, and return `answer` of that: the first one to the same request.

        `revise` is pure and runs on the writer's thread. Raises NotFoundError, AbortedError (ETAG_MISMATCH) when
        `etag` is neither empty nor current, FailedPreconditionError (STATE_CONFLICT) while it is being applied, and
        what `revise` raises.
        """

        def unit(conn: Connection) -> bytes:
            return once(conn, request, now, lambda: answer(change_one(conn, project, own, etag, revise, now)))

        return self._writer.run(unit, timeout_s)

    def last_change(self, project: str) -> int:
        """The number of the project's last change, 0 before the first."""
        with self._database.read() as conn:
            return last_number(conn, project)

    def changes_after(
        self, project: str, number: int, filter_text: str, limit: int
    ) -> tuple[Sequence[tuple[int, Recommendation]], int]:
        """Up to `limit` recommendations that changed after `number` and match, in the order of their last change.

        With them the number that everything up to which was looked at. Each comes with its whole history.
        """
        tree = parse_filter(filter_text, kinds(FIELDS))
        with self._database.read() as conn:
            last = last_number(conn, project)
            behind = SELECTED.where(_R.project == project, _R.change > number, _R.change <= last)
            wanted = behind.where(compile_filter(tree, FIELDS)).order_by(_R.change).limit(limit)
            rows = [StoredRecommendation(*row) for row in conn.execute(wanted)]
            ids = [row.recommendation_id for row in rows]
            history, operations = transitions_of(conn, project, ids), operations_of(conn, project, ids)
        seen = rows[-1].change if len(rows) == limit else last
        return [
            (
                row.change,
                row.recommendation(history.get(row.recommendation_id, ()), operations.get(row.recommendation_id, ())),
            )
            for row in rows
        ], seen

    def note(
        self, project: str, own: str, revise: Revise, now: datetime, verify_time: datetime | None
    ) -> Recommendation:
        """A change by the service itself, and when it is to be measured next. Raises as `change`."""
        return self._writer.run(
            lambda conn: change_one(conn, project, own, "", revise, now, verify_time=(verify_time,))
        )

    def postpone(self, project: str, own: str, verify_time: datetime | None) -> None:
        """Say when it is to be measured next (None: no more). That is no change of the recommendation."""
        later = update(RECOMMENDATIONS).where(_R.project == project, _R.recommendation_id == own)
        self._writer.run(lambda conn: conn.execute(later.values(verify_time=verify_time)).rowcount)

    def to_verify(self, now: datetime, limit: int) -> Iterator[tuple[str, str]]:
        """Project and id of what was applied and is due to be measured; each is given to one process only.

        What is taken and not measured after all is due again an hour later.
        """
        due = select(_R.project, _R.recommendation_id, _R.verify_time).where(_R.verify_time < now)
        with self._database.read() as conn:
            rows = conn.execute(due.order_by(_R.verify_time).limit(limit)).all()
        for project, own, seen in rows:
            taken = update(RECOMMENDATIONS).where(
                _R.project == project, _R.recommendation_id == own, _R.verify_time == seen
            )
            if self._writer.run(partial(_rows_of, taken.values(verify_time=now + _TAKEN_FOR))):
                yield project, own


def _prepared(contents: Sequence[RecommendationContent], *, is_new: bool) -> list[Prepared]:
    return [Prepared.of(content, is_new=is_new) for content in contents]


def _rows_of(statement: Update, conn: Connection) -> int:
    return conn.execute(statement).rowcount


def read_one(conn: Connection, project: str, own: str) -> Recommendation:
    """One recommendation with history and operations. Raises NotFoundError."""
    row = _row(conn, project, own)
    history = transitions_of(conn, project, [own]).get(own, ())
    return row.recommendation(history, operations_of(conn, project, [own]).get(own, ()))


def change_one(  # noqa: PLR0913, PLR0917 - what changing a resource takes
    conn: Connection,
    project: str,
    own: str,
    etag: str,
    revise: Revise,
    now: datetime,
    *,
    holder: str = "",
    verify_time: tuple[datetime | None] | None = None,
) -> Recommendation:
    """The change of `RecommendationStore.change`, in the caller's transaction. `holder` is whose lease is no obstacle.

    `verify_time` holds when it is measured next (None: no more); without it, VERIFY_AFTER after it is applied.
    """
    take_turn(conn)
    row = _row(conn, project, own)
    before = read_one(conn, project, own)
    if etag and etag != before.etag:
        message = f"recommendation {own!r} was changed since it was read"
        raise AbortedError(ErrorReason.ETAG_MISMATCH, message, metadata={"recommendation": own, "etag": before.etag})
    if holder != own and is_held(conn, project, before.content.exclusive_group or before.content.resource.key, own):
        raise FailedPreconditionError(
            ErrorReason.STATE_CONFLICT,
            "it is being carried out at this moment",
            metadata={"recommendation": before.name, "state": before.state.value.upper()},
        )
    after = revise(before)
    if after is before:
        return before
    number = take_numbers(conn, project, 1)
    is_live = _is_live(conn, row, before, after)
    impact = after.realized_impact
    replace_rows(
        conn,
        [
            row._replace(
                state=after.state.value,
                is_live=is_live,
                update_time=now,
                expire_time=after.expire_time,
                verify_time=_verify_time(row, before, after, now) if verify_time is None else verify_time[0],
                change=number,
                realized_monthly_saving_micros=None
                if impact is None or impact.reason == _NOT_YET
                else impact.monthly_saving_micros,
                body=packed(body_of(after)),
            )
        ],
    )
    step = new_transition(before, after)
    if step is not None:
        add_transitions(conn, project, [(own, step)])
    return replace(after, etag=etag_of(number), update_time=now)


_NOT_YET: Final = "NOT_MEASURED_YET"


def _verify_time(
    row: StoredRecommendation, before: Recommendation, after: Recommendation, now: datetime
) -> datetime | None:
    if after.state is not State.SUCCEEDED or not after.content.telemetry_source:
        return None
    return row.verify_time if before.state is State.SUCCEEDED else now + VERIFY_AFTER


def _is_live(conn: Connection, row: StoredRecommendation, before: Recommendation, after: Recommendation) -> bool:
    """Whether it holds its identity after the change. Raises FailedPreconditionError when another one does by now."""
    if after.state is State.SUCCEEDED:
        return False
    if row.is_live or after.state is State.FAILED:
        return row.is_live
    if is_taken(conn, row):
        raise FailedPreconditionError(
            ErrorReason.STATE_CONFLICT,
            "a newer recommendation says the same",
            metadata={"recommendation": before.name, "state": before.state.value.upper()},
        )
    return True


def _row(conn: Connection, project: str, own: str) -> StoredRecommendation:
    found = conn.execute(SELECTED.where(_R.project == project, _R.recommendation_id == own)).first()
    if found is None:
        message = f"recommendation {own!r} does not exist"
        raise NotFoundError(ErrorReason.NOT_FOUND, message, metadata={"recommendation": own})
    return StoredRecommendation(*found)
