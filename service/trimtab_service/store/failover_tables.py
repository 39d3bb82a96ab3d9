"""The tables of failover: plans and their versions, services, runs, their steps, events and approvals.

A service's row says which run is under way and which fencing token was given out last; a run's row says who works on it
until when by the database's clock. Events are only ever inserted.
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Index, LargeBinary, Table, text
from sqlmodel import Field

from trimtab_service.store.columns import Name, UtcTimestamp
from trimtab_service.store.tables import METADATA, Row


def _name(**options: Any) -> Any:  # noqa: ANN401 - what SQLModel's Field itself takes and gives
    return Field(sa_type=Name, **options)


def _instant(**options: Any) -> Any:  # noqa: ANN401
    return Field(sa_type=UtcTimestamp, **options)


def _bigint(**options: Any) -> Any:  # noqa: ANN401
    return Field(sa_type=BigInteger, **options)


def _bytes(**options: Any) -> Any:  # noqa: ANN401
    return Field(sa_type=LargeBinary, **options)


def _flag() -> Any:  # noqa: ANN401
    return Field(sa_type=Boolean)


class FailoverPlanRow(Row, table=True):
    """A plan as it is now (`store.resources`)."""

    __tablename__ = "failover_plans"

    parent: str = _name(primary_key=True)
    id: str = _name(primary_key=True)
    version: int = _bigint()
    revision: int = _bigint()
    etag: str = _name()
    create_time: datetime = _instant()
    update_time: datetime = _instant()
    body: bytes = _bytes()
    service_id: str = _name()


class FailoverPlanVersionRow(Row, table=True):
    """A plan as it was from `revision` on; a deletion is a version too."""

    __tablename__ = "failover_plan_versions"

    parent: str = _name(primary_key=True)
    id: str = _name(primary_key=True)
    revision: int = _bigint(primary_key=True)
    version: int = _bigint()
    etag: str = _name()
    create_time: datetime = _instant()
    update_time: datetime = _instant()
    body: bytes = _bytes()
    deleted: bool = _flag()


class FailoverServiceRow(Row, table=True):
    """What is known of a service across its runs. `live_run` is empty while none is under way."""

    __tablename__ = "failover_services"

    project: str = _name(primary_key=True)
    service_id: str = _name(primary_key=True)
    token: int = _bigint()
    live_run: str = _name()
    live_trigger: str = _name()
    active_side: str = _name()
    left_side: str = _name()
    end_time: datetime | None = _instant(nullable=True)


class FailoverRunRow(Row, table=True):
    """A run, and who works on it until when."""

    __tablename__ = "failover_runs"

    project: str = _name(primary_key=True)
    run_id: str = _name(primary_key=True)
    plan_id: str = _name()
    plan_version: int = _bigint()
    plan_revision: int = _bigint()
    plan_hash: str = _name()
    service_id: str = _name()
    parent_run: str = _name()
    kind: str = _name()
    mode: str = _name()
    trigger: str = _name()
    from_side: str = _name()
    to_side: str = _name()
    started_by: str = _name()
    override_reason: str = _name()
    state: str = _name()
    reason: str = _name()
    create_time: datetime = _instant()
    update_time: datetime = _instant()
    end_time: datetime | None = _instant(nullable=True)
    version: int = _bigint()
    token: int = _bigint()
    lease_owner: str = _name()
    lease_until: datetime = _instant()
    wake_time: datetime | None = _instant(nullable=True)
    event_sequence: int = _bigint()
    chain_hash: str = _name()
    actual_rto_micros: int | None = _bigint(nullable=True)
    actual_rpo_micros: int | None = _bigint(nullable=True)


class FailoverStepRow(Row, table=True):
    """A step of a run; `position` counts from 0 in the order of the plan."""

    __tablename__ = "failover_steps"

    project: str = _name(primary_key=True)
    run_id: str = _name(primary_key=True)
    position: int = _bigint(primary_key=True)
    step_id: str = _name()
    stage: int = _bigint()
    kind: str = _name()
    graceful_only: bool = _flag()
    four_eyes: bool = _flag()
    approval_for_micros: int | None = _bigint(nullable=True)
    state: str = _name()
    attempts: int = _bigint()
    begin_time: datetime | None = _instant(nullable=True)
    attempt_time: datetime | None = _instant(nullable=True)
    done_time: datetime | None = _instant(nullable=True)
    expire_time: datetime | None = _instant(nullable=True)
    detail: str = _name()
    actor: str = _name()
    is_exception: bool = _flag()
    is_undoing: bool = _flag()
    needs_person: bool = _flag()
    memo: bytes = _bytes()


class FailoverEventRow(Row, table=True):
    """A link of a run's chain (`failover.chain`)."""

    __tablename__ = "failover_events"

    project: str = _name(primary_key=True)
    run_id: str = _name(primary_key=True)
    sequence: int = _bigint(primary_key=True)
    time: datetime = _instant()
    kind: str = _name()
    step_id: str = _name()
    actor: str = _name()
    detail: str = _name()
    body: bytes = _bytes()
    hash: str = _name()


class FailoverApprovalRow(Row, table=True):
    """What a person said about one attempt of one step. The key makes it good once."""

    __tablename__ = "failover_approvals"

    project: str = _name(primary_key=True)
    run_id: str = _name(primary_key=True)
    step_id: str = _name(primary_key=True)
    attempt: int = _bigint(primary_key=True)
    approved: bool = _flag()
    actor: str = _name()
    comment: str = _name()
    plan_hash: str = _name()
    create_time: datetime = _instant()


FAILOVER_PLANS: Final[Table] = METADATA.tables["failover_plans"]
FAILOVER_PLAN_VERSIONS: Final[Table] = METADATA.tables["failover_plan_versions"]
FAILOVER_SERVICES: Final[Table] = METADATA.tables["failover_services"]
FAILOVER_RUNS: Final[Table] = METADATA.tables["failover_runs"]
FAILOVER_STEPS: Final[Table] = METADATA.tables["failover_steps"]
FAILOVER_EVENTS: Final[Table] = METADATA.tables["failover_events"]
FAILOVER_APPROVALS: Final[Table] = METADATA.tables["failover_approvals"]

_UNDER_WAY: Final = text("end_time IS NULL")

Index("failover_plans_by_time", FAILOVER_PLANS.c.parent, FAILOVER_PLANS.c.create_time, FAILOVER_PLANS.c.id)
Index("failover_runs_by_time", FAILOVER_RUNS.c.project, FAILOVER_RUNS.c.create_time, FAILOVER_RUNS.c.run_id)
Index(
    "failover_runs_under_way",
    FAILOVER_RUNS.c.lease_until,
    sqlite_where=_UNDER_WAY,
    postgresql_where=_UNDER_WAY,
)
