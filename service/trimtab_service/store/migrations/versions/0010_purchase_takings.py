"""What purchases took of the day's allowance of a cloud account, before they were made."""

import sqlalchemy as sa
from alembic import op

from trimtab_service.store.columns import Name, UtcTimestamp

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "purchase_takings",
        sa.Column("account", Name, primary_key=True),
        sa.Column("purchase", Name, primary_key=True),
        sa.Column("nanos_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("first_time", UtcTimestamp, nullable=False),
        sa.Column("last_time", UtcTimestamp, nullable=False),
    )
