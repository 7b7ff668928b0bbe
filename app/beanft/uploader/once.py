"""Store a data set once, however often a client asks with the same ``Idempotency-Key``.

The key is committed in the transaction that adds the data set: whoever was told that it is
stored, and whoever wasn't since a task died, gets the same one when asking again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import BinaryIO, cast

import sqlalchemy as sa

from beanft.config import Limits
from beanft.core.database import Database, utcnow
from beanft.core.errors import ConflictError, InvalidError, NotFoundError
from beanft.storage.files import CHUNK_BYTES, Storage
from beanft.uploader.models import Dataset, IdempotencyKey
from beanft.uploader.service import KnownKeyError, add_dataset, get_dataset, request_sha256

KEEP = dt.timedelta(hours=24)


class _Hashed:
    """A body that is hashed while it is read."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._source.read(size)
        self._hash.update(piece)
        return piece

    def rest(self) -> str:
        """Read what is left, and return the hash of it all."""
        while self.read(CHUNK_BYTES):
            pass
        return self._hash.hexdigest()


def add_dataset_once(
    database: Database,
    storage: Storage,
    limits: Limits,
    *,
    user_id: str,
    name: str,
    source: BinaryIO,
    key: str,
) -> tuple[Dataset, bool]:
    """Store an upload as ``add_dataset`` does, unless this person used the key before.

    Returns:
        The data set, and whether it was there before.

    Raises:
        InvalidError: the key was used for another name or body.
        ConflictError: what was stored under the key has been deleted since.

    """
    hashed = _Hashed(source)
    known = _find(database, user_id, key)
    if known is None:
        try:
            dataset = add_dataset(
                database,
                storage,
                limits,
                user_id=user_id,
                name=name,
                source=cast("BinaryIO", hashed),
                key=key,
            )
        except (KnownKeyError, sa.exc.IntegrityError):
            # The same request was quicker at another task; its data set counts. SQLite's
            # write lock lets us see its key, other databases refuse ours as a double.
            known = _find(database, user_id, key)
            if known is None:
                raise
        else:
            return dataset, False
    if request_sha256(name, hashed.rest()) != known.request_sha256:
        raise InvalidError(
            "This Idempotency-Key was used for another name or body. Use a new key for each "
            "data set."
        )
    try:
        return get_dataset(database, user_id, known.dataset_id), True
    except NotFoundError:
        raise ConflictError(
            "The data set that was stored under this Idempotency-Key has been deleted since. "
            "Use a new key to store it again."
        ) from None


def _find(database: Database, user_id: str, key: str) -> IdempotencyKey | None:
    with database.reading() as session:
        return session.get(IdempotencyKey, (user_id, key))


def forget_keys(database: Database) -> int:
    """Forget the keys of more than 24 hours ago; return how many."""
    old = IdempotencyKey.created_at < utcnow() - KEEP
    with database.reading() as session:
        count = session.scalar(sa.select(sa.func.count()).select_from(IdempotencyKey).where(old))
    if count:  # no write lock every few seconds for nothing
        with database.writing() as session:
            session.execute(sa.delete(IdempotencyKey).where(old))
    return int(count or 0)
