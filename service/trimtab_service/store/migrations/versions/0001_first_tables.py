"""First tables: journal, decision log, requests, reservations, policies, commitments."""

import sqlalchemy as sa
from alembic import op

from trimtab_service.store.columns import Counter, Name, UtcTimestamp

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_UNRELEASED = sa.text("release_time IS NULL")


def upgrade() -> None:
    """Create everything."""
    _create_journal()
    _create_decisions()
    _create_requests_and_reservations()
    _create_resources()


def _create_journal() -> None:
    op.create_table(
        "journal",
        sa.Column("revision", Counter, sa.Identity(), primary_key=True),
        sa.Column("project", Name, nullable=False),
        sa.Column("kind", Name, nullable=False),
        sa.Column("create_time", UtcTimestamp, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "snapshots",
        sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("create_time", UtcTimestamp, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )


def _create_decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("project", Name, primary_key=True),
        sa.Column("decision_id", Name, primary_key=True),
        sa.Column("create_time", UtcTimestamp, nullable=False),
        sa.Column("workload_id", Name, nullable=False),
        sa.Column("verdict", Name, nullable=False),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("response", sa.LargeBinary, nullable=False),
        sa.Column("catalog_version", Name, nullable=False),
        sa.Column("state_revision", sa.BigInteger, nullable=False),
        sa.Column("policy_revision", sa.BigInteger, nullable=False),
        sa.Column("learned_revision", sa.BigInteger, nullable=False),
        sa.Column("commitment_revision", sa.BigInteger, nullable=False),
        sa.Column("cloud", Name, nullable=False),
        sa.Column("region", Name, nullable=False),
        sa.Column("instance_type", Name, nullable=False),
        sa.Column("purchase_option", Name, nullable=False),
        sa.Column("expected_cost_micros", sa.BigInteger, nullable=True),
        sa.Column("valid_until", UtcTimestamp, nullable=True),
        sa.Column("reserved", sa.Boolean, nullable=False),
        sa.Column("release_time", UtcTimestamp, nullable=True),
        sa.Column("outcome", Name, nullable=True),
        sa.Column("context", sa.LargeBinary, nullable=True),
    )
    op.create_index("decisions_by_time", "decisions", ["project", "create_time", "decision_id"])


def _create_requests_and_reservations() -> None:
    op.create_table(
        "requests",
        sa.Column("project", Name, primary_key=True),
        sa.Column("method", Name, primary_key=True),
        sa.Column("request_id", Name, primary_key=True),
        sa.Column("body_hash", sa.LargeBinary, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.Column("create_time", UtcTimestamp, nullable=False),
        sa.Column("expire_time", UtcTimestamp, nullable=False),
    )
    op.create_index("requests_by_expiry", "requests", ["expire_time"])
    op.create_table(
        "reservations",
        sa.Column("project", Name, primary_key=True),
        sa.Column("decision_id", Name, primary_key=True),
        sa.Column("room_key", Name, primary_key=True),
        sa.Column("amount_milli", sa.BigInteger, nullable=False),
        sa.Column("create_time", UtcTimestamp, nullable=False),
        sa.Column("expire_time", UtcTimestamp, nullable=False),
        sa.Column("release_time", UtcTimestamp, nullable=True),
    )
    op.create_index(
        "reservations_by_room",
        "reservations",
        ["room_key", "expire_time", "amount_milli"],
        sqlite_where=_UNRELEASED,
        postgresql_where=_UNRELEASED,
    )
    op.create_index("reservations_by_expiry", "reservations", ["expire_time"])


def _create_resources() -> None:
    op.create_table("policies", *_resource_columns(), sa.Column("disabled", sa.Boolean, nullable=False))
    op.create_table(
        "policy_versions",
        *_resource_columns(revision_is_key=True),
        sa.Column("deleted", sa.Boolean, nullable=False),
    )
    op.create_table(
        "commitments",
        *_resource_columns(),
        sa.Column("cloud", Name, nullable=False),
        sa.Column("kind", Name, nullable=False),
        sa.Column("region", Name, nullable=False),
        sa.Column("family", Name, nullable=False),
        sa.Column("instance_type", Name, nullable=False),
        sa.Column("end_time", UtcTimestamp, nullable=False),
    )
    for table in ("policies", "commitments"):
        op.create_index(f"{table}_by_time", table, ["parent", "create_time", "id"])


def _resource_columns(*, revision_is_key: bool = False) -> list[sa.Column[object]]:
    return [
        sa.Column("parent", Name, primary_key=True),
        sa.Column("id", Name, primary_key=True),
        sa.Column("revision", sa.BigInteger, primary_key=revision_is_key, autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("etag", Name, nullable=False),
        sa.Column("create_time", UtcTimestamp, nullable=False),
        sa.Column("update_time", UtcTimestamp, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    ]
