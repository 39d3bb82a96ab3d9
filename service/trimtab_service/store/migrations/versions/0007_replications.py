"""Replications that were started, and the objects that they are copying in parts."""

import sqlalchemy as sa
from alembic import op

from trimtab_service.store.columns import Name, UtcTimestamp

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "replications",
        sa.Column("id", Name, primary_key=True),
        sa.Column("definition", Name, nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("is_reversed", sa.Boolean, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("lease_owner", Name, nullable=False),
        sa.Column("lease_until", UtcTimestamp, nullable=False),
        sa.Column("wake_time", UtcTimestamp, nullable=False),
        sa.Column("update_time", UtcTimestamp, nullable=False),
        sa.Column("progress", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "replication_uploads",
        sa.Column("replication", Name, primary_key=True),
        sa.Column("key", Name, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
