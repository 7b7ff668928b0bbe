"""Accounts: register, log in, end sessions, delete."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from beanft.core.database import Database, utcnow
from beanft.core.errors import ConflictError, InvalidError, NotFoundError
from beanft.security import throttle
from beanft.security.passwords import MAX_CHARS, MIN_CHARS, hash_password, verify_password
from beanft.security.tokens import new_token, token_hash
from beanft.storage.files import Storage
from beanft.training.models import Model
from beanft.uploader.models import Dataset
from beanft.users.models import LoginLink, User, UserSession

LINK_LIFE = dt.timedelta(hours=48)
SEEN_EVERY = dt.timedelta(minutes=5)
_EMAIL = re.compile(r"^[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+$")
TAKEN = "There is an account with this address. Log in instead."


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where a login comes from."""

    address: str
    browser: str


def normal_email(text: str) -> str:
    """Return an address as it is stored.

    Raises:
        InvalidError: it isn't one.

    """
    email = text.strip().lower()
    if len(email) > 254 or not _EMAIL.match(email):
        raise InvalidError(
            "That is not an e-mail address.",
            errors=[{"field": "email", "message": "Enter an e-mail address."}],
        )
    return email


def check_password(password: str) -> None:
    """Raise ``InvalidError`` unless a password may be used."""
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        message = f"Use {MIN_CHARS} to {MAX_CHARS} characters."
        raise InvalidError(message, errors=[{"field": "password", "message": message}])


def register(database: Database, email: str, password: str | None) -> User:
    """Create an account; without a password it waits for a one-time link.

    Raises:
        InvalidError: the address or the password can't be used.
        ConflictError: the address has an account.

    """
    address = normal_email(email)
    encoded = None
    if password is not None:
        check_password(password)
        encoded = hash_password(password)
    user = User(email=address, password_hash=encoded)
    try:
        with database.writing() as session:
            session.add(user)
    except IntegrityError:
        raise ConflictError(TAKEN, errors=[{"field": "email", "message": TAKEN}]) from None
    return user


def authenticate(database: Database, email: str, password: str, address: str) -> User | None:
    """Return the user if the password is right.

    Unknown addresses take as long as known ones.

    Raises:
        ThrottledError: too many failures lately.

    """
    email = email.strip().lower()[:254]
    throttle.count_attempt(database, email, address)
    with database.reading() as session:
        user = session.scalar(sa.select(User).where(User.email == email))
    encoded = user.password_hash if user else None
    if not verify_password(encoded, password[: MAX_CHARS + 1]):
        return None
    throttle.forgive(database, email, address)
    return user


def begin_session(database: Database, user_id: str, visitor: Visitor, days: int) -> str:
    """Begin a session and return the token for the cookie."""
    token = new_token()
    now = utcnow()
    with database.writing() as session:
        session.execute(sa.delete(UserSession).where(UserSession.expires_at < now))
        session.add(
            UserSession(
                user_id=user_id,
                token_hash=token_hash(token),
                expires_at=now + dt.timedelta(days=days),
                address=visitor.address[:45],
                browser=visitor.browser[:120],
            )
        )
    return token


def find_session(database: Database, token: str) -> tuple[User, UserSession] | None:
    """Return who holds a cookie's token, if the session hasn't ended."""
    now = utcnow()
    with database.reading() as session:
        found = session.execute(
            sa.select(User, UserSession)
            .join(UserSession, UserSession.user_id == User.id)
            .where(UserSession.token_hash == token_hash(token), UserSession.expires_at > now)
        ).first()
    if found is None:
        return None
    user, held = found
    if held.seen_at + SEEN_EVERY < now:
        with database.writing() as session:
            session.execute(
                sa.update(UserSession).where(UserSession.id == held.id).values(seen_at=now)
            )
    return user, held


def sessions_of(database: Database, user_id: str) -> list[UserSession]:
    """Return a person's sessions, the latest first."""
    with database.reading() as session:
        return list(
            session.scalars(
                sa.select(UserSession)
                .where(UserSession.user_id == user_id, UserSession.expires_at > utcnow())
                .order_by(UserSession.seen_at.desc())
            )
        )


def end_session(database: Database, user_id: str, session_id: str) -> None:
    """End one of a person's sessions.

    Raises:
        NotFoundError: there is none, or it is somebody else's.

    """
    with database.writing() as session:
        found = session.get(UserSession, session_id)
        if found is None or found.user_id != user_id:
            raise NotFoundError("There is no such session.")
        session.delete(found)


def make_link(database: Database, user_id: str) -> str:
    """Return the token of a one-time link to set a password; it lives 48 hours."""
    token = new_token()
    with database.writing() as session:
        session.add(
            LoginLink(
                token_hash=token_hash(token), user_id=user_id, expires_at=utcnow() + LINK_LIFE
            )
        )
    return token


def use_link(database: Database, token: str, password: str) -> User:
    """Set the password by a one-time link, and end all sessions.

    Raises:
        InvalidError: the password can't be used.
        NotFoundError: the link was used or is too old.

    """
    check_password(password)
    encoded = hash_password(password)
    with database.writing() as session:
        link = session.get(LoginLink, token_hash(token))
        if link is None or link.expires_at < utcnow():
            raise NotFoundError("This link was used or is too old. Ask for another one.")
        user = session.get_one(User, link.user_id)
        user.password_hash = encoded
        session.execute(sa.delete(LoginLink).where(LoginLink.user_id == user.id))
        session.execute(sa.delete(UserSession).where(UserSession.user_id == user.id))
    return user


def delete_account(database: Database, storage: Storage, user_id: str, password: str) -> None:
    """Delete an account with everything that belongs to it, files included.

    Raises:
        InvalidError: the password is wrong.

    """
    with database.reading() as session:
        user = session.get_one(User, user_id)
    if not verify_password(user.password_hash, password[: MAX_CHARS + 1]):
        message = "The password is wrong. Nothing was deleted."
        raise InvalidError(message, errors=[{"field": "password", "message": message}])
    with database.writing() as session:
        keys = [
            *session.scalars(sa.select(Dataset.storage_key).where(Dataset.user_id == user_id)),
            *session.scalars(sa.select(Model.storage_key).where(Model.user_id == user_id)),
        ]
        session.execute(sa.delete(User).where(User.id == user_id))
    for key in keys:
        storage.delete(key)
