"""Data sets: store and profile an upload, list, delete."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import BinaryIO

import sqlalchemy as sa

from beanft.config import Limits
from beanft.core.database import Database, new_id
from beanft.core.errors import ConflictError, NotFoundError
from beanft.ml.csv_text import CsvLimits
from beanft.ml.profile import profile_csv
from beanft.storage.files import Storage, undone_on_error
from beanft.uploader.models import Dataset, IdempotencyKey


class KnownKeyError(Exception):
    """Somebody stored a data set under this idempotency key in the meantime."""


def csv_limits(limits: Limits) -> CsvLimits:
    """Return the limits of an uploaded file."""
    return CsvLimits(limits.upload_max_rows, limits.upload_max_columns, limits.cell_max_chars)


def display_name(filename: str | None) -> str:
    """Return what to call an uploaded file; it is never used as a path."""
    name = PurePosixPath((filename or "").replace("\\", "/")).name
    name = "".join(character for character in name if character.isprintable()).strip()
    return name[:120] or "data.csv"


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

    Raises:
        TooLargeError: more bytes than allowed.
        DataError: it isn't a table that can be used.
        ConflictError: the person has too many data sets.
        KnownKeyError: the key was committed in the meantime.

    """
    kept = storage.save("datasets", "csv", source, most=limits.upload_max_bytes)
    with undone_on_error(storage, kept.key):
        with storage.open(kept.key) as stream:
            profile = profile_csv(stream, csv_limits(limits))
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
            count = sa.select(sa.func.count()).where(Dataset.user_id == user_id)
            if int(session.scalar(count) or 0) >= limits.datasets_per_user:
                raise ConflictError(
                    f"You have {limits.datasets_per_user} data sets. Delete one first."
                )
            session.add(dataset)
    return dataset


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
        raise NotFoundError("There is no such data set.")
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
