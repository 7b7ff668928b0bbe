"""API keys: make, list, revoke, and find who holds one."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from beanft.core.cache import ExpiringCache
from beanft.core.database import Database, utcnow
from beanft.core.errors import InvalidError, NotFoundError
from beanft.core.logs import logger
from beanft.security.tokens import key_prefix, new_api_key, token_hash
from beanft.users.models import ApiKey

MOST_KEYS = 20
USED_EVERY = dt.timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling."""

    user_id: str
    key_id: str


def make_key(database: Database, user_id: str, name: str) -> tuple[ApiKey, str]:
    """Make a key.

    Returns:
        The row, and the key itself, which is not stored and can't be shown again.

    Raises:
        InvalidError: it has no name, or there are 20 keys.

    """
    name = name.strip()
    if not 1 <= len(name) <= 80:
        message = "Give the key a name of 1 to 80 characters."
        raise InvalidError(message, errors=[{"field": "name", "message": message}])
    secret = new_api_key()
    key = ApiKey(user_id=user_id, name=name, prefix=key_prefix(secret), key_hash=token_hash(secret))
    with database.writing() as session:
        active = sa.select(sa.func.count()).where(
            ApiKey.user_id == user_id, ApiKey.revoked_at.is_(None)
        )
        if int(session.scalar(active) or 0) >= MOST_KEYS:
            message = f"You have {MOST_KEYS} keys. Revoke one first."
            raise InvalidError(message, errors=[{"field": "name", "message": message}])
        session.add(key)
    return key, secret


def keys_of(database: Database, user_id: str) -> list[ApiKey]:
    """Return a person's keys, revoked ones last."""
    with database.reading() as session:
        return list(
            session.scalars(
                sa.select(ApiKey)
                .where(ApiKey.user_id == user_id)
                .order_by(ApiKey.revoked_at.is_not(None), ApiKey.created_at.desc())
            )
        )


def revoke_key(database: Database, user_id: str, key_id: str) -> None:
    """Revoke a key: every API process refuses it within ``KeyRing``'s seconds.

    Raises:
        NotFoundError: there is none, or it is somebody else's.

    """
    with database.writing() as session:
        key = session.get(ApiKey, key_id)
        if key is None or key.user_id != user_id:
            raise NotFoundError("There is no such key.")
        key.revoked_at = key.revoked_at or utcnow()


class KeyRing:
    """Finds who holds a key, and remembers it for a few seconds.

    A look-up costs fifty times a prediction, so it is cached by hash. A revoked key is
    therefore accepted for ``seconds`` at most (5 unless set otherwise); unknown keys are not
    cached, so a new key works at once.
    """

    def __init__(self, database: Database, seconds: float) -> None:
        self._database = database
        self._cache: ExpiringCache[str, Principal] = ExpiringCache(seconds, size=4096)

    def principal(self, key: str) -> Principal | None:
        """Return who holds a key; None if it is unknown or revoked."""
        hashed = token_hash(key)
        return self._cache.get(hashed, lambda: self._load(hashed))

    def _load(self, hashed: str) -> Principal | None:
        with self._database.reading() as session:
            key = session.scalar(
                sa.select(ApiKey).where(ApiKey.key_hash == hashed, ApiKey.revoked_at.is_(None))
            )
        if key is None:
            return None
        self._note_use(key)
        return Principal(key.user_id, key.id)

    def _note_use(self, key: ApiKey) -> None:
        now = utcnow()
        if key.last_used_at is not None and key.last_used_at + USED_EVERY > now:
            return
        try:
            with self._database.writing() as session:
                session.execute(
                    sa.update(ApiKey).where(ApiKey.id == key.id).values(last_used_at=now)
                )
        except sa.exc.OperationalError as error:
            # When a key was used last is no reason to refuse a prediction.
            logger().warning("key_use_not_noted", reason=str(error.orig))
