"""Files in the database, for tasks that may run on any machine; local copies to read from.

A file is written to the local cache first and then, at the pace of the network between us and the
database and not of whoever sends it, in one transaction. It is read from the cache, after the
database has said that there is such a file and its checksum is that of the copy.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import sqlalchemy as sa
from sqlalchemy.orm import Session

from beanft.core.database import Database
from beanft.core.errors import NotFoundError, UnavailableError
from beanft.storage.files import CHUNK_BYTES, Measured, StoredFile, check_key, new_key
from beanft.storage.models import FileChunk, FileRecord

FOLDER = "cache"
GONE = "The file is gone."


def write_chunks(session: Session, key: str, source: BinaryIO) -> StoredFile:
    """Write a file in a transaction of the caller's; it holds one chunk at a time in memory."""
    record = FileRecord(key=key, size=0, sha256="")
    session.add(record)
    session.flush()
    measured = Measured()
    insert = sa.insert(FileChunk)
    for position, chunk in enumerate(measured.chunks(source)):
        # Past the session's own objects, which would keep all chunks until the commit.
        session.execute(insert, [{"file_key": key, "position": position, "content": chunk}])
    record.size, record.sha256 = measured.size, measured.sha256
    session.flush()
    return StoredFile(key, measured.size, measured.sha256)


def read_chunks(session: Session, key: str) -> Iterator[bytes]:
    """Yield a file's chunks, one query each."""
    position = 0
    while True:
        wanted = sa.select(FileChunk.content).where(
            FileChunk.file_key == key, FileChunk.position == position
        )
        chunk = session.scalar(wanted)
        if chunk is None:
            return
        yield chunk
        position += 1


class DatabaseStorage:
    """Files in the database, with copies below a directory of this machine.

    Args:
        database: where they are.
        root: copies are below it; several tasks may share it, and it may be lost at any time.
        cache_bytes: most bytes of copies; those that were used longest ago go first.

    """

    def __init__(self, database: Database, root: Path, cache_bytes: int) -> None:
        self._database = database
        self._cache = root / FOLDER
        self._cache_bytes = cache_bytes

    def save(self, kind: str, suffix: str, source: BinaryIO, *, most: int) -> StoredFile:
        """Keep all of ``source`` durably under a random key."""
        key = new_key(kind, suffix)
        partial = self._partial(key)
        try:
            measured = Measured(most)
            with partial.open("xb") as target:
                for chunk in measured.chunks(source):
                    target.write(chunk)
            with partial.open("rb") as copy, self._database.writing(alone=False) as session:
                kept = write_chunks(session, key, copy)
                if kept.sha256 != measured.sha256:
                    raise UnavailableError("The disk gave back other bytes than were written.")
            partial.rename(self._cache / key)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        self._shrink(self._cache / key)
        return kept

    def open(self, key: str) -> BinaryIO:
        """Open a kept file for reading: the local copy, made first if need be."""
        path = self._cache / check_key(key)
        with self._database.reading() as session:
            record = session.get(FileRecord, key)
            if record is None:
                path.unlink(missing_ok=True)
                raise NotFoundError(GONE)
            stream = _open_if(path, record.sha256)
            if stream is None:
                stream = self._fetch(session, record, path)
        with suppress(FileNotFoundError):
            os.utime(path)  # used last now
        return stream

    def _fetch(self, session: Session, record: FileRecord, path: Path) -> BinaryIO:
        partial = self._partial(record.key)
        digest = hashlib.sha256()
        try:
            with partial.open("xb") as target:
                for chunk in read_chunks(session, record.key):
                    digest.update(chunk)
                    target.write(chunk)
            if digest.hexdigest() != record.sha256:
                raise UnavailableError(
                    "The file is damaged in the database: its checksum differs. "
                    "Tell the operator, who has backups."
                )
            stream = partial.open("rb")
            partial.rename(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        self._shrink(path)
        return stream

    def stamp(self, key: str) -> tuple[int, ...] | None:
        """Return size, moment and a part of the checksum."""
        with self._database.reading() as session:
            record = session.get(FileRecord, check_key(key))
        if record is None:
            return None
        return (record.size, int(record.created_at.timestamp() * 1e6), int(record.sha256[:15], 16))

    def delete(self, key: str) -> None:
        """Delete a file and its local copy; it is no error if it is gone."""
        with self._database.writing(alone=False) as session:
            session.execute(sa.delete(FileRecord).where(FileRecord.key == check_key(key)))
        (self._cache / key).unlink(missing_ok=True)

    def _partial(self, key: str) -> Path:
        """Return a name of nobody else's; several tasks may fetch the same file."""
        path = self._cache / f"{key}.{secrets.token_hex(4)}.part"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _shrink(self, kept: Path) -> None:
        """Remove what was used longest ago until the rest is within the bound; not ``kept``.

        Who has one open goes on reading it. What a task left half-written when it was killed is
        old some day, and goes likewise.
        """
        found = []
        for path in self._cache.glob("*/*"):
            with suppress(FileNotFoundError):
                state = path.stat()
                found.append((state.st_mtime, state.st_size, path))
        total = sum(size for _time, size, _path in found)
        for _time, size, path in sorted(found):
            if total <= self._cache_bytes:
                return
            if path != kept:
                path.unlink(missing_ok=True)
                total -= size


def _open_if(path: Path, sha256: str) -> BinaryIO | None:
    """Open a copy if it is there and has this checksum."""
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        return None
    digest = hashlib.sha256()
    while chunk := stream.read(CHUNK_BYTES):
        digest.update(chunk)
    if digest.hexdigest() != sha256:
        stream.close()
        return None
    stream.seek(0)
    return stream
