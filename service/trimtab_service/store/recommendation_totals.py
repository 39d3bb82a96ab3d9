"""Totals of recommendations, made by the database: exact integers, and what excludes each other counted once."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Column, ColumnElement, Connection, and_, case, cast, func, select

from trimtab_service.domain.filters import parse_filter
from trimtab_service.domain.recommendations import State
from trimtab_service.recommendations.lifecycle import OPEN
from trimtab_service.store.filters import compile_filter, kinds
from trimtab_service.store.recommendation_intake import IS_LIVE
from trimtab_service.store.recommendation_rows import FIELDS
from trimtab_service.store.recommendation_tables import RECOMMENDATIONS

_R: Final = RECOMMENDATIONS.c
_OPEN: Final = tuple(sorted(state.value for state in OPEN))


class GroupBy(StrEnum):
    """What a row of totals stands for; the value is the column."""

    TEAM = "team"
    KIND = "kind"
    STATE = "state"
    CLOUD = "cloud"
    ACCOUNT = "account"


class Totals(NamedTuple):
    """Of one group, micro-USD a month. `by` are the values grouped by, in the order that was asked for."""

    by: tuple[str, ...]
    number: int
    excluded_count: int
    promised_micros: int
    applied_micros: int
    realized_micros: int


def totals_of(
    conn: Connection, project: str, filter_text: str, group_by: Sequence[GroupBy]
) -> tuple[tuple[Totals, ...], Totals]:
    """A row for each group, the largest promise first, and all of them together.

    What is open promises; of those that match and exclude each other only the first by stop, rightsize, schedule,
    purchase (then the larger saving) does, and the others are counted as excluded. What succeeded has applied its
    promise, and has realised what was measured; what is not measured yet has realised nothing.

    Raises InvalidArgumentError for a bad filter.
    """
    chosen = [_R[one.value] for one in group_by]
    matching = and_(_R.project == project, compile_filter(parse_filter(filter_text, kinds(FIELDS)), FIELDS))
    is_open, succeeded = _R.state.in_(_OPEN), _R.state == State.SUCCEEDED.value
    every = select(
        *chosen,
        func.count(),
        _sum(is_open, _R.monthly_saving_micros),
        _sum(succeeded, _R.monthly_saving_micros),
        _sum(succeeded, func.coalesce(_R.realized_monthly_saving_micros, 0)),
    )
    outdone = _outdone(conn, project, matching, chosen)
    rows = []
    for found in conn.execute(every.where(matching).group_by(*chosen)):
        by = tuple(str(value) for value in found[: len(chosen)])
        number, promised, applied, realized = (int(value or 0) for value in found[len(chosen) :])
        if number:
            excluded, micros = outdone.get(by, (0, 0))
            rows.append(Totals(by, number, excluded, promised - micros, applied, realized))
    rows.sort(key=lambda row: (-row.promised_micros, -row.applied_micros, row.by))
    together = [sum(column) for column in zip(*(row[1:] for row in rows), strict=True)] or [0] * 5
    return tuple(rows), Totals((), *together)


def _outdone(
    conn: Connection, project: str, matching: ColumnElement[bool], chosen: Sequence[Column[Any]]
) -> dict[tuple[str, ...], tuple[int, int]]:
    """What others of the same exclusive group come before: how many and what they promise, by the columns chosen."""
    # What is open is live, so most groups are seen from their index alone to have no rivals.
    several = (
        select(_R.exclusive_group)
        .where(_R.project == project, IS_LIVE, _R.exclusive_group != "")
        .group_by(_R.exclusive_group)
        .having(func.count() > 1)
    )
    place = func.row_number().over(
        partition_by=_R.exclusive_group,
        order_by=(_R.precedence, _R.monthly_saving_micros.desc(), _R.recommendation_id),
    )
    placed = (
        select(*chosen, _R.monthly_saving_micros.label("saving"), place.label("place"))
        .where(matching, IS_LIVE, _R.state.in_(_OPEN), _R.exclusive_group.in_(several))
        .subquery()
    )
    groups = [placed.c[column.name] for column in chosen]
    query = select(*groups, func.count(), _sum(placed.c.place > 1, placed.c.saving)).where(placed.c.place > 1)
    return {
        tuple(str(value) for value in found[: len(chosen)]): (int(found[-2]), int(found[-1] or 0))
        for found in conn.execute(query.group_by(*groups))
    }


def _sum(condition: ColumnElement[bool], value: Any) -> ColumnElement[Any]:  # noqa: ANN401 - a column or a number
    return func.sum(case((condition, cast(value, BigInteger)), else_=0))
