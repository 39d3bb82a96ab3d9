"""Resource names of the contract: parsed strictly, made in one place."""

import re
from typing import Final

from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.reasons import ErrorReason

_ID: Final = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PROJECT: Final = re.compile(rf"projects/({_ID})\Z")
_DECISION: Final = re.compile(rf"projects/({_ID})/decisions/({_ID})\Z")
_COMMITMENT: Final = re.compile(rf"projects/({_ID})/commitments/({_ID})\Z")
_FLEET_ANALYSIS: Final = re.compile(rf"projects/({_ID})/fleetAnalyses/({_ID})\Z")
_RECOMMENDATION: Final = re.compile(rf"projects/({_ID})/recommendations/({_ID})\Z")
_FAILOVER_PLAN: Final = re.compile(rf"projects/({_ID})/failoverPlans/({_ID})\Z")
_FAILOVER_RUN: Final = re.compile(rf"projects/({_ID})/failoverRuns/({_ID})\Z")
_REPLICATION: Final = re.compile(rf"projects/({_ID})/replications/({_ID})\Z")
_POLICY: Final = re.compile(rf"(?:(projects/{_ID}(?:/workloads/[a-z0-9-]{{1,128}})?)/)?policies/({_ID})\Z")
_POLICY_PARENT: Final = re.compile(rf"(?:projects/{_ID}(?:/workloads/[a-z0-9-]{{1,128}})?)?\Z")
_CATALOG: Final = re.compile(r"catalogs/([a-z0-9-]{1,128})\Z")
_RESOURCE_ID: Final = re.compile(rf"{_ID}\Z")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")


def project_id(name: str, field: str = "parent") -> str:
    """The id in `projects/{project}`. Raises InvalidArgumentError, as all here do."""
    return _groups(_PROJECT, name, field, "projects/{project}")[0]


def decision(name: str, field: str = "name") -> tuple[str, str]:
    """Project and decision ids."""
    project, own = _groups(_DECISION, name, field, "projects/{project}/decisions/{decision}")
    return project, own


def commitment(name: str, field: str = "name") -> tuple[str, str]:
    """Project and commitment ids."""
    project, own = _groups(_COMMITMENT, name, field, "projects/{project}/commitments/{commitment}")
    return project, own


def fleet_analysis(name: str, field: str = "name") -> tuple[str, str]:
    """Project and fleet analysis ids."""
    shape = "projects/{project}/fleetAnalyses/{fleet_analysis}"
    project, own = _groups(_FLEET_ANALYSIS, name, field, shape)
    return project, own


def recommendation(name: str, field: str = "name") -> tuple[str, str]:
    """Project and recommendation ids."""
    project, own = _groups(_RECOMMENDATION, name, field, "projects/{project}/recommendations/{recommendation}")
    return project, own


def failover_plan(name: str, field: str = "name") -> tuple[str, str]:
    """Project and failover plan ids."""
    project, own = _groups(_FAILOVER_PLAN, name, field, "projects/{project}/failoverPlans/{failover_plan}")
    return project, own


def failover_run(name: str, field: str = "name") -> tuple[str, str]:
    """Project and failover run ids."""
    project, own = _groups(_FAILOVER_RUN, name, field, "projects/{project}/failoverRuns/{failover_run}")
    return project, own


def replication(name: str, field: str = "name") -> tuple[str, str]:
    """Project and replication ids."""
    project, own = _groups(_REPLICATION, name, field, "projects/{project}/replications/{replication}")
    return project, own


def policy(name: str, field: str = "name") -> tuple[str, str]:
    """Parent (empty for the deployment) and policy id."""
    parent, own = _groups(_POLICY, name, field, "[projects/{project}/[workloads/{workload}/]]policies/{policy}")
    return parent or "", own


def policy_parent(parent: str) -> str:
    """A level of policies as it is written: empty, a project, or a workload of one."""
    if not _POLICY_PARENT.match(parent):
        raise _bad("parent", "empty, projects/{project} or projects/{project}/workloads/{workload}")
    return parent


def catalog(name: str, field: str = "name") -> str:
    """The version in `catalogs/{version}`; `current` is one."""
    return _groups(_CATALOG, name, field, "catalogs/{version} or catalogs/current")[0]


def resource_id(value: str, field: str) -> str:
    """An id that a caller chose: 1 to 63 of a-z, 0-9 and -, not beginning or ending with -."""
    if not _RESOURCE_ID.match(value):
        reason = ErrorReason.BAD_FORMAT if value else ErrorReason.FIELD_REQUIRED
        raise InvalidArgumentError([Violation(field, reason, "must be 1 to 63 of a-z, 0-9 and -, not at the ends")])
    return value


def request_id(value: str, field: str = "request_id", *, required: bool = False) -> str:
    """A UUID, or empty where none is required."""
    if (value or required) and not _UUID.match(value):
        reason = ErrorReason.BAD_FORMAT if value else ErrorReason.FIELD_REQUIRED
        raise InvalidArgumentError([Violation(field, reason, "must be a UUID")])
    return value.lower()


def _groups(pattern: re.Pattern[str], name: str, field: str, shape: str) -> tuple[str, ...]:
    found = pattern.match(name)
    if found is None:
        raise _bad(field, shape, missing=not name)
    return found.groups()


def _bad(field: str, shape: str, *, missing: bool = False) -> InvalidArgumentError:
    reason = ErrorReason.FIELD_REQUIRED if missing else ErrorReason.BAD_FORMAT
    return InvalidArgumentError([Violation(field, reason, f"must be {shape}")])
