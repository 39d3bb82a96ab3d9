"""Taking in what a run advises: the same finding is the same recommendation, however often it is found."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Select,
    literal_column,
    select,
    true,
)

from trimtab_service.domain.recommendations import (
    Recommendation,
    RecommendationContent,
    State,
    Transition,
    TransitionReason,
)
from trimtab_service.recommendations.identity import SIZING_KINDS
from trimtab_service.recommendations.lifecycle import REFRESHED, SERVICE
from trimtab_service.store.recommendation_confirmations import confirm
from trimtab_service.store.recommendation_documents import read_content
from trimtab_service.store.recommendation_rows import (
    WITHOUT_CONTENT,
    Prepared,
    StoredRecommendation,
    assembled,
    fresh,
    packed,
    refreshed,
    unpacked,
)
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


class Taken(NamedTuple):
    """What a finding became. The row's content is left out; `content` is what it holds."""

    row: StoredRecommendation
    content: RecommendationContent

    @property
    def name(self) -> str:
        """The recommendation's."""
        return f"projects/{self.row.project}/recommendations/{self.row.recommendation_id}"

    def recommendation(self) -> Recommendation:
        """As the domain has it, but for what came after the first transition."""
        return assembled(self.row, self.content)


@dataclass(frozen=True, slots=True)
class Intake:
    """One run's findings for one project, at one instant. What is ACTIVE lasts `lifetime` from then."""

    project: str
    now: datetime
    lifetime: timedelta
    new_id: Callable[[datetime], str]

    def take(self, conn: Connection, prepared: Sequence[Prepared]) -> list[Taken]:
        """Upsert by identity in the caller's transaction, which has the turn; what each became, in order.

        Not there: made. ACTIVE and DISMISSED: refreshed, or only confirmed when nothing changed. EXPIRED and
        SUPERSEDED: refreshed and ACTIVE again. CLAIMED and FAILED: left as they are. Other sizing advice that is
        ACTIVE on the same resource is SUPERSEDED. Identities are distinct.
        """
        rows = _live(conn, self.project, prepared)
        wanted = {one.content.identity for one in prepared}
        known = {row.identity: row for row in rows if row.identity in wanted}
        expire_time = self.now + self.lifetime
        added: list[StoredRecommendation] = []
        changed: list[tuple[StoredRecommendation, StoredRecommendation]] = []
        confirmed: list[str] = []
        steps: list[tuple[str, Transition]] = []
        moving = len(prepared) - len(known) + sum(_moves(one, known) for one in prepared)
        number = take_numbers(conn, self.project, moving) if moving else 0
        frozen = _contents(
            conn, self.project, [row.recommendation_id for row in known.values() if row.state not in _REFRESHED]
        )
        taken: list[Taken] = []
        for one in prepared:
            row = known.get(one.content.identity)
            if row is None:
                made = fresh(self.project, self.new_id(self.now), one, self.now, expire_time, number)
                number += 1
                added.append(made)
                taken.append(Taken(made, one.content))
            elif row.state not in _REFRESHED:
                taken.append(Taken(row, frozen[row.recommendation_id]))
            elif not _moves(one, known):
                confirmed.append(row.recommendation_id)
                until = expire_time if row.state == State.ACTIVE else None
                taken.append(Taken(row._replace(refresh_time=self.now, expire_time=until), one.content))
            else:
                until = None if row.state == State.DISMISSED else expire_time
                new = refreshed(row, one, self.now, until, number)
                number += 1
                if row.state in _REVIVED:
                    steps.append((row.recommendation_id, self._step(row, State.ACTIVE, TransitionReason.ADVISED)))
                    body = packed(replace(unpacked(row.body), superseded_by=""))
                    new = new._replace(state=State.ACTIVE.value, body=body)
                changed.append((row, new))
                taken.append(Taken(new, one.content))
        insert_rows(conn, added)
        refresh_rows(conn, changed)
        confirm(conn, self.project, confirmed, self.now, expire_time)
        add_transitions(conn, self.project, steps)
        self._supersede(conn, taken, [row for row in rows if row.identity not in wanted])
        return taken

    def _supersede(self, conn: Connection, taken: Sequence[Taken], others: Sequence[StoredRecommendation]) -> None:
        """What earlier runs advised on the same resources, and this one replaces."""
        if not others:
            return
        by_group = {
            one.content.exclusive_group: one
            for one in taken
            if one.content.kind in SIZING_KINDS and one.content.exclusive_group and one.row.state == State.ACTIVE
        }
        rivals = [
            row
            for row in others
            if row.state == State.ACTIVE and row.kind in _SIZING and row.exclusive_group in by_group
        ]
        if not rivals:
            return
        number = take_numbers(conn, self.project, len(rivals))
        update_rows(
            conn,
            ("state", "update_time", "expire_time", "change", "body"),
            [
                row._replace(
                    state=State.SUPERSEDED.value,
                    update_time=self.now,
                    expire_time=None,
                    change=number + index,
                    body=packed(replace(unpacked(row.body), superseded_by=by_group[row.exclusive_group].name)),
                )
                for index, row in enumerate(rivals)
            ],
        )
        step = TransitionReason.REPLACED
        add_transitions(
            conn,
            self.project,
            [(row.recommendation_id, self._step(row, State.SUPERSEDED, step)) for row in rivals],
        )

    def _step(self, row: StoredRecommendation, to: State, reason: TransitionReason) -> Transition:
        return Transition(self.now, State(row.state), to, SERVICE, reason)


def _moves(one: Prepared, known: dict[str, StoredRecommendation]) -> bool:
    """Whether taking it in changes a row that is there."""
    row = known.get(one.content.identity)
    if row is None or row.state not in _REFRESHED:
        return False
    return row.state in _REVIVED or row.content_hash != one.content_hash


def _live(conn: Connection, project: str, prepared: Sequence[Prepared]) -> list[StoredRecommendation]:
    """What holds one of the identities, or is of the same resource as one; without contents."""
    groups = sorted({one.content.exclusive_group for one in prepared} - {""})
    alone = [one.content.identity for one in prepared if not one.content.exclusive_group]
    return _of_groups(conn, project, groups) + [
        row for part in _parts(alone, _LOOKUP) for row in _of_groups(conn, project, [""], _R.identity.in_(part))
    ]


def _of_groups(
    conn: Connection, project: str, groups: Sequence[str], narrowing: ColumnElement[bool] | None = None
) -> list[StoredRecommendation]:
    found: list[StoredRecommendation] = []
    for part in _parts(groups, _LOOKUP):
        live = WITHOUT_CONTENT.where(_R.project == project, IS_LIVE)
        if narrowing is not None:
            live = live.where(narrowing)
        query = _each(live, part) if conn.dialect.name == "postgresql" else live.where(_R.exclusive_group.in_(part))
        found += [StoredRecommendation(*row) for row in conn.execute(query).all()]
    return found


def _each(live: Select[Any], groups: Sequence[str]) -> Select[Any]:
    """One look into the index for each group.

    Before PostgreSQL has statistics of the table, which is in the middle of its first run, it takes a list of groups
    for most of the table, and reads all of it every time.
    """
    keys = keys_of(groups)
    one = live.where(_R.exclusive_group == keys.c.key).offset(0).lateral("found")
    return select(*one.c).select_from(keys).join(one, true())


def _contents(conn: Connection, project: str, ids: Sequence[str]) -> dict[str, RecommendationContent]:
    """What stands in these rows, by id."""
    found: dict[str, RecommendationContent] = {}
    for part in _parts(ids, _LOOKUP):
        wanted = select(_R.recommendation_id, _R.content).where(_R.project == project, _R.recommendation_id.in_(part))
        found |= {own: read_content(data) for own, data in conn.execute(wanted)}
    return found


def _parts(items: Sequence[str], size: int) -> Iterator[list[str]]:
    left = iter(items)
    while part := list(islice(left, size)):
        yield part


def sizing_of(conn: Connection, project: str, groups: Sequence[str]) -> list[StoredRecommendation]:
    """The ACTIVE sizing advice on the resources of these groups, without contents."""
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
