"""Fleet analyses, their results, and the profiles of resources."""

import sqlalchemy as sa
from alembic import op

from trimtab_service.store.columns import Name, UtcTimestamp

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create three tables."""
    op.create_table(
        "fleet_analyses",
        sa.Column("project", Name, primary_key=True),
        sa.Column("analysis_id", Name, primary_key=True),
        sa.Column("create_time", UtcTimestamp, nullable=False),
        sa.Column("update_time", UtcTimestamp, nullable=False),
        sa.Column("end_time", UtcTimestamp, nullable=True),
        sa.Column("state", Name, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("scope_hash", Name, nullable=False),
        sa.Column("actor", Name, nullable=False),
        sa.Column("resources", sa.BigInteger, nullable=False),
        sa.Column("resources_done", sa.BigInteger, nullable=False),
        sa.Column("progress", sa.LargeBinary, nullable=False),
        sa.Column("is_cancelling", sa.Boolean, nullable=False),
        sa.Column("lease_owner", Name, nullable=False),
        sa.Column("lease_token", sa.BigInteger, nullable=False),
        sa.Column("lease_until", UtcTimestamp, nullable=False),
    )
    op.create_index("fleet_analyses_by_time", "fleet_analyses", ["project", "create_time", "analysis_id"])
    op.create_index("fleet_analyses_by_lease", "fleet_analyses", ["state", "lease_until"])
    op.create_table(
        "fleet_results",
        sa.Column("project", Name, primary_key=True),
        sa.Column("analysis_id", Name, primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("resource_key", Name, nullable=False),
        sa.Column("finding", Name, nullable=False),
        sa.Column("advice", sa.LargeBinary, nullable=False),
    )
    op.create_index(
        "fleet_results_by_resource", "fleet_results", ["project", "analysis_id", "resource_key"], unique=True
    )
    op.create_table(
        "profiles",
        sa.Column("project", Name, primary_key=True),
        sa.Column("source", Name, primary_key=True),
        sa.Column("resource_key", Name, primary_key=True),
        sa.Column("update_time", UtcTimestamp, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("profiles_by_time", "profiles", ["update_time"])
