"""API keys: make, list, revoke, and find who holds one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
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
SCOPES = {
    "datasets:read": "see data sets",
    "datasets:write": "upload and delete data sets",
    "trainings:write": "start and cancel trainings",
    "models:read": "see models",
    "models:write": "change and delete models",
    "predict": "predict",
}
ALL_SCOPES = frozenset(SCOPES)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, and what the key may do: some of ``SCOPES``."""

    user_id: str
    key_id: str
    scopes: frozenset[str] = ALL_SCOPES


def _wrong(field: str, message: str) -> InvalidError:
    return InvalidError(message, errors=[{"field": field, "message": message}])


def _usable(now: dt.datetime) -> sa.ColumnElement[bool]:
    return sa.and_(
        ApiKey.revoked_at.is_(None),
        sa.or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now),
    )


def make_key(
    database: Database,
    user_id: str,
    name: str,
    scopes: Collection[str] | None = None,
    life: dt.timedelta | None = None,
) -> tuple[ApiKey, str]:
    """Make a key.

    Args:
        database: where it is kept.
        user_id: whose it is.
        name: what uses it.
        scopes: what it may do; None for everything, also what is added later.
        life: how long it works; None for ever.

    Returns:
        The row, and the key itself, which is not stored and can't be shown again.

    Raises:
        InvalidError: it has no name, no or unknown scopes, no life, or there are 20 keys.

    """
    name = name.strip()
    if not 1 <= len(name) <= 80:
        raise _wrong("name", "Give the key a name of 1 to 80 characters.")
    if scopes is not None and not scopes:
        raise _wrong("scopes", "Choose at least one thing that the key may do.")
    if scopes is not None and (unknown := set(scopes) - ALL_SCOPES):
        known = ", ".join(SCOPES)
        raise _wrong("scopes", f"There is no scope {sorted(unknown)[0]!r}. There are: {known}.")
    now = utcnow()
    if life is not None and life <= dt.timedelta(0):
        raise _wrong("life", "Let the key work for some time.")
    secret = new_api_key()
    key = ApiKey(
        user_id=user_id,
        name=name,
        prefix=key_prefix(secret),
        key_hash=token_hash(secret),
        scopes=None if scopes is None else [scope for scope in SCOPES if scope in scopes],
        expires_at=None if life is None else now + life,
    )
    with database.writing() as session:
        usable = sa.select(sa.func.count()).where(ApiKey.user_id == user_id, _usable(now))
        if int(session.scalar(usable) or 0) >= MOST_KEYS:
            raise _wrong("name", f"You have {MOST_KEYS} keys. Revoke one first.")
        session.add(key)
    return key, secret


def keys_of(database: Database, user_id: str) -> list[ApiKey]:
    """Return a person's keys, those that don't work any more last."""
    with database.reading() as session:
        return list(
            session.scalars(
                sa.select(ApiKey)
                .where(ApiKey.user_id == user_id)
                .order_by(sa.not_(_usable(utcnow())), ApiKey.created_at.desc())
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

    A look-up costs fifty times a prediction, so it is cached by hash. A key that was revoked
    or has expired is therefore accepted for ``seconds`` at most (5 unless set otherwise); unknown
    keys are not cached, so a new key works at once.
    """

    def __init__(self, database: Database, seconds: float) -> None:
        self._database = database
        self._cache: ExpiringCache[str, Principal] = ExpiringCache(seconds, size=4096)

    def principal(self, key: str) -> Principal | None:
        """Return who holds a key; None if it is unknown, revoked or expired."""
        hashed = token_hash(key)
        return self._cache.get(hashed, lambda: self._load(hashed))

    def _load(self, hashed: str) -> Principal | None:
        with self._database.reading() as session:
            key = session.scalar(
                sa.select(ApiKey).where(ApiKey.key_hash == hashed, _usable(utcnow()))
            )
        if key is None:
            return None
        self._note_use(key)
        scopes = ALL_SCOPES if key.scopes is None else frozenset(key.scopes)
        return Principal(key.user_id, key.id, scopes)

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
