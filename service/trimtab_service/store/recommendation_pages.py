"""Pages of recommendations in four orders, both ways, each over an index of its own: never an offset."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Connection, literal, tuple_

from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.filters import Comparison, Conjunction, Filter, Operator, parse_filter
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.store.filters import compile_filter, kinds
from trimtab_service.store.pages import ListRequest, Page, page_size, refused_token, seal_of
from trimtab_service.store.recommendation_rows import FIELDS, SELECTED, StoredRecommendation
from trimtab_service.store.recommendation_tables import RECOMMENDATIONS

_R: Final = RECOMMENDATIONS.c
_KEPT: Final = 12
"""Bytes of a token's seal."""


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

    A filter is checked row by row along the order's index, but for `state = ...`, which has one of its own in the
    default order: what is rare in the order asked for takes as long as the rows passed over.
    """
    order = parse_order(order_by)
    bound = replace(request, method=f"{request.method} {order.column.key} {order.is_descending}")
    size = page_size(request.page_size)
    tree = parse_filter(request.filter, kinds(FIELDS))
    query = SELECTED.where(_R.project == project, compile_filter(tree, FIELDS))
    state = _state_of(tree)
    if state is not None and order.column is _R.recommendation_id:
        query = query.where(_R.state == state)
    here = _read_token(bound, order)
    if here is not None:
        last = tuple_(literal(here[0], order.column.type), literal(here[1], _R.recommendation_id.type))
        row = tuple_(order.column, _R.recommendation_id)
        query = query.where(row < last if order.is_descending else row > last)
    columns: tuple[ColumnElement[Any], ...] = (order.column, _R.recommendation_id)
    by = [column.desc() if order.is_descending else column for column in columns]
    rows = [StoredRecommendation(*row) for row in conn.execute(query.order_by(*by).limit(size + 1))]
    token = ""
    if len(rows) > size:
        end = rows[size - 1]
        token = _token(getattr(end, str(order.column.key)), end.recommendation_id, bound)
    return Page(tuple(rows[:size]), token)


def _state_of(tree: Filter | None) -> str | None:
    """The state that every match has, where the filter says so plainly."""
    terms: tuple[Filter, ...] = tree.terms if isinstance(tree, Conjunction) else () if tree is None else (tree,)
    for term in terms:
        if isinstance(term, Comparison) and term.field == "state" and term.operator is Operator.EQUAL:
            return str(term.value)
    return None


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
