"""The tables of recent predictions, and of what models were asked."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from beanft.core.database import Base, new_id, utcnow


class Prediction(Base):
    """One row predicted on a page: what was typed, by column, and the answer."""

    __tablename__ = "predictions"

    id: Mapped[str] = mapped_column(sa.String(20), primary_key=True, default=new_id)
    user_id: Mapped[str] = mapped_column(
        sa.String(20), sa.ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    model_id: Mapped[str] = mapped_column(
        sa.String(20), sa.ForeignKey("models.id", ondelete="CASCADE"), index=True
    )
    inputs: Mapped[dict[str, Any]]
    answer: Mapped[dict[str, Any]]
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)


class InputCount(Base):
    """How many values of one feature fell into each of its bins on one day, for drift."""

    __tablename__ = "input_counts"

    model_id: Mapped[str] = mapped_column(
        sa.String(20), sa.ForeignKey("models.id", ondelete="CASCADE"), primary_key=True
    )
    day: Mapped[str] = mapped_column(sa.String(10), primary_key=True)  # as 2026-01-31, in UTC
    feature: Mapped[int] = mapped_column(primary_key=True)  # its position in the schema
    counts: Mapped[dict[str, Any]]
