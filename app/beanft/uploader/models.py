"""The tables of data sets and of the keys under which clients stored some."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from beanft.core.database import Base, new_id, utcnow
from beanft.ml.profile import TableProfile


class Dataset(Base):
    """An uploaded CSV file and what it holds.

    ``reading_data`` is how its owner said to read it (``ml.reading.Reading``), None where what
    was found out by itself is right.
    """

    __tablename__ = "datasets"

    id: Mapped[str] = mapped_column(sa.String(20), primary_key=True, default=new_id)
    user_id: Mapped[str] = mapped_column(
        sa.String(20), sa.ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(sa.String(120))
    storage_key: Mapped[str] = mapped_column(sa.String(120), unique=True)
    sha256: Mapped[str] = mapped_column(sa.String(64))
    size: Mapped[int] = mapped_column(sa.BigInteger)
    row_count: Mapped[int]
    column_count: Mapped[int]
    profile_data: Mapped[dict[str, Any]]
    reading_data: Mapped[dict[str, Any] | None]
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)

    @property
    def profile(self) -> TableProfile:
        """What the file holds."""
        return TableProfile.from_dict(self.profile_data)


class IdempotencyKey(Base):
    """A key that a client chose for one upload, so that sending it again stores nothing again.

    ``dataset_id`` refers to nothing: when the data set is deleted the key stays, else a late
    repetition would bring it back. ``request_sha256`` is the hash of its name and body.
    """

    __tablename__ = "idempotency_keys"

    user_id: Mapped[str] = mapped_column(
        sa.String(20), sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    request_sha256: Mapped[str] = mapped_column(sa.String(64))
    dataset_id: Mapped[str] = mapped_column(sa.String(20))
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow, index=True)
