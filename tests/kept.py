"""Stored files behind the application's back, as a damaged disk or an operator has them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from beanft.core.database import Database, utcnow
from beanft.storage.models import FileChunk, FileRecord


class Kept(Protocol):
    """Looks at what is stored, and spoils it."""

    def stored(self, kind: str = "") -> list[str]:
        """Return the keys of all files, or of those of one kind."""
        ...

    def read(self, key: str) -> bytes:
        """Return a file's bytes."""
        ...

    def write(self, key: str, content: bytes) -> None:
        """Give a file other bytes, in a way that nothing but its content tells."""
        ...

    def remove(self, key: str) -> None:
        """Make a file be gone."""
        ...


class KeptFiles:
    """Files of a directory; what else is there counts as a file, so that nothing is left behind."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def stored(self, kind: str = "") -> list[str]:
        """Return the keys of all files, or of those of one kind."""
        found = [path for path in (self._root / kind).rglob("*") if path.is_file()]
        return sorted(str(path.relative_to(self._root)) for path in found)

    def read(self, key: str) -> bytes:
        """Return a file's bytes."""
        return (self._root / key).read_bytes()

    def write(self, key: str, content: bytes) -> None:
        """Give a file other bytes."""
        (self._root / key).write_bytes(content)

    def remove(self, key: str) -> None:
        """Make a file be gone."""
        (self._root / key).unlink()


class KeptRows:
    """Files of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def stored(self, kind: str = "") -> list[str]:
        """Return the keys of all files, or of those of one kind."""
        with self._database.reading() as session:
            keys = session.scalars(sa.select(FileRecord.key).order_by(FileRecord.key))
            return [key for key in keys if key.startswith(kind)]

    def read(self, key: str) -> bytes:
        """Return a file's bytes."""
        chunks = sa.select(FileChunk.content).where(FileChunk.file_key == key)
        with self._database.reading() as session:
            return b"".join(session.scalars(chunks.order_by(FileChunk.position)))

    def write(self, key: str, content: bytes) -> None:
        """Give a file other bytes; one that is gone comes back."""
        with self._database.writing() as session:
            session.execute(sa.delete(FileRecord).where(FileRecord.key == key))
            sha256 = hashlib.sha256(content).hexdigest()
            now = utcnow()
            session.add(FileRecord(key=key, size=len(content), sha256=sha256, created_at=now))
            session.flush()
            session.add(FileChunk(file_key=key, position=0, content=content))

    def remove(self, key: str) -> None:
        """Make a file be gone."""
        with self._database.writing() as session:
            session.execute(sa.delete(FileRecord).where(FileRecord.key == key))
