"""Recommendations, their transitions, what was applied, and who changes which cloud resource."""

import sqlalchemy as sa
from alembic import op

from trimtab_service.store.columns import Name, UtcTimestamp

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_LIVE = sa.text("is_live")
_DUE = sa.text("expire_time IS NOT NULL")
_TO_VERIFY = sa.text("verify_time IS NOT NULL")
_UNDER_WAY = sa.text("end_time IS NULL")


def upgrade() -> None:
    """Create everything."""
    _create_recommendations()
    _create_history()
    _create_journal()


def _create_recommendations() -> None:
    table = "recommendations"
    op.create_table(
        table,
        sa.Column("project", Name, primary_key=True),
        sa.Column("recommendation_id", Name, primary_key=True),
        sa.Column("identity", Name, nullable=False),
        sa.Column("is_live", sa.Boolean, nullable=False),
        *(
            sa.Column(name, Name, nullable=False)
            for name in (
                "state",
                "kind",
                "priority",
                "cloud",
                "region",
                "account",
                "resource_id",
                "workload_id",
                "team",
                "instance_type",
                "exclusive_group",
            )
        ),
        sa.Column("precedence", sa.BigInteger, nullable=False),
        sa.Column("monthly_saving_micros", sa.BigInteger, nullable=False),
        sa.Column("realized_monthly_saving_micros", sa.BigInteger, nullable=True),
        sa.Column("risk", sa.Double, nullable=False),
        sa.Column("create_time", UtcTimestamp, nullable=False),
        sa.Column("update_time", UtcTimestamp, nullable=False),
        sa.Column("refresh_time", UtcTimestamp, nullable=False),
        sa.Column("expire_time", UtcTimestamp, nullable=True),
        sa.Column("verify_time", UtcTimestamp, nullable=True),
        sa.Column("change", sa.BigInteger, nullable=False),
        sa.Column("content_hash", Name, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index(
        "recommendations_by_identity",
        table,
        ["project", "exclusive_group", "identity"],
        unique=True,
        sqlite_where=sa.text("is_live = 1"),
        postgresql_where=_LIVE,
    )
    op.create_index("recommendations_by_change", table, ["project", "change"])
    for name, column in (("saving", "monthly_saving_micros"), ("priority", "priority"), ("state", "state")):
        op.create_index(f"recommendations_by_{name}", table, ["project", column, "recommendation_id"])
    op.create_index("recommendations_by_expiry", table, ["expire_time"], sqlite_where=_DUE, postgresql_where=_DUE)
    op.create_index(
        "recommendations_by_verification",
        table,
        ["verify_time"],
        sqlite_where=_TO_VERIFY,
        postgresql_where=_TO_VERIFY,
    )


def _create_history() -> None:
    op.create_table(
        "recommendation_changes",
        sa.Column("project", Name, primary_key=True),
        sa.Column("last", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "recommendation_transitions",
        *_numbered(),
        sa.Column("time", UtcTimestamp, nullable=False),
        *(sa.Column(name, Name, nullable=False) for name in ("from_state", "to_state", "actor", "reason", "comment")),
    )


def _create_journal() -> None:
    op.create_table(
        "recommendation_runs",
        *_numbered(),
        sa.Column("request_id", Name, nullable=False),
        sa.Column("body_hash", sa.LargeBinary, nullable=False),
        sa.Column("is_rollback", sa.Boolean, nullable=False),
        sa.Column("actor", Name, nullable=False),
        sa.Column("start_time", UtcTimestamp, nullable=False),
        sa.Column("end_time", UtcTimestamp, nullable=True),
        sa.Column("outcome", Name, nullable=False),
        sa.Column("detail", Name, nullable=False),
        sa.Column("plan", sa.LargeBinary, nullable=False),
    )
    op.create_index("recommendation_runs_by_request", "recommendation_runs", ["project", "request_id"], unique=True)
    op.create_index(
        "recommendation_runs_under_way",
        "recommendation_runs",
        ["start_time"],
        sqlite_where=_UNDER_WAY,
        postgresql_where=_UNDER_WAY,
    )
    op.create_table(
        "recommendation_operations",
        *_numbered(),
        sa.Column("run", sa.BigInteger, nullable=False),
        sa.Column("operation", sa.LargeBinary, nullable=False),
        sa.Column("start_time", UtcTimestamp, nullable=False),
        sa.Column("end_time", UtcTimestamp, nullable=True),
        sa.Column("outcome", Name, nullable=False),
        sa.Column("detail", Name, nullable=False),
        sa.Column("is_rollback", sa.Boolean, nullable=False),
    )
    op.create_table(
        "resource_leases",
        sa.Column("project", Name, primary_key=True),
        sa.Column("resource_key", Name, primary_key=True),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("holder", Name, nullable=False),
        sa.Column("expire_time", UtcTimestamp, nullable=False),
    )


def _numbered() -> list[sa.Column[object]]:
    return [
        sa.Column("project", Name, primary_key=True),
        sa.Column("recommendation_id", Name, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    ]
