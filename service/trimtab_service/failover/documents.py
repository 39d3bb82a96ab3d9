"""Plans as JSON: one canonical form, whose hash is what approvals are bound to.

Durations and instants are integer microseconds; an action is an object whose `kind` is the name of its type in snake
case. What is equal has the same bytes.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache
from types import MappingProxyType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import orjson

from trimtab_service.domain import failover
from trimtab_service.domain.failover import Action, FailoverPlan

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def action_name(action: Action) -> str:
    """`scale_capacity` of a ScaleCapacity."""
    return _NAMES[type(action)]


def plan_bytes(plan: FailoverPlan) -> bytes:
    """The canonical document."""
    return orjson.dumps(_plain(plan), option=orjson.OPT_SORT_KEYS)


def plan_of(document: bytes) -> FailoverPlan:
    """The plan of a document. Raises ValueError, KeyError or TypeError for what `plan_bytes` did not make."""
    plan: FailoverPlan = _made(FailoverPlan, orjson.loads(document))
    return plan


def plan_hash(document: bytes) -> str:
    """SHA-256 of the canonical document, in hexadecimal."""
    return hashlib.sha256(document).hexdigest()


_NAMES: Final[Mapping[type, str]] = MappingProxyType(
    {kind: re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower() for kind in get_args(Action)}
)
_ACTIONS: Final[Mapping[str, type]] = MappingProxyType({name: kind for kind, name in _NAMES.items()})


_LATER: Final = frozenset({"reporter"})
"""Fields that were added to a plan, left out while they say nothing: a plan keeps the hash that was approved, and a
process of the version before can read it."""


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, timedelta):
        return value // _MICROSECOND
    if isinstance(value, datetime):
        return (value - _EPOCH) // _MICROSECOND
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        document = {
            field.name: _plain(getattr(value, field.name))
            for field in fields(value)
            if field.name not in _LATER or getattr(value, field.name) != field.default
        }
        return {"kind": _NAMES[type(value)], **document} if type(value) in _NAMES else document
    return value


@cache
def _hints(kind: Any) -> Mapping[str, Any]:  # noqa: ANN401 - a dataclass type
    return get_type_hints(kind, vars(failover))


def _dataclass_made(kind: Any, value: Any) -> Any:  # noqa: ANN401
    hints = _hints(kind)
    return kind(**{name: _made(hints[name], item) for name, item in value.items()})


def _made(kind: Any, value: Any) -> Any:  # noqa: ANN401, PLR0911 - any type of the plan, any JSON; a case a type
    origin = get_origin(kind)
    if origin in {Union, UnionType}:
        arguments = get_args(kind)
        if set(arguments) == set(_NAMES):
            rest = {name: item for name, item in value.items() if name != "kind"}
            return _made(_ACTIONS[value["kind"]], rest)
        return None if value is None else _made(next(one for one in arguments if one is not type(None)), value)
    if origin is tuple:
        return tuple(_made(get_args(kind)[0], item) for item in value)
    if is_dataclass(kind):
        return _dataclass_made(kind, value)
    if kind is timedelta:
        return value * _MICROSECOND
    if kind is datetime:
        return _EPOCH + value * _MICROSECOND
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return float(value) if kind is float else value
