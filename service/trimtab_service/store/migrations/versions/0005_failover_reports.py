"""What observers say of the sides of a failover plan."""

import sqlalchemy as sa
from alembic import op

from trimtab_service.store.columns import Name, UtcTimestamp

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "failover_reports",
        *(sa.Column(name, Name, primary_key=True) for name in ("project", "plan_id", "observer_id")),
        sa.Column("update_time", UtcTimestamp, nullable=False),
        sa.Column("body", Name, nullable=False),
    )
