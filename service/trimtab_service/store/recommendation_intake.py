"""Taking in what a run advises: the same finding is the same recommendation, however often it is found."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Select,
    literal_column,
    select,
    true,
)

from trimtab_service.domain.recommendations import State, Transition, TransitionReason, recommendation_name
from trimtab_service.recommendations.identity import SIZING_KINDS
from trimtab_service.recommendations.lifecycle import REFRESHED, SERVICE
from trimtab_service.store.recommendation_confirmations import confirm
from trimtab_service.store.recommendation_rows import Live, Prepared, StoredRecommendation, packed, row_of, unpacked
from trimtab_service.store.recommendation_tables import RECOMMENDATIONS
from trimtab_service.store.recommendation_writes import (
    add_transitions,
    insert_rows,
    keys_of,
    refresh_rows,
    take_numbers,
    update_rows,
)

CHUNK: Final = 2_000
"""Rows of one transaction: a fifth of a second that others wait for their turn."""

_LOOKUP: Final = 2_000
_R: Final = RECOMMENDATIONS.c
IS_LIVE: Final = literal_column("recommendations.is_live", Boolean)
"""In the very words of the index over it, without which SQLite would not use it."""

_REVIVED: Final = frozenset({State.EXPIRED.value, State.SUPERSEDED.value})
_REFRESHED: Final = frozenset(state.value for state in REFRESHED)
_SIZING: Final = tuple(sorted(kind.value for kind in SIZING_KINDS))
_LIVE: Final[Select[Any]] = select(*(_R[name] for name in Live._fields))


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run's findings become: `ids` of their recommendations, in order, and the rows to write."""

    ids: list[str] = field(default_factory=list)
    added: list[StoredRecommendation] = field(default_factory=list)
    changed: list[tuple[Live, StoredRecommendation]] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)
    superseded: list[tuple[Any, ...]] = field(default_factory=list)
    steps: list[tuple[str, Transition]] = field(default_factory=list)


_SUPERSEDED: Final = ("state", "update_time", "expire_time", "change", "body")
"""What of a row changes, behind its id in `Plan.superseded`."""


@dataclass(frozen=True, slots=True)
class Intake:
    """One run's findings for one project, at one instant. What is ACTIVE lasts `lifetime` from then."""

    project: str
    now: datetime
    lifetime: timedelta
    new_id: Callable[[datetime], str]

    def take(self, conn: Connection, prepared: Sequence[Prepared]) -> list[str]:
        """Upsert by identity in the caller's transaction, which has the turn; ids in order. Identities are distinct.

        Not there: made. ACTIVE and DISMISSED: refreshed, or only confirmed when nothing changed. EXPIRED and
        SUPERSEDED: refreshed and ACTIVE again. CLAIMED and FAILED: left as they are. Other sizing advice that is
        ACTIVE on the same resource is SUPERSEDED.
        """
        plan = self.plan(conn, prepared)
        self.write(conn, plan)
        return plan.ids

    def plan(self, conn: Connection, prepared: Sequence[Prepared]) -> Plan:
        """The first half of `take`, which writes nothing but the numbers that it takes: mostly this process's work."""
        live = self._live(conn, prepared)
        wanted = {one.content.identity for one in prepared}
        known = {row.identity: row for row in live if row.identity in wanted}
        plan = Plan()
        moving = len(prepared) - len(known) + sum(_moves(one, known) for one in prepared)
        number = take_numbers(conn, self.project, moving) if moving else 0
        expire_time = self.now + self.lifetime
        for one in prepared:
            row = known.get(one.content.identity)
            if row is None:
                own = self.new_id(self.now)
                plan.added.append(row_of(self.project, own, one, self.now, expire_time, number, create_time=self.now))
                number += 1
            else:
                own = row.recommendation_id
                if _moves(one, known):
                    plan.changed.append((row, self._refreshed(row, one, expire_time, number)))
                    number += 1
                    if row.state in _REVIVED:
                        plan.steps.append((own, self._step(row, State.ACTIVE, TransitionReason.ADVISED)))
                elif row.state in _REFRESHED:
                    plan.confirmed.append(own)
            plan.ids.append(own)
        if len(live) > len(known):
            winners = {
                one.content.exclusive_group: own
                for one, own in zip(prepared, plan.ids, strict=True)
                if one.content.kind in SIZING_KINDS and one.content.exclusive_group and _is_active(one, known)
            }
            self._supersede(conn, plan, [row for row in live if row.identity not in wanted], winners)
        return plan

    def write(self, conn: Connection, plan: Plan) -> None:
        """The second half, in the same transaction: mostly the database's work."""
        insert_rows(conn, plan.added)
        refresh_rows(conn, plan.changed)
        confirm(conn, self.project, plan.confirmed, self.now, self.now + self.lifetime)
        update_rows(conn, self.project, _SUPERSEDED, plan.superseded)
        add_transitions(conn, self.project, plan.steps)

    def _live(self, conn: Connection, prepared: Sequence[Prepared]) -> list[Live]:
        """What holds one of the identities, or is of the same resource as one."""
        groups = sorted({one.content.exclusive_group for one in prepared} - {""})
        alone = [one.content.identity for one in prepared if not one.content.exclusive_group]
        return _of_groups(conn, self.project, groups) + [
            row
            for part in _parts(alone, _LOOKUP)
            for row in _of_groups(conn, self.project, [""], _R.identity.in_(part))
        ]

    def _refreshed(self, row: Live, one: Prepared, expire_time: datetime, number: int) -> StoredRecommendation:
        is_revived = row.state in _REVIVED
        return row_of(
            self.project,
            row.recommendation_id,
            one,
            self.now,
            None if row.state == State.DISMISSED else expire_time,
            number,
            create_time=row.create_time,
            state=State.ACTIVE if is_revived else State(row.state),
            body=packed(replace(unpacked(row.body), superseded_by="")) if is_revived else row.body,
        )

    def _supersede(self, conn: Connection, plan: Plan, others: Sequence[Live], winners: Mapping[str, str]) -> None:
        """What earlier runs advised on the same resources, and this one replaces. `winners` are ids by group."""
        rivals = [
            row
            for row in others
            if row.state == State.ACTIVE and row.kind in _SIZING and row.exclusive_group in winners
        ]
        if not rivals:
            return
        number = take_numbers(conn, self.project, len(rivals))
        for index, row in enumerate(rivals):
            winner = recommendation_name(self.project, winners[row.exclusive_group])
            body = packed(replace(unpacked(row.body), superseded_by=winner))
            own = row.recommendation_id
            plan.superseded.append((own, State.SUPERSEDED.value, self.now, None, number + index, body))
            plan.steps.append((own, self._step(row, State.SUPERSEDED, TransitionReason.REPLACED)))

    def _step(self, row: Live, to: State, reason: TransitionReason) -> Transition:
        return Transition(self.now, State(row.state), to, SERVICE, reason)


def _moves(one: Prepared, known: Mapping[str, Live]) -> bool:
    """Whether taking it in changes a row that is there."""
    row = known.get(one.content.identity)
    if row is None or row.state not in _REFRESHED:
        return False
    return row.state in _REVIVED or row.content_hash != one.content_hash


def _is_active(one: Prepared, known: Mapping[str, Live]) -> bool:
    """Whether it is ACTIVE once it is taken in."""
    row = known.get(one.content.identity)
    return row is None or row.state == State.ACTIVE or row.state in _REVIVED


def _of_groups(
    conn: Connection, project: str, groups: Sequence[str], narrowing: ColumnElement[bool] | None = None
) -> list[Live]:
    found: list[Live] = []
    for part in _parts(groups, _LOOKUP):
        live = _LIVE.where(_R.project == project, IS_LIVE)
        if narrowing is not None:
            live = live.where(narrowing)
        query = _each(live, part) if conn.dialect.name == "postgresql" else live.where(_R.exclusive_group.in_(part))
        found += [Live(*row) for row in conn.execute(query).all()]
    return found


def _each(live: Select[Any], groups: Sequence[str]) -> Select[Any]:
    """One look into the index for each group.

    Before PostgreSQL has statistics of the table, which is in the middle of its first run, it takes a list of groups
    for most of the table, and reads all of it every time.
    """
    keys = keys_of(groups)
    one = live.where(_R.exclusive_group == keys.c.key).offset(0).lateral("found")
    return select(*one.c).select_from(keys).join(one, true())


def _parts(items: Sequence[str], size: int) -> Iterator[list[str]]:
    left = iter(items)
    while part := list(islice(left, size)):
        yield part


def sizing_of(conn: Connection, project: str, groups: Sequence[str]) -> list[Live]:
    """The ACTIVE sizing advice on the resources of these groups."""
    rows = _of_groups(conn, project, groups)
    return [row for row in rows if row.state == State.ACTIVE and row.kind in _SIZING]


def is_taken(conn: Connection, row: StoredRecommendation) -> bool:
    """Whether another recommendation than the row's holds its identity."""
    wanted = select(_R.recommendation_id).where(
        _R.project == row.project,
        IS_LIVE,
        _R.exclusive_group == row.exclusive_group,
        _R.identity == row.identity,
        _R.recommendation_id != row.recommendation_id,
    )
    return conn.execute(wanted).first() is not None
