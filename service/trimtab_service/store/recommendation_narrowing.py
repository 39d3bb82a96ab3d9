"""By which index a filtered page of recommendations is found.

PostgreSQL has statistics of its columns and chooses by itself, once filters say plainly what they compare. SQLite has
none, and takes any index for as good as another. So for it all columns of the filter are hidden behind a `+`, which
changes no value and keeps a column out of its choice; what is to be looked up is said once more, as hardly ever true.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import ColumnElement, TextClause, and_, func, literal_column, text, true

from trimtab_service.domain.filters import Comparison, Conjunction, Filter, Operator
from trimtab_service.store.filters import Filterable, compile_filter
from trimtab_service.store.recommendation_rows import FIELDS
from trimtab_service.store.recommendation_tables import RECOMMENDATIONS

_EQUAL: Final = ("resource_id", "team", "state", "kind", "priority", "cloud")
"""Columns with an index of their own before that of the id, those that single out fewest rows first."""

_COMMONEST: Final = {"state": "active", "kind": "rightsize", "team": ""}
"""What the indexes of these columns leave out, in their very words."""

_RANGE: Final = ("update_time", "monthly_saving_micros")
_BOUNDED: Final = frozenset(
    {Operator.LESS, Operator.LESS_OR_EQUAL, Operator.GREATER, Operator.GREATER_OR_EQUAL, Operator.EQUAL}
)
_HARDLY: Final = "0.00001"
_HIDDEN: Final[Mapping[str, Filterable]] = {
    name: replace(field, column=literal_column(f"+recommendations.{name}", RECOMMENDATIONS.c[name].type))
    for name, field in FIELDS.items()
}


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What every match has in common and an index is over; `is_exact`: its rows lie in the order of ids."""

    terms: tuple[Comparison, ...]
    is_exact: bool

    @property
    def field(self) -> str:
        """The column of the index."""
        return self.terms[0].field

    def condition(self, dialect: str) -> ColumnElement[bool]:
        """What a query has to say beside its filter, so that the index is used."""
        common = _COMMONEST.get(self.field)
        # The index leaves the commonest value out, and is used only where a query says so in its own words.
        where: list[ColumnElement[bool] | TextClause] = (
            [] if common is None else [text(f"recommendations.{self.field} <> '{common}'")]
        )
        if dialect == "sqlite":
            where += [func.likelihood(compile_filter(term, FIELDS), literal_column(_HARDLY)) for term in self.terms]
        return and_(true(), *where)


def narrowing_of(tree: Filter | None) -> Narrowing | None:
    """The best index for what every match has in common; None where there is none."""
    found: dict[str, list[Comparison]] = {}
    for term in _together(tree):
        found.setdefault(term.field, []).append(term)
    for name in _EQUAL:
        for term in found.get(name, ()):
            if term.operator is Operator.EQUAL and term.value != _COMMONEST.get(name):
                return Narrowing((term,), is_exact=True)
    for name in _RANGE:
        terms = tuple(term for term in found.get(name, ()) if term.operator in _BOUNDED)
        if terms:
            return Narrowing(terms, is_exact=False)
    return None


def fields_for(dialect: str) -> Mapping[str, Filterable]:
    """What filters compare: on SQLite nothing that an index may be chosen by."""
    return _HIDDEN if dialect == "sqlite" else FIELDS


def _together(tree: Filter | None) -> Iterator[Comparison]:
    """The comparisons that hold for every match."""
    terms: tuple[Filter, ...] = tree.terms if isinstance(tree, Conjunction) else () if tree is None else (tree,)
    yield from (term for term in terms if isinstance(term, Comparison))
