"""Data sets: store and profile an upload, read it again, rename, list, delete."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

import sqlalchemy as sa
from sqlalchemy.orm import Session

from beanft.config import Limits
from beanft.core.database import Database, new_id
from beanft.core.errors import ConflictError, InvalidError, NotFoundError
from beanft.core.units import size_in_words
from beanft.ml.csv_text import CsvLimits, CsvTable, write_csv
from beanft.ml.errors import DataError
from beanft.ml.profile import profile_csv
from beanft.ml.reading import Reading
from beanft.storage.files import Storage, undone_on_error
from beanft.uploader.models import Dataset, IdempotencyKey

NAME_MAX_CHARS = 120
CELL_MAX_CHARS = csv.field_size_limit()  # a stored file was under the limits of its time
MISSING = "There is no such data set."


class KnownKeyError(Exception):
    """Somebody stored a data set under this idempotency key in the meantime."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How many data sets and bytes of them a person has, and how many they may have."""

    count: int
    most: int
    size: int
    most_bytes: int

    def problem(self, size: int = 0) -> str | None:
        """Return why another data set of so many bytes is too much, or None."""
        if self.count >= self.most:
            return f"You have {self.most} data sets. Delete one first."
        left = self.most_bytes - self.size
        if left <= 0:
            return f"Your data sets take all of your {size_in_words(self.most_bytes)}. Delete one first."
        if size > left:
            return (
                f"The file has {size_in_words(size)} and you have room for {size_in_words(left)}. "
                "Delete a data set first."
            )
        return None


def csv_limits(limits: Limits) -> CsvLimits:
    """Return the limits of an uploaded file."""
    return CsvLimits(limits.upload_max_rows, limits.upload_max_columns, limits.cell_max_chars)


def display_name(filename: str | None) -> str:
    """Return what to call an uploaded file; it is never used as a path."""
    name = PurePosixPath((filename or "").replace("\\", "/")).name
    name = "".join(character for character in name if character.isprintable()).strip()
    return name[:NAME_MAX_CHARS] or "data.csv"


def request_sha256(name: str, body_sha256: str) -> str:
    """Return what tells two requests to store a data set apart."""
    return hashlib.sha256(f"{body_sha256} {name}".encode()).hexdigest()


def add_dataset(
    database: Database,
    storage: Storage,
    limits: Limits,
    *,
    user_id: str,
    name: str,
    source: BinaryIO,
    key: str | None = None,
    reading: Reading | None = None,
) -> Dataset:
    """Store an upload and look at it; when this returns it is committed and on the disk.

    Args:
        database: where data sets are.
        storage: where files are.
        limits: what is too much.
        user_id: whose it is.
        name: what to call it.
        source: the file.
        key: an idempotency key to commit along with it; see ``uploader.once``.
        reading: how to read it, as far as its owner said.

    Raises:
        TooLargeError: more bytes than allowed.
        DataError: it isn't a table that can be used.
        ConflictError: the person has too many data sets, or too many bytes of them.
        KnownKeyError: the key was committed in the meantime.

    """
    if key is None:  # with a key, what it stands for may be what fills the room
        with database.reading() as session:
            _refuse_above(_usage(session, limits, user_id))
    kept = storage.save("datasets", "csv", source, most=limits.upload_max_bytes)
    with undone_on_error(storage, kept.key):
        with storage.open(kept.key) as stream:
            profile = profile_csv(stream, csv_limits(limits), reading)
        dataset = Dataset(
            id=new_id(),
            user_id=user_id,
            name=name,
            storage_key=kept.key,
            sha256=kept.sha256,
            size=kept.size,
            row_count=profile.rows,
            column_count=len(profile.columns),
            profile_data=profile.to_dict(),
            reading_data=reading.to_dict() if reading else None,
        )
        with database.writing() as session:
            if key is not None:
                if session.get(IdempotencyKey, (user_id, key)) is not None:
                    raise KnownKeyError
                session.add(
                    IdempotencyKey(
                        user_id=user_id,
                        key=key,
                        request_sha256=request_sha256(name, kept.sha256),
                        dataset_id=dataset.id,
                    )
                )
            _refuse_above(_usage(session, limits, user_id), kept.size)
            session.add(dataset)
    return dataset


def _usage(session: Session, limits: Limits, user_id: str) -> Usage:
    sums = sa.select(sa.func.count(), sa.func.sum(Dataset.size)).where(Dataset.user_id == user_id)
    count, size = session.execute(sums).one()
    return Usage(
        int(count), limits.datasets_per_user, int(size or 0), limits.storage_per_user_bytes
    )


def _refuse_above(usage: Usage, size: int = 0) -> None:
    problem = usage.problem(size)
    if problem:
        raise ConflictError(problem)


def usage_of(database: Database, limits: Limits, user_id: str) -> Usage:
    """Return how much of their room a person's data sets take."""
    with database.reading() as session:
        return _usage(session, limits, user_id)


def datasets_of(database: Database, user_id: str) -> list[Dataset]:
    """Return a person's data sets, the latest first."""
    with database.reading() as session:
        return list(
            session.scalars(
                sa.select(Dataset)
                .where(Dataset.user_id == user_id)
                .order_by(Dataset.created_at.desc())
            )
        )


def get_dataset(database: Database, user_id: str, dataset_id: str) -> Dataset:
    """Return a person's data set.

    Raises:
        NotFoundError: there is none, or it is somebody else's.

    """
    with database.reading() as session:
        dataset = session.get(Dataset, dataset_id)
    if dataset is None or dataset.user_id != user_id:
        raise NotFoundError(MISSING)
    return dataset


def delete_dataset(database: Database, storage: Storage, user_id: str, dataset_id: str) -> None:
    """Delete a data set and its trainings; models trained on it stay.

    Raises:
        NotFoundError: there is none, or it is somebody else's.

    """
    dataset = get_dataset(database, user_id, dataset_id)
    with database.writing() as session:
        session.execute(sa.delete(Dataset).where(Dataset.id == dataset.id))
    storage.delete(dataset.storage_key)


def rename_dataset(database: Database, user_id: str, dataset_id: str, name: str) -> Dataset:
    """Give a data set another name; models keep the one they were trained under.

    Raises:
        NotFoundError: there is none, or it is somebody else's.
        InvalidError: the name is empty or too long.

    """
    name = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    problem = None
    if not name:
        problem = "Give it a name."
    elif len(name) > NAME_MAX_CHARS:
        problem = f"A name has {NAME_MAX_CHARS} characters at most; this one has {len(name)}."
    if problem:
        raise InvalidError(problem, errors=[{"field": "name", "message": problem}])
    get_dataset(database, user_id, dataset_id)
    with database.writing() as session:
        dataset = session.get(Dataset, dataset_id)
        if dataset is None:
            raise NotFoundError(MISSING)
        dataset.name = name
    return dataset


def read_again(
    database: Database,
    storage: Storage,
    limits: Limits,
    user_id: str,
    dataset_id: str,
    reading: Reading,
) -> Dataset:
    """Read a stored file as its owner says, and keep what was said; models stay as they are.

    Raises:
        NotFoundError: there is none, or it is somebody else's.
        DataError: it can't be read so; nothing has changed then. Each problem has a field of
            the reading: its own, or else the first one that differs from how the file was
            read before.

    """
    dataset = get_dataset(database, user_id, dataset_id)
    try:
        with storage.open(dataset.storage_key) as stream:
            profile = profile_csv(stream, csv_limits(limits), reading)
    except DataError as error:
        field = _changed(dataset, reading)
        raise DataError(
            [dataclasses.replace(found, field=found.field or field) for found in error.problems]
        ) from None
    with database.writing() as session:
        found = session.get(Dataset, dataset_id)
        if found is None:
            raise NotFoundError(MISSING)
        found.profile_data = profile.to_dict()
        found.row_count = profile.rows
        found.column_count = len(profile.columns)
        found.reading_data = reading.to_dict()
    return found


def _changed(dataset: Dataset, reading: Reading) -> str:
    """Return the field of a reading that a problem is most likely about."""
    before = dataset.profile.dialect
    for field in ("encoding", "delimiter", "header"):
        value = getattr(reading, field)
        if value is not None and value != getattr(before, field):
            return field
    return "delimiter"


def open_table(storage: Storage, dataset: Dataset) -> CsvTable:
    """Open a stored data set to read its rows; use it in a ``with``, which closes the file.

    Raises:
        NotFoundError: its file is gone.
        DataError: its file isn't the one that was stored; likewise while rows are read.

    """
    stream = storage.open(dataset.storage_key)
    most = CsvLimits(dataset.row_count, dataset.column_count, CELL_MAX_CHARS)
    try:
        return CsvTable(stream, dataset.profile.dialect, most, owned=True)
    except BaseException:
        stream.close()
        raise


def dataset_csv(storage: Storage, dataset: Dataset) -> Iterator[str]:
    """Yield a data set as CSV text, with formula cells made harmless.

    Raises:
        NotFoundError: its file is gone; at once and not at the first piece.

    """
    table = open_table(storage, dataset)

    def pieces() -> Iterator[str]:
        with table:
            yield from write_csv(table.header, iter(table))

    return pieces()
