"""The tables of failover: plans, services, runs with their steps, events and approvals, and what observers said.

A service's row says which run is under way and which fencing token was given out last; a run's row says who works on it
until when by the database's clock. Events are only ever inserted.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import Index, Table, text

from trimtab_service.store.rows import (
    METADATA,
    ResourceRow,
    ResourceVersionRow,
    Row,
    bigint,
    binary,
    flag,
    instant,
    string,
)


class FailoverPlanRow(ResourceRow, table=True):
    """A plan as it is now (`store.resources`)."""

    __tablename__ = "failover_plans"

    service_id: str = string()


class FailoverPlanVersionRow(ResourceVersionRow, table=True):
    """A plan as it was from `revision` on; a deletion is a version too."""

    __tablename__ = "failover_plan_versions"


class FailoverServiceRow(Row, table=True):
    """What is known of a service across its runs. `live_run` is empty while none is under way."""

    __tablename__ = "failover_services"

    project: str = string(primary_key=True)
    service_id: str = string(primary_key=True)
    token: int = bigint()
    live_run: str = string()
    live_trigger: str = string()
    active_side: str = string()
    left_side: str = string()
    end_time: datetime | None = instant(nullable=True)


class FailoverRunRow(Row, table=True):
    """A run, and who works on it until when."""

    __tablename__ = "failover_runs"

    project: str = string(primary_key=True)
    run_id: str = string(primary_key=True)
    plan_id: str = string()
    plan_version: int = bigint()
    plan_revision: int = bigint()
    plan_hash: str = string()
    service_id: str = string()
    parent_run: str = string()
    kind: str = string()
    mode: str = string()
    trigger: str = string()
    from_side: str = string()
    to_side: str = string()
    started_by: str = string()
    override_reason: str = string()
    state: str = string()
    reason: str = string()
    create_time: datetime = instant()
    update_time: datetime = instant()
    end_time: datetime | None = instant(nullable=True)
    version: int = bigint()
    token: int = bigint()
    lease_owner: str = string()
    lease_until: datetime = instant()
    wake_time: datetime | None = instant(nullable=True)
    event_sequence: int = bigint()
    chain_hash: str = string()
    actual_rto_micros: int | None = bigint(nullable=True)
    actual_rpo_micros: int | None = bigint(nullable=True)


class FailoverStepRow(Row, table=True):
    """A step of a run; `position` counts from 0 in the order of the plan."""

    __tablename__ = "failover_steps"

    project: str = string(primary_key=True)
    run_id: str = string(primary_key=True)
    position: int = bigint(primary_key=True)
    step_id: str = string()
    stage: int = bigint()
    kind: str = string()
    graceful_only: bool = flag()
    four_eyes: bool = flag()
    approval_for_micros: int | None = bigint(nullable=True)
    state: str = string()
    attempts: int = bigint()
    begin_time: datetime | None = instant(nullable=True)
    attempt_time: datetime | None = instant(nullable=True)
    done_time: datetime | None = instant(nullable=True)
    expire_time: datetime | None = instant(nullable=True)
    detail: str = string()
    actor: str = string()
    is_exception: bool = flag()
    is_undoing: bool = flag()
    needs_person: bool = flag()
    memo: bytes = binary()


class FailoverEventRow(Row, table=True):
    """A link of a run's chain (`failover.chain`)."""

    __tablename__ = "failover_events"

    project: str = string(primary_key=True)
    run_id: str = string(primary_key=True)
    sequence: int = bigint(primary_key=True)
    time: datetime = instant()
    kind: str = string()
    step_id: str = string()
    actor: str = string()
    detail: str = string()
    body: bytes = binary()
    hash: str = string()


class FailoverApprovalRow(Row, table=True):
    """What a person said about one attempt of one step. The key makes it good once."""

    __tablename__ = "failover_approvals"

    project: str = string(primary_key=True)
    run_id: str = string(primary_key=True)
    step_id: str = string(primary_key=True)
    attempt: int = bigint(primary_key=True)
    approved: bool = flag()
    actor: str = string()
    comment: str = string()
    plan_hash: str = string()
    create_time: datetime = instant()


class FailoverReportRow(Row, table=True):
    """The words of one observer about every side (`store.failover_reports`)."""

    __tablename__ = "failover_reports"

    project: str = string(primary_key=True)
    plan_id: str = string(primary_key=True)
    observer_id: str = string(primary_key=True)
    update_time: datetime = instant()
    body: str = string()


class FailoverDutyRow(Row, table=True):
    """Something done for the whole deployment by one process at a time (`store.failover_duties`)."""

    __tablename__ = "failover_duties"

    duty: str = string(primary_key=True)
    owner: str = string()
    until: datetime = instant()


class FailoverEvaluationRow(Row, table=True):
    """How the targets of a plan stood when they were read last (`store.failover_evaluations`)."""

    __tablename__ = "failover_evaluations"

    parent: str = string(primary_key=True)
    plan_id: str = string(primary_key=True)
    etag: str = string()
    read_time: datetime = instant()
    errors: int = bigint()
    warnings: int = bigint()
    findings: str = string()
    survey: bytes = binary()


FAILOVER_PLANS: Final[Table] = METADATA.tables["failover_plans"]
FAILOVER_PLAN_VERSIONS: Final[Table] = METADATA.tables["failover_plan_versions"]
FAILOVER_SERVICES: Final[Table] = METADATA.tables["failover_services"]
FAILOVER_RUNS: Final[Table] = METADATA.tables["failover_runs"]
FAILOVER_STEPS: Final[Table] = METADATA.tables["failover_steps"]
FAILOVER_EVENTS: Final[Table] = METADATA.tables["failover_events"]
FAILOVER_APPROVALS: Final[Table] = METADATA.tables["failover_approvals"]
FAILOVER_REPORTS: Final[Table] = METADATA.tables["failover_reports"]
FAILOVER_DUTIES: Final[Table] = METADATA.tables["failover_duties"]
FAILOVER_EVALUATIONS: Final[Table] = METADATA.tables["failover_evaluations"]

_UNDER_WAY: Final = text("end_time IS NULL")

Index("failover_plans_by_time", FAILOVER_PLANS.c.parent, FAILOVER_PLANS.c.create_time, FAILOVER_PLANS.c.id)
Index("failover_runs_by_time", FAILOVER_RUNS.c.project, FAILOVER_RUNS.c.create_time, FAILOVER_RUNS.c.run_id)
Index(
    "failover_runs_under_way",
    FAILOVER_RUNS.c.lease_until,
    sqlite_where=_UNDER_WAY,
    postgresql_where=_UNDER_WAY,
)
