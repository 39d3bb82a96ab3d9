"""Pages of recommendations in four orders, both ways, each over an index of its own: never an offset."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Connection, Select, literal, literal_column, select, tuple_

from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.filters import Filter, parse_filter
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.store.filters import compile_filter, kinds
from trimtab_service.store.pages import ListRequest, Page, page_size, refused_token, seal_of
from trimtab_service.store.recommendation_narrowing import Narrowing, fields_for, narrowing_of
from trimtab_service.store.recommendation_rows import FIELDS, SELECTED, StoredRecommendation
from trimtab_service.store.recommendation_tables import RECOMMENDATIONS

_R: Final = RECOMMENDATIONS.c
_KEPT: Final = 12
"""Bytes of a token's seal."""

_LOOKED_THROUGH: Final = 50
"""Rows that may be passed over for each one wanted."""


@dataclass(frozen=True, slots=True)
class Order:
    """A column to order by; ties fall by id, in the same direction. `kind` is what a token holds of it."""

    column: ColumnElement[Any]
    kind: type
    is_descending: bool


_COLUMNS: Final[Mapping[str, tuple[ColumnElement[Any], type]]] = {
    "create_time": (_R.recommendation_id, str),
    "update_time": (_R.change, int),
    "monthly_saving": (_R.monthly_saving_micros, int),
    "priority": (_R.priority, str),
}
"""Ids are of the millisecond of making; changes are numbered in the order they are made."""


def parse_order(text: str) -> Order:
    """`create_time desc` for the empty text. Raises InvalidArgumentError for an order that there is none of."""
    words = (text or "create_time desc").split()
    known = _COLUMNS.get(words[0]) if words else None
    if known is None or words[1:] not in ([], ["asc"], ["desc"]):
        names = ", ".join(_COLUMNS)
        why = f"must be one of {names}, each alone or with desc after it"
        raise InvalidArgumentError([Violation("order_by", ErrorReason.UNKNOWN_VALUE, why)])
    return Order(*known, is_descending=words[1:] == ["desc"])


def read_recommendations(
    conn: Connection, project: str, request: ListRequest, order_by: str
) -> Page[StoredRecommendation]:
    """One page. Raises InvalidArgumentError for a bad filter, order, size or token.

    Without a filter, and with one whose own index lies in the order asked for, rows come straight from an index. Else
    some thousand rows are looked through in order, which fills the page unless matches are rare; rare ones are found by
    the filter's index and put in order. What no index is over takes as long as the rows passed over.
    """
    order = parse_order(order_by)
    bound = replace(request, method=f"{request.method} {order.column.key} {order.is_descending}")
    size = page_size(request.page_size)
    search = _Search(
        conn, project, parse_filter(request.filter, kinds(FIELDS)), order, _read_token(bound, order), size + 1
    )
    rows = search.rows()
    token = ""
    if len(rows) > size:
        end = rows[size - 1]
        token = _token(getattr(end, str(order.column.key)), end.recommendation_id, bound)
    return Page(tuple(rows[:size]), token)


@dataclass(frozen=True, slots=True)
class _Search:
    """For up to `most` rows behind `after` (the first ones for None) in an order."""

    conn: Connection
    project: str
    tree: Filter | None
    order: Order
    after: tuple[Any, str] | None
    most: int

    def rows(self) -> list[StoredRecommendation]:
        narrowing = narrowing_of(self.tree)
        if narrowing is None:
            return self._read(self._in_order())
        in_place = narrowing.field == self.order.column.key or (
            narrowing.is_exact and self.order.column is _R.recommendation_id
        )
        if in_place:
            return self._read(self._in_order(narrowing))
        far = self._far()
        if far is None:
            return self._read(self._in_order())
        found = self._read(self._in_order().where(self._side(far, self.order.column, further=False)))
        return found if len(found) == self.most else self._gathered(narrowing)

    def _in_order(self, narrowing: Narrowing | None = None) -> Select[Any]:
        """The matches, along the index of the order, or of what narrows them in that order."""
        dialect = self.conn.dialect.name
        query = SELECTED.where(_R.project == self.project, compile_filter(self.tree, fields_for(dialect)))
        if narrowing is not None:
            query = query.where(narrowing.condition(dialect))
        if self.after is not None:
            query = query.where(self._side(self.after, self.order.column, further=True))
        return query.order_by(*self._by(self.order.column)).limit(self.most)

    def _far(self) -> tuple[Any, str] | None:
        """The row that is so far on in the order that matches are rare where the page is not full before it."""
        keys = select(self.order.column, _R.recommendation_id).where(_R.project == self.project)
        if self.after is not None:
            keys = keys.where(self._side(self.after, self.order.column, further=True))
        keys = keys.order_by(*self._by(self.order.column)).offset(_LOOKED_THROUGH * self.most).limit(1)
        row = self.conn.execute(keys).first()
        return None if row is None else (row[0], row[1])

    def _gathered(self, narrowing: Narrowing) -> list[StoredRecommendation]:
        """The matches by the index of what narrows them, put in order: first their keys, then the rows of the page."""
        dialect = self.conn.dialect.name
        hidden = literal_column(f"+{self.order.column}", self.order.column.type)
        column = hidden if dialect == "sqlite" else self.order.column
        wanted = compile_filter(self.tree, fields_for(dialect))
        keys = select(_R.recommendation_id).where(_R.project == self.project, wanted, narrowing.condition(dialect))
        if self.after is not None:
            keys = keys.where(self._side(self.after, column, further=True))
        ids = self.conn.execute(keys.order_by(*self._by(column)).limit(self.most)).scalars().all()
        if not ids:
            return []
        rows = self._read(SELECTED.where(_R.project == self.project, _R.recommendation_id.in_(ids)))
        place = {own: at for at, own in enumerate(ids)}
        return sorted(rows, key=lambda row: place[row.recommendation_id])

    def _side(self, row: tuple[Any, str], column: ColumnElement[Any], *, further: bool) -> ColumnElement[bool]:
        """The rows behind one in the order, or those up to it."""
        last = tuple_(literal(row[0], self.order.column.type), literal(row[1], _R.recommendation_id.type))
        here = tuple_(column, _R.recommendation_id)
        if further:
            return here < last if self.order.is_descending else here > last
        return here >= last if self.order.is_descending else here <= last

    def _by(self, column: ColumnElement[Any]) -> list[ColumnElement[Any]]:
        # No two changes have one number, and its index holds nothing else.
        alone = self.order.column is _R.change
        columns: tuple[ColumnElement[Any], ...] = (column,) if alone else (column, _R.recommendation_id)
        return [one.desc() if self.order.is_descending else one for one in columns]

    def _read(self, query: Select[Any]) -> list[StoredRecommendation]:
        return [StoredRecommendation(*row) for row in self.conn.execute(query)]


def _token(value: str | int, own: str, request: ListRequest) -> str:
    payload = orjson.dumps([value, own])
    return base64.urlsafe_b64encode(seal_of(payload, request) + payload).decode().rstrip("=")


def _read_token(request: ListRequest, order: Order) -> tuple[Any, str] | None:
    if not request.page_token:
        return None
    try:
        padded = request.page_token + "=" * (-len(request.page_token) % 4)
        raw = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
        key, own = orjson.loads(raw[_KEPT:])
        if type(key) is not order.kind or type(own) is not str or "\x00" in own:
            raise refused_token()
    except (binascii.Error, ValueError, TypeError):
        raise refused_token() from None
    if raw[:_KEPT] != seal_of(raw[_KEPT:], request):
        raise refused_token()
    return key, own
