"""When recommendations were last confirmed, apart from their wide and much indexed rows."""

import sqlalchemy as sa
from alembic import op

from trimtab_service.store.columns import Name, UtcTimestamp

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "recommendation_confirmations",
        sa.Column("project", Name, primary_key=True),
        sa.Column("recommendation_id", Name, primary_key=True),
        sa.Column("refresh_time", UtcTimestamp, nullable=False),
        sa.Column("expire_time", UtcTimestamp, nullable=False),
    )
