"""Add the tables of stored files, for databases that are servers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
phase = "expand"


def upgrade() -> None:
    """Expand only: the release before this one goes on working."""
    op.create_table(
        "stored_files",
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_stored_files")),
    )
    op.create_table(
        "stored_chunks",
        sa.Column("file_key", sa.String(length=120), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["file_key"],
            ["stored_files.key"],
            name=op.f("fk_stored_chunks_file_key_stored_files"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("file_key", "position", name=op.f("pk_stored_chunks")),
    )


def downgrade() -> None:
    """Undo it."""
    op.drop_table("stored_chunks")
    op.drop_table("stored_files")
