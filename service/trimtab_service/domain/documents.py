"""Frozen dataclasses as JSON values and back, exactly: what journal entries and stored bodies are made of.

The form of a value follows its annotation. Dataclasses are objects of the fields that differ from their default,
so a field added later (with a default) reads from older documents, and a default may never change without a new
form of the document around it. A field that a reader does not know is passed over. Sets are sorted. Instants are
integer microseconds since 1970, durations integer microseconds, decimals their text, enums their value, reasons
their name. NaN and infinities are refused: JSON has none.
"""

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache, partial
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from trimtab_service.domain.reasons import Reason

T = TypeVar("T")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_Decoder = Callable[[Any], Any]


def to_document(value: object) -> Any:  # noqa: ANN401 - JSON
    """The JSON value of a frozen dataclass or of anything that one may hold. Raises TypeError for other types."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_document(held)
            for field in fields(value)
            if (held := getattr(value, field.name)) != _default(field)
        }
    if isinstance(value, tuple):
        return [to_document(item) for item in value]
    if isinstance(value, frozenset):
        return [to_document(item) for item in sorted(value)]
    return _scalar(value)


def from_document(cls: type[T], document: object) -> T:
    """The value of type `cls` that `to_document` made `document` of.

    Raises ValueError, naming the field, when it is not one: a wrong type, a missing field, an unknown enum value.
    """
    return cast("T", _decoder(cast("Hashable", cls))(document))


def _scalar(value: object) -> str | int | float | bool | None:
    if isinstance(value, Enum):
        return value.name if isinstance(value, Reason) else cast("str", value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"not a JSON number: {value}")
        return value
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("an instant carries its time zone")
        return (value - _EPOCH) // _MICROSECOND
    if isinstance(value, timedelta):
        return value // _MICROSECOND
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"no JSON form: {type(value).__name__}")


def _default(field: Field[Any]) -> object:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


@cache
def _decoder(annotation: Any) -> _Decoder:  # noqa: ANN401 - an annotation
    """The reader of one annotation; dataclasses resolve theirs once."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Union, UnionType}:
        return _optional(_decoder(next(a for a in arguments if a is not NoneType)))
    if origin in {tuple, frozenset}:
        return _collection(origin, arguments)
    if is_dataclass(annotation):
        return _object(cast("type", annotation))
    if isinstance(annotation, type) and issubclass(annotation, Reason):
        return partial(_reason, annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return annotation
    return _SCALARS[annotation]


def _reason(kind: type[Reason], document: object) -> Reason:
    """A reason is its name: the sentence that is its value may be worded better one day."""
    try:
        return kind[_typed(document, str)]
    except KeyError as error:
        raise ValueError(f"{document!r} is not a {kind.__name__}") from error


def _optional(inner: _Decoder) -> _Decoder:
    return lambda document: None if document is None else inner(document)


def _collection(make: type[tuple[Any, ...]] | type[frozenset[Any]], arguments: tuple[Any, ...]) -> _Decoder:
    if make is frozenset or arguments[1:] == (Ellipsis,):
        inner = _decoder(arguments[0])
        return lambda document: make(inner(item) for item in _typed(document, list))
    members = tuple(_decoder(argument) for argument in arguments)
    return lambda document: tuple(read(item) for read, item in zip(members, _typed(document, list), strict=True))


def _object(cls: type) -> _Decoder:
    hints = get_type_hints(cls)
    readers: Mapping[str, _Decoder] = {field.name: _decoder(hints[field.name]) for field in fields(cls)}

    def read(document: object) -> Any:  # noqa: ANN401 - an instance of cls
        values: dict[str, Any] = {}
        for name, value in _typed(document, dict).items():
            if name in readers:
                try:
                    values[name] = readers[name](value)
                except (TypeError, ValueError, ArithmeticError) as error:
                    raise ValueError(f"{cls.__name__}.{name}: {error}") from error
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"{cls.__name__}: {error}") from error

    return read


def _typed(document: object, wanted: type) -> Any:  # noqa: ANN401 - an instance of wanted
    if type(document) is not wanted:
        raise ValueError(f"expected {wanted.__name__}, not {type(document).__name__}")
    return document


def _number(document: object) -> float:
    if type(document) not in {int, float}:
        raise ValueError(f"expected a number, not {type(document).__name__}")
    number = float(cast("float", document))
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


_SCALARS: Final[Mapping[type, _Decoder]] = {
    str: lambda document: _typed(document, str),
    bool: lambda document: _typed(document, bool),
    int: lambda document: _typed(document, int),
    float: _number,
    datetime: lambda document: _EPOCH + _MICROSECOND * _typed(document, int),
    timedelta: lambda document: _MICROSECOND * _typed(document, int),
    Decimal: lambda document: Decimal(_typed(document, str)),
}
