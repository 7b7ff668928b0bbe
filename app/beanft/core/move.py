"""Copy a whole installation's rows and files to an empty database, and prove that all arrived.

Nothing changes at the source. At the target it is one transaction: what was written is read back
and compared before the commit, so the target has everything, or nothing.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import sqlalchemy as sa
from sqlalchemy.orm import Session

from beanft.config import Access
from beanft.core import migrate
from beanft.core.database import Database
from beanft.core.errors import NotFoundError
from beanft.core.schema_revision import database_revision, shipped
from beanft.storage.database import read_chunks, write_chunks
from beanft.storage.files import CHUNK_BYTES, FileStorage, StoredFile
from beanft.storage.models import FileChunk, FileRecord
from beanft.tables import metadata
from beanft.training.models import Model
from beanft.uploader.models import Dataset
from beanft.users.models import User

BATCH = 500
# Rows of files are written with the files.
OF_FILES = (FileRecord.__tablename__, FileChunk.__tablename__)


class MoveError(Exception):
    """It can't be moved, and nothing was changed; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Place:
    """A database, how to get at its server, and its files' directory where it is SQLite's."""

    url: str
    access: Access
    files: Path | None


@dataclass(frozen=True, slots=True)
class Moved:
    """What arrived of one table, or of the files: rows, bytes of files, and a checksum of it all."""

    name: str
    rows: int
    size: int
    checksum: str


class Sum:
    """A checksum that doesn't depend on the order, which two databases sort differently."""

    def __init__(self) -> None:
        self.rows = 0
        self.size = 0
        self._sum = 0

    def add(self, line: str, size: int = 0) -> None:
        """Add a row."""
        self.rows += 1
        self.size += size
        self._sum += int.from_bytes(hashlib.sha256(line.encode(errors="surrogatepass")).digest())

    def moved(self, name: str) -> Moved:
        """Return what was added."""
        checksum = f"{self._sum % (1 << 256):064x}"
        return Moved(name, self.rows, self.size, checksum)


def _plain(value: Any) -> str:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    raise TypeError(f"no column holds a {type(value).__name__}")


def _tables() -> list[sa.Table]:
    """Return the tables in an order in which each comes after those that it refers to."""
    return [table for table in metadata.sorted_tables if table.name not in OF_FILES]


def _rows(session: Session, table: sa.Table) -> Iterator[dict[str, Any]]:
    result = session.execute(sa.select(table), execution_options={"yield_per": BATCH})
    for row in result.mappings():
        yield dict(row)


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, default=_plain, sort_keys=True)


def _sum_of(session: Session, table: sa.Table) -> Moved:
    total = Sum()
    for row in _rows(session, table):
        total.add(_line(row))
    return total.moved(table.name)


def _copy_table(source: Session, target: Session, table: sa.Table) -> Moved:
    total = Sum()
    found = _rows(source, table)
    while rows := list(islice(found, BATCH)):
        for row in rows:
            total.add(_line(row))
        try:
            target.execute(sa.insert(table), rows)
        except sa.exc.DBAPIError as error:
            cause = str(error.orig).partition("\n")[0]
            raise MoveError(f"The target refuses a row of {table.name}: {cause}.") from error
    return total.moved(table.name)


def _wanted(session: Session) -> dict[str, str | None]:
    """Return the keys of the files that rows refer to, with their checksums where rows have them."""
    found: dict[str, str | None] = {}
    for query in (
        sa.select(Dataset.storage_key, Dataset.sha256),
        sa.select(Model.storage_key, Model.sha256),
        sa.select(Model.golden_key, sa.null()),
        sa.select(User.picture_key, sa.null()),
    ):
        found |= {key: sha256 for key, sha256 in session.execute(query) if key is not None}
    return found


class _Pieces:
    """A file of chunks, to be read as a stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def read(self, _size: int = -1) -> bytes:
        """Return the next chunk."""
        return next(self._chunks, b"")


class Files:
    """The files of one side, within its transaction."""

    def __init__(self, session: Session, place: Place) -> None:
        self._session = session
        self._storage = FileStorage(place.files) if place.files is not None else None

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """Open a file to read it in chunks."""
        if self._storage is not None:
            with self._storage.open(key) as stream:
                yield stream
            return
        if self._session.get(FileRecord, key) is None:
            raise NotFoundError("The file is gone.")
        yield _Pieces(read_chunks(self._session, key))  # type: ignore[misc]

    def write(self, key: str, source: BinaryIO) -> StoredFile:
        """Keep a file under its key."""
        if self._storage is not None:
            return self._storage.put(key, source)
        return write_chunks(self._session, key, source)

    def take_back(self, key: str) -> None:
        """Delete a file that was written, unless the transaction does so itself."""
        if self._storage is not None:
            self._storage.delete(key)

    def sum_of(self, keys: Iterator[str]) -> Moved:
        """Read files again and return their sum."""
        total = Sum()
        for key in keys:
            digest, size = hashlib.sha256(), 0
            with self.open(key) as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    digest.update(chunk)
                    size += len(chunk)
            total.add(f"{key} {digest.hexdigest()}", size)
        return total.moved("files")


def _copy_files(
    source: Files, target: Files, wanted: dict[str, str | None], undo: ExitStack
) -> Moved:
    total = Sum()
    for key, sha256 in wanted.items():
        try:
            with source.open(key) as stream:
                kept = target.write(key, stream)
                undo.callback(target.take_back, key)
        except NotFoundError:
            raise MoveError(
                f"The file {key} is gone at the source: delete what refers to it, or restore it."
            ) from None
        except FileExistsError:
            raise MoveError(f"A file {key} is at the target already: it has to be empty.") from None
        if sha256 is not None and kept.sha256 != sha256:
            raise MoveError(
                f"The file {key} is damaged at the source: its checksum isn't the one on record. "
                "Delete what refers to it, or restore it."
            )
        total.add(f"{key} {kept.sha256}", kept.size)
    return total.moved("files")


def _take_time(session: Session, database: Database) -> None:
    """Let a transaction wait for the other side, however long that works on its part."""
    if database.is_postgresql:
        session.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))


def _check(source: Database, target: Database, place: Place) -> None:
    """Raise unless the source has this release's schema, and the target too and nothing else."""
    found, head = database_revision(source), shipped().head
    if found != head:
        raise MoveError(
            f"The source is at revision {found} and this release's is {head}: "
            "run 'beanft db upgrade' on it with this release first."
        )
    if database_revision(target) is None:
        migrate.upgrade(place.url, place.access)
    if (there := database_revision(target)) != head:
        raise MoveError(f"The target is at revision {there} and the source at {head}.")
    with target.reading() as session:
        for table in metadata.sorted_tables:
            if session.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
                raise MoveError(f"The target isn't empty: there are rows in {table.name}.")


def move(source_place: Place, target_place: Place) -> list[Moved]:
    """Copy everything from one place to another.

    Returns:
        What arrived: each table, and the files as the last one.

    Raises:
        MoveError: it can't be done, or something differs; the target has nothing of it.

    """
    with (
        Database(source_place.url, source_place.access) as source,
        Database(target_place.url, target_place.access) as target,
    ):
        _check(source, target, target_place)
        with ExitStack() as undo, source.reading() as reads, target.writing() as writes:
            _take_time(reads, source)
            _take_time(writes, target)
            moved = [_copy_table(reads, writes, table) for table in _tables()]
            wanted = _wanted(reads)
            theirs, ours = Files(reads, source_place), Files(writes, target_place)
            moved.append(_copy_files(theirs, ours, wanted, undo))
            again = [_sum_of(writes, table) for table in _tables()]
            again.append(ours.sum_of(iter(wanted)))
            for sent, arrived in zip(moved, again, strict=True):
                if sent != arrived:
                    raise MoveError(
                        f"{sent.name} differ at the target: {sent.rows} rows with checksum "
                        f"{sent.checksum[:16]} were sent, {arrived.rows} with "
                        f"{arrived.checksum[:16]} arrived."
                    )
            writes.commit()
            undo.pop_all()
        return moved
