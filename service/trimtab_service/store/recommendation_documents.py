"""The content of a recommendation as compact JSON, and back.

A hundred thousand are written in one run, so the form is by position instead of by name: a tenth of the time and a
third of the bytes of `domain.documents`. What a position means is listed in `_FORMS` and never changes; a dataclass
that gets a field gets a new form (a test holds the newest form to the dataclasses). Numbers at the edges are as in
`domain.documents`: instants and durations are integer microseconds, enums their value, reasons their name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from functools import cache
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Final, Union, cast, get_args, get_origin, get_type_hints

import orjson

from trimtab_service.domain.reasons import Reason
from trimtab_service.domain.recommendations import (
    FieldChange,
    Impact,
    Operation,
    OperationGroup,
    RecommendationContent,
)
from trimtab_service.domain.resources import Autoscaling, Capacity, CloudResource
from trimtab_service.domain.rightsizing import BackTest, DimensionProjection, RightsizingOption

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY: Final = date(1970, 1, 1).toordinal()
_MICROSECOND: Final = timedelta(microseconds=1)

_Fields = Mapping[type, tuple[str, ...]]

_FORM_1: Final[_Fields] = {
    RecommendationContent: (
        "identity",
        "kind",
        "priority",
        "resource",
        "primary_impact",
        "additional_impacts",
        "exclusive_group",
        "operation_groups",
        "summary",
        "reasons",
        "confidence",
        "catalog_version",
        "telemetry_source",
        "rolls_back",
        "rightsizing_option",
        "rightsizing_current",
        "rightsizing_alternatives",
    ),
    CloudResource: (
        "resource_id",
        "cloud",
        "region",
        "kind",
        "zone",
        "account",
        "instance_type",
        "count",
        "capacity",
        "price_nanos_per_hour",
        "option",
        "running_hours_per_month",
        "tags",
        "autoscaling",
        "workload_id",
        "team",
        "start_time",
        "arm_ready",
    ),
    Capacity: (
        "vcpus",
        "memory_gib",
        "gpu_model",
        "gpus",
        "gpu_memory_gib",
        "network_gbps",
        "disk_iops",
        "disk_mibps",
    ),
    Autoscaling: ("min_count", "max_count", "target_dimension", "target_utilization"),
    Impact: ("category", "cost_micros", "duration", "performance_risk", "reliability_reasons", "carbon_kg"),
    OperationGroup: ("operations",),
    Operation: ("kind", "resource_id", "changes"),
    FieldChange: ("field", "before", "after"),
    RightsizingOption: (
        "rank",
        "action",
        "cloud",
        "region",
        "instance_type",
        "count",
        "capacity",
        "price_nanos_per_hour",
        "price_basis",
        "price_as_of",
        "monthly_cost_micros",
        "monthly_net_cost_micros",
        "monthly_saving_micros",
        "monthly_net_saving_micros",
        "dimensions",
        "risk",
        "binding_dimension",
        "migration_effort",
        "restart_needed",
        "rollback_possible",
        "reasons",
        "gpu_share",
        "back_test",
        "autoscaling",
        "limits",
        "used_hours",
    ),
    DimensionProjection: (
        "dimension",
        "capacity",
        "demand",
        "mean_utilization",
        "p95_utilization",
        "max_utilization",
        "risk",
        "back_test",
        "assumed",
    ),
    BackTest: (
        "exceedance",
        "exceedance_low",
        "exceedance_high",
        "confidence_level",
        "slack",
        "windows",
        "windows_exceeded",
        "rule_exceedance",
        "rule_slack",
    ),
}
_FORMS: Final[Mapping[int, _Fields]] = {1: _FORM_1}
NEWEST: Final = 1


def newest_form() -> _Fields:
    """Which fields, in which order, are written today."""
    return _FORMS[NEWEST]


@dataclass(frozen=True, slots=True)
class _Writer:
    """What orjson calls for what it does not know, which is everything of ours."""

    read: Mapping[type, Callable[[Any], Any]]

    def __call__(self, value: object) -> object:
        kind = type(value)
        known = self.read.get(kind)
        if known is not None:
            return known(value)
        if kind is timedelta:
            return cast("timedelta", value) // _MICROSECOND
        raise TypeError(f"no JSON form: {kind.__name__}")


def _one(name: str) -> Callable[[Any], Any]:
    read = attrgetter(name)
    return lambda value: (read(value),)


def _option_writer(form: _Fields) -> Callable[[Any], Any]:
    """An option is most of a content: its parts are read here in one go, not by calls back from orjson.

    Its reasons go by name and its day by number.
    """
    names = form[RightsizingOption]
    read, reasons, day = attrgetter(*names), names.index("reasons"), names.index("price_as_of")
    dimensions, back_test, capacity = names.index("dimensions"), names.index("back_test"), names.index("capacity")
    read_test, read_capacity = attrgetter(*form[BackTest]), attrgetter(*form[Capacity])
    read_projection = _projection_writer(form)

    def write(option: RightsizingOption) -> list[Any]:
        values = list(read(option))
        values[reasons] = [reason.name for reason in option.reasons]
        values[day] = option.price_as_of.toordinal() - _FIRST_DAY
        values[dimensions] = [read_projection(projection) for projection in option.dimensions]
        values[capacity] = read_capacity(option.capacity)
        if option.back_test is not None:
            values[back_test] = read_test(option.back_test)
        return values

    return write


def _projection_writer(form: _Fields) -> Callable[[DimensionProjection], Any]:
    names = form[DimensionProjection]
    at = names.index("back_test")
    head, tail, read_test = attrgetter(*names[:at]), attrgetter(names[at + 1]), attrgetter(*form[BackTest])
    if len(names) != at + 2:
        raise ValueError("the back-test is the last but one")

    def write(projection: DimensionProjection) -> Any:  # noqa: ANN401 - a sequence of values
        test = projection.back_test
        return (*head(projection), None if test is None else read_test(test), tail(projection))

    return write


def _resource_writer(names: tuple[str, ...]) -> Callable[[Any], Any]:
    read, start = attrgetter(*names), names.index("start_time")

    def write(resource: CloudResource) -> Any:  # noqa: ANN401 - a sequence of values
        values = read(resource)
        if resource.start_time is None:
            return values
        changed = list(values)
        changed[start] = (resource.start_time - _EPOCH) // _MICROSECOND
        return changed

    return write


def _writer(form: _Fields) -> _Writer:
    made: dict[type, Callable[[Any], Any]] = {
        cls: attrgetter(*names) if len(names) > 1 else _one(names[0]) for cls, names in form.items()
    }
    made[RightsizingOption] = _option_writer(form)
    made[CloudResource] = _resource_writer(form[CloudResource])
    return _Writer(made)


_WRITE: Final = _writer(_FORMS[NEWEST])


def content_bytes(content: RecommendationContent) -> bytes:
    """The content as bytes. The same content is the same bytes, so that their hash stands for it."""
    return orjson.dumps((NEWEST, content), default=_WRITE, option=orjson.OPT_PASSTHROUGH_DATACLASS)


def read_content(data: bytes) -> RecommendationContent:
    """The content of `content_bytes`. Raises ValueError for anything else."""
    try:
        form, values = orjson.loads(data)
        return cast("RecommendationContent", _reader(int(form), RecommendationContent)(values))
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ValueError(f"not a recommendation's content: {error!r}") from error


_Reader = Callable[[Any], Any]


@cache
def _reader(form: int, annotation: Any) -> _Reader:  # noqa: ANN401 - an annotation
    fields = _FORMS[form]
    if annotation in fields:
        return _object(form, annotation, fields[annotation])
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Union, UnionType}:
        inner = _reader(form, next(a for a in arguments if a is not NoneType))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        return _tuple(form, arguments)
    if isinstance(annotation, type) and issubclass(annotation, Reason):
        return annotation.__getitem__
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        members = {member.value: member for member in annotation}
        return members.__getitem__
    return _SCALARS[annotation]


def _object(form: int, cls: type, names: tuple[str, ...]) -> _Reader:
    hints = get_type_hints(cls)
    readers = [_reader(form, hints[name]) for name in names]
    # Fields are given by name: a later form may order them differently.
    return lambda values: cls(**{name: read(value) for name, read, value in zip(names, readers, values, strict=True)})


def _tuple(form: int, arguments: tuple[Any, ...]) -> _Reader:
    if arguments[1:] == (Ellipsis,):
        inner = _reader(form, arguments[0])
        return lambda values: tuple(map(inner, values))
    inners = tuple(_reader(form, argument) for argument in arguments)
    return lambda values: tuple(read(value) for read, value in zip(inners, values, strict=True))


def _as_is(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    return value


_SCALARS: Final[Mapping[type, _Reader]] = {
    str: _as_is,
    bool: _as_is,
    int: _as_is,
    float: float,
    date: lambda value: date.fromordinal(value + _FIRST_DAY),
    datetime: lambda value: _EPOCH + _MICROSECOND * value,
    timedelta: lambda value: _MICROSECOND * value,
}
