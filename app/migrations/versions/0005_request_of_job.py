"""Add the id of the request that a job came from, so that logs of web, api and worker can be joined."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
phase = "expand"


def upgrade() -> None:
    """Expand only: the release before this one goes on working."""
    op.add_column("jobs", sa.Column("request_id", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Undo it."""
    op.drop_column("jobs", "request_id")
