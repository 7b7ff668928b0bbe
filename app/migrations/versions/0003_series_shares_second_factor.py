"""Add series of models, links to them, recent predictions, second factors, pictures and scopes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
phase = "expand"

# Nullable or with a preset: the release before this one goes on writing rows without them.
MOMENT = sa.DateTime(timezone=True)
ADDED = {
    "users": (
        ("picture_key", sa.String(length=120)),
        ("totp_secret", sa.String(length=64)),
        ("totp_enabled_at", MOMENT),
        ("totp_last_step", sa.BigInteger()),
    ),
    "api_keys": (("scopes", sa.JSON()), ("expires_at", MOMENT)),
    "datasets": (("reading_data", sa.JSON()),),
    "jobs": (("results", sa.JSON()),),
    "models": (
        ("series_id", sa.String(length=20)),
        ("job_id", sa.String(length=20)),
        ("score", sa.Double()),
        ("cv_score", sa.Double()),
        ("notes", sa.String(length=4000)),
        ("dataset_name", sa.String(length=120)),
        ("dataset_sha256", sa.String(length=64)),
    ),
}
INDEXED = {"model_shares": ("model_id",), "predictions": ("user_id", "model_id")}


def _reference(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}_{other}")
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name, ondelete="CASCADE")


def upgrade() -> None:
    """Expand only: the release before this one goes on working."""
    for table, columns in ADDED.items():
        for name, kind in columns:
            op.add_column(table, sa.Column(name, kind, nullable=True))
    op.add_column(
        "models", sa.Column("is_current", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column(
        "models",
        sa.Column("task", sa.String(16), nullable=False, server_default="classification"),
    )
    for name in ("series_id", "job_id"):
        op.create_index(op.f(f"ix_models_{name}"), "models", [name], unique=False)

    op.create_table(
        "recovery_codes",
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=20), nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        _reference("recovery_codes", "user_id", "users"),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_recovery_codes")),
    )
    op.create_index(op.f("ix_recovery_codes_user_id"), "recovery_codes", ["user_id"], unique=False)

    op.create_table(
        "model_shares",
        sa.Column("id", sa.String(length=20), nullable=False),
        sa.Column("model_id", sa.String(length=20), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT, nullable=True),
        _reference("model_shares", "model_id", "models"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_shares")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_model_shares_token_hash")),
    )
    op.create_table(
        "predictions",
        sa.Column("id", sa.String(length=20), nullable=False),
        sa.Column("user_id", sa.String(length=20), nullable=False),
        sa.Column("model_id", sa.String(length=20), nullable=False),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        _reference("predictions", "user_id", "users"),
        _reference("predictions", "model_id", "models"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_predictions")),
    )
    for table, columns in INDEXED.items():
        for name in columns:
            op.create_index(op.f(f"ix_{table}_{name}"), table, [name], unique=False)
    op.create_table(
        "input_counts",
        sa.Column("model_id", sa.String(length=20), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("feature", sa.Integer(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        _reference("input_counts", "model_id", "models"),
        sa.PrimaryKeyConstraint("model_id", "day", "feature", name=op.f("pk_input_counts")),
    )


def downgrade() -> None:
    """Undo it."""
    for table in ("input_counts", "predictions", "model_shares", "recovery_codes"):
        op.drop_table(table)
    for name in ("series_id", "job_id"):
        op.drop_index(op.f(f"ix_models_{name}"), "models")
    for name in ("task", "is_current"):
        op.drop_column("models", name)
    for table, columns in ADDED.items():
        for name, _kind in columns:
            op.drop_column(table, name)
