"""What was done to simulated clouds, which all processes of a deployment see alike."""

import sqlalchemy as sa
from alembic import op

from trimtab_service.store.columns import Name, UtcTimestamp

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "simulated_worlds",
        sa.Column("name", Name, primary_key=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("update_time", UtcTimestamp, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
