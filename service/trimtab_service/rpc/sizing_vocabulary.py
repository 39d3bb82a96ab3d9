"""How the enums of rightsizing read in the domain, and back. The members carry the same names on both sides."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar

from trimtab.v1 import rightsizing_pb2 as pb
from trimtab.v1 import rightsizing_service_pb2 as service_pb
from trimtab_service.domain.dimensions import Dimension, Metric, Statistic, Unit
from trimtab_service.domain.resources import ResourceKind
from trimtab_service.domain.rightsizing import Action, Finding, MigrationEffort
from trimtab_service.rightsizing.ports import SourceKind

E = TypeVar("E", bound=StrEnum)


def _codes(scope: object, prefix: str, members: Iterable[E]) -> Mapping[E, Any]:
    """Each member's number in the contract. Raises AttributeError when the contract lacks one."""
    return {member: getattr(scope, f"{prefix}_{member.name}") for member in members}


def _members(codes: Mapping[E, int]) -> Mapping[int, E]:
    return {code: member for member, code in codes.items()}


DIMENSION_CODE: Final["Mapping[Dimension, pb.Dimension.ValueType]"] = _codes(pb, "DIMENSION", Dimension)
DIMENSION_OF: Final[Mapping[int, Dimension]] = _members(DIMENSION_CODE)

METRIC_CODE: Final["Mapping[Metric, pb.Metric.ValueType]"] = _codes(pb, "METRIC", Metric)
METRIC_OF: Final[Mapping[int, Metric]] = _members(METRIC_CODE)

UNIT_CODE: Final["Mapping[Unit, pb.Unit.ValueType]"] = _codes(pb, "UNIT", Unit)
UNIT_OF: Final[Mapping[int, Unit]] = _members(UNIT_CODE)

STATISTIC_CODE: Final["Mapping[Statistic, pb.Statistic.ValueType]"] = _codes(pb, "STATISTIC", Statistic)
STATISTIC_OF: Final[Mapping[int, Statistic]] = _members(STATISTIC_CODE)

RESOURCE_KIND_CODE: Final["Mapping[ResourceKind, pb.CloudResource.Kind.ValueType]"] = _codes(
    pb.CloudResource, "KIND", ResourceKind
)
RESOURCE_KIND_OF: Final[Mapping[int, ResourceKind]] = _members(RESOURCE_KIND_CODE)

ACTION_CODE: Final["Mapping[Action, pb.RightsizingOption.Action.ValueType]"] = _codes(
    pb.RightsizingOption, "ACTION", Action
)

EFFORT_CODE: Final["Mapping[MigrationEffort, pb.MigrationEffort.ValueType]"] = _codes(
    pb, "MIGRATION_EFFORT", MigrationEffort
)

FINDING_CODE: Final["Mapping[Finding, service_pb.RightsizingAdvice.Finding.ValueType]"] = _codes(
    service_pb.RightsizingAdvice, "FINDING", Finding
)
FINDING_OF: Final[Mapping[int, Finding]] = _members(FINDING_CODE)

SOURCE_KIND_CODE: Final["Mapping[SourceKind, service_pb.TelemetrySource.Kind.ValueType]"] = _codes(
    service_pb.TelemetrySource, "KIND", SourceKind
)
