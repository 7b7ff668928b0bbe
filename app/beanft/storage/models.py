"""The tables of stored files: used where the database is a server, empty where it is a file."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from beanft.core.database import Base, utcnow


class FileRecord(Base):
    """A file that is kept whole: it is committed with its last chunk, and never changed."""

    __tablename__ = "stored_files"

    key: Mapped[str] = mapped_column(sa.String(120), primary_key=True)
    size: Mapped[int] = mapped_column(sa.BigInteger)
    sha256: Mapped[str] = mapped_column(sa.String(64))
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)


class FileChunk(Base):
    """A piece of a file; together and in order they are its content."""

    __tablename__ = "stored_chunks"

    file_key: Mapped[str] = mapped_column(
        sa.String(120), sa.ForeignKey("stored_files.key", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[bytes]
