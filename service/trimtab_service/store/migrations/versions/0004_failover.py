"""Failover plans, services, runs, steps, events and approvals."""

import sqlalchemy as sa
from alembic import op

from trimtab_service.store.columns import Name, UtcTimestamp

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_UNDER_WAY = sa.text("end_time IS NULL")


def upgrade() -> None:
    """Create everything."""
    _create_plans()
    _create_services()
    _create_runs()
    _create_steps()
    _create_events()


def _create_plans() -> None:
    op.create_table(
        "failover_plans",
        *_keys("parent", "id"),
        _bigint("version"),
        _bigint("revision"),
        *_resource(),
        _name("service_id"),
    )
    op.create_index("failover_plans_by_time", "failover_plans", ["parent", "create_time", "id"])
    op.create_table(
        "failover_plan_versions",
        *_keys("parent", "id"),
        sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
        _bigint("version"),
        *_resource(),
        _flag("deleted"),
    )


def _create_services() -> None:
    op.create_table(
        "failover_services",
        *_keys("project", "service_id"),
        _bigint("token"),
        *(_name(name) for name in ("live_run", "live_trigger", "active_side", "left_side")),
        _maybe("end_time"),
    )


def _create_runs() -> None:
    op.create_table(
        "failover_runs",
        *_keys("project", "run_id"),
        _name("plan_id"),
        _bigint("plan_version"),
        _bigint("plan_revision"),
        *(
            _name(name)
            for name in (
                "plan_hash",
                "service_id",
                "parent_run",
                "kind",
                "mode",
                "trigger",
                "from_side",
                "to_side",
                "started_by",
                "override_reason",
                "state",
                "reason",
            )
        ),
        _instant("create_time"),
        _instant("update_time"),
        _maybe("end_time"),
        _bigint("version"),
        _bigint("token"),
        _name("lease_owner"),
        _instant("lease_until"),
        _maybe("wake_time"),
        _bigint("event_sequence"),
        _name("chain_hash"),
        sa.Column("actual_rto_micros", sa.BigInteger, nullable=True),
        sa.Column("actual_rpo_micros", sa.BigInteger, nullable=True),
    )
    op.create_index("failover_runs_by_time", "failover_runs", ["project", "create_time", "run_id"])
    op.create_index(
        "failover_runs_under_way",
        "failover_runs",
        ["lease_until"],
        sqlite_where=_UNDER_WAY,
        postgresql_where=_UNDER_WAY,
    )


def _create_steps() -> None:
    op.create_table(
        "failover_steps",
        *_keys("project", "run_id"),
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        _name("step_id"),
        _bigint("stage"),
        _name("kind"),
        _flag("graceful_only"),
        _flag("four_eyes"),
        sa.Column("approval_for_micros", sa.BigInteger, nullable=True),
        _name("state"),
        _bigint("attempts"),
        *(_maybe(name) for name in ("begin_time", "attempt_time", "done_time", "expire_time")),
        _name("detail"),
        _name("actor"),
        *(_flag(name) for name in ("is_exception", "is_undoing", "needs_person")),
        _bytes("memo"),
    )


def _create_events() -> None:
    op.create_table(
        "failover_events",
        *_keys("project", "run_id"),
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        _instant("time"),
        *(_name(name) for name in ("kind", "step_id", "actor", "detail")),
        _bytes("body"),
        _name("hash"),
    )
    op.create_table(
        "failover_approvals",
        *_keys("project", "run_id", "step_id"),
        sa.Column("attempt", sa.BigInteger, primary_key=True, autoincrement=False),
        _flag("approved"),
        *(_name(name) for name in ("actor", "comment", "plan_hash")),
        _instant("create_time"),
    )


def _resource() -> list[sa.Column[object]]:
    return [_name("etag"), _instant("create_time"), _instant("update_time"), _bytes("body")]


def _keys(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, Name, primary_key=True) for name in names]


def _name(name: str) -> sa.Column[object]:
    return sa.Column(name, Name, nullable=False)


def _bigint(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _flag(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Boolean, nullable=False)


def _bytes(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.LargeBinary, nullable=False)


def _instant(name: str) -> sa.Column[object]:
    return sa.Column(name, UtcTimestamp, nullable=False)


def _maybe(name: str) -> sa.Column[object]:
    return sa.Column(name, UtcTimestamp, nullable=True)
