"""The tables of the lifecycle: recommendations, their transitions, and the journal of what was applied.

There is no table of changes: a row carries the number of its last change (`change`, one sequence a project), and who
watches reads the rows behind a number in that order. A recommendation that changed twice in between is seen once, as
it stands, with its whole history; nothing has to be pruned, and a watcher that was away for a year resumes.
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, LargeBinary, Table, text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field

from trimtab_service.store.columns import Name, UtcTimestamp
from trimtab_service.store.tables import METADATA, Row


class Number(TypeDecorator[float]):
    """A double that filters may compare with the exact decimals of their text."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> float | None:  # noqa: ANN401, ARG002 - a number
        """What drivers take on both engines."""
        return None if value is None else float(value)


def _name(**options: Any) -> Any:  # noqa: ANN401 - what SQLModel's Field itself takes and gives
    return Field(sa_type=Name, **options)


def _instant(**options: Any) -> Any:  # noqa: ANN401
    return Field(sa_type=UtcTimestamp, **options)


def _bigint(**options: Any) -> Any:  # noqa: ANN401
    return Field(sa_type=BigInteger, **options)


def _bytes(**options: Any) -> Any:  # noqa: ANN401
    return Field(sa_type=LargeBinary, **options)


class RecommendationRow(Row, table=True):
    """A recommendation. `is_live`: its identity is taken; what has succeeded once gives it up for good."""

    __tablename__ = "recommendations"

    project: str = _name(primary_key=True)
    recommendation_id: str = _name(primary_key=True)
    identity: str = _name()
    is_live: bool = Field(sa_type=Boolean)
    state: str = _name()
    kind: str = _name()
    priority: str = _name()
    cloud: str = _name()
    region: str = _name()
    account: str = _name()
    resource_id: str = _name()
    workload_id: str = _name()
    team: str = _name()
    instance_type: str = _name()
    exclusive_group: str = _name()
    precedence: int = _bigint()
    monthly_saving_micros: int = _bigint()
    realized_monthly_saving_micros: int | None = _bigint(nullable=True)
    risk: float = Field(sa_type=Number)
    create_time: datetime = _instant()
    update_time: datetime = _instant()
    refresh_time: datetime = _instant()
    expire_time: datetime | None = _instant(nullable=True)
    verify_time: datetime | None = _instant(nullable=True)
    change: int = _bigint()
    content_hash: str = _name()
    content: bytes = _bytes()
    body: bytes = _bytes()


class RecommendationChangeRow(Row, table=True):
    """The last number given in a project's sequence of changes."""

    __tablename__ = "recommendation_changes"

    project: str = _name(primary_key=True)
    last: int = _bigint()


class RecommendationTransitionRow(Row, table=True):
    """A change of state, numbered from 1 within its recommendation. The first, ADVISED, is `create_time` itself."""

    __tablename__ = "recommendation_transitions"

    project: str = _name(primary_key=True)
    recommendation_id: str = _name(primary_key=True)
    number: int = _bigint(primary_key=True)
    time: datetime = _instant()
    from_state: str = _name()
    to_state: str = _name()
    actor: str = _name()
    reason: str = _name()
    comment: str = _name()


class RecommendationRunRow(Row, table=True):
    """One carrying out (or undoing) of a recommendation: whose, by which request, and how it ended."""

    __tablename__ = "recommendation_runs"

    project: str = _name(primary_key=True)
    recommendation_id: str = _name(primary_key=True)
    number: int = _bigint(primary_key=True)
    request_id: str = _name()
    body_hash: bytes = _bytes()
    is_rollback: bool = Field(sa_type=Boolean)
    actor: str = _name()
    start_time: datetime = _instant()
    end_time: datetime | None = _instant(nullable=True)
    outcome: str = _name()
    detail: str = _name()
    plan: bytes = _bytes()


class RecommendationOperationRow(Row, table=True):
    """Journal of one operation, numbered from 1 within its recommendation; written before and after it is done."""

    __tablename__ = "recommendation_operations"

    project: str = _name(primary_key=True)
    recommendation_id: str = _name(primary_key=True)
    number: int = _bigint(primary_key=True)
    run: int = _bigint()
    operation: bytes = _bytes()
    start_time: datetime = _instant()
    end_time: datetime | None = _instant(nullable=True)
    outcome: str = _name()
    detail: str = _name()
    is_rollback: bool = Field(sa_type=Boolean)


class ResourceLeaseRow(Row, table=True):
    """Who changes a cloud resource, until when by the database's clock. `token` grows with every change of hands."""

    __tablename__ = "resource_leases"

    project: str = _name(primary_key=True)
    resource_key: str = _name(primary_key=True)
    token: int = _bigint()
    holder: str = _name()
    expire_time: datetime = _instant()


RECOMMENDATIONS: Final[Table] = METADATA.tables["recommendations"]
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
Index("recommendations_by_state", _R.project, _R.state, _R.recommendation_id)
_partial("recommendations_by_expiry", "expire_time IS NOT NULL", _R.expire_time)
_partial("recommendations_by_verification", "verify_time IS NOT NULL", _R.verify_time)
Index(
    "recommendation_runs_by_request",
    RECOMMENDATION_RUNS.c.project,
    RECOMMENDATION_RUNS.c.request_id,
    unique=True,
)
_partial("recommendation_runs_under_way", "end_time IS NULL", RECOMMENDATION_RUNS.c.start_time)
