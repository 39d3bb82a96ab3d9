"""Totals of recommendations, made by the database: exact integers, and what excludes each other counted once."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Connection, and_, case, cast, func, select

from trimtab_service.domain.filters import parse_filter
from trimtab_service.domain.recommendations import State
from trimtab_service.recommendations.lifecycle import OPEN
from trimtab_service.store.filters import compile_filter, kinds
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
    tree = parse_filter(filter_text, kinds(FIELDS))
    is_open = _R.state.in_(_OPEN)
    rivalry = case((and_(is_open, _R.exclusive_group != ""), _R.exclusive_group), else_=_R.recommendation_id)
    place = func.row_number().over(
        partition_by=(is_open, rivalry),
        order_by=(_R.precedence, _R.monthly_saving_micros.desc(), _R.recommendation_id),
    )
    chosen: Mapping[str, ColumnElement[Any]] = {one.value: _R[one.value] for one in group_by}
    placed = (
        select(
            *chosen.values(),
            _R.state.label("stands"),
            _R.monthly_saving_micros.label("saving"),
            _R.realized_monthly_saving_micros.label("realized"),
            place.label("place"),
        )
        .where(_R.project == project, compile_filter(tree, FIELDS))
        .subquery()
    )
    of = placed.c
    counts = of.stands.in_(_OPEN) & (of.place == 1)
    left_out = of.stands.in_(_OPEN) & (of.place > 1)
    succeeded = of.stands == State.SUCCEEDED.value
    groups = [of[name] for name in chosen]
    query = select(
        *groups,
        func.count(),
        _sum(left_out, 1),
        _sum(counts, of.saving),
        _sum(succeeded, of.saving),
        _sum(succeeded, func.coalesce(of.realized, 0)),
    ).group_by(*groups)
    width = len(groups)
    rows = [
        Totals(tuple(str(value) for value in row[:width]), *(int(value or 0) for value in row[width:]))
        for row in conn.execute(query)
        if row[width]
    ]
    rows.sort(key=lambda row: (-row.promised_micros, -row.applied_micros, row.by))
    together = [sum(column) for column in zip(*(row[1:] for row in rows), strict=True)] or [0] * 5
    return tuple(rows), Totals((), *together)


def _sum(condition: ColumnElement[bool], value: Any) -> ColumnElement[Any]:  # noqa: ANN401 - a column or a number
    return func.sum(case((condition, cast(value, BigInteger)), else_=0))
