"""Who does what for the whole deployment, and how each failover plan stood when its targets were read last."""

import sqlalchemy as sa
from alembic import op

from trimtab_service.store.columns import Name, UtcTimestamp

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "failover_duties",
        sa.Column("duty", Name, primary_key=True),
        sa.Column("owner", Name, nullable=False),
        sa.Column("until", UtcTimestamp, nullable=False),
    )
    op.create_table(
        "failover_evaluations",
        *(sa.Column(name, Name, primary_key=True) for name in ("parent", "plan_id")),
        sa.Column("etag", Name, nullable=False),
        sa.Column("read_time", UtcTimestamp, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("errors", "warnings")),
        sa.Column("findings", Name, nullable=False),
        sa.Column("survey", sa.LargeBinary, nullable=False),
    )
