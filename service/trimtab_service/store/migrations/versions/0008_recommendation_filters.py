"""Indexes for what lists of recommendations are narrowed by; those of the commonest values are left out."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TABLE = "recommendations"


def upgrade() -> None:
    """Create them. The index over all states goes: most rows are ACTIVE, and each row paid for it."""
    op.drop_index("recommendations_by_state", table_name=_TABLE)
    for name, column, common in (
        ("recommendations_by_other_state", "state", "active"),
        ("recommendations_by_other_kind", "kind", "rightsize"),
        ("recommendations_by_team", "team", ""),
    ):
        rare = sa.text(f"{column} <> '{common}'")
        columns = ["project", column, "recommendation_id"]
        op.create_index(name, _TABLE, columns, sqlite_where=rare, postgresql_where=rare)
    op.create_index("recommendations_by_cloud", _TABLE, ["project", "cloud", "recommendation_id"])
    op.create_index("recommendations_by_resource", _TABLE, ["project", "resource_id", "recommendation_id"])
    op.create_index("recommendations_by_update_time", _TABLE, ["project", "update_time", "recommendation_id"])
    summed = ["team", "state", "kind", "cloud", "account", "monthly_saving_micros", "realized_monthly_saving_micros"]
    op.create_index("recommendations_by_total", _TABLE, ["project", *summed])
