"""${message}."""

import sqlalchemy as sa
from alembic import op

revision = "${up_revision}"
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Only expand: a new table, a nullable or defaulted column, an index."""
    ${upgrades if upgrades else "raise NotImplementedError"}
