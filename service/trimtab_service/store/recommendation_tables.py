"""The tables of the lifecycle: recommendations, their transitions, and the journal of what was applied.

There is no table of changes: a row carries the number of its last change (`change`, one sequence a project), and who
watches reads the rows behind a number in that order. A recommendation that changed twice in between is seen once, as
it stands, with its whole history; nothing has to be pruned, and a watcher that was away for a year resumes.
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, Double, Index, Table, text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field

from trimtab_service.store.rows import METADATA, Row, bigint, binary, flag, instant, string


class Number(TypeDecorator[float]):
    """A double that filters may compare with the exact decimals of their text."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> float | None:  # noqa: ANN401, ARG002 - a number
        """What drivers take on both engines."""
        return None if value is None else float(value)


class RecommendationRow(Row, table=True):
    """A recommendation. `is_live`: its identity is taken; what has succeeded once gives it up for good."""

    __tablename__ = "recommendations"

    project: str = string(primary_key=True)
    recommendation_id: str = string(primary_key=True)
    identity: str = string()
    is_live: bool = flag()
    state: str = string()
    kind: str = string()
    priority: str = string()
    cloud: str = string()
    region: str = string()
    account: str = string()
    resource_id: str = string()
    workload_id: str = string()
    team: str = string()
    instance_type: str = string()
    exclusive_group: str = string()
    precedence: int = bigint()
    monthly_saving_micros: int = bigint()
    realized_monthly_saving_micros: int | None = bigint(nullable=True)
    risk: float = Field(sa_type=Number)
    create_time: datetime = instant()
    update_time: datetime = instant()
    refresh_time: datetime = instant()
    expire_time: datetime | None = instant(nullable=True)
    verify_time: datetime | None = instant(nullable=True)
    change: int = bigint()
    content_hash: str = string()
    content: bytes = binary()
    body: bytes = binary()


class RecommendationConfirmationRow(Row, table=True):
    """When a run last found it unchanged, and how long it lasts since. Of this and its own row the later time holds.

    Most of what a run finds is there already. Its row is wide, and twelve indexes are over it; this one is neither.
    """

    __tablename__ = "recommendation_confirmations"

    project: str = string(primary_key=True)
    recommendation_id: str = string(primary_key=True)
    refresh_time: datetime = instant()
    expire_time: datetime = instant()


class RecommendationChangeRow(Row, table=True):
    """The last number given in a project's sequence of changes."""

    __tablename__ = "recommendation_changes"

    project: str = string(primary_key=True)
    last: int = bigint()


class RecommendationTransitionRow(Row, table=True):
    """A change of state, numbered from 1 within its recommendation. The first, ADVISED, is `create_time` itself."""

    __tablename__ = "recommendation_transitions"

    project: str = string(primary_key=True)
    recommendation_id: str = string(primary_key=True)
    number: int = bigint(primary_key=True)
    time: datetime = instant()
    from_state: str = string()
    to_state: str = string()
    actor: str = string()
    reason: str = string()
    comment: str = string()


class RecommendationRunRow(Row, table=True):
    """One carrying out (or undoing) of a recommendation: whose, by which request, and how it ended."""

    __tablename__ = "recommendation_runs"

    project: str = string(primary_key=True)
    recommendation_id: str = string(primary_key=True)
    number: int = bigint(primary_key=True)
    request_id: str = string()
    body_hash: bytes = binary()
    is_rollback: bool = flag()
    actor: str = string()
    start_time: datetime = instant()
    end_time: datetime | None = instant(nullable=True)
    outcome: str = string()
    detail: str = string()
    plan: bytes = binary()


class RecommendationOperationRow(Row, table=True):
    """Journal of one operation, numbered from 1 within its recommendation; written before and after it is done."""

    __tablename__ = "recommendation_operations"

    project: str = string(primary_key=True)
    recommendation_id: str = string(primary_key=True)
    number: int = bigint(primary_key=True)
    run: int = bigint()
    operation: bytes = binary()
    start_time: datetime = instant()
    end_time: datetime | None = instant(nullable=True)
    outcome: str = string()
    detail: str = string()
    is_rollback: bool = flag()


class ResourceLeaseRow(Row, table=True):
    """Who changes a cloud resource, until when by the database's clock. `token` grows with every change of hands."""

    __tablename__ = "resource_leases"

    project: str = string(primary_key=True)
    resource_key: str = string(primary_key=True)
    token: int = bigint()
    holder: str = string()
    expire_time: datetime = instant()


RECOMMENDATIONS: Final[Table] = METADATA.tables["recommendations"]
RECOMMENDATION_CONFIRMATIONS: Final[Table] = METADATA.tables["recommendation_confirmations"]
RECOMMENDATION_CHANGES: Final[Table] = METADATA.tables["recommendation_changes"]
RECOMMENDATION_TRANSITIONS: Final[Table] = METADATA.tables["recommendation_transitions"]
RECOMMENDATION_RUNS: Final[Table] = METADATA.tables["recommendation_runs"]
RECOMMENDATION_OPERATIONS: Final[Table] = METADATA.tables["recommendation_operations"]
RESOURCE_LEASES: Final[Table] = METADATA.tables["resource_leases"]

_R: Final = RECOMMENDATIONS.c


def _partial(name: str, condition: str, *columns: Column[Any], unique: bool = False) -> None:
    """An index over the rows of a condition only."""
    where = text(condition)
    # SQLite uses such an index only where a query says the same, and has no booleans to say it with.
    plain = text(f"{condition} = 1") if condition == "is_live" else where
    Index(name, *columns, unique=unique, sqlite_where=plain, postgresql_where=where)


# One lookup finds what is known of a resource and what it excludes: an identity determines its group.
_partial("recommendations_by_identity", "is_live", _R.project, _R.exclusive_group, _R.identity, unique=True)
# The orders of the list, in both directions. Ids are of the time of making, so the primary key is the order of
# create_time; numbers of changes are given in the order of update_time. Every index is a tenth of what a run costs.
Index("recommendations_by_change", _R.project, _R.change)
Index("recommendations_by_saving", _R.project, _R.monthly_saving_micros, _R.recommendation_id)
Index("recommendations_by_priority", _R.project, _R.priority, _R.recommendation_id)
# What lists are narrowed by, in the order of making. Rows of the commonest value are in none: they are soon found.
_partial("recommendations_by_other_state", "state <> 'active'", _R.project, _R.state, _R.recommendation_id)
_partial("recommendations_by_other_kind", "kind <> 'rightsize'", _R.project, _R.kind, _R.recommendation_id)
_partial("recommendations_by_team", "team <> ''", _R.project, _R.team, _R.recommendation_id)
Index("recommendations_by_cloud", _R.project, _R.cloud, _R.recommendation_id)
Index("recommendations_by_resource", _R.project, _R.resource_id, _R.recommendation_id)
Index("recommendations_by_update_time", _R.project, _R.update_time, _R.recommendation_id)
# All that totals are made of, so that rows need not be read for them.
Index(
    "recommendations_by_total",
    *(_R.project, _R.team, _R.state, _R.kind, _R.cloud, _R.account),
    *(_R.monthly_saving_micros, _R.realized_monthly_saving_micros),
)
_partial("recommendations_by_expiry", "expire_time IS NOT NULL", _R.expire_time)
_partial("recommendations_by_verification", "verify_time IS NOT NULL", _R.verify_time)
Index(
    "recommendation_runs_by_request",
    RECOMMENDATION_RUNS.c.project,
    RECOMMENDATION_RUNS.c.request_id,
    unique=True,
)
_partial("recommendation_runs_under_way", "end_time IS NULL", RECOMMENDATION_RUNS.c.start_time)
