"""Files by server-made keys: one small interface, and the file system behind it.

:mod:`beanft.storage.database` has the same behind a database that several machines share.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from sqlalchemy.exc import SQLAlchemyError

from beanft.core.errors import NotFoundError, TooLargeError

CHUNK_BYTES = 1 << 20
_KEY = re.compile(r"^[a-z]+/[0-9a-f]{32}\.[a-z]+$")


def new_key(kind: str, suffix: str) -> str:
    """Return a random key for a file."""
    return f"{kind}/{secrets.token_hex(16)}.{suffix}"


def check_key(key: str) -> str:
    """Return a key that was made here, which is safe in a path; raise ``NotFoundError``."""
    if not _KEY.match(key):
        raise NotFoundError("There is no such file.")
    return key


class Measured:
    """Bytes that go by: their number, which may not exceed ``most``, and their SHA-256."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._digest = hashlib.sha256()
        self.size = 0

    def chunks(self, source: BinaryIO) -> Iterator[bytes]:
        """Yield all of ``source``; raise ``TooLargeError`` above the bound."""
        while chunk := source.read(CHUNK_BYTES):
            self.size += len(chunk)
            if self._most is not None and self.size > self._most:
                raise TooLargeError(
                    f"The file is larger than {self._most / 1e6:g} MB. Send a smaller one."
                )
            self._digest.update(chunk)
            yield chunk

    @property
    def sha256(self) -> str:
        """The hash of what went by, in hex."""
        return self._digest.hexdigest()


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that was kept: its key, its size in bytes and its SHA-256 in hex."""

    key: str
    size: int
    sha256: str


class Storage(Protocol):
    """Where data sets and models are kept."""

    def save(self, kind: str, suffix: str, source: BinaryIO, *, most: int) -> StoredFile:
        """Keep all of ``source``; raise ``TooLargeError`` above ``most`` bytes."""
        ...

    def open(self, key: str) -> BinaryIO:
        """Open a kept file for reading; raise ``NotFoundError`` if it is gone."""
        ...

    def stamp(self, key: str) -> tuple[int, ...] | None:
        """Return something cheap that changes when the file does, None when it is gone."""
        ...

    def delete(self, key: str) -> None:
        """Delete a file; it is no error if it is gone."""
        ...


class FileStorage:
    """Files below one directory, each written beside its place and then moved there."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    def save(self, kind: str, suffix: str, source: BinaryIO, *, most: int) -> StoredFile:
        """Keep all of ``source`` durably under a random key."""
        return self.put(new_key(kind, suffix), source, most=most)

    def put(self, key: str, source: BinaryIO, *, most: int | None = None) -> StoredFile:
        """Keep all of ``source`` durably under a key; raise ``FileExistsError`` if it is taken."""
        path = self._path(key)
        if path.exists():
            raise FileExistsError(path)
        _make_directory(path.parent)
        partial = path.with_name(path.name + ".part")
        measured = Measured(most)
        try:
            with partial.open("xb") as target:
                for chunk in measured.chunks(source):
                    target.write(chunk)
                target.flush()
                os.fsync(target.fileno())
            partial.rename(path)
            _sync_directory(path.parent)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        return StoredFile(key, measured.size, measured.sha256)

    def open(self, key: str) -> BinaryIO:
        """Open a kept file for reading."""
        try:
            return self._path(key).open("rb")
        except FileNotFoundError:
            raise NotFoundError("The file is gone.") from None

    def stamp(self, key: str) -> tuple[int, ...] | None:
        """Return inode, size and time of change."""
        try:
            found = self._path(key).stat()
        except FileNotFoundError:
            return None
        return (found.st_ino, found.st_size, found.st_mtime_ns)

    def delete(self, key: str) -> None:
        """Delete a file; it is no error if it is gone."""
        self._path(key).unlink(missing_ok=True)


def _make_directory(path: Path) -> None:
    """Make a directory durably: a new one is lost with its files unless its parent is synced."""
    if not path.is_dir():
        _make_directory(path.parent)
        path.mkdir(exist_ok=True)
        _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def undone_on_error(storage: Storage, key: str) -> Iterator[None]:
    """Delete a file again if the block that was to refer to it fails."""
    try:
        yield
    except BaseException:
        with suppress(OSError, SQLAlchemyError):
            storage.delete(key)
        raise
