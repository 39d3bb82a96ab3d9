"""The documented subset of AIP-160 filters: text in, typed tree out, and what the tree means.

    filter     = [ sequence ]
    sequence   = factor { "AND" factor }
    factor     = term { "OR" term }            OR binds tighter than AND, as in AIP-160
    term       = [ "NOT" | "-" ] ( "(" sequence ")" | field operator value )
    operator   = "=" | "!=" | "<" | "<=" | ">" | ">=" | ":"
    value      = bare text up to a blank or parenthesis | 'quoted' | "quoted", backslash escapes

`field:*` holds where the field is set; `field:abc` where a text contains `abc`, case counting. Logic is
two-valued: a comparison with a field that is not set is false, `a != v` means `NOT a = v`, and so a list
filtered in memory and one filtered by a database agree. What an operator needs is checked while parsing:
a tree that was returned cannot fail.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum, StrEnum
from typing import Any, Final

from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.reasons import ErrorReason

FilterValue = str | int | bool | Decimal | datetime

MAX_FILTER_CHARACTERS: Final = 4_096
MAX_FILTER_DEPTH: Final = 32
MAX_FILTER_COMPARISONS: Final = 64
_INT64: Final = range(-(2**63), 2**63)


class FieldKind(Enum):
    """What a filterable field holds."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"


class Operator(StrEnum):
    """A comparison; `HAS` is AIP-160's colon on a text, `IS_SET` the same with a star."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    HAS = ":"
    IS_SET = ":*"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One `field operator value`; the value already has the type of the field."""

    field: str
    operator: Operator
    value: FilterValue


@dataclass(frozen=True, slots=True)
class Conjunction:
    """All of the terms hold."""

    terms: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Disjunction:
    """At least one of the terms holds."""

    terms: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """The term does not hold."""

    term: "Filter"


Filter = Comparison | Conjunction | Disjunction | Negation

_COMPARE: Final[Mapping[Operator, Callable[[Any, Any], bool]]] = {
    Operator.LESS: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_OR_EQUAL: operator.ge,
}


def parse_filter(text: str, fields: Mapping[str, FieldKind]) -> Filter | None:
    """Read `text` against the allow-list `fields`; None means that everything matches.

    Raises InvalidArgumentError with FILTER_INVALID and the 1-based `position` in its metadata.
    """
    if len(text) > MAX_FILTER_CHARACTERS:
        raise _fault(f"longer than {MAX_FILTER_CHARACTERS} characters", MAX_FILTER_CHARACTERS)
    parser = _Parser(text, fields)
    return parser.parse()


def matches(tree: Filter | None, read: Callable[[str], object]) -> bool:
    """Tell whether the tree holds for the record whose fields `read` gives (None: not set).

    `read` must give the type that the field's kind names: str, int, a number, bool, aware datetime.
    """
    match tree:
        case None:
            return True
        case Conjunction(terms):
            return all(matches(term, read) for term in terms)
        case Disjunction(terms):
            return any(matches(term, read) for term in terms)
        case Negation(term):
            return not matches(term, read)
        case Comparison():
            return _holds(tree, read(tree.field))


def _holds(comparison: Comparison, actual: object) -> bool:
    wanted = comparison.value
    match comparison.operator:
        case Operator.IS_SET:
            return actual is not None
        case Operator.NOT_EQUAL:
            return actual is None or actual != wanted
        case Operator.EQUAL:
            return actual is not None and actual == wanted
        case Operator.HAS:
            return actual is not None and str(wanted) in str(actual)
        case compared:
            return actual is not None and _COMPARE[compared](actual, wanted)


_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_OPERATOR: Final = re.compile(r"!=|<=|>=|=|<|>|:")
_BARE: Final = re.compile(r"[^\s()\"']+")
_BLANK: Final = re.compile(r"\s*")
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}")
_TIMESTAMP: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[Tt](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)([Zz]|[+-]\d{2}:\d{2}))?"
)


class _Parser:
    """Recursive descent over one text; `_at` is the next character not yet read."""

    __slots__ = ("_at", "_comparisons", "_fields", "_text")

    def __init__(self, text: str, fields: Mapping[str, FieldKind]) -> None:
        self._text = text
        self._fields = fields
        self._at = 0
        self._comparisons = 0

    def parse(self) -> Filter | None:
        self._skip_blanks()
        if self._at == len(self._text):
            return None
        tree = self._sequence(depth=0)
        if self._at < len(self._text):
            raise _fault(f"expected AND, OR or the end, found {self._shown()}", self._at)
        return tree

    def _sequence(self, depth: int) -> Filter:
        terms = [self._factor(depth)]
        while self._keyword("AND"):
            terms.append(self._factor(depth))
        return terms[0] if len(terms) == 1 else Conjunction(tuple(terms))

    def _factor(self, depth: int) -> Filter:
        terms = [self._term(depth)]
        while self._keyword("OR"):
            terms.append(self._term(depth))
        return terms[0] if len(terms) == 1 else Disjunction(tuple(terms))

    def _term(self, depth: int) -> Filter:
        if depth > MAX_FILTER_DEPTH:
            raise _fault(f"nested deeper than {MAX_FILTER_DEPTH}", self._at)
        if self._keyword("NOT") or self._symbol("-"):
            return Negation(self._term(depth + 1))
        opened = self._at
        if self._symbol("("):
            inner = self._sequence(depth + 1)
            if not self._symbol(")"):
                raise _fault("this parenthesis is not closed", opened)
            return inner
        return self._comparison()

    def _comparison(self) -> Comparison:
        started = self._at
        found = _FIELD.match(self._text, started)
        if found is None:
            raise _fault(f"expected a field, found {self._shown()}", started)
        name = found.group()
        kind = self._fields.get(name)
        if kind is None:
            known = ", ".join(sorted(self._fields))
            raise _fault(f"unknown field {name[:64]!r}; the fields are {known}", started)
        self._comparisons += 1
        if self._comparisons > MAX_FILTER_COMPARISONS:
            raise _fault(f"more than {MAX_FILTER_COMPARISONS} comparisons", started)
        self._at = found.end()
        self._skip_blanks()
        operated = self._at
        sign = _OPERATOR.match(self._text, operated)
        if sign is None:
            raise _fault(f"expected an operator after {name!r}, found {self._shown()}", operated)
        self._at = sign.end()
        self._skip_blanks()
        valued = self._at
        value, quoted = self._value()
        relation = Operator(sign.group())
        if relation is Operator.HAS and value == "*" and not quoted:
            return Comparison(name, Operator.IS_SET, value)
        _check_operator(relation, kind, operated)
        if relation is Operator.HAS and not value:
            raise _fault("':' needs at least one character", valued)
        return Comparison(name, relation, _typed(value, kind, valued))

    def _value(self) -> tuple[str, bool]:
        started = self._at
        mark = self._text[started : started + 1]
        if mark in ("'", '"'):
            value, quoted = self._quoted(mark), True
        else:
            bare = _BARE.match(self._text, started)
            if bare is None:
                raise _fault(f"expected a value, found {self._shown()}", started)
            self._at = bare.end()
            value, quoted = bare.group(), False
        if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise _fault("a value holds a character that is not text", started)
        self._skip_blanks()
        return value, quoted

    def _quoted(self, mark: str) -> str:
        started = self._at
        characters: list[str] = []
        at = started + 1
        while at < len(self._text):
            character = self._text[at]
            if character == mark:
                self._at = at + 1
                return "".join(characters)
            if character == "\\" and at + 1 < len(self._text):
                at += 1
                character = self._text[at]
            characters.append(character)
            at += 1
        raise _fault("this quotation mark is not closed", started)

    def _keyword(self, word: str) -> bool:
        """Take `word` where it stands alone; a field of that name is not reachable, as in AIP-160."""
        end = self._at + len(word)
        follower = self._text[end : end + 1]
        if self._text[self._at : end] != word or not (follower == "(" or follower.isspace()):
            return False
        self._at = end
        self._skip_blanks()
        return True

    def _symbol(self, symbol: str) -> bool:
        if not self._text.startswith(symbol, self._at):
            return False
        self._at += 1
        self._skip_blanks()
        return True

    def _skip_blanks(self) -> None:
        blank = _BLANK.match(self._text, self._at)
        self._at = blank.end() if blank else self._at

    def _shown(self) -> str:
        rest = self._text[self._at : self._at + 16]
        return repr(rest) if rest else "the end"


def _check_operator(relation: Operator, kind: FieldKind, position: int) -> None:
    if relation is Operator.HAS and kind is not FieldKind.TEXT:
        raise _fault("':' needs a text field, or the value *", position)
    if kind is FieldKind.BOOLEAN and relation not in (Operator.EQUAL, Operator.NOT_EQUAL):
        raise _fault("a boolean is compared with = or != only", position)


def _typed(value: str, kind: FieldKind, position: int) -> FilterValue:
    match kind:
        case FieldKind.TEXT:
            return value
        case FieldKind.BOOLEAN if value in ("true", "false"):
            return value == "true"
        case FieldKind.INTEGER if _INTEGER.fullmatch(value) and int(value) in _INT64:
            return int(value)
        case FieldKind.NUMBER:
            number = _number(value)
            if number is not None:
                return number
        case FieldKind.TIMESTAMP:
            instant = _timestamp(value)
            if instant is not None:
                return instant
        case _:
            pass
    raise _fault(f"{value[:64]!r} is not a {kind.value}", position)


def _number(value: str) -> Decimal | None:
    """A finite number of an ordinary size: 1e999999999 would cost memory wherever it is compared."""
    if not value.isascii() or "_" in value:
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) <= 30 else None  # noqa: PLR2004


def _timestamp(value: str) -> datetime | None:
    """RFC 3339 with an offset, or a date alone (its first instant in UTC); finer than 1 us is cut."""
    found = _TIMESTAMP.fullmatch(value)
    if found is None:
        return None
    day, clock, offset = found.groups()
    try:
        if clock is None:
            return datetime.fromisoformat(day).replace(tzinfo=UTC)
        whole, _, fraction = clock.partition(".")
        digits = f".{fraction[:6].ljust(6, '0')}" if fraction else ""
        zone = "+00:00" if offset in ("Z", "z") else offset
        return datetime.fromisoformat(f"{day}T{whole}{digits}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _fault(description: str, position: int) -> InvalidArgumentError:
    shown = f"{description} (at position {position + 1})"
    error = InvalidArgumentError([Violation("filter", ErrorReason.FILTER_INVALID, shown)])
    error.metadata["position"] = str(position + 1)
    return error
