"""AIP-160 filters as SQL: the tree that `domain.filters` parsed becomes an expression, never text."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, false, func, literal, not_, or_, true
from sqlalchemy.sql import operators

from trimtab_service.domain.filters import (
    Comparison,
    Conjunction,
    Disjunction,
    FieldKind,
    Filter,
    Negation,
    Operator,
)

_COMPARE: Final[Mapping[Operator, Callable[[Any, Any], Any]]] = {
    Operator.LESS: operators.lt,
    Operator.LESS_OR_EQUAL: operators.le,
    Operator.GREATER: operators.gt,
    Operator.GREATER_OR_EQUAL: operators.ge,
}


@dataclass(frozen=True, slots=True)
class Filterable:
    """A column that a filter may name. NUMBER has no column: money is stored as integers."""

    kind: FieldKind
    column: ColumnElement[Any]


def kinds(fields: Mapping[str, Filterable]) -> dict[str, FieldKind]:
    """The allow-list in the form that `parse_filter` takes."""
    return {name: field.kind for name, field in fields.items()}


def compile_filter(tree: Filter | None, fields: Mapping[str, Filterable]) -> ColumnElement[bool]:
    """The condition that holds for exactly the rows that `domain.filters.matches` accepts.

    Every part is true or false and never NULL, so that NOT means the same as in memory. Columns that are never NULL
    are compared plainly, which is what indexes are found by. A tree that was parsed against other fields is a KeyError.
    """
    match tree:
        case None:
            return true()
        case Conjunction(terms):
            return and_(*(compile_filter(term, fields) for term in terms))
        case Disjunction(terms):
            return or_(*(compile_filter(term, fields) for term in terms))
        case Negation(term):
            return not_(compile_filter(term, fields))
        case Comparison():
            return _comparison(tree, fields[tree.field].column)


def _comparison(comparison: Comparison, column: ColumnElement[Any]) -> ColumnElement[bool]:
    if comparison.operator is Operator.IS_SET:
        return column.is_not(None)
    wanted = literal(comparison.value, column.type)
    match comparison.operator:
        case Operator.EQUAL:
            holds = column == wanted
        case Operator.NOT_EQUAL:
            return not_(_settled(column == wanted, column))
        case Operator.HAS:
            # Unlike LIKE this counts case on both engines and needs no escapes.
            holds = func.replace(column, wanted, "") != column
        case compared:
            holds = _COMPARE[compared](column, wanted)
    return _settled(holds, column)


def _settled(holds: ColumnElement[bool], column: ColumnElement[Any]) -> ColumnElement[bool]:
    """False where a column that may be NULL is."""
    return holds if getattr(column, "nullable", True) is False else func.coalesce(holds, false())
