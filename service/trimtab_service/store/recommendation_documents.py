"""The content of a recommendation as compact bytes, and back.

A hundred thousand are written in one run, so the form is by position instead of by name: a tenth of the time and a
fraction of the bytes of `domain.documents`. What a position means is listed in `_FORMS` and never changes; a dataclass
that gets a field gets a new form (a test holds the newest form to the dataclasses). Form 1 is JSON alone; form 2 has
its measurements as doubles beside it, and the JSON deflated. Numbers at the edges are as in `domain.documents`:
instants and durations are integer microseconds, enums their value, reasons their name.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from functools import cache
from hashlib import sha256
from itertools import islice
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Final, NamedTuple, Union, cast, get_args, get_origin, get_type_hints

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
_FORM_2: Final[_Fields] = {
    **_FORM_1,
    DimensionProjection: ("dimension", "back_test", "assumed"),
    BackTest: ("windows", "windows_exceeded"),
}
_PACKED: Final[_Fields] = {
    DimensionProjection: ("capacity", "demand", "mean_utilization", "p95_utilization", "max_utilization", "risk"),
    BackTest: (
        "exceedance",
        "exceedance_low",
        "exceedance_high",
        "confidence_level",
        "slack",
        "rule_exceedance",
        "rule_slack",
    ),
}
"""In form 2, what is measured is most of a content: doubles, object by object as they are met, its own before those of
the objects in it. As text they would be twice the bytes, and half the time of writing."""

_DEFLATED: Final = 2
"""The first byte of form 2: this, the number of doubles (4 bytes), the doubles (little-endian), deflated JSON."""

_HEAD: Final = struct.Struct("<BI")
_WORDS: Final = (
    b'["aws/us-east-1/instance/i-0#rightsize#m5.2xlarge","stop","gcp","azure","endpoint","group","container","p4","p3",'
    b'"p2","p1",["schedule","reserved","spot","on_demand",null,[["environment","prod"],["team",""]],["performance",0,'
    b'["reliability",0,["cost",-140160000,2628000000000,1.0,[],null],[],"/instance/i-0",[[[["update_group_template","",'
    b'["set_group_capacity","",["stop_instance","i-0",[["State","running","stopped"]]],["modify_instance_type","i-0",'
    b'[["InstanceType","m5.2xlarge","m5.xlarge"]]],["start_instance","i-0",[["State","stopped","running"]]]]]],"Resize '
    b' in aws us-east-1 from m5.2xlarge to m5.xlarge: saves $ a month ( %), risk 0.0 of 4.",["MEMORY_NOT_MEASURED",'
    b'"GPU_OVER_PROVISIONED","CPU_UNDER_PROVISIONED","NETWORK_BANDWIDTH_OVER_PROVISIONED","MEMORY_OVER_PROVISIONED",'
    b'"CHEAPER_ARCHITECTURE","CHEAPER_FAMILY","CPU_OVER_PROVISIONED"],"cw","",[0,"keep","aws","us-east-1","m5.2xlarge",'
    b'1,[8.0,32.0,"",0.0,null,10.0,null,null],384000000,"list_superseded",20758,280320000,280320000,0,0,[["gpu",[14,0],'
    b'true],["gpu_memory",[14,0],false],["disk_iops",[14,0],false],["disk_throughput",[14,0],false],["cpu",[7,1],false],'
    b'["memory",[7,0],false],["network",[7,0],false]],0.0,"memory","medium",true,true,["CPU_OVER_PROVISIONED"],"",[7,1],'
    b'null,null,[]],[1,"change_architecture","change_family","resize","aws","us-east-1","c6g.xlarge",1,[4.0,16.0,"",0.0,'
    b'null,10.0,null,null],192000000,"list",20758,140160000,140160000,140160000,140160000,[["cpu",[7,1],false]],1.0,'
    b'"cpu","very_low",true,true,["CPU_OVER_PROVISIONED"],"",[7,1],null,null,[]]]]'
)
"""What contents have in common. Deflating begins as if this had just been seen: it is part of form 2 for good."""

_FORMS: Final[Mapping[int, _Fields]] = {1: _FORM_1, 2: _FORM_2}
NEWEST: Final = 2


def newest_form() -> _Fields:
    """Which fields are written today, listed and packed."""
    return {cls: (*names, *_PACKED.get(cls, ())) for cls, names in _FORMS[NEWEST].items()}


class Written(NamedTuple):
    """A content as its two parts: JSON, and little-endian doubles. The same content is the same parts."""

    listed: bytes
    packed: bytes

    def digest(self) -> str:
        """128 bits that stand for the content: what an approval is bound to. Not of what deflating made of it."""
        return sha256(self.packed + self.listed).hexdigest()[:32]

    def stored(self) -> bytes:
        """The bytes to keep."""
        deflate = _DEFLATE.copy()
        head = _HEAD.pack(_DEFLATED, len(self.packed) // 8)
        return b"".join((head, self.packed, deflate.compress(self.listed), deflate.flush()))


_DEFLATE: Final = zlib.compressobj(1, zlib.DEFLATED, -12, 5, zlib.Z_DEFAULT_STRATEGY, _WORDS)
"""A window of 4 KiB: setting up a larger one takes longer than filling this one."""


def _getter(form: _Fields, cls: type) -> Callable[[Any], Any]:
    """Reads the listed fields of an object at once. A plain enum is read as its value, which orjson does slowly."""
    hints = get_type_hints(cls)
    read = attrgetter(*(f"{name}._value_" if _is_value(hints[name]) else name for name in form[cls]))
    return read if len(form[cls]) > 1 else lambda value: (read(value),)


def _is_value(annotation: Any) -> bool:  # noqa: ANN401 - an annotation
    return isinstance(annotation, type) and issubclass(annotation, Enum) and not issubclass(annotation, Reason)


_PLAIN: Final[Mapping[type, Callable[[Any], Any]]] = {
    cls: _getter(_FORMS[NEWEST], cls) for cls in (Autoscaling, Impact, OperationGroup, Operation)
} | {cls: _getter(_FORMS[NEWEST], cls) for cls in (FieldChange, Capacity)}
_CONTENT: Final = _getter(_FORMS[NEWEST], RecommendationContent)
_RESOURCE: Final = _getter(_FORMS[NEWEST], CloudResource)
_OPTION: Final = _getter(_FORMS[NEWEST], RightsizingOption)
_PROJECTED: Final = attrgetter(*_PACKED[DimensionProjection])
_TESTED: Final = attrgetter(*_PACKED[BackTest])


def _at(cls: type, name: str) -> int:
    return _FORMS[NEWEST][cls].index(name)


_RESOURCE_AT: Final = _at(RecommendationContent, "resource")
_ADVISED_AT: Final = _at(RecommendationContent, "rightsizing_option")
_CURRENT_AT: Final = _at(RecommendationContent, "rightsizing_current")
_OTHERS_AT: Final = _at(RecommendationContent, "rightsizing_alternatives")
_START_AT: Final = _at(CloudResource, "start_time")
_DAY_AT: Final = _at(RightsizingOption, "price_as_of")
_CAPACITY_AT: Final = _at(RightsizingOption, "capacity")
_DIMENSIONS_AT: Final = _at(RightsizingOption, "dimensions")
_REASONS_AT: Final = _at(RightsizingOption, "reasons")
_TEST_AT: Final = _at(RightsizingOption, "back_test")


def written(content: RecommendationContent) -> Written:
    """The content in the newest form. Raises TypeError for texts that are no Unicode."""
    doubles: list[float] = []
    values = list(_CONTENT(content))
    values[_RESOURCE_AT] = _write_resource(content.resource)
    values[_ADVISED_AT] = _write_option(content.rightsizing_option, doubles)
    values[_CURRENT_AT] = _write_option(content.rightsizing_current, doubles)
    values[_OTHERS_AT] = [_write_option(option, doubles) for option in content.rightsizing_alternatives]
    listed = orjson.dumps(values, default=_write_plain, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    return Written(listed, struct.pack(f"<{len(doubles)}d", *doubles))


def content_bytes(content: RecommendationContent) -> bytes:
    """The content as it is kept."""
    return written(content).stored()


def _write_plain(value: object) -> object:
    """What orjson calls for what it does not know: the smaller objects of ours."""
    known = _PLAIN.get(type(value))
    if known is not None:
        return known(value)
    if type(value) is timedelta:
        return value // _MICROSECOND
    raise TypeError(f"no JSON form: {type(value).__name__}")


def _write_resource(resource: CloudResource) -> Sequence[Any]:
    values: Sequence[Any] = _RESOURCE(resource)
    if resource.start_time is None:
        return values
    changed = list(values)
    changed[_START_AT] = (resource.start_time - _EPOCH) // _MICROSECOND
    return changed


def _write_option(option: RightsizingOption | None, doubles: list[float]) -> list[Any] | None:
    """Its reasons go by name and its day by number; what is measured goes to the doubles."""
    if option is None:
        return None
    values: list[Any] = list(_OPTION(option))
    values[_REASONS_AT] = [reason._name_ for reason in option.reasons]
    values[_DAY_AT] = option.price_as_of.toordinal() - _FIRST_DAY
    values[_CAPACITY_AT] = _PLAIN[Capacity](option.capacity)
    told = values[_DIMENSIONS_AT] = []
    for projection in option.dimensions:
        doubles.extend(_PROJECTED(projection))
        test = _write_test(projection.back_test, doubles)
        told.append((projection.dimension._value_, test, projection.assumed))
    values[_TEST_AT] = _write_test(option.back_test, doubles)
    return values


def _write_test(test: BackTest | None, doubles: list[float]) -> tuple[int, int] | None:
    if test is None:
        return None
    doubles.extend(_TESTED(test))
    return test.windows, test.windows_exceeded


def read_content(data: bytes) -> RecommendationContent:
    """The content of `content_bytes`, of this and every earlier version. Raises ValueError for anything else."""
    try:
        if data[:1] == b"[":
            form, values = orjson.loads(data)
            doubles: Iterator[float] = iter(())
        else:
            form, number = _HEAD.unpack_from(data)
            begin = _HEAD.size + number * 8
            doubles = iter(struct.unpack_from(f"<{number}d", data, _HEAD.size))
            values = orjson.loads(zlib.decompressobj(-12, _WORDS).decompress(data[begin:]))
        read = _object(int(form), RecommendationContent, _FORMS[int(form)][RecommendationContent])
        return cast("RecommendationContent", read(values, doubles))
    except (TypeError, ValueError, KeyError, OverflowError, StopIteration, struct.error, zlib.error) as error:
        raise ValueError(f"not a recommendation's content: {error!r}") from error


_Reader = Callable[[Any, Iterator[float]], Any]
"""From a JSON value, and the doubles from the next one on."""


def _reader(form: int, annotation: Any) -> _Reader | None:  # noqa: ANN401 - an annotation
    """None where the JSON value is the value."""
    fields = _FORMS[form]
    if annotation in fields:
        return _object(form, annotation, fields[annotation])
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Union, UnionType}:
        inner = _reader(form, next(a for a in arguments if a is not NoneType))
        return inner and _optional(inner)
    if origin is tuple:
        return _tuple(form, arguments)
    if isinstance(annotation, type) and issubclass(annotation, Reason):
        return lambda value, _: annotation[value]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        members = {member.value: member for member in annotation}
        return lambda value, _: members[value]
    return _SCALARS.get(annotation)


def _optional(inner: _Reader) -> _Reader:
    return lambda value, doubles: None if value is None else inner(value, doubles)


@cache
def _object(form: int, cls: type, names: tuple[str, ...]) -> _Reader:
    hints = get_type_hints(cls)
    packed = _PACKED.get(cls, ()) if form == _DEFLATED else ()
    # Fields are given by name: a later form may order them differently.
    given, number, size = (*packed, *names), len(packed), len(names)
    readers = [(number + at, reader) for at, name in enumerate(names) if (reader := _reader(form, hints[name]))]

    def read(values: Any, doubles: Iterator[float]) -> Any:  # noqa: ANN401 - an object of `cls`
        if len(values) != size:
            raise ValueError(f"{len(values)} fields of {size}")
        found = [*islice(doubles, number), *values]
        for at, reader in readers:
            found[at] = reader(found[at], doubles)
        return cls(**dict(zip(given, found, strict=True)))

    return read


def _tuple(form: int, arguments: tuple[Any, ...]) -> _Reader:
    if arguments[1:] == (Ellipsis,):
        inner = _reader(form, arguments[0])
        if inner is None:
            return lambda values, _: tuple(values)
        return lambda values, doubles: tuple([inner(value, doubles) for value in values])
    inners = tuple(_reader(form, argument) or _as_is for argument in arguments)
    return lambda values, doubles: tuple([reader(value, doubles) for reader, value in zip(inners, values, strict=True)])


def _as_is(value: Any, _: Iterator[float]) -> Any:  # noqa: ANN401 - a JSON value
    return value


_SCALARS: Final[Mapping[type, _Reader]] = {
    date: lambda value, _: date.fromordinal(value + _FIRST_DAY),
    datetime: lambda value, _: _EPOCH + _MICROSECOND * value,
    timedelta: lambda value, _: _MICROSECOND * value,
}
